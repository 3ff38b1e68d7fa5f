"""The backtest: earlier cuts with what was known then, on record origin by origin."""

import pandas as pd
import pytest

from features.errors import ConfigError
from pipelines import steps, tracking
from pipelines.config import TaskConfig
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


def test_each_origin_is_judged_on_days_of_its_own(copied):
    from mlflow import MlflowClient

    periods = copied.periods.model_copy(update={"origins": 2})
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    done = steps.backtest(copied.model_copy(update={"periods": periods}), as_of, quiet)
    figures = pd.read_csv(done.page.parent / "origins.csv")
    origins = figures["origin"].unique()
    assert len(origins) == 2
    assert {"auroc", "ppv", "unseen people: auroc"} <= set(figures["measure"])
    assert (pd.Timestamp(origins[0]) - pd.Timestamp(origins[1])).days == periods.test_days
    assert "At each origin" in done.page.read_text()

    client = MlflowClient(tracking.tracking_uri(Service(copied).workspace))
    runs = client.search_runs([client.get_experiment_by_name(tracking.BACKTESTS).experiment_id])
    nested = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert set(nested) == set(origins)
    assert nested[origins[0]].data.params["rows"] != nested[origins[1]].data.params["rows"]
    learned = [pd.Timestamp(nested[name].data.params["blocks.calibrate.last_as_of"].strip('"')) for name in origins]
    assert (learned[0] - learned[1]).days == periods.test_days
    assert tracking.holder(Service(copied).workspace, tracking.CHALLENGER) is None


def test_a_task_with_a_split_of_its_own_has_no_origins(trained):
    table = {"path": "index.parquet"}
    task = TaskConfig.model_construct(index=table, outcomes=table)
    as_of = steps.as_of_day(trained, steps.simulated_last_day(trained))
    with pytest.raises(ConfigError, match="must choose its own cuts"):
        steps.backtest(trained.model_copy(update={"task": task}), as_of, quiet)
