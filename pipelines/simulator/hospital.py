"""Hospital stays and emergency department attendances, and when each became known."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment, skip_clock_change
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import CUT_HOUR
from pipelines.simulator.journal import Journal
from pipelines.simulator.people import Flags, Ints

METHODS = (*v.EMERGENCY_METHODS, *v.ELECTIVE_METHODS, "2B", "81")
ELECTIVE = len(v.EMERGENCY_METHODS)
TRANSFER = ELECTIVE + len(v.ELECTIVE_METHODS)
TRANSFERRED_SHARE = 0.03
CODED_AT_DISCHARGE = 0.6
YEAR = 350


@dataclass(frozen=True)
class Stays:
    """One entry a provider spell. Moments are local seconds; `coded_at` is NONE where diagnoses came at discharge."""

    person: Ints
    admitted: Ints
    discharged: Ints
    method: Ints
    """Index into `METHODS`."""
    died: Flags
    moved: Flags
    """Ended by a transfer to the other hospital."""
    elsewhere: Flags
    """At the other hospital."""
    episodes: Ints
    diagnosis: Ints
    opened_at: Ints
    closed_at: Ints
    coded_at: Ints

    def __len__(self) -> int:
        return len(self.person)

    @property
    def emergency(self) -> Flags:
        return self.method < ELECTIVE

    @property
    def day_case(self) -> Flags:
        planned = (self.method >= ELECTIVE) & (self.method < TRANSFER)
        return np.asarray(planned & (self.admitted // DAY == self.discharged // DAY))


@dataclass(frozen=True)
class Attendances:
    """One entry an emergency department attendance."""

    person: Ints
    arrived: Ints
    departed: Ints
    admitted: Flags
    minor: Flags
    ambulance: Flags
    disposal: Ints
    recorded_at: Ints


def make_stays(journal: Journal, start: date, rng: np.random.Generator) -> Stays:
    """The stays of the simulated days and those of the year before each referral."""
    log = journal.stays
    now = _stays(log["person"], log["day"], log["nights"], log["died"] == 1, log["emergency"] == 1, start, rng)
    person, day, nights = _prior(journal, rng)
    nobody, all_urgent = np.zeros(len(person), dtype=bool), np.ones(len(person), dtype=bool)
    before = _stays(person, day, nights, nobody, all_urgent, start, rng)
    return _transfer(chain([now, before]), rng)


def _prior(journal: Journal, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Person, day of admission and nights of earlier stays: at most one in each equal part of the year before."""
    people = journal.people
    person = np.repeat(np.arange(len(people)), people.prior)
    rank = np.arange(len(person)) - np.repeat(np.cumsum(people.prior) - people.prior, people.prior)
    part = YEAR // people.prior[person]
    left = people.arrived[person] - 5 - rank * part - (rng.random(len(person)) * part * 0.4).astype(np.int64)
    recent = (rank == 0) & people.from_hospital[person]
    left = np.where(recent, people.arrived[person] - rng.integers(1, 4, len(person)), left)
    nights = np.minimum(rng.geometric(1 / 8, len(person)), part // 2)
    return person, left - nights, nights


def _stays(
    person: Ints, day: Ints, nights: Ints, died: Flags, emergency: Flags, start: date, rng: np.random.Generator
) -> Stays:
    count = len(person)
    admitted = _admitted(day, nights, emergency, start, rng)
    hours = rng.integers(2 * HOUR, 7 * HOUR, count)
    discharged = np.where(
        nights == 0, admitted + hours, moment(start, day + nights, rng.integers(10 * HOUR, 19 * HOUR, count))
    )
    discharged = skip_clock_change(discharged)
    urgent_method = rng.choice(ELECTIVE, count, p=np.array(v.EMERGENCY_METHOD_SHARES))
    late = np.where(rng.random(count) < 0.25, rng.integers(1, 4, count), 0)
    opened = admitted + rng.integers(8 * HOUR, 24 * HOUR, count) + late * DAY
    closed = discharged + rng.integers(8 * HOUR, 24 * HOUR, count) + rng.integers(0, 3, count) * DAY
    closed = np.maximum(closed, opened + HOUR)
    coded_late = rng.random(count) >= CODED_AT_DISCHARGE
    return Stays(
        person=person,
        admitted=admitted,
        discharged=discharged,
        method=np.where(emergency, urgent_method, ELECTIVE + rng.integers(0, len(v.ELECTIVE_METHODS), count)),
        died=died,
        moved=np.zeros(count, dtype=bool),
        elsewhere=emergency & (urgent_method == v.EMERGENCY_METHODS.index("2A")),
        episodes=np.where(nights >= 3, rng.choice(3, count, p=np.array([0.75, 0.19, 0.06])) + 1, 1),
        diagnosis=rng.integers(0, len(v.ADMISSION_DIAGNOSES), count),
        opened_at=opened,
        closed_at=closed,
        coded_at=np.where(coded_late, closed + rng.integers(7, 31, count) * DAY, NONE),
    )


def _admitted(day: Ints, nights: Ints, emergency: Flags, start: date, rng: np.random.Generator) -> Ints:
    """Any hour of the simulated day, which ends at the next morning's cut; more by day, and early if planned."""
    part = rng.beta(1.6, 2.0, len(day))
    longest = np.where(nights == 0, 16, 23.5) * HOUR
    urgent = CUT_HOUR * HOUR + (part * longest).astype(np.int64)
    planned = 7 * HOUR + (part * 3 * HOUR).astype(np.int64)
    return skip_clock_change(moment(start, day, np.where(emergency, urgent, planned)))


def _transfer(stays: Stays, rng: np.random.Generator) -> Stays:
    """Some longer stays are finished in the other hospital, as a spell of their own."""
    long = (stays.discharged - stays.admitted > 4 * DAY) & stays.emergency
    chosen = np.flatnonzero(long & (rng.random(len(stays)) < TRANSFERRED_SHARE))
    first = take(stays, chosen)
    halfway = (first.admitted + 2 * DAY) // DAY * DAY + rng.integers(9 * HOUR, 16 * HOUR, len(chosen))
    told = halfway + rng.integers(8 * HOUR, 24 * HOUR, len(chosen))
    second = replace(
        first,
        admitted=halfway + HOUR,
        method=np.where(rng.random(len(chosen)) < 0.6, TRANSFER, TRANSFER + 1),
        elsewhere=~first.elsewhere,
        episodes=np.ones(len(chosen), dtype=np.int64),
        opened_at=np.minimum(told + HOUR, first.closed_at - HOUR),
    )
    discharged, closed = stays.discharged.copy(), stays.closed_at.copy()
    moved, died = stays.moved.copy(), stays.died.copy()
    discharged[chosen], moved[chosen], died[chosen] = halfway, True, False
    closed[chosen] = np.maximum(told, stays.opened_at[chosen] + HOUR)
    coded = np.where(stays.coded_at == NONE, NONE, np.maximum(stays.coded_at, closed + DAY))
    kept = replace(stays, discharged=discharged, closed_at=closed, moved=moved, died=died, coded_at=coded)
    return chain([kept, second])


def make_attendances(journal: Journal, stays: Stays, start: date, rng: np.random.Generator) -> Attendances:
    """Those that led to the stays by way of an emergency department, and those that led home."""
    through = np.flatnonzero(np.isin(stays.method, (v.EMERGENCY_METHODS.index("21"), v.EMERGENCY_METHODS.index("2A"))))
    person = np.concatenate([stays.person[through], journal.attendances["person"]])
    day = journal.attendances["day"]
    count, sent_home = len(person), len(day)
    arrived_home = moment(start, day, CUT_HOUR * HOUR + (rng.beta(1.6, 2.0, sent_home) * 16 * HOUR).astype(np.int64))
    arrived = np.concatenate([stays.admitted[through] - rng.integers(2 * HOUR, 9 * HOUR, len(through)), arrived_home])
    arrived = skip_clock_change(arrived)
    departed = np.concatenate([stays.admitted[through], arrived_home + rng.integers(HOUR, 9 * HOUR, sent_home)])
    departed = np.maximum(skip_clock_change(departed), arrived + 600)
    admitted = np.arange(count) < len(through)
    return Attendances(
        person=person,
        arrived=arrived,
        departed=departed,
        admitted=admitted,
        minor=~admitted & (rng.random(count) < 0.2),
        ambulance=rng.random(count) < np.where(admitted, 0.75, 0.45),
        disposal=np.where(admitted, 0, rng.integers(1, 3, count)),
        recorded_at=departed + rng.integers(8 * HOUR, 24 * HOUR, count),
    )
