"""Whole extracts: what is refused, what is counted, where rows may come from."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from features.batch import Batch
from features.errors import ConfigError, SourceError
from features.sources.mapping import Mapping, Receipt, load_mapping
from features.sources.read import ARRIVAL, read_batch

CONFIGS = Path(__file__).parents[2] / "configs" / "sources"
RECEIVED = datetime(2026, 2, 10, 6, tzinfo=UTC)
EVENTS = "person,code,occurred_at,value\n9990000018,fall,2026-01-05T10:00:00,2\nX7,fall,2026-01-06,\n"


def ids(identities: Sequence[str]) -> list[int]:
    return [int(md5(name.encode(), usedforsecurity=False).hexdigest()[:15], 16) for name in identities]


def mapping_of(name: str) -> Mapping:
    path = CONFIGS / f"{name}.yaml"
    return load_mapping(path.read_text(encoding="utf-8"), path.name)


def read(folder: Path, mapping: Mapping, received_at: datetime | None = RECEIVED, zone: str = "Europe/London") -> Batch:
    return read_batch(
        folder, mapping, source="s", pseudonym=ids, zone=zone, known_from="recorded", received_at=received_at
    )


def write(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def sums(batch: Batch) -> dict[tuple[str, str, str], int]:
    return {(r.file, r.outcome, r.reason): r.rows for r in batch.account.itertuples()}


def test_the_plain_event_form(tmp_path: Path) -> None:
    batch = read(write(tmp_path / "in", events__csv=EVENTS), mapping_of("events"))
    found = sorted(batch.tables["observations"].to_pylist(), key=lambda row: row["occurred_at"])
    assert [row["person_id"] for row in found] == ids(["nhs:9990000018", "source:X7"])
    assert [row["value"] for row in found] == [2.0, None]
    assert [row["known_from"] for row in found] == [RECEIVED, RECEIVED]
    assert batch.identities.num_rows == 0
    assert (batch.source, batch.name, batch.received_at) == ("s", "in", RECEIVED)


def test_one_file_is_an_extract_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", events__csv__gz=gzip.compress(EVENTS.encode()))
    batch = read(folder / "events.csv.gz", mapping_of("events"))
    assert batch.tables["observations"].num_rows == 2


def test_the_fingerprint_is_of_the_bytes_the_mapping_and_the_zone(tmp_path: Path) -> None:
    folder, events = write(tmp_path / "in", events__csv=EVENTS), mapping_of("events")
    same = [read(folder, events).fingerprint, read(write(tmp_path / "copy", events__csv=EVENTS), events).fingerprint]
    other = [
        read(folder, events, zone="UTC").fingerprint,
        read(folder, events.model_copy(update={"about": "other"})).fingerprint,
        read(write(tmp_path / "more", events__csv=EVENTS + "X8,fall,2026-01-06,\n"), events).fingerprint,
    ]
    assert same[0] == same[1]
    assert len({same[0], *other}) == 4


def test_the_receipt_is_in_the_name_of_the_folder_or_given(tmp_path: Path) -> None:
    named = write(tmp_path / "2026-07-01", events__csv=EVENTS)
    assert read(named, mapping_of("events"), received_at=None).received_at == datetime(2026, 7, 1, 5, tzinfo=UTC)
    with pytest.raises(SourceError, match="give the time of receipt"):
        read(write(tmp_path / "in", events__csv=EVENTS), mapping_of("events"), received_at=None)


TWO_KINDS = """
name: two
about: Two kinds of facts in one file.
files:
  events: {match: "*.csv", recorded: told, columns: {person: [], kind: [], at: [], told: []}}
tables:
  attendances:
    - {from: events, where: this.kind = 'visit', key: [person, at], person: [{scheme: s, columns: [person]}],
       columns: {arrived_at: {date: at}}}
  observations:
    - {from: events, where: this.kind = 'fall', key: [person, at], person: [{scheme: s, columns: [person]}],
       columns: {code: {value: fall}, occurred_at: {date: at}}}
