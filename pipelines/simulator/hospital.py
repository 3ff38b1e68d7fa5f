"""Hospital stays and emergency department attendances, and when each became known."""

from dataclasses import dataclass, replace

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment, skip_clock_change
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import CUT_HOUR
from pipelines.simulator.delays import reported_after
from pipelines.simulator.people import People
from pipelines.simulator.places import Journal, World

METHODS = (*v.EMERGENCY_METHODS, *v.ELECTIVE_METHODS, "2B", "81")
ELECTIVE = len(v.EMERGENCY_METHODS)
TRANSFER = ELECTIVE + len(v.ELECTIVE_METHODS)
TRANSFERRED_SHARE = 0.03
CODED_AT_DISCHARGE = 0.6
YEAR = 350
EARLIER, SECOND_PART = 50_000_000, 80_000_000
"""The first printed numbers of stays before the referral, and of those begun by a transfer."""


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
    reported: Flags
    """Not so for stays out of the area: no file ever has them."""
    episodes: Ints
    diagnosis: Ints
    opened_at: Ints
    closed_at: Ints
    coded_at: Ints
    sent_from: Ints
    """No extract before this moment has it: a hospital's feed brings earlier stays when the person is referred."""
    number: Ints

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
    sent_from: Ints
    number: Ints


def make_stays(world: World, journal: Journal, people: People) -> Stays:
    """The stays of the simulated days and those of the year before each referral."""
    log = {name: journal.stays[name] for name in ("person", "day", "nights", "died", "emergency")}
    number = np.arange(len(log["person"]))
    emergency = log["emergency"] == 1
    now = _stays(world, people, log["person"], log["day"], log["nights"], emergency, number)
    reported = now.reported & ~_after_moving(journal, people, log["person"], log["day"])
    now = replace(now, died=log["died"] == 1, reported=reported)
    return _transfer(world, people, chain([now, _earlier(world, people)]))


def _after_moving(journal: Journal, people: People, person: Ints, day: Ints) -> Flags:
    gone = np.full(len(people), np.iinfo(np.int64).max)
    moved = journal.discharges["moved"] == 1
    gone[journal.discharges["person"][moved]] = journal.discharges["day"][moved]
    return np.asarray(day > gone[person])


