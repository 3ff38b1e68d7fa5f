"""The simulated calendar. Days are whole numbers counted from the first; moments are local seconds since 1970."""

from datetime import date, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

DAY = 86_400
HOUR = 3_600
EPOCH = date(1970, 1, 1)
NONE = -(1 << 40)
"""The moment that never comes."""


def winter(day: date, amplitude: float) -> float:
    """The season's factor: 1 + amplitude in mid January, 1 - amplitude in mid July."""
    return 1 + amplitude * float(np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365))


def is_rest_day(day: date) -> bool:
    """Weekends and the bank holidays of England."""
    return day.weekday() >= 5 or day in bank_holidays(day.year)


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


def moment(start: date, day: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Local seconds since 1970 of `seconds` past midnight on the given days from `start`."""
    return np.asarray((day.astype(np.int64) + (start - EPOCH).days) * DAY + seconds, dtype=np.int64)


def skip_clock_change(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move what falls between 01:00 and 02:00 on a Sunday an hour on: on two Sundays of the year that local hour does
    not exist or occurs twice."""
    sunday = (moments // DAY + 3) % 7 == 6
    doubtful = sunday & ((moments % DAY) // HOUR == 1)
    return np.where(doubtful, moments + HOUR, moments)
