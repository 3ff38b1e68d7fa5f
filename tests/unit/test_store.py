"""The history on disk: all tables at once or none, the same bytes only once, nothing that a killed run left."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from features.batch import Batch, Scope
from features.errors import NotReadyError
from features.history import merged
from features.schema import TABLES, batch_schema, history_schema
from pipelines import delta
from pipelines.identities import Identities
from pipelines.store import History

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def day(number):
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(number)


def table(name, *rows):
    blank = {**dict.fromkeys(batch_schema(TABLES[name]).names), "deleted": False, "sequence": 0}
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=batch_schema(TABLES[name]))


def batch(fingerprint, source="s", scopes=(), received=NOW, **tables):
    given = {name: table(name, *rows) for name, rows in tables.items()}
    return Batch(
        source, fingerprint, fingerprint, received, given, pa.table({}), pd.DataFrame(), pd.DataFrame(), scopes
    )


STAY = {"row_id": 1, "person_id": 7, "known_from": day(1), "admitted_at": day(0)}
CONTACT = {"row_id": 5, "person_id": 7, "known_from": day(1), "occurred_at": day(0), "status": "attended"}


@pytest.fixture
def store(tmp_path):
    return History(tmp_path / "history", buckets=4)


def rows(store, name, **conditions):
    return store.read(names=(name,), **conditions)[name].to_pylist()


def test_the_same_bytes_are_taken_once(store):
    assert store.ingest(batch("a", stays=[STAY]), NOW).added["stays"] == 1
    before = store.ledger()
    again = store.ingest(batch("a", stays=[STAY]), NOW)
    assert again.already
    assert again.added == {}
    pd.testing.assert_frame_equal(store.ledger(), before)


def test_other_bytes_that_say_the_same_add_no_versions(store):
    store.ingest(batch("a", stays=[STAY]), NOW)
    assert store.ingest(batch("b", stays=[STAY | {"known_from": day(3)}]), NOW).added["stays"] == 0
    assert len(rows(store, "stays")) == 1


def test_a_correction_closes_the_version_before(store):
    store.ingest(batch("a", stays=[STAY]), NOW)
    store.ingest(batch("b", stays=[STAY | {"known_from": day(4), "discharged_at": day(3)}]), NOW)
    found = rows(store, "stays")
    assert [(r["known_from"], r["known_to"], r["discharged_at"]) for r in found] == [
        (day(1), day(4), None),
        (day(4), None, day(3)),
    ]


def test_a_deletion_closes_a_row_and_leaves_what_was_known_before(store):
    store.ingest(batch("a", stays=[STAY]), NOW)
    store.ingest(batch("b", stays=[STAY | {"known_from": day(4), "deleted": True}]), NOW)
    assert [r["known_to"] for r in rows(store, "stays")] == [day(4)]
    assert [r["known_to"] for r in rows(store, "stays", known_by=day(3))] == [None]


def test_a_killed_batch_is_not_seen_and_the_next_one_clears_it_away(store, monkeypatch):
    store.ingest(batch("a", stays=[STAY], contacts=[CONTACT]), NOW)
    monkeypatch.setattr(History, "_commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        store.ingest(batch("b", stays=[STAY | {"row_id": 2}], contacts=[CONTACT | {"row_id": 6}]), NOW)
    monkeypatch.undo()
    assert DeltaTable(str(store.folder / "stays")).to_pyarrow_table().num_rows == 2
    assert [r["row_id"] for r in rows(store, "stays")] == [1]
    store.ingest(batch("c", contacts=[CONTACT | {"row_id": 9}]), NOW)
    assert [r["row_id"] for r in rows(store, "stays")] == [1]
    assert [r["row_id"] for r in rows(store, "contacts")] == [5, 9]


def test_a_killed_first_batch_leaves_an_empty_history(store, monkeypatch):
    monkeypatch.setattr(History, "_commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        store.ingest(batch("a", stays=[STAY]), NOW)
    monkeypatch.undo()
    assert rows(store, "stays") == []
    store.ingest(batch("b", stays=[STAY | {"row_id": 2}]), NOW)
    assert [r["row_id"] for r in rows(store, "stays")] == [2]


def test_a_row_that_moves_to_another_person_ends_for_the_one_in_its_own_bucket(store):
    store.ingest(batch("a", stays=[STAY]), NOW)
    store.ingest(batch("b", stays=[STAY | {"known_from": day(4), "person_id": 6}]), NOW)
    old = store.read(7 % 4, ("stays",))["stays"].to_pylist()
    new = store.read(6 % 4, ("stays",))["stays"].to_pylist()
    assert [(r["person_id"], r["known_to"]) for r in old] == [(7, day(4))]
    assert [(r["person_id"], r["known_from"]) for r in new] == [(6, day(4))]


def test_a_person_found_to_be_another_takes_their_rows_along_from_then_on(store):
    store.ingest(batch("a", stays=[STAY], contacts=[CONTACT]), NOW)
    merge = {"row_id": 70, "person_id": 7, "known_from": day(9), "merged_into": 6}
    store.ingest(batch("b", people=[merge]), NOW)
    assert [(r["person_id"], r["known_from"], r["known_to"]) for r in rows(store, "stays")] == [
        (6, day(9), None),
        (7, day(1), day(9)),
    ]
    assert merged(store.read(names=("people",))["people"]).to_numpy().tolist() == [[7, 6]]
    assert merged(store.read(names=("people",), known_by=day(8))["people"]).empty


def test_a_batch_that_is_complete_for_a_period_deletes_what_it_leaves_out(store):
    first = [CONTACT, CONTACT | {"row_id": 6, "occurred_at": day(2)}, CONTACT | {"row_id": 8, "occurred_at": day(40)}]
    store.ingest(batch("primary", contacts=first), NOW)
    store.ingest(batch("another", source="t", contacts=[CONTACT | {"row_id": 9}]), NOW)
    scope = Scope("contacts", day(0), day(31))
    done = store.ingest(batch("refresh", scopes=(scope,), received=day(50), contacts=[CONTACT]), NOW)
    assert done.gone == {"contacts": 1}
    assert {r["row_id"]: r["known_to"] for r in rows(store, "contacts")} == {5: None, 6: day(50), 8: None, 9: None}


def test_the_history_can_be_read_as_it_was_after_so_many_batches(store):
    store.ingest(batch("a", contacts=[CONTACT]), NOW)
    store.ingest(batch("b", contacts=[CONTACT | {"known_from": day(2), "deleted": True}]), NOW)
    store.ingest(batch("c", contacts=[CONTACT | {"row_id": 6}]), NOW)
    found = [rows(History(store.folder, until=batches), "contacts") for batches in range(4)]
    assert [[(r["row_id"], r["known_to"]) for r in rows] for rows in found] == [
        [],
        [(5, None)],
        [(5, day(2))],
        [(5, day(2)), (6, None)],
    ]
    assert [len(History(store.folder, until=batches).ledger()) for batches in range(4)] == [0, 1, 2, 3]


def test_what_became_known_later_is_left_out_as_if_it_had_not_come(store):
    store.ingest(batch("a", stays=[STAY, STAY | {"known_from": day(4), "discharged_at": day(3), "sequence": 1}]), NOW)
    assert [(r["known_to"], r["discharged_at"]) for r in rows(store, "stays", known_by=day(3))] == [(None, None)]


def files_allowed(monkeypatch, most):
    """A partition with more files than this is written anew, however few its rows and the other partitions' files."""
    monkeypatch.setattr("pipelines.delta.ROWS_A_FILE", 2 * 1_000_000)
    monkeypatch.setattr("pipelines.delta.ROWS_A_PARTITION", 1_000_000 * (most - 1) ** 2)
    monkeypatch.setattr("pipelines.delta.SPARE_FILES", 1)


