"""A real hospital log that nobody here wrote, through the documented general input (skips where it is absent)."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines import steps
from pipelines.config import load_config
from pipelines.given import given_dataset
from pipelines.service import Service
from pipelines.training import train
from pipelines.watched_inputs import edges_to, end_of, inputs

CONFIG = Path(__file__).parents[2] / "configs" / "bpic2011.yaml"
NOW = datetime(2100, 1, 1, tzinfo=UTC)


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def log(real_data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINUSNINE_DATA", str(real_data))
        config = load_config(CONFIG, tmp_path_factory.mktemp("bpic") / "workspace")
    done = steps.ingest(config, NOW, quiet)
    assert (done.rows, done.rejected) == (150_291, 0)
    return Service(config)


def test_the_task_is_the_one_its_author_set(log):
    data = given_dataset(log, log.config.task, quiet)
    assert len(data.frame) == 49_219
    assert data.frame["person_id"].nunique() == 1_126
    assert round(100 * data.labels["label"].mean(), 2) == 3.93
    train_rows, test_rows = (data.frame[(data.parts == part).to_numpy()] for part in ("train", "test"))
    assert not set(train_rows["person_id"]) & set(test_rows["person_id"])
    assert train_rows["as_of"].max() < test_rows["as_of"].min()


def test_the_model_beats_the_rule_on_it(log):
    trained = train(log, NOW, quiet)
    figures = trained.evidence.metrics
    assert figures["auroc"] > 0.94
    assert figures["average_precision"] > 0.53
    measured = json.loads((trained.evidence.page.parent / "metrics.json").read_text())["models"]
    rule = measured["admissions in the last 365 days"]
    assert figures["average_precision"] > rule["average_precision"]["high"]


def test_the_urgent_laboratory_codes_that_die_are_found_in_their_quarter(log):
    """Codes that end in 'spoed' (urgent) stop in the third quarter of 2006; a few had stopped early that year."""
    as_of = end_of(log, NOW)
    assert as_of.date() == date(2008, 3, 21), "no source is a feed, so it looks back from what came last"
    edges = edges_to(log, as_of)
    found = inputs(log, edges, quiet)
    died = found.found.alarms[found.found.alarms["kind"] == "died"]
    urgent = died["code"].str.endswith("spoed")
    begins = [edges[place].date() for place in died["first"]]
    summer = [date(2006, 7, 1) <= day < date(2006, 10, 1) for day in begins]
    assert urgent.all(), "nothing else is said to have died"
    assert any(summer)
    together = {code for place in died.index[summer] for code in found.together[place]}
    assert "haemoglobine foto-electrisch - spoed" in together
    assert sum(code.endswith("spoed") for code in together) >= 4
    assert all(day.year == 2006 for day in begins)
