r"""When within the nine days: how a row's risk is spread over them, learned from those who were admitted.

Given an admission, the days' shares are a geometric series cut off after nine: :math:`\exp(\theta t_k)` with
:math:`t` from -1 on the first day to 1 on the last. So one number a row, its tilt :math:`\theta`, says whether the
chance is early (below 0), even (0) or late. The risk itself is not touched, so the curve ends in what ranks the list,
and a death without admission stays what it is there: no admission, on no day.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.table import Contract
from features.windows import HORIZON_DAYS
from models.calibration import Calibration
from models.logistic import Term, make_terms

Floats = npt.NDArray[np.float64]

PLACES = np.linspace(-1.0, 1.0, HORIZON_DAYS)
PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)
SLIGHT, MODERATION = 1.0, 10.0
"""Ridge on the tilt's level and the score's share in it, and on how far recalibration may move them: worth 3 and 25
admissions or so."""
STEPS, HALVINGS, CLOSE = 50, 30, 1e-10
LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class Tilt:
    """raw = intercept + the parts of the score and of every term; tilt = calibration's intercept + slope * raw.

    score: of the recalibrated log-odds of the nine-day risk. terms: of features. l2: the terms' ridge penalty.
    """

    intercept: float
    score: Term
    terms: tuple[Term, ...]
    l2: float
    calibration: Calibration = Calibration()

    def tilts(self, frame: pd.DataFrame, scores: Floats) -> Floats:
        """Each row's tilt. Term by term, so that it does not depend on the rows beside it."""
        raw = self.intercept + self.score.coefficient * self.score.column(scores)
        for term in self.terms:
            raw = raw + term.coefficient * term.column(frame[term.feature].to_numpy(np.float64))
        return self.calibration.line(raw)

    def shares(self, frame: pd.DataFrame, scores: Floats) -> Floats:
        """Rows x 9: the share of each row's risk that falls within 1 .. 9 days; never falls, and ends in exactly 1."""
        reached = np.cumsum(_weights(self.tilts(frame, scores)), axis=1)
        return np.asarray(reached / reached[:, -1:])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> "Tilt":
        terms = tuple(Term(**term) for term in raw["terms"])
        return Tilt(raw["intercept"], Term(**raw["score"]), terms, raw["l2"], Calibration(**raw["calibration"]))


@dataclass(frozen=True)
class Admitted:
    """Rows that were admitted: features, recalibrated log-odds of the nine-day risk, and the day, 1 .. 9."""

    frame: pd.DataFrame
    scores: Floats
    days: npt.NDArray[np.int8]


def fit_tilt(training: Admitted, later: Admitted, contract: Contract) -> Tilt:
    """The tilt whose ridge penalty gives the least log loss of the day on the `later` rows, recalibrated on them."""
    found = _fits(training, contract)
    best = min(found, key=lambda tilt: day_log_loss(tilt.tilts(later.frame, later.scores), later.days))
    return replace(best, calibration=_recalibrated(best, later))


def _fits(training: Admitted, contract: Contract) -> list[Tilt]:
    """One for each penalty, on the same standardised columns."""
    frame, scores = training.frame, training.scores
    spread = max(float(scores.std()), LEAST_SPREAD)
    score = Term("score", "value", float(scores.min()), float(scores.max()), float(scores.mean()), spread)
    terms = make_terms(frame, contract)
    columns = [term.column(frame[term.feature].to_numpy(np.float64)) for term in terms]
    design = np.column_stack([np.ones_like(scores), score.column(scores), *columns])
    found = []
    for l2 in PENALTIES:
        penalty = np.append([SLIGHT, SLIGHT], np.full(len(terms), l2))
        level, own, *others = _fit(design, training.days, penalty, np.zeros(design.shape[1])).tolist()
        weighted = tuple(replace(term, coefficient=one) for term, one in zip(terms, others, strict=True))
        found.append(Tilt(level, replace(score, coefficient=own), weighted, l2))
    return found


def _recalibrated(tilt: Tilt, later: Admitted) -> Calibration:
    """An intercept and a slope for the tilts; a slope below 0 would turn early into late, so that it becomes 0."""
    raw, ones = tilt.tilts(later.frame, later.scores), np.ones(len(later.days))
    penalty = np.full(2, MODERATION)
    intercept, slope = _fit(np.column_stack([ones, raw]), later.days, penalty, np.array([0.0, 1.0])).tolist()
    if slope < 0:
        intercept, slope = float(_fit(ones[:, None], later.days, penalty[:1], np.zeros(1))[0]), 0.0
    first, last = (later.frame["as_of"].iloc[place].isoformat() for place in (0, -1))
    return Calibration(intercept, slope, first, last, len(later.days), len(later.days))


def _weights(tilts: Floats) -> Floats:
    """Rows x 9: what the days' shares are in proportion to, the greatest of them 1."""
    return np.asarray(np.exp(np.multiply.outer(tilts, PLACES) - np.abs(tilts)[:, None]))


def day_log_loss(tilts: Floats, days: npt.NDArray[np.int8]) -> float:
    """The mean of -log of the share of the day on which each admitted row's admission fell."""
    weights = _weights(tilts)
    return float(np.mean(np.log(weights.sum(axis=1)) - np.log(weights[np.arange(len(days)), days - 1])))


def _fit(design: Floats, days: npt.NDArray[np.int8], penalty: Floats, towards: Floats) -> Floats:
    """Coefficients of the tilt with the least penalised log loss, by Newton's method with halved steps."""
    at = towards.copy()
    for _ in range(STEPS):
        weights = _weights(design @ at)
        shares = weights / weights.sum(axis=1, keepdims=True)
        mean = shares @ PLACES
        spread = shares @ PLACES**2 - mean**2
        gradient = design.T @ (mean - PLACES[days - 1]) + penalty * (at - towards)
        step = np.linalg.solve((design * spread[:, None]).T @ design + np.diag(penalty), gradient)
        if np.abs(step).max() < CLOSE:
            break
        at = _stepped(at, step, lambda tried: _penalised(tried, design, days, penalty, towards))
    return at


def _stepped(at: Floats, step: Floats, loss: Callable[[Floats], float]) -> Floats:
    """`at` less the longest halving of `step` that does not make the loss worse; `at` itself where none is."""
    reached = loss(at)
    tries = (at - step * 0.5**halving for halving in range(HALVINGS))
    return next((tried for tried in tries if loss(tried) <= reached), at)


def _penalised(at: Floats, design: Floats, days: npt.NDArray[np.int8], penalty: Floats, towards: Floats) -> float:
    return len(days) * day_log_loss(design @ at, days) + float(penalty @ (at - towards) ** 2) / 2
