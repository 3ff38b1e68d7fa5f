"""What was measured or found on visits."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import Faults
from pipelines.simulator.contacts import Contacts
from pipelines.simulator.people import Flags, Floats, Ints, People

NEWS, PAIN, WOUND, WEIGHT, WEIGHED, WATERLOW, FRAILTY = range(7)
"""WEIGHT is a coded observation, WEIGHED the weight file's row."""

CODE_OF = tuple(v.CODES[name] for name in ("news2", "pain", "wound_worse", "weight", "weight", "waterlow", "frailty"))
OBSERVED = (NEWS, PAIN, WEIGHT)

USUAL_PAIN = 2.5
PAIN_SHIFT = np.array([0, 0.5, 1.0, 0.3])
WEIGHT_SHIFT = np.array([0, -0.8, -2.0, -1.2])
WATERLOW_SHIFT = np.array([0, 1.0, 2.0, 1.0])
WOUND_CHANCE = np.array([0.05, 0.09, 0.15, 0.06])
SHARES = {PAIN: 0.15, WEIGHT: 0.03, WEIGHED: 0.07, WATERLOW: 0.08, FRAILTY: 0.01}
FRAILTY_SCORES = np.array([3, 5, 6, 7])
"""Clinical Frailty Scale by frailty level."""

UNITS = ("kg", "g", "[lb_av]", "{score}", *v.NO_UNITS)
UNIT_VALUES = np.array([1.0, 1000.0, 2.20462])
UNIT_SHARES = (0.9, 0.04, 0.06)
KILOGRAM, SCORE_UNIT, FIRST_NO_UNIT = 0, 3, 4
UNIT_GIVEN_FOR_SCORE = 0.34


@dataclass(frozen=True)
class Activities:
    """One entry an activity. contact: its place in `Contacts`; coded: false where the code was left out; unit: index
    into `UNITS`, -1 for none."""

    contact: Ints
    kind: Ints
    value: Floats
    coded: Flags
    unit: Ints

    def __len__(self) -> int:
        return len(self.contact)


def observed_frailty(people: People, rng: np.random.Generator) -> Floats:
    """The score on referral: wrong by a level for 30%, missing for 20%."""
    count = len(people)
    wrong = np.where(rng.random(count) < 0.3, rng.choice(np.array([-1, 1]), count), 0)
    score = FRAILTY_SCORES[np.clip(people.frailty + wrong, 0, 3)].astype(np.float64)
    return np.where(rng.random(count) < 0.2, np.nan, score)


def make_activities(contacts: Contacts, people: People, faults: Faults, rng: np.random.Generator) -> Activities:
    seen = np.flatnonzero(contacts.seen)
    person, state = contacts.person[seen], contacts.state[seen]
    values = _values(people, person, state, rng)
    taken = seen[contacts.news[seen] >= 0]
    parts = [_of(taken, NEWS, contacts.news[taken].astype(np.float64))]
    found = people.wound[person] & (rng.random(len(seen)) < WOUND_CHANCE[state])
    parts.append(_of(seen[found], WOUND, np.full(int(found.sum()), np.nan)))
    for kind, share in SHARES.items():
        done = rng.random(len(seen)) < share
        parts.append(_of(seen[done], kind, values[kind][done]))
    joined = chain(parts)
    return _with_units(take(joined, np.argsort(joined.contact, kind="stable")), faults, rng)


def _of(contact: Ints, kind: int, value: Floats) -> Activities:
    count = len(contact)
    return Activities(contact, np.full(count, kind), value, np.ones(count, dtype=bool), np.full(count, -1))


def _values(people: People, person: Ints, state: Ints, rng: np.random.Generator) -> dict[int, Floats]:
    count = len(person)
    weight = people.weight[person] + WEIGHT_SHIFT[state] + rng.normal(0, 1.5, count)
    waterlow = people.waterlow[person] + WATERLOW_SHIFT[state] + rng.normal(0, 2, count)
    return {
        PAIN: np.clip(np.rint(USUAL_PAIN + PAIN_SHIFT[state] + rng.normal(0, 2, count)), 0, 10),
        WEIGHT: np.round(weight, 1),
        WEIGHED: np.round(weight, 1),
        WATERLOW: np.clip(np.rint(waterlow), 2, 45),
        FRAILTY: FRAILTY_SCORES[people.frailty[person]].astype(np.float64),
    }


def _with_units(activities: Activities, faults: Faults, rng: np.random.Generator) -> Activities:
    """Give weights a unit, mostly kilograms, and some scores one; spoil some units and leave out some codes."""
    count, kind = len(activities), activities.kind
    mass = rng.choice(len(UNIT_SHARES), count, p=np.array(UNIT_SHARES))
    scored = (rng.random(count) < UNIT_GIVEN_FOR_SCORE) & np.isin(kind, (NEWS, PAIN))
    unit = np.where(kind == WEIGHT, mass, np.where(scored, SCORE_UNIT, -1))
    value = np.where(kind == WEIGHT, np.round(activities.value * UNIT_VALUES[mass], 1), activities.value)
    spoilt = (unit >= 0) & (rng.random(count) < faults.unit_unresolvable)
    unit = np.where(spoilt, FIRST_NO_UNIT + rng.integers(0, len(v.NO_UNITS), count), unit)
    coded = ~(np.isin(kind, OBSERVED) & (rng.random(count) < faults.code_missing))
    return Activities(activities.contact, kind, value, coded, unit)
