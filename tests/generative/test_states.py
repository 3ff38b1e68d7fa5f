"""Hidden states: the compiled pass against every way that they could have gone, over drawn histories and numbers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_features import Naive
from naive_states import ADMITTED, HERE, HOME, IN_HOSPITAL, Day, NaiveStates, start, ways

from features import expectation
from features.build import build
from features.catalogue import load_catalogue
from features.history import empty_history
from features.schema import TABLES, history_schema
from features.states import OLDEST, Learned, with_learned

ZONE = "Europe/London"
STATES, USUAL = 3, 7
TEXT = """
events:
  extra: {table: contacts, where: "coalesce(unscheduled, false)"}
  planned: {table: contacts, where: "unscheduled is distinct from true"}
  away: {table: contacts, where: "status = 'no_access'"}
  pulse: {table: observations, where: "code = 'pulse'", value: value}
  weight: {table: observations, where: "code = 'weight'", value: value}
  brought: {table: attendances}
  emergency: {table: stays, where: "method = '21'"}
states:
  number: 3
  days: 4
  usual_days: 7
  evidence_days: 3
  admission: emergency
  counts: [extra, brought]
  marks: [{of: away, among: planned}]
  readings: [pulse, weight]
families:
  course:
    title: Course
    features:
      - {log_odds: emergency, within: [1, 9]}
    sentences: [{say: all}]
  all:
    title: All
    features:
      - {evidence: extra}
      - {evidence: brought}
      - {evidence: away}
      - {evidence: pulse}
      - {evidence: weight}
      - {evidence: emergency}
    sentences: [{say: all}]
