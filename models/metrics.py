"""How good a score is: discrimination, calibration and yield at a team's capacity, each with weights.

A bootstrap asks for a metric many times with other weights. What is made of sums (calibration, yield) is made from the
sums of its parts, so that they can be added up by person first; for discrimination the sorting is done once. Labels are
1 (admitted) and 0. Every value is NaN where it is not defined (no positives, no negatives, nobody listed).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from models.calibration import fit_line, newton_parts, newton_step

Floats = npt.NDArray[np.float64]
TINY = 1e-12


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else float("nan")


def _weigh(weights: Floats | None, rows: int) -> Floats:
    return np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)


@dataclass(frozen=True)
class Discrimination:
    """`auroc` and `average_precision`."""

    auroc: float
    average_precision: float


def discrimination_of(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Callable[[Floats | None], Discrimination]:
    """Both measures of these rows, ready for any weights.

    Positives are few: apart from one running sum over all rows, the work for each set of weights is theirs alone.
    """
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    at = np.flatnonzero(label[order] == 1)
    falling = -score[order]
    first, last = (np.searchsorted(falling, falling[at], side) for side in ("left", "right"))
    first_hit, last_hit = (np.searchsorted(at, edge) for edge in (first, last))

    def measured(weights: Floats | None = None) -> Discrimination:
        weight = _weigh(weights, len(order))[order]
        flagged = np.append(0.0, np.cumsum(weight))
        own = weight[at]
        true = np.append(0.0, np.cumsum(own))
        false_above, false_to = flagged[first] - true[first_hit], flagged[last] - true[last_hit]
        positives, negatives = true[-1], flagged[-1] - true[-1]
        precision = np.divide(true[last_hit], flagged[last], out=np.zeros_like(own), where=flagged[last] > 0)
        won = own @ (negatives - (false_above + false_to) / 2)
        return Discrimination(_ratio(won, positives * negatives), _ratio(own @ precision, positives))

    return measured


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: Floats | None = None) -> float:
    r"""The chance that a random positive row scores higher than a random negative one.

    Parameters
    ----------
    labels : array-like of shape (n,), 0 or 1
    scores : array-like of shape (n,)
        Any scale; higher means riskier.
    weights : ndarray of shape (n,), optional

    Returns
    -------
    float
        0.5 says nothing, 1 is perfect; a tie counts half.

    Notes
    -----
    .. math:: \frac{\sum_{i: y_i=1} \sum_{j: y_j=0} w_i w_j ([s_i > s_j] + [s_i = s_j]/2)}
        {\sum_{i: y_i=1} w_i \sum_{j: y_j=0} w_j}

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return discrimination_of(labels, scores)(weights).auroc


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: Floats | None = None) -> float:
    r"""The mean precision over the positives, going down the scores.

    Returns
    -------
    float
        The share of positives says nothing, 1 is perfect.

    Notes
    -----
    :math:`\sum_n (R_n - R_{n-1}) P_n` over the distinct scores n, with recall R and precision P.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return discrimination_of(labels, scores)(weights).average_precision


def log_loss(labels: npt.ArrayLike, risks: npt.ArrayLike, weights: Floats | None = None) -> float:
    r"""Mean of :math:`-y \log p - (1-y) \log (1-p)`; less is better.

    Examples
    --------
    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    label, risk = np.asarray(labels, dtype=np.float64), np.clip(np.asarray(risks, dtype=np.float64), TINY, 1 - TINY)
    weight = _weigh(weights, len(label))
    return _ratio(-float(weight @ (label * np.log(risk) + (1 - label) * np.log1p(-risk))), weight.sum())


def brier(labels: npt.ArrayLike, risks: npt.ArrayLike, weights: Floats | None = None) -> float:
    """Mean of (risk - label) squared; less is better.

    Examples
    --------
    >>> round(brier([1, 0], [0.8, 0.4]), 4)
    0.1
    """
    label, risk = np.asarray(labels, dtype=np.float64), np.asarray(risks, dtype=np.float64)
    weight = _weigh(weights, len(label))
    return _ratio(float(weight @ (risk - label) ** 2), weight.sum())


