"""The teams, how they work, and what becomes of them over time."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.config import SimulatorConfig

NEVER = 1 << 30


@dataclass(frozen=True)
class Teams:
    """By team number. `home`: people are referred to it first; `weight`: its share of the places among those. The
    others are factors and shares of the team's own practice."""

    type: tuple[str, ...]
    home: Flags
    weight: Floats
    unscheduled: Floats
    calls: Floats
    no_access: Floats
    weekend: Floats
    vital_signs: Floats
    delay: Floats

    def of_type(self, kind: str) -> Ints:
        return np.array([number for number, own in enumerate(self.type) if own == kind], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"T{number + 1:02d}" for number in range(len(self.type)))


@dataclass(frozen=True)
class Changes:
    """What happens to teams: one that becomes part of another, one with a new template, one that stops taking vital
    signs for a while, one whose visits leave no outcome for some days. Days are numbers; NEVER does not come."""

    merged: int
    into: int
    merger: int
    templated: int
    template: int
    stopped: int
    stop: range
    lost: int
    outage: range
    feed_stop: range
    pain_code: int
    shock: int

    @property
    def quiet(self) -> range:
        """The cuts at which the community feed brings nothing, because it stopped; the one after them brings all."""
        return range(self.feed_stop.start + 1, self.feed_stop.stop)

    def team_on(self, team: Ints, day: Ints | int) -> Ints:
        """The team that does on `day` what was `team`'s when people were referred."""
        return np.where((team == self.merged) & (np.asarray(day) >= self.merger), self.into, team)


def draw_teams(config: SimulatorConfig) -> Teams:
    terms, count = config.practice, config.teams
    few = max(1, count // 12)
    special = (v.URGENT, v.SPECIALIST_WOUND, v.CASE_MANAGEMENT, v.END_OF_LIFE, v.INTERMEDIATE, v.HOSPITAL_AT_HOME)
    kinds = [kind for kind in special for _ in range(few)] + [v.INTEGRATED] * max(1, count // 10)
    types = tuple([v.NURSING] * (count - len(kinds)) + kinds)
    home = np.array([kind in (v.NURSING, v.INTEGRATED, v.END_OF_LIFE) for kind in types])
    own = facts(config.seed, "team", np.arange(count))
    size = np.clip(np.exp(terms.size * own.normal("size")), 0.45, 1.75) * home
    size = size * np.where(np.isin(np.arange(count), _of(types, v.END_OF_LIFE)), 0.2, 1.0)
    return Teams(
        type=types,
        home=home,
        weight=size / size.sum(),
        unscheduled=np.exp(terms.unscheduled * own.normal("unscheduled")),
        calls=np.exp(terms.calls * own.normal("calls")),
        no_access=terms.no_access * own.normal("no access"),
        weekend=_between(own, "weekend", terms.weekend),
        vital_signs=_between(own, "vital signs", terms.vital_signs),
        delay=_between(own, "delay", terms.delay),
    )


def _of(types: tuple[str, ...], kind: str) -> Ints:
    return np.flatnonzero(np.array(types) == kind)


def _between(own: Facts, what: str, span: tuple[float, float]) -> Floats:
    return span[0] + (span[1] - span[0]) * own.uniform(what)


def plan_changes(config: SimulatorConfig, teams: Teams) -> Changes:
    """Which team what happens to, and when, as shares of the history say."""
    terms, faults = config.practice, config.faults
    chance = facts(config.seed, "changes", np.zeros(1, dtype=np.int64))
    order = np.argsort(facts(config.seed, "changed team", np.arange(len(teams.type))).uniform("order"))
    nursing = [int(team) for team in order if teams.type[team] == v.NURSING]
    homes = [int(team) for team in order if teams.home[team]]

    def at(share: float | None) -> int:
        return NEVER if share is None else int(config.days * share)

    def spell(what: str, low: float, high: float, days: int) -> range:
        first = int(config.days * (low + (high - low) * chance.uniform(what)[0]))
        return range(first, first + days)

    return Changes(
        merged=nursing[0],
        into=nursing[1],
        merger=at(terms.merger_at),
        templated=nursing[2],
        template=at(terms.template_at),
        stopped=homes[-1],
        stop=spell("stop", 0.35, 0.55, faults.vital_signs_stop_days),
        lost=homes[-2],
        outage=spell("outage", 0.65, 0.85, faults.outage_days),
        feed_stop=spell("feed stop", 0.75, 0.9, faults.feed_stop_days),
        pain_code=at(terms.pain_code_dies_at),
        shock=at(terms.shock_at),
    )


def shock_on(config: SimulatorConfig, changes: Changes, number: int) -> float:
    """How much more of an epidemic's illnesses there is on a day."""
    if changes.shock == NEVER:
        return 0.0
    off = (number - changes.shock) / config.practice.shock_days
    return float(config.practice.shock_force * np.exp(-0.5 * off * off))


def share_places(teams: Teams, places: int) -> Ints:
    """The home team of each place."""
    edges = np.rint(np.cumsum(teams.weight) * places).astype(np.int64)
    return np.searchsorted(edges, np.arange(places), side="right").astype(np.int64)


def short_of_staff(config: SimulatorConfig, team: Ints, number: int, shock: float) -> Flags:
    """Whether each team is short of staff on a day; oftener in an epidemic."""
    day = facts(config.seed, "shortage", team, np.full(len(team), number))
    terms = config.practice
    force = min(1.0, shock / max(terms.shock_force, 1e-9))
    return day.happens("short", terms.shortage * (1 + (terms.shortage_in_shock - 1) * force))


def vital_sign_shares(config: SimulatorConfig, teams: Teams, changes: Changes, number: int) -> Floats:
    """Each team's share of planned visits with vital signs on a day."""
    team = np.arange(len(teams.type))
    more = (team == changes.templated) & (number >= changes.template)
    silent = (team == changes.stopped) & (number in changes.stop)
    return np.where(silent, 0.0, teams.vital_signs + config.practice.template_more * more)
