"""Bytes of a file as rows of text: every line is a row, a counted reject, or blank."""

import gzip
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.sources.mapping import RawTable
from features.sources.reading import LONGEST_FIELD, count_rows, match_columns, plain_name, read_text

RAW = RawTable(match=("*",), columns={"a": ("Alpha Column",), "b": (), "c": ()}, needs=("a",))
FALLBACK = RAW.model_copy(update={"encoding": "utf-8 else windows-1252"})


def rows_of(data: bytes, raw: RawTable = RAW, name: str = "x.csv") -> tuple[list[tuple[str | None, ...]], Counter[str]]:
    text = read_text(Path(name), data, raw)
    assert len(text.number) == text.rows.num_rows
    return [tuple(row.values()) for row in text.rows.to_pylist()], text.rejected


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b"\n", []),
        (b"a,b,c\n", []),
        (b"a,b,c", []),
        (b"a,b,c\n1,2,3\n", [("1", "2", "3")]),
        (b"a,b,c\n1,2,3", [("1", "2", "3")]),
        (b"a,b,c\r\n1,2,3\r\n", [("1", "2", "3")]),
        (b"\xef\xbb\xbfa,b,c\n1,2,3\n", [("1", "2", "3")]),
        (b"c,extra,A,b\n3,x,1,2\n", [("1", "2", "3")]),
        (b"alpha_column,B\n1,2\n", [("1", "2", None)]),
        (b"a,b,c\n 1 ,,  \n", [("1", None, None)]),
        (b"a,b,c\n1,2,3\n\n\n4,5,6\n\n", [("1", "2", "3"), ("4", "5", "6")]),
        (b'a,b,c\n"1","x,y","say ""so"""\n', [("1", "x,y", 'say "so"')]),
        (b'a,b,c\n1,"two\nlines",3\n4,5,6\n', [("1", "two lines", "3"), ("4", "5", "6")]),
        (b'a,b,c\n1,5" pad,3\n4,6" pad,6\n', [("1", '5" pad', "3"), ("4", '6" pad', "6")]),
        ("a,b,c\n1,Zoë,\n".encode(), [("1", "Zoë", None)]),
        (b"a,b,c\n1\x00,\x07bell\x1b,t\tab\n", [("1", "bell", "t ab")]),
        (b"a,b,c\n=cmd()|x,<script>,'; drop\n", [("=cmd()|x", "<script>", "'; drop")]),
    ],
)
def test_what_is_in_the_file_is_what_is_read(data: bytes, rows: list[tuple[str | None, ...]]) -> None:
    assert rows_of(data) == (rows, Counter())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"1,2", "wrong number of fields"),
        (b"1,2,3,4", "wrong number of fields"),
        (b"1,\xff\xfe,3", "not UTF-8"),
        (b"1," + b"x" * (LONGEST_FIELD + 1) + b",3", "field too long"),
        (b'1,"never closed,3', "quote not closed"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b""])
def test_a_bad_line_is_one_rejected_row(bad: bytes, reason: str, ending: bytes) -> None:
    good = [("1", "2", "3"), ("4", "5", "6")]
    assert rows_of(b"a,b,c\n1,2,3\n" + bad + b"\n4,5,6" + ending) == (good, Counter({reason: 1}))
    assert rows_of(b"a,b,c\n1,2,3\n4,5,6\n" + bad + ending) == (good, Counter({reason: 1}))


def test_an_unclosed_quote_does_not_swallow_the_rest() -> None:
    lines = [b"a,b,c", *(b"%d,x,y" % n for n in range(200)), b'200,"oops,y', *(b"%d,x,y" % n for n in range(201, 400))]
    rows, rejected = rows_of(b"\n".join(lines))
    assert [row[0] for row in rows] == [str(n) for n in range(400) if n != 200]
    assert rejected == Counter({"quote not closed": 1})


def test_rows_keep_their_place_in_the_file() -> None:
    text = read_text(Path("x.csv"), b"a,b,c\n1,2,3\nbad\n4,5,6\n", RAW)
    assert text.number.tolist() == [1, 3]


def test_windows_1252_only_where_the_mapping_says_so() -> None:
    data = "a,b,c\n1,Zoë,£\n".encode("windows-1252")
    assert rows_of(data) == ([], Counter({"not UTF-8": 1}))
    assert rows_of(data, FALLBACK) == ([("1", "Zoë", "£")], Counter())
    assert rows_of("a,b,c\n1,Zoë,£\n".encode(), FALLBACK) == ([("1", "Zoë", "£")], Counter())
    assert rows_of(b"a,b,c\n1,\x81,\xa3\n", FALLBACK) == ([], Counter({"not windows-1252": 1}))


