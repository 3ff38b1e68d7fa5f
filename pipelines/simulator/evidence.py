"""What a day tells about each person's state: how likely all that was seen, or not seen, is in every state."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from pipelines.simulator import activities as a
from pipelines.simulator import course as c
from pipelines.simulator import rates
from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Flags, Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.contacts import LONGEST, Contacts, minutes_of
from pipelines.simulator.course import Day, Traits
from pipelines.simulator.hospital import attendance_wait
from pipelines.simulator.journal import spared
from pipelines.simulator.log import Log
from pipelines.simulator.people import READINGS, traits_of
from pipelines.simulator.places import END_OF_LIFE, World
from pipelines.simulator.rates import EVERY
from pipelines.simulator.readings import LEAST_CHANCE, make_gauges
from pipelines.simulator.records import Records
from pipelines.simulator.teams import NEVER, short_of_staff
from pipelines.simulator.written import days_to_write

NOT_WRITTEN = 1 << 20
SINGLE = {a.PAIN: "pain", a.WEIGHT: "weight", a.WEIGHED: "weight", a.WATERLOW: "waterlow", a.WOUND: "wound"}
"""Kinds of activity that are evidence of their own."""


@dataclass(frozen=True)
class Told:
    """What one day tells, by row (someone at home and on a caseload at the day's cut) and state.

    kept: that nothing happened and the person stayed on the caseload. seen: all that the team saw, or did not see, up
    to a factor. quiet: that there was nothing for the team to write. wait: days until what there was is written up,
    NOT_WRITTEN for nothing. attended: the chance of an attendance, `went` whether there was one, `told`: days until it
    is known. onset: of each illness.
    """

    day: Day
    place: Ints
    person: Ints
    traits: Traits
    happened: Ints
    kept: Floats
    seen: Floats
    quiet: Floats
    due: Flags
    wait: Ints
    within: Floats
    attended: Floats
    went: Flags
    told: Ints

    def likelihood(self, age: int, prompt: float) -> Floats:
        """Of what is known of the day `age` days after its end. `prompt`: share of attendances known at once."""
        known = self.wait <= age
        within = self.within[:, min(age, self.within.shape[1] - 1), None]
        unknown = np.where(self.due[:, None], 1.0, self.quiet + (1 - self.quiet) * (1 - within))
        share = prompt if age == 0 else 1.0
        arrived = np.where((self.went & (self.told <= age))[:, None], self.attended, 1 - self.attended * share)
        return np.asarray(self.kept * arrived * np.where(known[:, None], self.seen, unknown))


@dataclass(frozen=True)
class Observer:
    """Reads the records day by day. `traits` and `dying_known` (the day from which everybody knows) are by person."""

    records: Records
    traits: Traits
    dying_known: Ints

    @property
    def world(self) -> World:
        return self.records.world


def make_observer(records: Records) -> Observer:
    people, services = records.people, records.journal.services
    known = np.where(people.dying, -1, NEVER)
    of_life = services["kind"] == END_OF_LIFE
    np.minimum.at(known, services["person"][of_life], services["first"][of_life])
    return Observer(records, traits_of(records.world.config, records.world.course, people), known)


def told_on(observer: Observer, number: int, place: Ints, person: Ints, helped: Ints) -> Told:
    """Of the people at the cut of a day. `helped`: the last day on which help given before lasts."""
    world, people, journal = observer.world, observer.records.people, observer.records.journal
    day, traits = world.day(number), take(observer.traits, person)
    row_of = np.full(len(people), -1)
    row_of[person] = np.arange(len(person))
    happened, helped = _happened(observer, number, row_of, len(person)), _helped_on(observer, number, row_of, helped)
    stays_on = (1 - world.course.discharge) * (1 - world.config.course.moves_away)
    wait = np.full(len(person), NOT_WRITTEN)
    contacts, readings = _of_day(observer, number, row_of)
    rows = row_of[contacts.person]
    marks = [_mark(journal.onward, number, row_of), _mark(journal.recognised, number, row_of)]
    written = np.unique(np.concatenate([rows, *(np.flatnonzero(mark) for mark in marks)]))
    wait[written] = days_to_write(world, people, person[written], np.full(len(written), number))
    quiet, seen = _presences(observer, day, person, rows, contacts, marks)
    np.add.at(seen, rows, _contact_evidence(observer, day, contacts))
    np.add.at(seen, row_of[readings.person], _readings_evidence(observer, readings))
    seen = np.exp(seen - seen.max(axis=1, keepdims=True))
    team = world.changes.team_on(people.team[person], number)
    due = np.zeros(len(person), dtype=bool)
    due[rows[contacts.kind == v.VISIT]] = True
    return Told(
        day=day,
        place=place,
        person=person,
        traits=traits,
        happened=happened,
        kept=c.survival(world.course, traits, day, spared(world, helped, number)) * stays_on,
        seen=seen,
        quiet=quiet,
        due=due,
        wait=wait,
        within=world.write_up.within[team, int(world.rests(number + 1))],
        attended=rates.attends(world, people.frailty[person][:, None], EVERY),
        went=_mark(journal.attendances, number, row_of),
        told=attendance_wait(world, people, person, np.full(len(person), number)),
    )


def _mark(log: Log, number: int, row_of: Ints) -> Flags:
    """Which rows have an entry of the day in one of the journal's logs."""
    marked = np.zeros(int(row_of.max(initial=-1)) + 1, dtype=bool)
    person, day = log["person"], log["day"]
    first, last = np.searchsorted(day, (number, number + 1))
    rows = row_of[person[first:last]]
    marked[rows[rows >= 0]] = True
    return marked


def _happened(observer: Observer, number: int, row_of: Ints, count: int) -> Ints:
    """What took each person away on the day, if a hospital stay did."""
    log = observer.records.journal.stays
    first, last = np.searchsorted(log["day"], (number, number + 1))
    rows, emergency = row_of[log["person"][first:last]], log["emergency"][first:last] == 1
    happened = np.full(count, c.NOTHING)
    happened[rows[rows >= 0]] = np.where(emergency, c.EMERGENCY, c.ELECTIVE)[rows >= 0]
    return happened


def _helped_on(observer: Observer, number: int, row_of: Ints, helped: Ints) -> Ints:
    """The last day on which help lasts, with what the lists of this very morning led to."""
    log = observer.records.journal.exposures
    first, last = np.searchsorted(log["day"], (number, number + 1))
    acted = log["acted"][first:last] == 1
    rows = row_of[log["person"][first:last][acted]]
    now = helped.copy()
    now[rows[rows >= 0]] = number + observer.world.config.interventions.lasts_days - 1
    return now


@dataclass(frozen=True)
class Readings:
    """Single readings of a day (vital signs come in sets and go by the contact): whose, what, the value."""

    person: Ints
    kind: Ints
    value: Floats


def _of_day(observer: Observer, number: int, row_of: Ints) -> tuple[Contacts, Readings]:
    """The day's contacts with people of `row_of`, and the single readings taken at them."""
    records = observer.records
    of_day = records.contacts_of(number)
    today = records.contacts.day_from(observer.world.epoch_day)[of_day] == number
    which = of_day[today & (row_of[records.contacts.person[of_day]] >= 0)]
    taken = take(records.activities, records.activities_of(of_day))
    person = records.contacts.person[taken.contact]
    single = (row_of[person] >= 0) & np.isin(taken.kind, tuple(SINGLE))
    return take(records.contacts, which), Readings(person[single], taken.kind[single], taken.value[single])


def _presences(
    observer: Observer, day: Day, person: Ints, rows: Ints, contacts: Contacts, marks: list[Flags]
) -> tuple[Floats, Floats]:
    """Chance, by row and state, that there is nothing to write on the day when no visit is due; and the log chance that
    just these calls, unscheduled visits, onward referrals and recognitions come about."""
    world, people = observer.world, observer.records.people
    eager = rates.eagerness(world, people.eagerness[person], day.number)[:, None]
    team = world.changes.team_on(people.team[person], day.number)[:, None]
    recognised = rates.recognised(world, EVERY) * (observer.dying_known[person] >= day.number)[:, None]
    chances = (
        (rates.calls(world, eager, team, EVERY), _among(len(person), rows[contacts.kind == v.CALL])),
        (rates.unscheduled(world, eager, team, EVERY), _among(len(person), rows[contacts.kind == v.UNSCHEDULED])),
        (np.broadcast_to(rates.onward(world, EVERY), recognised.shape), marks[0]),
        (recognised, marks[1]),
    )
    quiet = np.full(recognised.shape, 1 - world.config.contacts.notes)
    seen = np.zeros(recognised.shape)
    for chance, happened in chances:
        quiet = quiet * (1 - chance)
        seen += np.log(np.maximum(np.where(happened[:, None], chance, 1 - chance), LEAST_CHANCE))
    return quiet, seen


def _among(count: int, rows: Ints) -> Flags:
    flags = np.zeros(count, dtype=bool)
    flags[rows] = True
    return flags


def _contact_evidence(observer: Observer, day: Day, contacts: Contacts) -> Floats:
    """Log chance, by contact and state, of a planned visit's outcome, of a contact's duration, of a set of vital signs,
    and of a wound that is seen not being worse."""
    world, people = observer.world, observer.records.people
    total = np.zeros((len(contacts), len(world.course)))
    visits = np.flatnonzero(contacts.kind == v.VISIT)
    total[visits] = _outcome(observer, day, take(contacts, visits))
    timed = np.flatnonzero((contacts.duration > 0) & (contacts.kind <= v.CALL))
    mean = np.log(minutes_of(world, contacts.kind[timed]))[:, None] + world.course.signs["minutes"]
    minutes, spread = contacts.duration[timed, None], world.config.contacts.minutes_spread
    above = np.where(minutes == LONGEST, 1.0, ndtr((np.log(minutes + 0.5) - mean) / spread))
    below = np.where(minutes == 1, 0.0, ndtr((np.log(minutes - 0.5) - mean) / spread))
    total[timed] += np.log(np.maximum(above - below, LEAST_CHANCE))
    measured = np.flatnonzero(contacts.signs >= 0)
    signs = a.vital_signs_of(observer.records.journal, contacts.signs[measured])
    total[measured] += world.vital_signs.evidence(signs, people.usual[contacts.person[measured]])
    wounds = contacts.seen & people.wound[contacts.person]
    total[wounds] += np.log1p(-a.wound_chance(world))
    return total


def _outcome(observer: Observer, day: Day, visits: Contacts) -> Floats:
    world = observer.world
    team = world.changes.team_on(observer.records.people.team[visits.person], day.number)
    missed = rates.no_access(world, team[:, None], EVERY)
    cancelled = np.broadcast_to(rates.patient_cancels(world, EVERY), missed.shape)
    provider = rates.provider_cancels(world, day.number)
    short = short_of_staff(world.config, team, day.number, day.shock)
    put_off = (world.config.practice.postponed * short)[:, None]
    possible = 1 - missed - cancelled - provider
    status = visits.status[:, None]
    told = [status == v.NO_ACCESS, status == v.PATIENT_CANCELLED, status == v.PROVIDER_CANCELLED]
    return np.asarray(
        np.log(np.select(told, [missed, cancelled, provider + put_off * possible], (1 - put_off) * possible))
    )


def _readings_evidence(observer: Observer, readings: Readings) -> Floats:
    """Log chance, by reading and state, of its value; of a wound found worse, against its not being so."""
    world, people = observer.world, observer.records.people
    total = np.zeros((len(readings.person), len(world.course)))
    gauges = make_gauges(world.config, world.course)
    for kind, name in SINGLE.items():
        rows = np.flatnonzero(readings.kind == kind)
        if kind == a.WOUND:
            total[rows] = np.log(a.wound_chance(world)) - np.log1p(-a.wound_chance(world))
        else:
            rank = READINGS.index(name)
            total[rows] = gauges[rank].evidence(readings.value[rows], people.usual[readings.person[rows], rank])
    return total
