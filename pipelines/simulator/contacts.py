"""Contacts with all their particulars, and when each became known."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, EPOCH, HOUR, NONE, moment
from pipelines.simulator.chance import Facts, Flags, Ints, facts
from pipelines.simulator.diary import DELETED, booked_visits
from pipelines.simulator.journal import Life
from pipelines.simulator.people import People
from pipelines.simulator.places import World
from pipelines.simulator.referrals import Referrals
from pipelines.simulator.written import days_to_write

HOURS = np.array([[8, 17], [8, 21], [8, 20], [9, 17], [9, 17]])
"""Local hours between which each kind of contact begins."""
CORRECTED_SHARE = 0.01
"""Contacts whose duration is put right some days later."""
SPAN = 1 << 15
"""More than the days of any history."""
LONGEST = 240
"""Minutes."""


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
    signs: Ints
    """Row of the journal's vital signs, -1 for none."""
    cancelled: Ints
    """Day since 1970 on which the contact was called off, or -1."""
    planned_at: Ints
    recorded_at: Ints
    corrected_at: Ints
    deleted_at: Ints
    """When the record was taken out: a booking at discharge, or an entry on the wrong person's referral."""
    number: Ints
    """The printed identifier; two contacts of different referrals can share one."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def seen(self) -> Flags:
        """Someone was visited, and it was written up: the contact can have activities."""
        visited = np.isin(self.kind, (v.VISIT, v.UNSCHEDULED)) & np.isin(self.status, (v.ATTENDED, v.LATE_SEEN))
        return np.asarray(visited & (self.recorded_at != NONE))

    def day_from(self, epoch_day: int) -> Ints:
        """The day of each contact, counted from a day since 1970."""
        return np.asarray(self.start // DAY - epoch_day)


def contact_facts(world: World, people: People, person: Ints, day: Ints, kind: Ints) -> Facts:
    """There is at most one contact of a kind a person and day."""
    return facts(world.config.seed, "contact details", people.soul[person], day, kind)


def contact_rows(life: Life) -> dict[str, Ints]:
    """The journal's contacts and, after them, the visits that stand in the diary."""
    names = ("person", "day", "kind", "state", "booked", "service", "signs")
    log = {name: life.journal.contacts[name] for name in (*names, "acted", "status")}
    diary = booked_visits(life.places, life.day, np.arange(len(life.places.person)))
    ahead = np.full(len(diary["person"]), life.day)
    diary |= {"acted": ahead, "status": np.full(len(ahead), v.PLANNED)}
    return {name: np.concatenate([log[name], diary[name]]) for name in log}


def number_of(person: Ints, day: Ints, kind: Ints) -> Ints:
    """A contact's printed number, which it has from the day when it is booked."""
    return np.asarray((person * SPAN + day) * len(v.KINDS) + kind)


def make_contacts(world: World, log: dict[str, Ints], people: People, referrals: Referrals) -> Contacts:
    """`log`: as `contact_rows` gives it."""
    person, day, kind, start_of = log["person"], log["day"], log["kind"], world.config.start
    own = contact_facts(world, people, person, day, kind)
    deleted = log["status"] == DELETED
    late = (log["status"] == v.ATTENDED) & own.happens("late", 0.03)
    status = np.select([deleted, late], [v.PLANNED, v.LATE_SEEN], log["status"])
    held = np.isin(status, (v.ATTENDED, v.LATE_SEEN))
    referral = np.where(_by_service(world, log, own), len(people) + log["service"], person)
    low, high = HOURS[kind].T * HOUR
    begins = moment(start_of, day, own.whole("hour", low, high))
    duration = _durations(world, own, kind, log["state"])
    planned = moment(start_of, log["booked"], own.whole("planned", 18 * HOUR, 22 * HOUR))
    planned = np.where(log["booked"] >= 0, planned, NONE)
    recorded = _recorded(world, people, log, begins + duration * 60, own)
    recorded = np.maximum(recorded, np.where(planned == NONE, NONE, planned + 60))
    corrected = held & own.happens("corrected", CORRECTED_SHARE)
    called_off = np.isin(status, (v.PATIENT_CANCELLED, v.PROVIDER_CANCELLED))
    return Contacts(
        person=person,
        referral=referral,
        team=_team(world, people, person, day, kind, referral, referrals, own),
        kind=kind,
        state=log["state"],
        start=begins,
        status=status,
        duration=np.where(held, duration, -1),
        first_duration=np.where(held, np.where(corrected, duration * 2, duration), -1),
        mechanism=_mechanism(own, kind, log["signs"]),
        location=np.where(people.clinic[person] & (kind == v.VISIT), 3, people.accommodation[person]),
        proxy=_proxy(own, people, person, kind),
        signs=log["signs"],
        cancelled=np.where(called_off, log["acted"] + (start_of - EPOCH).days, -1),
        planned_at=planned,
        recorded_at=np.where(deleted | (status == v.PLANNED), NONE, recorded),
        corrected_at=np.where(corrected, recorded + own.whole("put right", 2, 21) * DAY, NONE),
        deleted_at=np.where(deleted, recorded, NONE),
        number=number_of(person, day, kind),
    )


