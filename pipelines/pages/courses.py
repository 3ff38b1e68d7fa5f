"""What a person's page tells of them: facts in words, each with when it happened and when it became known."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from features.frames import rows_of
from features.windows import HORIZON_DAYS
from pipelines.happenings import (
    ATTENDANCE,
    CONTACT,
    EMERGENCY,
    HELD,
    MARKED,
    PLANNED,
    READING,
    RECORD,
    REFERRAL,
    STAY,
    TIMELINE_DAYS,
    unended,
)
from pipelines.pages import words
from pipelines.pages.stamp import Stamp

WIDTH, TALL = 220.0, 64.0
"""Of a small chart of readings."""
LEAST_SHARE, LEAST_MOVE = 0.05, 0.1
"""Shares and changes of them (logit) below these are not told."""
CONTACTS = {
    "no_access": "No access",
    "patient_cancelled": "Cancelled by the person",
    "provider_cancelled": "Cancelled by the service",
    "late_not_seen": "Came too late to be seen",
    "unknown": "Contact, not recorded whether held",
    PLANNED: "Planned; what became of it is not known yet",
}
LANES = {"Seen": ("seen", "unknown"), "Not seen": ("no_access", "cancelled"), "Hospital": ("attended", "in_hospital")}
"""The rows of the timeline, and what is marked in each."""
LEFT, ACROSS, APART = 88, 3, 30
"""Of the timeline: where it begins, how far it is drawn out, and how far its rows lie apart."""
TICK = ("tick", "M{x} {y}m0 8v18")
RING = ("ring", "M{x} {y}m-4 16a4 4 0 1 0 8 0a4 4 0 1 0 -8 0")
DRAWN = {
    "seen": TICK,
    "no_access": ("stroke", "M{x} {y}m-4 12l8 8m0 -8l-8 8"),
    "attended": ("ink", "M{x} {y}m0 6l5 9h-10z"),
    "in_hospital": ("ink", "M{x} {y}m0 20h8v5h-8z"),
}
"""How a mark is drawn: the class of its path, and the piece of it; any other as `RING`."""

Row = Mapping[Any, Any]


class Fact(NamedTuple):
    """`ended` is when it ended, empty where it is a moment or not known to have ended."""

    kind: str
    what: str
    happened: str
    known: str
    ended: str = ""


@dataclass(frozen=True)
class Pull:
    """What one family of features states, and whether it pulls the risk up more or less than the day before."""

    title: str
    said: str
    said_before: str
    change: str


@dataclass(frozen=True)
class Series:
    """Readings of one kind: a small chart of the last 90 days (a line and dots as SVG writes them, where the last lies,
    and the own usual as a height), and words."""

    title: str
    line: str
    dots: str
    last: tuple[float, float]
    usual: float
    says: str
    least: str
    most: str
    known: str


@dataclass(frozen=True)
class Lane:
    """A row of the timeline: how many marks it has, where it lies, and the paths, by class, that draw them."""

    name: str
    marks: int
    top: int
    paths: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Course:
    days: tuple[tuple[str, tuple[Fact, ...]], ...]
    pulls: tuple[Pull, ...]
    series: tuple[Series, ...]
    hospital: tuple[Fact, ...]
    referrals: tuple[Fact, ...]
    contacts: tuple[Fact, ...]
    lanes: tuple[Lane, ...]


def courses(happened: pd.DataFrame, pulled: pd.DataFrame, stamp: Stamp) -> dict[int, Course]:
    """By person_id. happened (with `team`, its name) and pulled: as `pipelines.beside.Beside` has them."""
    facts, pulls = _by_person(happened), _by_person(pulled)
    return {person: _course(facts.get(person, []), rows, stamp) for person, rows in pulls.items()}


def _by_person(frame: pd.DataFrame) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows_of(frame):
        found[int(row["person_id"])].append(row)
    return found


def _course(rows: Sequence[Row], pulls: Sequence[Row], stamp: Stamp) -> Course:
    told = _told((row for row in reversed(rows) if row["kind"] != READING), stamp)
    past = [(row, fact) for row, fact in told if row["happened_at"] < stamp.as_of]
    return Course(
        days=_days(past, stamp),
        pulls=_pulls(pulls),
        series=_series([row for row in rows if row["kind"] == READING], stamp),
        hospital=tuple(fact for _, fact in past if fact.kind in (STAY, ATTENDANCE)),
        referrals=tuple(fact for _, fact in past if fact.kind == REFERRAL),
        contacts=tuple(fact for _, fact in told if fact.kind in (CONTACT, RECORD)),
        lanes=_lanes(rows, stamp),
    )


def _told(rows: Iterable[Row], stamp: Stamp) -> list[tuple[Row, Fact]]:
    """Each row with its fact; rows that say the same make one, with their number."""
    alike: dict[Fact, list[Row]] = defaultdict(list)
    for row in rows:
        alike[_fact(row, stamp)].append(row)
    return [
        (found[0], fact if len(found) == 1 else fact._replace(what=f"{fact.what} ({len(found)})"))
        for fact, found in alike.items()
    ]


def _fact(row: Row, stamp: Stamp) -> Fact:
    ended = "" if unended(row) else words.event_moment(row["ended_at"], stamp.zone)
    happened, known = (words.event_moment(row[key], stamp.zone) for key in ("happened_at", "known_from"))
    return Fact(row["kind"], _what(row, stamp), happened, known, ended)


def _what(row: Row, stamp: Stamp) -> str:
    team = _text(row["team"])
    if row["kind"] == CONTACT:
        return _contact(row, team, stamp)
    if row["kind"] == STAY:
        return "Emergency admission" if row["what"] == EMERGENCY else "Planned admission"
    if row["kind"] == ATTENDANCE:
        return "Attended the emergency department" + (", and was admitted" if row["what"] else "")
    if row["kind"] == REFERRAL:
        return f"Referred to {team}" if team else "Referred, no team named"
    return words.label(row["what"])


def _contact(row: Row, team: str, stamp: Stamp) -> str:
    if row["what"] == PLANNED and row["happened_at"] >= stamp.as_of:
        said = "Planned"
    elif row["what"] == HELD:
        said = f"Seen {words.SEEN_BY[row['medium']]}" if row["medium"] in words.SEEN_BY else "Seen"
    else:
        said = CONTACTS.get(row["what"], words.label(row["what"]))
    return f"{said} ({team})" if team else said


def _days(past: Iterable[tuple[Row, Fact]], stamp: Stamp) -> tuple[tuple[str, tuple[Fact, ...]], ...]:
    """Each of the last ten calendar days, today first, with what began on it."""
    there = ZoneInfo(stamp.zone)
    today = stamp.as_of.astimezone(there).date()
    of: dict[Any, list[Fact]] = defaultdict(list)
    for row, fact in past:
        of[row["happened_at"].astimezone(there).date()].append(fact)
    days = [today - timedelta(days=back) for back in range(HORIZON_DAYS + 1)]
    return tuple((f"{words.WEEKDAYS[day.weekday()]} {words.plain_date(day)}", tuple(of.get(day, ()))) for day in days)


def _pulls(rows: Sequence[Row]) -> tuple[Pull, ...]:
    """The families that have something to state and matter today or moved, those that pull up most first."""
    shown = [
        row
        for row in rows
        if (row["said"] or _text(row["said_before"]))
        and (abs(row["share"]) >= LEAST_SHARE or abs(row["share"] - row["share_before"]) >= LEAST_MOVE)
    ]
    ordered = sorted(shown, key=lambda row: -row["share"])
    return tuple(Pull(row["title"], row["said"], _text(row["said_before"]), _change(row)) for row in ordered)


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _change(row: Row) -> str:
    moved = row["share"] - row["share_before"]
    now = "Raises" if row["share"] >= LEAST_SHARE else "Lowers" if row["share"] <= -LEAST_SHARE else "Hardly counts"
    if math.isnan(moved) or abs(moved) < LEAST_MOVE:
        return now if math.isnan(moved) else f"{now}, as the day before"
    return f"{now}, {'up' if moved > 0 else 'down'} since the day before"


def _series(rows: Sequence[Row], stamp: Stamp) -> tuple[Series, ...]:
    """Of each kind read in the last 90 days, in the catalogue's order."""
    since = stamp.as_of - timedelta(days=TIMELINE_DAYS)
    of: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        of[row["place"], row["what"]].append(row)
    kinds = [(title, found) for (_, title), found in sorted(of.items()) if found[-1]["happened_at"] >= since]
    return tuple(_one_series(title, found, since, stamp) for title, found in kinds)


