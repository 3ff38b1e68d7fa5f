"""How people change: the latent state, what it leads to, and the exact risk that follows from it.

A simulated day runs from one cut to the next. On each, the state moves first and then an emergency admission, a death
at home or a planned admission may happen, with chances that depend on the state moved to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.calendar import season, weekday_hazard
from pipelines.simulator.people import People

STABLE, MILD, MARKED, POST_ACUTE = range(4)
NOTHING, EMERGENCY, DEATH, ELECTIVE = range(4)

START_SHARES = (0.53, 0.12, 0.0, 0.35)
"""States on referral."""
SETTLED_SHARES = (0.87, 0.05, 0.03, 0.05)
"""States of those already on the caseload when the history begins."""

WORSENING = 0.0023
FIRST_TARGET = np.array([MILD, STABLE, MILD, STABLE], dtype=np.int8)
SECOND_TARGET = np.array([STABLE, MARKED, MARKED, MILD], dtype=np.int8)
FIRST_CHANCE = np.array([np.nan, 0.075, 0.08, 0.055])
SECOND_CHANCE = np.array([0.0, 0.06, 0.0, 0.02])

EMERGENCY_BY_STATE = np.array([0.00013, 0.0012, 0.050, 0.0022])
DEATH_BY_STATE = np.array([0.00005, 0.0002, 0.002, 0.0004])
ELECTIVE_CHANCE = 0.0005
ELECTIVE_NIGHTS = (0.4, 0.3, 0.2, 0.1)
"""Shares of planned admissions of 0, 1, 2 and 3 nights, through which the person's state stands still."""
MOST = 0.9

DISCHARGE_BY_STATE = np.array([0.004, 0.001, 0.0, 0.002])

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Traits:
    """What of a person bears on the dynamics: factors on worsening, on the emergency hazard and on death at home."""

    worsening: Floats
    emergency: Floats
    death: Floats


def traits_of(people: People) -> Traits:
    level = people.frailty - 1.0
    burden = 0.14 * (people.conditions - 2) - 0.03 * (people.decile - 5.5) + 0.1 * (people.age - 77) / 12
    return Traits(np.exp(0.25 * level), np.exp(0.45 * level + burden), np.exp(0.5 * level))


def worsening(traits: Traits, day: date) -> Floats:
    """Chance of moving from stable to mild on `day`."""
    return WORSENING * season(day) * traits.worsening


def emergency(traits: Traits, day: date) -> Floats:
    """Chance of an emergency admission on `day`, by person and state."""
    factor = traits.emergency * season(day) * weekday_hazard(day)
    return np.minimum(EMERGENCY_BY_STATE * factor[:, None], MOST)


def move(rng: np.random.Generator, state: NDArray[np.int8], traits: Traits, day: date) -> NDArray[np.int8]:
    """The states of `day`, given those of the day before."""
    first = np.where(state == STABLE, worsening(traits, day), FIRST_CHANCE[state])
    draw = rng.random(len(state))
    second = draw < first + SECOND_CHANCE[state]
    return np.where(draw < first, FIRST_TARGET[state], np.where(second, SECOND_TARGET[state], state))


def happen(rng: np.random.Generator, state: NDArray[np.int8], traits: Traits, day: date) -> NDArray[np.int8]:
    """What happens to each person on `day`: NOTHING, EMERGENCY, DEATH or ELECTIVE."""
    hazard = np.minimum(EMERGENCY_BY_STATE[state] * traits.emergency * season(day) * weekday_hazard(day), MOST)
    death = DEATH_BY_STATE[state] * traits.death
    draw = rng.random(len(state))
    bounds = (draw < hazard, draw < hazard + death, draw < hazard + death + ELECTIVE_CHANCE)
    return np.select(bounds, (EMERGENCY, DEATH, ELECTIVE), NOTHING).astype(np.int8)


def elective_nights(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.choice(len(ELECTIVE_NIGHTS), count, p=np.array(ELECTIVE_NIGHTS))


def emergency_nights(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Nights of an emergency stay: one in seven leaves within the day, the others stay 8 nights on average."""
    return np.where(rng.random(count) < 1 / 7, 0, rng.geometric(1 / 8, count)).astype(np.int64)


def risk(traits: Traits, days: Sequence[date]) -> Floats:
    """Exact chance of an emergency admission on `days` (consecutive), by person and state at the cut before them.

    V_k, with k days left, is made from V_(k-1); a planned stay of n nights leads to V_(k-1-n).
    """
    left = [np.zeros((len(traits.emergency), 4))]
    for day in reversed(days):
        hazard, death = emergency(traits, day), DEATH_BY_STATE * traits.death[:, None]
        later = sum(share * left[-1 - n] for n, share in enumerate(ELECTIVE_NIGHTS) if n < len(left))
        value = hazard + (1 - hazard - death - ELECTIVE_CHANCE) * left[-1] + ELECTIVE_CHANCE * later
        left.append(_expected(value, worsening(traits, day)))
    return left[-1]


def _expected(value: Floats, first: Floats) -> Floats:
    """The mean of `value` over the state moved to, by the state moved from."""
    chance = np.tile(FIRST_CHANCE, (len(first), 1))
    chance[:, STABLE] = first
    stay = 1 - chance - SECOND_CHANCE
    return np.asarray(stay * value + chance * value[:, FIRST_TARGET] + SECOND_CHANCE * value[:, SECOND_TARGET])


def predict(belief: Floats, traits: Traits, day: date) -> Floats:
    """The chances of each state on `day`, given those of the day before."""
    chance = np.tile(FIRST_CHANCE, (len(belief), 1))
    chance[:, STABLE] = worsening(traits, day)
    moved: Floats = belief * (1 - chance - SECOND_CHANCE)
    for state in range(4):
        moved[:, FIRST_TARGET[state]] += belief[:, state] * chance[:, state]
        moved[:, SECOND_TARGET[state]] += belief[:, state] * SECOND_CHANCE[state]
    return moved


def survival(traits: Traits, day: date) -> Floats:
    """Chance, by person and state, that nothing happens on `day`."""
    death = DEATH_BY_STATE * traits.death[:, None]
    return np.asarray(1 - emergency(traits, day) - death - ELECTIVE_CHANCE)
