"""The people of the simulated world."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.course import NEWLY_HOME, STABLE, Course, Traits
from pipelines.simulator.parameters import CourseTerms
from pipelines.simulator.teams import Teams

READINGS = ("respiratory_rate", "oxygen_saturation", "systolic", "pulse", "temperature", "pain", "weight", "waterlow")
"""What is measured, in the order of `People.usual`. The first five are vital signs."""
VITAL = 5
KILOGRAMS, WATERLOW = READINGS.index("weight"), READINGS.index("waterlow")
SATURATION = READINGS.index("oxygen_saturation")
WITH_LUNG_DISEASE, BY_FRAILTY = -2.5, 2.0
"""What lung disease adds to the usual saturation, and each level of frailty to the usual Waterlow score."""
LEVELS = np.arange(4)
"""Of frailty."""
OLDER, YOUNGER, DYING = 0.25, 0.30, 0.4
"""Who is how often a level frailer or less frail than the shares say."""
PRIOR_BY_FRAILTY = 0.35
"""Log change of the earlier emergency admissions for each level of frailty."""
SECOND_WOUND_TEAM = 0.75
"""Share of people with a wound who have no wound team."""


@dataclass(frozen=True)
class People:
    """By person number. Lasting traits only; what changes from day to day is the journal's."""

    soul: Ints
    """Names the person's own chances: the place and how many were in it before."""
    team: Ints
    second_team: Ints
    """A specialist team on the same referral; -1 for none."""
    arrived: Ints
    """Day of referral, negative for those on the caseload from the start."""
    age: Floats
    sex: Ints
    decile: Ints
    frailty: Ints
    heart_failure: Flags
    lung_disease: Flags
    catheter: Flags
    wound: Flags
    care_home: Flags
    others: Ints
    """Number of other long-term conditions."""
    eagerness: Floats
    """Log of the person's own factor on unscheduled visits and calls."""
    visit_rate: Floats
    usual: Floats
    """Usual values of `READINGS`, a column each."""
    prior: Ints
    """Emergency admissions in the year before referral."""
    from_hospital: Flags
    dying: Flags
    """Referred to the end of life team."""
    accommodation: Ints
    """Index into `vocabulary.LOCATIONS`: own home, care home without and with nursing."""
    carer: Flags
    clinic: Flags

    def __len__(self) -> int:
        return len(self.soul)

    @property
    def conditions(self) -> Ints:
        """Number of long-term conditions."""
        return np.asarray(self.others + self.heart_failure + self.lung_disease, dtype=np.int64)

    def put(self, where: Ints, newcomers: "People") -> None:
        """Let `newcomers` take the places `where`."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(newcomers, field.name)


def draw_people(config: SimulatorConfig, teams: Teams, soul: Ints, team: Ints, arrived: Ints) -> People:
    """One person for each entry of `team`, referred to it on the day `arrived`."""
    terms = config.people
    own = facts(config.seed, "person", soul)
    age = np.clip(terms.age.mean + terms.age.spread * own.normal("age"), terms.age.least, terms.age.most)
    age = np.where(own.happens("child", terms.children), own.whole("child's age", 2, 17), age)
    dying = np.isin(team, teams.of_type(v.END_OF_LIFE))
    frailty = _frailty(terms.frailty, own, age, dying)
    care_home = own.happens("care home", np.array(terms.care_home)[frailty]) & (age >= 65)
    wound = own.happens("wound", terms.wound)
    others = _poisson(own.uniform("conditions"), np.array(terms.other_conditions)[frailty])
    from_hospital = own.happens("from hospital", terms.from_hospital)
    nursing = own.whole("nursing home", 1, 3)
    lung_disease = own.happens("lung disease", terms.lung_disease)
    return People(
        soul=soul,
        team=team,
        second_team=_second_team(own, teams, wound, others),
        arrived=arrived,
        age=age,
        sex=own.happens("sex", terms.women).astype(np.int64),
        decile=own.whole("decile", 1, 11),
        frailty=frailty,
        heart_failure=own.happens("heart failure", terms.heart_failure),
        lung_disease=lung_disease,
        catheter=own.happens("catheter", terms.catheter),
        wound=wound,
        care_home=care_home,
        others=others,
        eagerness=terms.eagerness * own.normal("eagerness"),
        visit_rate=np.array(terms.visits_per_day)[own.pick("visits", terms.visit_shares)],
        usual=_usual(config, own, age, frailty, lung_disease),
        prior=_prior(terms.prior_admissions, own, frailty) + from_hospital,
        from_hospital=from_hospital,
        dying=dying,
        accommodation=np.where(care_home, nursing, 0),
        carer=own.happens("carer", terms.carer),
        clinic=own.happens("clinic", terms.clinic) & (frailty <= 1) & ~care_home,
    )


def _prior(mean: float, own: Facts, frailty: Ints) -> Ints:
    return _poisson(own.uniform("prior"), mean * np.exp(PRIOR_BY_FRAILTY * (frailty - 1)))


def _poisson(draw: Floats, mean: Floats) -> Ints:
    """Poisson counts by inversion, up to 8."""
    chance = np.exp(-mean)
    upto, count = chance.copy(), np.zeros(len(draw), dtype=np.int64)
    for number in range(1, 9):
        count += draw > upto
        chance = chance * mean / number
        upto += chance
    return count


def _frailty(shares: list[float], own: Facts, age: Floats, dying: Flags) -> Ints:
    """Four levels, shifted with age, and up in the end of life team."""
    level, shift = own.pick("frailty", shares), own.uniform("frailty with age")
    older, younger = (age > 82) & (shift < OLDER), (age < 68) & (shift < YOUNGER)
    return np.clip(level + older - younger + (dying & (shift > DYING)), 0, 3).astype(np.int64)


def frailty_shares(shares: list[float], age: Floats, dying: Flags) -> Floats:
    """The chance of each level (a column each) by age and team, as `_frailty` draws it."""
    up, down = OLDER * (age > 82) + (1 - DYING) * dying, YOUNGER * (age < 68)
    drawn = np.array(shares) / np.sum(shares)
    higher, lower = np.roll(drawn, 1) * [0, 1, 1, 1], np.roll(drawn, -1) * [1, 1, 1, 0]
    higher[-1] += drawn[-1]
    lower[0] += drawn[0]
    parts = ((1 - up - down, drawn), (up, higher), (down, lower))
    return np.asarray(sum(np.multiply.outer(share, levels) for share, levels in parts))


def _second_team(own: Facts, teams: Teams, wound: Flags, others: Ints) -> Ints:
    """A wound team for one in four with a wound, case management for one in five with many conditions."""
    draw, which = own.uniform("second team"), own.uniform("which second team")
    wounds, managed = teams.of_type(v.SPECIALIST_WOUND), teams.of_type(v.CASE_MANAGEMENT)
    second = np.where((others >= 3) & (draw < 0.2), managed[(which * len(managed)).astype(int)], -1)
    return np.where(wound & (draw > SECOND_WOUND_TEAM), wounds[(which * len(wounds)).astype(int)], second)


def _usual(config: SimulatorConfig, own: Facts, age: Floats, frailty: Ints, lung_disease: Flags) -> Floats:
    terms = [config.readings[name] for name in READINGS]
    spread = np.stack([one.spread * own.normal(name) for name, one in zip(READINGS, terms, strict=True)], axis=1)
    mean = mean_usual(config, age, lung_disease)
    usual = mean + spread
    usual[:, KILOGRAMS] = np.where(age < 18, mean[:, KILOGRAMS], np.clip(usual[:, KILOGRAMS], 40, 150))
    usual[:, WATERLOW] += BY_FRAILTY * frailty
    return usual


def mean_usual(config: SimulatorConfig, age: Floats, lung_disease: Flags) -> Floats:
    """Means over people: lower saturation with lung disease, children's weights, Waterlow for the lowest frailty."""
    mean = np.tile([config.readings[name].usual for name in READINGS], (len(age), 1))
    mean[:, SATURATION] += WITH_LUNG_DISEASE * lung_disease
    mean[:, KILOGRAMS] = np.where(age < 18, 12 + 2.5 * age, mean[:, KILOGRAMS])
    return mean


