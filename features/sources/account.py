"""What became of every row of an extract: kept, rejected for a reason, or unused for a reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from features.batch import ACCOUNT_COLUMNS
from features.sources.cells import all_present, quoted
from features.sources.compile import ORPHAN, Compiled
from features.sources.mapping import HEADER, Lookup, Mapping
from features.sources.raw import OTHER, Extract, queried, raw_name
from features.sources.resolve import FATES, settled_name

RANKS = ("kept", "rejected", "read", "lost", "unused", "passed")
"""A row that feeds several tables counts once, by the best that became of it. 'read' is a row kept beside the rows
that it belongs to, or for identities only; 'lost' one that is only there to be looked up, and that nothing looks up;
'passed' one that is not of the kind that is asked for, which says less than what became of it where it is."""

SAID = {"read": "kept", "lost": "rejected", "passed": "unused"}
STEP = 1 << 20


@dataclass
class Fates:
    """Fates by number: the smaller, the better."""

    known: list[tuple[str, str, str, int]] = field(default_factory=list)

    def number(self, rank: str, table: str, reason: str, spec: int) -> int:
        self.known.append((rank, table, reason, spec))
        return RANKS.index(rank) * STEP + len(self.known) - 1

    def of(self, number: int) -> tuple[str, str, str, int]:
        return self.known[number % STEP]


def account(
    mapping: Mapping,
    extract: Extract,
    compiled: Sequence[Compiled],
    receipt: str,
    notes: Sequence[tuple[str, str, str, str, int]] = (),
) -> pd.DataFrame:
    """`batch.ACCOUNT_COLUMNS`; for each file, kept + rejected + unused are the rows read. Notes (outcome 'note'; those
    given, and of values within rows that were kept) do not enter the sum."""
    rows: Counter[tuple[str, str, str, str]] = Counter()
    for name in mapping.files:
        rows.update(_raw_table(mapping, extract, name, compiled, receipt))
    for one in compiled:
        rows.update(_notes(extract, one))
    for (file, reason), count in extract.rejected.items():
        rows[file, "", "rejected", reason] += count
    for file, count in extract.unmapped.items():
        rows[file, "", "unused", OTHER] += count
    told = [*notes, *((*key, count) for key, count in sorted(rows.items()))]
    frame = pd.DataFrame(told, columns=list(ACCOUNT_COLUMNS))
    return frame.astype({"rows": "int64"})


def nulls(mapping: Mapping, extract: Extract) -> pd.DataFrame:
    """file, provider, column, rows, nulls: how much of each mapped column is empty."""
    found: list[tuple[str, str, str, int, int]] = []
    for name, raw in mapping.files.items():
        counts = ", ".join(f"count({quoted(column)})" for column in raw.columns)
        groups = extract.connection.sql(f"""
            select _file, {_provider(mapping, name)} as provider, count(*), {counts}
            from {raw_name(name)} group by all""").fetchall()
        for file, provider, rows, *filled in groups:
            there = zip(raw.columns, filled, strict=True)
            found.extend((extract.files[name][file], provider, column, rows, rows - some) for column, some in there)
    frame = pd.DataFrame(sorted(found), columns=["file", "provider", "column", "rows", "nulls"])
    return frame.astype({"rows": "int64", "nulls": "int64"})


def _provider(mapping: Mapping, name: str) -> str:
    if mapping.provider in mapping.files[name].columns:
        return f"coalesce({quoted(mapping.provider or '')}, '')"
    if HEADER in mapping.files and mapping.provider in mapping.files[HEADER].columns:
        return f"coalesce((select {quoted(mapping.provider or '')} from {raw_name(HEADER)}), '')"
    return "''"


def _raw_table(
    mapping: Mapping, extract: Extract, name: str, compiled: Sequence[Compiled], receipt: str
) -> Counter[tuple[str, str, str, str]]:
    """What became of the rows of one raw table, counted by file."""
    fates = Fates()
    parts = ["select 0::bigint as _row, 0 as fate where false", *_parts(mapping, name, compiled, fates, receipt)]
    connection = extract.connection
    connection.execute(f"create or replace temp table fates as {' union all '.join(parts)}")
    connection.execute("create or replace temp table best as select _row, min(fate) as fate from fates group by _row")
    counted = connection.sql(f"""
        select _file, b.fate, b.fate, count(*) from best b join {raw_name(name)} using (_row) group by all
        union all
        select _file, b.fate, f.fate, count(distinct _row)
        from fates f join best b using (_row) join {raw_name(name)} using (_row)
        where f.fate // {STEP} = {RANKS.index("rejected")} and b.fate < {STEP} group by all""").fetchall()
    rows: Counter[tuple[str, str, str, str]] = Counter()
    for file, best, fate, count in counted:
        rank, table, reason, spec = fates.of(fate)
        outcome = SAID.get(rank, rank) if best == fate else "note"
        if best == fate or fates.of(best)[3] != spec:
            rows[extract.files[name][file], table, outcome, reason] += count
    return rows