"""
TOLD = ["extra", "brought", "away", "pulse", "weight", "emergency"]
KINDS = [HERE, ADMITTED, IN_HOSPITAL, HOME]
NIGHTS = [
    datetime(2026, 3, 31, 5, tzinfo=UTC),
    datetime(2026, 10, 27, 6, tzinfo=UTC),
    datetime(2026, 6, 1, 5, tzinfo=UTC),
]

share = st.floats(0.01, 0.9)
hours = st.integers(0, 9 * 24)
known = {"known_after": st.integers(0, 60), "lasts": st.none() | st.integers(1, 90)}
person = st.integers(1, 2)
contact = st.fixed_dictionaries(
    {
        "person_id": person,
        "unscheduled": st.sampled_from([True, False, None]),
        "status": st.sampled_from(["attended", "no_access"]),
        "occurred_at": hours,
        **known,
    }
)
observation = st.fixed_dictionaries(
    {
        "person_id": person,
        "code": st.sampled_from(["pulse", "weight"]),
        "value": st.none() | st.sampled_from([-2.0, 0.5, 1.0, 4.0, 30.0]),
        "occurred_at": hours,
        **known,
    }
)
attendance = st.fixed_dictionaries({"person_id": person, "arrived_at": hours, **known})
stay = st.fixed_dictionaries(
    {
        "person_id": person,
        "method": st.sampled_from(["21", "11"]),
        "admitted_at": hours,
        "stayed": st.none() | st.integers(0, 100),
        **known,
    }
)


@st.composite
def numbers(draw):
    def row(length, of=share):
        return tuple(draw(st.lists(of, min_size=length, max_size=length)))

    def chances():
        drawn = row(STATES)
        return tuple(each / sum(drawn) for each in drawn)

    usual = tuple((draw(st.floats(-1, 2)), draw(st.floats(0.1, 3)), draw(st.floats(0.1, 3))) for _ in range(2))
    pace = tuple((draw(st.floats(0.01, 1)), draw(st.floats(0.1, 20))) for _ in range(2))
    return Learned(
        initial=chances(),
        home=chances(),
        transitions=tuple(chances() for _ in range(STATES)),
        counts=tuple(row(STATES) for _ in range(2)),
        marks=(row(STATES),),
        readings=tuple(row(STATES, st.floats(-2, 2)) for _ in range(2)),
        hazard=row(STATES, st.floats(0.001, 0.3)),
        heard=tuple(tuple(sorted(row(OLDEST + 1))) for _ in range(2)),
        usual=usual,
        pace=pace,
    )


def placed(rows, night):
    """Drawn rows with their moments, which lie within nine days of the cut, and the clock they were known by."""
    found = []
    for number, drawn in enumerate(rows):
        row = dict(drawn)
        at = next(name for name in ("occurred_at", "arrived_at", "admitted_at") if name in row)
        row[at] = night - timedelta(hours=row[at])
        known_from = row[at] + timedelta(hours=row.pop("known_after"))
        lasts, stayed = row.pop("lasts"), row.pop("stayed", None)
        if at == "admitted_at":
            row["discharged_at"] = None if stayed is None else row[at] + timedelta(hours=stayed)
        known_to = None if lasts is None else known_from + timedelta(hours=lasts)
        found.append({"row_id": number, **row, "known_from": known_from, "known_to": known_to})
    return found


def is_a(row, event):
    def contact(unscheduled):
        return "unscheduled" in row and (row["unscheduled"] is True) == unscheduled

    return {
        "extra": lambda: contact(True),
        "planned": lambda: contact(False),
        "away": lambda: row.get("status") == "no_access",
        "pulse": lambda: row.get("code") == "pulse",
        "weight": lambda: row.get("code") == "weight",
        "brought": lambda: "arrived_at" in row,
        "emergency": lambda: row.get("method") == "21",
    }[event]()


@settings(max_examples=150)
@given(
    st.sampled_from(NIGHTS),
    st.lists(contact, max_size=8),
    st.lists(observation, max_size=10),
    st.lists(attendance, max_size=3),
    st.lists(stay, max_size=3),
    numbers(),
    st.randoms(use_true_random=False),
)
def test_every_way_the_states_could_have_gone(night, contacts, observations, attendances, stays, learned, shuffled):
    drawn = {"contacts": contacts, "observations": observations, "attendances": attendances, "stays": stays}
    rows = {name: placed(found, night) for name, found in drawn.items()}
    catalogue = load_catalogue(with_learned(TEXT, learned.model_dump_json()), "drawn")
    cuts = [night, night - timedelta(days=2)]
    keys = [(p, cut) for cut in cuts for p in (1, 2)]
    index = pd.DataFrame(keys, columns=["person_id", "as_of"])
    naive = NaiveStates(Naive(rows, is_a, USUAL), catalogue.states, learned)
    expected = [naive.log_odds(p, cut, (1, 9)) + naive.evidence(p, cut) for p, cut in keys]
    for found in rows.values():
        shuffled.shuffle(found)
    tables = empty_history() | {
        name: pa.Table.from_pylist(found, schema=history_schema(TABLES[name])) for name, found in rows.items()
    }
    made = build(tables, index.astype({"as_of": "datetime64[us, UTC]"}), catalogue, ZONE)
    names = [f"log_odds_emergency_within_{ahead}d" for ahead in (1, 9)] + [f"evidence_{event}" for event in TOLD]
    np.testing.assert_allclose(made[names], expected, rtol=1e-8, atol=1e-8)


pairs = st.lists(st.tuples(*[st.floats(0.1, 3)] * 2), min_size=3, max_size=3)
day = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(range(4)),
        "records": st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 1.0, -1.5])), max_size=3),
    }
)


@settings(max_examples=100)
@given(st.lists(st.lists(day, min_size=1, max_size=5), min_size=1, max_size=3), numbers(), pairs)
def test_what_states_are_expected_to_have_done(people, learned, paces):
    """The sums that learning goes by, against every sequence of states weighed by how likely it is."""
    length = max(len(days) for days in people)
    kinds, rows, of = np.zeros((len(people), length), np.int8), [], [0]
    for p, days in enumerate(people):
        for d, told in enumerate(days):
            kinds[p, d] = told["kind"]
            rows += [(d, channel, value) for channel, value in sorted(told["records"])]
        of.append(len(rows))
    columns = np.array(rows, float).reshape(-1, 3).T
    records = columns[0].astype(int), columns[1].astype(int), columns[2].copy(), np.ones(len(rows))
    often = np.array(paces[: len(people)])
    found = expectation.expected(np.array(of), records, kinds, often, learned.arrays[:7])
    wanted = [naive_sums(days, kinds[p], learned, often[p]) for p, days in enumerate(people)]
    for mine, theirs in zip(found, zip(*wanted, strict=True), strict=True):
        np.testing.assert_allclose(mine, sum(theirs), rtol=1e-9, atol=1e-12)


def naive_sums(told, kinds, learned, often):
    begun, moved, counted = np.zeros((2, STATES)), np.zeros((STATES, STATES)), np.zeros((2, STATES))
    marked, read, lived = np.zeros((2, 1, STATES)), np.zeros((2, 2, STATES)), np.zeros((2, STATES))
    recorded = [d for d, each in enumerate(told) if each["records"]]
    awaited = np.zeros((2, STATES))
    sums = begun, moved, counted, awaited, marked, read, lived
    if not recorded:
        return sums
    last = max([recorded[-1], *(d for d, kind in enumerate(kinds) if kind == 1 and d > recorded[-1])])
    days = [of_day(told[d] if d < len(told) else {"records": []}, kinds[d]) for d in range(last + 1)]
    days = days[start(recorded[0], days) :]
    all_ways = list(ways(days, learned, lambda count, _age: often[count]))
    total = sum(chance for _, chance in all_ways)
    for path, chance in all_ways:
        weight = chance / total
        for place, (state, day) in enumerate(zip(path, days, strict=True)):
            add(sums, weight, state, day, often)
            if place == 0 or day.kind == HOME:
                begun[1 if day.kind == HOME else 0, state] += weight
            elif IN_HOSPITAL not in (day.kind, days[place - 1].kind):
                moved[path[place - 1], state] += weight
    return sums


def of_day(told, kind):
    day = Day(KINDS[kind])
    for channel, value in told["records"]:
        if channel < 2:
            day.counts.append(channel)
        elif channel == 2:
            (day.marked if value > 0.5 else day.chances).add(0)
        else:
            day.readings.append((channel - 3, value, 1.0))
    return day


def add(sums, weight, state, day, often):
    _, _, counted, awaited, marked, read, lived = sums
    if day.kind != IN_HOSPITAL:
        lived[1 if day.kind == ADMITTED else 0, state] += weight
    if day.kind not in (HERE, HOME):
        return
    awaited[:, state] += weight * np.array(often)
    for count in day.counts:
        counted[count, state] += weight
    if day.chances | day.marked:
        marked[0, 0, state] += weight * bool(day.marked)
        marked[1, 0, state] += weight
    for place, value, variance in day.readings:
        read[0, place, state] += weight * value / variance
        read[1, place, state] += weight / variance
