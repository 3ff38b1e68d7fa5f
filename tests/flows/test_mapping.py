"""Buckets by threads, processes and a Dask cluster: the same bytes, the same sentences, and what when they die."""

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml
from chores import attempt_dying_once, dies, dies_once, doubled, not_ready, quotes_a_cell

from features.errors import ConfigError, NotReadyError, RemoteError, WorkersError
from models.splits import TEST
from pipelines import mapping, steps
from pipelines.building import dataset, snapshot
from pipelines.config import RunConfig, load_config
from pipelines.doctor import examine
from pipelines.mapping import map_buckets, opened
from pipelines.runs import RANKED
from pipelines.service import Service

ROOT = Path(__file__).parents[2]


@contextmanager
def cluster(folder, workers=2):
    """A scheduler and workers, each a process, over TCP on this machine: its address and the processes, scheduler
    first. None of them outlives the test."""
    where = folder / "scheduler.json"
    quiet = ("--no-dashboard", "--scheduler-file", where)
    alone = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--local-directory", folder)
    lines = [("scheduler", "--host", "127.0.0.1", "--port", "0", *quiet), *[("worker", *quiet, *alone)] * workers]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with ExitStack() as stack, (folder / "log").open("w") as log:
        processes = []
        for line in lines:
            words = [sys.executable, "-m", "dask", *map(str, line)]
            process = subprocess.Popen(words, cwd=folder, env=os.environ | {"PYTHONPATH": path}, stderr=log, stdout=log)
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.kill)
        while not where.exists():
            assert processes[0].poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield json.loads(where.read_text())["address"], processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the shared cluster keeps its log."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def address(folder):
    with cluster(folder) as (address, _):
        yield address


@pytest.fixture(scope="module", params=["threads", "processes", "dask"])
def run(request):
    by_dask = request.param == "dask"
    return RunConfig(by=request.param, address=request.getfixturevalue("address") if by_dask else "")


@pytest.fixture(scope="module")
def over(run):
    with opened(run) as mapper:
        yield mapper


def quiet(_said):
    """Progress that nobody reads."""


def newest(config):
    return steps.as_of_day(config, steps.simulated_last_day(config))


def frames_of(thing):
    frames = {name: value for name, value in vars(thing).items() if isinstance(value, pd.DataFrame)}
    return {f"{type(thing).__name__}.{name}": frame for name, frame in frames.items()}


def same(found, frame):
    pd.testing.assert_frame_equal(found, frame, check_exact=True)


def made(config, over, tell=quiet):
    """What the buckets are gone through for: the newest cut's caseloads, and the rows that training is judged on."""
    service, as_of = Service(config), newest(config)
    snap = snapshot(service.history, config, service.catalogue, as_of, over)
    return frames_of(snap) | frames_of(dataset(service.history, config, service.catalogue, as_of, over, tell, (TEST,)))


@pytest.fixture(scope="module")
def expected(trained):
    with opened(RunConfig()) as over:
        return made(trained, over)


@pytest.mark.parametrize("run", ["processes", "dask"], indirect=True)
def test_each_way_makes_the_same_frames_as_threads(trained, expected, over):
    told = []
    found = made(trained, over, told.append)
    for name, frame in expected.items():
        assert len(frame), name
        same(found[name], frame)
    assert told == ["features of bucket 1 of 2", "features of bucket 2 of 2"]


def test_results_come_in_the_order_of_the_items_and_progress_as_they_are_finished(over):
    told = []
    assert map_buckets(over, doubled, range(9), told.append) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert told == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_an_error_with_a_sentence_comes_back_as_what_it_is(over):
    with pytest.raises(NotReadyError, match=r"^Something must be there; it is not\.$"):
        map_buckets(over, not_ready, range(3))


def test_a_fault_in_another_process_is_told_without_its_words(run, over, folder):
    cell = "Ethel Specimen"
    with pytest.raises(ValueError if run.by == "threads" else RemoteError) as caught:
        map_buckets(over, quotes_a_cell, [cell])
    if run.by != "threads":
        assert str(caught.value).startswith("ValueError in chores.py:")
        assert cell not in repr(caught.value)
    if run.by == "dask":
        assert "Starting Worker plugin" in (folder / "log").read_text()
        assert cell not in (folder / "log").read_text()


def test_a_history_that_a_worker_does_not_see_is_refused(copied):
    sent = pickle.dumps(Service(copied).history)
    assert pickle.loads(sent).folder == (copied.workspace / "history").absolute()
    (copied.workspace / "history").rename(copied.workspace / "elsewhere")
    with pytest.raises(NotReadyError, match="must see the same one"):
        pickle.loads(sent)


def test_a_worker_with_other_code_is_refused(monkeypatch, address):
    here = mapping.footing()
    monkeypatch.setattr(mapping, "footing", lambda: here | {"numpy": "1.0"})
    with (
        pytest.raises(ConfigError, match="must have the numpy of the run that it works for, 1.0"),
        opened(RunConfig(by="dask", address=address)) as over,
    ):
        map_buckets(over, doubled, [1])


def test_a_killed_process_is_said():
    run = RunConfig(by="processes", workers=1)
    with pytest.raises(WorkersError, match=r"must live until it is done.*run\.workers"), opened(run) as over:
        map_buckets(over, dies, [1, 2])


