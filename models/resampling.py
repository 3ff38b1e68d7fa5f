"""Intervals that know that a person's rows are nearly copies of each other: a Poisson bootstrap over people.

An interval over rows would be two to three times too narrow, so there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Weighted = Callable[[Floats | None], float]
"""A metric of fixed rows, as a function of their weights; None weighs every row 1."""


@dataclass(frozen=True)
class Interval:
    """A percentile interval; NaN where too few resamples had a value."""

    low: float
    high: float


def clustered_draws(
    metric: Callable[[Floats | None], npt.ArrayLike], person_ids: npt.ArrayLike, draws: int = 200, seed: int = 0
) -> Floats:
    """The metric (a number, or several) under `draws` Poisson(1) weights per person, a row for each draw.

    This is a bootstrap in which a person's rows go together.

    The same people, draws and seed give the same weights, so two metrics' draws can be compared pair by pair.
    """
    people, codes = np.unique(np.asarray(person_ids), return_inverse=True)
    generator = np.random.default_rng(seed)
    weights = (generator.poisson(1.0, len(people)).astype(np.float64) for _ in range(draws))
    return np.array([metric(weight[codes]) for weight in weights], dtype=np.float64)


def percentile_interval(values: Floats, level: float = 0.95) -> Interval:
    """The middle `level` of the finite values."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def clustered_interval(
    metric: Weighted, person_ids: npt.ArrayLike, draws: int = 200, seed: int = 0, level: float = 0.95
) -> Interval:
    """The percentile interval of `clustered_draws`.

    Examples
    --------
    >>> interval = clustered_interval(lambda weights: 0.5, [1, 1, 2], draws=10)
    >>> interval.low, interval.high
    (0.5, 0.5)
    """
    return percentile_interval(clustered_draws(metric, person_ids, draws, seed), level)


def clustered_sums(values: Floats, person_ids: npt.ArrayLike, draws: int = 200, seed: int = 0) -> Floats:
    """The sums of the columns of `values` (rows x columns) under each draw's weights: draws x columns.

    The weights are those of `clustered_draws`. What is a ratio of sums is resampled at the cost of one product.
    """
    people, codes = np.unique(np.asarray(person_ids), return_inverse=True)
    own = np.zeros((len(people), values.shape[1]))
    np.add.at(own, codes, values)
    generator = np.random.default_rng(seed)
    return np.array([generator.poisson(1.0, len(people)).astype(np.float64) @ own for _ in range(draws)]).reshape(
        draws, values.shape[1]
    )


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    draws: int = 200
    seed: int = 0

    def draw(self, measured: Callable[[Floats | None], npt.ArrayLike], people: npt.ArrayLike) -> Floats:
        return clustered_draws(measured, people, self.draws, self.seed)

    def sums(self, values: Floats, people: npt.ArrayLike) -> Floats:
        return clustered_sums(values, people, self.draws, self.seed)

    def ratio(self, top: npt.ArrayLike, bottom: npt.ArrayLike, people: npt.ArrayLike) -> tuple[float, float, float]:
        """The sum of `top` over the sum of `bottom`, and its interval."""
        parts = np.column_stack([np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)])
        value, interval = divided(*parts.sum(axis=0)), percentile_interval(divided(*self.sums(parts, people).T))
        return float(value), interval.low, interval.high

    def rate(self, hits: npt.ArrayLike, people: npt.ArrayLike) -> tuple[float, float, float]:
        """The mean of `hits` and its interval."""
        hit = np.asarray(hits, dtype=np.float64)
        return self.ratio(hit, np.ones_like(hit), people)


def divided(top: npt.ArrayLike, bottom: npt.ArrayLike) -> Floats:
    """top / bottom; NaN where the bottom is 0."""
    over, under = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    out = np.full(np.broadcast(over, under).shape, np.nan)
    return np.asarray(np.divide(over, under, out=out, where=under > 0))
