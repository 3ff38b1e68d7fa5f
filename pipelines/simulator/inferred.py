"""Lasting traits as they can be inferred from what is on record: a distribution for each person and trait.

- **Usual readings** (`usual.py`): a normal distribution each, by the readings taken.
- **Eagerness**: a gamma distribution of its factor, by the calls and unscheduled visits, against those expected.
- **Frailty**: chances of the four levels, by what is recorded at the referral, Waterlow scores, frailty scores at
  visits and the emergency admissions since, against those expected at each level.
- **A wound**: a chance, by the wound team and by visits that find a wound worse or do not.

Recorded, and so taken as known: age, deprivation, diagnoses and their number, care home, the end of life team, where
the referral came from, admissions before it, visits at a clinic. Nothing tells of a catheter, and little of a person's
own proneness to each illness: these stay at their means.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, softmax

from pipelines.simulator import vocabulary as v
from pipelines.simulator.activities import FRAILTY_SCORES, score_shares
from pipelines.simulator.chance import Flags, Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.course import Traits
from pipelines.simulator.evidence import Lasting
from pipelines.simulator.people import (
    LEVELS,
    PRIOR_BY_FRAILTY,
    READINGS,
    SECOND_WOUND_TEAM,
    People,
    burden,
    frailty_shares,
    mean_usual,
    onset_factor,
)
from pipelines.simulator.places import World
from pipelines.simulator.usual import Usual

SURE = 30.0
"""Log odds of what is as good as certain."""


@dataclass(frozen=True)
class Inferred:
    """By person number; the arrays change as days are taken in. people: only what of them is on record may be read.

    asked, expected: calls and unscheduled visits, and how many there would have been at a factor of 1 (the shape and
    rate of the gamma distribution). frailty: log chances of the levels, by the referral and by scores at visits.
    admitted: emergency admissions since the referral; days: spent at home since. wound: log odds that there is one.
    """

    world: World
    people: People
    usual: Usual
    asked: Floats
    expected: Floats
    frailty: Floats
    admitted: Floats
    days: Floats
    leaving: "Leaving"
    wound: Floats

    def levels(self, person: Ints) -> Floats:
        """The chance of each level of frailty, a column each."""
        logs = self.frailty[person] + self.usual.frailty_evidence(person)
        logs += self.leaving.evidence(person, self.admitted[person], self.days[person])
        return np.asarray(softmax(logs, axis=1))

    def lasting(self, person: Ints, levels: Floats) -> Lasting:
        wound = self.wounded(person)
        return Lasting(
            traits=expected_traits(self.world, take(self.people, person), levels, levels, wound),
            eagerness=np.log(self.asked[person] / self.expected[person]),
            frailty=levels @ LEVELS,
            wound=wound,
        )

    def at_risk(self, person: Ints) -> Traits:
        """For sums of onset times hazard over the levels: those whom an illness sends to hospital sooner count for more
        in its onset."""
        levels = self.levels(person)
        weighted = levels * np.exp(self.world.config.course.emergency.frailty * LEVELS)
        weighted /= weighted.sum(axis=1, keepdims=True)
        return expected_traits(self.world, take(self.people, person), levels, weighted, self.wounded(person))

    def wounded(self, person: Ints) -> Floats:
        return np.asarray(1 / (1 + np.exp(-self.wound[person])))


def expected_traits(world: World, people: People, levels: Floats, ill: Floats, wound: Floats) -> Traits:
    """Means over what is not known. levels: the chances of the levels of frailty; ill: those that onset goes by."""
    terms, people_terms = world.config.course, world.config.people
    level = LEVELS - 1.0
    known = {"heart_failure", "lung_disease", "care_home"}
    present = {trait: getattr(people, trait) for trait in terms.conditions if trait in known}
    present |= {"wound": wound, "catheter": np.full(len(people), people_terms.catheter)}
    own = np.exp(terms.susceptibility**2 / 2)
    onset = [
        illness.onset * own * (ill @ np.exp(illness.frailty * level)) * onset_factor(terms, name, present)
        for name, illness in terms.illnesses.items()
    ]
    return Traits(
        onset=np.stack(onset, axis=1),
        emergency=np.exp(burden(terms, people)) * (levels @ np.exp(terms.emergency.frailty * level)),
        death=levels @ np.exp(terms.death_frailty * level),
        hospital_death=levels @ np.array(terms.hospital.death),
    )


@dataclass(frozen=True)
class Leaving:
    """How often people are admitted as emergencies, and die at home: a day, by person and level of frailty, over the
    states that people are usually in."""

    emergency: Floats
    death: Floats

    def evidence(self, person: Ints, admitted: Floats, days: Floats) -> Floats:
        """Log chance, by level, of so many admissions in so many days at home, up to a constant of each person's."""
        rate = self.emergency[person]
        return np.asarray(admitted[:, None] * np.log(rate) - days[:, None] * (rate + self.death[person]))


