"""Streams of events: what a bit stands for, however many events a catalogue has, and rows in any order."""

import pyarrow as pa

from features.build import build
from features.catalogue import load_catalogue
from features.events import BITS, streams

CODES = [f"c{number}" for number in range(BITS + 6)]
MANY = load_catalogue(
    "events:\n"
    + "".join(f"  {code}: {{table: observations, where: code = '{code}', value: value}}\n" for code in CODES)
    + "families: {all: {title: All, sentences: [{say: all}], features: ["
    + ", ".join(f"{{count: {code}, days: 7}}" for code in CODES)
    + f", {{share: {CODES[-1]}, among: {CODES[0]}, days: 7}}, {{run: {CODES[0]}, until: {CODES[-1]}, days: 7}}"
    + f", {{sum: {CODES[-1]}, days: 7}}]}}}}",
    "many",
)


def observed(history, order):
    """Each code once a day on its own hour, the first and the last once more; in the order given."""
    lines = [f"2026-01-0{day} 12:{n:02} | 1 | c{n} | {n}" for day in (4, 5) for n in range(60)]
    lines += [f"2026-01-05 13:{n - 60:02} | 1 | c{n} | {n}" for n in range(60, len(CODES))]
    lines += [f"2026-01-06 12:00 | 1 | {CODES[0]} | 5"]
    return history(observations="occurred_at | person_id | code | value\n" + "\n".join(order(lines)))


def index(history):
    return history(contacts="person_id | occurred_at\n1 | 2026-01-07 06:00")["contacts"].select(
        ["person_id", "occurred_at"]
    )


def test_more_events_than_bits_go_into_further_streams(history):
    tables = observed(history, list)
    keyed = index(history).rename_columns(["person_id", "as_of"]).to_pandas()
    row = build(tables, keyed, MANY, "Europe/London").iloc[0]
    assert [len(stream.group.events) for stream in streams(tables, MANY)] == [BITS, 6]
    counts = [row[f"count_{code}_7d"] for code in CODES]
    assert counts == [3.0] + [2.0] * 59 + [1.0] * (len(CODES) - 60)
    assert row[f"share_{CODES[-1]}_among_{CODES[0]}_7d"] == 1 / 3
    assert row[f"run_{CODES[0]}_until_{CODES[-1]}_7d"] == 1
    assert row[f"sum_{CODES[-1]}_7d"] == len(CODES) - 1


def test_rows_in_any_order_and_texts_as_dictionaries_give_the_same_bytes(history):
    keyed = index(history).rename_columns(["person_id", "as_of"]).to_pandas()
    made = build(observed(history, list), keyed, MANY, "Europe/London")
    backwards = observed(history, reversed)
    backwards["observations"] = pa.table(
        [c.combine_chunks().dictionary_encode() if c.type == pa.string() else c for c in backwards["observations"]],
        names=backwards["observations"].column_names,
    )
    assert build(backwards, keyed, MANY, "Europe/London").equals(made)


ODD = """
events:
  pain: {table: observations, where: "CODE = 'pain' and value between 0 and 10", value: value}
  any: {table: observations, where: "code in ('pain', 'weight')", value: value}
  told: {table: observations, where: "code like 'n:%'  -- a number in words", value: "substr(code, 3)::double"}
families:
  all:
    title: All
    sentences: [{say: all}]
    features:
      [{sum: pain, days: 7}, {sum: any, days: 7}, {mean: any, days: 7}, {sum: told, days: 7}, {count: any, days: 7}]
"""


def test_a_value_is_worked_out_only_for_the_rows_that_are_worth_it_and_a_huge_one_is_none(history):
    odd = load_catalogue(ODD, "odd")
    tables = history(
        observations="""occurred_at | person_id | code | value
        2026-01-05 12:00 | 1 | pain | 4
        2026-01-05 13:00 | 1 | pain | 1e15
        2026-01-05 14:00 | 1 | elsewhere:123 | 1e15
        2026-01-05 15:00 | 1 | n:2.5 | -
        2026-01-05 16:00 | 1 | weight | -1e300"""
    )
    keyed = index(history).rename_columns(["person_id", "as_of"]).to_pandas()
    row = build(tables, keyed, odd, "Europe/London").iloc[0]
    assert list(row[odd.contract.names]) == [4.0, 4.0, 4.0, 2.5, 3.0]
    assert odd.columns["observations"] == {"occurred_at", "code", "value"}


def test_without_rows_or_cuts_a_table_is_empty(history):
    recording = load_catalogue(
        "events: {read: {table: observations}, visit: {table: contacts}}\n"
        "families: {all: {title: All, sentences: [{say: all}], features: [{team_share: read, among: visit, days: 7}]}}",
        "teams",
    )
    keyed = index(history).rename_columns(["person_id", "as_of"]).to_pandas()
    assert build(history(), keyed[:0], recording, "Europe/London").empty
    assert build(history(), keyed, recording, "Europe/London")["team_share_read_among_visit_7d"].isna().all()