@pytest.mark.parametrize(
    ("files", "rows", "due"),
    [(3, 0, False), (4, 3_999, True), (4, 4_001, False), (5, 4_001, True), (11, 94_999, True), (11, 95_001, False)],
)
def test_partitions_with_more_rows_wait_for_more_files(files, rows, due):
    alike = {(bucket, 20261): (files, rows) for bucket in range(16)}
    assert delta.crowded(alike | {(0, 20254): (1, 500_000)}) == (sorted(alike) if due else [])


def test_few_spare_files_wait_for_others():
    crowded = {(0, 20261): (16, 100), (1, 20261): (17, 100)}
    assert delta.crowded(crowded) == []
    assert delta.crowded(crowded | {(2, 20261): (2, 100)}) == []
    assert delta.crowded(crowded | {(2, 20261): (4, 100)}) == [(0, 20261), (1, 20261), (2, 20261)]


def test_many_small_batches_are_compacted_and_say_the_same(store, monkeypatch):
    files_allowed(monkeypatch, 1)
    for number in range(8):
        store.ingest(batch(f"b{number}", stays=[STAY | {"row_id": number, "person_id": number}]), NOW)
    assert sorted(r["row_id"] for r in rows(store, "stays")) == list(range(8))
    assert len(DeltaTable(str(store.folder / "stays")).file_uris()) <= 4


