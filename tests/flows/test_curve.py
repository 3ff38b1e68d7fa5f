"""The optional curve of the nine days, from the configuration to a person's page and MLflow's pyfunc."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from models.bundle import load
from models.settings import WITHIN
from pipelines import steps, tracking
from pipelines.building import snapshot
from pipelines.service import Service

CLEAN = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
folder, rows, answer = sys.argv[1:]
mlflow.pyfunc.load_model(folder).get_raw_model().curve(pd.read_parquet(rows)).to_parquet(answer)
assert not {"prefect", "pipelines", "deltalake"} & set(sys.modules), "it must need MLflow and our models only"
"""


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def curved(trained, tmp_path_factory):
    """The small trust, trained again with a curve, which its champion now has."""
    folder = tmp_path_factory.mktemp("curved") / "workspace"
    shutil.copytree(trained.workspace, folder, symlinks=True)
    training = trained.training.model_copy(update={"curve": True})
    config = trained.model_copy(update={"workspace": folder, "training": training})
    steps.train(config, steps.as_of_day(config, steps.simulated_last_day(config)), quiet)
    steps.promote(config, "a test", quiet).require()
    return config


def frame_of(config):
    service = Service(config)
    as_of = steps.as_of_day(config, steps.simulated_last_day(config))
    with service.workers() as over:
        return snapshot(service.history, config, service.catalogue, as_of, over).frame


def test_a_model_without_a_curve_keeps_none_and_tells_of_none(trained):
    folder = tracking.champion(Service(trained).workspace).bundle
    assert load(folder).tilt is None
    assert not (folder / "curve.json").exists()
    reports = trained.workspace / "evaluation" / folder.name
    assert "When in the nine days" not in (reports / "report.html").read_text()
    assert not (reports / "by_day.csv").exists()
    assert "A curve says" not in (reports / "model-card.md").read_text()


def test_a_trained_curve_is_judged_and_written_down(curved):
    bundle = load(tracking.champion(Service(curved).workspace).bundle)
    evidence = steps.evaluate(curved, quiet)
    assert "When in the nine days" in evidence.page.read_text()
    by_day = pd.read_csv(evidence.page.parent / "by_day.csv")
    assert by_day.groupby("who")["day"].agg(list).to_dict() == dict.fromkeys(["everyone", "listed"], [*range(1, 10)])
    last = by_day[(by_day["who"] == "everyone") & (by_day["day"] == 9)].iloc[0]
    figures = json.loads((evidence.page.parent / "metrics.json").read_text())
    whole = figures["models"][bundle.lead]["expected_over_observed"]
    assert last["expected_over_observed"] == pytest.approx(whole["value"])
    assert last["expected_over_observed_low"] == pytest.approx(whole["low"])
    timing = pd.read_csv(evidence.page.parent / "timing.csv").set_index("measure")
    assert figures["timing"]["day_log_loss"]["curve"] == pytest.approx(timing.loc["day_log_loss", "curve"])
    assert "A curve says" in (evidence.page.parent / "model-card.md").read_text()


def test_a_persons_page_says_when_and_the_ranking_is_as_without(curved, trained):
    as_of = steps.as_of_day(curved, steps.simulated_last_day(curved))
    made = steps.daily(curved, as_of, as_of, quiet)
    pages = [path.read_text() for path in made.published.folder.rglob("people/*.html")]
    assert pages
    assert all("of this chance falls within three days" in page for page in pages)
    frame = frame_of(curved)
    ours, theirs = (load(tracking.champion(Service(config).workspace).bundle) for config in (curved, trained))
    pd.testing.assert_frame_equal(ours.score(frame), theirs.score(frame), check_exact=True)
    (again,) = steps.replay(curved, as_of.date(), as_of.date(), quiet)
    assert again.difference == ""
    assert again.rows >= made.published.listed


def test_mlflows_pyfunc_gives_the_same_curve_in_a_clean_process(curved, in_a_clean_process):
    frame = frame_of(curved).head(50)
    told = in_a_clean_process(curved, CLEAN, frame)
    bundle = load(tracking.champion(Service(curved).workspace).bundle)
    pd.testing.assert_frame_equal(told, bundle.curve(frame), check_exact=True)
    curve = told[list(WITHIN)].to_numpy()
    assert (np.diff(curve, axis=1) > 0).all()
    assert (curve[:, -1] == bundle.score(frame)["risk"].to_numpy()).all()
