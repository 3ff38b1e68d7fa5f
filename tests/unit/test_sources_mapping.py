"""A mapping says something usable, or is refused with the place and the nearest word."""

from datetime import time
from pathlib import Path

import pytest

from features.errors import ConfigError
from features.sources.mapping import Mapping, load_mapping

MAPPINGS = sorted((Path(__file__).parents[2] / "configs" / "sources").glob("*.yaml"))
GOOD = """
name: small
about: A small mapping.
files:
  events:
    match: events.csv
    columns: {person: who, code: [], at: [time, "when"], amount: []}
    needs: [person]
tables:
  observations:
    - from: events
      key: [person, code, at]
      person: [{scheme: nhs, columns: [person]}]
      columns:
        code: code
        occurred_at: {date: at}
        value: amount
"""


@pytest.mark.parametrize("path", MAPPINGS, ids=lambda path: path.stem)
def test_every_mapping_that_comes_with_the_program_is_understood(path: Path) -> None:
    mapping = load_mapping(path.read_text(encoding="utf-8"), path.name)
    assert mapping.name == path.stem
    assert len(mapping.about.split()) > 5


def test_short_forms_mean_the_long_ones() -> None:
    long = (
        GOOD.replace("match: events.csv", "match: [events.csv]")
        .replace("key: [person, code, at]", "key: [[person, code, at]]")
        .replace("person: who", "person: [who]")
        .replace("code: code", "code: {column: [code]}")
        .replace("{date: at}", "{date: [at]}")
    )
    assert load_mapping(GOOD, "x") == load_mapping(long, "x")
    assert isinstance(hash(load_mapping(GOOD, "x").files["events"].match), int)


def test_on_and_no_are_words() -> None:
    on = GOOD.replace("      key:", "      lookups: {other: {from: events, on: {person: person}}}\n      key:")
    lookup = load_mapping(on, "x").tables["observations"][0].lookups["other"]
    assert lookup.on == {"person": "person"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("", None, "x.yaml must be a mapping with 'name', 'about' and 'files'; it is empty"),
        ("name: small", "name: [", "x.yaml must be YAML"),
        ("name: small", "name: 2026-13-45", "x.yaml must be YAML: month must be in 1..12"),
        ("name: small", "name: small\nname: again", "'name' is given twice"),
        ("about: A small mapping.", "", "about: Field required"),
        ("needs: [person]", "need: [person]", "'need' at files.events.need is not understood; did you mean 'needs'?"),
        ("key: [person, code, at]", "keys: [person]", "'keys' at tables.observations.0.keys is not understood"),
        ("{date: at}", "{date: at, tme: at}", "did you mean 'time'?"),
        ("match: events.csv", "url: sqlite://", "a raw table needs either 'match'"),
        ("needs: [person]", "needs: [persn]", "there is no column 'persn'; did you mean 'person'?"),
        (
            "  observations:",
            "  observation:",
            "there is no canonical table 'observation'; did you mean 'observations'?",
        ),
        ("from: events", "from: event", "there is no raw table 'event'; did you mean 'events'?"),
        ("value: amount", "vale: amount", "there is no column 'vale'; did you mean 'value'?"),
        ("value: amount", "value: amont", "there is no column 'amont'; did you mean 'amount'?"),
        ("value: amount", "value: lookup.amount", "there is no lookup 'lookup'"),
        ("value: amount", "value: {column: amount, sql: '1'}", "needs exactly one of column, value"),
        ("value: amount", "value: {codes: {'1': 2}}", "needs exactly one of column, value"),
        ("value: amount", "value: {column: amount, codes: {1: 2}}", "valid string"),
        ("key: [person, code, at]", "", "needs a 'key'"),
        ("        occurred_at: {date: at}\n", "", "needs 'occurred_at' among its 'columns': a row of observations"),
        ("        code: code\n", "", "needs 'code' among its 'columns'"),
        ("about: A", "date_formats: ['%d.%q.%Y']\nabout: A", "'%d.%q.%Y' is no way to write a date"),
        ("about: A", "date_formats: [DD.MM.YYYY]\nabout: A", "write it like %d.%m.%Y"),
        ("about: A", "receipt: {time: 6}\nabout: A", "receipt.time: must be a time of day, like 06:00"),
        ("{date: at}", "{date: at, default_time: 1230}", "must be a time of day, like 06:00"),
        ("about: A", "zone: Europe/Londn\nabout: A", "there is no time zone 'Europe/Londn'"),
        ("about: A", "receipt: {column: Upload}\nabout: A", "there is no header column 'Upload'"),
        ("about: A", "complete: {table: x, when: a, first: b, last: c}\nabout: A", "there is no canonical table 'x'"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(old: str, new: str | None, says: str) -> None:
    text = "" if new is None else GOOD.replace(old, new, 1)
    with pytest.raises(ConfigError) as caught:
        load_mapping(text, "x.yaml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("x.yaml")


@pytest.mark.parametrize(
    ("written", "meant"), [("12:30", time(12, 30)), ("6:05", time(6, 5)), ("'23:59:30'", time(23, 59, 30))]
)
def test_a_time_of_day_is_what_it_looks_like(written: str, meant: time) -> None:
    text = GOOD.replace("{date: at}", f"{{date: at, default_time: {written}}}")
    mapping = load_mapping(text.replace("about: A", f"receipt: {{time: {written}}}\nabout: A"), "x")
    assert mapping.receipt.time == mapping.tables["observations"][0].columns["occurred_at"].default_time == meant


def test_codes_with_leading_zeros_are_words() -> None:
    cell = load_mapping(GOOD.replace("code: code", "code: {column: code, codes: {010: 017}}"), "x")
    assert cell.tables["observations"][0].columns["code"].codes == {"010": "017"}


def test_codes_are_those_of_the_schema() -> None:
    contacts = GOOD.replace("observations", "contacts").replace("code: code", "status: {value: attendd}")
    with pytest.raises(ConfigError, match="there is no code of status 'attendd'; did you mean 'attended'"):
        load_mapping(contacts.replace("        value: amount\n", ""), "x")


def test_a_mapping_cannot_be_changed() -> None:
    mapping = load_mapping(GOOD, "x")
    assert isinstance(mapping, Mapping)
    with pytest.raises(ValueError, match="frozen"):
        mapping.name = "other"  # type: ignore[misc]
