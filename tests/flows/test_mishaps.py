"""A daily run that is killed, started twice, or cannot write: the workspace is as before or complete, and the next run
completes it."""

import csv
import errno
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import threading
from dataclasses import replace
from datetime import timedelta
from random import Random

import pandas as pd
import pytest
from mishaps import ended, in_another_process, killed_after, killed_at, no_file_larger_than, nothing, without_rights

from features.errors import BusyError, SourceError
from pipelines import ingesting, steps
from pipelines.locks import alone
from pipelines.runs import RUN
from pipelines.service import Service
from pipelines.withheld import MARK

BOUNDARIES = [
    ("pipelines.ingesting:read_extract", "after", 1),
    ("pipelines.identities:Identities.keep", "after", 1),
    ("pipelines.accounts:keep", "after", 1),
    ("pipelines.store:History._append", "after", 3),
    ("pipelines.store:History._commit", "before", 1),
    ("pipelines.store:History.ingest", "after", 1),
    ("pipelines.identities:Identities.settle", "after", 2),
    ("pipelines.ingesting:ingest", "after", 1),
    ("pipelines.gates.report:keep", "after", 1),
    ("pipelines.daily:score", "after", 1),
    ("pipelines.publish:_write_file", "after", 4),
    ("pipelines.publish:_check", "after", 1),
    ("pipelines.runs:write_private", "after", 2),
    ("pipelines.runs:keep", "after", 1),
    ("pipelines.releasing:write_private", "before", 1),
    ("pipelines.publish:_switch", "before", 1),
    ("pipelines.publish:_switch", "after", 1),
    ("pipelines.publish:_point_latest", "before", 1),
    ("pipelines.publish:_switch", "after", 2),
    ("pipelines.publish:_sweep", "before", 1),
    ("pipelines.releasing:finish", "before", 1),
    ("pipelines.listing_table:ListingTable.show", "before", 1),
    ("pipelines.alerts:alert", "before", 1),
    ("pipelines.tracking:log_day", "before", 1),
    ("mlflow:log_metrics", "after", 1),
    ("mlflow:log_artifact", "after", 1),
    ("pipelines.runs:Run.settle", "before", 1),
    ("pipelines.runs:Run.settle", "after", 1),
]
"""Where the run is killed: (module:function, before or after it, at which of its calls)."""


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def eve(trained, tmp_path_factory):
    """The small trust on the evening before its last day: yesterday's lists stand, the last drop waits to be read."""
    root = tmp_path_factory.mktemp("eve") / "workspace"
    shutil.copytree(trained.workspace, root, ignore=shutil.ignore_patterns("evaluation", "truth", "fingerprints.json"))
    shutil.rmtree(root / "history")
    (root / "identity" / "identities.sqlite").unlink()
    config = trained.model_copy(
        update={
            "workspace": root,
            "sources": {
                name: source.model_copy(update={"path": root / source.path.relative_to(trained.workspace)})
                for name, source in trained.sources.items()
            },
        }
    )
    yesterday = steps.as_of_day(config, steps.simulated_last_day(config)) - timedelta(days=1)
    steps.daily(config, yesterday, yesterday, quiet)
    return config, yesterday + timedelta(days=1)


def copy_of(config, folder):
    shutil.copytree(config.workspace, folder / "workspace", symlinks=True)
    table = config.forms.model_copy(update={"database": f"sqlite:///{folder / 'workspace' / 'lists.sqlite'}"})
    return config.model_copy(update={"workspace": folder / "workspace", "forms": table})


def lists(config, name="latest"):
    """What is to be seen under `lists`, but for the record of the run, which says when it was."""
    folder = config.workspace / "lists" / name
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != RUN]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def whole_state(config, day):
    """Everything that a daily run leaves, in a form that two runs have in common."""
    import mlflow

    from pipelines import tracking

    service = Service(config)
    client = mlflow.MlflowClient(tracking.tracking_uri(service.workspace))
    experiment = client.get_experiment_by_name(tracking.DAYS).experiment_id
    logged = [run for run in client.search_runs([experiment]) if run.info.run_name == day]
    finished = [run.data.metrics for run in logged if run.info.status == "FINISHED"]
    return {
        "lists": lists(config, day),
        "latest": lists(config),
        "versions": len(list((config.workspace / "lists" / ".versions").iterdir())),
        "extracts": sorted(service.history.fingerprints()),
        "rows": {name: table.num_rows for name, table in service.history.read().items()},
        "people": service.identities.people().to_dict("records"),
        "put aside": list(service.identities.waiting.glob("*")),
        "exposures": service.exposures.listed().drop(columns="version").to_dict("records"),
        "publications": service.exposures.versions()[["as_of", "lists", "listed"]].to_dict("records"),
        "table": pd.read_sql("select team_id, rank, day, name from lists", config.forms.database).to_dict("records"),
        "mlflow": finished,
        "unfinished in mlflow": [run for run in logged if run.info.status == "RUNNING"],
    }