def _earlier(world: World, people: People) -> Stays:
    """At most one in each equal part of the year before the referral, which the trust is sent at the referral."""
    person = np.repeat(np.arange(len(people)), people.prior)
    rank = np.arange(len(person)) - np.repeat(np.cumsum(people.prior) - people.prior, people.prior)
    own = facts(world.config.seed, "earlier stay", people.soul[person], rank)
    part = YEAR // people.prior[person]
    left = people.arrived[person] - 5 - rank * part - (own.uniform("when") * part * 0.4).astype(np.int64)
    recent = (rank == 0) & people.from_hospital[person]
    left = np.where(recent, people.arrived[person] - own.whole("just left", 1, 4), left)
    nights = np.minimum(own.geometric("nights", world.config.course.hospital.nights), part // 2)
    urgent = np.ones(len(person), dtype=bool)
    stays = _stays(world, people, person, left - nights, nights, urgent, EARLIER + 16 * person + rank)
    return replace(stays, sent_from=_at_referral(world, people, person))


def _stays(
    world: World, people: People, person: Ints, day: Ints, nights: Ints, emergency: Flags, number: Ints
) -> Stays:
    own, start, delays = (
        facts(world.config.seed, "stay", people.soul[person], day),
        world.config.start,
        world.config.delays,
    )
    admitted = _admitted(world, own, day, nights, emergency)
    leaves = moment(start, day + nights, own.whole("leaves", 10 * HOUR, 19 * HOUR))
    discharged = np.where(nights == 0, admitted + own.whole("hours", 2 * HOUR, 7 * HOUR), leaves)
    discharged = skip_clock_change(discharged)
    urgent_method = own.pick("method", v.EMERGENCY_METHOD_SHARES)
    slow = ~own.happens("prompt", delays.admission_next_day)
    late = np.where(slow, 1 + reported_after(delays, own, delays.admission_scale), 0)
    opened = admitted + own.whole("opened", 8 * HOUR, 24 * HOUR) + late * DAY
    closed = discharged + own.whole("closed", 8 * HOUR, 24 * HOUR) + own.whole("closed days", 0, 3) * DAY
    closed = np.maximum(closed, opened + HOUR)
    coded_late = ~own.happens("coded at discharge", CODED_AT_DISCHARGE)
    nothing = np.zeros(len(person), dtype=bool)
    return Stays(
        person=person,
        admitted=admitted,
        discharged=discharged,
        method=np.where(emergency, urgent_method, ELECTIVE + own.whole("planned method", 0, len(v.ELECTIVE_METHODS))),
        died=nothing,
        moved=nothing,
        elsewhere=emergency & (urgent_method == v.EMERGENCY_METHODS.index("2A")),
        reported=~(emergency & own.happens("out of area", world.config.faults.out_of_area)),
        episodes=np.where(nights >= 3, own.pick("episodes", (0.75, 0.19, 0.06)) + 1, 1),
        diagnosis=own.whole("diagnosis", 0, len(v.ADMISSION_DIAGNOSES)),
        opened_at=opened,
        closed_at=closed,
        coded_at=np.where(coded_late, closed + (7 + 2 * reported_after(delays, own, 1.0)) * DAY, NONE),
        sent_from=np.full(len(person), NONE),
        number=number,
    )


def _at_referral(world: World, people: People, person: Ints) -> Ints:
    """The afternoon of the day on which each person was referred."""
    return moment(world.config.start, people.arrived[person], np.full(len(person), 16 * HOUR))


def _arrival(own: Facts) -> Floats:
    """Where in its part of the day somebody arrives: more by day than by night."""
    return np.asarray((own.uniform("hour") + own.uniform("another hour")) / 2) ** 1.2


def _admitted(world: World, own: Facts, day: Ints, nights: Ints, emergency: Flags) -> Ints:
    """Any hour of the simulated day, which ends at the next morning's cut; early if planned."""
    part, longest = _arrival(own), np.where(nights == 0, 16, 23.5) * HOUR
    urgent = CUT_HOUR * HOUR + (part * longest).astype(np.int64)
    planned = 7 * HOUR + (part * 3 * HOUR).astype(np.int64)
    return skip_clock_change(moment(world.config.start, day, np.where(emergency, urgent, planned)))


def _transfer(world: World, people: People, stays: Stays) -> Stays:
    """Some longer stays are finished in the other hospital, as a spell of their own."""
    own = facts(world.config.seed, "transfer", people.soul[stays.person], stays.admitted)
    long = (stays.discharged - stays.admitted > 4 * DAY) & stays.emergency & stays.reported
    chosen = np.flatnonzero(long & own.happens("moved", TRANSFERRED_SHARE))
    first, moving = take(stays, chosen), own[chosen]
    halfway = (first.admitted + 2 * DAY) // DAY * DAY + moving.whole("hour", 9 * HOUR, 16 * HOUR)
    told = halfway + moving.whole("told", 8 * HOUR, 24 * HOUR)
    second = replace(
        first,
        admitted=halfway + HOUR,
        method=np.where(moving.happens("in an emergency", 0.6), TRANSFER, TRANSFER + 1),
        elsewhere=~first.elsewhere,
        episodes=np.ones(len(chosen), dtype=np.int64),
        opened_at=np.minimum(told + HOUR, first.closed_at - HOUR),
        number=SECOND_PART + first.number,
    )
    discharged, closed = stays.discharged.copy(), stays.closed_at.copy()
    moved, died = stays.moved.copy(), stays.died.copy()
    discharged[chosen], moved[chosen], died[chosen] = halfway, True, False
    closed[chosen] = np.maximum(told, stays.opened_at[chosen] + HOUR)
    coded = np.where(stays.coded_at == NONE, NONE, np.maximum(stays.coded_at, closed + DAY))
    kept = replace(stays, discharged=discharged, closed_at=closed, moved=moved, died=died, coded_at=coded)
    return chain([kept, second])


def attendance_wait(world: World, people: People, person: Ints, day: Ints) -> Ints:
    """Whole days, beyond the next cut, until an attendance without admission is known."""
    own = world.of("attendance", people.soul[person], day)
    return (~own.happens("prompt", world.config.delays.attendance_next_day)).astype(np.int64)


def make_attendances(world: World, journal: Journal, people: People, stays: Stays) -> Attendances:
    """Those that led to the stays by way of an emergency department, and those that led home."""
    through = np.isin(stays.method, (v.EMERGENCY_METHODS.index("21"), v.EMERGENCY_METHODS.index("2A"))) & stays.reported
    led = take(stays, np.flatnonzero(through))
    person, day = journal.attendances["person"], journal.attendances["day"]
    own = facts(world.config.seed, "at the hospital", people.soul[person], day)
    home = moment(world.config.start, day, CUT_HOUR * HOUR + (_arrival(own) * 14 * HOUR).astype(np.int64))
    home = skip_clock_change(home)
    gone_home = np.maximum(skip_clock_change(home + own.whole("hours", HOUR, 8 * HOUR)), home + 600)
    # Known at the next cut, which is at CUT_HOUR, or a day later.
    next_day = moment(world.config.start, day + 1, own.whole("told", 4 * HOUR, 5 * HOUR))
    before = facts(world.config.seed, "on the way in", people.soul[led.person], led.admitted)
    arrived = skip_clock_change(led.admitted - before.whole("hours", 2 * HOUR, 9 * HOUR))
    departed = np.maximum(led.admitted, arrived + 600)
    admitted = np.repeat([True, False], [len(led), len(person)])
    either = Facts(np.concatenate([before.state, own.state]))
    told = np.maximum(next_day, gone_home + 600) + attendance_wait(world, people, person, day) * DAY
    return Attendances(
        person=np.concatenate([led.person, person]),
        arrived=np.concatenate([arrived, home]),
        departed=np.concatenate([departed, gone_home]),
        admitted=admitted,
        minor=~admitted & either.happens("minor", 0.2),
        ambulance=either.happens("ambulance", np.where(admitted, 0.75, 0.45)),
        disposal=np.where(admitted, 0, either.whole("disposal", 1, 3)),
        recorded_at=np.concatenate([departed + before.whole("told", 8 * HOUR, 24 * HOUR), told]),
        sent_from=np.concatenate([led.sent_from, np.full(len(person), NONE)]),
        number=np.concatenate([EARLIER + led.number, np.arange(len(person))]),
    )
