"""Small tables that an analyst can read."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")


def london(text: str) -> datetime:
    """'2026-01-05 06:00' on the wall clock of London, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(UTC)


def parsed(text: str, kind: str) -> Any:
    """A cell of a small table; '' and '-' are null."""
    if text in {"", "-"}:
        return None
    readers: dict[str, Callable[[str], Any]] = {
        "id": int,
        "whole": int,
        "number": float,
        "flag": lambda word: {"yes": True, "no": False}[word],
        "time": london,
        "date": date.fromisoformat,
    }
    return readers.get(kind, str)(text)


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a table drawn with bars: the first line has the columns."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
