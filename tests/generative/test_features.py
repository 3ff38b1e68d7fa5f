"""Compiled pass = SQL = a naive loop, over drawn histories with ties, corrections, silences and clock-change nights."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from naive_features import Naive
from sql_features import sql_features

from features import events, kernel
from features.build import build, build_part, finish
from features.catalogue import load_catalogue
from features.history import empty_history
from features.schema import TABLES, history_schema
from features.teams import added
from features.vocabulary import AGGREGATES
from features.windows import HORIZON_DAYS, window_starts

ZONE = "Europe/London"
CATALOGUE = load_catalogue(
    """
events:
  a: {table: observations, where: code = 'a', value: value}
  b: {table: observations, where: code = 'b', value: value}
  both: {table: observations, value: value}
  spell: {table: referrals}
  visit: {table: contacts, where: seen}
families:
  all:
    title: All
    features:
      - {count: a, days: [1, 3, 7]}
      - {count: both, days: 3}
      - {distinct_days: both, days: [3, 7]}
      - {days_since: a, days: [3, 7]}
      - {days_since_first: both, days: [3, 7]}
      - {longest_gap: both, days: 7}
      - {cadence: both, days: 7}
      - {run: a, until: b, days: [3, 7]}
      - {rate: a, days: [3, 7]}
      - {ratio: a, days: 3, against: 7}
      - {decayed: both, half_life: [1, 2]}
      - {decayed_mean: both, half_life: 1}
      - {decayed_excess: both, half_life: [1, 2], against: 30}
      - {sum: both, days: [1, 7]}
      - {mean: b, days: [1, 7]}
      - {min: both, days: [3, 7]}
      - {max: both, days: [1, 3]}
      - {first: both, days: [3, 7]}
      - {last: a, days: [1, 7]}
      - {last: both, days: 7}
      - {change: both, days: 1, against: 7}
      - {slope: both, days: 7}
      - {share: a, among: both, days: [1, 7]}
      - {open: spell}
      - {team_share: b, among: visit, days: [1, 7]}
    sentences: [{say: all}]
""",
    "drawn",
)
APART = load_catalogue(
    """
events:
  reading: {table: observations, value: value}
  visit: {table: contacts, where: "seen and occurred_at > timestamptz '2000-01-01'"}
  spell: {table: referrals}
families:
  all:
    title: All
    features:
      - {count: reading, days: [1, 3, 7]}
      - {distinct_days: reading, days: [3, 7]}
      - {days_since: reading, days: 7}
      - {days_since_first: reading, days: [3, 7]}
      - {longest_gap: reading, days: [3, 7]}
      - {cadence: reading, days: 7}
      - {run: reading, until: visit, days: [3, 7]}
      - {run: visit, until: reading, days: 7}
      - {share: reading, among: visit, days: [1, 7]}
      - {share: visit, among: reading, days: 7}
      - {rate: reading, days: 7}
      - {ratio: visit, days: 3, against: 7}
      - {decayed: reading, half_life: 1}
      - {decayed_mean: reading, half_life: 1}
      - {decayed_excess: reading, half_life: 1, against: 14}
      - {decayed_excess: spell, half_life: 1, against: 14}
      - {sum: reading, days: [1, 7]}
      - {sum: spell, days: 7}
      - {mean: reading, days: [3, 7]}
      - {min: reading, days: [1, 3]}
      - {max: reading, days: 7}
      - {first: reading, days: [3, 7]}
      - {last: reading, days: [1, 7]}
      - {change: reading, days: 1, against: 7}
      - {slope: reading, days: [3, 7]}
      - {open: spell}
    sentences: [{say: all}]
