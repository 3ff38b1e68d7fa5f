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
