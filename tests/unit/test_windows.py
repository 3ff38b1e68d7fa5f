"""Many moments shifted at once are each shifted as one is, and days begin at midnight, on every clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import features
from features.windows import midnights, shift_days, shift_moments

ZONES = st.sampled_from(["Europe/London", "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MINUTES = st.integers(0, 2 * 365 * 24 * 60)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2025, 1, 1, tzinfo=UTC)


def micros(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


@given(st.lists(MINUTES, min_size=1, max_size=5), st.integers(-400, 400), ZONES)
@example([t * 30 for t in range(48 * 88, 48 * 90)], -1, "Europe/London")
@example([t * 30 for t in range(48 * 298, 48 * 300)], 1, "Europe/London")
def test_moments_are_shifted_like_one(minutes, days, zone):
    moments = [START + timedelta(minutes=m) for m in minutes]
    shifted = shift_moments(np.array([micros(moment) for moment in moments]), days, zone)
    assert shifted.tolist() == [micros(shift_days(moment, days, zone)) for moment in moments]


@given(MINUTES, st.integers(0, 30 * 24 * 60), ZONES)
def test_midnights_begin_the_days_from_the_first_moment_to_the_last(minutes, more, zone):
    first = START + timedelta(minutes=minutes)
    last = first + timedelta(minutes=more)
    begun = [EPOCH + timedelta(microseconds=int(m)) for m in midnights(micros(first), micros(last), zone)]
    local = [moment.astimezone(ZoneInfo(zone)) for moment in begun]
    assert begun[0] <= first
    assert all(moment <= last for moment in begun)
    assert [moment.date() for moment in local] == [local[0].date() + timedelta(n) for n in range(len(local))]
    assert last.astimezone(ZoneInfo(zone)).date() == local[-1].date()


def test_compiled_code_lies_where_the_driver_kept_on_disk_looks_for_changes():
    """A further file of it has to go into the checksum in `features.driver`, or a stale pass would be loaded."""
    folder = Path(features.__file__).parent
    assert {path.name for path in folder.rglob("*.py") if "@inlined" in path.read_text()} == {
        "aggregates.py",
        "driver.py",
    }
