"""The gate, line by line: what passes, what is refused, and in which words."""

from dataclasses import fields

import pandas as pd
import pytest
from pydantic import ValidationError

from features.table import FeatureInfo, make_contract
from models.bundle import Bundle
from models.calibration import Calibration
from models.evaluation import Evaluation
from models.gate import LINEAGE, figures, gate
from models.logistic import Logistic
from models.settings import LIGHTGBM, GateConfig

CONTRACT = make_contract((FeatureInfo("count_call_7d", "calls", "count", "call", 7, 1, 0.0),), "a test")
LINEAGE_FULL = dict.fromkeys(LINEAGE, "known") | {
    "contract": CONTRACT.fingerprint,
    "blocks": {"train": {"rows": 1}, "calibrate": {"rows": 1}},
}
LIMITS = GateConfig()


def bundle(**lineage):
    return Bundle(
        (), Logistic(0.0, (), 1.0), {LIGHTGBM: Calibration()}, CONTRACT, LINEAGE_FULL | lineage, LIGHTGBM, 0.0, 1
    )


def judged(ppv_gain=(0.02, 0.01, 0.03), eo=1.0, slope=1.0, admissions=200, groups=()):
    """An evaluation of a model whose PPV is 0.08, beside one that it is `ppv_gain` above and a rule with nothing."""
    measures = {"ppv": (0.08, 0.07, 0.09), "expected_over_observed": (eo, eo - 0.1, eo + 0.1)}
    measures |= {"calibration_slope": (slope, slope - 0.1, slope + 0.1)}
    overall = [("lightgbm", measure, *value) for measure, value in measures.items()]
    overall += [("champion", "ppv", 0.08 - ppv_gain[0], 0.05, 0.07), ("points", "ppv", 0.08 - ppv_gain[0], 0.05, 0.07)]
    overall += [("worse rule", "ppv", 0.01, 0.0, 0.02)]
    names = ["model", "measure", "value", "low", "high"]
    gains = [(model, "ppv", *ppv_gain) for model in ("champion", "points")] + [("worse rule", "ppv", 0.07, 0.06, 0.08)]
    group_names = ["group", "value", "admissions", "lead", "other", "difference", "low", "high"]
    made = {field.name: pd.DataFrame() for field in fields(Evaluation)} | {
        "lead": "lightgbm",
        "overall": pd.DataFrame(overall, columns=names),
        "differences": pd.DataFrame(gains, columns=names),
        "contrasts": pd.DataFrame(list(groups), columns=group_names),
        "overlap": pd.DataFrame([("lightgbm", 1.0), ("champion", 0.75)], columns=["model", "share"]),
        "counts": {"admissions": admissions},
    }
    return Evaluation(**made)


def failed(evaluation, champion="champion", model=None, limits=LIMITS, contract=CONTRACT.fingerprint):
    lines = gate(evaluation, model or bundle(), contract, limits, ["points", "worse rule"], champion)
    return {line.name: line.says for line in lines if not line.passed}


def test_a_group_without_a_figure_is_not_let_pass_and_none_to_compare_is_said():
    unknown = [("team", "T1", 50, float("nan"), 0.4, float("nan"), float("nan"), float("nan"))]
    assert "groups" in failed(judged(groups=unknown))
    said = {
        line.name: line.says for line in gate(judged(), bundle(), CONTRACT.fingerprint, LIMITS, ["points"], "champion")
    }
    assert said["groups"] == "not compared: no group has 20 admissions"


@pytest.mark.parametrize("champion", ["champion", None])
def test_a_better_model_passes(champion):
    assert failed(judged(), champion) == {}


def test_an_equal_model_passes_against_a_champion_but_is_no_first_one():
    equal = judged(ppv_gain=(0.0, -0.005, 0.005))
    assert failed(equal) == {}
    assert list(failed(equal, champion=None)) == ["yield"]
    assert "above 'points' by 0.0000 (-0.0050 to 0.0050)" in failed(equal, champion=None)["yield"]


