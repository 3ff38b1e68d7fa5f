"""Simple rules that a nurse could apply, as scores: what a model has to beat."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.errors import ConfigError, nearest
from features.table import KEYS

RuleTerm = tuple[str, float, float | None]
"""(feature, weight, threshold): the weight is added where the feature is at least the threshold; without a threshold,
the weighted value is. A negative weight on a bare value ranks the least value first, as for days since discharge."""

NEVER = 36_525.0
"""What an unknown value counts as under a negative weight: a hundred years ago."""


def rule_scores(table: pd.DataFrame, rules: Mapping[str, Sequence[RuleTerm]]) -> pd.DataFrame:
    """person_id, as_of and one column of scores for each rule, in the order of `table`.

    An unknown value adds nothing, except that a recency (negative weight, no threshold) takes it for never.
    ConfigError names the nearest feature where a rule asks for one that the table lacks.
    """
    scores = table[list(KEYS)].copy()
    for name, terms in rules.items():
        total = np.zeros(len(table))
        for feature, weight, threshold in terms:
            if feature not in table.columns:
                message = (
                    f"Every feature of rule '{name}' must be in the table; found no '{feature}', "
                    f"{nearest(feature, [c for c in table.columns if c not in KEYS])} Correct the rule."
                )
                raise ConfigError(message)
            total += _points(table[feature].to_numpy(np.float64), weight, threshold)
        scores[name] = total
    return scores


def _points(values: np.ndarray, weight: float, threshold: float | None) -> np.ndarray:
    if threshold is not None:
        return weight * (values >= threshold)
    unknown = NEVER if weight < 0 else 0.0
    return weight * np.where(np.isnan(values), unknown, values)
