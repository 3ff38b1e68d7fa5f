"""Contacts with all their particulars, and when each became known."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, EPOCH, HOUR, NONE, moment
from pipelines.simulator.chance import keyed
from pipelines.simulator.journal import DELETED, Journal
from pipelines.simulator.people import Flags, Floats, Ints, Teams
from pipelines.simulator.referrals import Episodes, find_episode

DELAY_DAYS = np.array([0, 1, 2, 3, 5, 9, 14])
DELAY_UP_TO = np.cumsum([0.62, 0.22, 0.07, 0.04, 0.03, 0.015])
DURATION_SHIFT = np.array([0, 0.10, 0.30, 0.06])
TYPICAL_MINUTES = np.array([25, 25, 8, 6, 10])
"""By kind of contact."""
HOURS = np.array([[8, 17], [8, 21], [8, 20], [9, 17], [9, 17]])
"""Local hours between which each kind of contact begins."""
SPECIALIST_SHARE = 0.12
"""Share of planned visits made by the specialist team, where there is one."""
CORRECTED_SHARE = 0.01
"""Contacts whose duration is put right some days later."""


@dataclass(frozen=True)
class Contacts:
    """One entry a contact. Moments are local seconds; NONE where a version of the contact was never recorded."""

    person: Ints
    referral: Ints
    team: Ints
    kind: Ints
    state: Ints
    start: Ints
    status: Ints
    """Index into `vocabulary.ATTENDANCE`; -1 not recorded."""
    duration: Ints
    """Minutes; -1 where nobody was seen or spoken to."""
    first_duration: Ints
    """What was recorded at first; differs from `duration` only where that was corrected."""
    mechanism: Ints
    location: Ints
    proxy: Flags
    news: Ints
    cancelled: Ints
    """Day since 1970 on which the contact was called off, or -1."""
    planned_at: Ints
    recorded_at: Ints
    corrected_at: Ints
    deleted: Flags
    number: Ints
    """The printed identifier; two contacts of different referrals can share one."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def seen(self) -> Flags:
        """Someone was visited, and it was written up: the contact can have activities."""
        visited = np.isin(self.kind, (v.VISIT, v.UNSCHEDULED)) & np.isin(self.status, (v.ATTENDED, v.LATE_SEEN))
        return np.asarray(visited & ~self.deleted & (self.recorded_at != NONE))


def make_contacts(
    journal: Journal, episodes: Episodes, urgent_teams: Ints, teams: Teams, start: date, rng: np.random.Generator
) -> Contacts:
    """`urgent_teams`: the team of each urgent episode."""
    log = {
        name: journal.contacts[name] for name in ("person", "day", "kind", "state", "booked", "acted", "status", "news")
    }
    person, day, kind = log["person"], log["day"], log["kind"]
    episode = np.where(kind == v.UNSCHEDULED, find_episode(episodes, person, day), -1)
    team = _team(journal, person, kind, episode, urgent_teams, rng)
    low, high = HOURS[kind].T * HOUR
    begins = moment(start, day, (low + rng.random(len(day)) * (high - low)).astype(np.int64))
    status = np.where((log["status"] == v.ATTENDED) & (rng.random(len(day)) < 0.03), v.LATE_SEEN, log["status"])
    duration = _durations(kind, log["state"], rng)
    held = np.isin(status, (v.ATTENDED, v.LATE_SEEN))
    planned = np.where(
        log["booked"] >= 0, moment(start, log["booked"], rng.integers(18 * HOUR, 22 * HOUR, len(day))), NONE
    )
    recorded = _recorded(log["acted"], day, begins + duration * 60, teams.delay[team], person, start, rng)
    recorded = np.maximum(recorded, planned + 60)
    corrected = held & (rng.random(len(day)) < CORRECTED_SHARE)
    called_off = np.isin(status, (v.PATIENT_CANCELLED, v.PROVIDER_CANCELLED))
    return Contacts(
        person=person,
        referral=np.where(episode >= 0, len(journal.people) + episode, person),
        team=team,
        kind=kind,
        state=log["state"],
        start=begins,
        status=np.where(status == DELETED, v.PLANNED, status),
        duration=np.where(held, duration, -1),
        first_duration=np.where(held, np.where(corrected, duration * 2, duration), -1),
        mechanism=_mechanism(kind, log["news"], rng),
        location=_location(journal, person, kind),
        proxy=_proxy(journal, person, kind, rng),
        news=log["news"],
        cancelled=np.where(called_off, log["acted"] + (start - EPOCH).days, -1),
        planned_at=planned,
        recorded_at=recorded,
        corrected_at=np.where(
            corrected, np.maximum(recorded, planned + 60) + rng.integers(2, 21, len(day)) * DAY, NONE
        ),
        deleted=status == DELETED,
        number=np.arange(len(day)),
    )