def test_gzip_and_parquet_are_read_alike() -> None:
    plain = b"a,b,c\n1,2,3\n"
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"A": [1.0], "b": [2], "c": ["3\x07"], "d": [b"x"]}), buffer)
    assert rows_of(gzip.compress(plain), name="x.csv.gz") == rows_of(plain)
    assert rows_of(buffer.getvalue().to_pybytes(), name="x.parquet") == rows_of(plain)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.csv", b"PAR1....", "it is a Parquet file"),
        ("x.csv", b"PK\x03\x04....", "it is a zip archive or workbook"),
        ("x.csv", gzip.compress(b"a\n1\n", mtime=0), "it is a gzip file"),
        ("x.csv", "a,b\n1,2\n".encode("utf-16"), "it is UTF-16 text"),
        ("x.csv", b"a,\x00\x00b\n", "it is not text"),
        ("x.csv", b"\xe9a,b\n1,2\n", "its first line cannot be read as that"),
        ("x.csv.gz", b"a,b\n", "must be a complete gzip file"),
        ("x.csv.gz", gzip.compress(b"a,b\n" * 999, mtime=0)[:30], "must be a complete gzip file"),
        ("x.parquet", b"a,b\n", "must be a Parquet file"),
        ("x.csv", b"9990000018,SMITH,1\n", "none of the mapping's columns is in its first line"),
        ("x.csv", b"b,c\n1,2\n", "must have a column 'a'"),
        ("x.csv", b"alpha_colum,b\n1,2\n", "the nearest is 'alphacolum'"),
        ("x.csv", b"a,b,B\n1,2,3\n", "'b' is there twice"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(name: str, data: bytes, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_text(Path(name), data, RAW)
    assert says in str(caught.value)
    assert name in str(caught.value)
    assert "9990000018" not in str(caught.value)


@pytest.mark.parametrize("separator", [b";", b"\t", b"|"])
@pytest.mark.parametrize(
    "plain",
    [
        b"a,b,c\n1,2,3\n",
        b'a,b,c\n1,"x,y","so ""said"""\n4,,6',
        b"alpha column,B,other\n1,2,x\n",
        b'a,b,c\n1,2,3\n1,2\n1,"never closed,3\n\n4,5,6\n1,\xff,3\n',
    ],
)
def test_the_header_tells_what_parts_the_columns(separator: bytes, plain: bytes) -> None:
    expected, rejected = rows_of(plain)
    as_said = [tuple(cell.replace(",", " ").replace("\t", " ") if cell else cell for cell in row) for row in expected]
    found, others = rows_of(plain.replace(b",", separator))
    cells = [tuple(re.sub("[;|,\t]", " ", cell) if cell else cell for cell in row) for row in found]
    assert (cells, others) == (as_said, rejected)


def test_a_header_of_very_many_columns_is_parted_by_its_commas() -> None:
    many = ",".join(f"x{number}" for number in range(30_000))
    assert rows_of(f"a,b,c,{many}\n1,2,3{',' * 30_000}\n".encode()) == ([("1", "2", "3")], Counter())


def test_a_comma_within_columns_parted_otherwise_is_text() -> None:
    assert rows_of(b"a;b;c\n1,5;2;x,y\n7;8\n")[0] == [("1,5", "2", "x,y")]
    assert rows_of(b"a\tb\tc\n1,5\t\tx y\n")[0] == [("1,5", None, "x y")]


def test_numbers_of_parquet_are_read_each_for_itself() -> None:
    buffer = pa.BufferOutputStream()
    given = [194503121234.0, float("nan"), None, -3.0, 0.5, 2.0**60, float("inf")]
    pq.write_table(pa.table({"a": given, "b": pa.array(given).cast(pa.float32())}), buffer)
    rows, _ = rows_of(buffer.getvalue().to_pybytes(), name="x.parquet")
    assert [row[0] for row in rows] == ["194503121234", None, None, "-3", "0.5", "1.152921504606847e+18", "inf"]
    assert [row[1] for row in rows][1:5] == [None, None, "-3", "0.5"]


@pytest.mark.parametrize(
    ("name", "header", "found"),
    [("Mål", "ml,MÅL", 1), ("Mål", "ml,ma\u030al", 1), ("Län", "lön,län", 1), ("Возраст", "рост,ВОЗРАСТ", 1)],
)
def test_letters_of_every_alphabet_tell_columns_apart(name: str, header: str, found: int) -> None:
    raw = RawTable(match=("*",), columns={name: ()})
    assert match_columns("x.csv", header.split(","), raw) == {name: [found]}


def test_the_first_name_that_is_filled_wins() -> None:
    assert rows_of(b"alpha column,a,b,c\n1,2,x,y\n3,,x,y\n")[0] == [("2", "x", "y"), ("3", "x", "y")]


def test_column_names_are_compared_without_case_and_punctuation() -> None:
    assert plain_name("LOCAL PATIENT IDENTIFIER (EXTENDED)") == plain_name("local_patient_identifier-extended")
    assert match_columns("x.csv", ["ALPHA-COLUMN", "B"], RAW) == {"a": [0], "b": [1], "c": []}


@pytest.mark.parametrize(
    ("name", "data", "rows"), [("y.csv", b"h\n1\n2\n\n", 2), ("y.csv", b"", 0), ("y.csv.gz", b"x", 0)]
)
def test_rows_of_a_file_that_nothing_reads(name: str, data: bytes, rows: int) -> None:
    assert count_rows(Path(name), data) == rows
