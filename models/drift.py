"""Whether what came in is like what used to come in: each period held against the service's own earlier ones.

A period is news where it is unlike both the periods just before it and those of the same season a year earlier. How
unlike is unusual is read from the service's own history: a limit for the greatest deviation of any figure in a period,
so that looking at many figures raises no more false alarms than looking at one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.frames import micros

Floats = npt.NDArray[np.float64]

RECENT, AROUND = 13, 1
"""Periods before one that it is held against; periods on either side of the same one a year before."""
LEAST_RECENT, LEAST_PAST = 6, 20
"""Periods that must have a figure before the next is judged; earlier deviations that a limit rests on."""
NORMAL = 1.4826
"""Median absolute deviation to standard deviation."""
DRAWS, SEED = 200, 0
QUARTILES = (0.25, 0.5, 0.75)
SPREAD, SHIFT = 1.5725, 0.3665
"""Of a Gumbel distribution: quartiles apart, and the median above the mode, in units of its scale."""


@dataclass(frozen=True)
class Judged:
    """Periods by figures. deviation: in usual deviations, signed; NaN where a period cannot be judged. usual: what was
    expected. limit: by period, for the greatest of its deviations; infinite where the past is too short."""

    deviation: Floats
    usual: Floats
    limit: Floats

    @property
    def alarms(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(np.nan_to_num(self.deviation)) > self.limit[:, None])


def judged(values: Floats, noise: Floats, year: int, rate: float, upward: bool = False) -> Judged:
    """Each period of `values` (periods x figures, in order, NaN where there is none) against those before it.

    noise: the standard deviation that counting alone gives each value. year: periods in one. rate: the share of periods
    in which any figure may raise a false alarm. upward: only rises count.
    """
    deviation, usual = deviations(values, noise, year)
    deviation = np.maximum(deviation, 0) if upward else deviation
    sized, limit = np.abs(deviation), np.full(len(values), np.inf)
    greatest = np.full(len(values), np.nan)
    for period in np.flatnonzero(np.isfinite(sized).any(axis=1)):
        limit[period] = limit_after(greatest[:period], rate)
        usually = sized[period] <= limit[period]
        greatest[period] = sized[period][usually].max() if usually.any() else np.nan
    return Judged(deviation, usual, limit)


def deviations(values: Floats, noise: Floats, year: int) -> tuple[Floats, Floats]:
    """Deviations and what was usual, as in `Judged`. How much a figure usually moves is the median of its own earlier
    moves, and never less than counting alone gives."""
    usual, gap = np.full_like(values, np.nan), np.full_like(values, np.nan)
    for period in range(1, len(values)):
        usual[period] = _median(values[max(0, period - RECENT) : period], LEAST_RECENT)
    moved = np.abs(values - usual)
    for period in range(1, len(values)):
        counting = np.fmax(noise[period], _median(noise[max(0, period - RECENT) : period], 1))
        own = np.fmax(NORMAL * _median(moved[:period], LEAST_RECENT), counting)
        nearest = np.fmin(moved[period], _season(values, period, year))
        gap[period] = np.sign(values[period] - usual[period]) * nearest / own
    return gap, usual


def _season(values: Floats, period: int, year: int) -> Floats:
    """How far the period is from the nearest of the same season a year before; NaN where that is not known."""
    first = period - year - AROUND
    if first < 0:
        return np.full(values.shape[1], np.nan)
    apart: Floats = np.abs(values[first : first + 2 * AROUND + 1] - values[period])
    return np.asarray(np.fmin.reduce(apart, axis=0))


def _median(rows: Floats, least: int) -> Floats:
    """The median of each column; NaN where fewer than `least` are there."""
    there = np.isfinite(rows).sum(axis=0)
    found = np.full(rows.shape[1], np.nan)
    enough = there >= least
    if enough.any():
        found[enough] = np.nanmedian(rows[:, enough], axis=0)
    return found


def limit_after(greatest: Floats, rate: float) -> float:
    """What the next period's greatest deviation passes with the chance `rate`, judging by those of earlier periods.

    greatest: without what was an alarm. A Gumbel distribution by quartiles, which odd periods hardly move, averaged
    over bootstrap samples of the periods, so that a short past makes a wide limit. Infinite with too few of them.
    """
    past = greatest[np.isfinite(greatest)]
    if len(past) < LEAST_PAST:
        return float("inf")
    drawn = past[np.random.default_rng(SEED).integers(len(past), size=(DRAWS, len(past)))]
    low, middle, high = np.quantile(drawn, QUARTILES, axis=1)
    scale = np.maximum((high - low) / SPREAD, 1e-6)
    mode = middle - SHIFT * scale
    below, above = float(mode.min()), float((mode - scale * np.log(-np.log1p(-rate / 10))).max())
    for _ in range(60):
        tried = (below + above) / 2
        passed = float(np.mean(-np.expm1(-np.exp(-(tried - mode) / scale))))
        below, above = (tried, above) if passed > rate else (below, tried)
    return above


def angles(part: Floats, whole: Floats) -> tuple[Floats, Floats]:
    """Shares on a scale on which counting moves small and large ones alike, and by how much it does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, np.clip(part / whole, 0, 1), np.nan)
        noise = np.where(whole > 0, 0.5 / np.sqrt(whole), np.nan)
    return np.arcsin(np.sqrt(share)), np.broadcast_to(noise, share.shape)


def logs(counts: Floats) -> tuple[Floats, Floats]:
    """Counts as logarithms, and by how much counting moves them."""
    return np.log(counts + 1), 1 / np.sqrt(counts + 1)


def places(moments: pd.Series, edges: Sequence[datetime]) -> npt.NDArray[np.int64]:
    """In which period each moment lies: 0 after the first edge, up to and with the second, and so on; -1 for none."""
    at = micros(pd.Series(edges, dtype="datetime64[us, UTC]"))
    found = np.searchsorted(at, micros(moments), side="left") - 1
    return np.where(found < len(edges) - 1, found, -1)


def spans(alarms: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Runs of alarms, up to one quiet period bridged: figure (its column), first, last (periods)."""
    found = []
    for figure in np.flatnonzero(alarms.any(axis=0)):
        periods = np.flatnonzero(alarms[:, figure])
        runs = np.split(periods, np.flatnonzero(np.diff(periods) > 2) + 1)
        found += [(int(figure), int(run[0]), int(run[-1])) for run in runs]
    return pd.DataFrame(np.array(found, np.int64).reshape(-1, 3), columns=["figure", "first", "last"])
