"""Compiled pass = SQL = a naive loop, over drawn histories with ties, corrections, silences and clock-change nights."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_features import sql_features

from features.build import build
from features.catalogue import AGGREGATES, load_catalogue
from features.history import empty_history
from features.schema import TABLES, history_schema

ZONE = "Europe/London"
CATALOGUE = load_catalogue(
    """
events:
  a: {table: observations, where: code = 'a', value: value}
  b: {table: observations, where: code = 'b', value: value}
  both: {table: observations, value: value}
families:
  all:
    title: All
    features:
      - {count: a, days: [1, 3, 7]}
      - {count: both, days: 3}
      - {days_since: a, days: [3, 7]}
      - {mean: b, days: [1, 7]}
      - {min: both, days: [3, 7]}
      - {max: both, days: [1, 3]}
      - {last: a, days: [1, 7]}
      - {last: both, days: 7}
      - {share: a, among: both, days: [1, 7]}
    sentences: [{say: all}]
""",
    "drawn",
)
INFOS = list(CATALOGUE.infos())
NIGHTS = [
    datetime(2026, 3, 25, 6, tzinfo=UTC),
    datetime(2026, 10, 21, 5, tzinfo=UTC),
    datetime(2026, 6, 1, 5, tzinfo=UTC),
]

hours = st.integers(0, 10 * 24)
event = st.fixed_dictionaries(
    {
        "person_id": st.integers(1, 2),
        "code": st.sampled_from("ab"),
        "value": st.none() | st.sampled_from([0.0, 1.0, 2.5, -3.0, 7.12345]),
        "occurred_at": hours,
        "known_from": hours,
        "lasts": st.none() | st.integers(1, 72),
    }
)
index_row = st.tuples(st.integers(1, 3), hours)
drawn = st.tuples(
    st.lists(event, max_size=12), st.lists(index_row, min_size=1, max_size=4, unique=True), st.sampled_from(NIGHTS)
)


def history(events, start):
    rows = []
    for number, e in enumerate(events):
        known = start + timedelta(hours=e["known_from"])
        rows.append(
            dict.fromkeys(history_schema(TABLES["observations"]).names)
            | {
                "row_id": number,
                "person_id": e["person_id"],
                "code": e["code"],
                "value": e["value"],
                "occurred_at": start + timedelta(hours=e["occurred_at"]),
                "known_from": known,
                "known_to": None if e["lasts"] is None else known + timedelta(hours=e["lasts"]),
            }
        )
    return rows


def tables(rows):
    return empty_history() | {"observations": pa.Table.from_pylist(rows, schema=history_schema(TABLES["observations"]))}


def index_of(pairs, start):
    cuts = pd.Series([start + timedelta(hours=h) for _, h in pairs], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"person_id": [p for p, _ in pairs], "as_of": cuts})


def naive(rows, person, as_of, info):
    """One figure, one row, one event at a time."""
    local = as_of.astimezone(ZoneInfo(ZONE))
    start = (local - timedelta(days=info.days)).astimezone(UTC)

    def held(code):
        return [
            r
            for r in rows
            if r["person_id"] == person
            and code in (r["code"], "both")
            and start <= r["occurred_at"] < as_of
            and r["known_from"] <= as_of
            and (r["known_to"] is None or as_of < r["known_to"])
        ]

    mine = held(info.of)
    if info.aggregate == "count":
        return len(mine)
    if info.aggregate == "share":
        among = held(info.among)
        return len(mine) / len(among) if among else math.nan
    if info.aggregate == "days_since":
        return min(((as_of - r["occurred_at"]) / timedelta(days=1) for r in mine), default=math.nan)
    valued = [(r["occurred_at"], round(r["value"], 4)) for r in mine if r["value"] is not None]
    if not valued:
        return math.nan
    values = [value for _, value in valued]
    return {"mean": sum(values) / len(values), "min": min(values), "max": max(values), "last": max(valued)[1]}[
        info.aggregate
    ]


@settings(max_examples=60, deadline=None)
@given(drawn)
def test_three_ways_to_the_same_figures(draw):
    events, pairs, start = draw
    rows, index = history(events, start), index_of(pairs, start)
    made = build(tables(rows), index, CATALOGUE, ZONE)[CATALOGUE.contract.names]
    pd.testing.assert_frame_equal(
        made, sql_features(tables(rows), index, CATALOGUE, ZONE)[made.columns], check_exact=True
    )
    loop = [[naive(rows, r.person_id, r.as_of.to_pydatetime(), i) for i in INFOS] for r in index.itertuples()]
    np.testing.assert_allclose(made.to_numpy(), np.array(loop, dtype=float), rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(drawn, st.randoms(use_true_random=False))
def test_what_does_not_matter(draw, random):
    """Row order, other people, what is older than the look-back, what is known later, whole weeks, and company."""
    events, pairs, start = draw
    rows, index = history(events, start), index_of(pairs, start)
    made = build(tables(rows), index, CATALOGUE, ZONE)
    shuffled = random.sample(rows, len(rows))
    pd.testing.assert_frame_equal(made, build(tables(shuffled), index, CATALOGUE, ZONE))
    last = index["as_of"].max().to_pydatetime()
    first = index["as_of"].min().to_pydatetime()
    stray = dict(rows[0]) if rows else None
    if stray is not None:
        more = [
            stray | {"person_id": 9},
            stray | {"occurred_at": first - timedelta(days=8), "known_to": None},
            stray | {"known_from": last + timedelta(minutes=1), "known_to": None},
            stray | {"occurred_at": last, "known_to": None},
        ]
        pd.testing.assert_frame_equal(made, build(tables([*rows, *more]), index, CATALOGUE, ZONE))
    for number in range(len(index)):
        alone = build(tables(rows), index.iloc[[number]], CATALOGUE, ZONE)
        pd.testing.assert_frame_equal(made.iloc[[number]].reset_index(drop=True), alone)


@settings(max_examples=30, deadline=None)
@given(drawn)
def test_shifting_everything_by_whole_weeks_within_one_season_shifts_nothing(draw):
    events, pairs, _ = draw
    summer = NIGHTS[2]
    names = CATALOGUE.contract.names
    one = build(tables(history(events, summer)), index_of(pairs, summer), CATALOGUE, ZONE)[names]
    later = summer + timedelta(weeks=5)
    pd.testing.assert_frame_equal(
        one, build(tables(history(events, later)), index_of(pairs, later), CATALOGUE, ZONE)[names]
    )


def test_every_aggregate_is_drawn():
    assert {info.aggregate for info in INFOS} == set(AGGREGATES)
