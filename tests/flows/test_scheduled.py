"""The real scheduler on real databases: schedules that run, days with faults, a database that is lost.

One small trust for all of it, in the order of its days. Prefect, MLflow and the exposure log are in PostgreSQL, where
its binaries are.
"""

import os
import signal
import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from conftest import SMALL
from postgres import PASSWORD, VARIABLE, postgres

from features.errors import BusyError, StorageError
from pipelines import disturbing, steps
from pipelines.disturbing import Fault
from pipelines.month import (
    DEPLOYMENT,
    TRIES,
    Morning,
    Plan,
    Scheduler,
    Try,
    as_markdown,
    by_hand,
    morning,
    prepared,
    tabled,
)
from pipelines.service import Service
from pipelines.serving import asked, descendants, free_port, running

pytestmark = pytest.mark.timeout(900)
CONFIGS = Path(__file__).parents[2] / "configs"
LAST = date(2026, 3, 31)
FAULTS = {1: Fault.TWICE, 2: Fault.KILLED, 3: Fault.CORRUPT}
"""On the third, the 29th of March, the clock is changed too. The fourth and fifth day are left to the later tests."""


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def database():
    with pytest.MonkeyPatch.context() as patch, postgres(free_port()) as server:
        patch.setenv(VARIABLE, PASSWORD)
        server.create(["prefect", "mlflow", "exposure"])
        yield server


@pytest.fixture(scope="module")
def trust(database, tmp_path_factory):
    """The small trust on the eve of five days: its service as it is served, and what will be delivered."""
    folder = tmp_path_factory.mktemp("scheduled")
    raw = yaml.safe_load((CONFIGS / "simulated.yaml").read_text(encoding="utf-8")) | SMALL
    raw["databases"] = {"prefect": database.url("prefect", "asyncpg"), "mlflow": database.url("mlflow")}
    raw["exposure"] = {"url": database.url("exposure")}
    for name in ("features", "sources", "worlds"):
        (folder / name).symlink_to(CONFIGS / name)
    (folder / "small.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    plan = Plan(folder / "small.yaml", folder / "month", CONFIGS / "prefect.yaml", LAST, 5, places=400, faults=FAULTS)
    served, arrivals = prepared(plan, quiet)
    return plan, served, arrivals


def test_mornings_with_faults_by_the_real_scheduler(trust):
    plan, served, arrivals = trust
    days = [plan.first + timedelta(days=number) for number in range(3)]
    with Scheduler(served, quiet) as scheduler:
        told = [morning(scheduler, plan.fault(day), day, arrivals, quiet) for day in days]
        with pytest.raises(BusyError, match="Only one scheduler"), running(served, quiet):
            pass
    runs = [[one.state for one in day.tries] for day in told]
    assert sorted(runs[0])[0] == "Completed"
    assert len(runs[0]) == 2
    assert runs[1:] == [["Crashed", "Completed"], ["Failed", "Completed"]]
    assert "must be comma-separated text" in told[2].tries[0].said
    assert [day.tries[0].lists for day in told] == ["fresh", "awaited", "blocked"]
    assert [day.seen[0] for day in told] == ["fresh"] * 3
    assert [day.clock for day in told] == ["", "", "clock change: 23 hours since the last cut"]
    table = tabled(told)
    assert table["recovered"].tolist()[1:] == ["28-Mar 06:30", "29-Mar 06:30"]
    assert "UTC" not in "".join(table["runs"])


@pytest.fixture(scope="module")
def serving(trust, tmp_path_factory):
    """`minusnine serve` in a process of its own, with the shipped deployments but for an interval in place of the
    morning's hours."""
    plan, served, arrivals = trust
    disturbing.deliver(arrivals, datetime(2026, 3, 30, 6, 0, tzinfo=ZoneInfo("Europe/London")))
    path = by_hand(CONFIGS / "prefect.yaml", tmp_path_factory.mktemp("deployments") / "prefect.yaml")
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    raw["deployments"][0]["schedules"] = [{"interval": 10}]
    raw["deployments"][0]["parameters"] |= {"as_of": "2026-03-30T06:00:00+01:00"}
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    port, log = free_port(), path.with_name("log")
    words = ["serve", "--config", served.config, "--port", port, "--deployments", path]
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", "from pipelines.cli import main; main()", *map(str, words)],
            env=os.environ | {"PREFECT_WORKER_QUERY_SECONDS": "1", "PYTHONWARNINGS": "ignore"},
            stdout=said,
            stderr=said,
        )
    yield process, f"http://127.0.0.1:{port}/api", log
    process.kill()
    process.wait()


