"""Buckets by threads, processes and a Dask cluster: the same bytes, the same sentences, and what when they die."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from chores import dies, dies_once, doubled, not_ready, quotes_a_cell

from features.errors import ConfigError, NotReadyError, RemoteError, WorkersError
from pipelines import mapping, steps
from pipelines.building import dataset, snapshot
from pipelines.config import RunConfig
from pipelines.mapping import map_buckets, opened
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
def address(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as (address, _):
        yield address


@pytest.fixture(params=["threads", "processes", "dask"])
def run(request):
    by_dask = request.param == "dask"
    return RunConfig(by=request.param, address=request.getfixturevalue("address") if by_dask else "")


def at(config, run):
    return config.model_copy(update={"run": run})


def quiet(_said):
    """Progress that nobody reads."""


def newest(config):
    return steps.as_of_day(config, steps.simulated_last_day(config))


def frames_of(thing):
    return {name: value for name, value in vars(thing).items() if isinstance(value, pd.DataFrame | pd.Series)}


@pytest.fixture(scope="module")
def alone(trained):
    """What one bucket after the other gives: the newest cut's snapshot and training's dataset."""
    service, as_of = Service(trained), newest(trained)

    def over(work, items):
        return enumerate(map(work, items))

    return (
        snapshot(service.history, trained, service.catalogue, as_of, over),
        dataset(service.history, trained, service.catalogue, as_of, over, quiet),
    )


def test_each_way_gives_the_same_frames_as_one_bucket_after_the_other(trained, alone, run):
    service, as_of, told = Service(at(trained, run)), newest(trained), []
    with service.workers() as over:
        snap = snapshot(service.history, trained, service.catalogue, as_of, over)
        data = dataset(service.history, trained, service.catalogue, as_of, over, told.append)
    for found, expected in zip((snap, data), alone, strict=True):
        for name, frame in frames_of(expected).items():
            check = pd.testing.assert_frame_equal if isinstance(frame, pd.DataFrame) else pd.testing.assert_series_equal
            check(frames_of(found)[name], frame, check_exact=True, obj=name)
    assert told == ["features of bucket 1 of 2", "features of bucket 2 of 2"]


def test_results_come_in_the_order_of_the_items_and_progress_as_they_are_finished(run):
    told = []
    with opened(run) as over:
        assert map_buckets(over, doubled, range(9), told.append) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert told == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_an_error_with_a_sentence_comes_back_as_what_it_is(run):
    with pytest.raises(NotReadyError, match=r"^Something must be there; it is not\.$"), opened(run) as over:
        map_buckets(over, not_ready, range(3))


def test_a_fault_in_another_process_is_told_without_its_words(run):
    cell = "Ethel Specimen"
    expected = ValueError if run.by == "threads" else RemoteError
    with pytest.raises(expected) as caught, opened(run) as over:
        map_buckets(over, quotes_a_cell, [cell])
    if run.by != "threads":
        assert str(caught.value).startswith("ValueError in chores.py:")
        assert cell not in repr(caught.value)


def test_a_fault_leaves_no_cell_in_a_workers_log(tmp_path):
    with cluster(tmp_path, workers=1) as (address, _):
        with pytest.raises(RemoteError), opened(RunConfig(by="dask", address=address)) as over:
            map_buckets(over, quotes_a_cell, ["Ethel Specimen"])
        assert "Ethel" not in (tmp_path / "log").read_text()


def test_a_history_that_a_worker_does_not_see_is_refused(trained, copied, run):
    import pickle

    sent = pickle.dumps(Service(copied).history)
    (copied.workspace / "history").rename(copied.workspace / "elsewhere")
    with pytest.raises(NotReadyError, match="must see the same one"):
        pickle.loads(sent)


def test_a_worker_with_other_code_is_refused(monkeypatch, address):
    monkeypatch.setattr(mapping, "footing", lambda: mapping.footing.__wrapped__() | {"numpy": "1.0"})
    with (
        pytest.raises(ConfigError, match="must have the numpy of the run that it works for, 1.0"),
        opened(RunConfig(by="dask", address=address)) as over,
    ):
        map_buckets(over, doubled, [1])


def test_a_killed_process_is_said(tmp_path):
    with (
        pytest.raises(WorkersError, match=r"must live until it is done.*run\.workers"),
        opened(RunConfig(by="processes", workers=1)) as over,
    ):
        map_buckets(over, dies, [1, 2])


def test_work_goes_on_when_a_worker_is_killed_and_is_given_up_when_all_are_or_the_scheduler_is(
    trained, alone, tmp_path
):
    with cluster(tmp_path) as (address, processes):
        run, service = RunConfig(by="dask", address=address, patience=4), Service(trained)
        with opened(run) as over:

            def with_a_death(work, items):
                return over(partial(dies_once, tmp_path / "died", work), items)

            snap = snapshot(service.history, trained, service.catalogue, newest(trained), with_a_death)
            assert [process.poll() for process in processes].count(-9) == 1
            for name, frame in frames_of(alone[0]).items():
                pd.testing.assert_frame_equal(frames_of(snap)[name], frame, check_exact=True, obj=name)
            with pytest.raises(WorkersError, match="has had none for 4 seconds, with 3 buckets to go"):
                map_buckets(over, dies, range(3))
            with ThreadPoolExecutor(1) as other:
                waiting = other.submit(map_buckets, over, doubled, range(3))
                time.sleep(1)
                processes[0].kill()
                with pytest.raises(WorkersError, match="Dask scheduler that answers"):
                    waiting.result()