def far(number, **said):
    """A contact `number` quarters after the first."""
    return CONTACT | {"occurred_at": day(91 * number), "row_id": number + 10} | said


def test_a_period_is_read_from_its_own_files(store):
    store.ingest(batch("a", contacts=[far(n) for n in range(8)]), NOW)
    store.ingest(batch("b", contacts=[far(7, known_from=day(700), occurred_at=day(2), status="planned")]), NOW)
    found = rows(store, "contacts", since=day(91 * 6 - 1))
    assert [(r["row_id"], r["known_to"]) for r in found] == [(16, None), (17, day(700))]
    earlier = [path for path in (store.folder / "contacts").rglob("*.parquet") if "period=2026" in str(path)]
    assert len(earlier) == 4
    for path in earlier:
        path.unlink()
    assert rows(History(store.folder), "contacts", since=day(91 * 6 - 1)) == found


@pytest.mark.parametrize("people", [[7], [8, 9], [8], []])
def test_some_people_are_read_as_among_everyone(store, people):
    store.ingest(batch("a", contacts=[CONTACT, far(1, person_id=8), far(2), far(3, person_id=9)]), NOW)
    store.ingest(batch("b", contacts=[far(2, known_from=day(700), person_id=8)]), NOW)
    found = rows(store, "contacts", people=np.array(people, np.int64))
    assert found == [row for row in rows(store, "contacts") if row["person_id"] in people]


def test_some_buckets_are_read_as_each_of_them(store):
    store.ingest(batch("a", contacts=[CONTACT | {"row_id": n, "person_id": n} for n in range(1, 30)]), NOW)
    apart = [row for bucket in (1, 3) for row in rows(store, "contacts", bucket=bucket)]
    assert rows(store, "contacts", bucket=[1, 3]) == sorted(apart, key=lambda row: row["person_id"])
    assert {row["person_id"] % 4 for row in apart} == {1, 3}


def test_a_version_is_opened_once_by_several_threads(store, monkeypatch):
    store.ingest(batch("a", contacts=[CONTACT]), NOW)
    opened, calls = delta.opened, []
    monkeypatch.setattr(delta, "opened", lambda *given: calls.append(given) or opened(*given))
    tables = delta.Datasets(store.folder)
    with ThreadPoolExecutor(4) as over:
        found = list(over.map(lambda _: tables.at("contacts", 0), range(8)))
    assert len(calls) == 1
    assert all(one is found[0] for one in found)


def test_only_the_columns_that_were_asked_for_come(store):
    store.ingest(batch("a", contacts=[CONTACT], stays=[STAY]), NOW)
    tables = store.read(names=("contacts", "stays"), columns={"contacts": ["status"]})
    assert tables["contacts"].column_names == ["row_id", "person_id", "known_from", "known_to", "status"]
    assert tables["stays"].schema == history_schema(TABLES["stays"])


def test_rows_come_in_the_order_of_person_and_moment_from_many_files(store):
    for n in range(6):
        said = [CONTACT | {"row_id": 10 * n + p, "person_id": 4 * p, "occurred_at": day(p - n)} for p in (3, 1, 2)]
        store.ingest(batch(f"b{n}", contacts=said), NOW)
    found = [(r["person_id"], r["occurred_at"]) for r in rows(store, "contacts")]
    assert found == sorted(found)
    assert len(found) == 18


