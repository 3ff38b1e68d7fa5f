"""Floors and ceiling against what could be known at all."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.evaluation import Evaluation
from models.proof import against_truth, proof
from models.resampling import Resampling

RIGHT = pd.DataFrame({"measure": ["expected_over_true", "slope_on_true"], "value": 1.0, "low": 0.97, "high": 1.03})


def judged(auroc=(-0.01, -0.02, 0.0), precision=(-0.01, -0.02, 0.001), ppv=(-0.004, -0.01, 0.002), listed=0.37):
    """A model beside a bound whose AUROC is 0.8, average precision 0.1, PPV 0.08 and share listed 0.4 on each day."""
    names = ["model", "measure", "value", "low", "high"]
    best = {"auroc": 0.8, "average_precision": 0.1, "ppv": 0.08}
    gains = {"auroc": auroc, "average_precision": precision, "ppv": ppv}
    bounds = ("filter", "filter in time")
    overall = [(bound, measure, value, value, value) for bound in bounds for measure, value in best.items()]
    days = [
        (model, day, share, share, share) for model, share in (("m", listed), ("filter in time", 0.4)) for day in (1, 2)
    ]
    made = {field.name: pd.DataFrame() for field in fields(Evaluation)} | {
        "lead": "m",
        "overall": pd.DataFrame(overall, columns=names),
        "differences": pd.DataFrame([(b, m, *gain) for b in bounds for m, gain in gains.items()], columns=names),
        "lead_time": pd.DataFrame(days, columns=["model", "days_before", "share", "low", "high"]),
    }
    return Evaluation(**made)


def failed(evaluation, truth=RIGHT, bound="filter in time"):
    return {line.name for line in proof(evaluation, truth, "filter", bound) if not line.passed}


def test_a_model_near_the_best_that_was_in_time_passes():
    assert failed(judged()) == set()


def test_a_model_above_what_nobody_could_know_is_a_leak():
    assert failed(judged(auroc=(0.01, 0.001, 0.02))) == {"no leak"}
    assert failed(judged(precision=(0.01, 0.001, 0.02))) == {"no leak"}
    assert failed(judged(auroc=(0.01, -0.001, 0.02))) == set()


def test_a_floor_fails_where_the_whole_interval_lies_below_it():
    assert failed(judged(auroc=(-0.03, -0.05, -0.016))) == {"AUROC"}
    assert failed(judged(auroc=(-0.03, -0.05, -0.014))) == set()
    assert failed(judged(ppv=(-0.01, -0.02, -0.0065))) == {"PPV at capacity, share of 'filter in time'"}
    assert failed(judged(precision=(-0.03, -0.05, -0.016))) == {"average precision, share of 'filter in time'"}
    assert failed(judged(listed=0.35)) == {f"listed on day -{day}, share of 'filter in time'" for day in (1, 2)}


def test_without_a_bound_that_was_in_time_there_are_no_floors():
    assert failed(judged(auroc=(-0.3, -0.4, -0.2)), bound=None) == set()


@pytest.mark.parametrize(
    ("measure", "name"), [("expected_over_true", "expected over true"), ("slope_on_true", "slope on true")]
)
def test_risks_that_are_not_the_truth_fail(measure, name):
    wrong = RIGHT.assign(value=1.0)
    wrong.loc[wrong["measure"] == measure, ["value", "low", "high"]] = (1.5, 1.4, 1.6)
    assert failed(judged(), wrong) == {name}


def test_against_truth_recovers_how_risks_were_spoilt():
    draw = np.random.default_rng(3)
    people = np.repeat(np.arange(2000), 5)
    logits = np.repeat(draw.normal(-4, 1, 2000), 5)
    truth = expit(logits)
    exact = against_truth(truth, truth, people, Resampling(draws=50)).set_index("measure")["value"]
    assert exact["expected_over_true"] == pytest.approx(1)
    assert exact["slope_on_true"] == pytest.approx(1)
    spoilt = against_truth(expit(-1 + 2 * logits), truth, people, Resampling(draws=50)).set_index("measure")
    assert spoilt.loc["slope_on_true", "value"] == pytest.approx(0.5, abs=1e-6)
    assert spoilt.loc["slope_on_true", "low"] <= 0.5 <= spoilt.loc["slope_on_true", "high"] + 1e-9
    assert spoilt.loc["expected_over_true", "value"] == pytest.approx(expit(-1 + 2 * logits).sum() / truth.sum())