"""


def test_what_became_of_a_row_is_told_before_what_it_was_not(tmp_path: Path) -> None:
    rows = ["1,fall,2026-01-05,2026-01-05", "1,fall,2026-01-05,2026-01-06", "2,visit,2026-01-05,2026-01-06", "3,x,,"]
    folder = write(tmp_path / "in", events__csv="\n".join(["person,kind,at,told", *rows]))
    assert sums(read(folder, load_mapping(TWO_KINDS, "two"))) == {
        ("events.csv", "kept", ""): 1,
        ("events.csv", "unused", "same as the version before"): 1,
        ("events.csv", "unused", "not of this kind"): 1,
    }


def test_contacts_of_which_no_status_is_told_have_one_that_says_so(tmp_path: Path) -> None:
    text = TWO_KINDS.replace("attendances:", "contacts:").replace("arrived_at", "occurred_at")
    folder = write(tmp_path / "in", events__csv="person,kind,at,told\n2,visit,2026-01-05,2026-01-06\n")
    assert read(folder, load_mapping(text, "two")).tables["contacts"]["status"].to_pylist() == ["unknown"]


def test_what_has_no_recorded_time_comes_last_whatever_the_clock(tmp_path: Path) -> None:
    rows = "person,code,time,known_from,value,event_id\n1,x,2026-01-05,2026-01-05T09:00,1,e\n1,x,2026-01-05,,2,e\n"
    folder = write(tmp_path / "2026-01-06", events__csv=rows)
    for clock in ("receipt", "recorded"):
        batch = read_batch(
            folder,
            mapping_of("events"),
            source="s",
            pseudonym=ids,
            zone="UTC",
            known_from=clock,  # type: ignore[arg-type]
        )
        found = batch.tables["observations"].sort_by([("known_from", "ascending")]).to_pylist()
        assert found[-1]["value"] == 2.0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("03-04-25", "2025-04-03"),
        ("2025-04-03", "2025-04-03"),
        ("03-4-25", "2025-04-03"),
        ("3.4.2025", "2025-04-03"),
        ("2025-4-3", "2025-04-03"),
    ],
)
def test_a_date_is_read_as_the_mapping_says(tmp_path: Path, written: str, meant: str) -> None:
    events = mapping_of("events").model_copy(update={"date_formats": ("%d-%m-%y", "%d.%m.%Y")})
    batch = read(write(tmp_path / "in", events__csv=f"person,code,time\n1,x,{written}\n"), events, zone="UTC")
    assert [f"{row['occurred_at']:%Y-%m-%d}" for row in batch.tables["observations"].to_pylist()] == [meant]


def test_the_same_words_on_another_day_are_news(tmp_path: Path) -> None:
    days = ("2026-07-01", "2026-07-02", "2026-07-01-copy")
    found = [read(write(tmp_path / day, events__csv=EVENTS), mapping_of("events")).fingerprint for day in days]
    assert len(set(found)) == 3
    (tmp_path / "elsewhere").mkdir()
    elsewhere = write(tmp_path / "elsewhere" / days[1], events__csv=EVENTS)
    assert read(elsewhere, mapping_of("events")).fingerprint == found[1]


def test_where_all_hangs_on_the_receipt_a_name_that_does_not_say_it_is_refused(tmp_path: Path) -> None:
    folder, how = write(tmp_path / "july", events__csv=EVENTS), {"source": "s", "pseudonym": ids, "zone": "UTC"}
    with pytest.raises(SourceError, match="`received_at` of its source"):
        read_batch(folder, mapping_of("events"), known_from="receipt", arrived_at=RECEIVED, **how)
    silent = mapping_of("events").model_copy(update={"receipt": Receipt()})
    batch = read_batch(folder, silent, known_from="receipt", arrived_at=RECEIVED, **how)
    assert ARRIVAL in set(batch.account["reason"])


@pytest.mark.parametrize(("name", "notes"), [("2026-07-01", []), ("july", [ARRIVAL])])
def test_a_receipt_that_cannot_be_read_is_told_of(tmp_path: Path, name: str, notes: list[str]) -> None:
    batch = read_batch(
        write(tmp_path / name, events__csv=EVENTS),
        mapping_of("events"),
        source="s",
        pseudonym=ids,
        zone="Europe/London",
        known_from="recorded",
        arrived_at=RECEIVED,
    )
    assert list(batch.account.loc[batch.account["reason"] == ARRIVAL, "reason"]) == notes
    assert (batch.received_at == RECEIVED) == bool(notes)


def test_empty_cells_are_counted_by_file_provider_and_column(tmp_path: Path) -> None:
    index = "LocalPatientID,OrgID_LocalPatientID,FamilyName\n1,RYX,\n2,RYX,Moss\n3,RXX,\n"
    found = read(write(tmp_path / "in", INDEX__csv=index), mapping_of("identity")).nulls
    names = found[found["column"] == "FamilyName"].set_index("provider")[["rows", "nulls"]]
    assert names.to_dict("index") == {"RXX": {"rows": 1, "nulls": 1}, "RYX": {"rows": 2, "nulls": 1}}


def test_the_identity_index_gives_identities_only(tmp_path: Path) -> None:
    index = (
        "NHSNumber,LocalPatientID,OrgID_LocalPatientID,FamilyName,GivenName,DateOfBirth\n"
        "999 000 0018,1,RYX,Moss,Ada,1940-05-06\n,2,RYX,O'Neil,=cmd(),\n1234567890,3,RYX,,,\n,,RYX,,,\n"
    )
    batch = read(write(tmp_path / "in", INDEX__csv=index), mapping_of("identity"))
    found = {row["local_id"]: row for row in batch.identities.to_pylist()}
    assert batch.tables == {}
    assert {name: row["person_id"] for name, row in found.items()} == dict(
        zip(["RYX:1", "RYX:2", "RYX:3"], ids(["nhs:9990000018", "local:RYX:2", "local:RYX:3"]), strict=True)
    )
    assert [found[f"RYX:{n}"]["nhs_number"] for n in (1, 2, 3)] == ["9990000018", None, None]
    assert (found["RYX:2"]["family_name"], found["RYX:2"]["given_name"]) == ("O'Neil", "=cmd()")
    assert sums(batch) == {("INDEX.csv", "kept", ""): 3, ("INDEX.csv", "rejected", "no person"): 1}


def test_files_that_no_raw_table_matches_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", INDEX__csv="LocalPatientID,OrgID_LocalPatientID\n1,RYX\n", OTHER__csv="a\n1\n2\n")
    assert sums(read(folder, mapping_of("identity")))["OTHER.csv", "unused", "file not in the mapping"] == 2


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "must have a file INDEX"),
        ({"INDEX__csv": "LocalPatientID\n1\n"}, "INDEX.csv must have a column 'OrgID_LocalPatientID'"),
        ({"INDEX__csv": "LocalPatientId,OrgID_LocalPatient\n1,2\n"}, "the nearest is 'orgidlocalpatient'"),
        ({"INDEX__csv": b"PK\x03\x04"}, "INDEX.csv must be comma-separated text"),
    ],
)
def test_an_extract_that_cannot_be_read_is_refused_whole(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read(write(tmp_path / "in", **files), mapping_of("identity"))


def test_an_extract_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is nothing there"):
        read(tmp_path / "nowhere", mapping_of("identity"))


TEMPLATE = """
name: t
about: Events from somewhere else.
files:
{files}
tables:
  observations:
    - from: events
      key: [person, code, at]
      person: [{{scheme: case, columns: [person]}}]
      columns: {{occurred_at: {{date: at}}, code: code}}
