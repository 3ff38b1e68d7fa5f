"""The people of the simulated world."""

from dataclasses import dataclass, fields

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.course import NEWLY_HOME, STABLE, Course, Traits
from pipelines.simulator.teams import Teams

READINGS = ("respiratory_rate", "oxygen_saturation", "systolic", "pulse", "temperature", "pain", "weight", "waterlow")
"""What is measured, in the order of `People.usual`. The first five are vital signs."""
VITAL = 5
KILOGRAMS, WATERLOW = READINGS.index("weight"), READINGS.index("waterlow")
SATURATION = READINGS.index("oxygen_saturation")


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
    return _poisson(own.uniform("prior"), mean * np.exp(0.35 * (frailty - 1)))


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
    older, younger = (age > 82) & (shift < 0.25), (age < 68) & (shift < 0.30)
    return np.clip(level + older - younger + (dying & (shift > 0.4)), 0, 3).astype(np.int64)


def _second_team(own: Facts, teams: Teams, wound: Flags, others: Ints) -> Ints:
    """A wound team for one in four with a wound, case management for one in five with many conditions."""
    draw, which = own.uniform("second team"), own.uniform("which second team")
    wounds, managed = teams.of_type(v.SPECIALIST_WOUND), teams.of_type(v.CASE_MANAGEMENT)
    second = np.where((others >= 3) & (draw < 0.2), managed[(which * len(managed)).astype(int)], -1)
    return np.where(wound & (draw > 0.75), wounds[(which * len(wounds)).astype(int)], second)


def _usual(config: SimulatorConfig, own: Facts, age: Floats, frailty: Ints, lung_disease: Flags) -> Floats:
    """Each person's usual readings: lower saturation with lung disease, children's weights, Waterlow by frailty."""
    terms = [config.readings[name] for name in READINGS]
    usual = np.stack(
        [one.usual + one.spread * own.normal(name) for name, one in zip(READINGS, terms, strict=True)], axis=1
    )
    usual[:, SATURATION] -= 2.5 * lung_disease
    usual[:, KILOGRAMS] = np.where(age < 18, 12 + 2.5 * age, np.clip(usual[:, KILOGRAMS], 40, 150))
    usual[:, WATERLOW] += 2 * frailty
    return usual


def traits_of(config: SimulatorConfig, course: Course, people: People) -> Traits:
    terms, own = config.course, facts(config.seed, "susceptibility", people.soul)
    level = people.frailty - 1.0
    columns = []
    for name, illness in terms.illnesses.items():
        rate = illness.onset * np.exp(illness.frailty * level + terms.susceptibility * own.normal(name))
        for trait, condition in terms.conditions.items():
            if condition.illness == name:
                rate = rate * np.where(getattr(people, trait), condition.present, condition.absent)
        columns.append(rate)
    log = terms.emergency
    burden = log.conditions * (people.conditions - 2) + log.deprivation * (people.decile - 5.5)
    hazard = np.exp(log.frailty * level + burden + log.age * (people.age - 77) / 12)
    dies = np.exp(terms.death_frailty * level)
    return Traits(np.stack(columns, axis=1), hazard, dies, np.array(terms.hospital.death)[people.frailty])


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
