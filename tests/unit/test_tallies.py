"""What the feeds told, counted by hand on a few rows."""

import pandas as pd
import pyarrow as pa
import pytest
from drawn import london

from features.tallies import added, tally

EDGES = [london(day) for day in ("2026-01-05 06:00", "2026-01-12 06:00", "2026-01-19 06:00")]
SOURCES = {1: "load", 2: "feed"}
CONTACTS = """
row_id | person_id | occurred_at      | known_from       | status   | team_id
1      | 1         | 2026-01-06 10:00 | 2026-01-06 12:00 | attended | A
2      | 1         | 2026-01-08 10:00 | 2026-01-05 12:00 | planned  | A
2      | 1         | 2026-01-08 10:00 | 2026-01-12 06:00 | attended | A
3      | 2         | 2026-01-10 10:00 | 2026-01-12 10:00 | attended | -
4      | 2         | 2026-01-10 10:00 | 2026-01-20 10:00 | attended | A
5      | 3         | 2026-01-01 10:00 | 2026-01-05 06:00 | attended | A
"""
BATCHES = [1, 1, 1, 2, 2, 1]


@pytest.fixture
def counted(history):
    table = history(contacts=CONTACTS)["contacts"].append_column("batch", pa.array(BATCHES, pa.int32()))
    return tally({"contacts": table}, SOURCES, EDGES)


def rows_of(frame: pd.DataFrame, **chosen) -> dict:
    mine = frame[(frame[list(chosen)] == pd.Series(chosen)).all(axis=1)]
    return dict(zip(zip(mine["source"], mine["period"], strict=True), mine["rows"], strict=True))


def test_versions_are_counted_where_they_became_known(counted):
    assert rows_of(counted.rows) == {("load", 0): 3, ("feed", 1): 1}, "a cut belongs to the period that it ends"


def test_codes_and_empty_cells_are_counted(counted):
    assert rows_of(counted.codes, column="status", code="attended") == {("load", 0): 2, ("feed", 1): 1}
    assert rows_of(counted.codes, column="status", code="planned") == {("load", 0): 1}
    assert rows_of(counted.nulls, column="team_id") == {("feed", 1): 1}
    assert counted.codes.loc[counted.codes["code"] == "attended", "people"].tolist() == [1, 1]


def test_lags_are_of_the_first_word_after_the_fact(counted):
    found = {(row.source, row.period, row.hours): row.rows for row in counted.lags.itertuples()}
    assert found == {("load", 0, 2): 1, ("load", 0, 92): 1, ("feed", 1, 48): 1}


def test_counts_of_parts_add_up(counted):
    twice = added([counted, counted])
    assert twice.rows["rows"].sum() == 2 * counted.rows["rows"].sum()
    assert list(twice.codes.columns) == list(counted.codes.columns)
