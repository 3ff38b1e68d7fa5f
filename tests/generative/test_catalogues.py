"""Every feature of every shipped catalogue is the same in the compiled pass and in SQL, over drawn histories.

The words drawn are those that the catalogue's own conditions name, so a feature added to a catalogue is tested too.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_features import sql_features

from features.build import build
from features.catalogue import load_catalogue
from features.history import empty_history
from features.schema import TABLES, history_schema

ZONE = "Europe/London"
CATALOGUES = sorted((Path(__file__).parents[2] / "configs" / "features").glob("*.yaml"))
START = datetime(2025, 3, 1, 6, tzinfo=UTC)
DAYS = 420


@cache
def words_of(path):
    """For each table, the words in quotes that conditions on it hold (patterns without their signs)."""
    words = {}
    for event in load_catalogue(path.read_text(encoding="utf-8"), path.name).events.values():
        quoted = re.findall(r"'([^']*)'", event.where)
        words.setdefault(event.table, set()).update(word.strip("%") for word in quoted)
    return {table: sorted(found) for table, found in words.items()}


def moments(newest):
    """Mostly of late, in hours, so that ties and short windows are common."""
    return (st.integers(0, 24 * 12) | st.integers(0, 24 * DAYS)).map(lambda hours: newest - timedelta(hours=hours))


def cell(column, words, newest):
    kinds = {
        "text": st.sampled_from([*words, "another"]),
        "code": st.sampled_from(sorted({*words, *column.codes} or {"another"})),
        "number": st.sampled_from([0.0, 1.0, 3.0, 6.5, 24.0, 70.25]),
        "whole": st.integers(1, 10),
        "flag": st.booleans(),
        "time": moments(newest),
        "id": st.integers(1, 3),
    }
    return kinds[column.type]


@st.composite
def history(draw, path, newest):
    found = empty_history()
    for name, words in words_of(path).items():
        table, rows = TABLES[name], []
        for number in range(draw(st.integers(0, 12))):
            row = {c.name: draw(st.none() | cell(c, words, newest)) for c in table.columns if c.name != table.at}
            at = draw(moments(newest))
            known = at + draw(st.sampled_from([timedelta(0), timedelta(hours=30)]))
            gone = draw(st.none() | st.just(known + timedelta(days=3)))
            row |= {"row_id": number, "person_id": draw(st.integers(1, 2)), table.at: at}
            rows.append(row | {"known_from": known, "known_to": gone})
        found[name] = pa.Table.from_pylist(rows, schema=history_schema(table))
    return found


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
@settings(max_examples=12)
@given(st.data())
def test_every_feature_of_the_catalogue_is_what_sql_makes_of_it(path, data):
    catalogue = load_catalogue(path.read_text(encoding="utf-8"), path.name)
    newest = START + timedelta(days=DAYS)
    tables = data.draw(history(path, newest))
    cuts = pd.Series([newest, newest - timedelta(days=2)], dtype="datetime64[us, UTC]")
    index = pd.DataFrame({"person_id": [1, 2], "as_of": cuts})
    made = build(tables, index, catalogue, ZONE)
    catalogue.contract.check(made)
    expected = sql_features(tables, index, catalogue, ZONE)
    np.testing.assert_allclose(made[expected.columns].to_numpy(), expected.to_numpy(), rtol=1e-9, atol=1e-9)