""",
    "apart",
)
"""Events that have their stream to themselves, and are looked at where they lie if all were in force at the cut."""
CODES = {"visit": 0, "reading": 1}
"""Which number the pass gives the codes of `APART`."""
INFOS = list(CATALOGUE.infos())
FLOATS = {"slope", "decayed", "decayed_mean", "decayed_excess", "cadence", "rate", "ratio", "change", "team_share"}
EXACT = set(AGGREGATES) - FLOATS
BEFORE = load_catalogue(
    "{events: {admission: {table: stays}}, families: {all: {title: All, features: [{count: admission, days: 9}], "
    "sentences: [{say: all}]}}}",
    "before",
)
NIGHTS = [
    datetime(2026, 3, 25, 6, tzinfo=UTC),
    datetime(2026, 10, 21, 5, tzinfo=UTC),
    datetime(2026, 6, 1, 5, tzinfo=UTC),
]

hours = st.integers(0, 10 * 24) | st.sampled_from([95, 96, 120])
known = {"known_from": hours, "lasts": st.none() | st.integers(1, 72)}
person, team = st.integers(1, 2), st.sampled_from(["T1", "T2", None])
odd_hours = hours | st.sampled_from([95.5, 95.99, 96.005])
"""Moments that need not be whole minutes apart, but far enough for the slopes in SQL to be as near as is asked."""
observation = st.fixed_dictionaries(
    {
        "person_id": person,
        "team_id": team,
        "code": st.sampled_from("ab"),
        "value": st.none() | st.sampled_from([0.0, 1.0, 2.5, -3.0, 7.12345, 9e8]),
        "occurred_at": odd_hours,
        **known,
    }
)
contact = st.fixed_dictionaries(
    {"person_id": person, "team_id": team, "seen": st.booleans(), "occurred_at": hours, **known}
)
referral = st.fixed_dictionaries(
    {
        "person_id": person,
        "team_id": team,
        "received_at": hours,
        "closed_at": st.none() | hours,
        "known_from": st.integers(0, 100),
        "lasts": st.none() | st.integers(24, 200),
    }
)
cuts = hours | st.sampled_from([168, 216, 240])
index_row = st.tuples(st.integers(1, 3), cuts)


def promptly(told, prompt):
    """The rows of the tables in `prompt` as known for good as soon as they occur."""
    at_once = {
        name: [line | {"known_from": line["occurred_at"], "lasts": None} for line in told[name]] for name in prompt
    }
    return told | at_once


told = st.fixed_dictionaries(
    {
        "observations": st.lists(observation, max_size=12),
        "contacts": st.lists(contact, max_size=5),
        "referrals": st.lists(referral, max_size=3),
    }
)
prompt = st.sampled_from([(), ("observations",), ("contacts",), ("observations", "contacts")])
world = st.builds(promptly, told, prompt)
drawn = st.tuples(world, st.lists(index_row, min_size=1, max_size=4, unique=True), st.sampled_from(NIGHTS))


def histories(drawn_world, start):
    """The drawn hours as rows of the history's tables."""
    made = {}
    for name, lines in drawn_world.items():
        made[name] = []
        for number, line in enumerate(lines):
            moments = {
                key: start + timedelta(hours=line[key])
                for key in ("occurred_at", "received_at", "closed_at", "known_from")
                if line.get(key) is not None
            }
            lasts = line["lasts"]
            known_to = None if lasts is None else moments["known_from"] + timedelta(hours=lasts)
            cells = {key: value for key, value in line.items() if key != "lasts"}
            blank = dict.fromkeys(history_schema(TABLES[name]).names)
            made[name].append(blank | cells | moments | {"row_id": number, "known_to": known_to})
    return made


def tables(rows):
    return empty_history() | {
        name: pa.Table.from_pylist(lines, schema=history_schema(TABLES[name])) for name, lines in rows.items()
    }


def index_of(pairs, start):
    moments = pd.Series([start + timedelta(hours=h) for _, h in pairs], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"person_id": [p for p, _ in pairs], "as_of": moments})


def features(rows, index, catalogue=CATALOGUE):
    """The table as the pipeline makes it: each team's counts over everyone, then the features of the rows."""
    return build(tables(rows), index, catalogue, ZONE)


def is_a(row, event):
    """What the drawn catalogue's events say, in Python."""
    if "received_at" in row:
        return event in {"spell", "any"}
    if "seen" in row:
        return event in {"visit", "any"} and row["seen"]
    return event in {row["code"], "both", "reading", "any"}


@settings(max_examples=40)
@given(drawn, st.sampled_from([CATALOGUE, APART]))
def test_three_ways_to_the_same_figures(draw, catalogue):
    drawn_world, pairs, start = draw
    three_ways(histories(drawn_world, start), index_of(pairs, start), catalogue)


