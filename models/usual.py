"""What is usual, by a thing's own history: the middle of its earlier values, and how far from it a new one may lie."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import median

SCALE = 1.4826
"""Turns a median distance from the median into a standard deviation, where values are normal."""


@dataclass(frozen=True)
class Usual:
    """centre: the median of `count` earlier values. spread: their median distance from it, as a standard deviation."""

    centre: float
    spread: float
    count: int


@dataclass(frozen=True)
class Limits:
    """The lowest and the highest value that are let pass."""

    low: float = -inf
    high: float = inf

    def hold(self, value: float) -> bool:
        """Whether the value lies within; one that is not finite does not."""
        return isfinite(value) and self.low <= value <= self.high


def usual(past: Iterable[float]) -> Usual | None:
    """Of the finite values; None where there are none."""
    values = [float(value) for value in past if isfinite(value)]
    if not values:
        return None
    centre = median(values)
    return Usual(centre, SCALE * median(abs(value - centre) for value in values), len(values))


def around(found: Usual, times: float, floor: float) -> Limits:
    """As far from the centre on both sides as `times` the spread, and `floor` at least."""
    away = max(times * found.spread, floor)
    return Limits(found.centre - away, found.centre + away)


def chance(share: float, among: float, times: float = 4.0) -> float:
    """How far a share (0-1) of `among` things may lie from its usual value by chance: `times` its standard error, with
    half a thing added on either side, so that it is not 0 where the share is."""
    if among <= 0:
        return inf
    kept = (share * among + 0.5) / (among + 1)
    return times * sqrt(kept * (1 - kept) / among)