def _parts(mapping: Mapping, name: str, compiled: Sequence[Compiled], fates: Fates, receipt: str) -> Iterator[str]:
    """SQL giving (_row, fate) for every row of a raw table at least once."""
    own = [(number, one) for number, one in enumerate(compiled) if one.spec.from_ == name]
    for number, one in own:
        yield from _spec_parts(compiled, number, one, fates)
    if not own or any(one.spec.where for _, one in own):
        for number, one, lookup in _looking_up(compiled, name):
            yield _lookup_part(name, (number, one, lookup), not own, fates, receipt)
    reason = "read by a query" if name in queried(mapping) else "no table of the mapping uses it"
    default = fates.number("read", "", "", -1) if name == HEADER else fates.number("passed", "", reason, -1)
    yield f"select _row, {default} as fate from {raw_name(name)}"


def _spec_parts(compiled: Sequence[Compiled], number: int, one: Compiled, fates: Fates) -> Iterator[str]:
    """What a spec made of each of its rows; of a collapsed table's, of each of the rows that were collapsed."""
    unused = fates.number("passed", one.table, one.spec.unused, number)
    reasons = [fates.number("rejected", one.table, reason, number) for reason in one.reasons]
    left_out = f"case when not _used then {unused} else ([{', '.join(map(str, reasons))}])[_reason] end"
    told = f"select _row, {left_out} as fate from {quoted(one.name)} where not _used or _reason is not null"
    if one.table:
        ends = [fates.number(outcome, one.table, reason, number) for outcome, reason in FATES]
        place = [c.name for c in compiled if c.table == one.table].index(one.name)
        fate = f"([{', '.join(map(str, ends))}])[_fate + 1]"
        kept = f"select _row, {fate} from {settled_name(one.table)} where _spec = {place}"
    else:
        read = fates.number("read", "", "", number)
        kept = f"select _row, {read} from {quoted(one.name)} where _used and _reason is null"
    if one.spec.collapse is None:
        yield from (told, kept)
        return
    copy = fates.number("rejected", one.table, "duplicate row", number)
    yield f"""
        select p._row, case when p._copy then {copy} else f.fate end
        from {quoted(f"{one.name} parts")} p join ({told} union all {kept}) f on f._row = p._first"""


def _looking_up(compiled: Sequence[Compiled], name: str) -> Iterator[tuple[int, Compiled, Lookup]]:
    """Lookups of a raw table that go straight from a spec's own rows, not by way of another lookup."""
    for number, one in enumerate(compiled):
        for lookup in one.spec.lookups.values():
            if lookup.from_ == name and not any("." in mine for mine in lookup.on.values()):
                yield number, one, lookup


def _lookup_part(name: str, looking: tuple[int, Compiled, Lookup], only: bool, fates: Fates, receipt: str) -> str:
    """A looked-up row is kept with the rows that it belongs to; where that is all it is for, one that belongs to none
    is an orphan."""
    number, one, lookup = looking
    mine = ", ".join(quoted(column) for column in lookup.on.values())
    theirs = ", ".join(quoted(column) for column in lookup.on)
    present = all_present(quoted(column) for column in lookup.on)
    found = f"({theirs}) in (select ({mine}) from {raw_name(one.spec.from_)})" if len(lookup.on) > 1 else (
        f"{theirs} in (select {mine} from {raw_name(one.spec.from_)})")  # fmt: skip
    read = fates.number("read", one.table, "", number)
    faults = {
        "unreadable date: recorded": "_bad_at",
        "recorded after receipt": f"coalesce(_at > {receipt}, false)",
        "key part missing": f"not ({present})",
        ORPHAN: f"not coalesce({found}, false)",
    }
    whens = [f"when {test} then {fates.number('lost', one.table, reason, number)}" for reason, test in faults.items()]
    select = f"select _row, case {' '.join(whens)} else {read} end from {raw_name(name)}"
    return select if only else f"{select} where coalesce({found}, false)"


def _notes(extract: Extract, one: Compiled) -> Counter[tuple[str, str, str, str]]:
    rows: Counter[tuple[str, str, str, str]] = Counter()
    if not one.notes:
        return rows
    counted = "count(distinct _row)" if one.repeats else "count(*)"
    counts = ", ".join(f"{counted} filter (_n{i})" for i in range(len(one.notes)))
    some = " or ".join(f"_n{i}" for i in range(len(one.notes)))
    found = extract.connection.sql(f"""
        select _file, {counts} from (select * from {quoted(one.name)} where _used and _reason is null and ({some}))
        join {raw_name(one.spec.from_)} using (_row) group by _file""").fetchall()
    for file, *by_note in found:
        for reason, count in zip(one.notes, by_note, strict=True):
            if count:
                rows[extract.files[one.spec.from_][file], one.table, "note", reason] += count
    return rows
