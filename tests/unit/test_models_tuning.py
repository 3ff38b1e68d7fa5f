"""Tuning: on later blocks of the training time alone, never worse than what was configured, the same on every run."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.special import expit

from features.errors import NotReadyError
from features.table import FeatureInfo, make_contract
from models.settings import TrainConfig, TuneConfig
from models.tuning import SEARCHED, tune, validation_blocks

CONTRACT = make_contract(
    tuple(FeatureInfo(f"count_{name}_7d", "contacts", "count", name, 7, 0, 0.0) for name in ("call", "visit")), "a test"
)
DAYS, PEOPLE = 60, 200
CONFIG = TrainConfig(seeds=(1, 2), most_trees=20, patience=5, least_admissions=5, least_calibration_admissions=2)
TUNING = TuneConfig(trials=4, blocks=2, block_days=10)


def world():
    draw = np.random.default_rng(1)
    rows = DAYS * PEOPLE
    days = pd.to_timedelta(np.repeat(np.arange(DAYS), PEOPLE), unit="D").as_unit("us")
    table = pd.DataFrame(
        {
            "person_id": np.tile(np.arange(PEOPLE, dtype=np.int64), DAYS),
            "as_of": pd.Timestamp("2025-01-01 06:00", tz="UTC").as_unit("us") + days,
            "count_call_7d": draw.poisson(1.0, rows).astype("float32"),
            "count_visit_7d": draw.poisson(2.0, rows).astype("float32"),
        }
    )
    label = (draw.random(rows) < expit(table["count_call_7d"] - 4)).astype(np.int8)
    admitted_at = (table["as_of"] + pd.Timedelta(hours=5)).where(label == 1)
    return table, table[["person_id", "as_of"]].assign(label=label, admitted_at=admitted_at, state="usable")


TABLE, LABELS = world()
TRAINING = (TABLE["as_of"] < TABLE["as_of"].min() + pd.Timedelta(days=50)).to_numpy()
PARTS = pd.Series(np.where(TRAINING, "train", "test"))


def tuned(tuning=TUNING, labels=LABELS, parts=PARTS):
    return tune(TABLE, labels, parts, CONTRACT, CONFIG, tuning, embargo_days=9, zone="Europe/London")


def test_no_trials_leave_the_settings_as_they_are():
    assert tuned(TuneConfig()) == (CONFIG, ())


def test_the_configured_settings_are_tried_first_and_the_best_are_kept():
    config, trials = tuned()
    assert len(trials) == 4
    assert trials[0].settings == {name: getattr(CONFIG, name) for name in SEARCHED}
    best = min(trials, key=lambda trial: trial.log_loss)
    assert {name: getattr(config, name) for name in SEARCHED} == best.settings
    assert (config.seeds, config.most_trees) == (CONFIG.seeds, CONFIG.most_trees)
    for trial in trials:
        assert all(low <= trial.settings[name] <= high for name, (low, high) in SEARCHED.items())


def test_the_same_rows_and_seed_give_the_same_answer():
    assert tuned() == tuned()


def test_what_judges_the_model_is_never_looked_at():
    spoilt = LABELS.assign(label=LABELS["label"].where(TRAINING, 1 - LABELS["label"]).astype("int8"))
    assert tuned(labels=spoilt) == tuned()


def test_blocks_lie_an_embargo_after_what_is_fitted():
    at = TABLE.loc[TRAINING, "as_of"].reset_index(drop=True)
    last, before = validation_blocks(at, TUNING, 9, "Europe/London")
    day = (at - at.min()).dt.days
    assert set(day[last == "calibrate"]) == set(range(40, 50))
    assert day[last == "train"].max() == 30
    assert set(day[before == "calibrate"]) == set(range(30, 40))
    assert day[before == "train"].max() == 20


def test_too_short_a_training_time_is_said():
    with pytest.raises(NotReadyError, match="longer than 2 blocks of 30 days"):
        tuned(TuneConfig(trials=1, blocks=2, block_days=30))


def test_more_than_twenty_trials_are_no_honest_search():
    with pytest.raises(ValidationError):
        TuneConfig(trials=21)
