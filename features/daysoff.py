"""Days on which services rest though it is no weekend."""

from collections.abc import Collection
from datetime import date, timedelta
from functools import cache


@cache
def bank_holidays(year: int) -> frozenset[date]:
    """England's by rule, with substitute days; none that were proclaimed for one year."""
    easter = easter_sunday(year)
    may, last_may, last_august = date(year, 5, 1), date(year, 5, 31), date(year, 8, 31)
    days = {
        _weekday_from(date(year, 1, 1)),
        easter - timedelta(days=2),
        easter + timedelta(days=1),
        may + timedelta(days=-may.weekday() % 7),
        last_may - timedelta(days=last_may.weekday()),
        last_august - timedelta(days=last_august.weekday()),
    }
    christmas = _weekday_from(date(year, 12, 25))
    boxing = _weekday_from(date(year, 12, 26))
    return frozenset(days | {christmas, boxing if boxing != christmas else boxing + timedelta(days=1)})


def is_day_off(day: date, more: Collection[date] = ()) -> bool:
    """Whether it is a bank holiday, or one of `more`."""
    return day in bank_holidays(day.year) or day in more


def counts_as(day: date, more: Collection[date] = ()) -> int:
    """The weekday (0 is Monday) whose mornings this one is like: after a day off, a Monday's."""
    return 0 if is_day_off(day - timedelta(days=1), more) else day.weekday()


def _weekday_from(day: date) -> date:
    """The day, or the Monday after it."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= 5 else 0)


def easter_sunday(year: int) -> date:
    """By the anonymous Gregorian algorithm."""
    century, rest = divmod(year, 100)
    moon = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    shift = (year % 19 + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * shift + 114, 31)
    return date(year, month, day + 1)