def test_a_killed_worker_is_replaced_by_another_and_the_loss_of_all_or_of_the_scheduler_is_said(
    trained, expected, tmp_path, monkeypatch
):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    service = Service(trained)
    with cluster(tmp_path, workers=3) as (address, processes):
        with opened(RunConfig(by="dask", address=address)) as over:

            def with_a_death(work, items):
                return over(partial(dies_once, tmp_path / "died", work), items)

            snap = snapshot(service.history, trained, service.catalogue, newest(trained), with_a_death)
            assert [process.poll() for process in processes].count(-9) == 1
            for name, frame in frames_of(snap).items():
                same(frame, expected[name])
            with pytest.raises(WorkersError, match="gave one up .KilledWorker."):
                map_buckets(over, dies, [1])
        with opened(RunConfig(by="dask", address=address, patience=4)) as over:
            with pytest.raises(WorkersError, match="for 4 seconds .* has had none.* with 3 buckets to go"):
                map_buckets(over, doubled, range(3))
            with ThreadPoolExecutor(1) as other:
                waiting = other.submit(map_buckets, over, doubled, range(3))
                processes[0].kill()
                with pytest.raises(WorkersError, match="Dask scheduler that answers|or has not answered"):
                    waiting.result()


def test_the_flow_gives_its_buckets_to_the_cluster_as_tasks_and_survives_a_killed_worker(
    flows, prefect_home, copied, small_config, folder, address, tmp_path, monkeypatch
):
    import prefect

    as_of = newest(copied)
    by_threads = steps.score(copied, as_of, quiet).ranked
    monkeypatch.setattr(flows, "bucket_task", flows._task(attempt_dying_once, name="bucket"))
    given = on(small_config, tmp_path, {"by": "dask", "address": address})
    day = flows.daily(config=given, workspace=str(copied.workspace), as_of=as_of, now=as_of)
    assert (folder / "flow-died").exists()
    assert steps.daily(copied, as_of, as_of, quiet).published.digest == day.published.digest
    with prefect.get_client(sync_client=True) as client:
        buckets = [task for task in client.read_task_runs() if task.name.startswith("bucket")]
    assert [task.state_name for task in buckets] == ["Completed"] * 2 * 2  # to rank, and for what is shown beside it
    ranked = pd.read_parquet(copied.workspace / "runs" / as_of.date().isoformat() / "1" / RANKED)
    same(ranked, by_threads)
    people = [str(person).encode() for person in ranked["person_id"].unique()]
    for path in (path for path in prefect_home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(person in content for person in people), path.name


def test_a_flow_without_its_cluster_publishes_nothing_and_marks_what_stands(flows, copied, small_config, tmp_path):
    as_of = newest(copied)
    steps.daily(copied, as_of - timedelta(days=1), as_of, quiet)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        given = on(small_config, tmp_path, {"by": "dask", "address": address, "patience": 1})
        with pytest.raises(WorkersError, match=r"run\.address must be that of a Dask scheduler that answers"):
            flows.daily(config=given, workspace=str(copied.workspace), as_of=as_of, now=as_of)
        said = [finding.says for finding in examine(load_config(Path(given), copied.workspace), as_of)]
        assert sum("must be that of a Dask scheduler" in words for words in said) == 1
    lists = copied.workspace / "lists"
    assert not (lists / as_of.date().isoformat()).exists()
    assert "could not be made: run.address must be" in (lists / "latest" / "index.html").read_text(encoding="utf-8")


def test_a_flow_on_a_cluster_needs_a_prefect_server_for_its_workers(flows):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ConfigError, match="PREFECT_API_URL names none"):
        flows.opened(RunConfig(by="dask", address="tcp://127.0.0.1:1"))


def test_dask_is_not_imported_by_a_run_that_has_no_cluster():
    line = (
        "import sys, pipelines.steps, pipelines.cli; print(sorted({'dask', 'distributed', 'prefect'} & {*sys.modules}))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", line], env=env, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"


def on(small_config, folder, run):
    """The small trust's configuration with another `run`."""
    raw = yaml.safe_load(small_config.read_text()) | {"run": run}
    for name in ("features", "sources", "worlds"):
        (folder / name).symlink_to(small_config.parent / name)
    (folder / "run.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return str(folder / "run.yaml")


KILLED = """
import multiprocessing, time
from pipelines.mapping import started

if __name__ == "__main__":
    pool = started(2)
    for begun in [pool.submit(time.sleep, 0) for _ in range(2)]:  # a pool starts a process where none is idle
        begun.result()
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    time.sleep(300)
"""


def test_processes_end_with_a_run_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    with ExitStack() as stack:
        run = stack.enter_context(subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True))
        stack.callback(run.kill)
        workers = [int(word) for word in run.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(at_work, workers))
    until = time.monotonic() + 30
    while any(map(at_work, workers)):
        assert time.monotonic() < until, "a process of a run that was killed still waits for work"
        time.sleep(0.1)


def at_work(process):
    """Whether there is such a process, and it has not merely to be reaped."""
    told = Path(f"/proc/{process}/stat")
    try:
        return told.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
