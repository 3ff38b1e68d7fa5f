"""The data dictionary, generated from the schema."""

from features.schema import COMMON, TABLES, Column, Table

INTRODUCTION = """# Data dictionary

Generated from `features/schema.py` by `make docs`; do not edit. These are the contact history's six tables, which every
source is mapped onto. Times are UTC. `known_from` and `known_to` say when a version of a row could be known:
`known_from <= t < known_to`.
"""


def data_dictionary() -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION, _section("Columns of every table", "", COMMON)]
    parts += [_table_section(table) for table in TABLES.values()]
    return "\n".join(parts)


def _table_section(table: Table) -> str:
    at = f" It occurred at `{table.at}`." if table.at else ""
    return _section(table.name, f"{table.meaning} Key: {table.key}.{at}\n\n", table.columns)


def _section(title: str, lead: str, columns: tuple[Column, ...]) -> str:
    head = "| column | type | meaning | null means | source item |\n| --- | --- | --- | --- | --- |\n"
    return f"## {title}\n\n{lead}{head}" + "".join(map(_row, columns))


def _row(column: Column) -> str:
    notes = [column.meaning, f"Codes: {', '.join(column.codes)}." if column.codes else "", _range(column)]
    kind = f"{column.type} ({column.unit})" if column.unit else column.type
    return f"| {column.name} | {kind} | {' '.join(filter(None, notes))} | {column.null} | {column.source} |\n"


def _range(column: Column) -> str:
    return f"From {column.least:g} to {column.most:g}." if column.least is not None and column.most is not None else ""