def three_ways(rows, index, catalogue):
    infos = list(catalogue.infos())
    made = features(rows, index, catalogue)[catalogue.contract.names]
    in_sql = sql_features(tables(rows), index, catalogue, ZONE)
    exact = [info.name for info in infos if info.aggregate in EXACT]
    pd.testing.assert_frame_equal(made[exact], in_sql[exact], check_exact=True)
    # The statement takes two sums from one another, and so is as near as the greatest value allows.
    apart = [info.name for info in infos if info.aggregate == "decayed_excess"]
    greatest = max((abs(row["value"]) for row in rows["observations"] if row["value"] is not None), default=0.0)
    np.testing.assert_allclose(made[apart], in_sql[apart], rtol=1e-9, atol=1e-9 * max(greatest, 1.0))
    others = [name for name in in_sql.columns if name not in apart]
    np.testing.assert_allclose(made[others].to_numpy(), in_sql[others].to_numpy(), rtol=1e-9, atol=1e-9)
    naive = Naive(rows, is_a, catalogue.longest)
    loop = [[naive.figure(r.person_id, r.as_of.to_pydatetime(), i) for i in infos] for r in index.itertuples()]
    np.testing.assert_allclose(made.to_numpy(), np.array(loop, dtype=float), rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(drawn, st.sampled_from([CATALOGUE, APART]), st.integers(1, 3))
def test_blocks_and_kinds_do_not_matter(draw, catalogue, most):
    """However many rows the pass takes at a time, and whether what a row is was worked out of it or of one alike."""
    drawn_world, pairs, start = draw
    rows, index = histories(drawn_world, start), index_of(pairs, start)
    with patch.object(kernel, "MOST_ROWS", most), patch.object(events, "_alike", lambda *_: None):
        made = features(rows, index, catalogue)
    pd.testing.assert_frame_equal(made, features(rows, index, catalogue))


@pytest.fixture
def paths(monkeypatch):
    """For an event of `APART`: whether it was found in place, and how many of it, of each row since that had any."""
    rooms, make = [], kernel.scratch
    monkeypatch.setattr(kernel, "scratch", lambda *sizes: rooms.append(make(*sizes)) or rooms[-1])

    def of(event):
        codes = [range(CODES[event], len(room.ends), len(room.ends) // room.block) for room in rooms]
        found = [
            (bool(room.in_place[code]), int(room.ends[code] - room.begins[code, 2]))
            for room, places in zip(rooms, codes, strict=True)
            for code in places
        ]
        return {(where, many) for where, many in found if many}

    return of


def test_drawn_histories_go_down_both_paths(paths):
    @settings(max_examples=200, derandomize=True, database=None, phases=[Phase.generate])
    @given(drawn)
    def look(draw):
        drawn_world, pairs, start = draw
        features(histories(drawn_world, start), index_of(pairs, start), APART)

    look()
    assert {where for where, _ in paths("reading")} == {True, False}


@pytest.mark.parametrize("late", [(), ("observations",), ("contacts",), ("observations", "contacts")])
def test_some_events_in_place_and_others_gathered(paths, late):
    """A row of a late table is not known at the cut, so that the others of it are gathered."""
    whose = {"person_id": 1, "team_id": "T1", "lasts": None}
    readings = [whose | {"code": "a", "value": float(hour), "occurred_at": hour} for hour in (10, 20, 30, 40)]
    visits = [whose | {"seen": True, "occurred_at": hour} for hour in (15, 25, 35)]
    told = {
        name: [
            line | {"known_from": 240 if name in late and line["occurred_at"] in (20, 25) else line["occurred_at"]}
            for line in lines
        ]
        for name, lines in (("observations", readings), ("contacts", visits))
    }
    rows = histories(told | {"referrals": []}, NIGHTS[2])
    three_ways(rows, index_of([(1, 50)], NIGHTS[2]), APART)
    assert paths("reading") == {(False, 3) if "observations" in late else (True, 4)}
    assert paths("visit") == {(False, 2) if "contacts" in late else (True, 3)}


def lone_readings(*told, people=1):
    """Of people in one table: hour, value, and the hour at which it became known and at which it no longer was."""
    readings = [
        {"person_id": person, "team_id": None, "code": "a", "occurred_at": at, "value": value, "known_from": known}
        | {"lasts": None if until is None else until - known}
        for person in range(1, people + 1)
        for at, value, known, until in told
    ]
    return histories({"observations": readings, "contacts": [], "referrals": []}, NIGHTS[2])


USUAL = [(hour, float(hour % 7), hour, None) for hour in range(5, 200, 13)]
SLOPES = ["slope_reading_3d", "slope_reading_7d", "sum_reading_7d"]


@pytest.mark.parametrize(
    "stray",
    [
        (201, 4.0, 201, None),
        (201.0001, 4.0, 201.0001, None),  # no whole minutes from the others
        (0.0001, 4.0, 0.0001, None),
        (201, 9e8, 201, None),  # too large for sums of whole numbers
        (0, 9e8, 0, None),
        (100, 9e8, 205, None),  # known later
        (100.0001, 4.0, 205, None),
        (100, 9e8, 105, 110),  # no longer known
    ],
)
def test_rows_are_the_same_to_the_bit_whatever_else_is_known_of_the_person(stray):
    """In any order and alone: though sums are held from row to row, and depend on what there is to hold."""
    cuts = [(1, hour) for hour in (180, 190, 195, 197, 200)]
    index = index_of(cuts, NIGHTS[2])
    made = features(lone_readings(*USUAL), index, APART)[SLOPES]
    assert made.notna().all(axis=None)
    more = lone_readings(*USUAL, stray)
    three_ways(more, index, APART)
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [1], [4]):
        chosen = features(more, index.iloc[order], APART)[SLOPES]
        pd.testing.assert_frame_equal(chosen, made.iloc[order].reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("value", [9e8, 4.0])
@pytest.mark.parametrize("known", [(60, None), (175, None), (60, 185), (185, 193)])
def test_one_person_s_rows_of_which_some_are_gathered(value, known):
    """Wherever the person's events lie, behind those of others."""
    readings = lone_readings(*USUAL, (60, value, *known), (60, 2.0, 60, None), people=6)
    hours = [20, 170, 176, 184, 186, 192, 194, 199]
    index = index_of([(1, hour) for hour in hours + hours[::-1]], NIGHTS[2])
    three_ways(readings, index, APART)
    first = features(readings, index, APART)
    for number in (2, 4, 6):
        other = features(readings, index.assign(person_id=number), APART)
        pd.testing.assert_frame_equal(other.assign(person_id=1), first, check_exact=True)


@pytest.mark.parametrize("odd", [(0.0001,), (0.0, 0.0001), (0.0,)])
@pytest.mark.parametrize("values", [(4.0, 1.0, -2.5), (9e8,), (-9e8,) * 30 + (9e8,) * 30, (None,), (None, 2.0)])
def test_sums_of_whole_numbers_give_way_where_they_would_not_be_exact(odd, values):
    """Moments that are no whole minutes apart, and values whose products with them are too large."""
    told = [(3 * n + odd[n % len(odd)], values[n % len(values)], 3 * n, None) for n in range(60)]
    three_ways(lone_readings(*told), index_of([(1, 90), (1, 170), (1, 179)], NIGHTS[2]), APART)


def strays(rows, index):
    """Rows that no figure may depend on: too old, known too late, ahead of the cut, no longer known."""
    first, last = index["as_of"].min().to_pydatetime(), index["as_of"].max().to_pydatetime()
    for stray in [lines[0] for lines in rows.values() if lines]:
        at = "received_at" if "received_at" in stray else "occurred_at"
        shut = {"closed_at": first - timedelta(days=CATALOGUE.longest + 1)} if at == "received_at" else {}
        yield stray | {at: first - timedelta(days=CATALOGUE.longest + 2), "known_to": None} | shut
        yield stray | {"known_from": last + timedelta(minutes=1), "known_to": None}
        yield stray | {at: last, "known_to": None}
        yield stray | {"known_from": first - timedelta(days=30), "known_to": first}


@settings(max_examples=15)
@given(drawn, st.randoms(use_true_random=False))
def test_what_does_not_matter(draw, random):
    """Row order, other people, what is older than the look-back, what is known later or no longer, and company."""
    drawn_world, pairs, start = draw
    rows, index = histories(drawn_world, start), index_of(pairs, start)
    made = features(rows, index)
    shuffled = {name: random.sample(lines, len(lines)) for name, lines in rows.items()}
    pd.testing.assert_frame_equal(made, features(shuffled, index))
    more = {name: list(lines) for name, lines in rows.items()}
    for stray in strays(rows, index):
        kind = "referrals" if stray.keys() >= {"received_at"} else "contacts" if "seen" in stray else "observations"
        more[kind].append(stray)
    more["observations"] += [line | {"person_id": 9} for line in rows["observations"]]
    pd.testing.assert_frame_equal(made, features(more, index))
    for number in range(len(index)):
        alone = features(rows, index.iloc[[number]])
        pd.testing.assert_frame_equal(made.iloc[[number]].reset_index(drop=True), alone)


@settings(max_examples=25)
@given(drawn)
def test_buckets_do_not_matter(draw):
    drawn_world, pairs, start = draw
    rows, index = histories(drawn_world, start), index_of(pairs, start)
    moments = list(index["as_of"])
    parts = [{name: [r for r in t if r["person_id"] % 2 == odd] for name, t in rows.items()} for odd in (0, 1)]
    halves = [index[index["person_id"] % 2 == odd] for odd in (0, 1)]
    made = [build_part(tables(part), mine, CATALOGUE, ZONE, moments) for part, mine in zip(parts, halves, strict=True)]
    counts = added([part.counts for part in made])
    pieces = [finish(part, counts, CATALOGUE) for part in made]
    together = index.merge(pd.concat(pieces), on=["person_id", "as_of"])
    pd.testing.assert_frame_equal(features(rows, index), together)


@settings(max_examples=25)
@given(drawn)
def test_shifting_everything_by_whole_weeks_within_one_season_shifts_nothing(draw):
    drawn_world, pairs, _ = draw
    summer = NIGHTS[2]
    later = summer + timedelta(weeks=5)
    one, other = (features(histories(drawn_world, when), index_of(pairs, when)) for when in (summer, later))
    pd.testing.assert_frame_equal(one[CATALOGUE.contract.names], other[CATALOGUE.contract.names])


@settings(max_examples=50)
@given(st.lists(hours, min_size=1, max_size=8), st.integers(0, 240), st.sampled_from(NIGHTS))
def test_features_and_label_never_share_an_event_and_tile(admitted, cut, start):
    """Of a stay's admission, the feature counts what is behind the cut and the label what is ahead of it."""
    as_of = start + timedelta(hours=cut)
    stays = [
        dict.fromkeys(history_schema(TABLES["stays"]).names)
        | {
            "row_id": number,
            "person_id": 1,
            "known_from": start - timedelta(days=1),
            "admitted_at": start + timedelta(hours=hour),
        }
        for number, hour in enumerate(admitted)
    ]
    history = empty_history() | {"stays": pa.Table.from_pylist(stays, schema=history_schema(TABLES["stays"]))}
    index = pd.DataFrame({"person_id": [1], "as_of": pd.Series([as_of], dtype="datetime64[us, UTC]")})
    behind = build(history, index, BEFORE, ZONE)["count_admission_9d"].item()
    until = window_starts([as_of], [-HORIZON_DAYS], ZONE)[f"start_{-HORIZON_DAYS}"].item()
    ahead = sum(as_of <= stay["admitted_at"] < until for stay in stays)
    start_of_all = window_starts([as_of], [9], ZONE)["start_9"].item()
    assert behind + ahead == sum(start_of_all <= stay["admitted_at"] < until for stay in stays)


def test_every_aggregate_is_drawn():
    """But for what hidden states give, which tests/generative/test_states.py draws."""
    assert {info.aggregate for info in INFOS} == set(AGGREGATES) - {"log_odds", "evidence"}
    assert {info.aggregate for info in APART.infos()} == set(AGGREGATES) - {"log_odds", "evidence", "team_share"}
