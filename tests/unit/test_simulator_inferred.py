"""Lasting traits inferred from records: each posterior against sums over everything that could be the case."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma, lognorm, norm, poisson
from worlds import small_world

from pipelines.simulator import activities as a
from pipelines.simulator.activities import FRAILTY_SCORES, observed_frailty
from pipelines.simulator.before import usual_shares
from pipelines.simulator.inferred import Leaving, at_first, at_referral, episodes, first_wound
from pipelines.simulator.noted import Readings
from pipelines.simulator.people import LEVELS, READINGS, WATERLOW, People, draw_people, traits_of
from pipelines.simulator.places import make_world
from pipelines.simulator.recorded import learn
from pipelines.simulator.teams import share_places
from pipelines.simulator.usual import Usual, gauges_of

WORLD = make_world(small_world())
CONFIG = WORLD.config
GAUGES = gauges_of(WORLD)
PULSE = READINGS.index("pulse")
STATES = len(WORLD.course)
VARIANCE = np.array([CONFIG.readings[name].spread ** 2 for name in READINGS])
MEAN = np.array([CONFIG.readings[name].usual for name in READINGS])
EVENLY = np.full((1, 4), 0.25)
"""Of the four levels of frailty."""


def drawn_people(count: int) -> People:
    place = np.arange(count)
    return draw_people(CONFIG, WORLD.teams, place, share_places(WORLD.teams, count), np.full(count, -1))


def fresh() -> Usual:
    nothing = np.zeros((1, len(READINGS)))
    return Usual(MEAN[None].copy(), VARIANCE, nothing, nothing.copy())


def readings(*values: float, rank: int) -> np.ndarray:
    taken = np.full((len(values), len(READINGS)), np.nan)
    taken[:, rank] = values
    return taken


def in_state(state: int, count: int) -> np.ndarray:
    return np.tile(np.eye(STATES)[state], (count, 1))


def grid(rank: int) -> tuple[np.ndarray, np.ndarray]:
    """What could be someone's usual reading, and how likely each is."""
    spread = np.sqrt(VARIANCE[rank])
    could = MEAN[rank] + spread * np.linspace(-7, 7, 4001)
    chance = norm.pdf(could, MEAN[rank], spread)
    return could, chance / chance.sum()


@pytest.mark.parametrize("state", [0, 5])
def test_a_usual_reading_is_what_a_sum_over_all_it_could_be_gives(state: int) -> None:
    values = (96.0, 88.0, 91.0)
    usual = fresh()
    taken = readings(*values, rank=PULSE)
    GAUGES.learn(usual, np.zeros(3, dtype=int), taken, in_state(state, 3))
    mean, variance = usual.now(np.zeros(1, dtype=int), EVENLY)
    could, chance = grid(PULSE)
    for value in values:
        chance = chance * norm.pdf(value, could + GAUGES.shift[state, PULSE], np.sqrt(GAUGES.noise[PULSE]))
    chance /= chance.sum()
    assert mean[0, PULSE] == pytest.approx((chance * could).sum())
    assert variance[0, PULSE] == pytest.approx((chance * (could - mean[0, PULSE]) ** 2).sum(), rel=1e-4)
    others = np.arange(len(READINGS)) != PULSE
    assert mean[0, others] == pytest.approx(np.where(np.arange(8) == WATERLOW, MEAN + 2 * 1.5, MEAN)[others])


def test_learning_in_two_goes_or_in_one_is_the_same() -> None:
    once, twice, nobody = fresh(), fresh(), np.zeros(3, dtype=int)
    taken, belief = readings(70.0, 99.0, 81.0, rank=PULSE), np.full((3, STATES), 1 / STATES)
    GAUGES.learn(once, nobody, taken, belief)
    GAUGES.learn(twice, nobody[:2], taken[:2], belief[:2])
    GAUGES.learn(twice, nobody[:1], taken[2:], belief[2:])
    assert once.precision == pytest.approx(twice.precision)
    assert once.weighted == pytest.approx(twice.weighted)


def test_a_reading_in_a_state_that_nobody_knows_counts_for_less() -> None:
    surely, perhaps, nobody = fresh(), fresh(), np.zeros(1, dtype=int)
    taken = readings(110.0, rank=PULSE)
    GAUGES.learn(surely, nobody, taken, in_state(0, 1))
    GAUGES.learn(perhaps, nobody, taken, (in_state(0, 1) + in_state(5, 1)) / 2)
    assert 0 < perhaps.precision[0, PULSE] < surely.precision[0, PULSE]


def test_readings_are_as_likely_in_each_state_as_a_sum_over_all_usual_ones_gives() -> None:
    value, could, chance = 97.0, *grid(PULSE)
    mean, variance = fresh().now(np.zeros(1, dtype=int), EVENLY)
    found = GAUGES.evidence(readings(value, rank=PULSE), mean, variance)[0]
    spread = np.sqrt(GAUGES.noise[PULSE])
    exact = [(chance * norm.pdf(value, could + shift, spread)).sum() for shift in GAUGES.shift[:, PULSE]]
    assert found - found[0] == pytest.approx(np.log(exact) - np.log(exact[0]), abs=1e-6)