@pytest.fixture(scope="module")
def undisturbed(eve, tmp_path_factory):
    """The whole state after a day on which nothing happened, and what was to be seen before it."""
    config, as_of = eve
    mine = copy_of(config, tmp_path_factory.mktemp("undisturbed"))
    steps.daily(mine, as_of, as_of, quiet)
    return whole_state(mine, as_of.date().isoformat()), lists(config)


def spreadsheets(files):
    """The rows of each spreadsheet but for its mark, if any, which says why it is an old one."""
    found = {}
    for path in (path for path in files if path.endswith(".csv")):
        rows = csv.DictReader(io.StringIO(files[path].decode("utf-8-sig"), newline=""))
        found[path] = [{name: cell for name, cell in row.items() if name != MARK} for row in rows]
    return found


def seen_as_before_or_complete(config, day, undisturbed):
    complete, before = undisturbed
    if (config.workspace / "lists" / day).exists():
        assert lists(config, day) == complete["lists"]
    found = lists(config)
    if b"could not be made" in found["index.html"]:  # yesterday's lists, marked: whom they list stays as it was
        assert spreadsheets(found) == spreadsheets(before)
    else:
        assert found in (before, complete["lists"])


def completes(config, as_of, undisturbed):
    """The next run completes the day, and the one after that changes nothing."""
    steps.daily(config, as_of, as_of, quiet)
    assert whole_state(config, as_of.date().isoformat()) == undisturbed[0]
    assert not steps.daily(config, as_of, as_of, quiet).published.changed


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda b: f"{b[1]} {b[0].split(':')[1]} {b[2]}")
def test_killed_at_a_boundary(eve, undisturbed, tmp_path, boundary):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    assert ended(in_another_process(killed_at(*boundary), config, as_of)) == -signal.SIGKILL
    seen_as_before_or_complete(config, as_of.date().isoformat(), undisturbed)
    completes(config, as_of, undisturbed)


@pytest.mark.slow
def test_killed_again_and_again_at_any_moment(eve, undisturbed, tmp_path):
    """One workspace, one kill after another; each run goes on from what the last one left."""
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    moments, codes = Random(9), []
    for _ in range(12):
        codes.append(ended(in_another_process(killed_after(moments.uniform(0.05, 3)), config, as_of)))
        seen_as_before_or_complete(config, as_of.date().isoformat(), undisturbed)
    assert -signal.SIGALRM in codes
    completes(config, as_of, undisturbed)


