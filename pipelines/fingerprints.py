"""Fingerprints of extracts, remembered: an archive is not read whole each day to find that it has not changed."""

import json
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from features.sources.mapping import Mapping
from features.sources.raw import files_of, fingerprint
from pipelines.workspace import write_private

SETTLED_SECONDS = 2.0
"""A file that was changed so lately could change again within the same tick of the disk's clock, and be missed."""


class Fingerprints:
    """What is remembered in the file `path`, under a hash of the mapping and of every file's name, size, place on disk
    and times of change. The system sets the second of those times, so that no writer can keep it as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = _read(path)
        self._used: dict[str, str] = {}

    def of(self, extracts: Iterable[Path], mapping: Mapping, zone: str) -> Iterator[tuple[Path, str]]:
        """Each extract with its `raw.fingerprint`, from memory where no file has been touched."""
        told = sha256(json.dumps([mapping.model_dump(mode="json"), zone], sort_keys=True).encode()).hexdigest()
        for extract in extracts:
            key, changed = _look(extract, told)
            found = self._known.get(key) or fingerprint(extract, mapping, zone)
            if changed < time.time() - SETTLED_SECONDS and _look(extract, told)[0] == key:
                self._used[key] = found
            yield extract, found

    def keep(self) -> None:
        """Remember what was asked for, and nothing else."""
        if self._used != self._known:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.path, json.dumps(self._used, sort_keys=True).encode())
            self._known = dict(self._used)


def _read(path: Path) -> dict[str, str]:
    """What was remembered; nothing where the file is damaged, for then everything is read again."""
    try:
        known = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _look(extract: Path, told: str) -> tuple[str, float]:
    """A hash of what can be seen of an extract without reading it, and when any of it last changed."""
    stats = [(str(path.absolute()), path.stat()) for path in files_of(extract)]
    seen = [[path, s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns] for path, s in stats]
    key = sha256(json.dumps([told, seen]).encode()).hexdigest()
    return key, max((max(s.st_mtime, s.st_ctime) for _, s in stats), default=0.0)


def digest_of(fingerprints: Iterable[str]) -> str:
    """SHA-256 of the fingerprints of batches, in their order: two histories that share it were told the same."""
    return sha256("\n".join(fingerprints).encode()).hexdigest()
