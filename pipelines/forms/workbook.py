"""A team's list as an Excel workbook: typed cells, a filter, a frozen header, set up for A4."""

import io
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import xlsxwriter

from pipelines.pages import Person, Stamp, Team, words

SAFE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
"""Text stays text, whatever it begins with: nothing in a name or a reason can become a formula or a link."""
HEADER = 4
"""The row of the headings, counted from 0."""
FIRST_TITLE = "List"


class _Column(NamedTuple):
    title: str
    width: float
    form: str
    of: Callable[[Person, Stamp], Any]


def _columns() -> tuple[_Column, ...]:
    return (
        _Column("No.", 5, "whole", lambda person, _: person.rank),
        _Column("NHS number", 14, "text", lambda person, _: person.nhs_number),
        _Column("Name", 26, "wrapped", lambda person, _: person.name),
        _Column("Born", 12, "day", lambda person, _: person.birth_date),
        _Column("Age", 5, "whole", lambda person, _: int(person.age) if person.age else None),
        _Column("Sex", 9, "text", lambda person, _: person.sex),
        _Column("Risk in nine days", 10, "share", lambda person, _: person.risk),
        _Column("In words", 16, "wrapped", lambda person, _: person.risk_in_words),
        _Column("Change", 8, "text", lambda person, _: person.change_word),
        _Column("Risk before", 9, "share", lambda person, _: _finite(person.previous_risk)),
        _Column("Days on list", 8, "whole", lambda person, _: _whole(person.days_on_list)),
        *(_Column(f"Reason {n + 1}", 30, "wrapped", lambda person, _, n=n: _at(person.reasons, n)) for n in range(3)),  # type: ignore[misc]
        _Column("Last seen", 16, "moment", lambda person, stamp: _local(person.last_seen_at, stamp)),
        _Column("Last seen by", 14, "text", lambda person, _: person.last_seen_by.replace("_", " ")),
        _Column("Days on caseload", 10, "whole", lambda person, _: _whole(person.days_on_caseload)),
        _Column("Also with", 24, "wrapped", lambda person, _: ", ".join(person.also_with)),
        _Column("In the hands of", 24, "wrapped", lambda person, _: ", ".join(person.in_hands)),
        _Column("Section", 16, "wrapped", lambda person, _: person.section_words),
    )


COLUMNS = _columns()
FORMATS: dict[str, dict[str, Any]] = {
    "whole": {"num_format": "0"},
    "share": {"num_format": "0.0%"},
    "day": {"num_format": "dd-mmm-yyyy", "align": "left"},
    "moment": {"num_format": "dd-mmm-yyyy hh:mm", "align": "left"},
    "text": {"num_format": "@"},
    "wrapped": {"num_format": "@", "text_wrap": True},
}


def workbook(team: Team, people: Sequence[Person], stamp: Stamp) -> bytes:
    """The workbook's bytes. Dates are local; risks are numbers from 0 to 1, shown in per cent; what is not known is
    an empty cell."""
    written = io.BytesIO()
    with xlsxwriter.Workbook(written, SAFE) as book:
        book.set_properties({"title": f"{team.name}, {stamp.day}", "created": _naive(stamp.as_of, stamp)})
        formats = {
            name: book.add_format({"valign": "top", "font_name": "Arial", "font_size": 10, "bottom": 4} | look)
            for name, look in FORMATS.items()
        }
        _list(book, formats, team, people, stamp)
        _about(book, team, people, stamp)
    return written.getvalue()


