"""Publication of a day's lists: all of them or none, the same bytes for the same inputs, checked before they are seen.

A folder of lists holds, for each day, a link `2026-02-03` to a finished version under `.versions`, and `latest`, a
link to the newest day. A version is written and read back whole before its link is switched in one step, so a reader
sees the old lists or the new ones, never some of each. The files hold identities: only their owner can read them.
"""

import csv
import fcntl
import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from dataclasses import replace as changed_in
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import MinusNineError
from pipelines.folders import CSV_NAME, FolderOf, folders
from pipelines.pages import Person, Stamp, Team, index_page, people_by_team, team_views, words
from pipelines.pages.people import CHANGES
from pipelines.pages.persons import ToldBeside, told_beside
from pipelines.withheld import MANIFEST, PAGE_NAME, Withheld, held_back, marked, notes_of

__all__ = ["LATEST", "MANIFEST", "PublishError", "Published", "Stamp", "hold", "last_listed", "publish", "stands"]

LATEST = "latest"
VERSIONS = ".versions"
WRITERS = 8
"""Files that are written at once: most of the time goes in waiting until each is on disk."""
PERSON_ROW = '<tr role="row" class="person">'


class PublishError(MinusNineError):
    """These lists must not be published; what was published before stays as it was."""

    exit_code = 6


@dataclass(frozen=True)
class Published:
    """What now stands. `changed` is False where the same lists stood already; `digest` is of the manifest."""

    folder: Path
    changed: bool
    teams: int
    listed: int
    digest: str


def publish(
    ranked: pd.DataFrame,
    identities: pd.DataFrame,
    teams: pd.DataFrame,
    stamp: Stamp,
    folder: Path,
    *,
    replace: bool = False,
    unlisted: Mapping[str, int | str] | None = None,
    beside: Mapping[str, pd.DataFrame] | None = None,
    other_forms: Sequence[str] = (),
    workers: int = 1,
    withheld: Mapping[str, str] | None = None,
    team_notes: Mapping[str, Sequence[str]] | None = None,
    around: Callable[[Path, str], AbstractContextManager[object]] = lambda _folder, _digest: nullcontext(),
) -> Published:
    """Writes every team's list for the local day of `stamp.as_of` under `folder`, and points `latest` at the newest.

    ranked: as `models.ranking.rank` gives it with reason_1..3, age (years), sex and last_seen_by, which
    is null or a key of `words.SEEN_BY`; only `listed` rows are shown, and there may be none.
    identities: person_id, nhs_number, family_name, given_name, birth_date; a person may be missing.
    teams: team_id, name, caseload, capacity and, if known, excluded_<reason> counts; each gets a page, those
    with nobody in `ranked` too.
    unlisted: by reason, how many people with an open referral no team's list can show; told on the index.
    beside: as `daily.Ranking` has it; without it nobody has a page of their own.
    other_forms: which of `forms.FILES` are written beside each page and spreadsheet.
    workers: processes that may share the work where many people are listed.
    withheld: why, by team_id, for teams (with nobody in `ranked`) that are shown their last good list instead, marked.
    team_notes: by team_id, what only that team's page says after the stamp's own notes.
    around: given a finished version's folder and digest, it is entered before the lists are switched to that version
    and left after; where it fails nothing is switched.
    Raises PublishError, with nothing changed, where the inputs do not fit together, what was written does not read
    back, or the day already has other lists and `replace` is False.
    """
    _refuse_misfits(ranked, identities, teams, stamp)
    lists = _lists(ranked, identities, teams, stamp)
    views = {team.team_id: team for team in lists}
    held = {views[team]: held_back(views[team], why, stamp, folder) for team, why in (withheld or {}).items()}
    told = told_beside(ranked, beside, identities, stamp)
    files = _files(lists, stamp, unlisted or {}, told, held, team_notes or {}, other_forms, workers)
    digest = _hash(files[MANIFEST])
    listed = sum(map(len, lists.values()))
    with _alone(folder):
        day = folder / stamp.date
        changed = not _stands(day, digest, replace)
        if changed:
            version = _write(files, folder, stamp.date)
            _check(version, {team: listed for team, listed in lists.items() if team not in held})
            with around(version, digest):
                _switch(day, Path(VERSIONS, version.name))
        _point_latest(folder, stamp.date)
    return Published(day, changed, len(lists), listed, digest)


