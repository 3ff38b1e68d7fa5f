"""The lists that stand, as the board shows them: the published ranking of a day, with identities for one team only."""

import csv
import io
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import pandas as pd

from features.errors import StorageError
from pipelines import runs
from pipelines.folders import CSV_NAME
from pipelines.identities import Identities
from pipelines.pages import Other, Person, Stamp, Team, ToldBeside, page_path, people, told_beside, words
from pipelines.publish import LATEST, MANIFEST
from pipelines.runs import Run
from pipelines.workspace import Workspace

V = TypeVar("V")
LEFT = "leaving"
"""The table that tells of who left each list."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FILES = {
    "list.fhir.json": "application/fhir+json",
    "list.csv": "text/csv; charset=utf-8",
    "list.pdf": "application/pdf",
    "list.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""What a team may have of its list beside the page, where it was published."""


class Kept(Generic[V]):
    """What was made last, by key, up to `most`; one at a time is made, so that a rush makes each once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: OrderedDict[Hashable, V] = OrderedDict()
        self.lock, self.making = Lock(), Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        if (found := self._find(key)) is not None:
            return found
        with self.making:
            if (found := self._find(key)) is not None:
                return found
            made = make()
            with self.lock:
                self.kept[key] = made
                while len(self.kept) > self.most:
                    self.kept.popitem(last=False)
            return made

    def _find(self, key: Hashable) -> V | None:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
            return self.kept.get(key)


@dataclass(frozen=True)
class Standing:
    """The lists that stand for a day. mark: another one whenever they, or what is said of them, have changed; notes:
    what has to be read before them; teams: by folder name, as in addresses.

    By folder name too: team_notes, what only one team's page says; withheld, of a team whose list was held back alone,
    `note`, and `list_of`, the day of the list that stands in its place (None where none does).
    """

    day: str
    mark: tuple[str, ...]
    run: Run
    folder: Path
    stamp: Stamp
    notes: tuple[str, ...]
    teams: Mapping[str, Team]
    newest: bool
    team_notes: Mapping[str, tuple[str, ...]]
    withheld: Mapping[str, Mapping[str, Any]]

    @property
    def date(self) -> date:
        return date.fromisoformat(self.day)

    def published_notes(self, team: Team) -> tuple[str, ...]:
        """What the published page of a team said before its list."""
        return (*self.stamp.notes, *self.team_notes.get(team.slug, ()))

    def notes_at(self, now: datetime, newest: "Standing", team: Team | None = None) -> tuple[str, ...]:
        """What has to be read before a team's list, or all of them, at a moment: that it is an earlier one, out of
        date, or the last good one of a team whose list was held back since; then what it says itself."""
        own = (*self.notes, *(self.team_notes.get(team.slug, ()) if team else ()))
        in_place = newest.withheld.get(team.slug) if team else None
        late = f"This list is out of date since {newest.stamp.valid_words}: do not use it, and ask for the new one."
        since = (late,) if newest.stale(now) else ()
        if in_place is not None and in_place["list_of"] == self.day:
            return (*since, str(in_place["note"]), *own)
        if not self.newest:
            return (f"This is an earlier list. The newest is the one for {newest.said}: use that one.", *own)
        return (*since, *own)

    @property
    def said(self) -> str:
        return words.plain_date(self.date)

    def stale(self, now: datetime) -> bool:
        return now >= self.stamp.valid_until


@dataclass(frozen=True)
class Shown:
    """One team's list of a day, people in the order of their ranks, and what is told beside it."""

    standing: Standing
    team: Team
    people: tuple[Person, ...]
    told: ToldBeside

    @property
    def others(self) -> tuple[Other, ...]:
        """Who is told of on the page without being listed."""
        return self.told.others.get(self.team.team_id, ())

    @property
    def pages(self) -> dict[int, str]:
        """By person_id, where the page of each person who has one lies beside the list."""
        known = (person for person in self.people if person.person_id in self.told.people)
        return {person.person_id: page_path(person, self.team, self.standing.stamp) for person in known}


