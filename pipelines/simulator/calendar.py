"""The simulated calendar. Days are whole numbers counted from the first; moments are local seconds since 1970."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from features.daysoff import bank_holidays

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


def moment(start: date, day: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Local seconds since 1970 of `seconds` past midnight on the given days from `start`."""
    return np.asarray((day.astype(np.int64) + (start - EPOCH).days) * DAY + seconds, dtype=np.int64)


def skip_clock_change(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move what falls between 01:00 and 02:00 on a Sunday an hour on: on two Sundays of the year that local hour does
    not exist or occurs twice."""
    sunday = (moments // DAY + 3) % 7 == 6
    doubtful = sunday & ((moments % DAY) // HOUR == 1)
    return np.where(doubtful, moments + HOUR, moments)