def completed(api):
    """The runs that a schedule made and that completed, the newest first."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}, "sort": "END_TIME_DESC", "limit": 50}
    return [run for run in asked(f"{api}/flow_runs/filter", wanted) if run["auto_scheduled"]]


def test_a_scheduled_run_appears_and_completes(trust, serving):
    """Nothing else catches a scheduler that silently creates no runs, as Prefect's does with SQLAlchemy 2.1."""
    _, served, _ = trust
    _, api, log = serving
    first = within(240, lambda: completed(api))[0]
    assert first["deployment_id"] == asked(f"{api}/deployments/name/{DEPLOYMENT}")["id"]
    assert (served.service.workspace / "lists" / "2026-03-30" / "run.json").is_file()
    assert f"Prefect's pages: {api.removesuffix('/api')}" in log.read_text()


def test_schedules_go_on_when_their_database_was_lost_and_is_back(serving, database):
    _, api, log = serving
    database.lose()
    within(120, lambda: "does not reach its database" in log.read_text())
    database.start()
    within(120, lambda: "database is back" in log.read_text())
    last = completed(api)[0]["end_time"]
    within(240, lambda: completed(api)[0]["end_time"] > last)


def test_the_scheduler_ends_cleanly_when_it_is_told_to(serving):
    process, _, log = serving
    family = descendants(process.pid)
    assert len(family) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, log.read_text()
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)


def within(seconds, found):
    """What is found, once it is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if answer := found():
                return answer
        except OSError:
            pass
        time.sleep(0.5)
    pytest.fail(f"nothing was found within {seconds} seconds")


def test_every_day_is_made_again_from_the_record_equal(trust):
    plan, served, _ = trust
    found = steps.replay(served.service, plan.first, plan.last, quiet)
    assert not any(one.difference for one in found)
    assert len(found) == 4
    exposures = Service(served.service).exposures
    assert len(exposures.versions()) == 4
    assert len(exposures.listed()) == exposures.versions()["listed"].sum() > 100


def test_the_exposure_log_refuses_changes_in_postgresql_too(trust, database):
    import psycopg

    place = f"host=127.0.0.1 port={database.port} user=minusnine password={PASSWORD} dbname=exposure"
    with psycopg.connect(place, autocommit=True) as connection:
        for statement in ("update exposures set rank = 1", "delete from exposures", "delete from publications"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                connection.execute(statement)


def test_a_database_that_is_lost_is_one_sentence_and_the_day_is_made_when_it_is_back(trust, database):
    plan, served, arrivals = trust
    as_of = steps.as_of_day(served.service, plan.last)
    disturbing.deliver(arrivals, as_of)
    database.lose()
    for asks in (
        lambda: steps.daily(served.service, as_of, as_of, quiet),
        lambda: Service(served.service).exposures.versions(),
        lambda: running(served, quiet).__enter__(),
    ):
        with pytest.raises(StorageError, match="nothing listens there") as lost:
            asks()
        assert PASSWORD not in str(lost.value)
        assert "127.0.0.1" not in str(lost.value)
    assert steps.status(served.service, as_of).state == "blocked"
    database.start()
    assert steps.daily(served.service, as_of, as_of, quiet).published.changed
    assert steps.status(served.service, as_of).state == "fresh"


def test_no_record_or_log_holds_the_password(trust):
    plan, _, _ = trust
    files = [path for path in plan.folder.rglob("*") if path.is_file()]
    assert any(path.name == "server.log" for path in files)
    assert not [path.name for path in files if PASSWORD.encode() in path.read_bytes()]


def test_the_table_says_when_the_lists_stood_again_after_a_day_without():
    zone = ZoneInfo("Europe/London")

    def told(day, fault, *tries):
        ended = [Try(datetime.combine(day, clock, zone), *one) for clock, one in zip(TRIES, tries, strict=False)]
        return Morning(day, fault, "", tuple(ended), (tries[-1][2], "Words."))

    late = ("Failed", "The feed 'community' is late.", "blocked")
    eve = date(2026, 3, 8)
    days = [
        told(eve, Fault.LATE, ("Completed", "", "fresh")),
        told(eve + timedelta(days=1), Fault.NONE, late, late, late),
        told(eve + timedelta(days=2), Fault.NONE, late, ("Completed", "", "held back")),
    ]
    table = tabled(days)
    assert table["recovered"].tolist() == ["", "10-Mar 06:30", "10-Mar 06:30"]
    assert table["happened"].tolist() == [Fault.LATE.value, "still no community extract", ""]
    assert table["said"].tolist() == ["", late[1], late[1]]
    assert as_markdown(table).count("\n") == 5
