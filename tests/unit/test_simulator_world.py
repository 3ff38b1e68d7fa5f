"""The simulated world: its exact risk against two oracles, and the names and numbers of its people."""

from datetime import date, timedelta

import numpy as np
import pytest

from features.errors import ConfigError
from pipelines.simulator import world
from pipelines.simulator.calendar import season, skip_clock_change, weekday_hazard
from pipelines.simulator.config import HORIZON_DAYS
from pipelines.simulator.names import check_digits, nhs_numbers

WINTER = [date(2025, 1, 3) + timedelta(days=n) for n in range(HORIZON_DAYS)]
FRAIL = world.Traits(np.array([1.6]), np.array([2.5]), np.array([2.7]))

STAY_AND_MOVE = {
    0: lambda worse: {0: 1 - worse, 1: worse},
    1: lambda _: {0: 0.075, 1: 0.865, 2: 0.06},
    2: lambda _: {1: 0.08, 2: 0.92},
    3: lambda _: {0: 0.055, 1: 0.02, 3: 0.925},
}
"""The chain of states as it is described, written out apart from the program's tables."""


def risk_by_hand(state: int, days: list[date]) -> float:
    """Every path, one at a time."""
    if not days:
        return 0.0
    day, later = days[0], days[1:]
    total = 0.0
    for target, chance in STAY_AND_MOVE[state](0.0023 * 1.6 * season(day)).items():
        hazard = (0.00013, 0.0012, 0.050, 0.0022)[target] * 2.5 * season(day) * weekday_hazard(day)
        death = (0.00005, 0.0002, 0.002, 0.0004)[target] * 2.7
        away = sum(share * risk_by_hand(target, later[n:]) for n, share in enumerate((0.4, 0.3, 0.2, 0.1)))
        total += chance * (hazard + (1 - hazard - death - 0.0005) * risk_by_hand(target, later) + 0.0005 * away)
    return total


@pytest.mark.parametrize("state", range(4))
def test_risk_is_the_sum_over_every_path(state: int) -> None:
    assert world.risk(FRAIL, WINTER[:4])[0, state] == pytest.approx(risk_by_hand(state, WINTER[:4]), rel=1e-12)


@pytest.mark.parametrize("state", range(4))
def test_nine_day_risk_is_the_share_admitted_when_lived_through(state: int) -> None:
    copies = 100_000
    rng = np.random.default_rng(20 + state)
    everyone = world.Traits(*(np.full(copies, values[0]) for values in (FRAIL.worsening, FRAIL.emergency, FRAIL.death)))
    now = np.full(copies, state, dtype=np.int8)
    back, admitted, gone = np.zeros(copies, dtype=np.int64), np.zeros(copies, bool), np.zeros(copies, bool)
    for number, day in enumerate(WINTER):
        home = (back <= number) & ~gone
        now = np.where(home, world.move(rng, now, everyone, day), now)
        what = np.where(home, world.happen(rng, now, everyone, day), world.NOTHING)
        admitted |= what == world.EMERGENCY
        gone |= np.isin(what, (world.EMERGENCY, world.DEATH))
        away = np.flatnonzero(what == world.ELECTIVE)
        back[away] = number + 1 + world.elective_nights(rng, len(away))
    expected = world.risk(FRAIL, WINTER)[0, state]
    assert abs(admitted.mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / copies)


def test_more_days_and_worse_states_mean_more_risk() -> None:
    risks = np.stack([world.risk(FRAIL, WINTER[:count])[0] for count in range(HORIZON_DAYS + 1)])
    assert (risks[0] == 0).all()
    assert (np.diff(risks, axis=0) > 0).all()
    assert risks[-1, world.MARKED] > risks[-1, world.MILD] > risks[-1, world.POST_ACUTE] > risks[-1, world.STABLE]


def test_check_digit_of_the_published_example() -> None:
    assert check_digits(np.array([943476591])).tolist() == [9]


def test_nhs_numbers_are_valid_different_and_never_issued() -> None:
    numbers = nhs_numbers(np.random.default_rng(1), 20_000).tolist()
    assert len(set(numbers)) == 20_000
    for number in numbers:
        assert 9_990_000_000 <= number <= 9_999_999_999
        digits = [int(digit) for digit in str(number)]
        assert sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11 == (
            -digits[9] % 11
        )


def test_more_people_than_test_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="fewer places or days"):
        nhs_numbers(np.random.default_rng(1), 950_000)


def test_nothing_happens_in_the_hour_that_the_clocks_skip() -> None:
    skipped = int(np.datetime64("2025-03-30T01:30:00", "s").astype(np.int64))
    before, after, monday = skipped - 3600, skipped + 3600, skipped + 86_400
    assert skip_clock_change(np.array([before, skipped, after, monday])).tolist() == [before, after, after, monday]