"""
COLUMNS = "columns: [person, code, at]"


def test_a_table_may_be_derived_by_a_query(tmp_path: Path) -> None:
    files = f"""
  visits: {{match: [v.csv], columns: [person, day, kinds]}}
  events:
    query: select person, unnest(string_split(kinds, ';')) as code, day as at from visits
    {COLUMNS}"""
    folder = write(tmp_path / "in", v__csv="person,day,kinds\nA,2026-01-05,fall;pain\nB,2026-01-06,fall\n")
    batch = read(folder, load_mapping(TEMPLATE.format(files=files), "t"))
    assert sorted(batch.tables["observations"]["code"].to_pylist()) == ["fall", "fall", "pain"]
    assert sums(batch) == {("events", "kept", ""): 3, ("v.csv", "unused", "read by a query"): 2}


def test_a_table_may_come_from_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        connection.execute(text("create table e (who text, what text, day text)"))
        connection.execute(text("insert into e values ('A', 'fall', '2026-01-05'), ('B', null, '2026-01-06')"))
    engine.dispose()
    monkeypatch.setenv("CLINIC", str(tmp_path))
    query = "select who as person, what as code, day as at from e"
    files = f"  events: {{url: 'sqlite:///$CLINIC/x.db', query: {query!r}, {COLUMNS}}}"
    batch = read(write(tmp_path / "in"), load_mapping(TEMPLATE.format(files=files), "t"))
    assert sums(batch) == {("events", "kept", ""): 1, ("events", "rejected", "key part missing"): 1}


def test_a_database_that_does_not_answer_is_a_sentence_without_its_address(tmp_path: Path) -> None:
    files = f"  events: {{url: 'sqlite:////nowhere/secret.db', query: select 1, {COLUMNS}}}"
    with pytest.raises(SourceError, match="the database must answer") as caught:
        read(write(tmp_path / "in"), load_mapping(TEMPLATE.format(files=files), "t"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("code: {sql: nonsense(code)}", "its SQL must run over the columns it names"),
        ("code: {sql: cast(code as integer)}", "its SQL must run on any text"),
    ],
)
def test_sql_that_does_not_run_is_the_mappings_fault(tmp_path: Path, sql: str, says: str) -> None:
    given = TEMPLATE.format(files=f"  events: {{match: [e.csv], {COLUMNS}}}").replace("code: code", sql)
    folder = write(tmp_path / "in", e__csv="person,code,at\nA,private words,2026-01-05\n")
    with pytest.raises(ConfigError, match=says) as caught:
        read(folder, load_mapping(given, "t"))
    assert "private" not in str(caught.value)


def test_a_file_belongs_to_one_raw_table(tmp_path: Path) -> None:
    files = f"  events: {{match: ['*.csv'], {COLUMNS}}}\n  more: {{match: ['e*'], {COLUMNS}}}"
    with pytest.raises(ConfigError, match="it matches events and more"):
        read(write(tmp_path / "in", e__csv="person,code,at\n"), load_mapping(TEMPLATE.format(files=files), "t"))


def test_several_files_are_one_table(tmp_path: Path) -> None:
    files = f"  events: {{match: ['*.csv'], {COLUMNS}}}"
    folder = write(
        tmp_path / "in", a__csv="person,code,at\nA,fall,2026-01-05\nbad\n", b__csv="at,code,person\n2026-01-05,fall,A\n"
    )
    assert sums(read(folder, load_mapping(TEMPLATE.format(files=files), "t"))) == {
        ("a.csv", "rejected", "duplicate row"): 1,
        ("a.csv", "rejected", "wrong number of fields"): 1,
        ("b.csv", "kept", ""): 1,
    }


def test_artificial_hes_is_read_with_every_row_accounted_for(real_data: Path) -> None:
    batch = read(real_data / "nhs_artificial_hes", mapping_of("hospital"))
    by_outcome = batch.account.groupby(["file", "outcome"])["rows"].sum()
    assert by_outcome["artificial_hes_apc_0102_truncated.csv.gz"].to_dict() == {"kept": 2074, "rejected": 1}
    assert by_outcome["artificial_hes_ae_0708_truncated.csv.gz"].drop("note").to_dict() == {"kept": 1000}
    assert by_outcome["artificial_hes_op_0304_truncated.csv.gz"].to_dict() == {"unused": 1000}
    assert {name: table.num_rows for name, table in batch.tables.items()} == {"stays": 2074, "attendances": 1000}


def test_the_billing_log_is_read_by_its_dates(real_data: Path) -> None:
    batch = read(real_data / "bpic2011_hospital", mapping_of("bpic2011"))
    found = batch.tables["observations"].to_pandas()
    assert (len(found), found["person_id"].nunique(), found["code"].nunique()) == (150_291, 1_143, 624)
    assert (found["occurred_at"] == found["occurred_at"].dt.normalize()).all()
    assert str(found["occurred_at"].max()) == "2008-03-20 00:00:00+00:00"
