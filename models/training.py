"""Training: a table of landmarks and their outcomes in, a bundle out. Same rows and settings, same bytes."""

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from features.errors import ContractError, NotReadyError
from features.table import KEYS, Contract
from models import boosting
from models.bundle import Bundle
from models.calibration import Calibration, fit_calibration
from models.curve import Admitted, Tilt, fit_tilt
from models.logistic import Logistic, fit_logistics, make_terms
from models.metrics import log_loss
from models.settings import ENSEMBLE, LOGISTIC, MODELS, TrainConfig
from models.splits import CALIBRATE, TRAIN, keyed_share


@dataclass(frozen=True)
class Block:
    """Usable rows of one part in (as_of, person_id) order, with their outcomes. days: of the admission, 1 .. 9; 0
    where there is none, or it is not told."""

    table: pd.DataFrame
    positions: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int8]
    days: npt.NDArray[np.int8]
    admissions: int

    @property
    def keys(self) -> pd.DataFrame:
        return self.table[list(KEYS)].iloc[self.positions]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows with their features; a copy, so asked for only once a block is as small as it will be."""
        return self.table.iloc[self.positions].reset_index(drop=True)

    def chosen(self, rows: npt.NDArray[np.bool_]) -> "Block":
        """Some of its rows; they are of all its admissions."""
        return replace(self, positions=self.positions[rows], labels=self.labels[rows], days=self.days[rows])


def train(
    table: pd.DataFrame, labels: pd.DataFrame, parts: pd.Series, contract: Contract, config: TrainConfig
) -> Bundle:
    """Fit both models on the 'train' rows, and choose tree counts, ridge penalty and calibration on the 'calibrate'
    rows, which are later and never sampled.

    table: a feature table under `contract`. labels: person_id, as_of, label, admitted_at, state and, for a curve,
    admitted_day; only 'usable' rows are learnt from, and rows without a label are left out. parts: a split's answer,
    row for row with `table`. The lineage has the settings, the contract's fingerprint, library versions, and for each
    block its rows, people, positives, admissions, first and last cut. NotReadyError where there is too little to learn
    from, or where the model that leads says nothing about the 'calibrate' rows.
    """
    contract.check(table)
    outcomes = _outcomes(table, labels, parts)
    training, later = (_block(table, outcomes, parts, part) for part in (TRAIN, CALIBRATE))
    _check_enough(training, TRAIN, config.least_admissions)
    _check_enough(later, CALIBRATE, config.least_calibration_admissions)
    # Linear algebra adds up in another order on another number of threads, and the last bits would follow.
    with threadpool_limits(limits=1, user_api="blas"):
        bundle = _fit(training, later, contract, config)
    _check_lead(bundle, later)
    return bundle


def later_log_loss(
    table: pd.DataFrame, labels: pd.DataFrame, parts: pd.Series, contract: Contract, config: TrainConfig
) -> float:
    """The trees' log loss on the 'calibrate' rows, the mean of the seeds; arguments as `train`'s."""
    outcomes = _outcomes(table, labels, parts)
    training, later = (_block(table, outcomes, parts, part) for part in (TRAIN, CALIBRATE))
    _check_enough(training, TRAIN, config.least_admissions)
    _check_enough(later, CALIBRATE, config.least_calibration_admissions)
    sampled, log_share = _sample(training, config)
    return float(np.mean(_fit_boosters(sampled, later, contract, log_share, config)[1]))


def _fit(training: Block, later: Block, contract: Contract, config: TrainConfig) -> Bundle:
    sampled, log_share = _sample(training, config)
    logistic = _fit_logistic(sampled, later, contract, log_share, config)
    boosters, losses = _fit_boosters(sampled, later, contract, log_share, config)
    lead = ENSEMBLE if training.admissions >= config.lead_from_admissions else LOGISTIC
    lineage = _lineage(training, sampled, later, contract, config) | {"later_log_loss": losses}
    identity = {model: Calibration() for model in MODELS}
    draft = Bundle(boosters, logistic, identity, contract, lineage, lead, log_share, config.threads)
    bundle = replace(draft, calibration={model: _calibrate(draft, later, model) for model in identity})
    return replace(bundle, tilt=_fit_tilt(bundle, sampled, later)) if config.curve else bundle


def _fit_tilt(bundle: Bundle, training: Block, later: Block) -> Tilt:
    """From the admitted rows alone: given an admission, the others say nothing about its day."""
    mine, after = (_admitted(bundle, block.chosen(block.labels == 1)) for block in (training, later))
    return fit_tilt(mine, after, bundle.contract)


def _admitted(bundle: Bundle, block: Block) -> Admitted:
    if not block.days.all():
        message = "A curve needs labels that say on which day each admission fell (admitted_day). Label the rows again."
        raise ContractError(message)
    return Admitted(block.frame, bundle.calibration[bundle.lead].line(bundle.logits(block.frame)), block.days)


def _check_lead(bundle: Bundle, later: Block) -> None:
    if bundle.calibration[bundle.lead].slope <= 0:
        message = (
            f"The leading model's risk must rise with its score on the '{CALIBRATE}' rows; for '{bundle.lead}' it does "
            f"not (calibration slope 0 or less on {len(later.labels)} rows with {later.admissions} admissions), so a "
            "list in its order would say nothing. Give a longer history, or check that admissions and features are of "
            "the same people and period throughout."
        )
        raise NotReadyError(message)


def _outcomes(table: pd.DataFrame, labels: pd.DataFrame, parts: pd.Series) -> pd.DataFrame:
    """Label, admitted_at, admitted_day and state of each row of `table`, null where it has none."""
    if len(parts) != len(table):
        message = (
            f"Parts must be given row for row with the table; found {len(parts)} for {len(table)} rows. Split it again."
        )
        raise ContractError(message)
    keys = list(KEYS)
    if table.duplicated(keys).any() or labels.duplicated(keys).any():
        message = "Tables and labels must have one row for each person and cut; found duplicates. Rebuild them."
        raise ContractError(message)
    told = labels.reindex(columns=[*keys, "label", "admitted_at", "admitted_day", "state"])
    return table[keys].merge(told, on=keys, how="left")


def _block(table: pd.DataFrame, outcomes: pd.DataFrame, parts: pd.Series, part: str) -> Block:
    chosen = outcomes[(outcomes["state"] == "usable").to_numpy() & (parts == part).to_numpy()]
    chosen = chosen.sort_values(["as_of", "person_id"])
    admitted = chosen.loc[chosen["label"] == 1, ["person_id", "admitted_at"]].drop_duplicates()
    days = chosen["admitted_day"].fillna(0).to_numpy(np.int8)
    return Block(table, chosen.index.to_numpy(np.intp), chosen["label"].to_numpy(np.int8), days, len(admitted))


def _check_enough(block: Block, part: str, least: int) -> None:
    if block.admissions < least:
        message = (
            f"The '{part}' rows must hold at least {least} admissions; found {block.admissions} in "
            f"{len(block.labels)} usable rows. Give a longer history, more teams, or wait for outcomes to mature."
        )
        raise NotReadyError(message)
    if block.labels.all():
        message = (
            f"The '{part}' rows must hold people who were not admitted; all {len(block.labels)} were. Check the labels."
        )
        raise NotReadyError(message)


def _sample(block: Block, config: TrainConfig) -> tuple[Block, float]:
    """The rows to fit on and ln of the share of negatives among them."""
    if len(block.labels) <= config.sample_above_rows:
        return block, 0.0
    keys, share = block.keys, config.negative_share
    kept = keyed_share(keys["person_id"], keys["as_of"], config.sampling_key, share) | (block.labels == 1)
    return block.chosen(kept), log(share)


def _fit_logistic(training: Block, later: Block, contract: Contract, log_share: float, config: TrainConfig) -> Logistic:
    """The regression whose penalty gives the least log loss on the later block."""
    terms = make_terms(training.frame, contract)
    if not terms:
        message = (
            f"At least one of {len(contract.names)} features must vary in the 'train' rows; all of them are constant. "
            "Check that the history was loaded for this period."
        )
        raise NotReadyError(message)
    fitted = fit_logistics(training.frame, training.labels, terms, config.logistic_l2)
    return min(fitted, key=lambda model: log_loss(later.labels, expit(model.logits(later.frame) + log_share)))


def _fit_boosters(
    training: Block, later: Block, contract: Contract, log_share: float, config: TrainConfig
) -> tuple[tuple[str, ...], list[float]]:
    """A booster for each seed, and each one's log loss on the later block."""
    data = boosting.datasets(
        training.frame, training.labels, later.frame, later.labels, contract, log_share, config.max_bin
    )
    settings = booster_settings(contract, config)
    fits = [boosting.fit_booster(*data, settings, seed, config.most_trees, config.patience) for seed in config.seeds]
    return tuple(text for text, _ in fits), [loss for _, loss in fits]