def expected_over_observed(labels: npt.ArrayLike, risks: npt.ArrayLike, weights: Floats | None = None) -> float:
    """Sum of risks over sum of labels: above 1 the model promises more admissions than came.

    Examples
    --------
    >>> expected_over_observed([1, 0, 0, 0], [0.5, 0.25, 0.25, 0.25])
    1.25
    """
    weight = _weigh(weights, len(np.asarray(labels)))
    return _ratio(float(weight @ np.asarray(risks, dtype=np.float64)), float(weight @ np.asarray(labels)))


@dataclass(frozen=True)
class CalibrationFigures:
    """E:O, and the intercept and slope of the labels on the logit of the risk: 1, 0 and 1 where calibration is right.

    A slope below 1 says that the risks are too far apart, as an over-trained model's are.
    """

    expected_over_observed: float
    intercept: float
    slope: float


def _fittable(label: Floats, score: Floats) -> bool:
    """Both outcomes are there and the scores overlap, so that the likelihood has a maximum."""
    ones, zeros = score[label == 1], score[label == 0]
    return bool(len(ones) and len(zeros) and ones.min() < zeros.max() and zeros.min() < ones.max())


def calibration(labels: npt.ArrayLike, risks: npt.ArrayLike, weights: Floats | None = None) -> CalibrationFigures:
    r"""Whether risks are what they say.

    Notes
    -----
    Intercept :math:`\alpha` and slope :math:`\beta` maximise the likelihood of
    :math:`\mathrm{logit} P(y=1) = \alpha + \beta\, \mathrm{logit}(p)`. NaN where risks separate the
    outcomes completely.

    Examples
    --------
    >>> found = calibration([1, 0, 0, 0] * 5 + [1, 1, 1, 0] * 5, [0.25] * 20 + [0.75] * 20)
    >>> round(found.expected_over_observed, 6), round(abs(found.intercept), 6), round(found.slope, 6)
    (1.0, 0.0, 1.0)
    """
    label, risk = np.asarray(labels, dtype=np.float64), np.asarray(risks, dtype=np.float64)
    weight = _weigh(weights, len(label))
    present = weight > 0
    label, risk, weight = label[present], risk[present], weight[present]
    score = _logits(risk)
    line = fit_line(score, label, weight) if _fittable(label, score) else (float("nan"), float("nan"))
    return CalibrationFigures(expected_over_observed(label, risk, weight), *line)


def _logits(risks: Floats) -> Floats:
    return np.asarray(logit(np.clip(risks, TINY, 1 - TINY)))


def risk_parts(labels: npt.ArrayLike, risks: npt.ArrayLike) -> tuple[Floats, Floats]:
    """What `risk_figures` needs of each row (a row each), and the line that the labels have on the logits."""
    label, risk = np.asarray(labels, dtype=np.float64), np.asarray(risks, dtype=np.float64)
    score, sure = _logits(risk), np.clip(risk, TINY, 1 - TINY)
    line = np.array(fit_line(score, label)) if _fittable(label, score) else np.full(2, np.nan)
    loss = -(label * np.log(sure) + (1 - label) * np.log1p(-sure))
    own = np.column_stack([np.ones_like(risk), loss, (risk - label) ** 2, risk, label])
    return np.hstack([own, newton_parts(line, score, label)]), line


def risk_figures(sums: Floats, line: Floats) -> list[float]:
    """log_loss, brier, expected_over_observed, calibration intercept and slope, from the weighted sums of `risk_parts`.

    Intercept and slope are one Newton step from the unweighted answer: what a bootstrap needs, at the cost of a few
    sums.
    """
    rows, loss, squares, expected, observed = sums[:5]
    moved = line if np.isnan(line).any() else line - newton_step(sums[5:], line[1])
    return [_ratio(loss, rows), _ratio(squares, rows), _ratio(expected, observed), float(moved[0]), float(moved[1])]


