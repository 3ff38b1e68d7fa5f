"""The boundary rule, written once.

Behind a cut: `as_of - w <= occurred_at < as_of`. Ahead of it: `as_of <= occurred_at < as_of + 9 d`. A day is a
calendar day on the wall clock of the service's time zone, so a window keeps its hour of the day across a clock
change, and the windows on the two sides of a cut tile: no event is in both or in neither.
A version counts only while it is in force: `known_from <= as_of < known_to`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.frames import micros, moments

Ints = npt.NDArray[np.int64]

HORIZON_DAYS = 9
DAY = 86_400_000_000
"""Microseconds in a day of 24 hours."""
SPAN = 400 * DAY
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def shift_moments(moments: Ints, days: int, zone: str) -> Ints:
    """`shift_days` of many moments at once; microseconds since 1970, in and out."""
    if not len(moments):
        return moments
    reach = (abs(days) + 2) * DAY
    changes, offsets = _offsets((int(moments.min()) - reach) // SPAN, (int(moments.max()) + reach) // SPAN + 1, zone)
    local = moments + offsets[np.searchsorted(changes, moments, "right")] + days * DAY
    # A skipped or doubled wall-clock time is read with the offset before the change.
    settled = changes + np.maximum(offsets[:-1], offsets[1:])
    return np.asarray(local - offsets[np.searchsorted(settled, local, "right")])


def midnights(first: int, last: int, zone: str) -> Ints:
    """Where each calendar day of `zone` begins, from the one that holds the moment `first` to the one that holds
    `last`; microseconds since 1970."""
    begin, end = (_moment(moment).astimezone(ZoneInfo(zone)).date() for moment in (first, last))
    each = cuts((begin + timedelta(n) for n in range((end - begin).days + 1)), time(0), zone)
    return np.array([_micros(moment) for moment in each], np.int64)


@cache
def _offsets(first_span: int, last_span: int, zone: str) -> tuple[Ints, Ints]:
    """The moments between two multiples of `SPAN` at which the offset from UTC changes, and the offsets before the
    first of them, between them and after the last."""
    place, first, last = ZoneInfo(zone), first_span * SPAN, last_span * SPAN
    changes, offsets = [], [_offset(first, place)]
    for start in range(first, last, DAY):
        if _offset(start + DAY, place) != offsets[-1]:
            early, late = start, start + DAY
            while late - early > 1:
                middle = (early + late) // 2
                early, late = (middle, late) if _offset(middle, place) == offsets[-1] else (early, middle)
            changes.append(late)
            offsets.append(_offset(late, place))
    return np.array(changes, np.int64), np.array(offsets, np.int64)


def _offset(moment: int, place: ZoneInfo) -> int:
    return (_moment(moment).astimezone(place).utcoffset() or timedelta()) // MICROSECOND


def _moment(micros: int) -> datetime:
    return EPOCH + micros * MICROSECOND


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def window_starts(as_ofs: Iterable[datetime], days: Iterable[int], zone: str) -> pd.DataFrame:
    """as_of (each once) and, for each look-back, `start_{days}`: where it begins. A negative length looks ahead."""
    given = as_ofs if isinstance(as_ofs, pd.Series) else pd.Series(list(as_ofs), dtype="datetime64[us, UTC]")
    cuts = given.astype("datetime64[us, UTC]").drop_duplicates(ignore_index=True)
    columns = {f"start_{d}": moments(shift_moments(micros(cuts), -d, zone)) for d in sorted(set(days))}
    return pd.DataFrame({"as_of": cuts, **columns})
