"""What goes wrong with the records.

Every fault draws from its own stream, so switching one leaves the world as it was: states, stays and risks. The one
exception is the stop of NEWS, because teams act on what they measure.
"""

from dataclasses import replace
from datetime import date

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment
from pipelines.simulator.columns import chain
from pipelines.simulator.config import Faults, SimulatorConfig
from pipelines.simulator.contacts import Contacts
from pipelines.simulator.hospital import Stays
from pipelines.simulator.people import Ints, Teams
from pipelines.simulator.referrals import Referrals
from pipelines.simulator.sheet import Sheet

CORRECTED_DURATIONS = 0.4


def stopped_team(config: SimulatorConfig, teams: Teams, rng: np.random.Generator) -> tuple[int, int, int]:
    """A home team, and the first and last-plus-one day on which it records no NEWS: in the middle of the history."""
    team = int(rng.choice(np.flatnonzero(teams.home)))
    first = int(config.days * rng.uniform(0.35, 0.6))
    return team, first, first + config.faults.news_stop_days


def add_liaison_calls(
    contacts: Contacts, stays: Stays, referrals: Referrals, teams: Teams, faults: Faults, rng: np.random.Generator
) -> Contacts:
    """Calls from the ward, dated the day before an emergency admission and recorded one to three days after it."""
    draw, late = rng.random(len(stays)), rng.integers(1, 4, len(stays))
    minute = rng.integers(9 * HOUR, 17 * HOUR, len(stays))
    before = (stays.admitted // DAY - 1) * DAY + minute
    received, closed = referrals.recorded[stays.person], referrals.closed[stays.person]
    open_then = (received < before) & ((closed == NONE) | (closed > stays.admitted))
    chosen = stays.emergency & open_then & (draw < faults.liaison_call)
    person, start = stays.person[chosen], before[chosen]
    count = len(person)
    nothing, never = np.full(count, -1), np.full(count, NONE)
    calls = Contacts(
        person=person,
        referral=person,
        team=referrals.team[person],
        kind=np.full(count, v.LIAISON),
        state=np.zeros(count, dtype=np.int64),
        start=start,
        status=np.full(count, v.ATTENDED),
        duration=np.full(count, 10),
        first_duration=np.full(count, 10),
        mechanism=np.full(count, v.TELEPHONE),
        location=nothing,
        proxy=np.ones(count, dtype=bool),
        news=nothing,
        cancelled=nothing,
        planned_at=never,
        recorded_at=stays.admitted[chosen] + late[chosen] * DAY,
        corrected_at=never,
        deleted=np.zeros(count, dtype=bool),
        number=len(contacts) + np.arange(count),
    )
    return chain([contacts, calls])


def lose_outcomes(contacts: Contacts, config: SimulatorConfig, teams: Teams, rng: np.random.Generator) -> Contacts:
    """An outage: what one team did in those days was never written up; what was planned stays planned."""
    team = int(rng.choice(np.flatnonzero(teams.home)))
    first = np.array([int(config.days * rng.uniform(0.65, 0.85))])
    begins = int(moment(config.start, first, np.zeros(1, dtype=np.int64))[0])
    within = (contacts.start >= begins) & (contacts.start < begins + config.faults.outage_days * DAY)
    lost = within & (contacts.team == team)
    return replace(
        contacts,
        recorded_at=np.where(lost, NONE, contacts.recorded_at),
        corrected_at=np.where(lost, NONE, contacts.corrected_at),
    )


def spoil_status(contacts: Contacts, teams: Teams, faults: Faults, rng: np.random.Generator) -> Contacts:
    """Leave out attendance, and in some teams code no access as cancelled by the provider."""
    mixers = rng.permutation(len(teams.type))[: faults.no_access_as_cancelled]
    mixed = np.isin(contacts.team, mixers) & (contacts.status == v.NO_ACCESS)
    status = np.where(mixed, v.PROVIDER_CANCELLED, contacts.status)
    cancelled = np.where(mixed, contacts.start // DAY, contacts.cancelled)
    count = len(teams.type)
    rate = np.full(count, faults.attendance_missing * count / (count + 3))
    careful, *careless = rng.permutation(count)[:3]
    rate[careless] *= 3
    rate[careful] = 0
    missing = (rng.random(len(contacts)) < rate[contacts.team]) & ~contacts.deleted
    return replace(contacts, status=np.where(missing, -1, status), cancelled=cancelled)


def spoil_mechanism(contacts: Contacts, faults: Faults, rng: np.random.Generator) -> Contacts:
    missing = rng.random(len(contacts)) < faults.mechanism_missing
    return replace(contacts, mechanism=np.where(missing, -1, contacts.mechanism))


def spoil_durations(contacts: Contacts, faults: Faults, rng: np.random.Generator) -> Contacts:
    """Zero and 999 minutes; some are put right up to three weeks later."""
    draw, later = rng.random(len(contacts)), rng.integers(2, 21, len(contacts)) * DAY
    held = (contacts.duration >= 0) & (contacts.recorded_at != NONE)
    zero = held & (draw < faults.duration_zero)
    huge = held & (draw >= 1 - faults.duration_999)
    wrong = np.select([zero, huge], [0, 999], -1)
    first = np.where(wrong >= 0, wrong, contacts.first_duration)
    corrected = (wrong >= 0) & (rng.random(len(contacts)) < CORRECTED_DURATIONS)
    kept = (wrong >= 0) & ~corrected
    return replace(
        contacts,
        first_duration=first,
        duration=np.where(kept, wrong, contacts.duration),
        corrected_at=np.select([corrected, kept], [contacts.recorded_at + later, NONE], contacts.corrected_at),
    )


def reuse_contact_numbers(contacts: Contacts, parents: Ints, faults: Faults, rng: np.random.Generator) -> Contacts:
    """Give some contacts the identifier of a contact of another referral; `parents` (contacts with activities) take
    no part, because an activity names its contact by identifier alone."""
    childless = np.setdiff1d(np.arange(len(contacts)), parents)
    donors = rng.permutation(childless)
    count = min(int(faults.contact_id_reused * len(contacts)), len(donors) // 2)
    takers, givers = donors[:count], donors[count : 2 * count]
    apart = contacts.referral[takers] != contacts.referral[givers]
    number = contacts.number.copy()
    number[takers[apart]] = contacts.number[givers[apart]]
    return replace(contacts, number=number)


def reuse_referral_numbers(referrals: Referrals, faults: Faults, rng: np.random.Generator) -> Ints:
    """The printed number of each referral: some have that of another person's referral closed before they came."""
    number = np.arange(len(referrals))
    takers = np.flatnonzero(rng.random(len(number)) < faults.referral_id_reused)
    closed = np.flatnonzero(referrals.closed_recorded != NONE)
    closed = closed[np.argsort(referrals.closed_recorded[closed], kind="stable")]
    earlier = np.searchsorted(referrals.closed_recorded[closed], referrals.received[takers])
    givers = closed[(rng.random(len(takers)) * earlier).astype(np.int64)] if len(closed) else takers
    fit = (earlier > 0) & (referrals.person[givers] != referrals.person[takers]) & ~np.isin(givers, takers)
    _, once = np.unique(givers, return_index=True)
    fit &= np.isin(np.arange(len(takers)), once)
    number[takers[fit]] = givers[fit]
    return number


def duplicate_rows(sheet: Sheet, faults: Faults, rng: np.random.Generator) -> Sheet:
    again = np.flatnonzero(rng.random(len(sheet)) < faults.duplicate_rows)
    return sheet.take(np.concatenate([np.arange(len(sheet)), again])) if len(again) else sheet


def traced_from(referrals: Referrals, people: int, start: date, faults: Faults, rng: np.random.Generator) -> Ints:
    """When each person's NHS number was traced; NONE for the many whose number was there from the start."""
    later = referrals.recorded[:people] + rng.integers(2, 61, people) * DAY
    begun = moment(start, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))[0]
    chosen = (rng.random(people) < faults.untraced) & (referrals.recorded[:people] > begun)
    return np.where(chosen, later, NONE)


def pick(count: int, rate: float, rng: np.random.Generator) -> Ints:
    """1 for the share `rate` of `count` rows, else 0."""
    return (rng.random(count) < rate).astype(np.int64)