def test_waterlow_scores_and_frailty_tell_of_each_other_as_a_sum_over_both_gives() -> None:
    shares, values = np.array([[0.4, 0.3, 0.2, 0.1]]), (19.0, 21.0)
    usual, nobody = fresh(), np.zeros(2, dtype=int)
    GAUGES.learn(usual, nobody, readings(*values, rank=WATERLOW), in_state(0, 2))
    own, chance = grid(WATERLOW)
    joint = shares[0][:, None] * chance
    for value in values:
        joint = joint * norm.pdf(value, own + 2 * LEVELS[:, None], np.sqrt(GAUGES.noise[WATERLOW]))
    joint /= joint.sum()
    found = shares * np.exp(usual.frailty_evidence(nobody[:1]))
    found /= found.sum()
    assert found[0] == pytest.approx(joint.sum(axis=1), abs=1e-6)
    mean, variance = usual.now(nobody[:1], found)
    total = own + 2 * LEVELS[:, None]
    assert mean[0, WATERLOW] == pytest.approx((joint * total).sum())
    assert variance[0, WATERLOW] == pytest.approx((joint * (total - mean[0, WATERLOW]) ** 2).sum(), rel=1e-4)


def test_frailty_at_referral_is_what_the_chances_of_all_that_is_recorded_give() -> None:
    terms = CONFIG.people
    one = replace(
        drawn_people(1),
        age=np.array([85.0]),
        dying=np.array([False]),
        care_home=np.array([True]),
        clinic=np.array([False]),
        others=np.array([3]),
        prior=np.array([2]),
        from_hospital=np.array([True]),
    )
    drawn = np.array(terms.frailty) / sum(terms.frailty)
    by_hand = np.zeros(4)
    for level, share in enumerate(drawn):
        for up, chance in ((0, 0.75), (1, 0.25)):
            by_hand[min(level + up, 3)] += share * chance
    score = {0: 0.0, 1: 0.15, 2: 0.7, 3: 0.15}
    for level in range(4):
        by_hand[level] *= score[level] * terms.care_home[level]
        by_hand[level] *= poisson.pmf(3, terms.other_conditions[level])
        by_hand[level] *= poisson.pmf(1, terms.prior_admissions * np.exp(0.35 * (level - 1)))
    found = np.exp(at_referral(WORLD, one, FRAILTY_SCORES[[2]].astype(float)))[0]
    assert found / found.sum() == pytest.approx(by_hand / by_hand.sum(), abs=1e-9)


def test_frailty_at_referral_is_right_in_the_mean_over_people() -> None:
    people = drawn_people(40_000)
    logs = at_referral(WORLD, people, observed_frailty(WORLD, people))
    chance = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    is_level = people.frailty[:, None] == LEVELS
    for group in (people.age > 82, people.age < 68, people.dying, people.care_home, people.clinic):
        error = np.sqrt((chance[group] * (1 - chance[group])).sum(axis=0))
        assert (np.abs((is_level - chance)[group].sum(axis=0)) < 4 * error + 1e-6).all()
    sure = chance.max(axis=1) > 0.9
    assert is_level[sure][np.arange(sure.sum()), chance[sure].argmax(axis=1)].mean() > 0.9


def test_admissions_tell_of_frailty_as_their_chances_do() -> None:
    rates = Leaving(np.array([[0.001, 0.002, 0.003, 0.004]]), np.array([[0.0, 0.001, 0.001, 0.002]]))
    found = rates.evidence(np.zeros(1, dtype=int), np.array([2.0]), np.array([400.0]))[0]
    exact = poisson.logpmf(2, 400 * rates.emergency[0]) - 400 * rates.death[0]
    assert found - found[0] == pytest.approx(exact - exact[0])


def test_an_illness_sums_to_what_its_days_add_up_to() -> None:
    course = WORLD.course
    first = course.first[:1]
    belief, total = np.zeros(STATES), 0.0
    belief[first] = 1
    for _ in range(2000):
        total += float(belief @ course.emergency)
        belief = (belief * (1 - course.emergency - course.death)) @ course.fixed * (course.illness == 0)
    assert episodes(WORLD, course.emergency)[first] == pytest.approx(total)


def test_the_states_people_are_usually_in_are_those_of_a_caseload() -> None:
    people = drawn_people(500)
    logs = at_referral(WORLD, people, observed_frailty(WORLD, people))
    shares = usual_shares(WORLD, people, logs, 400)
    assert shares.sum() == pytest.approx(1)
    assert 0.7 < shares[0] < 0.95
    assert (shares > 0).all()


