"""The course of illness: its exact risk against the sum over every path and against lives lived through."""

from datetime import date

import numpy as np
import pytest
from worlds import small_world

from pipelines.simulator import course as c
from pipelines.simulator.chance import facts
from pipelines.simulator.config import HORIZON_DAYS

WORLD = small_world()
COURSE = c.course_of(WORLD.course)
START = date(2025, 1, 3)
WINTER = [c.make_day(WORLD.course, number, date.fromordinal(START.toordinal() + number), 0.4) for number in range(9)]
ONSETS = np.array([0.004, 0.002, 0.003, 0.001, 0.002, 0.0005])
FRAIL = c.Traits(ONSETS[None, :], np.array([2.5]), np.array([2.7]), np.array([0.1]))
NO_HELP = np.ones((1, HORIZON_DAYS))
STATES = range(len(COURSE))


def moves(state: int, day: c.Day) -> dict[int, float]:
    """Where a state leads on a day, read from the parameters, apart from the program's tables."""
    stages, firsts = [("well", 0, None)], {}
    for name, chain in [("newly_home", WORLD.course.newly_home), *WORLD.course.illnesses.items()]:
        firsts[name] = len(stages)
        stages += [(name, rank, stage) for rank, stage in enumerate(chain.stages)]
    name, rank, stage = stages[state]
    found = dict.fromkeys(range(len(stages)), 0.0)
    if stage is not None and stage.days is not None:
        last = state + 1 == len(stages) or stages[state + 1][0] != name
        onward = 0.0 if last else stage.goes_on / stage.days
        found[state + 1 if onward else state] += onward
        found[2 if name != "newly_home" and rank > 1 else 0] += (
            0.0 if name == "end_of_life" else 1 / stage.days - onward
        )
    open_to = 1.0 if stage is None else stage.susceptible
    for rank, illness in enumerate(WORLD.course.illnesses):
        found[firsts[illness]] += open_to * ONSETS[rank] * day.onset[rank]
    found[state] += 1 - sum(found.values())
    return found


def risk_by_hand(state: int, days: list[c.Day]) -> float:
    """Every path, one at a time."""
    if not days:
        return 0.0
    day, later = days[0], days[1:]
    total, terms = 0.0, WORLD.course
    for target, chance in moves(state, day).items():
        if chance > 0:
            hazard = min(COURSE.emergency[target] * 2.5 * day.emergency, c.MOST_EMERGENCY)
            death = min(COURSE.death[target] * 2.7, c.MOST_DEATH)
            away = sum(share * risk_by_hand(target, later[n:]) for n, share in enumerate(terms.elective_nights))
            lives = 1 - hazard - death - terms.elective
            total += chance * (hazard + lives * risk_by_hand(target, later) + terms.elective * away)
    return total


@pytest.mark.parametrize("state", STATES)
def test_risk_is_the_sum_over_every_path(state: int) -> None:
    risk = c.risk(COURSE, FRAIL, WINTER[:3], NO_HELP[:, :3])
    assert risk[0, state] == pytest.approx(risk_by_hand(state, WINTER[:3]), rel=1e-12)


def lived_through(state: int, copies: int) -> np.ndarray:
    """Who is admitted in nine days, of copies of one person in one state."""
    everyone = c.Traits(*(np.repeat(values, copies, axis=0) for values in vars(FRAIL).values()))
    now, back = np.full(copies, state), np.zeros(copies, dtype=np.int64)
    admitted, gone = np.zeros(copies, bool), np.zeros(copies, bool)
    for day in WINTER:
        chances = facts(state, "life", np.arange(copies), np.full(copies, day.number))
        home = (back <= day.number) & ~gone
        now = np.where(home, c.move(COURSE, chances, now, everyone, day), now)
        happened = c.happen(COURSE, chances, now, everyone, day, np.ones(copies))
        what = np.where(home, happened, c.NOTHING)
        admitted |= what == c.EMERGENCY
        gone |= np.isin(what, (c.EMERGENCY, c.DEATH))
        away = np.flatnonzero(what == c.ELECTIVE)
        back[away] = day.number + 1 + c.elective_nights(WORLD.course, chances[away])
    return admitted


