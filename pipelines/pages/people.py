"""Listed people as a team reads them: every cell of the page and the spreadsheet, already in words."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from features.frames import rows_of
from features.windows import HORIZON_DAYS
from models.ranking import in_words
from models.settings import WITHIN
from pipelines.pages import words
from pipelines.pages.stamp import Stamp

SOON = 3
"""Days of which a page says how much of the risk falls within them."""
EVEN = SOON / HORIZON_DAYS
CHANGES = {"new": "New", "rising": "Up", "steady": "Same", "falling": "Down"}


@dataclass(frozen=True)
class Person:
    """One listed person. Text is empty where there is nothing to say; `risk` is a probability and
    `last_seen_by` a key of `words.SEEN_BY`. `person_id` is for whoever works with the page: no page shows it.

    section: one of `models.sections.LISTED`. mornings: the risk on the nine mornings before, the oldest first, NaN
    where on no caseload; empty where they were not worked out. marks: what happened, as kind -> calendar days before
    today. held_by: the teams of a shared list; elsewhere: the last contact, where it was another team's. curve: the
    risk of an admission within 1 .. 9 days; empty where the model tells of none.
    """

    person_id: int
    rank: int
    nhs_number: str
    name: str
    born: str
    age: str
    sex: str
    risk: float
    risk_in_words: str
    band: int
    change: str
    previous_risk: float
    days_on_list: float
    reasons: tuple[str, ...]
    last_seen: str
    last_seen_ago: str
    days_on_caseload: float
    also_with: tuple[str, ...]
    last_seen_by: str
    birth_date: date | None = None
    last_seen_at: datetime | None = None
    section: str = ""
    mornings: tuple[float, ...] = ()
    marks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    moved: str = ""
    in_hands: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    elsewhere: str = ""
    next_planned: str = ""
    curve: tuple[float, ...] = ()

    @property
    def section_words(self) -> str:
        return words.SECTIONS.get(self.section, "")

    @property
    def change_word(self) -> str:
        return CHANGES[self.change]

    @property
    def change_detail(self) -> str:
        """The risk it moved from; empty for someone new, or where it did not move or is not known."""
        moved = self.change in ("rising", "falling") and math.isfinite(self.previous_risk)
        return f"from {in_words(self.previous_risk).removeprefix('about ')}" if moved else ""

    @property
    def when_words(self) -> str:
        """How much of the risk falls soon; empty where that is not known."""
        if not self.curve:
            return ""
        share, even = (words.fraction(of) for of in (self.curve[SOON - 1] / self.curve[-1], EVEN))
        return f"About {share} of this chance falls within three days; spread evenly over the nine, {even} would."

    @property
    def seen_words(self) -> str:
        """How long ago and by what means: yesterday, by telephone."""
        return ", ".join(filter(None, (self.last_seen_ago, words.SEEN_BY.get(self.last_seen_by, ""))))

    @property
    def band_words(self) -> str:
        return f"band {self.band} of 5: {words.BAND_WORDS[self.band - 1]}"


def people(
    ranked: pd.DataFrame, identities: pd.DataFrame, names: Mapping[str, str], stamp: Stamp
) -> tuple[Person, ...]:
    """The listed rows of one team, in order of rank, as `people_by_team` has them."""
    return tuple(person for found in people_by_team(ranked, identities, names, stamp).values() for person in found)


def people_by_team(
    ranked: pd.DataFrame, identities: pd.DataFrame, names: Mapping[str, str], stamp: Stamp
) -> dict[str, tuple[Person, ...]]:
    """The listed rows of each team that has any, by its id, in order of rank. `names` gives each team's name by its id.

    Someone whose name is not held keeps the place, shown by the local number or, where that is not held either, by the
    16 hex digits of the pseudonym, so that a gap in the identities never hides a person.
    """
    found: dict[str, list[Person]] = defaultdict(list)
    listed = ranked[ranked["listed"].astype(bool)].sort_values("rank", kind="stable")
    for row in identified(listed, identities):
        found[row["team_id"]].append(_person(row, names, stamp))
    return {team: tuple(persons) for team, persons in found.items()}


def identified(rows: pd.DataFrame, identities: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows, in their order, with nhs_number, name and born as a page shows them."""
    who = rows.astype({"person_id": "int64"})
    joined = who.merge(identities.astype({"person_id": "int64"}), on="person_id", how="left", validate="many_to_one")
    return [row | _shown(row) for row in rows_of(joined)]


