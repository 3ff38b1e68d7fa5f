"""Chances that belong to facts, the calendar, the delays, and the names and numbers of the simulated people."""

from datetime import date

import numpy as np
import pytest
from worlds import SMALL_WORLD, small_world

from features.daysoff import bank_holidays, easter_sunday
from features.errors import ConfigError
from pipelines.simulator import load_world
from pipelines.simulator.calendar import is_rest_day, skip_clock_change
from pipelines.simulator.chance import facts
from pipelines.simulator.delays import make_write_up
from pipelines.simulator.names import check_digits, nhs_numbers
from pipelines.simulator.people import VITAL
from pipelines.simulator.readings import news2
from pipelines.simulator.teams import draw_teams

MANY = 100_000


def test_what_is_drawn_belongs_to_the_fact_alone() -> None:
    together = facts(7, "visit", np.arange(1000), np.full(1000, 3))
    alone = facts(7, "visit", np.array([500]), np.array([3]))
    assert together.uniform("status")[500] == alone.uniform("status")[0]
    assert together[np.array([500])].normal("weight")[0] == alone.normal("weight")[0]


def test_draws_are_uniform_and_unrelated_to_those_of_other_names_kinds_days_and_seeds() -> None:
    who, day = np.arange(MANY), np.zeros(MANY)
    first = facts(7, "visit", who, day).uniform("status")
    others = [
        facts(7, "visit", who, day).uniform("hour"),
        facts(7, "call", who, day).uniform("status"),
        facts(7, "visit", who, day + 1).uniform("status"),
        facts(8, "visit", who, day).uniform("status"),
        np.roll(first, 1),
    ]
    counts = np.histogram(first, np.linspace(0, 1, 51))[0]
    assert ((counts - MANY / 50) ** 2 / (MANY / 50)).sum() < 49 + 5 * np.sqrt(98)
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / np.sqrt(MANY)


def test_draws_have_their_distributions() -> None:
    own = facts(1, "x", np.arange(MANY))
    near = 5 / np.sqrt(MANY)
    assert own.normal("n").mean() == pytest.approx(0, abs=near)
    assert own.normal("n").std() == pytest.approx(1, abs=near)
    assert own.geometric("g", 9.0).mean() == pytest.approx(9, abs=9 * near)
    assert own.exponential("e", 2.0).mean() == pytest.approx(2, abs=2 * near)
    assert np.bincount(own.pick("p", (1, 2, 5))) / MANY == pytest.approx([0.125, 0.25, 0.625], abs=near)
    assert set(own.whole("w", 2, 5).tolist()) == {2, 3, 4}


def test_late_notes_have_the_tail_of_the_real_delays_and_always_come() -> None:
    config = small_world(delays={"late_scale": 1.0, "rest_day_late": 1.0}, practice={"delay": [1.0, 1.0]})
    write_up = make_write_up(config, draw_teams(config))
    zero = np.zeros(MANY, dtype=np.int64)
    days = write_up.days(np.arange(MANY), zero, zero, zero)
    shares = np.bincount(days, minlength=15) / MANY
    assert shares[:2] == pytest.approx([0.66, 0.20], abs=0.01)
    real = np.array(config.delays.reporting) / 630
    assert sum(config.delays.reporting) == 630
    assert shares[2:14] / 0.14 == pytest.approx(real[:12], abs=0.02)
    assert days.max() <= config.delays.most_days
    assert (write_up.within[..., -1] == 1).all()


@pytest.mark.parametrize(
    ("day", "rests"),
    [
        (date(2025, 4, 18), True),
        (date(2025, 4, 21), True),
        (date(2025, 4, 22), False),
        (date(2025, 5, 5), True),
        (date(2025, 8, 25), True),
        (date(2022, 1, 3), True),
        (date(2022, 12, 27), True),
        (date(2026, 12, 28), True),
        (date(2025, 6, 7), True),
        (date(2025, 6, 9), False),
    ],
)
def test_days_of_rest(day: date, rests: bool) -> None:
    assert is_rest_day(day) is rests


def test_eight_bank_holidays_a_year_and_easter_where_it_was() -> None:
    assert all(len(bank_holidays(year)) == 8 for year in range(2015, 2040))
    assert [easter_sunday(year) for year in (2016, 2024, 2025)] == [
        date(2016, 3, 27),
        date(2024, 3, 31),
        date(2025, 4, 20),
    ]


@pytest.mark.parametrize(
    ("taken", "lungs", "score"),
    [
        ((16, 97, 130, 70, 36.8, 0), False, 0),
        ((25, 91, 90, 131, 39.1, 1), False, 3 + 3 + 3 + 3 + 2 + 3),
        ((21, 94, 101, 91, 38.1, 0), False, 2 + 1 + 1 + 1 + 1),
        ((8, 95, 220, 40, 35.0, 0), False, 3 + 1 + 3 + 3 + 3),
        ((11, 93, 111, 50, 36.0, 0), False, 1 + 2 + 0 + 1 + 1),
        ((16, 88, 130, 70, 36.8, 0), True, 0),
        ((16, 85, 130, 70, 36.8, 0), True, 2),
    ],
)
def test_news2_by_its_table(taken: tuple[float, ...], lungs: bool, score: int) -> None:
    assert len(taken) == VITAL + 1
    assert news2(np.array([taken], dtype=float), np.array([lungs])).tolist() == [score]


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


@pytest.mark.parametrize("name", ["small", "trust", "region"])
def test_the_shipped_worlds_are_described_in_full(name: str) -> None:
    world = load_world(SMALL_WORLD.with_name(f"{name}.yaml"))
    assert world.places >= 1000
    assert load_world(SMALL_WORLD.with_name(f"{name}.yaml"), {"faults": {"untraced": 0.5}}).faults.untraced == 0.5


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"plcaes": 10}, "plcaes"),
        ({"course": {"illnesses": {"chest_infection": {"onset": 2}}}}, "course.illnesses.chest_infection.onset"),
        ({"places": 1}, "places"),
    ],
)
def test_settings_that_make_no_world_are_refused_with_their_place(changes: dict, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_world(SMALL_WORLD, changes)


def test_a_world_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="configs/worlds"):
        load_world(tmp_path / "nowhere.yaml")
    (tmp_path / "bare.yaml").write_text("places: 100\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="parameters"):
        load_world(tmp_path / "bare.yaml")