def _team(
    journal: Journal, person: Ints, kind: Ints, episode: Ints, urgent_teams: Ints, rng: np.random.Generator
) -> Ints:
    home, second = journal.people.team[person], journal.people.second_team[person]
    specialist = (kind == v.VISIT) & (second >= 0) & (rng.random(len(person)) < SPECIALIST_SHARE)
    team = np.where(specialist, second, home)
    if len(urgent_teams) == 0:
        return team
    return np.where(episode >= 0, urgent_teams[np.maximum(episode, 0)], team)


def _durations(kind: Ints, state: Ints, rng: np.random.Generator) -> Ints:
    shift = np.where(kind <= v.CALL, DURATION_SHIFT[state], 0)
    minutes = np.exp(np.log(TYPICAL_MINUTES[kind]) + shift + rng.normal(0, 0.35, len(kind)))
    whole: Ints = np.clip(np.rint(minutes), 1, 240).astype(np.int64)
    return whole


def _recorded(
    acted: Ints, day: Ints, ended: Ints, factor: Floats, person: Ints, start: date, rng: np.random.Generator
) -> Ints:
    """When the outcome was recorded: all that a person's notes gain on one day is written up together."""
    first, second = rng.integers(0, 1 << 32, 2)
    draw, part = keyed(int(first), person, acted), keyed(int(second), person, acted)
    late = np.floor(DELAY_DAYS[np.searchsorted(DELAY_UP_TO, draw, side="right")] * factor + part).astype(np.int64)
    midnight = moment(start, acted, np.zeros(len(acted), dtype=np.int64))
    finished = np.where(acted == day, ended, midnight + 12 * HOUR)
    same_day = finished + rng.exponential(1.5 * HOUR, len(acted)).astype(np.int64)
    later = midnight + late * DAY + rng.integers(8 * HOUR, 18 * HOUR, len(acted))
    return np.where(late == 0, np.minimum(same_day, np.maximum(midnight + DAY - 60, finished)), later)


def _mechanism(kind: Ints, news: Ints, rng: np.random.Generator) -> Ints:
    draw = rng.random(len(kind))
    visit = np.select([draw < 0.02, draw < 0.08], [v.VIDEO, v.TELEPHONE], v.FACE_TO_FACE)
    visit = np.where(news >= 0, v.FACE_TO_FACE, visit)
    return np.select([kind == v.NOTE, kind >= v.CALL], [v.MESSAGE, v.TELEPHONE], visit)


def _location(journal: Journal, person: Ints, kind: Ints) -> Ints:
    clinic = journal.people.clinic[person] & (kind == v.VISIT)
    return np.where(clinic, 3, journal.people.accommodation[person])


def _proxy(journal: Journal, person: Ints, kind: Ints, rng: np.random.Generator) -> Flags:
    chance = np.array([0.03, 0.05, 0.25, 0.5, 1.0])[kind] * np.where(journal.people.carer[person], 1.8, 1.0)
    return np.asarray(rng.random(len(kind)) < chance)


def first_of_referral(contacts: Contacts) -> Flags:
    """The earliest contact of each referral that was held."""
    held = np.flatnonzero(np.isin(contacts.status, (v.ATTENDED, v.LATE_SEEN)) & ~contacts.deleted)
    order = held[np.lexsort((contacts.start[held], contacts.referral[held]))]
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = np.diff(contacts.referral[order]) != 0
    first = np.zeros(len(contacts), dtype=bool)
    first[order[leads]] = True
    return first