def _list(book: Any, formats: dict[str, Any], team: Team, people: Sequence[Person], stamp: Stamp) -> None:
    sheet = book.add_worksheet(FIRST_TITLE)
    strong = book.add_format({"bold": True, "font_name": "Arial", "font_size": 14})
    plain = book.add_format({"font_name": "Arial", "font_size": 10})
    warning = book.add_format({"bold": True, "font_name": "Arial", "font_size": 10, "font_color": "#AA2211"})
    heading = book.add_format(
        {"bold": True, "font_name": "Arial", "font_size": 10, "text_wrap": True, "valign": "top"}
        | {"bg_color": "#005EB8", "font_color": "#FFFFFF"}
    )
    sheet.write_string(0, 0, team.name, strong)
    sheet.write_string(1, 0, _first_line(stamp), plain)
    sheet.write_string(2, 0, " ".join((*_warnings(stamp), *stamp.notes)), warning)
    for place, column in enumerate(COLUMNS):
        sheet.set_column(place, place, column.width)
        sheet.write_string(HEADER, place, column.title, heading)
        for row, person in enumerate(people, HEADER + 1):
            _write(sheet, row, place, column.of(person, stamp), formats[column.form])
    sheet.autofilter(HEADER, 0, HEADER + max(len(people), 1), len(COLUMNS) - 1)
    sheet.freeze_panes(HEADER + 1, 3)
    _set_up_print(sheet, team, stamp)


def _write(sheet: Any, row: int, place: int, value: Any, look: Any) -> None:
    if value is None or value == "":
        sheet.write_blank(row, place, None, look)
    elif isinstance(value, str):
        sheet.write_string(row, place, value, look)
    elif isinstance(value, (int, float)):
        sheet.write_number(row, place, value, look)
    else:
        sheet.write_datetime(row, place, value, look)


def _set_up_print(sheet: Any, team: Team, stamp: Stamp) -> None:
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(HEADER)
    foot = f"{team.name}, {stamp.as_of_words}, data to {stamp.data_words}, model {stamp.model_version}"
    sheet.set_footer(f"&L{_literal(foot)}&RPage &P of &N")
    if stamp.simulated:
        sheet.set_header("&C&BSIMULATED PEOPLE")


def _literal(text: str) -> str:
    """Text in a header or footer, where an ampersand begins an instruction. Excel takes 255 characters in all."""
    return text[:200].replace("&", "&&")


def _about(book: Any, team: Team, people: Sequence[Person], stamp: Stamp) -> None:
    sheet = book.add_worksheet("About this list")
    wrapped = book.add_format({"text_wrap": True, "valign": "top", "font_name": "Arial", "font_size": 10})
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 90)
    rows = (
        ("Trust", stamp.trust),
        ("Team", team.name),
        ("As of", stamp.when),
        ("Out of date from", stamp.valid_words),
        ("Data up to", stamp.data_words),
        ("Model", stamp.model_version),
        *stamp.feeds,
        ("People on the caseload", f"{team.caseload}"),
        ("Listed", f"{len(people)}"),
        *((f"Not considered: {reason.lower()}", f"{count}") for reason, count in team.excluded if count),
        ("What this list is for", words.PURPOSE),
        ("What it is not", " ".join(words.NOT_FOR)),
        *(("Before you use this", sentence) for sentence in (*_warnings(stamp), *stamp.notes)),
    )
    for row, (term, detail) in enumerate(rows):
        sheet.write_string(row, 0, term, wrapped)
        sheet.write_string(row, 1, detail, wrapped)


def _first_line(stamp: Stamp) -> str:
    return f"{stamp.trust}. As of {stamp.when}; out of date from {stamp.valid_words}."


def _warnings(stamp: Stamp) -> tuple[str, ...]:
    return ("SIMULATED PEOPLE: nobody on this list exists.",) if stamp.simulated else ()


def _at(reasons: Sequence[str], place: int) -> str:
    return reasons[place] if place < len(reasons) else ""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _whole(value: float) -> int | None:
    return math.floor(value) if math.isfinite(value) else None


def _local(at: datetime | None, stamp: Stamp) -> datetime | None:
    return None if at is None else _naive(at, stamp)


def _naive(at: datetime, stamp: Stamp) -> datetime:
    """A workbook knows no time zones: its moments are those of the service's clock."""
    return at.astimezone(ZoneInfo(stamp.zone)).replace(tzinfo=None)
