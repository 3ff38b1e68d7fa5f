"""The history against an oracle that simply remembers everything it was told."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.history import additions, period_of, stamp, stored_schema, versions
from features.schema import TABLES, batch_schema

STAYS = TABLES["stays"]
START = datetime(2026, 1, 1, tzinfo=UTC)
BUCKETS = 4

said = st.fixed_dictionaries(
    {
        "row_id": st.integers(1, 2),
        "person_id": st.integers(1, 3),
        "day": st.integers(0, 4),
        "deleted": st.booleans(),
        "method": st.sampled_from(["21", "11"]),
        "admitted": st.sampled_from([None, -200, -100, 0, 100]),
        "stayed": st.sampled_from([None, 0, 150]),
    }
)
one_batch = st.lists(said, max_size=3, unique_by=lambda row: (row["row_id"], row["day"]))
any_order = st.lists(one_batch, max_size=4)
DAYS = 5


@st.composite
def in_order(draw):
    """Batches each of which became known after the one before."""
    return [[row | {"day": row["day"] + DAYS * number} for row in rows] for number, rows in enumerate(draw(any_order))]


batches = in_order()


def as_batch(rows):
    full = []
    for row in rows:
        moment = START + timedelta(row["day"])
        said = {key: row[key] for key in ("row_id", "person_id", "deleted", "method")} | when(row)
        full.append({**dict.fromkeys(batch_schema(STAYS).names), **said, "sequence": 0, "known_from": moment})
    return pa.Table.from_pylist(full, schema=batch_schema(STAYS))


def when(row):
    """A stay's moments; a deletion may tell none."""
    admitted = None if row["admitted"] is None else START + timedelta(row["admitted"])
    stayed = None if None in (admitted, row["stayed"]) else admitted + timedelta(row["stayed"])
    return {"admitted_at": admitted, "discharged_at": stayed}


def stored_after(told):
    stored = stored_schema(STAYS).empty_table()
    for number, rows in enumerate(told, start=1):
        fresh = stamp(STAYS, as_batch(rows), number, BUCKETS)
        stored = pa.concat_tables([stored, additions(STAYS, stored, fresh, BUCKETS)])
    return stored


def in_force(told, row_id, day):
    """The oracle: of everything said of a row by `day`, the last said of the last day holds."""
    heard = [
        (row["day"], number, row)
        for number, rows in enumerate(told)
        for row in rows
        if row["row_id"] == row_id and row["day"] <= day
    ]
    if not heard:
        return None
    last = max(heard, key=lambda item: item[:2])[2]
    return None if last["deleted"] else (last["person_id"], last["method"], *when(last).values())


def found(table, row_id, day):
    moment = pd.Timestamp(START + timedelta(day))
    frame = table.to_pandas()
    mine = frame[(frame["row_id"] == row_id) & (frame["known_from"] <= moment) & ~(frame["known_to"] <= moment)]
    assert len(mine) <= 1, "two versions of one row in force at once"
    columns = ["person_id", "method", "admitted_at", "discharged_at"]
    return None if mine.empty else tuple(None if pd.isna(cell) else cell for cell in mine.iloc[0][columns])


@settings(max_examples=40)
@given(batches)
def test_the_version_in_force_is_what_was_last_said(told):
    table = versions(STAYS, stored_after(told))
    for row_id in (1, 2):
        for day in range(4 * DAYS + 1):
            assert found(table, row_id, day) == in_force(told, row_id, day)


@settings(max_examples=25)
@given(batches)
def test_each_bucket_read_alone_gives_the_same_versions(told):
    stored = stored_after(told)
    whole = versions(STAYS, stored).to_pandas()
    parts = []
    for bucket in range(BUCKETS):
        mine = stored.filter(pa.compute.equal(stored["bucket"], bucket))
        parts.append(versions(STAYS, mine).to_pandas())
    order = ["person_id", "admitted_at", "row_id", "known_from"]
    together = pd.concat(parts).sort_values(order, na_position="first", ignore_index=True)
    pd.testing.assert_frame_equal(whole, together)


@settings(max_examples=25)
@given(batches)
def test_saying_everything_again_adds_nothing(told):
    once = stored_after(told)
    later = [[row | {"day": 4 * DAYS} for row in standing_at_the_end(told)]]
    again = stored_after([*told, *later])
    assert again.num_rows == once.num_rows


def standing_at_the_end(told):
    for row_id in (1, 2):
        standing = in_force(told, row_id, 4 * DAYS)
        if standing is not None:
            person, method, admitted, discharged = standing
            days = None if admitted is None else (admitted - START).days
            stayed = None if discharged is None else (discharged - admitted).days
            moments = {"admitted": days, "stayed": stayed}
            yield {"row_id": row_id, "person_id": person, "method": method, "deleted": False} | moments


@settings(max_examples=25)
@given(any_order)
def test_in_whatever_order_batches_come_a_row_has_one_version_in_force_and_one_that_was_said(told):
    table = versions(STAYS, stored_after(told))
    for row_id in (1, 2):
        mine = [row for rows in told for row in rows if row["row_id"] == row_id]
        words = {(row["person_id"], row["method"], *when(row).values()) for row in mine}
        assert {found(table, row_id, day) for day in range(DAYS + 1)} <= words | {None}


ONE = {"row_id": 1, "person_id": 1, "deleted": False, "method": "21", "stayed": 0}
TOLD_LATE_BUT_BEFORE = [[ONE | {"day": 4, "admitted": -200}], [ONE | {"day": 1, "admitted": 100}]]


@settings(max_examples=40)
@given(any_order, st.integers(-220, 270), st.integers(0, DAYS), st.sampled_from([[], ["method"]]))
@example(TOLD_LATE_BUT_BEFORE, 90, DAYS, ["method"])
def test_a_period_read_alone_is_the_whole_read_and_then_cut(told, since, known, columns):
    """Whatever order batches come in: corrections that move a row out of the period, and versions told late that come
    before stored ones, end what lies in it all the same."""
    start, known_by = START + timedelta(since, hours=1), START + timedelta(known)
    stored = stored_after(told)
    stored = stored.filter(pa.compute.field("known_from") <= pa.scalar(known_by, pa.timestamp("us", tz="UTC")))
    opened = stored.filter(pa.compute.field("period") >= period_of(start))
    whole = versions(STAYS, stored).to_pandas()
    latest = whole[["admitted_at", "discharged_at"]].max(axis=1)
    inside = (latest >= start) | whole["discharged_at"].isna()
    expected = whole[inside].reset_index(drop=True)
    pd.testing.assert_frame_equal(versions(STAYS, opened, since=start).to_pandas(), expected)
    narrow = versions(STAYS, opened, columns, start).to_pandas()
    common = ["row_id", "person_id", "known_from", "known_to"]
    pd.testing.assert_frame_equal(narrow, expected[[*common, *columns]])
