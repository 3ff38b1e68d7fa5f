"""How people change: the latent state, what it leads to, and the exact risk that follows from it.

A state is a stage of one illness at a time (or of coming home, or well). A simulated day runs from one cut to the next.
On each, the state moves first and then an emergency admission, a death at home or a planned admission may happen, with
chances that depend on the state moved to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from pipelines.simulator.calendar import winter
from pipelines.simulator.chance import Facts, Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.parameters import Chain, CourseTerms, Signs, Stage

NOTHING, EMERGENCY, DEATH, ELECTIVE = range(4)
STABLE, NEWLY_HOME = 0, 1
WELL = "well"
MOST_EMERGENCY, MOST_DEATH, MOST_ONSET = 0.7, 0.25, 0.2


@dataclass(frozen=True)
class Day:
    """What a day does to everybody: factors on each illness's onset and on the emergency hazard."""

    number: int
    date: date
    onset: Floats
    emergency: float
    shock: float


@dataclass(frozen=True)
class Traits:
    """What of each person bears on the course: onset chances by illness, factors on the emergency hazard and on death
    at home, the chance of dying in an emergency stay."""

    onset: Floats
    emergency: Floats
    death: Floats
    hospital_death: Floats


@dataclass(frozen=True)
class Course:
    """The chain of states, as arrays by state. `illness` and `first` go by the numbers of `illnesses`."""

    terms: CourseTerms
    illnesses: tuple[str, ...]
    names: tuple[str, ...]
    illness: Ints
    """Number of the state's illness, -1 for well and newly home."""
    severity: Floats
    emergency: Floats
    death: Floats
    discharge: Floats
    goes: Floats
    """Chance a day of going on to `onward`; `recovers`: of going to `better`."""
    onward: Ints
    recovers: Floats
    better: Ints
    susceptible: Floats
    first: Ints
    after_stay: Ints
    """The state in which people come home from an emergency stay."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def fixed(self) -> Floats:
        """Chances of moving from row to column, the onset of illnesses left out."""
        count = len(self)
        matrix = np.diag(1 - self.goes - self.recovers)
        np.add.at(matrix, (np.arange(count), self.onward), self.goes)
        np.add.at(matrix, (np.arange(count), self.better), self.recovers)
        return matrix

    @cached_property
    def open(self) -> Ints:
        """The states in which an illness can begin."""
        return np.flatnonzero(self.susceptible)

    @cached_property
    def signs(self) -> dict[str, Floats]:
        return {name: self._sign(name) for name in Signs.model_fields}

    def _sign(self, name: str) -> Floats:
        """How far each state moves what `name` says: the illness's own sign scaled by the severity. Factors (which are
        positive by nature) are scaled on the log scale."""
        chains = [*self.terms.illnesses.values(), self.terms.newly_home]
        own = np.array([float(getattr(chain.signs, name)) for chain in chains])[self.illness]
        own[STABLE] = 1.0 if _is_factor(name) else 0.0
        return np.asarray(own**self.severity if _is_factor(name) else own * self.severity)


def _is_factor(name: str) -> bool:
    """Signs that cannot be negative are factors."""
    return bool(Signs.model_fields[name].metadata)


@dataclass(frozen=True)
class _State:
    """One row of the chain, before it is laid out by column."""

    illness: int
    name: str
    stage: Stage
    goes: float
    onward: int
    recovers: float
    better: int
    lasting: bool


def _states(terms: CourseTerms, begins: Ints) -> list[_State]:
    """All states in order: well, coming home, then the stages of each illness."""
    well = Stage(days=None, goes_on=0, **terms.stable.model_dump(), severity=0, susceptible=1)
    states = [_State(-1, WELL, well, 0.0, STABLE, 0.0, STABLE, lasting=False)]
    chains: list[tuple[str, Chain]] = [("newly_home", terms.newly_home), *terms.illnesses.items()]
    for number, (name, chain) in enumerate(chains):
        lasting = number > 0 and terms.illnesses[name].lasting
        for rank, stage in enumerate(chain.stages):
            last = rank == len(chain.stages) - 1
            leaves = 0.0 if stage.days is None else 1 / stage.days
            goes = 0.0 if last else leaves * stage.goes_on
            onward = int(begins[number]) + rank + (not last)
            recovers, better = 0.0 if lasting else leaves - goes, _better(number, rank, begins)
            states.append(_State(number - 1, f"{name} {rank + 1}", stage, goes, onward, recovers, better, lasting))
    return states


def course_of(terms: CourseTerms) -> Course:
    chains: list[Chain] = [terms.newly_home, *terms.illnesses.values()]
    begins = np.cumsum([1] + [len(chain.stages) for chain in chains])
    states = _states(terms, begins)
    severity = np.array([state.stage.severity for state in states])
    lasting = np.array([state.lasting for state in states])
    return Course(
        terms=terms,
        illnesses=tuple(terms.illnesses),
        names=tuple(state.name for state in states),
        illness=np.array([state.illness for state in states]),
        severity=severity,
        emergency=np.array([state.stage.emergency for state in states]),
        death=np.array([state.stage.death for state in states]),
        discharge=terms.discharge * np.where(lasting, 0.0, (1 - severity) ** 2),
        goes=np.array([state.goes for state in states]),
        onward=np.array([state.onward for state in states]),
        recovers=np.array([state.recovers for state in states]),
        better=np.array([state.better for state in states]),
        susceptible=np.array([state.stage.susceptible for state in states], dtype=np.float64),
        first=begins[1:-1],
        after_stay=np.where(lasting, np.arange(len(states)), NEWLY_HOME),
    )


def _better(number: int, rank: int, begins: Ints) -> int:
    """Where recovery leads: from the late stages of an illness through the last stage of coming home."""
    return int(begins[1]) - 1 if number > 0 and rank > 1 else STABLE


def make_day(terms: CourseTerms, number: int, when: date, shock: float) -> Day:
    """`shock`: how much more there is of an epidemic's illnesses on the day, 0 for none."""
    own = [winter(when, one.season) * (1 + shock * one.shock) for one in terms.illnesses.values()]
    factor = winter(when, terms.emergency.winter) * terms.emergency.weekday[when.weekday()]
    drift = terms.emergency.drift
    factor *= drift.factor if drift.since is not None and when >= drift.since else 1.0
    return Day(number, when, np.array(own), factor, shock)