def files(store, name):
    return {path for path in (store.folder / name).rglob("*.parquet") if "_delta_log" not in path.parts}


def test_a_compacted_partition_is_one_file_in_order_and_the_old_ones_go_in_time(store, monkeypatch):
    files_allowed(monkeypatch, 3)
    monkeypatch.setattr("pipelines.delta.RETENTION_HOURS", 0)
    for n in range(4):
        said = [CONTACT | {"row_id": 10 * n + p, "person_id": 4 * p, "occurred_at": day(9 - n)} for p in (3, 1, 2)]
        store.ingest(batch(f"b{n}", contacts=said), NOW)
    before = rows(store, "contacts")
    named = DeltaTable(str(store.folder / "contacts")).file_uris()
    assert len(named) == 1
    assert pq.read_table(named[0], columns=["person_id"])["person_id"].to_pylist() == [4] * 4 + [8] * 4 + [12] * 4
    assert len(files(store, "contacts")) == 4, "the files of the version before are kept for whoever reads it"
    for n in range(4, 8):
        store.ingest(batch(f"b{n}", contacts=[CONTACT | {"row_id": n, "person_id": 4}]), NOW)
    assert len(files(store, "contacts")) < 8
    assert [row for row in rows(store, "contacts") if row["row_id"] >= 10 or row["row_id"] < 4] == before


@pytest.mark.parametrize(("at_once", "with_rows"), [(32, 1), (32, 20), (5, 500_000), (32, 500_000)])
def test_partitions_are_compacted_each_into_one_file_however_many_at_once(store, monkeypatch, at_once, with_rows):
    files_allowed(monkeypatch, 2)
    monkeypatch.setattr("pipelines.delta.PARTITIONS_AT_ONCE", at_once)
    monkeypatch.setattr("pipelines.delta.ROWS_AT_ONCE", with_rows)
    said = [far(quarter, row_id=10 * quarter + p, person_id=p) for p in range(1, 10) for quarter in range(3)]
    for n in range(3):
        store.ingest(batch(f"b{n}", contacts=[row | {"row_id": row["row_id"] + 100 * n} for row in said]), NOW)
    named = DeltaTable(str(store.folder / "contacts")).file_uris()
    assert len(named) == len({path.rsplit("/", 1)[0] for path in named}) == 4 * 3
    assert [pq.read_metadata(path).num_rows for path in named] == [
        3 * sum(p % 4 == int(re.search(r"bucket=(\d)", path)[1]) for p in range(1, 10)) for path in named
    ]
    found = [(r["person_id"], r["occurred_at"], r["row_id"]) for r in rows(store, "contacts")]
    assert len(found) == 3 * len(said)
    assert found == sorted(found)


