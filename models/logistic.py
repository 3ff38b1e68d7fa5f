"""The plain challenger: a ridge logistic regression on transformed features, kept as a list of coefficients."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.table import Contract, FeatureInfo

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One column of the regression: a feature, transformed, held within its training range and standardised.

    transform: log (sign kept), decay_7 and decay_30 (exp(-days / 7 or 30); never is 0), value (unknown is the training
    mean) or missing (1 where the feature is unknown).
    """

    feature: str
    transform: str
    low: float
    high: float
    centre: float
    scale: float
    coefficient: float = 0.0

    def column(self, values: Floats) -> Floats:
        """The standardised column; 0 is the training mean."""
        raw = transformed(values, self.transform)
        standard = (np.clip(raw, self.low, self.high) - self.centre) / self.scale
        return np.where(np.isnan(standard), 0.0, standard)


@dataclass(frozen=True)
class Logistic:
    """logit = intercept + the sum over terms of coefficient * column."""

    intercept: float
    terms: tuple[Term, ...]
    l2: float

    def parts(self, frame: pd.DataFrame) -> Iterator[tuple[str, Floats]]:
        """Each term's feature and its share of every row's logit.

        Term by term rather than as one matrix product, so that a row's score does not depend on the rows beside it.
        """
        for term in self.terms:
            yield term.feature, term.coefficient * term.column(frame[term.feature].to_numpy(np.float64))

    def logits(self, frame: pd.DataFrame) -> Floats:
        total = np.full(len(frame), self.intercept)
        for _, part in self.parts(frame):
            total += part
        return total

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> "Logistic":
        return Logistic(raw["intercept"], tuple(Term(**term) for term in raw["terms"]), raw["l2"])


def transformed(values: Floats, transform: str) -> Floats:
    """One feature's values on the scale of `transform`; null stays null except where its meaning is known."""
    if transform == "log":
        return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
    if transform == "missing":
        return np.isnan(values).astype(np.float64)
    if transform.startswith("decay_"):
        days = float(transform.removeprefix("decay_"))
        return np.where(np.isnan(values), 0.0, np.exp(-np.maximum(values, 0.0) / days))
    return values


def transforms(feature: FeatureInfo) -> tuple[str, ...]:
    """How a feature enters: days since by two decays, amounts that are 0 when nothing happened by logarithm, the rest
    as a value with a flag for unknown."""
    if feature.aggregate.startswith("days_since"):
        return ("decay_7", "decay_30")
    if feature.empty == 0:
        return ("log",)
    return ("value", "missing")


def make_terms(frame: pd.DataFrame, contract: Contract) -> tuple[Term, ...]:
    """The terms that vary in `frame`, standardised on it, with coefficients still 0."""
    terms = []
    for feature in contract.features:
        values = frame[feature.name].to_numpy(np.float64)
        for transform in transforms(feature):
            column = transformed(values, transform)
            known = column[~np.isnan(column)]
            scale = float(known.std()) if len(known) else 0.0
            if scale > 1e-9:
                low, high = float(known.min()), float(known.max())
                terms.append(Term(feature.name, transform, low, high, float(known.mean()), scale))
    return tuple(terms)


def fit_logistics(
    frame: pd.DataFrame, labels: npt.NDArray[np.int8], terms: tuple[Term, ...], penalties: Sequence[float]
) -> list[Logistic]:
    """One regression for each ridge penalty, on the same standardised columns."""
    from sklearn.linear_model import LogisticRegression  # a second to import: only those who fit wait for it

    design = np.empty((len(frame), len(terms)))
    for position, term in enumerate(terms):
        design[:, position] = term.column(frame[term.feature].to_numpy(np.float64))
    fitted = []
    for l2 in penalties:
        model = LogisticRegression(C=1 / l2, solver="newton-cholesky", max_iter=200, tol=1e-6).fit(design, labels)
        weighted = tuple(replace(t, coefficient=float(c)) for t, c in zip(terms, model.coef_[0], strict=True))
        fitted.append(Logistic(float(model.intercept_[0]), weighted, l2))
    return fitted