def traits_of(config: SimulatorConfig, course: Course, people: People) -> Traits:
    terms, own = config.course, facts(config.seed, "susceptibility", people.soul)
    level = people.frailty - 1.0
    columns = []
    for name, illness in terms.illnesses.items():
        rate = illness.onset * np.exp(illness.frailty * level + terms.susceptibility * own.normal(name))
        columns.append(rate * onset_factor(terms, name, {trait: getattr(people, trait) for trait in terms.conditions}))
    hazard = np.exp(terms.emergency.frailty * level + burden(terms, people))
    dies = np.exp(terms.death_frailty * level)
    return Traits(np.stack(columns, axis=1), hazard, dies, np.array(terms.hospital.death)[people.frailty])


def onset_factor(terms: CourseTerms, illness: str, present: Mapping[str, Floats | Flags]) -> Floats:
    """The mean factor on an illness's onset. present: the chance that each condition is there, by person."""
    factor = np.ones(1)
    for trait, condition in terms.conditions.items():
        if condition.illness == illness:
            factor = factor * (present[trait] * condition.present + (1.0 - present[trait]) * condition.absent)
    return factor


def burden(terms: CourseTerms, people: People) -> Floats:
    """The log of what conditions, deprivation and age do to the emergency hazard."""
    log = terms.emergency
    conditions = log.conditions * (people.conditions - 2) + log.deprivation * (people.decile - 5.5)
    return np.asarray(conditions + log.age * (people.age - 77) / 12)


def first_shares(config: SimulatorConfig, course: Course, people: People, settled: Flags) -> Floats:
    """The chances of each person's first state: for newcomers, and for those `settled` on the caseload long ago."""
    early = course.first[:-1]
    shares = np.zeros((len(people), len(course)))
    stable, home, later = config.course.settled
    shares[settled, STABLE], shares[settled, NEWLY_HOME], shares[settled, NEWLY_HOME + 1] = stable, home, later
    shares[np.ix_(settled, early)] = (1 - stable - home - later) / len(early)
    new, back = ~settled & ~people.from_hospital, ~settled & people.from_hospital
    shares[new, STABLE], shares[np.ix_(new, early)] = 0.85, 0.15 / len(early)
    shares[back, NEWLY_HOME], shares[back, NEWLY_HOME + 1] = 0.7, 0.3
    last = course.first[-1]
    shares[people.dying] = 0
    shares[np.ix_(people.dying, np.array([last, last + 1]))] = 0.8, 0.2
    return shares
