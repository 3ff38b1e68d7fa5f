"""How far each feature's distribution on a day is from what it was on the days before it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.drift import AROUND, LEAST_RECENT, RECENT, Floats

TENTHS = 10
HALF = 0.5
"""Added to each bin, so that an empty one is not infinitely far from a full one."""


def moving(frame: pd.DataFrame, names: Sequence[str], day: npt.NDArray[np.int64]) -> list[str]:
    """The features that are not the same for everyone on each day, as a weekday is."""
    days = frame[list(names)].groupby(day)
    return [name for name in names if days[name].nunique(dropna=False).max() > 1]


def instability(frame: pd.DataFrame, names: Sequence[str], day: npt.NDArray[np.int64], days: int, year: int) -> Floats:
    """The population stability index of each feature on each day: days x features, NaN where the past is too short.

    day: each row's place, 0 .. days - 1. A day is held against those just before it and, where they are known, against
    those of the same season a year (so many days) before; the nearer counts.
    """
    found = np.full((days, len(names)), np.nan)
    for place, name in enumerate(names):
        held = binned(frame[name].to_numpy(np.float64), day, days)
        for at in range(days):
            found[at, place] = _of_day(held, at, year)
    return found


def binned(values: Floats, day: npt.NDArray[np.int64], days: int) -> Floats:
    """How many rows of each day lie in each tenth of all values (fewer where values are few), and have none: days x
    bins."""
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.arange(1, TENTHS) / TENTHS)) if len(known) else np.empty(0)
    place = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), len(edges) + 1)
    counts = np.zeros((days, len(edges) + 2))
    np.add.at(counts, (day, place), 1)
    return counts


def _of_day(held: Floats, at: int, year: int) -> float:
    recent = held[max(0, at - RECENT) : at]
    if (recent.sum(axis=1) > 0).sum() < LEAST_RECENT or not held[at].sum():
        return float("nan")
    first = at - year - AROUND
    season = held[first : first + 2 * AROUND + 1].sum(axis=0) if first >= 0 else np.zeros(held.shape[1])
    return min(psi(held[at], before) for before in (recent.sum(axis=0), season) if before.sum())


def psi(counts: Floats, before: Floats) -> float:
    r"""The population stability index of two sets of counts.

    Notes
    -----
    :math:`\sum_i (p_i - q_i) \log(p_i / q_i)` over bins that either has, with half a row added to each.

    Examples
    --------
    >>> psi(np.array([50.0, 50.0]), np.array([5.0, 5.0]))
    0.0
    """
    there = (counts + before) > 0
    now, then = counts[there] + HALF, before[there] + HALF
    now, then = now / now.sum(), then / then.sum()
    return float(((now - then) * np.log(now / then)).sum())
