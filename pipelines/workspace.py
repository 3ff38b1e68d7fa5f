"""Where the state of a service lives: one folder, named in the configuration; nothing is written elsewhere."""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from features.errors import ConfigError

KEY_VARIABLE = "MINUSNINE_KEY"


@dataclass(frozen=True)
class Workspace:
    """The folders under `root`."""

    root: Path

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def fingerprints(self) -> Path:
        return self.root / "fingerprints.json"

    @property
    def identity(self) -> Path:
        return self.root / "identity"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def lists(self) -> Path:
        return self.root / "lists"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def exposure(self) -> Path:
        return self.root / "exposure"

    @property
    def board(self) -> Path:
        return self.root / "board"

    @property
    def quality(self) -> Path:
        return self.root / "quality"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def extracts(self) -> Path:
        return self.root / "extracts"

    def key(self) -> bytes:
        """The secret that pseudonyms and tie-breaks are made with: `MINUSNINE_KEY` if set, else a file made once.

        Whoever holds it can tell whose a pseudonym is. A history made with another key is refused: everyone would
        become a second person.
        """
        made_with = self.history / "key-check"
        path = self.identity / "pseudonym.key"
        if os.environ.get(KEY_VARIABLE):
            key = os.environ[KEY_VARIABLE].encode()
        elif path.exists():
            key = path.read_bytes()
        elif made_with.exists():
            raise ConfigError(_lost_key(path))
        else:
            self.identity.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = secrets.token_hex(32).encode()
            write_private(path, key)
        check = hmac.digest(key, b"minus nine", sha256).hex().encode()
        if not made_with.exists():
            self.history.mkdir(parents=True, exist_ok=True)
            write_private(made_with, check)
        elif made_with.read_bytes() != check:
            raise ConfigError(_lost_key(path))
        return key


def _lost_key(path: Path) -> str:
    return (
        f"The pseudonym key must be the one that the history was made with; it is not the one in {path} or "
        f"{KEY_VARIABLE}. Restore the key, or begin with an empty workspace."
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def pseudonyms(identities: Sequence[str], key: bytes) -> list[int]:
    """A positive 63-bit number for each identity, the same for the same identity and key, telling nothing else."""
    return [int.from_bytes(hmac.digest(key, text.encode(), sha256)[:8], "big") >> 1 for text in identities]
