"""The generated pages: the data dictionary from the schema, the list of features from a catalogue."""

from itertools import groupby

from features.catalogue import Catalogue
from features.describing import Description, describe
from features.schema import COMMON, TABLES, Column, Table

INTRODUCTION = """# Data dictionary

Generated from `features/schema.py` by `make docs`; do not edit. These are the contact history's six tables, which every
source is mapped onto. Times are UTC. `known_from` and `known_to` say when a version of a row could be known:
`known_from <= t < known_to`.
"""


FEATURES_INTRODUCTION = """# Features

Generated from `configs/features/community.yaml` by `make docs`; do not edit. Each row of the feature table is a person
at a cut. A window of 7 days is `as_of - 7 d <= occurred_at < as_of`, in calendar days on the service's clock; an event
counts in the version that was known at the cut. What has a half-life fades, and is dropped after twelve half-lives.

To add a feature, add a line to a family in the catalogue (and an event, where no event says it yet): the aggregate and
its event, the days or half-life, and the direction where one may be claimed. It then appears here, its placeholder may
be used in the family's sentences, and the generative tests check it against SQL.

**Hidden states.** `states` in the catalogue names events that speak of how a person is: of `counts` it matters how many
there are a day, of `marks` whether there is one where one would have been recorded, of `readings` the value against the
person's own usual. Training learns a few states from the people and days that it trains on (a hidden Markov model, by
expectation maximisation; nobody tells it of any illness), and adds the numbers to the catalogue that the model keeps as
a line `learned:`, so that they are part of its contract. At a cut, each state is believed in by the records that were
in force then. `log_odds` says what that amounts to; `evidence` what each kind of record adds, by which reasons are told
of records and never of states. Both are null before training, with fewer than 50 admissions to learn from, and for
whoever has no such record in the look-back. A catalogue without `states` has none of this.
"""


def features_page(catalogue: Catalogue) -> str:
    """Every feature of `catalogue` in words, family by family, as Markdown."""
    parts = [FEATURES_INTRODUCTION]
    head = (
        "| feature | what it is | window | direction | when nothing happened | in a sentence |\n" + "| --- " * 6 + "|\n"
    )
    for family, features in groupby(describe(catalogue), key=lambda each: each.family):
        parts.append(f"## {family}\n\n{head}" + "".join(map(_feature_row, features)))
    return "\n".join(parts)


def _feature_row(feature: Description) -> str:
    cells = (feature.says, feature.window, feature.direction, feature.empty, f"`{feature.placeholder}`")
    return f"| `{feature.name}` | {' | '.join(cells)} |\n"


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