def onset(traits: Traits, day: Day) -> Floats:
    """Chance, by person and illness, that it begins on `day` in someone who is well."""
    chance = traits.onset * day.onset
    most = chance.sum(axis=1, keepdims=True)
    return np.asarray(chance * np.minimum(1.0, MOST_ONSET / np.maximum(most, 1e-12)))


def emergency(course: Course, traits: Traits, day: Day) -> Floats:
    """Chance, by person and state, of an emergency admission on `day`."""
    return np.minimum(np.multiply.outer(traits.emergency * day.emergency, course.emergency), MOST_EMERGENCY)


def death(course: Course, traits: Traits) -> Floats:
    """Chance, by person and state, of a death at home on a day."""
    return np.minimum(np.multiply.outer(traits.death, course.death), MOST_DEATH)


def move(course: Course, chances: Facts, state: Ints, traits: Traits, day: Day) -> Ints:
    """The states of `day`, given those of the day before."""
    draw = chances.uniform("move")
    goes, leaves = course.goes[state], (course.goes + course.recovers)[state]
    moved = np.where(draw < goes, course.onward[state], np.where(draw < leaves, course.better[state], state))
    near = np.flatnonzero((draw >= leaves) & (draw < leaves + MOST_ONSET * course.susceptible[state]))
    begins = onset(take(traits, near), day) * course.susceptible[state[near]][:, None]
    upto = leaves[near, None] + np.cumsum(begins, axis=1)
    ill = draw[near] < upto[:, -1]
    moved[near[ill]] = course.first[(draw[near[ill], None] >= upto[ill]).sum(axis=1)]
    return np.asarray(moved)


def happen(course: Course, chances: Facts, state: Ints, traits: Traits, day: Day, spared: Floats) -> Ints:
    """What happens to each person on `day`: NOTHING, EMERGENCY, DEATH or ELECTIVE. `spared`: the factor that someone's
    help puts on the emergency hazard."""
    hazard = np.minimum(traits.emergency * day.emergency * course.emergency[state], MOST_EMERGENCY) * spared
    dies = hazard + np.minimum(traits.death * course.death[state], MOST_DEATH)
    draw = chances.uniform("happen")
    edges = (draw < hazard, draw < dies, draw < dies + course.terms.elective)
    return np.select(edges, (EMERGENCY, DEATH, ELECTIVE), NOTHING)


def elective_nights(terms: CourseTerms, chances: Facts) -> Ints:
    return chances.pick("elective nights", terms.elective_nights)


def emergency_nights(terms: CourseTerms, chances: Facts) -> Ints:
    """Nights of an emergency stay: none for some, geometric for the others."""
    within_day = chances.happens("zero night", terms.hospital.zero_night)
    return np.where(within_day, 0, chances.geometric("nights", terms.hospital.nights))


def predict(course: Course, belief: Floats, begins: Floats) -> Floats:
    """The chances of each state on a day, given those of the day before. begins: `onset` of the day."""
    moved = belief @ course.fixed
    total = begins @ np.ones(len(course.illnesses))
    for state in course.open:
        moved[:, state] -= belief[:, state] * (course.susceptible[state] * total)
    moved[:, course.first] += (belief @ course.susceptible)[:, None] * begins
    return np.asarray(moved)


def expected(course: Course, value: Floats, begins: Floats) -> Floats:
    """The mean of `value` over the state moved to on a day, by the state moved from. begins: `onset` of the day."""
    mean = value @ course.fixed.T
    total = begins @ np.ones(len(course.illnesses))
    ill = (begins * value[:, course.first]) @ np.ones(len(course.illnesses))
    for state in course.open:
        mean[:, state] += course.susceptible[state] * (ill - total * value[:, state])
    return np.asarray(mean)


def survival(course: Course, traits: Traits, day: Day, spared: Floats) -> Floats:
    """Chance, by person and state, that nothing happens on `day`."""
    hazard = emergency(course, traits, day) * spared[:, None]
    return np.asarray(1 - hazard - death(course, traits) - course.terms.elective)


def risk(course: Course, traits: Traits, days: Sequence[Day], spared: Floats) -> Floats:
    """Exact chance of an emergency admission on `days` (consecutive), by person and state at the cut before them.

    V_k, with k days left, is made from V_(k-1); a planned stay of n nights leads to V_(k-1-n). `spared`: by person and
    day, the factor that help given before the cut puts on the hazard.
    """
    dies, planned = death(course, traits), course.terms.elective
    left = [np.zeros_like(dies)]
    for rank in reversed(range(len(days))):
        hazard = emergency(course, traits, days[rank]) * spared[:, rank, None]
        nights = enumerate(course.terms.elective_nights)
        later = sum(share * left[-1 - n] for n, share in nights if n < len(left))
        value = hazard + (1 - hazard - dies - planned) * left[-1] + planned * later
        left.append(expected(course, value, onset(traits, days[rank])))
    return left[-1]
