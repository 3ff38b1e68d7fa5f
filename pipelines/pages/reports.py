"""Reports for those who run and build the lists: what became of the data, and how good a model is.

They take tidy frames by caption and print every row of them. They must hold counts and figures, never a person: the
pages are kept and passed around.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from pipelines.pages import words
from pipelines.pages.render import render

NOTHING = "\u2013"
CAPITALS = {"n": "n", "auroc": "AUROC", "ppv": "PPV", "nhs": "NHS", "id": "ID", "e:o": "E:O", "nne": "NNE"}


@dataclass(frozen=True)
class Cell:
    """`number` aligns it right; `share` (0 to 1) draws a bar beside the text, which says the same."""

    text: str
    number: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Table:
    caption: str
    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """`source` is the drawing as a data address: as an image it can neither run anything nor fetch anything."""

    caption: str
    alt: str
    source: str


@dataclass(frozen=True)
class Section:
    """A part of a report. `figures` (whole SVG documents) and `tables` are by caption, in the order of reading."""

    title: str = ""
    says: tuple[str, ...] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class _Drawn:
    """A section as the template reads it."""

    title: str
    says: tuple[str, ...]
    figures: list[Figure]
    tables: list[Table]


def quality_page(frames: Mapping[str, pd.DataFrame], header: Mapping[str, str], *, simulated: bool = False) -> str:
    """The data-quality report. `frames` is by caption; a column named share or ending in _share gets bars.

    header: what the report is about, as term -> detail (source, extract, received at).
    """
    return report_page(
        "Data quality",
        "Every row that was read is kept, rejected with a reason, or unused.",
        header,
        [Section(tables=frames)],
        closing="Counts only: no person can be read from this page.",
        simulated=simulated,
    )


def report_page(
    title: str,
    lead: str,
    header: Mapping[str, str],
    sections: Sequence[Section],
    *,
    in_short: Sequence[str] = (),
    closing: str = "Intervals, where there are any, are 95%, from a bootstrap over people.",
    simulated: bool = False,
) -> str:
    """A report. header: what its figures are for, as term -> detail. in_short: sentences that come before all else."""
    return render(
        "report.html",
        footer=", ".join([title, *header.values()]),
        simulated=simulated,
        title=title,
        lead=lead,
        closing=closing,
        facts=header,
        in_short=in_short,
        sections=[_drawn(section) for section in sections],
    )


def _drawn(section: Section) -> _Drawn:
    figures = [_figure(caption, svg) for caption, svg in section.figures.items()]
    return _Drawn(section.title, section.says, figures, [_table(*table) for table in section.tables.items()])


def _table(caption: str, frame: pd.DataFrame) -> Table:
    columns = [str(column) for column in frame.columns]
    numbers = [bool(pd.api.types.is_numeric_dtype(kind)) for kind in frame.dtypes]
    headings = tuple(Cell(_heading(name), number) for name, number in zip(columns, numbers, strict=True))
    rows = (
        tuple(_cell(name, value) for name, value in zip(columns, row, strict=True))
        for row in frame.itertuples(index=False, name=None)
    )
    return Table(words.label(caption), headings, tuple(rows))


def _heading(name: str) -> str:
    return " ".join(CAPITALS.get(word.lower(), word) for word in words.label(name).split(" "))


def _cell(name: str, value: Any) -> Cell:
    if not isinstance(value, str) and pd.isna(value):
        return Cell(NOTHING)
    if isinstance(value, datetime):
        return Cell(f"{words.plain_date(value.date())} {value:%H:%M}")
    if isinstance(value, date):
        return Cell(words.plain_date(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Cell({True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value))
    is_share = (name == "share" or name.endswith("_share")) and 0 <= value <= 1
    return Cell(f"{value:.1%}" if is_share else _figure_text(value), True, float(value) if is_share else None)


def _figure_text(value: float) -> str:
    """Whole numbers whole; others to three figures or so, never in powers of ten."""
    if isinstance(value, int) or (math.isfinite(value) and value == math.floor(value) and abs(value) >= 10):
        return f"{value:,.0f}"
    places = 3 if abs(value) < 10 else 1
    return f"{value:,.{places}f}"


def _figure(caption: str, svg: str) -> Figure:
    source = "data:image/svg+xml;base64," + base64.b64encode(_sized(svg).encode()).decode()
    return Figure(caption, f"Chart: {caption}. The tables on this page hold its figures.", source)


def _sized(svg: str) -> str:
    """The document from its <svg> on: a doctype or comment before it (matplotlib writes one) may name an address."""
    start = re.search(r"<svg\b", svg)
    return svg[start.start() :] if start else svg
