"""The promise of two clocks, on the whole path: what became known after a cut does not change the lists for it."""

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.batch import Batch, Scope
from features.build import build
from features.catalogue import load_catalogue
from features.cohort import caseload
from features.schema import TABLES, batch_schema
from pipelines import steps
from pipelines.building import looked_at, mornings_before, snapshot
from pipelines.mapping import opened
from pipelines.runs import RUN
from pipelines.service import Service

DAY = timedelta(days=1)


def quiet(_said):
    """Progress that nobody reads."""


def lists(config, as_of):
    """Every byte published for the cut, but for the record of the run, which says when it was."""
    shutil.rmtree(config.workspace / "lists", ignore_errors=True)
    folder = steps.publish(config, steps.score(config, as_of, quiet), as_of).published.folder
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != RUN]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def world(trained, tmp_path_factory):
    """A cut before the last one, the lists published for it, and rows of the history to tamper with."""
    folder = tmp_path_factory.mktemp("world") / "workspace"
    shutil.copytree(trained.workspace, folder)
    config = trained.model_copy(update={"workspace": folder})
    as_of = steps.as_of_day(config, steps.simulated_last_day(config)) - DAY
    tables = Service(config).history.read()
    return config, as_of, lists(config, as_of), {name: table.to_pylist() for name, table in tables.items()}


@st.composite
def later_rows(draw, rows, as_of):
    """Rows of any table that become known after the cut: new ones, corrections, deletions, moves to other people."""
    found = {}
    for name, table in TABLES.items():
        known = rows[name]
        told = []
        for position in draw(st.lists(st.integers(0, len(known) - 1), max_size=4)):
            row = dict(known[position])
            row.pop("known_to")
            row["known_from"] = as_of + draw(st.timedeltas(timedelta(microseconds=1), 30 * DAY))
            row |= {"deleted": draw(st.booleans()), "sequence": len(told)}
            if draw(st.booleans()):
                row["row_id"] = draw(st.integers(1, 2**60))
            if draw(st.booleans()):
                row["person_id"] = rows["people"][draw(st.integers(0, len(rows["people"]) - 1))]["person_id"]
            if table.at and draw(st.booleans()):
                row[table.at] = as_of + draw(st.timedeltas(-40 * DAY, 20 * DAY))
            if name == "people" and draw(st.booleans()):
                row["merged_into"] = rows["people"][draw(st.integers(0, len(rows["people"]) - 1))]["person_id"]
            told.append(row)
        found[name] = pa.Table.from_pylist(told, schema=batch_schema(table))
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_rows_known_after_the_cut_leave_its_lists_byte_identical(world, data):
    config, as_of, before, rows = world
    tables = data.draw(later_rows(rows, as_of))
    received = as_of + 31 * DAY
    batch = Batch(
        source="community",
        name="later",
        fingerprint=str(data.draw(st.uuids())),
        received_at=received,
        tables=tables,
        identities=pa.table({}),
        account=pd.DataFrame(),
        nulls=pd.DataFrame(),
        scopes=(Scope("contacts", as_of - 9 * DAY, as_of),) if data.draw(st.booleans()) else (),
    )
    history = config.workspace / "history"
    aside = Path(f"{history}.aside")
    shutil.copytree(history, aside)
    try:
        Service(config).history.ingest(batch, received)
        assert lists(config, as_of) == before
    finally:
        shutil.rmtree(history)
        aside.rename(history)


SHORT = """
events:
  seen: {table: contacts, where: seen}
  news2: {table: observations, where: "code = 'news2'", value: value}
  emergency: {table: stays, where: "method = '21'"}
families:
  all:
    title: All
    sentences: [{say: all}]
    features:
      [{count: seen, days: [7, 30]}, {rate: seen, days: 30}, {last: news2, days: 14}, {count: emergency, days: 30}]
"""


def test_the_period_and_columns_that_a_cut_reads_are_all_that_it_needs(world):
    config, as_of, *_ = world
    history, short = Service(config).history, load_catalogue(SHORT, "test")
    whole = history.read(known_by=as_of)
    parts = [looked_at(history, config, short, as_of, [as_of], bucket) for bucket in range(history.buckets)]
    assert sum(part["contacts"].num_rows for part in parts) < whole["contacts"].num_rows
    assert parts[0]["contacts"].num_columns < whole["contacts"].num_columns
    with opened(config.run) as over:
        found = snapshot(history, config, short, as_of, over)
    keys = ["person_id", "as_of"]
    pd.testing.assert_frame_equal(found.frame, build(whole, found.frame[keys], short, config.zone))
    members, _ = caseload(whole, [as_of], config.caseload, config.zone)
    order = [*keys, "team_id"]
    pd.testing.assert_frame_equal(
        found.memberships.sort_values(order, ignore_index=True), members.sort_values(order, ignore_index=True)
    )


OF_TEAMS = """
events:
  seen: {table: contacts, where: seen}
  news2: {table: observations, where: "code = 'news2'", value: value}
families:
  all:
    title: All
    sentences: [{say: all}]
    features: [{team_share: news2, among: seen, days: 120}]
"""


def test_teams_on_the_mornings_before_are_counted_as_they_were_counted_then(world):
    """Nothing looks back further than this feature, so mornings need what lies before the needs of the cut."""
    config, as_of, *_ = world
    catalogue, service = load_catalogue(OF_TEAMS, "test"), Service(config)
    with opened(config.run) as over:
        today = snapshot(service.history, config, catalogue, as_of, over).of_teams
        for morning in mornings_before(as_of, config.zone):
            then = snapshot(service.history, config, catalogue, morning, over).of_teams
            mine, before = (counts[counts["as_of"] == morning].reset_index(drop=True) for counts in (today, then))
            assert mine["held"].sum() > 0
            pd.testing.assert_frame_equal(mine, before)


def test_a_row_known_at_the_cut_does_change_them(world):
    """The promise above is not kept by ignoring everything: the same kind of row, known in time, counts."""
    config, as_of, before, rows = world
    now = as_of - timedelta(hours=1)
    calls = []
    for contact in rows["contacts"]:
        if (
            contact["known_to"] is None
            and now - 60 * DAY < contact["occurred_at"] < now
            and contact["known_from"] < now
        ):
            said = {k: v for k, v in contact.items() if k != "known_to"}
            calls.append(said | {"known_from": now, "deleted": True, "sequence": 0})
    tables = {"contacts": pa.Table.from_pylist(calls, schema=batch_schema(TABLES["contacts"]))}
    batch = Batch("community", "x", "x", now, tables, pa.table({}), pd.DataFrame(), pd.DataFrame())
    Service(config).history.ingest(batch, now)
    assert lists(config, as_of) != before