def _one_series(title: str, rows: Sequence[Row], since: datetime, stamp: Stamp) -> Series:
    usual = sum(row["value"] for row in rows) / len(rows)
    recent = [row for row in rows if row["happened_at"] >= since]
    values = [row["value"] for row in recent]
    low, high = min(*values, usual), max(*values, usual)
    points = [(_across(row["happened_at"], stamp), _up(row["value"], low, high)) for row in recent]
    line = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f"M{x} {y}h0" for x, y in points[:-1])
    last = recent[-1]
    says = f"{_number(last['value'])} on {words.event_moment(last['happened_at'], stamp.zone)}; "
    says += f"own usual {_number(usual)} (mean of {words.count(len(rows), 'reading')} in 180 days)"
    known = words.event_moment(last["known_from"], stamp.zone)
    heights = (_up(usual, low, high), says, _number(low), _number(high))
    return Series(words.label(title), line, dots, points[-1], *heights, known)


def _across(at: datetime, stamp: Stamp) -> float:
    """Where a moment of the last 90 days lies on a chart."""
    days = (stamp.as_of - at).total_seconds() / 86_400
    return round(WIDTH * (1 - days / TIMELINE_DAYS), 1)


def _up(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(TALL - 6 - share * (TALL - 12), 1)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def _lanes(rows: Sequence[Row], stamp: Stamp) -> tuple[Lane, ...]:
    """The 90-day timeline."""
    since = stamp.as_of - timedelta(days=TIMELINE_DAYS)
    marked: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for kind, at in _marked(row, stamp):
            if since <= at < stamp.as_of:
                marked[kind].append(_across(at, stamp))
    return tuple(_lane(name, place * APART, {k: marked[k] for k in LANES[name]}) for place, name in enumerate(LANES))


def _lane(name: str, top: int, marked: Mapping[str, Sequence[float]]) -> Lane:
    paths = []
    for kind, found in marked.items():
        drawn, piece = DRAWN.get(kind, RING)
        pieces = [piece.format(x=round(LEFT + ACROSS * across, 1), y=top) for across in found]
        paths += [(drawn, "".join(pieces))] if found else []
    return Lane(name, sum(map(len, marked.values())), top, tuple(paths))


def _marked(row: Row, stamp: Stamp) -> list[tuple[str, datetime]]:
    at = row["happened_at"]
    if row["kind"] == CONTACT and row["what"] != PLANNED:
        return [(MARKED.get(row["what"], "unknown"), at)]
    if row["kind"] == ATTENDANCE:
        return [("attended", at)]
    if row["kind"] == STAY:
        ended: datetime = stamp.as_of if unended(row) else row["ended_at"]
        days = max(1, math.ceil((ended - at).total_seconds() / 86_400))
        return [("in_hospital", at + timedelta(days=day)) for day in range(days)]
    return []
