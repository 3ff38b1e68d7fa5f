"""A small, honest search for the trees' settings: judged on later blocks of the training time, never on what will judge
the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.errors import NotReadyError
from features.table import Contract
from features.windows import shift_days
from models.settings import TrainConfig, TuneConfig
from models.splits import CALIBRATE, EMBARGO, TRAIN
from models.training import later_log_loss

SEARCHED: dict[str, tuple[float, float]] = {
    "leaves": (7, 31),
    "learning_rate": (0.02, 0.1),
    "least_leaf_rows": (40, 200),
    "feature_fraction": (0.2, 0.6),
    "leaf_l2": (1.0, 50.0),
}
"""The search space: lowest and highest."""


@dataclass(frozen=True)
class Trial:
    """What was tried and its log loss, the mean over the blocks; less is better."""

    settings: dict[str, float]
    log_loss: float


def tune(
    table: pd.DataFrame,
    labels: pd.DataFrame,
    parts: pd.Series,
    contract: Contract,
    config: TrainConfig,
    tuning: TuneConfig,
    *,
    embargo_days: int,
    zone: str,
) -> tuple[TrainConfig, tuple[Trial, ...]]:
    """The settings with the least log loss, and everything tried, in order. Same rows and seed, same answer.

    Arguments as `training.train`'s; rows of other parts than 'train' are not looked at. NotReadyError where the
    training time is too short for the blocks.
    """
    if not tuning.trials:
        return config, ()
    import optuna  # takes a second to import, and tuning is rare

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mine = (parts == TRAIN).to_numpy()
    rows = table[mine].reset_index(drop=True)
    folds = validation_blocks(rows["as_of"], tuning, embargo_days, zone)
    quick = config.model_copy(update={"seeds": config.seeds[:1]})
    tried: list[Trial] = []

    def loss(trial: optuna.Trial) -> float:
        settings = _drawn(trial)
        chosen = quick.model_copy(update=settings)
        losses = [later_log_loss(rows, labels, fold, contract, chosen) for fold in folds]
        tried.append(Trial(settings, float(np.mean(losses))))
        return tried[-1].log_loss

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=tuning.seed))
    study.enqueue_trial({name: getattr(config, name) for name in SEARCHED})
    study.optimize(loss, n_trials=tuning.trials)
    best = min(tried, key=lambda trial: trial.log_loss)
    return config.model_copy(update=best.settings), tuple(tried)


def validation_blocks(at: pd.Series, tuning: TuneConfig, embargo_days: int, zone: str) -> list[pd.Series]:
    """A split of the training rows for each block: 'train' before it, 'calibrate' in it, an embargo between."""
    folds = []
    end = shift_days(at.max().to_pydatetime(), 1, zone)
    for _ in range(tuning.blocks):
        start = shift_days(end, -tuning.block_days, zone)
        fold = pd.Series(EMBARGO, index=at.index, dtype=object)
        fold[at < shift_days(start, -embargo_days, zone)] = TRAIN
        fold[(at >= start) & (at < end)] = CALIBRATE
        if not (fold == TRAIN).any():
            message = (
                f"Tuning needs a training time longer than {tuning.blocks} blocks of {tuning.block_days} days and an "
                "embargo; it is shorter. Use fewer or shorter blocks, or none: tuning.trials 0."
            )
            raise NotReadyError(message)
        folds.append(fold)
        end = start
    return folds


def _drawn(trial: Any) -> dict[str, float]:
    """Whole numbers where both ends are; on a logarithmic scale."""
    draws: dict[str, float] = {}
    for name, (low, high) in SEARCHED.items():
        whole = isinstance(low, int)
        draws[name] = (trial.suggest_int if whole else trial.suggest_float)(name, low, high, log=True)
    return draws