def leaving_of(world: World, people: People, shares: Floats, wound: Floats) -> Leaving:
    """shares: of the states that people are usually in."""
    course = world.course
    rates: dict[str, list[Floats]] = {"emergency": [], "death": []}
    begin = float(shares @ course.susceptible)
    for level in np.eye(len(LEVELS)):
        every = np.tile(level, (len(people), 1))
        traits = expected_traits(world, people, every, every, wound)
        for what, found in rates.items():
            own = getattr(course, what)
            well = float(shares[course.illness < 0] @ own[course.illness < 0])
            ill = traits.onset @ episodes(world, own)[course.first]
            found.append(getattr(traits, what) * (well + begin * ill))
    return Leaving(*(np.stack(found, axis=1) for found in rates.values()))


def episodes(world: World, hazard: Floats) -> Floats:
    """The sum of a hazard, by state, over the days from then to the end of the illness."""
    course = world.course
    stays = course.fixed * np.outer(1 - course.emergency - course.death, course.illness >= 0)
    return np.asarray(np.linalg.solve(np.eye(len(course)) - stays, hazard))


def at_referral(world: World, people: People, score: Floats) -> Floats:
    """Log chances of the levels of frailty (a column each) by what is on record at the referral. score: found then, not
    a number where nobody asked."""
    terms = world.config.people
    shares = frailty_shares(terms.frailty, people.age, people.dying)
    asked = ~np.isnan(score)
    shares[asked] *= score_shares()[:, np.searchsorted(FRAILTY_SCORES, score[asked])].T
    homes = np.array(terms.care_home)
    shares *= np.where((people.age >= 65)[:, None], np.where(people.care_home[:, None], homes, 1 - homes), 1.0)
    could = (LEVELS <= 1) & ~people.care_home[:, None]
    shares *= np.where(people.clinic[:, None], could * terms.clinic, 1 - could * terms.clinic)
    logs = np.log(np.maximum(shares, np.exp(-SURE)))
    logs += _poisson_evidence(people.others, np.array(terms.other_conditions))
    earlier = terms.prior_admissions * np.exp(PRIOR_BY_FRAILTY * (LEVELS - 1))
    return np.asarray(logs + _poisson_evidence(people.prior - people.from_hospital, earlier))


def _poisson_evidence(count: Ints, mean: Floats) -> Floats:
    return np.asarray(count[:, None] * np.log(mean) - mean - gammaln(count + 1)[:, None])


def at_first(world: World, people: People, referral: Floats, shares: Floats) -> Inferred:
    """What is inferred of people at their referral. referral: `at_referral`'s answer; shares: of the states that people
    are usually in."""
    config, count = world.config, len(people)
    gauges = [config.readings[name] for name in READINGS]
    nothing = np.zeros((count, len(READINGS)))
    variance = np.array([max(one.spread, 1e-6) ** 2 for one in gauges])
    spread = max(config.people.eagerness, 1e-3) ** 2
    shape = 1 / np.expm1(spread)
    wound = first_wound(world, people)
    return Inferred(
        world=world,
        people=people,
        usual=Usual(mean_usual(config, people.age, people.lung_disease), variance, nothing, nothing.copy()),
        asked=np.full(count, shape),
        expected=np.full(count, shape / np.exp(spread / 2)),
        frailty=referral.copy(),
        admitted=np.zeros(count),
        days=np.zeros(count),
        leaving=leaving_of(world, people, shares, 1 / (1 + np.exp(-wound))),
        wound=wound,
    )


def first_wound(world: World, people: People) -> Floats:
    """Log odds of a wound: certain with a wound team; its absence tells a little."""
    share = world.config.people.wound * SECOND_WOUND_TEAM
    seen_to: Flags = np.isin(people.second_team, world.teams.of_type(v.SPECIALIST_WOUND))
    return np.where(seen_to, SURE, np.log(share / (1 - world.config.people.wound)))