def booster_settings(contract: Contract, config: TrainConfig) -> dict[str, Any]:
    """LightGBM's parameters. No class weights: they spoil probabilities and do not improve the ranking."""
    settings: dict[str, Any] = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.least_leaf_rows,
        "feature_fraction": config.feature_fraction,
        "bagging_fraction": config.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": config.leaf_l2,
        "max_bin": config.max_bin,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": config.threads,
        "verbosity": -1,
    }
    directions = [feature.direction for feature in contract.features]
    if config.monotone and any(directions):
        settings |= {"monotone_constraints": directions, "monotone_constraints_method": config.monotone}
    return settings


def _calibrate(draft: Bundle, later: Block, model: str) -> Calibration:
    span = later.frame["as_of"]
    return fit_calibration(
        draft.logits(later.frame, model), later.labels, span.iloc[0].isoformat(), span.iloc[-1].isoformat()
    )


def _lineage(training: Block, sampled: Block, later: Block, contract: Contract, config: TrainConfig) -> dict[str, Any]:
    libraries = ("lightgbm", "scikit-learn", "numpy", "pandas")
    return {
        "config": config.model_dump(mode="json"),
        "contract": contract.fingerprint,
        "libraries": {name: version(name) for name in libraries},
        "blocks": {TRAIN: _described(training), "sampled": _described(sampled), CALIBRATE: _described(later)},
    }


def _described(block: Block) -> dict[str, Any]:
    at = block.keys["as_of"]
    return {
        "rows": len(block.labels),
        "people": int(block.keys["person_id"].nunique()),
        "positives": int(block.labels.sum()),
        "admissions": block.admissions,
        "first_as_of": at.iloc[0].isoformat(),
        "last_as_of": at.iloc[-1].isoformat(),
    }
