"""Who is champion: a challenger waits, passes the gate or is refused in words, and the one before can be brought back.

Everything is on record.
"""

import shutil
from pathlib import Path

import pytest

from features.errors import ConfigError, ContractError, NotReadyError, RefusedError
from models.gate import Line
from models.settings import GateConfig, TuneConfig
from pipelines import steps, tracking
from pipelines.evidence import Evidence
from pipelines.promotion import Decision
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


def holders(config):
    workspace = Service(config).workspace
    found = (tracking.holder(workspace, alias) for alias in (tracking.CHAMPION, tracking.CHALLENGER))
    return tuple(one.version if one else None for one in found)


def decisions(config):
    """The recorded decisions, oldest first: parameters and figures of each."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking.tracking_uri(Service(config).workspace))
    experiment = client.get_experiment_by_name(tracking.DECISIONS)
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    return [(run.data.params, run.data.metrics) for run in runs]


TUNING = TuneConfig(trials=2, blocks=1, block_days=21)


def trials(config):
    """How many nested runs with a log loss the newest training has."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking.tracking_uri(Service(config).workspace))
    experiment = client.get_experiment_by_name(tracking.TRAINING)
    parent = tracking.holder(Service(config).workspace, tracking.CHALLENGER).run_id
    nested = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert all(0 < run.data.metrics["log_loss"] < 1 and "leaves" in run.data.params for run in nested)
    return len(nested)


@pytest.fixture
def other_features(copied, tmp_path, small_config):
    """The copied trust with a catalogue that has one feature less."""
    configs = tmp_path / "configs"
    shutil.copytree(small_config.parent / "features", configs / "features")
    catalogue = configs / "features" / "community.yaml"
    text = catalogue.read_text()
    less = text.replace("      - {mean: waterlow, days: 365}\n", "")
    assert less != text
    catalogue.write_text(less)
    return copied.model_copy(update={"folder": configs})


def test_the_first_model_is_champion_by_the_gate_and_that_is_on_record(trained):
    assert holders(trained) == ("1", None)
    (told, figures), *_ = decisions(trained)
    assert (told["decision"], told["model"], told["standing"]) == ("promoted", "1", "none")
    assert told["by"] == "the training, as no champion stood"
    assert told["line.yield"].startswith("passed: PPV at capacity")
    assert 0 < figures["ppv"] < 1


def test_a_challenger_is_refused_promoted_and_taken_back(copied, other_features):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    made = steps.train(other_features.model_copy(update={"tuning": TUNING}), as_of, quiet)
    assert made.decision is None
    assert trials(copied) == 2
    assert holders(copied) == ("1", "2")

    strict = other_features.model_copy(update={"promotion": GateConfig(least_admissions=10_000)})
    decision = steps.promote(strict, "A. Lead", quiet)
    with pytest.raises(RefusedError, match=r"failed admissions: \d+ admissions .* So model 1 stays champion"):
        decision.require()
    assert holders(copied) == ("1", "2")

    # The champion is judged with the features that it was trained on, which the catalogue does not have any more.
    assert steps.promote(other_features, "A. Lead", quiet).promoted
    assert holders(copied) == ("2", None)
    told, figures = decisions(copied)[-1]
    assert (told["decision"], told["standing"], told["by"]) == ("promoted", "1", "A. Lead")
    assert {"ppv_gain", "ppv_gain_low", "ppv_gain_high", "list_overlap"} <= set(figures)
    assert 0.3 < figures["list_overlap"] <= 1
    assert [told["decision"] for told, _ in decisions(copied)] == ["promoted", "refused", "promoted"]

    with pytest.raises(ContractError, match="the catalogue"):
        steps.go_back(other_features, "A. Lead")
    assert steps.go_back(copied, "A. Lead") == ("2", "1")
    assert holders(copied) == ("1", None)
    assert decisions(copied)[-1][0] == {"decision": "back", "model": "1", "standing": "2", "by": "A. Lead"}
    with pytest.raises(NotReadyError, match="model 1 was the first"):
        steps.go_back(copied, "A. Lead")


def test_without_a_challenger_there_is_nothing_to_promote(trained):
    with pytest.raises(NotReadyError, match="Run `minusnine train` first"):
        steps.promote(trained, "A. Lead", quiet)


@pytest.mark.parametrize("by", ["", " ", "999 000 0018", "patient 9990000018", "x" * 65])
def test_who_decides_is_a_name_and_no_number(trained, by):
    with pytest.raises(ConfigError, match="--by must name who decides"):
        steps.promote(trained, by, quiet)


def test_a_refused_first_model_is_said_with_every_line_that_failed():
    lines = (Line("lineage", True, "all is there"), Line("yield", False, "too low"), Line("slope", False, "0.2"))
    refused = Decision("1", None, False, lines, "the training", Evidence(Path("report.html"), {}))
    with pytest.raises(
        RefusedError, match=r"it failed yield: too low; slope: 0\.2\. So there is no champion\. .*report.html"
    ):
        refused.require()


def test_a_registry_that_cannot_be_read_is_not_one_without_a_champion(trained, monkeypatch):
    from mlflow import MlflowClient, MlflowException

    def locked(*_given):
        message = "database is locked"
        raise MlflowException(message)

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", locked)
    with pytest.raises(MlflowException, match="locked"):
        tracking.holder(Service(trained).workspace, tracking.CHAMPION)
