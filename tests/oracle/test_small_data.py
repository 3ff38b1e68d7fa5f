"""A service that has seen few admissions: the model that leads is not worse than the plain regression alone."""

import pytest
import yaml

from models import metrics
from models.resampling import clustered_draws, percentile_interval
from models.settings import LIGHTGBM, LOGISTIC, TrainConfig
from models.training import train
from pipelines import steps
from pipelines.config import load_config
from pipelines.judging import judged_rows, rows_for
from pipelines.service import Service
from pipelines.workspace import write_private

MARGIN = 0.02
"""Of AUROC; the trees alone lose more than this to the regression at so few admissions."""


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def data(small_config, tmp_path_factory):
    """A trust with some 240 admissions to learn from and half as many to be judged by, and its contract."""
    raw = yaml.safe_load(small_config.read_text(encoding="utf-8"))
    raw["simulator"] |= {"places": 800, "days": 360, "truth_days": 1, "start": "2025-01-01", "seed": 11}
    raw["periods"] |= {"history_days": 360, "calibration_days": 40, "test_days": 80, "test_every": 2}
    path = small_config.with_name("few.yaml")
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    config = load_config(path, tmp_path_factory.mktemp("few") / "workspace")
    (config.workspace / "identity").mkdir(parents=True, mode=0o700)
    write_private(config.workspace / "identity" / "pseudonym.key", b"9" * 64)
    as_of = steps.as_of_day(config, steps.simulated_last_day(config))
    steps.simulate(config, quiet)
    steps.ingest(config, as_of, quiet)
    service = Service(config)
    return rows_for(service, as_of, quiet), service.catalogue.contract


def gain(bundle, frame, labels, model):
    """How much higher the model's AUROC is than the regression's, with its paired interval by person."""
    usable = (labels["state"] == "usable").to_numpy()
    rows, label = frame[usable], labels.loc[usable, "label"]
    measured = [metrics.discrimination_of(label, bundle.score(rows, name)["score"]) for name in (model, LOGISTIC)]
    draws = clustered_draws(lambda weights: [one(weights).auroc for one in measured], rows["person_id"])
    return percentile_interval(draws[:, 0] - draws[:, 1])


def test_at_240_admissions_the_leading_model_is_not_worse_than_the_regression(data):
    rows, contract = data
    bundle = train(rows.frame, rows.labels, rows.parts, contract, TrainConfig())
    assert 180 <= bundle.lineage["blocks"]["train"]["admissions"] <= 300
    frame, labels = judged_rows(rows)
    assert gain(bundle, frame, labels, bundle.lead).low > -MARGIN
    assert gain(bundle, frame, labels, LIGHTGBM).low < -MARGIN
