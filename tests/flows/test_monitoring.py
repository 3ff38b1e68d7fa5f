"""The monitor end to end on a small simulated trust: mornings whose outcomes are known, a page, tables, and MLflow."""

import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from models import decay
from models.bundle import load
from models.ranking import rank
from models.splits import TEST
from pipelines import runs, steps, tracking
from pipelines.alarms import DATA, MODEL
from pipelines.cli import app
from pipelines.judging import judged_rows, rows_for
from pipelines.monitoring import LATEST, MADE, show
from pipelines.service import Service
from pipelines.workspace import write_private

FEWEST = 5
"""Admissions that a reference needs here: the small trust has few."""


def quiet(_said):
    """Progress that nobody reads."""


def now(config):
    return steps.as_of_day(config, steps.simulated_last_day(config))


@pytest.fixture(scope="module")
def mornings(trained):
    """Everyone ranked by the champion on each of the days that it was judged on."""
    service = Service(trained)
    bundle = load(tracking.champion(service.workspace).bundle)
    frame, _ = judged_rows(data := rows_for(service, datetime.fromisoformat(bundle.lineage["as_of"]), quiet, (TEST,)))
    scores = bundle.score(frame)
    return [
        rank(
            mine,
            data.memberships[data.memberships["as_of"] == as_of],
            key=service.workspace.key(),
            capacities=trained.lists.capacities,
            model_version=bundle.fingerprint,
        )
        for as_of, mine in scores.groupby("as_of")
    ]


def publish(config, mornings, overstated=1.0):
    """The mornings as runs whose lists stand, with every risk so many times too high."""
    service = Service(config)
    for ranked in mornings:
        as_of = ranked["as_of"].iloc[0]
        day = as_of.tz_convert(config.zone).date().isoformat()
        told = {"day": day, "version": 1, "as_of": as_of.isoformat(), "notes": [], "parameters": {}, "metrics": {}}
        ranked = ranked.assign(risk=np.minimum(ranked["risk"] * overstated, 0.9))
        run = runs.keep(service.workspace, told, ranked, "", {})
        (service.workspace.lists / day).mkdir(parents=True)
        write_private(service.workspace.lists / day / runs.RUN, runs.as_json(told))
        version = {"as_of": as_of.to_pydatetime().astimezone(UTC), "version": 1, "published_at": as_of.to_pydatetime()}
        version |= {"model": "1", "lists": day, "listed": int(ranked["listed"].sum())}
        with service.exposures.appending(version, ranked):
            run.settle("none")


@pytest.fixture(scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decay, "LEAST_ADMISSIONS", FEWEST)
        yield


@pytest.fixture(scope="module")
def foreseen(trained, mornings, few, tmp_path_factory):
    """A trust whose mornings went as foreseen, and what was found of it."""
    workspace = tmp_path_factory.mktemp("foreseen") / "workspace"
    shutil.copytree(trained.workspace, workspace, symlinks=True)
    config = trained.model_copy(update={"workspace": workspace})
    publish(config, mornings)
    return config, steps.monitor(config, now(config), quiet)


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_page_of_mornings_that_went_as_foreseen(foreseen, mornings):
    config, found = foreseen
    assert not [one for one in found.alarms if one.level == MODEL]
    page = found.page.read_text(encoding="utf-8")
    assert "no sign of decay" in page
    assert f"{len(mornings)} mornings published" in page
    assert page.count("data:image/svg+xml") >= 3
    assert "http://" not in page
    assert "https://" not in page
    months = pd.read_csv(found.folder / "months.csv")
    measures = set(months.loc[months["people"] == "everyone", "measure"])
    assert {"expected_over_observed", "ppv", "recall", "listed_day_1", "listed_day_9"} <= measures
    assert set(months["people"]) >= {"everyone", "not shown"}
    assert (config.workspace / "monitoring" / LATEST).resolve() == found.folder.resolve()
    _names_nobody(config, found.folder)


def test_the_same_history_gives_the_same_bytes_and_one_run(foreseen):
    config, found = foreseen
    before = bytes_in(found.folder)
    again = steps.monitor(config, now(config), quiet)
    assert not again.changed
    assert bytes_in(again.folder) == before
    _is_in_mlflow_once(config)


def _names_nobody(config, folder):
    people = Service(config).identities.people()
    numbers = {str(number) for number in people["person_id"]}
    text = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    words = set(text.replace(",", " ").replace("<", " ").replace(">", " ").split())
    assert not numbers & words
    assert not {str(number) for number in people["nhs_number"].dropna()} & words


def _is_in_mlflow_once(config):
    client = MlflowClient(tracking.tracking_uri(Service(config).workspace))
    experiment = client.get_experiment_by_name(tracking.MONITORING)
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "decay_more")
    assert len(history) >= 4
    steps_of = [point.step for point in history]
    assert sorted(set(steps_of)) == sorted(steps_of)
    assert {step % 7 for step in steps_of} == {steps_of[0] % 7}, "steps are the days on which periods end"


def test_risks_that_no_longer_hold_are_an_alarm_that_a_person_is_told_of(copied, mornings, few):
    publish(copied, mornings, overstated=12)
    champion = tracking.champion(Service(copied).workspace).version
    found = steps.monitor(copied, now(copied), quiet)
    of_model = {one.check: one for one in found.news if one.level == MODEL}
    alarm = of_model[decay.FEWER]
    assert "Fewer admissions than the risks say" in alarm.what
    assert "challenger" in alarm.do
    assert f"{len(of_model)} about the model" in found.page.read_text(encoding="utf-8")
    assert json.loads((found.folder / "metrics.json").read_text())["alarms"][MODEL] == len(of_model)
    assert tracking.champion(Service(copied).workspace).version == champion, "it tells, and changes nothing"


def test_before_anything_is_settled_it_says_so(copied, small_config):
    runner = CliRunner()
    named = ["monitor", "--config", str(small_config), "--workspace", str(copied.workspace), "--strict"]
    told = runner.invoke(app, named)
    page = (copied.workspace / "monitoring" / LATEST / "report.html").read_text(encoding="utf-8")
    assert "The model is not judged yet" in page
    news = json.loads((copied.workspace / "monitoring" / LATEST / "metrics.json").read_text())["alarms"]
    assert told.exit_code == (1 if news[DATA] or news[MODEL] else 0), told.output


def test_a_page_is_shown_whole_or_not_at_all(tmp_path, monkeypatch):
    show(tmp_path, "2026-01-12", {"report.html": "first"}, "a" * 64)
    written = []

    def fails(path, content):
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        write_private(path, content)

    with monkeypatch.context() as broken:
        broken.setattr("pipelines.monitoring.write_private", fails)
        with pytest.raises(OSError, match="No space"):
            show(tmp_path, "2026-01-12", {"report.html": "second", "alarms.csv": ""}, "b" * 64)
    assert (tmp_path / "2026-01-12" / "report.html").read_text() == "first"
    assert show(tmp_path, "2026-01-12", {"report.html": "second"}, "b" * 64)
    assert (tmp_path / LATEST / "report.html").read_text() == "second"
    assert len(list((tmp_path / MADE).iterdir())) == 1, "what it replaced is gone"
    assert not show(tmp_path, "2026-01-12", {"report.html": "second"}, "b" * 64)
    show(tmp_path, "2026-01-05", {"report.html": "older"}, "c" * 64)
    assert (tmp_path / LATEST / "report.html").read_text() == "second", "an older day does not become the newest"
