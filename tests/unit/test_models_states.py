"""Learning hidden states: those of a drawn world are found again, the same way each time, and never from too little."""

import numpy as np
import pytest

from features.beliefs import ADMITTED, HERE, HOME, IN_HOSPITAL
from features.filtering import Sequences, ahead
from features.states import Mark, States
from models.states import learn

SPEC = States(
    number=2,
    admission="emergency",
    counts=("calls", "never"),
    marks=(Mark(of="confusion", among="visit"),),
    readings=("pulse",),
)
RATES, SHARES, MEANS, HAZARD = (0.02, 0.4), (0.05, 0.5), (0.0, 2.5), (0.001, 0.03)
STAY, WELL_AGAIN, ILL = 3, 0.1, 0.02
"""Days of a stay; chances a day."""


def lived(draw, days=240):
    """One person's records (day, channel, value) and days, from a chain of two states."""
    kinds, records = np.full(days, HERE, np.int8), []
    usual, ill, day = draw.normal(80, 10), False, 0
    while day < days:
        state = int(ill)
        if draw.random() < HAZARD[state]:
            kinds[day], kinds[day + 1 : day + STAY] = ADMITTED, IN_HOSPITAL
            if day + STAY < days:
                kinds[day + STAY] = HOME
            day, ill = day + STAY, False
            continue
        records += [(day, 0, 1.0)] * draw.poisson(RATES[state])
        if draw.random() < 0.3:
            records += [(day, 2, 0.0)] + [(day, 2, 1.0)] * (draw.random() < SHARES[state])
            records.append((day, 3, usual + 5 * (MEANS[state] + draw.normal())))
        ill = draw.random() < (1 - WELL_AGAIN if ill else ILL)
        day += 1
    return records, kinds


def drawn(people, seed):
    draw = np.random.default_rng(seed)
    lives = [lived(draw) for _ in range(people)]
    of = np.cumsum([0, *(len(records) for records, _ in lives)])
    day, channel, value = np.array([row for records, _ in lives for row in records]).T
    lag = np.where(draw.random(len(day)) < 0.6, 0, 2)
    return Sequences(of, day.astype(int), lag, channel.astype(int), value, np.stack([kinds for _, kinds in lives]))


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def parts():
    return [drawn(350, 1), drawn(350, 2)]


@pytest.fixture(scope="module")
def found(parts):
    return learn(parts, SPEC, quiet)


def test_the_states_of_a_drawn_world_are_found_again(found):
    """About 140,000 days well and 25,000 ill, 700 admissions of the ill: tolerances are four standard errors of figures
    of so many days whose states were seen, and as much again for not seeing them."""
    assert found.hazard[0] == pytest.approx(HAZARD[0], abs=0.0007)
    assert found.hazard[1] == pytest.approx(HAZARD[1], abs=0.009)
    assert found.counts[0] == pytest.approx(RATES, rel=0.15)
    assert found.counts[1] == pytest.approx((0, 0), abs=1e-3)
    assert found.marks[0] == pytest.approx(SHARES, abs=0.05)
    scatter = 5 / np.sqrt(found.usual[0][2])
    assert 2 < (found.readings[0][1] - found.readings[0][0]) / scatter < 2.5, "a little of it is taken for usual"
    assert found.transitions[0][1] == pytest.approx(ILL, rel=0.3)
    assert found.transitions[1][0] == pytest.approx(WELL_AGAIN, rel=0.3)
    assert found.home[0] > 0.8, "everyone comes home well"
    assert np.sum(found.transitions, axis=1) == pytest.approx(1, abs=1e-5)


def test_what_is_recorded_and_when_is_measured(found):
    mean, spread, noise = found.usual[0]
    assert mean == pytest.approx(80, abs=4)
    assert spread == pytest.approx(100, rel=0.4)
    assert noise > 25, "illness adds to the scatter of five"
    assert found.heard[0][:3] == pytest.approx([0.6, 0.6, 1.0], abs=0.05)
    assert found.heard[1] == (1.0,) * 31, "of what never occurs nothing is waited for"
    assert found.pace[0][0] == pytest.approx(np.average(RATES, weights=(1 - 1 / 6, 1 / 6)), rel=0.2)


def test_the_ill_are_the_ones_at_risk(found):
    well, ill = ahead(found, 9)
    assert ill > 5 * well
    assert ahead(found, 1) == pytest.approx(found.hazard)
    assert (np.diff([ahead(found, days) for days in (1, 3, 9, 30, 90)], axis=0) > 0).all()


def test_the_same_days_give_the_same_numbers(parts, found):
    assert learn(parts, SPEC, quiet).model_dump_json() == found.model_dump_json()
    assert found.fits(SPEC)
    assert not found.fits(SPEC.model_copy(update={"number": 3}))


def test_a_day_with_a_thousand_records_by_mistake_spoils_nothing(parts, found):
    many = 1000
    day = np.r_[np.arange(100), np.full(many, 100), np.arange(101, 140)]
    odd = Sequences(
        np.array([0, len(day)]),
        day,
        np.zeros(len(day), np.int64),
        np.where(np.arange(len(day)) % 2, 0, 3),
        np.full(len(day), 90.0),
        np.full((1, 240), HERE, np.int8),
    )
    again = learn([*parts, odd], SPEC, quiet)
    assert again.hazard == pytest.approx(found.hazard, rel=0.2)
    assert np.isfinite(np.concatenate([numbers.ravel() for numbers in again.arrays])).all()


def test_counts_alone_are_enough(parts):
    spec = States(number=3, admission="emergency", counts=("calls",))
    alone = [
        Sequences(
            np.searchsorted(np.flatnonzero(part.channel == 0), part.of),
            *(column[part.channel == 0] for column in (part.day, part.lag, part.channel, part.value)),
            part.kinds,
        )
        for part in parts
    ]
    found = learn(alone, spec, quiet)
    assert found.fits(spec)
    assert max(found.counts[0]) > 4 * min(found.counts[0])


def test_too_few_admissions_teach_nothing():
    assert learn([drawn(20, 3)], SPEC, quiet) is None


def test_people_without_any_record_are_no_trouble(parts):
    nobody = np.zeros(0, np.int64)
    empty = Sequences(np.zeros(4, np.int64), nobody, nobody, nobody, np.zeros(0), np.zeros((3, 240), np.int8))
    assert learn([*parts, empty], SPEC, quiet) == learn(parts, SPEC, quiet)