class Day:
    """A day of one person, with as much of `Noted` as `learn` reads."""

    def __init__(self, *, called: bool = False, sound: int = 0, worse: int = 0, happened: int = 0, level: int = -1):
        self.day = WORLD.day(300)
        self.person, self.team, self.happened = np.zeros(1, dtype=int), np.array([2]), np.array([happened])
        self.called, self.asked = np.array([called]), np.array([False])
        self.visited, self.worse = np.zeros(sound + worse, dtype=int), np.zeros(worse, dtype=int)
        self.contacts = type("Seen", (), {"seen": np.ones(sound + worse, dtype=bool)})
        self.scored = np.zeros(int(level >= 0), dtype=int)
        self.level = np.array([level] if level >= 0 else [], dtype=int)
        self.readings = Readings(np.zeros(0, dtype=int), np.zeros((0, len(READINGS))))


def first_inferred():
    people = replace(drawn_people(1), second_team=np.array([-1]))
    referral = at_referral(WORLD, people, np.array([np.nan]))
    return at_first(WORLD, people, referral, np.eye(STATES)[0])


def test_eagerness_begins_with_the_mean_and_spread_that_people_have() -> None:
    inferred, sd = first_inferred(), CONFIG.people.eagerness
    shape, rate = inferred.asked[0], inferred.expected[0]
    mean, variance = lognorm.stats(sd)
    assert gamma.stats(shape, scale=1 / rate) == pytest.approx((mean, variance))


def test_eagerness_is_what_a_sum_over_all_it_could_be_gives() -> None:
    """Of a gamma distribution, and with the chances of a call by day; what is left out is of the square of a rate."""
    inferred, believed = first_inferred(), in_state(0, 1)
    shape, rate = inferred.asked[0], inferred.expected[0]
    factor = np.linspace(0.01, 6, 3000)
    chance = gamma.pdf(factor, shape, scale=1 / rate)
    terms = CONFIG.contacts
    calls, asked = terms.calls * WORLD.teams.calls[2], terms.unscheduled * WORLD.teams.unscheduled[2]
    rest = terms.rest_day_calls if WORLD.rests(300) else 1.0
    for number in range(200):
        called = number % 25 == 0
        learn(WORLD, inferred, Day(called=called), believed)
        by_day = -np.expm1(-calls * rest * factor)
        chance = chance * (by_day if called else 1 - by_day) * np.exp(-asked * rest * factor)
    chance /= chance.sum()
    mean = (chance * factor).sum()
    lasting = inferred.lasting(np.zeros(1, dtype=int), EVENLY)
    assert np.exp(lasting.eagerness[0]) == pytest.approx(mean, rel=2e-3)
    assert inferred.asked[0] / inferred.expected[0] ** 2 == pytest.approx(
        (chance * (factor - mean) ** 2).sum(), rel=1e-2
    )


def test_a_wound_is_as_likely_as_bayes_says() -> None:
    inferred, chance = first_inferred(), a.wound_chance(WORLD)[0]
    share = CONFIG.people.wound
    for _ in range(5):
        learn(WORLD, inferred, Day(sound=2), in_state(0, 1))
    both = share * 0.75 * (1 - chance) ** 10
    assert inferred.wounded(np.zeros(1, dtype=int)) == pytest.approx(both / (both + 1 - share))
    learn(WORLD, inferred, Day(worse=1), in_state(0, 1))
    assert inferred.wounded(np.zeros(1, dtype=int)) == pytest.approx(1)


def test_a_wound_team_has_people_with_wounds() -> None:
    people = drawn_people(20_000)
    chance = 1 / (1 + np.exp(-first_wound(WORLD, people)))
    error = np.sqrt((chance * (1 - chance)).sum())
    assert abs((people.wound - chance).sum()) < 4 * error
    assert people.wound[chance > 0.99].all()


def test_a_frailty_score_at_a_visit_settles_the_level_and_admissions_move_it() -> None:
    inferred, nobody = first_inferred(), np.zeros(1, dtype=int)
    before = inferred.levels(nobody)[0] @ LEVELS
    learn(WORLD, inferred, Day(happened=1), in_state(0, 1))
    assert inferred.levels(nobody)[0] @ LEVELS > before
    learn(WORLD, inferred, Day(level=2), in_state(0, 1))
    assert inferred.levels(nobody)[0] == pytest.approx([0, 0, 1, 0], abs=1e-6)


def test_mean_traits_are_means_over_people() -> None:
    """Over people of whom nothing is known but what is recorded, told traits and inferred ones have the same means."""
    people = drawn_people(40_000)
    inferred = at_first(WORLD, people, at_referral(WORLD, people, observed_frailty(WORLD, people)), np.eye(STATES)[0])
    everyone = np.arange(len(people))
    told = traits_of(CONFIG, WORLD.course, people)
    found = inferred.lasting(everyone, inferred.levels(everyone)).traits
    for name in ("onset", "emergency", "death"):
        difference = getattr(told, name) - getattr(found, name)
        error = difference.std(axis=0) / np.sqrt(len(people))
        assert (np.abs(difference.mean(axis=0)) < 4 * error).all()
