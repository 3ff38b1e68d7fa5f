"""Whatever is in the files, every row is accounted for, and neither order nor rubbish changes what the others say."""

import csv
from collections.abc import Sequence
from hashlib import md5
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.batch import Batch
from features.sources.mapping import RawTable, load_mapping
from features.sources.read import read_batch
from features.sources.reading import read_text

MAPPING = load_mapping(
    """
name: small
about: A parent file and its children.
receipt: {folder: "%Y-%m-%d"}
files:
  parents:
    match: [parents.csv]
    recorded: recorded
    columns: [parent, patient, recorded]
  children:
    match: [children.csv]
    recorded: recorded
    columns: [child, parent, day, clock, amount, state, recorded]
tables:
  observations:
    - from: children
      lookups: {parent: {from: parents, on: {parent: parent}, required: true}}
      key: [parent, child]
      person: [{scheme: nhs, columns: [parent.patient]}, {scheme: local, columns: [parent.patient]}]
      columns:
        occurred_at: {date: day, time: clock}
        code: {column: state, codes: {a: good, b: bad}, otherwise: refuse}
        value: amount
""",
    "small.yaml",
)
WIDTH = 7
ODD = [
    "",
    "  ",
    "=cmd()",
    "<script>",
    "1e400",
    "nan",
    "-0",
    "9" * 30,
    "infinity",
    "epoch",
    "0044-03-15 (BC)",
    "é",
    "\x00",
]
ODD += [
    "294247-01-10",
    "9999-12-31",
    "31/02/2026",
    "24:00:00",
    "99:99",
    "4000",
    "2026-01-05T25:00:00",
    "'; drop table x",
]
RECORDED = ["", "2026-01-06T10:00:00", "2026-01-07T10:00:00Z", "2026-01-07 10:00:00+01:00", "2030-01-01T00:00:00"]
CELLS = st.one_of(st.sampled_from(ODD), st.text(max_size=6))
ROW = st.tuples(
    st.sampled_from(["C1", "C2", "C3"]) | CELLS,
    st.sampled_from(["P1", "P2", "P9"]) | CELLS,
    st.sampled_from(["2026-01-05", "05/01/2026", "2026-01-05T09:00:00"]) | CELLS,
    st.sampled_from(["0930", "09:30", ""]) | CELLS,
    st.sampled_from(["1", "2.5"]) | CELLS,
    st.sampled_from(["a", "b", "c"]) | CELLS,
    st.sampled_from(RECORDED) | CELLS,
)
PARENTS = "parent,patient,recorded\nP1,9990000018,2026-01-01T10:00:00\nP2,X2,\n,X3,\nP1,X4,2026-01-07T00:00:00\n"
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ids(identities: Sequence[str]) -> list[int]:
    return [int(md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16) for text in identities]


def read(children: bytes) -> Batch:
    with TemporaryDirectory() as name:
        folder = Path(name) / "2026-02-10"
        folder.mkdir()
        (folder / "parents.csv").write_text(PARENTS, encoding="utf-8")
        (folder / "children.csv").write_bytes(children)
        return read_batch(folder, MAPPING, source="s", pseudonym=ids, zone="Europe/London", known_from="recorded")


def written(rows: Sequence[Sequence[str]]) -> bytes:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(MAPPING.files["children"].columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def accounted(batch: Batch, file: str) -> int:
    account = batch.account
    return int(account[(account["file"] == file) & (account["outcome"] != "note")]["rows"].sum())


@QUICK
@given(st.lists(ROW, max_size=12))
def test_every_row_is_kept_rejected_or_unused(rows: list[tuple[str, ...]]) -> None:
    batch = read(written(rows))
    lines = [row for row in rows if any(cell.strip("\r\n") for cell in row)]
    assert accounted(batch, "parents.csv") == 4
    assert len(lines) <= accounted(batch, "children.csv") <= len(rows)
    kept = batch.account[(batch.account["outcome"] == "kept") & (batch.account["file"] == "children.csv")]["rows"].sum()
    assert kept == sum(table.num_rows for table in batch.tables.values())


@QUICK
@given(st.lists(ROW, max_size=8), st.binary(max_size=40), st.integers(min_value=0, max_value=400))
def test_bytes_put_anywhere_never_break_the_reading(rows: list[tuple[str, ...]], noise: bytes, where: int) -> None:
    data = written(rows)
    start = data.index(b"\n") + 1
    place = min(start + where, len(data))
    batch = read(data[:place] + noise + data[place:])
    assert batch.account["rows"].ge(0).all()
    assert accounted(batch, "parents.csv") == 4


@QUICK
@given(st.lists(ROW, max_size=10, unique_by=lambda row: row[:2]), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[str, ...]], random: object) -> None:
    again = list(rows)
    random.shuffle(again)  # type: ignore[attr-defined]
    first, second = read(written(rows)), read(written(again))
    assert set(first.tables) == set(second.tables)
    keys = [("row_id", "ascending"), ("known_from", "ascending")]
    said = ["row_id", "person_id", "deleted", "code", "occurred_at"]
    for name, table in first.tables.items():
        unique = table.select(["row_id"]).group_by("row_id").aggregate([]).num_rows == table.num_rows
        assert not unique or table.sort_by(keys).select(said).equals(second.tables[name].sort_by(keys).select(said))


FIELD = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=5)


@settings(max_examples=150)
@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=8))
def test_a_file_reads_as_the_csv_module_reads_it(rows: list[list[str]]) -> None:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([["a", "b", "c"], *rows])
    text = read_text(
        Path("x.csv"), out.getvalue().encode(), RawTable(match=("*",), columns={"a": (), "b": (), "c": ()})
    )
    read_back = [row for row in csv.reader(StringIO(out.getvalue()[6:])) if row]
    expected = [[cell.strip() or None for cell in row] for row in read_back if len(row) == 3]
    assert [list(row.values()) for row in text.rows.to_pylist()] == expected
    assert sum(text.rejected.values()) == sum(len(row) != 3 for row in read_back)
    assert text.rows.schema == pa.schema([(name, pa.string()) for name in "abc"])
