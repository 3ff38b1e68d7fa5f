"""What was noted of the people on the caseload on a day, and when each part of it is on record: the same for every
filter, whatever it is told of the people's lasting traits."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator import activities as a
from pipelines.simulator import course as c
from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Flags, Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.contacts import Contacts
from pipelines.simulator.course import Day
from pipelines.simulator.hospital import attendance_wait
from pipelines.simulator.journal import spared
from pipelines.simulator.log import Log
from pipelines.simulator.people import READINGS, VITAL
from pipelines.simulator.places import END_OF_LIFE, World
from pipelines.simulator.records import Records
from pipelines.simulator.teams import NEVER
from pipelines.simulator.written import days_to_write

NOT_WRITTEN = 1 << 20
SINGLE = {a.PAIN: "pain", a.WEIGHT: "weight", a.WEIGHED: "weight", a.WATERLOW: "waterlow"}
"""Kinds of activity that are a reading of their own, and which."""


@dataclass(frozen=True)
class Readings:
    """Readings that were taken together. row: whose, in order; value: a column for each of `READINGS`, not a number
    where there was none."""

    row: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Noted:
    """By row (someone at home and on a caseload at the day's cut), unless said otherwise.

    happened: which hospital stay began, if any. spared: the factor that help puts on the hazard. called, asked, onward,
    recognised: whether there was a call, an unscheduled visit, an onward referral, a recognition as dying. open_to:
    nobody knows yet that the person is dying. visits: contacts of people who were there, `visited` their rows;
    confused: of those with vital signs, whether there was new confusion. worse:
    the row of each wound found worse. scored, level: the row of each frailty score taken at a visit, and what it says.
    due: a visit was planned. written: the rows of whom there was something to write, `slot` their places in it (-1 for
    the others), `wait` days until it is written up (NOT_WRITTEN for nothing). within: the chance that a write-up takes
    0, 1, ... days. went: to an emergency department; told: days until that is known.
    """

    day: Day
    place: Ints
    person: Ints
    team: Ints
    happened: Ints
    spared: Floats
    called: Flags
    asked: Flags
    onward: Flags
    recognised: Flags
    open_to: Flags
    contacts: Contacts
    visited: Ints
    confused: Flags
    readings: Readings
    worse: Ints
    scored: Ints
    level: Ints
    due: Flags
    written: Ints
    slot: Ints
    wait: Ints
    within: Floats
    went: Flags
    told: Ints

    def known(self, rows: Ints, age: int) -> Flags:
        """Which of some rows are written up `age` days after the day's end."""
        return np.asarray(self.wait[rows] <= age)


@dataclass(frozen=True)
class Observer:
    """Reads the records day by day. `dying_known` (the day from which everybody knows) is by person."""

    records: Records
    dying_known: Ints

    @property
    def world(self) -> World:
        return self.records.world


def make_observer(records: Records) -> Observer:
    people, services = records.people, records.journal.services
    known = np.where(people.dying, -1, NEVER)
    of_life = services["kind"] == END_OF_LIFE
    np.minimum.at(known, services["person"][of_life], services["first"][of_life])
    return Observer(records, known)


def noted_on(observer: Observer, number: int, place: Ints, person: Ints, helped: Ints) -> Noted:
    """Of the people at the cut of a day. `helped`: the last day on which help given before lasts."""
    world, people, journal = observer.world, observer.records.people, observer.records.journal
    row_of = np.full(len(people), -1)
    row_of[person] = np.arange(len(person))
    contacts, readings, worse, scored, level = _of_day(observer, number, row_of)
    rows = row_of[contacts.person]
    flags = {"called": _among(len(person), rows[contacts.kind == v.CALL])}
    flags |= {"asked": _among(len(person), rows[contacts.kind == v.UNSCHEDULED])}
    flags |= {name: _mark(getattr(journal, name), number, row_of) for name in ("onward", "recognised")}
    written = _among(len(person), rows) | flags["onward"] | flags["recognised"]
    today = np.full(len(person), number)
    team = world.changes.team_on(people.team[person], number)
    return Noted(
        day=world.day(number),
        place=place,
        person=person,
        team=team,
        happened=_happened(observer, number, row_of, len(person)),
        spared=spared(world, _helped_on(observer, number, row_of, helped), number),
        **flags,
        open_to=observer.dying_known[person] >= number,
        contacts=contacts,
        visited=rows,
        confused=_confused(observer, contacts),
        readings=readings,
        worse=worse,
        scored=scored,
        level=level,
        due=_among(len(person), rows[contacts.kind == v.VISIT]),
        written=np.flatnonzero(written),
        slot=np.where(written, np.cumsum(written) - 1, -1),
        wait=np.where(written, days_to_write(world, people, person, today), NOT_WRITTEN),
        within=world.write_up.within[team, int(world.rests(number + 1))],
        went=_mark(journal.attendances, number, row_of),
        told=attendance_wait(world, people, person, today),
    )


def _among(count: int, rows: Ints) -> Flags:
    flags = np.zeros(count, dtype=bool)
    flags[rows] = True
    return flags


def _mark(log: Log, number: int, row_of: Ints) -> Flags:
    """Which rows have an entry of the day in one of the journal's logs."""
    person, day = log["person"], log["day"]
    rows = row_of[person[slice(*np.searchsorted(day, (number, number + 1)))]]
    return _among(int(row_of.max(initial=-1)) + 1, rows[rows >= 0])


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


def _of_day(observer: Observer, number: int, row_of: Ints) -> tuple[Contacts, Readings, Ints, Ints, Ints]:
    """The day's contacts with people of `row_of`; and the readings, the wounds found worse and the frailty levels found
    at them."""
    records = observer.records
    of_day = records.contacts_of(number)
    contacts = take(records.contacts, of_day)
    which = (contacts.day_from(observer.world.epoch_day) == number) & (row_of[contacts.person] >= 0)
    taken = take(records.activities, records.activities_of(of_day))
    row = row_of[records.contacts.person[taken.contact]]
    taken, row = take(taken, row >= 0), row[row >= 0]
    contacts = take(contacts, which)
    readings = _readings(observer, contacts, row_of[contacts.person], taken, row)
    scored = taken.kind == a.FRAILTY
    level = np.searchsorted(a.FRAILTY_SCORES, taken.value[scored])
    return contacts, readings, row[taken.kind == a.WOUND], row[scored], level


def _readings(observer: Observer, contacts: Contacts, rows: Ints, taken: a.Activities, row: Ints) -> Readings:
    """Sets of vital signs, then single readings."""
    measured = contacts.signs >= 0
    sets = np.full((int(measured.sum()), len(READINGS)), np.nan)
    sets[:, :VITAL] = a.vital_signs_of(observer.records.journal, contacts.signs[measured])[:, :VITAL]
    rank = reading_of(taken.kind)
    single = np.flatnonzero(rank >= 0)
    alone = np.full((len(single), len(READINGS)), np.nan)
    alone[np.arange(len(single)), rank[single]] = taken.value[single]
    whose = np.concatenate([rows[measured], row[single]])
    order = np.argsort(whose, kind="stable")
    return Readings(whose[order], np.concatenate([sets, alone])[order])


def _confused(observer: Observer, contacts: Contacts) -> Flags:
    measured = contacts.signs[contacts.signs >= 0]
    return np.asarray(a.vital_signs_of(observer.records.journal, measured)[:, VITAL] == 1)


def reading_of(kind: Ints) -> Ints:
    """The place in `READINGS` of what each activity is a single reading of; -1 for other activities."""
    return np.array([READINGS.index(SINGLE[one]) if one in SINGLE else -1 for one in range(len(a.KINDS))])[kind]