def _by_service(world: World, log: dict[str, Ints], own: Facts) -> Flags:
    """Whether a service's own team makes the contact."""
    made = (log["kind"] == v.UNSCHEDULED) | own.happens("by service", world.config.services.visited_by_service)
    return np.asarray((log["service"] >= 0) & made)


def _team(
    world: World,
    people: People,
    person: Ints,
    day: Ints,
    kind: Ints,
    referral: Ints,
    referrals: Referrals,
    own: Facts,
) -> Ints:
    second = people.second_team[person]
    share = world.config.services.second_team_visits
    specialist = (kind == v.VISIT) & (second >= 0) & (referral == person) & own.happens("specialist", share)
    return np.where(specialist, second, world.changes.team_on(referrals.team[referral], day))


def minutes_of(world: World, kind: Ints) -> Ints:
    """Typical minutes of each contact's kind, when well."""
    terms = world.config.contacts.minutes
    return np.array([terms.visit, terms.unscheduled, terms.call, terms.note, 10.0])[kind]


def _durations(world: World, own: Facts, kind: Ints, state: Ints) -> Ints:
    shift = np.where(kind == v.NOTE, 0.0, world.course.signs["minutes"][state])
    log = np.log(minutes_of(world, kind)) + shift + world.config.contacts.minutes_spread * own.normal("minutes")
    return np.clip(np.rint(np.exp(log)), 1, LONGEST).astype(np.int64)


def _recorded(world: World, people: People, log: dict[str, Ints], ended: Ints, own: Facts) -> Ints:
    """When the outcome was recorded: all that a person's notes gain on one day is written up together; what is taken
    off the diary ahead is recorded at once."""
    person, acted = log["person"], log["acted"]
    late = days_to_write(world, people, person, acted)
    ahead = acted != log["day"]
    together = facts(world.config.seed, "written at", people.soul[person], acted)
    midnight = moment(world.config.start, acted, np.zeros(len(acted), dtype=np.int64))
    same_day = ended + own.exponential("written", 1.5 * HOUR).astype(np.int64)
    same_day = np.minimum(same_day, np.maximum(midnight + DAY - 60, ended))
    later = midnight + late * DAY + together.whole("hour", 8 * HOUR, 18 * HOUR)
    cleared = midnight + together.whole("hour", 17 * HOUR, 20 * HOUR)
    return np.select([ahead, late == 0], [cleared, same_day], later)


def _mechanism(own: Facts, kind: Ints, signs: Ints) -> Ints:
    draw = own.uniform("mechanism")
    visit = np.select([signs >= 0, draw < 0.02, draw < 0.08], [v.FACE_TO_FACE, v.VIDEO, v.TELEPHONE], v.FACE_TO_FACE)
    return np.select([kind == v.NOTE, kind >= v.CALL], [v.MESSAGE, v.TELEPHONE], visit)


def _proxy(own: Facts, people: People, person: Ints, kind: Ints) -> Flags:
    more = np.where(people.carer[person], 1.8, 1.0) * np.where(people.care_home[person], 1.5, 1.0)
    return own.happens("proxy", np.array([0.03, 0.05, 0.25, 0.5, 1.0])[kind] * more)


def first_of_referral(contacts: Contacts) -> Flags:
    """The earliest contact of each referral that was held."""
    held = np.flatnonzero(np.isin(contacts.status, (v.ATTENDED, v.LATE_SEEN)) & (contacts.kind != v.ERROR))
    order = held[np.lexsort((contacts.start[held], contacts.referral[held]))]
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = np.diff(contacts.referral[order]) != 0
    first = np.zeros(len(contacts), dtype=bool)
    first[order[leads]] = True
    return first