class Lists:
    """The lists of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.lists
        self.identities = Identities(workspace.identity)
        self.days_kept: Kept[Standing] = Kept(32)
        self.rankings: Kept[pd.DataFrame] = Kept(2)
        self.beside: Kept[dict[str, pd.DataFrame]] = Kept(2)
        self.shown_kept: Kept[Shown] = Kept(256)

    def newest(self) -> str:
        """The newest day that has lists; empty where there are none."""
        return (_led_to(self.folder / LATEST) or "").rpartition("/")[2][:10]

    def days(self, most: int) -> list[str]:
        """The days that have lists, the newest first."""
        newest = self.newest()
        there = (path.parent.name for path in self.folder.glob(f"[0-9]*/{MANIFEST}"))
        return sorted((day for day in there if day <= newest), reverse=True)[:most]

    def standing(self, day: str) -> Standing | None:
        """The lists of a day; None where none stand, or their record is lost."""
        version, latest = _led_to(self.folder / day) if DAY.fullmatch(day) else None, _led_to(self.folder / LATEST)
        if version is None or latest is None:
            return None
        newest = self.newest() == day
        mark = (day, version, latest if newest else "")
        try:
            return self.days_kept.get(mark, lambda: self._opened(day, mark, newest))
        except (OSError, ValueError):
            return None

    def _opened(self, day: str, mark: tuple[str, ...], newest: bool) -> Standing:
        folder = (self.folder / day).resolve()
        run = runs.standing(self.workspace, day)
        if run is None:
            raise FileNotFoundError
        told = runs.read_json(folder / MANIFEST)
        held = runs.read_json(self.folder / LATEST / MANIFEST).get("held", {}) if newest else {}
        stamp = stamp_of(told["stamp"])
        notes = (*stamp.notes, *(note for _, note in sorted(held.items())))
        teams = {entry["folder"]: _made(Team, entry) for entry in told["teams"]}
        own = {slug: tuple(notes) for slug, notes in told.get("team_notes", {}).items()}
        return Standing(day, mark, run, folder, stamp, notes, teams, newest, own, told.get("withheld", {}))

    def shown(self, standing: Standing, team: Team) -> Shown:
        """A team's list, with who its people are."""
        return self.shown_kept.get((standing.mark, team.team_id), lambda: self._joined(standing, team))

    def _joined(self, standing: Standing, team: Team) -> Shown:
        ranked = self.rankings.get((standing.day, standing.run.version), standing.run.ranked)
        mine = ranked[(ranked["team_id"] == team.team_id) & ranked["listed"].astype(bool)]
        mine = mine[mine["rank"].astype(str).isin(self._published_ranks(standing, team))]
        names = {other.team_id: other.name for other in standing.teams.values()}
        listed = people(mine, self.identities.of(mine["person_id"]), names, standing.stamp)
        return Shown(standing, team, listed, self._told(standing, team, ranked, mine))

    def _told(self, standing: Standing, team: Team, ranked: pd.DataFrame, listed: pd.DataFrame) -> ToldBeside:
        """What was published beside one team's list."""
        ranked = ranked[ranked["team_id"] == team.team_id]
        beside = self.beside.get((standing.day, standing.run.version), standing.run.beside)
        mine = {name: frame[frame["person_id"].isin(listed["person_id"])] for name, frame in beside.items()}
        if LEFT in beside:
            mine[LEFT] = beside[LEFT][beside[LEFT]["team_id"] == team.team_id]
        about = pd.concat([ranked["person_id"], *(frame["person_id"] for frame in mine.values())]).drop_duplicates()
        return told_beside(ranked, mine, self.identities.of(about), standing.stamp)

    def _published_ranks(self, standing: Standing, team: Team) -> set[str]:
        """The ranks on the team's published list: the board never shows anybody who is not on it."""
        content = self.file(standing, team, CSV_NAME)
        if content is None:
            message = (
                f"The lists for {standing.day} must be whole; a team's {CSV_NAME} is not there. Publish the day again."
            )
            raise StorageError(message)
        return {row["rank"] for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))}

    def file(self, standing: Standing, team: Team, name: str) -> bytes | None:
        """A published file of a team's list, one of `FILES`; None where it was not published."""
        path = standing.folder / team.slug / name
        return path.read_bytes() if name in FILES and path.is_file() else None


def _led_to(link: Path) -> str | None:
    """What a link says it leads to; None where there is no such link."""
    try:
        return str(link.readlink())
    except OSError:
        return None


def stamp_of(told: Mapping[str, Any]) -> Stamp:
    """The stamp that a manifest tells of."""
    ages = ((name, math.nan if hours is None else hours) for name, hours in told["feed_ages"].items())
    moments = {name: datetime.fromisoformat(told[name]) for name in ("as_of", "data_as_of")}
    stamp: Stamp = _made(
        Stamp, {**told, **moments, "feed_ages": (), "good_until": time.fromisoformat(told["good_until"])}
    )
    return replace(stamp, feed_ages=tuple(ages))


def _made(kind: type[Any], told: Mapping[str, Any]) -> Any:
    """A dataclass from what JSON holds of it."""
    return kind(**{field.name: _frozen(told[field.name]) for field in fields(kind) if field.name in told})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(inside) for inside in value) if isinstance(value, list) else value
