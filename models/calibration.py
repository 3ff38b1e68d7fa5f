"""Logistic recalibration: two numbers, an intercept and a slope, that turn a score into a probability."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float64]

MODERATION = 1.0
STEPS = 50
CLOSE = 1e-9
RIDGE = 1e-12
"""Keeps the curvature invertible where all scores are equal."""


@dataclass(frozen=True)
class Calibration:
    """risk = 1 / (1 + exp(-(intercept + slope * score))), with the block that it was fitted on."""

    intercept: float = 0.0
    slope: float = 1.0
    fitted_from: str = ""
    fitted_to: str = ""
    rows: int = 0
    positives: int = 0

    def line(self, scores: npt.ArrayLike) -> Floats:
        """intercept + slope * score, in the order of `scores`."""
        return np.asarray(self.intercept + self.slope * np.asarray(scores, dtype=np.float64))

    def risk(self, scores: npt.ArrayLike) -> Floats:
        """Probabilities (0-1) in the order of `scores` (logits)."""
        return np.asarray(expit(self.line(scores)))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_calibration(
    scores: npt.ArrayLike, labels: npt.ArrayLike, fitted_from: str = "", fitted_to: str = ""
) -> Calibration:
    r"""The maximum likelihood intercept and slope of the labels on the scores.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Logits. labels : array-like of shape (n,), 0 or 1, with at least one of each.
    fitted_from, fitted_to : str
        First and last `as_of` of the block, kept as lineage.

    Notes
    -----
    Minimises :math:`\sum_i \log(1 + e^{\eta_i}) - y_i \eta_i + (\beta - 1)^2 / 2` with
    :math:`\eta_i = \alpha + \beta s_i`. The last term, worth one observation or so, keeps the slope finite where a
    small block is separated by chance. A negative slope would turn the list upside down: it becomes 0, and everyone
    has the block's own rate.

    Examples
    --------
    >>> fitted = fit_calibration([-2.0, -1.0, 0.0, 1.0] * 500, [0, 0, 0, 1] * 250 + [0, 1, 0, 1] * 250)
    >>> bool(abs(fitted.risk([-2.0, -1.0, 0.0, 1.0] * 500).mean() - 0.375) < 1e-6)
    True
    """
    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    intercept, slope = fit_line(score, label, moderation=MODERATION)
    if slope < 0:
        rate = float(label.mean())
        intercept, slope = float(np.log(rate / (1 - rate))), 0.0
    return Calibration(intercept, slope, fitted_from, fitted_to, len(label), int(label.sum()))


def fit_line(
    score: Floats,
    label: Floats,
    weights: Floats | None = None,
    *,
    start: tuple[float, float] = (0.0, 1.0),
    moderation: float = 0.0,
) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of `label` on `score`, by Newton's method with halved steps."""
    weight = np.ones_like(score) if weights is None else weights
    at = np.array(start)
    loss = _loss(at, score, label, weight, moderation)
    for _ in range(STEPS):
        step = newton_step(weight @ newton_parts(at, score, label), at[1], moderation)
        if np.abs(step).max() < CLOSE:
            break
        for halving in range(30):
            tried = at - step * 0.5**halving
            reached = _loss(tried, score, label, weight, moderation)
            if reached <= loss:
                at, loss = tried, reached
                break
        else:
            break
    return float(at[0]), float(at[1])


def _loss(at: Floats, score: Floats, label: Floats, weight: Floats, moderation: float) -> float:
    line = at[0] + at[1] * score
    return float(weight @ (np.logaddexp(0, line) - label * line) + moderation * (at[1] - 1) ** 2 / 2)


def newton_parts(at: Floats, score: Floats, label: Floats) -> Floats:
    """Each row's part of the gradient (two columns) and of the curvature (three) at the line `at`."""
    risk = expit(at[0] + at[1] * score)
    gap, spread = risk - label, risk * (1 - risk)
    return np.column_stack([gap, gap * score, spread, spread * score, spread * score * score])


def newton_step(sums: Floats, slope: float, moderation: float = 0.0) -> Floats:
    """Newton's step, to be subtracted, from the weighted sums of `newton_parts`."""
    gradient = np.array([sums[0], sums[1] + moderation * (slope - 1)])
    curvature = np.array([[sums[2] + RIDGE, sums[3]], [sums[3], sums[4] + moderation + RIDGE]])
    return np.asarray(np.linalg.solve(curvature, gradient))