def test_a_first_model_is_above_the_best_rule_and_hardly_below_it_at_worst():
    # The rule's PPV is 0.06; a tenth of it is 0.006.
    assert failed(judged(ppv_gain=(0.02, -0.0059, 0.04)), champion=None) == {}
    assert list(failed(judged(ppv_gain=(0.02, -0.0061, 0.04)), champion=None)) == ["yield"]
    demanding = GateConfig(gain_over_rules=0.03)
    assert list(failed(judged(), champion=None, limits=demanding)) == ["yield"]


def test_a_model_that_may_be_worse_is_refused_with_the_figures():
    # The champion's PPV is 0.08; a tenth of it is 0.008.
    assert failed(judged(ppv_gain=(0.0, -0.0079, 0.02))) == {}
    says = failed(judged(ppv_gain=(0.0, -0.0081, 0.02)))["yield"]
    assert "difference 0.0000 (-0.0081 to 0.0200), whose low end must be at least -0.0080" in says


def test_a_figure_that_is_not_defined_does_not_pass():
    nothing = float("nan")
    unknown = judged(ppv_gain=(nothing,) * 3, eo=nothing, slope=nothing)
    assert set(failed(unknown)) == {"yield", "expected over observed", "calibration slope"}


@pytest.mark.parametrize("limits", [(0.79, False), (0.8, True), (1.25, True), (1.26, False)])
def test_calibration_must_be_within_its_limits(limits):
    value, passes = limits
    assert ("expected over observed" not in failed(judged(eo=value))) is passes


def test_a_slope_far_from_one_is_refused():
    assert list(failed(judged(slope=0.6))) == ["calibration slope"]
    assert list(failed(judged(slope=1.5))) == ["calibration slope"]


def test_too_few_admissions_show_nothing():
    assert failed(judged(admissions=49)) == {"admissions": "49 admissions in the test period, 50 needed"}


def test_a_group_that_is_materially_worse_off_is_named():
    worse = ("home", "care home", 40, 0.20, 0.40, -0.20, -0.30, -0.10)
    assert failed(judged(groups=[worse]))["groups"].endswith("home 'care home': 0.20, the champion's 0.40")
    by_chance = ("home", "care home", 40, 0.20, 0.40, -0.20, -0.50, 0.10)
    a_little = ("sex", "male", 40, 0.35, 0.40, -0.05, -0.08, -0.02)
    few = ("age", "18 to 64", 19, 0.0, 0.40, -0.40, -0.60, -0.20)
    assert failed(judged(groups=[by_chance, a_little, few])) == {}
    assert "groups" not in failed(judged(groups=[worse]), champion=None)


def test_a_model_that_could_not_be_built_again_is_refused():
    assert "lacks batches, rows" in failed(judged(), model=bundle(batches="", rows=None))["lineage"]
    assert "lacks blocks.calibrate" in failed(judged(), model=bundle(blocks={"train": {}}))["lineage"]


def test_another_catalogues_model_is_refused():
    assert list(failed(judged(), contract="f" * 64)) == ["contract"]
    assert list(failed(judged(), model=bundle(contract="e" * 64))) == ["contract"]


def test_the_figures_of_a_decision_hold_the_gain_and_the_overlap_of_lists():
    found = figures(judged(), "champion")
    assert (found["ppv"], found["ppv_gain_low"], found["list_overlap"]) == (0.08, 0.01, 0.75)
    assert found["test_admissions"] == 200
    assert "ppv_gain" not in figures(judged(), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected_over_observed": (1.2, 0.8)},
        {"calibration_slope": (0, 1)},
        {"tolerated_loss": -0.1},
        {"least_admissions": 0},
        {"tolerated_los": 0.1},
    ],
)
def test_limits_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        GateConfig(**wrong)
