"""A team whose list is held back alone: its last good list, marked with when and why, or a page that says there is
none. Also how any file of an old list is marked."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.pages import Stamp, Team, held_page, with_notes, without_forms, words

MANIFEST = "manifest.json"
PAGE_NAME = "list.html"
MARK = "held_back"
"""The last column of a spreadsheet that is not the day's: why it is still there."""


@dataclass(frozen=True)
class Withheld:
    """What stands in the place of a team's list. files: by name in the team's folder; list_of: the ISO date of the list
    that they are, None where they are no list; own: the notes that it had itself; note: why it is there."""

    team: Team
    files: Mapping[str, bytes]
    list_of: str | None
    own: tuple[str, ...]
    note: str

    def told(self) -> dict[str, Any]:
        """As the manifest tells it."""
        facts = {"team_id": self.team.team_id, "name": self.team.name, "list_of": self.list_of}
        return facts | {"notes": list(self.own), "note": self.note}

    @property
    def in_place(self) -> str:
        """What the index says in place of the highest risk."""
        return f"Held back; list of {_said(self.list_of)}" if self.list_of else "Held back; no earlier list"


def held_back(team: Team, why: str, stamp: Stamp, lists: Path) -> Withheld:
    """What the team is shown on the day of `stamp`, from the newest list under `lists` that was made for it before."""
    begun = f"The list of {team.name} for {stamp.day} was held back: {why}"
    for folder, manifest in _earlier(lists, stamp.date):
        if (old := _old_list(folder, manifest, team.slug)) is not None:
            files, day, own = old
            note = f"{begun} This is its list of {_said(day)}, the last good one."
            return Withheld(team, dict(marked(files, (*own, note), note)), day, own, note)
    note = f"{begun} There is no earlier list of this team."
    page = held_page(team, replace(stamp, notes=(note,)))
    return Withheld(team, {PAGE_NAME: page.encode("utf-8")}, None, (), note)


def marked(files: Mapping[str, bytes], notes: Sequence[str], why: str) -> Iterator[tuple[str, bytes]]:
    """The files of an old list with their marks: pages with `notes`, spreadsheets with `why` in each row. A file that
    cannot be marked is left out."""
    for name, content in files.items():
        marker = MARKERS.get(Path(name).suffix)
        if marker is not None:
            yield name, marker(content.decode("utf-8"), notes, why).encode("utf-8")


def notes_of(manifest: Mapping[str, Any], path: str) -> list[str]:
    """The notes with which a publication's page at `path` was shown."""
    slug, stamp = path.partition("/")[0], list(manifest["stamp"]["notes"])
    withheld = manifest.get("withheld", {})
    if path == slug:
        return stamp + [str(told["note"]) for told in withheld.values()]
    if slug in withheld:
        return [*withheld[slug]["notes"], withheld[slug]["note"]]
    return stamp + list(manifest.get("team_notes", {}).get(slug, ()))


def _earlier(lists: Path, day: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in sorted(lists.glob("[0-9]*"), reverse=True):
        if folder.name < day and (folder / MANIFEST).is_file():
            yield folder, json.loads((folder / MANIFEST).read_bytes())


def _old_list(
    folder: Path, manifest: Mapping[str, Any], slug: str
) -> tuple[dict[str, bytes], str, tuple[str, ...]] | None:
    """A team's files in an earlier publication, the day of the list that they are, and its own notes; None where they
    are not there as they were written, or are no list."""
    told = manifest.get("withheld", {}).get(slug)
    paths = [path for path in manifest["files"] if path.startswith(f"{slug}/")]
    if not paths or (told is not None and told["list_of"] is None):
        return None
    found = {path: (folder / path).read_bytes() for path in paths if (folder / path).is_file()}
    if any(hashlib.sha256(found.get(path, b"")).hexdigest() != manifest["files"][path] for path in paths):
        return None
    files = {path.partition("/")[2]: content for path, content in found.items()}
    if told is not None:
        return files, str(told["list_of"]), tuple(told["notes"])
    return files, folder.name, tuple(notes_of(manifest, paths[0]))


def _marked_page(text: str, notes: Sequence[str], _why: str) -> str:
    return without_forms(with_notes(text, notes))


def _marked_csv(text: str, _notes: Sequence[str], why: str) -> str:
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    names = next(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    told = io.StringIO(newline="")
    writer = csv.DictWriter(told, [*(name for name in names if name != MARK), MARK], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(row | {MARK: why} for row in rows)
    return "\ufeff" + told.getvalue()


MARKERS: Mapping[str, Callable[[str, Sequence[str], str], str]] = {".html": _marked_page, ".csv": _marked_csv}
"""How a file is marked, by the end of its name."""


def _said(day: str | None) -> str:
    return words.plain_date(date.fromisoformat(str(day)))
