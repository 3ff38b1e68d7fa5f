"""Decay where no list was shown: teams that succeed are not taken for it, and real shifts are found."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom

from models import decay
from models.decay import FEWER, MORE, RANKING, alarmed, before_next_list, cusum, exposed, reference, watched
from models.resampling import Resampling

DRAWS = Resampling(200)
PEOPLE, DAYS, LISTED = 700, 60, 35
MIDDLE = -3.4
"""Of the logits of the nine-day risks."""
EFFECT_DAYS = 14
RATE = 0.1


def moments(*days: str) -> pd.Series:
    return pd.Series(pd.to_datetime([f"{day} 06:00" for day in days], utc=True).as_unit("us"))


def drawn(
    seed: int, days: int, start: str, *, ratio: float = 1.0, slope: float = 1.0, effect: float = 0.0
) -> pd.DataFrame:
    """Person-days with a nine-day risk and who is admitted before the next list; the riskiest are listed every day.

    ratio, slope: of the true chance against the risk. effect: the share of admissions that being listed prevents for
    `EFFECT_DAYS`.
    """
    chance = np.random.default_rng(seed)
    logit = MIDDLE + 0.8 * chance.normal(size=PEOPLE) + 0.6 * chance.normal(size=(days, PEOPLE))
    true = expit(np.log(0.15) + MIDDLE + slope * (logit - MIDDLE)) * ratio
    listed = np.argsort(np.argsort(-logit, axis=1), axis=1) < LISTED
    helped = np.zeros_like(listed)
    for back in range(EFFECT_DAYS):
        helped[back:] |= listed[: days - back]
    soon = chance.random((days, PEOPLE)) < true * np.where(helped, 1 - effect, 1.0)
    return pd.DataFrame(
        {
            "person_id": np.tile(np.arange(PEOPLE), days),
            "as_of": np.repeat(pd.date_range(f"{start} 06:00", periods=days, tz="UTC", unit="us"), PEOPLE),
            "risk": expit(logit).ravel(),
            "soon": soon.ravel(),
            "listed": listed.ravel(),
        }
    )


def unexposed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~exposed(rows, rows[rows["listed"]], EFFECT_DAYS)]


@pytest.fixture(scope="module")
def known():
    found = reference(unexposed(drawn(1, DAYS, "2025-10-01")), RATE, DRAWS)
    assert found is not None
    assert found.admissions > 100
    return found


def sides(known, rows):
    return set(alarmed(watched(rows, known), known))


def test_teams_that_succeed_are_not_decay(known):
    helped = drawn(2, 180, "2026-01-01", effect=0.6)
    assert sides(known, unexposed(helped)) == set()


def test_without_the_log_of_who_was_shown_they_would_be(known):
    helped = drawn(2, 180, "2026-01-01", effect=0.6)
    assert FEWER in sides(known, helped)


@pytest.mark.parametrize(
    ("shift", "side"), [({"ratio": 1.8}, MORE), ({"ratio": 0.55}, FEWER), ({"slope": 0.3}, RANKING)]
)
def test_a_real_shift_is_found_though_teams_succeed(known, shift, side):
    rows = unexposed(drawn(3, 120, "2026-01-01", effect=0.6, **shift))
    sums = watched(rows, known)
    found = alarmed(sums, known)
    assert side in found
    assert found[side] <= sums["as_of"].iloc[20], "it dates from the beginning of the shift"


def test_without_a_change_alarms_are_as_rare_as_stated():
    raised, years = 0, 10
    for seed in range(years):
        own = reference(unexposed(drawn(100 + seed, 42, "2025-10-01")), RATE, DRAWS)
        sums = watched(unexposed(drawn(200 + seed, 150, "2026-01-01")), own)
        raised += any((sums[side] > own.limits[side]).any() for side in decay.SIDES)
    assert raised <= binom.ppf(0.999, years, RATE)


def test_too_few_admissions_are_nothing_to_hold_the_present_against():
    rows = drawn(1, 20, "2025-10-01")
    assert reference(rows[rows["soon"].cumsum() < decay.LEAST_ADMISSIONS], RATE, DRAWS) is None


def test_who_was_shown_is_exposed_for_so_many_days():
    rows = pd.DataFrame(
        {"person_id": [1, 1, 1, 1, 2], "as_of": moments(*[f"2026-01-{d}" for d in ("04", "05", "18", "19", "05")])}
    )
    shown = pd.DataFrame({"person_id": [1], "as_of": moments("2026-01-05")})
    assert exposed(rows, shown, 14).tolist() == [False, True, True, False, False]
    assert not exposed(rows, shown.iloc[:0], 14).any()


def test_only_an_admission_before_the_next_cut_counts_through_a_clock_change():
    cuts = pd.Series(
        pd.to_datetime(["2026-03-28 06:00", "2026-03-28 06:00", "2026-03-29 05:00"], utc=True).as_unit("us")
    )
    at = pd.Series(pd.to_datetime(["2026-03-29 04:59", "2026-03-29 05:30", None], utc=True).as_unit("us"))
    rows = pd.DataFrame({"as_of": cuts, "label": [1, 1, 0], "admitted_at": at})
    assert before_next_list(rows, "Europe/London").tolist() == [True, False, False]


def test_a_sum_begins_again_from_nothing():
    assert cusum(np.array([[1.0, -1.0], [1.0, 2.0], [-5.0, 1.0], [1.0, 0.0]])).tolist() == [
        [1, 0],
        [2, 2],
        [0, 3],
        [1, 3],
    ]
