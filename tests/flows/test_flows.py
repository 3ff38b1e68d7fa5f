"""The Prefect flows are the steps: same lists, nothing about people in Prefect's records, failures told plainly."""

import json
import re
import time
import warnings
from datetime import timedelta

import pandas as pd
import pytest

from features.errors import NotReadyError, RemoteError, SourceError, StaleFeedError
from pipelines import steps


@pytest.fixture
def given(copied, small_config, tmp_path):
    """What a flow is given: the small trust's configuration over a workspace of the test's own."""
    return {"config": str(small_config), "workspace": str(copied.workspace)}


def quiet(_said):
    """Progress that nobody reads."""


def published(folder):
    """What a folder of lists holds, but for the record of the run, which says when it was."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_daily_flow_publishes_what_the_daily_step_does(flows, given, trained, tmp_path, copied):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    by_flow = flows.daily(as_of=as_of, now=as_of, **given)
    once = published(by_flow.published.folder)
    assert by_flow.published.changed
    again = steps.daily(copied, as_of, as_of, quiet)
    assert not again.published.changed
    assert published(again.published.folder) == once
    assert again.run_id == by_flow.run_id, "a day that is published again must not be logged twice"


def test_nothing_that_identifies_anyone_reaches_mlflow_or_prefect(flows, given, copied, prefect_home):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    flows.daily(as_of=as_of, now=as_of, **given)
    listed = (copied.workspace / "lists" / "latest").rglob("list.csv")
    lines = [line.split(",") for path in listed for line in path.read_text(encoding="utf-8-sig").splitlines()[1:]]
    words = {cells[1] for cells in lines} | {cells[1].replace(" ", "") for cells in lines}
    words |= {cells[2].strip('"') for cells in lines}
    assert len(words) > 20
    kept = [p for folder in (copied.workspace / "mlflow", prefect_home) for p in folder.rglob("*") if p.is_file()]
    assert kept
    for path in kept:
        content = path.read_bytes()
        found = [word for word in words if word.encode() in content]
        assert not found, f"{path.name} holds {len(found)} identities"


def test_a_late_feed_makes_no_list_and_marks_the_one_that_stands(flows, given, copied):
    last = steps.as_of_day(copied, steps.simulated_last_day(copied))
    flows.daily(as_of=last, now=last, **given)
    late = last + timedelta(days=3)
    with pytest.raises(StaleFeedError, match="'community' is late"):
        flows.daily(as_of=late, now=late, **given)
    lists = copied.workspace / "lists"
    assert (lists / "latest").resolve().name.startswith(last.date().isoformat())
    for page in (lists / "latest").rglob("*.html"):
        assert "could not be made" in page.read_text(encoding="utf-8")
    assert not (lists / late.date().isoformat()).exists()


def test_retraining_registers_a_challenger_and_only_the_promotion_that_somebody_asks_for_puts_it_to_the_gate(
    flows, given, copied, small_config
):
    from pipelines import tracking
    from pipelines.service import Service

    def stand():
        found = (
            tracking.holder(Service(copied).workspace, alias) for alias in (tracking.CHAMPION, tracking.CHALLENGER)
        )
        return [one and one.version for one in found]

    before = stand()
    trained = flows.retrain(**given)
    assert trained.decision is None
    assert stand() == [before[0], trained.version]
    decision = flows.promote(by="A. Lead", **given)
    assert decision.promoted
    assert stand() == [trained.version, None]


def test_retraining_makes_no_first_champion(trained, tmp_path):
    none = trained.model_copy(update={"workspace": tmp_path / "workspace"})
    with pytest.raises(NotReadyError, match="Run `minusnine train` for the first"):
        steps.retrain(none, steps.as_of_day(none, steps.simulated_last_day(none)), quiet)


NUMBER = "999 000 0018"


def unforeseen():
    message = f"could not convert '{NUMBER}' to a date"
    raise ValueError(message)


def foreseen():
    try:
        unforeseen()
    except ValueError as error:
        message = "The extract must hold dates; it does not."
        raise SourceError(message) from error


@pytest.mark.parametrize(
    ("step", "kind", "said"),
    [(unforeseen, RemoteError, r"ValueError in test_flows.py:\d+"), (foreseen, SourceError, "must hold dates")],
)
def test_prefect_keeps_nothing_of_what_an_error_quotes(flows, prefect_home, caplog, step, kind, said):
    from prefect import flow

    @flow(name=step.__name__, persist_result=False)
    def failing():
        flows._task(step)()

    with pytest.raises(kind, match=said):
        failing()
    time.sleep(3)  # logs are sent every other second
    kept = [path.read_bytes() for path in prefect_home.rglob("*") if path.is_file()]
    assert any(re.search(said.encode(), content) for content in kept)
    assert not any(NUMBER.encode() in content for content in kept)
    assert NUMBER not in caplog.text


def test_the_evaluate_flow_writes_the_evidence(flows, given, copied):
    evidence = flows.evaluate(**given)
    figures = json.loads((evidence.page.parent / "metrics.json").read_text())
    assert 0.5 < evidence.metrics["auroc"] < 0.9
    assert {"points", "recent discharge", "age and frailty", "lightgbm", "logistic"} <= set(figures["models"])


def test_the_evidence_is_whole_in_itself_and_says_everything_it_should(trained):
    (page,) = trained.workspace.glob("evaluation/*/report.html")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    order = ("In short", "How early", "Against what a nurse could count", "For whom", "For statisticians", "TRIPOD+AI")
    places = [text.index(title) for title in order]
    assert places == sorted(places)
    items = pd.read_csv(page.parent / "tripod-ai.csv", dtype=str)
    assert {int(re.match(r"\d+", item)[0]) for item in items["item"]} == set(range(1, 28))
    card = (page.parent / "model-card.md").read_text(encoding="utf-8")
    for words in (card, *items["answer"]):
        assert words.strip()
        assert not re.search(r"[{}]|\bnan\b", words)


def test_no_small_number_of_people_is_in_the_evidence(trained):
    (page,) = trained.workspace.glob("evaluation/*/report.html")
    groups = pd.read_csv(page.parent / "subgroups.csv")
    assert groups["group"].nunique() == 9
    assert not (groups[["people", "admissions"]] < 10).any(axis=None)
    assert groups.loc[groups["admissions"].isna(), ["ppv", "recall", "expected_over_observed"]].isna().all(axis=None)


def test_a_model_can_be_used_through_mlflows_pyfunc(trained):
    import mlflow

    from models.bundle import load
    from pipelines import tracking
    from pipelines.building import snapshot
    from pipelines.service import Service

    service = Service(trained)
    as_of = steps.as_of_day(trained, steps.simulated_last_day(trained))
    with service.workers() as over:
        frame = snapshot(service.history, trained, service.catalogue, as_of, over).frame
    champion = tracking.champion(service.workspace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(tracking.tracking_uri(service.workspace))
        by_mlflow = mlflow.pyfunc.load_model(f"models:/{tracking.MODEL}@{tracking.CHAMPION}").predict(frame)
    assert by_mlflow.tolist() == load(champion.bundle).score(frame)["risk"].tolist()


def test_a_training_repeated_is_the_same_model(copied):
    from models.bundle import load
    from pipelines import tracking
    from pipelines.service import Service

    workspace = Service(copied).workspace
    before = load(tracking.champion(workspace).bundle).fingerprint
    again = steps.train(copied, steps.as_of_day(copied, steps.simulated_last_day(copied)), quiet)
    assert load(again.bundle).fingerprint == before


def test_the_list_does_not_need_the_truth(copied, trained):
    """The pipeline with the simulator's truth removed publishes the same bytes."""
    import shutil

    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    with_truth = published(steps.daily(copied, as_of, as_of, quiet).published.folder)
    shutil.rmtree(copied.workspace / "extracts" / "truth")
    shutil.rmtree(copied.workspace / "lists")
    assert published(steps.daily(copied, as_of, as_of, quiet).published.folder) == with_truth
