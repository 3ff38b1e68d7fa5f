"""What came of one gate for one subject, in figures and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from models.usual import Limits, around, usual
from pipelines.gates.config import GateRule

PASSED, FAILED, UNKNOWN, FEW = "passed", "failed", "not enough history", "too few rows"
STATES = (PASSED, FAILED, UNKNOWN, FEW)
LATE, GAP, AGE, TEAM = "late feed", "feed gap", "feed age", "team feed"
ROWS, REJECTS, NULLS, CODES = "rows", "rejects", "nulls", "codes"
RISK, OVERLAP, CONTRACT, BUNDLE = "risk", "overlap", "contract", "bundle"
WORDS = {
    AGE: "The feed {subject} is {value} old, and at such a cut it is usually {usual} (at most {high}).",
    TEAM: "Nothing has been recorded for team {subject} for {value} longer than for the service; at such a cut {usual} "
    "is usual, and {high} the limit.",
    ROWS: "{subject} brought {value}; {usual} are usual on such a day (from {low} to {high}).",
    REJECTS: "{value} of the rows of {subject} were rejected; {usual} is usual, and {high} the limit.",
    NULLS: "{subject} is empty in {value} of the rows; {usual} is usual, and {high} the limit.",
    CODES: "{value} of the rows of {subject} carry a code that was never met before or is not understood; {usual} is "
    "usual, and {high} the limit.",
    RISK: "The {subject} of everyone on a caseload is {value}; {usual} is usual ({low} to {high}).",
    OVERLAP: "Of {subject}, {value} are on today's too; {usual} is usual, and {low} the least.",
}
UNITS = {AGE: "hours", TEAM: "hours", ROWS: "rows", RISK: "risk"}
"""Of other gates the values are shares (0-1)."""


@dataclass(frozen=True)
class Outcome:
    """state: one of `STATES`. usual, low and high: of the history and the limits; None where there are none. says: the
    finding as a sentence, where it failed."""

    gate: str
    subject: str
    level: str
    state: str
    value: float | None = None
    usual: float | None = None
    low: float | None = None
    high: float | None = None
    says: str = ""

    @property
    def failed(self) -> bool:
        return self.state == FAILED

    @property
    def blocks(self) -> bool:
        """Whether nothing may be published; a team that is held back stops nobody else."""
        return self.failed and self.level == "block" and self.gate != TEAM

    @property
    def nearness(self) -> float:
        """How far the value lies from the usual one on the way to its limit: 1 at the limit."""
        if self.value is None or self.usual is None:
            return 0.0
        bound = self.high if self.value >= self.usual else self.low
        if bound is None:
            return 0.0
        away = abs(self.value - self.usual)
        return away / abs(bound - self.usual) if bound != self.usual else (inf if away else 0.0)

    @property
    def line(self) -> str:
        """What is known of it, in short."""
        if self.says:
            return self.says
        if self.value is None:
            return self.state
        ends = [f"{word} {_told(self.gate, end)}" for word, end in (("from", self.low), ("to", self.high)) if end]
        known = f", usually {_told(self.gate, self.usual)}" if self.usual is not None else ""
        told = f"{_told(self.gate, self.value)}{known}" + (f", may be {' '.join(ends)}" if ends else "")
        return told if self.state == PASSED else f"{told}; {self.state}"


def judged(
    gate: str,
    subject: str,
    rule: GateRule,
    value: float,
    past: Sequence[float],
    least: int,
    *,
    floor: float | None = None,
    sides: tuple[bool, bool] = (True, True),
) -> Outcome:
    """A value held against earlier ones. floor: in place of the rule's; sides: whether the low and the high limit
    count."""
    found = usual(past)
    if found is None or found.count < least:
        return Outcome(gate, subject, rule.level, UNKNOWN, value)
    limits = around(found, rule.times, rule.floor if floor is None else floor)
    limits = Limits(limits.low if sides[0] else -inf, limits.high if sides[1] else inf)
    return held(gate, subject, rule, value, found.centre, limits)


def held(gate: str, subject: str, rule: GateRule, value: float, centre: float, limits: Limits) -> Outcome:
    """A value held against limits."""
    low, high = (end if isfinite(end) else None for end in (limits.low, limits.high))
    told = {"value": value, "usual": centre, "low": low, "high": high}
    passed = limits.hold(value)
    figures = {name: _told(gate, figure) for name, figure in told.items()}
    says = "" if passed else WORDS[gate].format(subject=subject, **figures)
    return Outcome(gate, subject, rule.level, PASSED if passed else FAILED, **told, says=says)


def of_plain(told: Iterable[Mapping[str, Any]]) -> tuple[Outcome, ...]:
    """Outcomes as a record of a run holds them."""
    return tuple(Outcome(**one) for one in told)


def _told(gate: str, figure: float | None) -> str:
    if figure is None or not isfinite(figure):
        return "none"
    unit = UNITS.get(gate)
    if unit in ("hours", "rows"):
        return f"{max(figure, 0):,.0f} {unit}"
    return f"{figure:.4f}" if unit == "risk" else f"{max(figure, 0):.0%}"
