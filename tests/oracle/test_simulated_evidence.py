"""On the small simulated trust, whose truth is known: nothing leaks, a planted leak is caught, noise teaches nothing.

Its few admissions make wide intervals, so that these tests ask for what they can show; `minusnine prove` on a whole
trust has the floors, and docs/evidence.md its figures.
"""

import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from features.errors import NotReadyError
from models import metrics
from models.bundle import load
from models.resampling import clustered_draws
from models.training import train
from pipelines import proving, steps, tracking
from pipelines.judging import judged_rows, rows_for
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def service(trained, tmp_path_factory):
    """The trained small trust with a workspace of its own."""
    workspace = tmp_path_factory.mktemp("proving") / "workspace"
    shutil.copytree(trained.workspace, workspace, symlinks=True)
    return Service(trained.model_copy(update={"workspace": workspace}))


@pytest.fixture(scope="module")
def bundle(service):
    return load(tracking.champion(service.workspace).bundle)


@pytest.fixture(scope="module")
def true(service):
    return proving.truth(service)


@pytest.fixture(scope="module")
def whole(service, bundle):
    """Every row, also of days whose truth was not written."""
    return rows_for(service, datetime.fromisoformat(bundle.lineage["as_of"]), quiet)


@pytest.fixture(scope="module")
def data(whole, true):
    return proving.with_truth(whole, true)


def taught(service, data):
    config = service.config.training
    return train(data.frame, data.labels, data.parts, service.catalogue.contract, config)


def lines(service, bundle, data, true):
    _, found = proving.held(bundle, data, true, service)
    return {line.name: line for line in found}


def test_the_truth_is_of_the_people_on_the_caseload(data, true):
    frame, _ = judged_rows(data)
    assert set(proving.BOUNDS.values()) >= set(true.columns.drop(["person_id", "as_of"])) >= {"oracle", "filter"}
    assert len(frame) > 5000
    assert len(frame.merge(true, on=["person_id", "as_of"])) == len(frame)


def test_floors_are_held_against_what_was_on_record_or_in_an_older_truth_in_time(true):
    assert proving.bound_of(true) == "filter of the records"
    older = true.drop(columns="filter of the records")
    assert proving.bound_of(older) == "filter in time"
    assert proving.bound_of(older.drop(columns="filter in time")) is None


def test_the_true_admissions_are_those_of_the_people_on_the_caseload(service):
    days = proving.truth(service, {"hazard": "hazard"})
    admitted = proving.true_admissions(service).assign(admitted=1)
    found = days.merge(admitted, on=["person_id", "as_of"], how="left")["admitted"].sum()
    expected = days["hazard"].sum()
    assert expected > 10
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_the_model_does_not_beat_what_could_be_known_and_its_risks_are_near_the_truth(service, bundle, data, true):
    judged, found = proving.held(bundle, data, true, service)
    by_name = {line.name: line for line in found}
    assert by_name["no leak"].passed, by_name["no leak"].says
    assert judged.figure("auroc", "oracle")[0] > judged.figure("auroc")[0] > 0.5
    # The calibration block's own admissions say how far the risks may be from the truth: 2 standard errors of a count.
    admissions = bundle.lineage["blocks"]["calibrate"]["admissions"]
    frame, labels = judged_rows(data)
    usable = (labels["state"] == "usable").to_numpy()
    risk, truth = bundle.score(frame)["risk"], frame[["person_id", "as_of"]].merge(true)["oracle"]
    assert abs(np.log(risk[usable].mean() / truth[usable].mean())) < 2 / np.sqrt(admissions) + 0.05


def test_a_planted_channel_that_knows_the_future_is_caught(service, whole, true):
    soon = whole.labels["label"].to_numpy() == 1
    planted = whole.frame.assign(count_call_7d=whole.frame["count_call_7d"] + 5 * soon)
    leaky = replace(whole, frame=planted.astype(whole.frame.dtypes.to_dict()))
    found = lines(service, taught(service, leaky), proving.with_truth(leaky, true), true)
    assert not found["no leak"].passed


def shuffled(whole):
    """The outcomes of usable rows dealt out again within each block, so that nothing foretells them."""
    labels, draw = whole.labels.copy(), np.random.default_rng(4)
    usable = (labels["state"] == "usable").to_numpy()
    for part in ("train", "calibrate", "test"):
        rows = np.flatnonzero(usable & (whole.parts == part).to_numpy())
        dealt = draw.permutation(rows)
        places = [labels.columns.get_loc(column) for column in ("label", "admitted_at", "died")]
        for place in places:
            labels.iloc[rows, place] = whole.labels.iloc[dealt, place].array
    return labels


def test_shuffled_outcomes_teach_nothing(service, whole):
    labels = shuffled(whole)
    assert labels["label"].sum() == whole.labels["label"].sum()
    try:
        model = taught(service, replace(whole, labels=labels))
    except NotReadyError as refused:
        assert "a list in its order would say nothing" in str(refused)  # noqa: PT017 - either answer is right
        return
    frame, outcomes = judged_rows(replace(whole, labels=labels))
    usable = (outcomes["state"] == "usable").to_numpy()
    measured = metrics.discrimination_of(outcomes.loc[usable, "label"], model.score(frame[usable])["score"])
    draws = clustered_draws(lambda w: measured(w).auroc, frame.loc[usable, "person_id"])
    assert abs(measured(None).auroc - 0.5) < 3 * draws.std()


def test_a_build_with_one_clock_stands_beside_with_what_it_promised(service, bundle, data, true):
    judged, _ = proving.held(bundle, data, true, service)
    as_of = datetime.fromisoformat(bundle.lineage["as_of"])
    table = proving.clocks(service, bundle, data, judged, as_of, quiet)
    assert table["build"].unique().tolist() == ["two clocks", "one clock: promised", "one clock: delivered"]
    values = table.set_index(["build", "measure"])["value"]
    assert values["two clocks", "auroc"] == judged.figure("auroc")[0]
    assert values["one clock: promised", "auroc"] != values["one clock: delivered", "auroc"]


def test_one_clock_knows_each_record_from_the_moment_it_tells_of(service):
    flat = proving.OneClock(service.workspace.history, service.config.buckets).read(0)
    two = service.history.read(0)
    contacts = flat["contacts"].to_pandas()
    assert (contacts["known_from"] == contacts["occurred_at"]).all()
    assert contacts["known_to"].isna().all()
    assert contacts["row_id"].is_unique
    assert len(contacts) < len(two["contacts"])


def test_there_is_no_proof_without_the_truth(service, copied):
    shutil.rmtree(copied.workspace / "extracts" / "truth")
    with pytest.raises(NotReadyError, match="needs a simulated trust with its truth"):
        steps.prove(copied, quiet)