def test_nine_day_risk_is_the_share_admitted_when_lived_through() -> None:
    copies = 40_000
    expected = c.risk(COURSE, FRAIL, WINTER, NO_HELP)[0]
    shares = np.array([lived_through(state, copies).mean() for state in STATES])
    z = (shares - expected) / np.sqrt(expected * (1 - expected) / copies)
    assert np.abs(z).max() < 4
    assert abs((z**2).sum() - len(z)) < 4 * np.sqrt(2 * len(z))


def test_more_days_and_worse_stages_mean_more_risk() -> None:
    risks = np.stack([c.risk(COURSE, FRAIL, WINTER[:count], NO_HELP[:, :count])[0] for count in range(10)])
    assert (risks[0] == 0).all()
    assert (np.diff(risks, axis=0) > 0).all()
    for first, second in zip(COURSE.first, COURSE.first + 1, strict=True):
        assert risks[-1, second] > risks[-1, first] > risks[-1, c.STABLE]


def test_help_lowers_the_hazard_of_its_own_days_only() -> None:
    helped = NO_HELP.copy()
    helped[:, :4] = 0.0
    risk = c.risk(COURSE, FRAIL, WINTER, helped)
    assert (risk < c.risk(COURSE, FRAIL, WINTER, NO_HELP)).all()
    assert (risk > 0).all()
    assert c.risk(COURSE, FRAIL, WINTER, np.zeros_like(helped)) == pytest.approx(np.zeros_like(risk))


def test_looking_ahead_and_looking_back_are_the_same_chain() -> None:
    rng = np.random.default_rng(3)
    belief, value = rng.dirichlet(np.ones(len(COURSE)), 1), rng.random((1, len(COURSE)))
    moved = c.predict(COURSE, belief, c.onset(FRAIL, WINTER[0]))
    assert moved.sum() == pytest.approx(1)
    assert (moved >= 0).all()
    assert (moved * value).sum() == pytest.approx((belief * c.expected(COURSE, value, c.onset(FRAIL, WINTER[0]))).sum())


def test_time_spent_in_several_stages_is_less_spread_than_in_one() -> None:
    """Of the way from the first to the last stage of heart failure: two thirds and more of the mean, where one
    memoryless stage would have all of it."""
    days, copies = 120, 20_000
    name = COURSE.illnesses.index("heart_failure")
    first, now = int(COURSE.first[name]), np.full(copies, int(COURSE.first[name]))
    arrived = np.full(copies, -1)
    calm = c.Traits(*(np.repeat(values * 0, copies, axis=0) for values in vars(FRAIL).values()))
    for number in range(days):
        day = c.make_day(WORLD.course, number, START, 0.0)
        now = c.move(COURSE, facts(1, "chain", np.arange(copies), np.full(copies, number)), now, calm, day)
        arrived = np.where((arrived < 0) & (now == first + 2), number + 1, arrived)
    took = arrived[arrived >= 0]
    stages = WORLD.course.illnesses["heart_failure"].stages
    assert took.mean() == pytest.approx(stages[0].days + stages[1].days, abs=4 * took.std() / np.sqrt(len(took)))
    assert took.std() / took.mean() < 0.8


def test_an_epidemic_and_winter_raise_what_they_bear_on() -> None:
    calm, shocked = (c.make_day(WORLD.course, 0, START, shock) for shock in (0.0, 1.5))
    assert COURSE.illnesses[:2] == ("chest_infection", "urine_delirium")
    assert shocked.onset[0] == pytest.approx(2.5 * calm.onset[0])
    assert shocked.onset[1] == calm.onset[1]
    summer = c.make_day(WORLD.course, 0, date(2025, 7, 16), 0.0)
    assert calm.onset[0] > 2 * summer.onset[0]


def test_a_drift_raises_the_hazard_from_its_date_on_and_nothing_before():
    changed = small_world(course={"emergency": {"drift": {"since": "2025-03-01", "factor": 1.5}}}).course
    for when, factor in ((date(2025, 2, 28), 1.0), (date(2025, 3, 1), 1.5), (date(2025, 9, 1), 1.5)):
        plain, drifted = (c.make_day(terms, 0, when, 0.0) for terms in (WORLD.course, changed))
        assert drifted.emergency == pytest.approx(factor * plain.emergency)
        assert (drifted.onset == plain.onset).all()
