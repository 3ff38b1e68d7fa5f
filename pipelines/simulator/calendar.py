"""The simulated calendar. Days are whole numbers counted from the first; moments are local seconds since 1970."""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

DAY = 86_400
HOUR = 3_600
EPOCH = date(1970, 1, 1)
NONE = -(1 << 40)
"""The moment that never comes."""

WEEKDAY_HAZARD = (1.10, 1.02, 1.0, 1.0, 1.02, 0.93, 0.93)
FIXED_HOLIDAYS = {(1, 1), (12, 25), (12, 26)}


def season(day: date) -> float:
    """Winter's factor: 1.2 in mid January, 0.8 in mid July."""
    return 1 + 0.2 * float(np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365))


def weekday_hazard(day: date) -> float:
    return WEEKDAY_HAZARD[day.weekday()]


def is_rest_day(day: date) -> bool:
    """Weekends and the holidays that fall on the same date every year."""
    return day.weekday() >= 5 or (day.month, day.day) in FIXED_HOLIDAYS


def moment(start: date, day: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Local seconds since 1970 of `seconds` past midnight on the given days from `start`."""
    return np.asarray((day.astype(np.int64) + (start - EPOCH).days) * DAY + seconds, dtype=np.int64)


def skip_clock_change(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move what falls between 01:00 and 02:00 on a Sunday an hour on: on two Sundays of the year that local hour does
    not exist or occurs twice."""
    sunday = (moments // DAY + 3) % 7 == 6
    doubtful = sunday & ((moments % DAY) // HOUR == 1)
    return np.where(doubtful, moments + HOUR, moments)


def days_of(start: date, first: int, last: int) -> list[date]:
    return [start + timedelta(days=day) for day in range(first, last)]
