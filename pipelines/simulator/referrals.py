"""Referrals: one for each person on the caseload, and one for each service that was called in."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator import places as p
from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment
from pipelines.simulator.chance import Ints, facts
from pipelines.simulator.delays import reported_after
from pipelines.simulator.hospital import Stays
from pipelines.simulator.people import People
from pipelines.simulator.places import Journal, World
from pipelines.simulator.written import days_to_write

SERVICE_NUMBERS = 50_000_000
"""The first printed number of a referral to a service; the people's main ones count from 0."""
SERVICE_TEAMS = (v.URGENT, v.INTERMEDIATE, v.HOSPITAL_AT_HOME, v.END_OF_LIFE)
"""By kind of service."""
USUAL, BY_DEATH, MOVED = range(3)
"""Why a referral ended."""


@dataclass(frozen=True)
class Referrals:
    """The first are the people's main ones, in the order of the people. Moments are local seconds; NONE where a
    referral stays open."""

    person: Ints
    team: Ints
    second_team: Ints
    received: Ints
    recorded: Ints
    closed: Ints
    closed_recorded: Ints
    ending: Ints
    number: Ints
    """The printed identifier; reuse is a fault."""

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Deaths:
    """By person number: when the person died and when the trust came to know; NONE for the living."""

    at: Ints
    recorded: Ints


def make_deaths(world: World, journal: Journal, people: People, stays: Stays) -> Deaths:
    """A death in hospital is at the end of its stay."""
    person, day = journal.deaths["person"], journal.deaths["day"]
    start, count = world.config.start, len(people)
    own = facts(world.config.seed, "death", people.soul[person])
    at, recorded = np.full(count, NONE), np.full(count, NONE)
    at[person] = moment(start, day, own.whole("hour", 7 * HOUR, 23 * HOUR))
    at[stays.person[stays.died]] = stays.discharged[stays.died]
    known = day + 1 + reported_after(world.config.delays, own, world.config.delays.death_scale)
    recorded[person] = moment(start, known, own.whole("told", 8 * HOUR, 18 * HOUR))
    return Deaths(at, recorded)


def make_referrals(world: World, journal: Journal, people: People, deaths: Deaths) -> Referrals:
    main = _main(world, journal, people, deaths)
    services = _services(world, journal, people, main)
    names = ("person", "team", "second_team", "received", "recorded", "closed", "closed_recorded", "ending", "number")
    return Referrals(**{name: np.concatenate([main[name], services[name]]) for name in names})


def _main(world: World, journal: Journal, people: People, deaths: Deaths) -> dict[str, Ints]:
    """Each person's main referral; some discharges are dated back: recorded one to four weeks later."""
    count, start = len(people), world.config.start
    own = facts(world.config.seed, "referral", people.soul)
    received = moment(start, people.arrived, own.whole("hour", 9 * HOUR, 15 * HOUR))
    told = deaths.recorded + own.whole("closed after death", 0, 3 * HOUR)
    closed, closed_recorded = deaths.at.copy(), np.where(deaths.at == NONE, NONE, told)
    ending = np.where(deaths.at == NONE, USUAL, BY_DEATH)
    left, day = journal.discharges["person"], journal.discharges["day"]
    leaving = own[left]
    closed[left] = moment(start, day, leaving.whole("left", 16 * HOUR, 17 * HOUR))
    back_dated = leaving.happens("back-dated", world.config.delays.back_dated)
    late = np.where(back_dated, leaving.whole("weeks late", 7, 31), leaving.whole("days late", 0, 3))
    closed_recorded[left] = moment(start, day + late, leaving.whole("told", 17 * HOUR, 20 * HOUR))
    ending[left] = np.where(journal.discharges["moved"] == 1, MOVED, USUAL)
    return {
        "person": np.arange(count),
        "team": people.team,
        "second_team": people.second_team,
        "received": received,
        "recorded": received + own.whole("recorded", 5 * 60, 3 * HOUR),
        "closed": closed,
        "closed_recorded": closed_recorded,
        "ending": ending,
        "number": np.arange(count),
    }


def _services(world: World, journal: Journal, people: People, main: dict[str, Ints]) -> dict[str, Ints]:
    """Open until their time is over, or the main referral is. Urgent response is told of when the first of its visits
    is written up; the others are opened when something was written up or the person came home, and told at once."""
    log = {name: journal.services[name] for name in ("person", "kind", "first", "last")}
    person, kind, first, start = log["person"], log["kind"], log["first"], world.config.start
    own = facts(world.config.seed, "service", people.soul[person], first, kind)
    early, late = own.whole("early", 7 * HOUR, 8 * HOUR), own.whole("late", 18 * HOUR, 20 * HOUR)
    received = moment(start, first, np.where(kind == p.URGENT, early, late))
    wait = np.where(kind == p.URGENT, _first_written(world, journal, people, len(person)) - first, 0)
    over = moment(start, log["last"], own.whole("closed", 12 * HOUR, 17 * HOUR))
    cut_short = (main["closed"][person] != NONE) & (main["closed"][person] < over)
    told = over + own.whole("days late", 0, 3) * DAY + 600
    return {
        "person": person,
        "team": _service_team(world, people, person, kind),
        "second_team": np.full(len(person), -1),
        "received": received,
        "recorded": received + wait * DAY + own.whole("recorded", 60, HOUR // 2),
        "closed": np.where(cut_short, np.maximum(main["closed"][person], received), over),
        "closed_recorded": np.where(cut_short, np.maximum(main["closed_recorded"][person], received + DAY), told),
        "ending": np.where(cut_short, main["ending"][person], USUAL),
        "number": SERVICE_NUMBERS + np.arange(len(person)),
    }


def _first_written(world: World, journal: Journal, people: People, services: int) -> Ints:
    """By service, the day on which the first of its unscheduled visits is written up."""
    service, day, person = (journal.contacts[name] for name in ("service", "day", "person"))
    visits = np.flatnonzero((journal.contacts["kind"] == v.UNSCHEDULED) & (service >= 0))
    written = day[visits] + days_to_write(world, people, person[visits], day[visits])
    first = np.full(services, np.iinfo(np.int64).max)
    np.minimum.at(first, service[visits], written)
    return first


def _service_team(world: World, people: People, person: Ints, kind: Ints) -> Ints:
    """Each service's team for the people of each home team."""
    team = np.zeros(len(person), dtype=np.int64)
    for number, code in enumerate(SERVICE_TEAMS):
        own = world.teams.of_type(code)
        rows = kind == number
        team[rows] = own[people.team[person[rows]] % len(own)]
    return team
