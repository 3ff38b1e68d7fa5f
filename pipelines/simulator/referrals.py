"""Referrals: one for each person on the caseload, and short second ones to an urgent team."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment
from pipelines.simulator.chance import keyed
from pipelines.simulator.hospital import Stays
from pipelines.simulator.journal import Journal
from pipelines.simulator.people import Flags, Ints, Teams

EPISODE_GAP = 5
URGENT_CLOSES_AFTER = 6
URGENT_SHARE = 0.6


@dataclass(frozen=True)
class Referrals:
    """By referral number; the first are the people's main ones, in the order of the people. Moments are local seconds;
    NONE where a referral stays open."""

    person: Ints
    team: Ints
    second_team: Ints
    received: Ints
    recorded: Ints
    closed: Ints
    closed_recorded: Ints
    by_death: Flags

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Deaths:
    """By person number: when the person died and when the trust came to know; NONE for the living."""

    at: Ints
    recorded: Ints


def make_deaths(journal: Journal, stays: Stays, start: date, rng: np.random.Generator) -> Deaths:
    """A death in hospital is at the end of its stay."""
    person, day = journal.deaths["person"], journal.deaths["day"]
    count = len(journal.people)
    at, recorded = np.full(count, NONE), np.full(count, NONE)
    at[person] = moment(start, day, rng.integers(7 * HOUR, 23 * HOUR, len(day)))
    at[stays.person[stays.died]] = stays.discharged[stays.died]
    known = day + rng.geometric(0.35, len(day)).clip(1, 10)
    recorded[person] = moment(start, known, rng.integers(8 * HOUR, 18 * HOUR, len(day)))
    return Deaths(at, recorded)


def make_main(journal: Journal, deaths: Deaths, start: date, rng: np.random.Generator) -> Referrals:
    """Each person's main referral. One discharge in twenty is dated back: recorded one to four weeks later."""
    people = journal.people
    count = len(people)
    received = moment(start, people.arrived, rng.integers(9 * HOUR, 15 * HOUR, count))
    closed, closed_recorded = deaths.at.copy(), deaths.recorded + rng.integers(0, 3 * HOUR, count)
    closed_recorded[deaths.at == NONE] = NONE
    left, day = journal.discharges["person"], journal.discharges["day"]
    closed[left] = moment(start, day, rng.integers(16 * HOUR, 17 * HOUR, len(day)))
    late = np.where(rng.random(len(day)) < 0.05, rng.integers(7, 31, len(day)), rng.integers(0, 3, len(day)))
    closed_recorded[left] = moment(start, day + late, rng.integers(17 * HOUR, 20 * HOUR, len(day)))
    by_death = deaths.at != NONE
    by_death[left] = False
    recorded = received + rng.integers(5 * 60, 3 * HOUR, count)
    return Referrals(
        np.arange(count), people.team, people.second_team, received, recorded, closed, closed_recorded, by_death
    )


@dataclass(frozen=True)
class Episodes:
    """Runs of unscheduled visits that went through an urgent team; days of the first and last visit."""

    person: Ints
    first: Ints
    last: Ints


def urgent_episodes(journal: Journal, seed: int) -> Episodes:
    """Visits of one person no more than `EPISODE_GAP` days apart are one episode. An episode's referral is closed
    `URGENT_CLOSES_AFTER` days after the last visit, so it tells nothing of what comes later."""
    asked = journal.contacts["kind"] == v.UNSCHEDULED
    person, day = journal.contacts["person"][asked], journal.contacts["day"][asked]
    order = np.lexsort((day, person))
    person, day = person[order], day[order]
    begins = np.ones(len(day), dtype=bool)
    begins[1:] = (np.diff(person) != 0) | (np.diff(day) > EPISODE_GAP)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(day))[: len(first)] - 1
    chosen = keyed(seed, person[first], day[first]) < URGENT_SHARE
    return Episodes(person[first][chosen], day[first][chosen], day[last][chosen])


def make_urgent(
    episodes: Episodes, people_team: Ints, teams: Teams, start: date, rng: np.random.Generator
) -> Referrals:
    """The urgent team's referrals, received early on the episode's first day."""
    urgent = teams.of_type(v.URGENT)
    count = len(episodes.person)
    received = moment(start, episodes.first, rng.integers(7 * HOUR, 8 * HOUR, count))
    closed = moment(start, episodes.last + URGENT_CLOSES_AFTER, rng.integers(12 * HOUR, 17 * HOUR, count))
    return Referrals(
        person=episodes.person,
        team=urgent[people_team[episodes.person] % len(urgent)],
        second_team=np.full(count, -1),
        received=received,
        recorded=received + rng.integers(60, HOUR // 2, count),
        closed=closed,
        closed_recorded=closed + rng.integers(0, 3, count) * DAY + 600,
        by_death=np.zeros(count, dtype=bool),
    )


def find_episode(episodes: Episodes, person: Ints, day: Ints) -> Ints:
    """The episode in which each visit falls, -1 for none."""
    span = 1 << 15
    starts = episodes.person * span + episodes.first
    at = np.searchsorted(starts, person * span + day, side="right") - 1
    safe = np.maximum(at, 0)
    if len(starts) == 0:
        return np.full(len(person), -1)
    inside = (at >= 0) & (episodes.person[safe] == person) & (day <= episodes.last[safe])
    return np.where(inside, at, -1)