def last_listed(folder: Path) -> int:
    """How many places the newest lists have, as far as they say so; else 0, since nothing but speed hangs on it."""
    try:
        return int(json.loads((folder / LATEST / MANIFEST).read_bytes())["listed"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def stands(folder: Path, day: str) -> bool:
    """Whether whole lists stand for the day (an ISO date). Where a run that was killed left `latest` behind them, it is
    put right."""
    link, latest = folder / day, folder / LATEST
    if not (link / MANIFEST).is_file():
        return False
    with _alone(folder):
        if _damaged(link):
            return False
        _point_latest(folder, day, keep_mark=latest.exists() and _origin(latest) == _origin(link))
    return True


def hold(folder: Path, note: str, day: str) -> bool:
    """Marks the newest lists with `note`, on every page, when those of `day` (an ISO date) cannot be made.

    `latest` then leads to a marked copy; the day's own folder keeps its bytes, and the next day's lists take over as
    ever. The pages keep one such note for each failed day, the last given, after the notes of their own stamp. False,
    with nothing changed, where no list is older than `day` or the pages carry the note already.
    """
    latest = folder / LATEST
    failed = date.fromisoformat(day).isoformat()
    if not latest.exists():
        return False
    with _alone(folder):
        manifest = json.loads((latest / MANIFEST).read_bytes())
        held: dict[str, str] = manifest.get("held", {})
        standing = _day_of(latest)
        if standing >= failed or held.get(failed) == note:
            return False
        _refuse_faults(_damaged(latest), "published before")
        version = _write(_marked(latest, manifest, held | {failed: note}), folder, standing)
        _refuse_faults(_damaged(version), "written")
        _switch(latest, Path(VERSIONS, version.name))
    return True


def _marked(standing: Path, manifest: dict[str, Any], held: dict[str, str]) -> dict[str, bytes]:
    """The files of a publication whose pages carry their own notes and then those of `held`, by day."""
    since = [note for _, note in sorted(held.items())]
    files: dict[str, bytes] = {}
    for path in manifest["files"]:
        content = {path: (standing / path).read_bytes()}
        files |= marked(content, [*notes_of(manifest, path), *since], " ".join(since))
    hashes = {path: _hash(content) for path, content in files.items()}
    return files | {MANIFEST: _json(manifest | {"held": held, "of": _origin(standing), "files": hashes})}


def _origin(version: Path) -> str:
    """The digest of a publication; of a marked copy, that of what it is a copy of."""
    manifest = (version / MANIFEST).read_bytes()
    return str(json.loads(manifest).get("of") or _hash(manifest))


def _refuse_misfits(ranked: pd.DataFrame, identities: pd.DataFrame, teams: pd.DataFrame, stamp: Stamp) -> None:
    listed = ranked[ranked["listed"].astype(bool)]
    outside = ~listed["risk"].between(0, 1)
    wrong = {
        "every team in teams must be there once, with an id": teams["team_id"].isna() | teams["team_id"].duplicated(),
        "every team in ranked must be in teams": ~ranked["team_id"].isin(teams["team_id"]),
        "a person may be ranked once in a team": ranked.duplicated(["team_id", "person_id"]),
        "a person may have one identity": identities["person_id"].duplicated(),
        f"every row must be as of {stamp.as_of.isoformat()}": pd.to_datetime(ranked["as_of"], utc=True) != stamp.as_of,
        "every listed risk must be a probability": outside,
        "every listed change must be one of " + ", ".join(CHANGES): ~listed["change"].isin(list(CHANGES)),
        "every listed last_seen_by must be null or one of " + ", ".join(words.SEEN_BY): _unknown_means(listed),
        "a rank may be given once in a team": listed.duplicated(["team_id", "rank"]),
        "an NHS number may be listed once in a team": _listed_twice(listed, identities),
    }
    for rule, rows in wrong.items():
        if rows.any():
            message = f"Nothing was published: {rule}, and {int(rows.sum())} of {len(rows)} rows break that."
            message += " This is a fault in the step before; run it again or look at its report."
            raise PublishError(message)


def _unknown_means(listed: pd.DataFrame) -> pd.Series:
    return listed["last_seen_by"].notna() & ~listed["last_seen_by"].isin(list(words.SEEN_BY))


def _listed_twice(listed: pd.DataFrame, identities: pd.DataFrame) -> pd.Series:
    """Rows whose NHS number, as the page would show it, is in the same team's list already."""
    theirs = identities[identities["person_id"].isin(listed["person_id"])].drop_duplicates("person_id")
    numbers = theirs.set_index("person_id")["nhs_number"].dropna()
    shown = {person: words.nhs_number(str(number).strip()) for person, number in numbers.items()}
    mine = listed.assign(shown=[shown.get(person, "") for person in listed["person_id"]])
    return mine["shown"].ne("") & mine.duplicated(["team_id", "shown"])


def _lists(
    ranked: pd.DataFrame, identities: pd.DataFrame, teams: pd.DataFrame, stamp: Stamp
) -> dict[Team, tuple[Person, ...]]:
    views = team_views(teams)
    names = {team.team_id: team.name for team in views}
    listed = ranked[ranked["listed"].astype(bool)]
    who = identities[identities["person_id"].isin(listed["person_id"])]
    found = people_by_team(listed, who, names, stamp)
    return {team: found.get(team.team_id, ()) for team in views}


def _files(
    lists: Mapping[Team, tuple[Person, ...]],
    stamp: Stamp,
    unlisted: Mapping[str, int | str],
    told: ToldBeside,
    held: Mapping[Team, Withheld],
    team_notes: Mapping[str, Sequence[str]],
    other_forms: Sequence[str],
    workers: int,
) -> dict[str, bytes]:
    """Every file of the publication by its path in it; the manifest is last and holds the hashes of the others."""
    of_index = changed_in(stamp, notes=(*stamp.notes, *(one.note for one in held.values())))
    in_place = {team.team_id: one.in_place for team, one in held.items()}
    files = {"index.html": index_page(lists, of_index, unlisted, in_place).encode("utf-8")}
    stamps = {team: changed_in(stamp, notes=(*stamp.notes, *team_notes.get(team.team_id, ()))) for team in lists}
    wanted = [
        FolderOf(team, listed, stamps[team], told.of(team, listed), tuple(other_forms))
        for team, listed in lists.items()
        if team not in held
    ]
    made = {one.team: files for one, files in zip(wanted, folders(wanted, workers), strict=True)}
    for team in lists:
        inside = held[team].files if team in held else made[team]
        files |= {f"{team.slug}/{name}": content for name, content in inside.items()}
    manifest = {
        "stamp": _plain(stamp),
        "teams": [{**asdict(team), "folder": team.slug, "listed": len(listed)} for team, listed in lists.items()],
        "listed": sum(map(len, lists.values())),
        "without_nhs_number": sum(not person.nhs_number for listed in lists.values() for person in listed),
        "unlisted": dict(sorted(unlisted.items())),
        "held": {},
        "withheld": {team.slug: one.told() for team, one in held.items()},
        "team_notes": {team.slug: list(notes) for team in lists if (notes := team_notes.get(team.team_id))},
        "files": {path: _hash(content) for path, content in sorted(files.items())},
    }
    return files | {MANIFEST: _json(manifest)}


def _plain(stamp: Stamp) -> dict[str, Any]:
    ages = {name: hours if math.isfinite(hours) else None for name, hours in stamp.feed_ages}
    times = {
        "as_of": stamp.as_of.astimezone(UTC).isoformat(),
        "data_as_of": stamp.data_as_of.astimezone(UTC).isoformat(),
        "good_until": stamp.good_until.isoformat(),
        "valid_until": stamp.valid_until.astimezone(UTC).isoformat(),
    }
    return asdict(stamp) | times | {"feed_ages": ages}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder against another publication at the same time, and leaves no unused version behind."""
    try:
        with ExitStack() as afterwards:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
            afterwards.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            afterwards.callback(_sweep, folder)
            yield
    except OSError as error:
        message = f"Lists must be written whole under {folder}, and could not be: {error.strerror}. What was published "
        message += "before stands. Make room, or let this user write there, and publish again."
        raise PublishError(message) from error


def _stands(day: Path, digest: str, replace: bool) -> bool:
    """Whether exactly these lists stand for the day already. Raises where others do and may not be replaced."""
    if not day.is_symlink() and not day.exists():
        return False
    standing = day / MANIFEST
    if standing.is_file() and _hash(standing.read_bytes()) == digest and not _damaged(day):
        return True
    if replace and day.is_symlink():
        return False
    message = (
        f"Lists for {day.name} are already published and are not the ones made now; {day} was left as it is. "
        "A second run must not change what a team has read: publish again with replace if that is meant."
    )
    raise PublishError(message)


def _write(files: Mapping[str, bytes], folder: Path, day: str) -> Path:
    """The files in a new folder beside the published ones, on disk before it returns."""
    versions = folder / VERSIONS
    versions.mkdir(mode=0o700, exist_ok=True)
    version = Path(tempfile.mkdtemp(prefix=f"{day}.", dir=versions))
    for inside in sorted({folder for path in files for folder in Path(path).parents}):
        (version / inside).mkdir(mode=0o700, exist_ok=True)
    with ThreadPoolExecutor(WRITERS) as over:
        list(over.map(lambda path: _write_file(version / path, files[path]), files))
    return version


def _write_file(target: Path, content: bytes) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _damaged(version: Path) -> list[str]:
    """Paths in a publication that are missing, added or not what its manifest says."""
    expected: dict[str, str] = json.loads((version / MANIFEST).read_bytes())["files"]
    inside = (path for pattern in ("*/*", "*/*/*") for path in version.glob(pattern) if path.is_file())
    present = {path.relative_to(version).as_posix(): path for path in inside}
    present |= {path.name: path for path in version.glob("*.html")}
    found = {name: _hash(path.read_bytes()) for name, path in present.items()}
    return sorted(name for name, _ in expected.items() ^ found.items())


def _check(version: Path, lists: Mapping[Team, tuple[Person, ...]]) -> None:
    """Reads the version back from disk; raises where it is not exactly what was meant."""
    _refuse_faults(_damaged(version), "written")
    unlike = [team.slug for team, listed in lists.items() if not _holds(version / team.slug, listed)]
    _refuse_faults(unlike, "written")


def _holds(folder: Path, listed: tuple[Person, ...]) -> bool:
    """Whether a team's spreadsheet and page both hold its people, each once, and lead to pages that are there."""
    rows = csv.DictReader(io.StringIO((folder / CSV_NAME).read_bytes().decode("utf-8-sig"), newline=""))
    page = (folder / PAGE_NAME).read_text("utf-8")
    meant = Counter(str(person.rank) for person in listed)
    there = all((folder / path).is_file() for path in re.findall(r'href="(people/[^"]+)"', page))
    return Counter(row["rank"] for row in rows) == meant and page.count(PERSON_ROW) == len(listed) and there


def _refuse_faults(faults: list[str], what: str) -> None:
    if faults:
        message = f"Nothing was published: what was {what} must read back whole, and {', '.join(faults)} did not."
        message += " Check the disk, and publish that day again with replace."
        raise PublishError(message)


def _switch(link: Path, target: Path) -> None:
    """Makes `link` lead to `target` in one step, whatever it led to before."""
    fresh = link.parent / VERSIONS / f"{link.name}.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _point_latest(folder: Path, day: str, keep_mark: bool = False) -> None:
    """Points `latest` at `day` unless it leads to a later one: filling in an old day must not take a team back.

    Where it leads to a marked copy of `day`, it comes back to the day itself, unless `keep_mark`.
    """
    latest = folder / LATEST
    standing = _day_of(latest) if latest.exists() else ""
    if standing < day or (standing == day and not keep_mark and latest.readlink() != Path(day)):
        _switch(latest, Path(day))


def _day_of(link: Path) -> str:
    """The day, as 2026-02-03, of the version a link leads to."""
    return link.resolve().name[:10]


def _sweep(folder: Path) -> None:
    """Removes versions to which no day leads: replaced ones, and what a run that was killed left behind."""
    used = {link.readlink().name for link in folder.iterdir() if link.is_symlink()}
    versions = folder / VERSIONS
    for version in versions.iterdir() if versions.is_dir() else ():
        if version.name not in used:
            shutil.rmtree(version) if version.is_dir() else version.unlink()
