"""Bytes of a file as a table of text. A row that cannot be read is left out and counted, never guessed at."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from io import StringIO
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from features.errors import SourceError
from features.sources.mapping import RawTable

LONGEST_FIELD = 1_000_000
LONGEST_QUOTE = 50
"""Lines that one quoted field may run over before its opening quote is taken for a slip."""

BLOCK = 1 << 24
CONTROL = bytes({*range(32), 127} - set(b"\t\n\r"))
SEPARATORS = (b",", b";", b"\t", b"|")
MAGIC = {b"PAR1": "a Parquet file", b"PK\x03\x04": "a zip archive or workbook", b"\x1f\x8b": "a gzip file",
         b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an old Office file", b"\xff\xfe": "UTF-16 text",
         b"\xfe\xff": "UTF-16 text"}  # fmt: skip


@dataclass(frozen=True)
class _Layout:
    """How a file's lines are to be read: fields in each, what may encode them, and what parts them."""

    width: int
    codecs: tuple[str, ...]
    separator: bytes = b","

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        other = b"[^" + re.escape(self.separator) + b"]*"
        return re.compile(rb'"(?:[^"]|"")*+"' + other + rb'|(?!")' + other)


@dataclass(frozen=True)
class Text:
    """A file as text. rows: the mapping's columns, null where a cell is empty; number: each row's place in the file,
    from 1; rejected: rows left out by reason."""

    rows: pa.Table
    number: np.ndarray
    rejected: Counter[str] = field(default_factory=Counter)


def plain_name(name: str) -> str:
    """A column name without case, spaces and punctuation, in which sources differ; letters of any alphabet count."""
    return "".join(letter for letter in normalize("NFKC", name).casefold() if letter.isalnum())


def read_text(path: Path, data: bytes, raw: RawTable) -> Text:
    """The rows of one file. Raises SourceError where the file as a whole is not what the mapping says."""
    if path.suffix.lower() == ".gz":
        data = _unzipped(path, data)
    if path.name.lower().removesuffix(".gz").endswith(".parquet"):
        return _parquet(path, data, raw)
    _refuse_other_kinds(path, data)
    data = data.removeprefix(b"\xef\xbb\xbf").translate(None, CONTROL)
    if not data or data.isspace():
        if raw.required:
            message = f"{path.name} must have a header line at least; it is empty: it was cut off, fetch it again"
            raise SourceError(message)
        return Text(_empty(raw), np.empty(0, np.int64))
    head, separator, start = _header_line(path, data, raw)
    found = match_columns(path.name, head, raw)
    data = data if separator == b"\t" else data.replace(b"\t", b" ")
    layout = _Layout(len(head), _codecs(raw), separator)
    columns, number, rejected = _csv(data, start, list(found.values()), layout)
    spaced = b" " in data or not data.isascii()
    return Text(_named(columns, found, len(number), spaced), number, rejected)


def count_rows(path: Path, data: bytes) -> int:
    """How many rows a file that no mapping reads appears to have; 0 for what is not a table."""
    try:
        plain = _unzipped(path, data) if path.suffix.lower() == ".gz" else data
        if plain.startswith(b"PAR1"):
            return int(pq.read_metadata(pa.BufferReader(plain)).num_rows)
    except (SourceError, pa.ArrowException):
        return 0
    lines = sum(1 for line in plain.split(b"\n") if line.strip())
    return max(lines - 1, 0)


def match_columns(where: str, header: Iterable[str], raw: RawTable) -> dict[str, list[int]]:
    """For each of the mapping's columns, the positions of the extract's columns that fill it, by order of preference.

    The header's words are shown in an error only where they resemble a column's name: a file without a header has
    a patient's data in its first line.
    """
    places: dict[str, list[int]] = {}
    for position, name in enumerate(header):
        places.setdefault(plain_name(name), []).append(position)
    found: dict[str, list[int]] = {}
    for name, aliases in raw.columns.items():
        known = dict.fromkeys(plain_name(word) for word in (name, *aliases))
        if any(len(places.get(word, ())) > 1 for word in known):
            message = f"{where} must have each column once; '{name}' is there twice: remove or rename one"
            raise SourceError(message)
        found[name] = [places[word][0] for word in known if word in places]
    if not any(found.values()):
        message = f"{where} must begin with a header line; none of the mapping's columns is in its first line"
        raise SourceError(message)
    for name in (need for need in raw.needs if not found[need]):
        words = (plain_name(word) for word in (name, *raw.columns[name]))
        close = [near for word in words for near in get_close_matches(word, filter(None, places), n=1, cutoff=0.6)]
        hint = f"the nearest is '{close[0]}'" if close else "none is like it"
        message = f"{where} must have a column '{name}'; {hint}: correct the extract or add the name to the mapping"
        raise SourceError(message)
    return found