def calibration_curve(labels: npt.ArrayLike, risks: npt.ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Rows in order of risk, cut into `bins` of about equal size: rows, predicted (mean risk) and observed (rate).

    Equal risks are never parted, so there may be fewer bins.

    Examples
    --------
    >>> curve = calibration_curve([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.6], bins=2)
    >>> curve["rows"].tolist(), curve["observed"].tolist()
    ([2, 2], [0.0, 0.5])
    """
    risk, label = np.asarray(risks, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    frame = pd.DataFrame({"bin": risk_bins(risk, bins), "predicted": risk, "observed": label})
    curve = frame.groupby("bin").agg(
        rows=("observed", "size"), predicted=("predicted", "mean"), observed=("observed", "mean")
    )
    return curve.reset_index(drop=True)


def risk_bins(risks: npt.ArrayLike, bins: int) -> npt.NDArray[np.int64]:
    """Each row's bin, 0 .. bins - 1 in order of risk and about equal in size; equal risks share one."""
    ranks = pd.Series(np.asarray(risks, dtype=np.float64)).rank(method="min").to_numpy()
    return np.floor((ranks - 1) / max(len(ranks), 1) * bins).astype(np.int64)


def net_benefit(labels: npt.ArrayLike, risks: npt.ArrayLike, threshold: float, weights: Floats | None = None) -> float:
    r"""What acting on everyone with a risk of at least `threshold` is worth, in true positives per row.

    Notes
    -----
    :math:`TP/n - FP/n \cdot t/(1-t)` (Vickers and Elkin, 2006, doi:10.1177/0272989X06295361). Acting on nobody is 0.

    Examples
    --------
    >>> net_benefit([1, 0, 0, 0], [0.6, 0.6, 0.1, 0.1], 0.5)
    0.0
    """
    label, acted = np.asarray(labels, dtype=np.float64), np.asarray(risks, dtype=np.float64) >= threshold
    weight = _weigh(weights, len(label))
    gained, wasted = float(weight @ (acted * label)), float(weight @ (acted * (1 - label)))
    return _ratio(gained - wasted * threshold / (1 - threshold), weight.sum())


def yield_parts(labels: npt.ArrayLike, listed: npt.ArrayLike) -> Floats:
    """What `yield_figures` needs of each place: hits, places on the list, positives, all."""
    label, shown = np.asarray(labels, dtype=np.float64), np.asarray(listed, dtype=np.float64)
    return np.column_stack([label * shown, shown, label, np.ones_like(label)])


def yield_figures(sums: npt.ArrayLike) -> list[float]:
    """What lists catch, from the weighted sums of `yield_parts`: PPV (share of listed places admitted), recall (share
    of admitted places listed), lift (PPV over the rate of all places) and NNE (people to see for each who will be
    admitted, 1 / PPV).

    Examples
    --------
    >>> yield_figures(yield_parts([1, 0, 1, 0], [True, False, True, False]).sum(axis=0))
    [1.0, 1.0, 2.0, 1.0]
    """
    hits, places, positives, everyone = (float(part) for part in np.asarray(sums))
    ppv, rate = _ratio(hits, places), _ratio(positives, everyone)
    return [ppv, _ratio(hits, positives), ppv / rate if rate > 0 else float("nan"), _ratio(places, hits)]


def top_of_groups(
    groups: npt.ArrayLike, scores: npt.ArrayLike, ties: npt.ArrayLike, capacities: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Which rows are among the highest `capacities` of their group (a team on a day).

    Parameters
    ----------
    groups : array-like of shape (n,)
        Group numbers. scores : of shape (n,). ties : of shape (n,), orders equal scores, least first.
    capacities : array-like of shape (n,)
        Places in the row's group, the same for all its rows.

    Examples
    --------
    >>> top_of_groups([0, 0, 0, 1], [0.2, 0.9, 0.9, 0.1], [1, 2, 1, 1], [1, 1, 1, 1]).tolist()
    [False, False, True, True]
    """
    group = np.asarray(groups)
    order = np.lexsort((np.asarray(ties), -np.asarray(scores, dtype=np.float64), group))
    ordered = group[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else order
    sizes = np.diff(np.append(first, len(order)))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.repeat(first, sizes)
    return np.asarray(place < np.asarray(capacities))
