"""LightGBM as text: trees in its own format, read back on demand.

It takes a second to import, with what it imports itself: whoever fits or asks a booster waits for that, nobody else.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.table import Contract

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = npt.NDArray[np.float64]


def fit_booster(
    training: "lgb.Dataset",
    later: "lgb.Dataset",
    settings: Mapping[str, Any],
    seed: int,
    most_trees: int,
    patience: int,
) -> tuple[str, float]:
    """One booster as text, cut at the round with the least log loss on `later`, and that log loss."""
    import lightgbm as lgb

    seeds = {"bagging_seed": seed, "feature_fraction_seed": seed, "extra_seed": seed, "objective_seed": seed}
    booster = lgb.train(
        {**settings, **seeds},
        training,
        num_boost_round=most_trees,
        valid_sets=[later],
        valid_names=["later"],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    return text, float(booster.best_score["later"]["binary_logloss"])


def datasets(
    training: pd.DataFrame,
    training_labels: npt.NDArray[np.int8],
    later: pd.DataFrame,
    later_labels: npt.NDArray[np.int8],
    contract: Contract,
    log_share: float,
    max_bin: int,
) -> "tuple[lgb.Dataset, lgb.Dataset]":
    """LightGBM's data sets. The later one starts at `log_share`, so that its log loss is the one after the correction
    for sampled negatives, on unsampled rows."""
    import lightgbm as lgb

    settings = {"max_bin": max_bin, "verbosity": -1}
    first = lgb.Dataset(matrix(training, contract), training_labels, feature_name=contract.names, params=settings)
    start = np.full(len(later_labels), log_share)
    return first, first.create_valid(matrix(later, contract), later_labels, init_score=start)


def matrix(frame: pd.DataFrame, contract: Contract) -> npt.NDArray[Any]:
    """The contract's features in order; float32 where all of them are, else float64."""
    return frame[contract.names].to_numpy()


@lru_cache(maxsize=16)
def read(text: str) -> "lgb.Booster":
    """A booster from its text; reading costs more than scoring one team's caseload, so the last few are kept."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def logits(boosters: Sequence[str], frame: pd.DataFrame, contract: Contract, threads: int) -> Floats:
    """The mean of the boosters' raw scores for each row."""
    if frame.empty:
        return np.zeros(0)
    return _mean(boosters, matrix(frame, contract), raw_score=True, num_threads=threads)


def contributions(boosters: Sequence[str], frame: pd.DataFrame, contract: Contract, threads: int) -> Floats:
    """TreeSHAP values, the boosters' mean: a column for each feature, and last the expected score."""
    if frame.empty:
        return np.zeros((0, len(contract.features) + 1))
    return _mean(boosters, matrix(frame, contract), pred_contrib=True, num_threads=threads)


def _mean(boosters: Sequence[str], values: npt.NDArray[Any], **how: Any) -> Floats:
    """Of what each booster predicts. They work side by side, each in a thread of its own: LightGBM's own threads wait
    for one another, which takes far longer where other work keeps the machine busy. The same booster twice works once:
    to explain, LightGBM notes the depth of its trees in the booster itself."""
    different = list(dict.fromkeys(boosters))
    with ThreadPoolExecutor(len(different)) as over:
        found = dict(zip(different, over.map(lambda text: read(text).predict(values, **how), different), strict=True))
    return np.asarray(np.mean([found[text] for text in boosters], axis=0))