def _unzipped(path: Path, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        message = f"{path.name} must be a complete gzip file; it is not one or is cut short: fetch it again"
        raise SourceError(message) from None


def _refuse_other_kinds(path: Path, data: bytes) -> None:
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind is None and b"\0" in data.partition(b"\n")[0]:
        kind = "not text"
    if kind is not None:
        message = f"{path.name} must be comma-separated text in UTF-8; it is {kind}: export it again"
        raise SourceError(message)


def _parquet(path: Path, data: bytes, raw: RawTable) -> Text:
    if not data:
        return Text(_empty(raw), np.empty(0, np.int64))
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowException):
        message = f"{path.name} must be a Parquet file; it is not one or is cut short: fetch it again"
        raise SourceError(message) from None
    found = match_columns(path.name, table.column_names, raw)
    wanted = sorted({place for places in found.values() for place in places})
    try:
        texts = {place: _as_text(table.column(place)) for place in wanted}
    except pa.ArrowException:
        message = f"{path.name} must hold columns that can be read as text; one cannot: fetch it again"
        raise SourceError(message) from None
    return Text(_named(texts, found, table.num_rows), np.arange(1, table.num_rows + 1))


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        return _numbers(column)
    if pa.types.is_binary(column.type) or pa.types.is_nested(column.type):
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    return pc.replace_substring_regex(column.cast(pa.string()), "[[:cntrl:]]+", " ")


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers without a point, whatever else is in the column, since they may tell who somebody is; what is no
    number is empty."""
    column = pc.if_else(pc.is_nan(column), None, column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**53))
    points = pc.if_else(whole, 0.0, column).cast(pa.string())
    return pc.if_else(whole, pc.if_else(whole, column, 0.0).cast(pa.int64()).cast(pa.string()), points)


def _empty(raw: RawTable) -> pa.Table:
    return pa.table({name: pa.array([], pa.string()) for name in raw.columns})


def _named(
    columns: dict[int, pa.ChunkedArray], found: dict[str, list[int]], rows: int, spaced: bool = True
) -> pa.Table:
    """The mapping's columns: of several that mean the same, the first that is not empty. spaced: cells may have space
    around what they say."""
    if spaced:
        columns = {place: _trimmed(column) for place, column in columns.items()}
    empty = pa.nulls(rows, pa.string())
    texts = {name: [columns[place] for place in places] or [empty] for name, places in found.items()}
    return pa.table({name: pc.coalesce(*parts) for name, parts in texts.items()})


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _codecs(raw: RawTable) -> tuple[str, ...]:
    return ("utf-8",) if raw.encoding == "utf-8" else ("utf-8", "windows-1252")


def _header_line(path: Path, data: bytes, raw: RawTable) -> tuple[list[str], bytes, int]:
    """The column names, what parts them, and where the rows begin."""
    end = data.find(b"\n")
    line = data if end < 0 else data[:end]
    for codec in _codecs(raw):
        try:
            return *_parted(line.decode(codec).strip("\r"), raw), len(line) + 1
        except (UnicodeDecodeError, csv.Error):
            continue
    message = f"{path.name} must be text in {raw.encoding}; its first line cannot be read as that: export it again"
    raise SourceError(message)


def _parted(line: str, raw: RawTable) -> tuple[list[str], bytes]:
    """The column names, and the first of `SEPARATORS` by which one of the mapping's columns is among them; else by
    commas."""
    known = {plain_name(word) for name, aliases in raw.columns.items() for word in (name, *aliases)}
    by_commas, *others = SEPARATORS
    names = _names(line, by_commas)
    for other in others if known.isdisjoint(map(plain_name, names)) else ():
        with suppress(csv.Error):
            if not known.isdisjoint(map(plain_name, found := _names(line, other))):
                return found, other
    return names, by_commas


def _names(line: str, separator: bytes) -> list[str]:
    return [name.strip() for name in next(csv.reader(StringIO(line), delimiter=separator.decode()), [])]


def _csv(
    data: bytes, start: int, names: list[list[int]], layout: _Layout
) -> tuple[dict[int, pa.ChunkedArray], np.ndarray, Counter[str]]:
    """The wanted columns by position. Rows are parsed in bulk; only a file in which something is wrong is gone through
    line by line."""
    wanted = sorted({place for places in names for place in places})
    end = len(data.rstrip(b"\r\n"))
    if end <= start:
        return _none(wanted), np.empty(0, np.int64), Counter()
    table = _bulk(memoryview(data)[start:end], wanted, layout, b'"' in data)
    if table is not None and _faithful(table, data, start, end, layout):
        return _by_place(table), np.arange(1, table.num_rows + 1), Counter()
    clean, number, rejected = _by_line(data[start:end], layout)
    table = _bulk(memoryview(clean), wanted, replace(layout, separator=b","), quotes=True) if clean else None
    return (_none(wanted) if table is None else _by_place(table)), number, rejected


def _none(wanted: list[int]) -> dict[int, pa.ChunkedArray]:
    return {place: pa.chunked_array([pa.array([], pa.string())]) for place in wanted}


def _by_place(table: pa.Table) -> dict[int, pa.ChunkedArray]:
    return {int(name): table[name] for name in table.column_names}


def _bulk(body: memoryview, wanted: list[int], layout: _Layout, quotes: bool) -> pa.Table | None:
    names = [str(place) for place in range(layout.width)]
    chosen = [str(place) for place in wanted]
    try:
        return pv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=pv.ReadOptions(column_names=names, block_size=BLOCK, use_threads=True),
            parse_options=pv.ParseOptions(
                delimiter=layout.separator.decode(), newlines_in_values=quotes, quote_char='"' if quotes else False
            ),
            convert_options=pv.ConvertOptions(
                column_types=dict.fromkeys(chosen, pa.string()),
                include_columns=chosen,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _faithful(table: pa.Table, data: bytes, start: int, end: int, layout: _Layout) -> bool:
    """Whether each line became a row: no quote ran over a line's end or the file's, no line was skipped, and none is
    so long that a field of it may be too."""
    last = data[max(start, data.rfind(b"\n", start, end) + 1) : end]
    if table.num_rows != data.count(b"\n", start, end) + 1 or not data.isascii() and not _decodes(data, "utf-8"):
        return False
    steps = range(start, end - LONGEST_FIELD // 2, LONGEST_FIELD // 2)
    return _fields(last, layout) is not None and all(data.find(b"\n", at, at + LONGEST_FIELD // 2) >= 0 for at in steps)


def _by_line(body: bytes, layout: _Layout) -> tuple[bytes, np.ndarray, Counter[str]]:
    """The lines that can be read, parted by commas and with every field in quotes where one was; their row numbers; the
    others."""
    codec = layout.codecs[0] if _decodes(body, layout.codecs[0]) else layout.codecs[-1]
    lines = body.split(b"\n")
    kept: list[bytes] = []
    number: list[int] = []
    rejected: Counter[str] = Counter()
    place = row = 0
    while place < len(lines):
        if not lines[place].rstrip(b"\r"):
            place += 1
            continue
        fields, used = _record(lines, place, layout)
        place += used
        row += 1
        reason = _fault(fields, layout.width, codec)
        if reason is None and fields is not None:
            kept.append(_rewritten(fields, codec))
            number.append(row)
        else:
            rejected[reason or ""] += 1
    return b"\n".join(kept), np.array(number, dtype=np.int64), rejected


def _record(lines: list[bytes], place: int, layout: _Layout) -> tuple[list[bytes] | None, int]:
    """The fields of the record that begins at a line, and how many lines it takes; no fields if a quote stays open."""
    record = lines[place].rstrip(b"\r")
    if b'"' not in record:
        return record.split(layout.separator), 1
    for used in range(1, LONGEST_QUOTE + 1):
        fields = _fields(record, layout)
        if fields is not None or place + used >= len(lines):
            return fields, used if fields is not None else 1
        record += b" " + lines[place + used].rstrip(b"\r")
    return None, 1


def _fields(record: bytes, layout: _Layout) -> list[bytes] | None:
    """The fields of a record, quotes taken off; None where a quote is left open."""
    fields: list[bytes] = []
    place = 0
    while True:
        found = layout.field.match(record, place)
        if found is None:
            return None
        text = found.group()
        if text.startswith(b'"'):
            quoted, _, rest = text[1:].replace(b'""', b"\0").partition(b'"')
            text = (quoted + rest).replace(b"\0", b'"')
        fields.append(text)
        place = found.end() + 1
        if place > len(record):
            return fields


def _decodes(text: bytes, codec: str) -> bool:
    try:
        text.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _fault(fields: list[bytes] | None, width: int, codec: str) -> str | None:
    if fields is None:
        return "quote not closed"
    if len(fields) != width:
        return "wrong number of fields"
    if any(len(text) > LONGEST_FIELD for text in fields):
        return "field too long"
    joined = b"".join(fields)
    return None if joined.isascii() or _decodes(joined, codec) else f"not {'UTF-8' if codec == 'utf-8' else codec}"


def _rewritten(fields: list[bytes], codec: str) -> bytes:
    """A line that reads back as these fields: quoted where needed, in UTF-8."""
    line = b",".join(fields)
    if b'"' in line or b"\r" in line or line.count(b",") >= len(fields) or not line:
        line = b",".join(b'"' + text.replace(b'"', b'""').replace(b"\r", b" ") + b'"' for text in fields)
    return line if codec == "utf-8" else line.decode(codec).encode()