def _shown(row: Mapping[Any, Any]) -> dict[Any, Any]:
    number = words.nhs_number(_text(row["nhs_number"]))
    return {"nhs_number": number, "name": _name(row), "born": _born(row["birth_date"])}


def _person(row: Mapping[Any, Any], names: Mapping[str, str], stamp: Stamp) -> Person:
    risk = float(row["risk"])
    seen, ago = _last_seen(row["last_seen"], stamp)
    return Person(
        person_id=int(row["person_id"]),
        rank=int(row["rank"]),
        nhs_number=row["nhs_number"],
        name=row["name"],
        born=row["born"],
        age=_age(row["age"]),
        sex=_text(row["sex"]),
        risk=risk,
        risk_in_words=in_words(risk),
        band=words.band(risk),
        change=str(row["change"]),
        previous_risk=_number(row["previous_risk"]),
        days_on_list=_number(row["days_on_list"]),
        reasons=tuple(filter(None, (_text(row[f"reason_{n}"]) for n in (1, 2, 3)))),
        last_seen=seen,
        last_seen_ago=ago,
        days_on_caseload=_number(row["days_on_caseload"]),
        also_with=tuple(names.get(team, team) for team in _text(row["also_with"]).split(", ") if team),
        last_seen_by=_text(row["last_seen_by"]) if seen else "",
        birth_date=None if pd.isna(row["birth_date"]) else pd.Timestamp(row["birth_date"]).date(),
        last_seen_at=row["last_seen"] if seen else None,
        curve=tuple(float(row[column]) for column in WITHIN if pd.notna(row.get(column))),
        **_beside(row, names, stamp),
    )


def _beside(row: Mapping[Any, Any], names: Mapping[str, str], stamp: Stamp) -> dict[str, Any]:
    """What `listing.told` adds to a ranking; a ranking made without it has no section."""
    if "section" not in row:
        return {}
    elsewhere, by = row["elsewhere_at"], words.SEEN_BY.get(_text(row["elsewhere_by"]), "")
    ago = "" if pd.isna(elsewhere) else words.days_before(elsewhere, stamp.as_of, stamp.zone)
    return {
        "section": _text(row["section"]),
        "mornings": tuple(_number(row[f"risk_{days}d"]) for days in range(HORIZON_DAYS, 0, -1)),
        "marks": _marks(_text(row["marks"])),
        "moved": _text(row["moved"]),
        "in_hands": tuple(filter(None, _text(row["in_hands"]).split("; "))),
        "held_by": tuple(filter(None, _text(row["held_by"]).split("; "))),
        "elsewhere": ", ".join(filter(None, (_text(row["elsewhere_team"]), ago, by))) if ago else "",
        "next_planned": _ahead(row["next_planned"], stamp),
    }


def _marks(told: str) -> dict[str, tuple[int, ...]]:
    pairs = (one.split(":") for one in told.split())
    return {kind: tuple(int(day) for day in days.split(",")) for kind, days in pairs}


def _ahead(at: Any, stamp: Stamp) -> str:
    """When the next contact is planned: today at 14:05, in 5 days (17-Jan-2026)."""
    if pd.isna(at):
        return ""
    soon, local = words.days_after(at, stamp.as_of, stamp.zone), at.astimezone(ZoneInfo(stamp.zone))
    if soon not in ("today", "tomorrow"):
        return f"{soon} ({words.date(at, stamp.zone)})"
    return soon if (local.hour, local.minute) == (0, 0) else f"{soon} at {local:%H:%M}"


def _text(value: object) -> str:
    """One line of text; empty for null. A line end in a name must not look like a new row."""
    return "" if pd.isna(value) else " ".join(str(value).split())  # type: ignore[call-overload]


def _number(value: Any) -> float:
    return math.nan if pd.isna(value) else float(value)


def _name(row: Mapping[Any, Any]) -> str:
    known = words.full_name(_text(row["family_name"]), _text(row["given_name"]))
    local = _text(row.get("local_id"))
    other = f"local number {local}" if local else f"person {int(row['person_id']) & (2**64 - 1):016x}"
    return known or f"Name not held: {other}"


def _born(value: Any) -> str:
    return "" if pd.isna(value) else words.plain_date(pd.Timestamp(value).date())


def _age(value: Any) -> str:
    return "" if pd.isna(value) else f"{math.floor(value)}"


def _last_seen(value: Any, stamp: Stamp) -> tuple[str, str]:
    """When, and how long before as_of; both empty where this team has no contact to show."""
    if pd.isna(value):
        return "", ""
    return words.event_moment(value, stamp.zone), words.days_before(value, stamp.as_of, stamp.zone)
