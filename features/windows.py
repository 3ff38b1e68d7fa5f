"""The boundary rule, written once.

Behind a cut: `as_of - w <= occurred_at < as_of`. Ahead of it: `as_of <= occurred_at < as_of + 9 d`. A day is a
calendar day on the wall clock of the service's time zone, so a window keeps its hour of the day across a clock
change, and the windows on the two sides of a cut tile: no event is in both or in neither.
A version counts only while it is in force: `known_from <= as_of < known_to`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

HORIZON_DAYS = 9


def shift_days(as_of: datetime, days: int, zone: str) -> datetime:
    """The moment at the same wall-clock time in `zone`, `days` calendar days later (earlier if negative), in UTC.

    A wall-clock time that a clock change skips is read with the offset before the change; of one that occurs twice,
    the first is meant.
    """
    local = as_of.astimezone(ZoneInfo(zone))
    return (local.replace(fold=0) + timedelta(days=days)).astimezone(UTC)


def cut(day: date, at: time, zone: str) -> datetime:
    """The cut of `day`: its wall-clock time `at` in `zone`, in UTC."""
    return datetime.combine(day, at, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def cuts(days: Iterable[date], at: time, zone: str) -> list[datetime]:
    """`cut` of each day, in the order given."""
    return [cut(day, at, zone) for day in days]
