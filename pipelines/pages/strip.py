"""The -9 strip: the risk on the nine mornings before and today, with what happened on each day marked beneath."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from features.windows import HORIZON_DAYS
from models.ranking import in_words
from pipelines.pages import words
from pipelines.pages.people import Person

COLUMN, HEIGHT = 20.0, 34.0
LEAST, MOST = 0.004, 0.5
"""The risks at which a bar is shortest and tallest. Between them equal steps are equal factors, on every strip."""
MARKS = {
    "seen": "Seen",
    "unknown": "Contact, not recorded whether held",
    "no_access": "No access",
    "cancelled": "Cancelled",
    "attended": "Emergency department",
    "admitted": "Admitted as an emergency",
    "planned_stay": "Planned admission",
    "in_hospital": "In hospital",
}
"""What may be marked, and how it is said."""


@dataclass(frozen=True)
class Bar:
    """One day of a strip. height: of the bar, 0 where the person was on no caseload."""

    days_ago: int
    x: float
    height: float
    marks: tuple[str, ...]

    @property
    def middle(self) -> float:
        return self.x + COLUMN / 2


def bars(person: Person) -> tuple[Bar, ...]:
    """Ten days, the oldest first, today last; none where the mornings before were not worked out."""
    if not person.mornings:
        return ()
    risks = (*person.mornings, person.risk)
    return tuple(
        Bar(HORIZON_DAYS - place, place * COLUMN, _height(risk), _on(person, HORIZON_DAYS - place))
        for place, risk in enumerate(risks)
    )


def strip_words(person: Person) -> str:
    """All that the strip shows, as text."""
    if not person.mornings:
        return ""
    known = [(days, risk) for days, risk in zip(range(HORIZON_DAYS, 0, -1), person.mornings, strict=True) if risk >= 0]
    risks = [f"{words.ago(days)} {_short(risk)}" for days, risk in known]
    if not known:
        risks = ["on no caseload on the nine mornings before"]
    told = [f"Risk: {', '.join(risks)}, today {_short(person.risk)}"]
    told += [f"{said} {_days(person.marks[kind])}" for kind, said in MARKS.items() if kind in person.marks]
    return ". ".join(told) + "."


def mornings(person: Person) -> list[str]:
    """The risk of today and of each morning before it, in words, today first."""
    before = [in_words(risk) if math.isfinite(risk) else "on no caseload" for risk in reversed(person.mornings)]
    told = [person.risk_in_words, *(before or ["not worked out"] * HORIZON_DAYS)]
    return [words.label(said) for said in told]


def _short(risk: float) -> str:
    return in_words(risk).removeprefix("about ")


def _days(days: Iterable[int]) -> str:
    """9, 6 and 2 days ago and yesterday."""
    given = sorted(days, reverse=True)
    far = [f"{day}" for day in given if day > 1]
    near = [words.ago(day) for day in given if day <= 1]
    return words.listed([*([f"{words.listed(far)} days ago"] if far else []), *near])


def _on(person: Person, days_ago: int) -> tuple[str, ...]:
    return tuple(kind for kind in MARKS if days_ago in person.marks.get(kind, ()))


def _height(risk: float) -> float:
    if not math.isfinite(risk):
        return 0.0
    share = math.log(max(risk, LEAST) / LEAST) / math.log(MOST / LEAST)
    return round(max(2.0, HEIGHT * min(share, 1.0)), 1)