def test_a_killed_compaction_leaves_what_was_visible(store, monkeypatch):
    for n in range(4):
        store.ingest(batch(f"b{n}", contacts=[CONTACT | {"row_id": n}, CONTACT | {"row_id": n + 50}]), NOW)
    before = rows(store, "contacts")
    files_allowed(monkeypatch, 2)
    monkeypatch.setattr("pipelines.delta.RETENTION_HOURS", 0)
    monkeypatch.setattr(History, "_commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        store.ingest(batch("killed", contacts=[CONTACT | {"row_id": 99}]), NOW)
    monkeypatch.undo()
    assert len(DeltaTable(str(store.folder / "contacts")).file_uris()) == 1
    assert rows(History(store.folder), "contacts") == before
    store.ingest(batch("next", contacts=[CONTACT | {"row_id": 100}]), NOW)
    assert {r["row_id"] for r in rows(store, "contacts")} == {r["row_id"] for r in before} | {100}


def test_the_ledger_stays_in_few_files_and_names_every_batch(store):
    for n in range(20):
        store.ingest(batch(f"b{n}", stays=[STAY | {"row_id": n}]), NOW)
    assert len(DeltaTable(str(store.folder / "ledger")).file_uris()) < 10
    assert History(store.folder).ledger()["batch"].tolist() == list(range(1, 21))
    assert len(rows(store, "stays")) == 20


def test_a_history_of_another_layout_is_refused(tmp_path):
    write_deltalake(str(tmp_path / "history" / "ledger"), pa.table({"batch": [1]}))
    with pytest.raises(NotReadyError, match="into an empty workspace"):
        History(tmp_path / "history")


def test_an_older_extract_that_comes_late_does_not_undo_what_a_newer_one_said(store):
    newer = batch("day 4", received=day(4), contacts=[CONTACT | {"known_from": day(4)}])
    older = [CONTACT | {"known_from": day(6), "status": "planned"}, CONTACT | {"row_id": 6, "known_from": day(6)}]
    late = replace(batch("day 3", received=day(6), contacts=older), covers_to=day(3))
    store.ingest(newer, NOW)
    assert store.ingest(late, NOW).outdated == {"contacts": 1}
    assert [(r["row_id"], r["status"], r["known_to"]) for r in rows(store, "contacts")] == [
        (5, "attended", None),
        (6, "attended", None),
    ]


def test_what_a_newer_extract_said_again_is_not_undone_by_an_older_one(store):
    store.ingest(batch("day 1", received=day(1), contacts=[CONTACT]), NOW)
    store.ingest(batch("day 4", received=day(4), contacts=[CONTACT | {"known_from": day(4)}]), NOW)
    older = [CONTACT | {"known_from": day(6), "status": "no_access"}]
    store.ingest(replace(batch("day 3", received=day(6), contacts=older), covers_to=day(3)), NOW)
    assert [(r["status"], r["known_to"]) for r in rows(store, "contacts")] == [("attended", None)]
    empty = batch("complete day 3", received=day(7), scopes=(Scope("contacts", day(-9), day(2)),))
    store.ingest(replace(empty, covers_to=day(3)), NOW)
    assert [(r["status"], r["known_to"]) for r in rows(store, "contacts")] == [("attended", None)]


def test_a_refresh_does_not_delete_a_contact_that_has_moved_out_of_its_period(store):
    store.ingest(batch("january", received=day(31), contacts=[CONTACT | {"occurred_at": day(30)}]), NOW)
    moved = CONTACT | {"occurred_at": day(33), "known_from": day(32)}
    store.ingest(batch("february", received=day(35), contacts=[moved]), NOW)
    scope = Scope("contacts", day(0), day(31))
    store.ingest(batch("january again", received=day(50), scopes=(scope,)), NOW)
    assert [(r["occurred_at"], r["known_to"]) for r in rows(store, "contacts")] == [
        (day(30), day(32)),
        (day(33), None),
    ]


def test_two_writers_take_turns(store, tmp_path):
    batches = [batch(f"b{n}", stays=[STAY | {"row_id": n, "person_id": n}]) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: History(store.folder, buckets=4).ingest(one, NOW), batches))
    assert sorted(r["row_id"] for r in rows(store, "stays")) == [0, 1, 2, 3]
    assert store.ledger()["batch"].tolist() == [1, 2, 3, 4]


def test_a_history_without_its_ledger_is_not_wiped(store):
    store.ingest(batch("a", stays=[STAY]), NOW)
    store.ingest(batch("b", stays=[STAY | {"row_id": 2}]), NOW)
    (store.folder / "ledger").rename(store.folder / "gone")
    with pytest.raises(NotReadyError, match="Restore it from a backup"):
        History(store.folder, buckets=4).ingest(batch("c", stays=[STAY | {"row_id": 3}]), NOW)
    (store.folder / "gone").rename(store.folder / "ledger")
    assert sorted(r["row_id"] for r in rows(store, "stays")) == [1, 2]


def test_identities_wait_until_the_history_holds_their_batch(tmp_path):
    store = Identities(tmp_path / "identity")
    told = pa.table({"person_id": pa.array([7], pa.int64()), "local_id": ["RYX:1"]})
    store.keep("killed", told)
    store.settle(set())
    assert store.links().num_rows == 0
    store.keep("taken up", told)
    store.settle({("s", "taken up")})
    assert store.links().to_pylist() == [{"alias": "RYX:1", "person_id": 7}]
    assert not list(store.waiting.iterdir())
