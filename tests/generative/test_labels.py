"""Labels against a loop over all stays and deaths, on drawn rows."""

from datetime import UTC, datetime, timedelta

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from features.labels import label

CUT = datetime(2026, 1, 20, 6, tzinfo=UTC)
HORIZON, ZONE = timedelta(days=9), "Europe/London"
NO_MERGES = pd.DataFrame({"person_id": [], "merged_into": []}, dtype="int64")
people = st.integers(1, 2)
hours = st.integers(-30, 30).map(lambda steps: 12 * steps)
"""From the cut; so few that moments fall together, on the cut, and on the end of its window."""
stay = st.tuples(people, hours, st.integers(0, 20).map(lambda steps: 12 * steps), st.booleans())


def moments(told):
    return pd.Series([CUT + timedelta(hours=hour) for hour in told], dtype="datetime64[us, UTC]")


def frame(person, **columns):
    return pd.DataFrame({"person_id": pd.Series(person, dtype="int64"), **columns})


@given(
    st.lists(stay, max_size=6), st.lists(st.tuples(people, hours), max_size=3), st.lists(hours, min_size=1, max_size=3)
)
def test_labels_are_those_of_a_loop(stays, deaths, cuts):
    who, begin, length, emergency = zip(*stays, strict=True) if stays else ((), (), (), ())
    ends = [first + long for first, long in zip(begin, length, strict=True)]
    spells = frame(
        who,
        admitted_at=moments(begin),
        discharged_at=moments(ends),
        emergency=pd.Series(emergency, dtype=bool),
    )
    died = frame([person for person, _ in deaths], died_at=moments([hour for _, hour in deaths]))
    keys = [(person, hour) for person in (1, 2) for hour in sorted(set(cuts))]
    index = frame([person for person, _ in keys], as_of=moments([hour for _, hour in keys]))
    found = label(index, spells, died, NO_MERGES, matured_at=CUT + 99 * HORIZON, lag_days=0, zone=ZONE)
    for (person, hour), row in zip(keys, found.itertuples(), strict=True):
        window = range(hour, hour + 9 * 24)
        mine = [one for one in zip(who, begin, ends, emergency, strict=True) if one[0] == person]
        admitted = [first for _, first, _, urgent in mine if urgent and first in window]
        inside = any(first < hour < last for _, first, last, _ in mine)
        assert row.label == bool(admitted)
        assert pd.isna(row.admitted_at) if not admitted else row.admitted_at == moments([min(admitted)])[0]
        first = 1 + (min(admitted) - hour) // 24 if admitted else pd.NA
        assert row.admitted_day is first or row.admitted_day == first
        assert row.state == ("already_admitted" if inside else "usable")
        assert row.died == (not admitted and any(one == person and at in window for one, at in deaths))
