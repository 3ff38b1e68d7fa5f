"""How single facts are written for a clinician: dates as 03-Feb-2026, NHS numbers as 999 000 0018."""

import math
from collections.abc import Sequence
from datetime import date as Date
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from models.sections import HIGH, LEAVING, NEWLY, POORLY, RISING

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

BANDS = (0.02, 0.05, 0.10, 0.20)
"""Lower bounds of the second to the fifth band of risk."""
BAND_WORDS = ("below 1 in 50", "1 in 50 or more", "1 in 20 or more", "1 in 10 or more", "1 in 5 or more")

PURPOSE = (
    "A prompt for your clinical judgement: someone here may be getting worse before it shows. The figures are for one "
    "thing, an emergency hospital admission within nine days."
)
NOT_FOR = (
    "Not a triage order, and not a reason to cancel or delay anyone’s visit.",
    "People who are not listed may still be at risk.",
)
"""What every form of a list says of what it is for, and of what it is not."""

SEEN_BY = {
    "face_to_face": "face to face",
    "telephone": "by telephone",
    "video": "by video",
    "message": "by message",
    "other": "by other means",
}
"""How each means of a contact is said after its day."""

SECTIONS = {
    RISING: "New and rising",
    HIGH: "Still high",
    NEWLY: "Newly home or newly referred",
    LEAVING: "Leaving the list",
    POORLY: "Poorly observed",
}
"""The sections of a list by their key, in the order of reading."""

FRACTIONS = {
    0.1: "a tenth",
    0.2: "a fifth",
    0.25: "a quarter",
    1 / 3: "a third",
    0.4: "two fifths",
    0.5: "half",
    0.6: "three fifths",
    2 / 3: "two thirds",
    0.75: "three quarters",
    0.8: "four fifths",
    0.9: "nine tenths",
}


def fraction(share: float) -> str:
    """A share (0-1) as the nearest fraction that people say."""
    return FRACTIONS[min(FRACTIONS, key=lambda said: abs(said - share))]


def plain_date(day: Date) -> str:
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d}"


def date(at: datetime, zone: str) -> str:
    return plain_date(at.astimezone(ZoneInfo(zone)).date())


def weekday(at: datetime, zone: str) -> str:
    return WEEKDAYS[at.astimezone(ZoneInfo(zone)).weekday()]


@lru_cache(2**10)
def moment(at: datetime, zone: str) -> str:
    """Date and 24-hour time in `zone`."""
    return f"{date(at, zone)} {at.astimezone(ZoneInfo(zone)):%H:%M}"


@lru_cache(2**16)
def event_moment(at: datetime, zone: str) -> str:
    """As `moment`, but local midnight is a date alone: a source that gives only a date is placed there."""
    local = at.astimezone(ZoneInfo(zone))
    day = plain_date(local)
    return day if (local.hour, local.minute) == (0, 0) else f"{day} {local.hour:02d}:{local.minute:02d}"


def days_before(at: datetime, as_of: datetime, zone: str) -> str:
    """How long before `as_of`, in calendar days of `zone`: today, yesterday, 3 days ago."""
    there = ZoneInfo(zone)
    days = (as_of.astimezone(there).date() - at.astimezone(there).date()).days
    return ago(days)


def days_after(at: datetime, as_of: datetime, zone: str) -> str:
    """How long after `as_of`, in calendar days of `zone`: today, tomorrow, in 3 days."""
    there = ZoneInfo(zone)
    days = (at.astimezone(there).date() - as_of.astimezone(there).date()).days
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")


def ago(days: int) -> str:
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")


def listed(words: Sequence[str]) -> str:
    """As a sentence lists things: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def count(number: float, one: str, many: str | None = None) -> str:
    """A whole number with its noun: 1 day, 2 days, 1,204 people."""
    return f"{number:,.0f} {one if round(number) == 1 else many or one + 's'}"


def age_of_feed(hours: float) -> str:
    if not math.isfinite(hours):
        return "never received"
    if hours < 1:
        return "less than an hour old"
    return f"{count(hours, 'hour')} old" if hours < 48 else f"{count(hours // 24, 'day')} old"


def nhs_number(digits: str) -> str:
    """Ten digits as 3-3-4; anything else as nothing, because a malformed number identifies nobody safely."""
    if len(digits) != 10 or not (digits.isascii() and digits.isdigit()):
        return ""
    return f"{digits[:3]} {digits[3:6]} {digits[6:]}"


def full_name(family: str, given: str) -> str:
    return ", ".join(part for part in (family.strip().upper(), given.strip()) if part)


def band(risk: float) -> int:
    """The band of risk, 1 (lowest) to 5."""
    return 1 + sum(risk >= bound for bound in BANDS)


def label(name: str) -> str:
    """A column's or a file's name as words: days_on_list is 'Days on list'."""
    spaced = name.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]