def test_of_two_runs_at_once_one_publishes_and_the_other_does_nothing(eve, undisturbed, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    answers = [tmp_path / "first", tmp_path / "second"]
    for process in [in_another_process(nothing, config, as_of, path) for path in answers]:
        assert ended(process) == 0
    told = [json.loads(path.read_text()) for path in answers]
    assert [one.get("changed") for one in told].count(True) == 1
    assert all(one.get("error", "BusyError") == "BusyError" for one in told)
    assert whole_state(config, as_of.date().isoformat()) == undisturbed[0]


def test_a_second_run_leaves_and_an_ingestion_waits(eve, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    before = lists(config)
    refused = pytest.raises(BusyError, match=r"Only one daily run may be at work .* Nothing was done")
    with alone(config.workspace / ".run.lock", "daily run", waits=False), refused:
        steps.daily(config, as_of, as_of, quiet)
    assert lists(config) == before
    with steps.ingesting_alone(config):
        waiting = threading.Thread(target=steps.ingest, args=(config, as_of, quiet))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.parametrize("size", [0, 30_000, 300_000])
def test_a_full_disk_is_one_sentence_and_nothing_is_half_shown(eve, undisturbed, tmp_path, size):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    told = in_another_process_told(no_file_larger_than(size), config, as_of, tmp_path)
    assert told["error"] in ("StorageError", "PublishError"), told
    assert any(words in told["says"] for words in ("must have room", "File too large", "could not be logged"))
    seen_as_before_or_complete(config, as_of.date().isoformat(), undisturbed)
    completes(config, as_of, undisturbed)


def test_a_folder_that_cannot_be_written_to_is_one_sentence(eve, undisturbed, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    folders = [config.workspace, *(path for path in config.workspace.rglob("*") if not path.is_symlink())]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folders}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    told = in_another_process_told(without_rights, config, as_of, tmp_path)
    for path, mode in modes.items():
        path.chmod(mode)
    assert told["error"] == "StorageError", told
    assert "this user may not write there" in told["says"]
    completes(config, as_of, undisturbed)


def in_another_process_told(mishap, config, as_of, tmp_path):
    """What a run that meets the mishap says. It is told through a pipe that no full disk can stop."""
    reader = tmp_path / "told"
    os.mkfifo(reader)
    said = []
    listening = threading.Thread(target=lambda: said.append(reader.read_text()))
    listening.start()
    assert ended(in_another_process(mishap, config, as_of, reader)) == 0
    listening.join(10)
    return json.loads(said[0])


def test_a_database_that_is_lost_stops_the_publication_and_the_next_run_publishes(eve, undisturbed, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    log = config.workspace / "exposure" / "exposure.sqlite"
    log.rename(log.with_suffix(".lost"))
    log.mkdir()
    with pytest.raises(Exception, match="exposure log") as failed:
        steps.daily(config, as_of, as_of, quiet)
    assert failed.value.exit_code == 11
    assert not (config.workspace / "lists" / as_of.date().isoformat()).exists()
    assert "could not be made" in (config.workspace / "lists" / "latest" / "index.html").read_text()
    log.rmdir()
    log.with_suffix(".lost").rename(log)
    completes(config, as_of, undisturbed)


def test_a_day_that_is_replaced_keeps_its_record_and_its_exposures(eve, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    service, day = Service(config), as_of.date().isoformat()
    first = steps.daily(config, as_of, as_of, quiet)
    fewer = config.model_copy(update={"lists": config.lists.model_copy(update={"least": 1, "share": 0.01})})
    standing = replace(first, published=replace(first.published, changed=False))
    assert steps.daily(fewer, as_of, as_of, quiet) == standing, (
        "a published day stays, whatever the configuration says by then"
    )
    second = steps.daily(fewer, as_of, as_of, quiet, replacing=True)
    assert (first.version, second.version) == (1, 2)
    exposed = service.exposures.listed()
    mine = exposed[exposed["as_of"] == pd.Timestamp(as_of)]
    assert mine.groupby("version").size().to_dict() == {1: first.published.listed, 2: second.published.listed}
    assert second.published.listed < first.published.listed
    assert sorted(path.name for path in (config.workspace / "runs" / day).iterdir()) == ["1", "2"]


def test_what_an_earlier_day_left_unlogged_is_logged_by_the_next(eve, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    service, yesterday = Service(config), (as_of - timedelta(days=1)).date().isoformat()
    before = service.exposures.listed()
    (config.workspace / "runs" / yesterday / "1" / "settled.json").unlink()
    (config.workspace / "exposure" / "exposure.sqlite").unlink()
    steps.daily(config, as_of, as_of, quiet)
    after = service.exposures.listed()
    pd.testing.assert_frame_equal(after[after["as_of"] < pd.Timestamp(as_of)], before)
    assert after["as_of"].nunique() == 2
    assert (config.workspace / "runs" / yesterday / "1" / "settled.json").is_file()


def failing(times, error):
    """Something to be read that fails so often at first."""
    left = [error] * times

    def read():
        if left:
            raise left.pop()
        return "read"

    return read


def test_a_share_that_comes_back_is_read_and_one_that_does_not_is_named(monkeypatch):
    paused, said = [], []
    monkeypatch.setattr("time.sleep", paused.append)
    stale = OSError(errno.ESTALE, "Stale file handle")
    assert ingesting.steadily("wards", failing(3, stale), said.append) == "read"
    assert paused == [1, 5, 25]
    assert said[0] == "wards: cannot be read (Stale file handle); trying again in 1 s"
    with pytest.raises(SourceError, match=r"'wards' must be readable; .* 'Stale file handle', and 4 tries"):
        ingesting.steadily("wards", failing(4, stale), said.append)


def test_what_waiting_does_not_mend_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("there is nothing to wait for"))
    with pytest.raises(SourceError, match="'Permission denied'. See to"):
        ingesting.steadily("wards", failing(1, PermissionError(errno.EACCES, "Permission denied")), quiet)
    with pytest.raises(OSError, match="No space left"):
        ingesting.steadily("wards", failing(1, OSError(errno.ENOSPC, "No space left on device")), quiet)


def test_an_extract_from_the_future_is_left_for_later_and_that_is_told(eve, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    said = []
    done = steps.ingest(config, as_of - timedelta(days=1), said.append)
    assert [one.source for one in done.ingested if one.ahead] == ["index", "community", "hospital"]
    assert sum("received after now; it is left for later" in words for words in said) == 3


def test_people_whose_identity_is_not_held_are_counted_on_the_page(eve, tmp_path):
    config, as_of = copy_of(eve[0], tmp_path), eve[1]
    steps.ingest(config, as_of, quiet)
    scored = steps.score(config, as_of, quiet)
    listed = scored.ranked.loc[scored.ranked["listed"], "person_id"].drop_duplicates()
    with sqlite3.connect(config.workspace / "identity" / "identities.sqlite") as connection:
        connection.execute("delete from people where person_id = ?", [int(listed.iloc[0])])
    connection.close()
    day = steps.daily(config, as_of, as_of, quiet)
    note = f"1 of the {len(listed)} people on today's lists are shown by a number"
    assert day.notes[0].startswith(note)
    assert note.replace("'", "&#39;") in (day.published.folder / "index.html").read_text()
