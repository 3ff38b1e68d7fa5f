"""The people of the simulated trust and its teams."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator import vocabulary as v
from pipelines.simulator.config import SimulatorConfig

FRAILTY_SHARES = (0.30, 0.35, 0.25, 0.10)
VISITS_PER_DAY = (1 / 28, 1 / 14, 1 / 7, 2 / 7, 3 / 7, 1.0)
VISIT_SHARES = (0.25, 0.20, 0.25, 0.15, 0.10, 0.05)
CHILDREN = 0.005

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Teams:
    """By team number. `home`: people are referred to it first; `weight`: its share of the places among those."""

    type: tuple[str, ...]
    home: Flags
    weight: Floats
    unscheduled: Floats
    calls: Floats
    no_access: Floats
    weekend: Floats
    news: Floats
    delay: Floats

    def of_type(self, kind: str) -> Ints:
        return np.array([number for number, own in enumerate(self.type) if own == kind], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"T{number + 1:02d}" for number in range(len(self.type)))


@dataclass(frozen=True)
class People:
    """By person number. Lasting traits only; what changes from day to day is the world's."""

    team: Ints
    second_team: Ints
    """A specialist team on the same referral; -1 for none."""
    arrived: Ints
    """Day of referral, negative for those on the caseload from the start."""
    age: Floats
    sex: Ints
    decile: Ints
    frailty: Ints
    conditions: Ints
    eagerness: Floats
    """Log of the person's own factor on unscheduled contacts and calls."""
    visit_rate: Floats
    news: Floats
    weight: Floats
    waterlow: Floats
    wound: Flags
    prior: Ints
    """Emergency admissions in the year before referral."""
    from_hospital: Flags
    accommodation: Ints
    """Index into `vocabulary.LOCATIONS`: own home, care home without and with nursing."""
    carer: Flags
    clinic: Flags

    def __len__(self) -> int:
        return len(self.team)

    def put(self, where: Ints, newcomers: "People") -> None:
        """Let `newcomers` take the places `where`."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(newcomers, field.name)


def draw_teams(rng: np.random.Generator, config: SimulatorConfig) -> Teams:
    count = config.teams
    few = max(1, count // 12)
    special = [v.URGENT] * few + [v.SPECIALIST_WOUND] * few + [v.CASE_MANAGEMENT] * few + [v.END_OF_LIFE] * few
    special += [v.INTEGRATED] * max(1, count // 10)
    types = tuple([v.NURSING] * (count - len(special)) + special)
    home = np.array([kind in (v.NURSING, v.INTEGRATED, v.END_OF_LIFE) for kind in types])
    size = np.clip(rng.lognormal(0, 0.4, count), 0.45, 1.75) * home
    return Teams(
        type=types,
        home=home,
        weight=size / size.sum(),
        unscheduled=rng.lognormal(0, 0.3, count),
        calls=rng.lognormal(0, 0.3, count),
        no_access=rng.normal(0, 0.5, count),
        weekend=rng.uniform(0.15, 0.6, count),
        news=rng.uniform(0.12, 0.60, count),
        delay=rng.uniform(0.5, 1.8, count),
    )


def share_places(teams: Teams, places: int) -> Ints:
    """The home team of each place."""
    edges = np.rint(np.cumsum(teams.weight) * places).astype(np.int64)
    return np.searchsorted(edges, np.arange(places), side="right").astype(np.int64)


def draw_people(rng: np.random.Generator, teams: Teams, team: Ints, arrived: Ints) -> People:
    """One person for each entry of `team`, referred to it on the day `arrived`."""
    count = len(team)
    age = np.clip(rng.normal(77, 12, count), 18, 104)
    age = np.where(rng.random(count) < CHILDREN, rng.uniform(2, 17, count), age)
    frailty = _frailty(rng, age, team, teams)
    conditions = rng.poisson(1.5 + 0.7 * frailty)
    from_hospital = rng.random(count) < 0.35
    wound = rng.random(count) < 0.4
    in_care_home = (rng.random(count) < 0.06 + 0.05 * frailty) & (age >= 65)
    return People(
        team=team,
        second_team=_second_team(rng, teams, wound, conditions),
        arrived=arrived,
        age=age,
        sex=(rng.random(count) < 0.58).astype(np.int64),
        decile=rng.integers(1, 11, count),
        frailty=frailty,
        conditions=conditions,
        eagerness=rng.normal(0, 0.4, count),
        visit_rate=rng.choice(np.array(VISITS_PER_DAY), count, p=np.array(VISIT_SHARES)),
        news=0.8 + 0.4 * frailty + rng.normal(0, 0.6, count),
        weight=np.where(age < 18, 12 + 2.5 * age, rng.normal(72, 14, count).clip(38, 150)),
        waterlow=12 + 2 * frailty + rng.normal(0, 3, count),
        wound=wound,
        prior=rng.poisson(0.5 * np.exp(0.35 * (frailty - 1))) + from_hospital,
        from_hospital=from_hospital,
        accommodation=np.where(in_care_home, rng.integers(1, 3, count), 0),
        carer=rng.random(count) < 0.3,
        clinic=(rng.random(count) < 0.12) & (frailty <= 1) & ~in_care_home,
    )


def _frailty(rng: np.random.Generator, age: Floats, team: Ints, teams: Teams) -> Ints:
    """Four levels, shifted with age, and up in the end of life team."""
    level = rng.choice(4, len(age), p=np.array(FRAILTY_SHARES))
    shift = rng.random(len(age))
    older = (age > 82) & (shift < 0.25)
    younger = (age < 68) & (shift < 0.30)
    dying = np.isin(team, teams.of_type(v.END_OF_LIFE)) & (shift > 0.4)
    return np.clip(level + older - younger + dying, 0, 3).astype(np.int64)


def _second_team(rng: np.random.Generator, teams: Teams, wound: Flags, conditions: Ints) -> Ints:
    """A wound team for one in four with a wound, case management for one in five with many conditions."""
    draw, which = rng.random(len(wound)), rng.random(len(wound))
    wounds, managed = teams.of_type(v.SPECIALIST_WOUND), teams.of_type(v.CASE_MANAGEMENT)
    second = np.where((conditions >= 3) & (draw < 0.2), managed[(which * len(managed)).astype(int)], -1)
    return np.where(wound & (draw > 0.75), wounds[(which * len(wounds)).astype(int)], second)
