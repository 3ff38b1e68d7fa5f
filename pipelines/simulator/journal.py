"""The simulation itself: day by day, what happens to the people in the trust's caseload places.

Only what feeds back is drawn here (states, admissions, visits, NEWS); details that depend on nothing but a contact's
own kind and state are drawn afterwards, all at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator import vocabulary as v
from pipelines.simulator import world
from pipelines.simulator.calendar import is_rest_day
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import HORIZON_DAYS, SimulatorConfig
from pipelines.simulator.people import Flags, Floats, Ints, People, Teams, draw_people, share_places

NEVER = 1 << 30
LINGERS = 12
"""Days that someone discharged from the caseload goes on in the simulation, so that every outcome is complete."""
BOOKED_AHEAD = 7
RING = BOOKED_AHEAD + 1

UNSCHEDULED_RATE = 0.010 * np.array([1, 4, 13, 2])
CALL_RATE = 0.022 * np.array([1, 2.5, 6, 1.7])
ONWARD_CHANCE = 0.003 * np.array([1, 3.5, 7, 4])
ATTENDANCE_CHANCE = 0.0008 * np.array([1, 4, 10, 3])
NOTE_RATE = 0.03
NO_ACCESS_CHANCE = np.array([0.02, 0.04, 0.08, 0.035])
PATIENT_CANCELS = np.array([0.02, 0.03, 0.05, 0.03])
PROVIDER_CANCELS = 0.03
NEWS_SHIFT = np.array([0, 1, 3, 0.6])
DELETED = -2
"""Status of a booking that was taken off the diary at discharge."""


class Log:
    """Columns that grow by a few rows at a time; a single value stands for a whole column of it."""

    def __init__(self, **types: str) -> None:
        self._types = types
        self._parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in types}

    def add(self, **columns: NDArray[np.generic] | int) -> None:
        rows = np.broadcast_arrays(*columns.values())
        for name, values in zip(columns, rows, strict=True):
            self._parts[name].append(values.astype(self._types[name]))

    def __getitem__(self, name: str) -> Ints:
        parts = self._parts[name]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Journal:
    """Everything that happened, by person number and day number."""

    people: People
    contacts: Log = field(
        default_factory=lambda: Log(
            person="i4", day="i2", kind="i1", state="i1", booked="i2", acted="i2", status="i1", news="i1"
        )
    )
    stays: Log = field(default_factory=lambda: Log(person="i4", day="i2", nights="i2", died="i1", emergency="i1"))
    attendances: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    onward: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    deaths: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    discharges: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    cuts: Log = field(default_factory=lambda: Log(person="i4", day="i2", state="i1"))


@dataclass(frozen=True)
class Places:
    """The caseload places and who is in them; the arrays change from day to day."""

    person: Ints
    who: People
    state: NDArray[np.int8]
    back: Ints
    """First day that the person spends at home again after a stay."""
    left: Ints
    """Day of discharge from the caseload."""
    ends: Ints
    """Day at whose end the place falls free."""
    boost: Floats
    """How much more often than in the care plan the team visits, after what it saw."""
    booked: Ints
    """By place and day modulo `RING`: the day on which a visit was booked, or -1."""


@dataclass(frozen=True)
class Day:
    number: int
    date: date
    rest: bool
    news: Floats
    """Each team's share of visits with NEWS, today."""


def keep_journal(
    config: SimulatorConfig,
    teams: Teams,
    stopped: tuple[int, int, int],
    seed: np.random.SeedSequence,
    progress: Callable[[float], None],
) -> Journal:
    """Live through the history and the horizon after it. `stopped`: a team and the first and last-plus-one day on
    which it records no NEWS."""
    rng = np.random.default_rng(seed)
    places = _first_places(rng, teams, share_places(teams, config.places))
    parts = [take(places.who, np.arange(config.places))]
    journal = Journal(people=parts[0])
    total = config.days + HORIZON_DAYS
    for number in range(total):
        day = _day(config, teams, stopped, number)
        if number == 0:
            _book_week(rng, places, teams, np.arange(config.places), day, soon=False)
        if config.first_noted_cut <= number <= config.days:
            _note_cut(places, journal, number)
        _live(rng, places, teams, journal, day)
        parts.append(_refill(rng, places, teams, journal, day, sum(map(len, parts))))
        if number % 50 == 0:
            progress(number / total)
    return replace(journal, people=chain(parts))


def _day(config: SimulatorConfig, teams: Teams, stopped: tuple[int, int, int], number: int) -> Day:
    when = config.date_of(number)
    team, first, last = stopped
    silent = (np.arange(len(teams.type)) == team) & (first <= number < last)
    return Day(number, when, is_rest_day(when), np.where(silent, 0.0, teams.news))


def _first_places(rng: np.random.Generator, teams: Teams, home_team: Ints) -> Places:
    count = len(home_team)
    arrived = -1 - np.minimum(rng.exponential(250, count), 1000).astype(np.int64)
    return Places(
        person=np.arange(count),
        who=draw_people(rng, teams, home_team, arrived),
        state=rng.choice(4, count, p=np.array(world.SETTLED_SHARES)).astype(np.int8),
        back=np.full(count, -1),
        left=np.full(count, NEVER),
        ends=np.full(count, NEVER),
        boost=np.ones(count),
        booked=np.full((count, RING), -1),
    )


def _note_cut(places: Places, journal: Journal, number: int) -> None:
    on_caseload = np.flatnonzero((places.back <= number) & (places.left == NEVER))
    journal.cuts.add(person=places.person[on_caseload], day=number, state=places.state[on_caseload])


def _live(rng: np.random.Generator, places: Places, teams: Teams, journal: Journal, day: Day) -> None:
    home = np.flatnonzero(places.back <= day.number)
    traits = take(world.traits_of(places.who), home)
    places.state[home] = world.move(rng, places.state[home], traits, day.date)
    what = np.zeros(len(places.person), dtype=np.int8)
    what[home] = world.happen(rng, places.state[home], traits, day.date)
    _admit(rng, places, journal, day, what)
    died = np.flatnonzero(what == world.DEATH)
    journal.deaths.add(person=places.person[died], day=day.number)
    places.ends[died] = day.number
    at_home = (places.back <= day.number) & (what == world.NOTHING)
    _attend(rng, places, journal, day, np.flatnonzero(at_home))
    present = at_home & (places.left == NEVER)
    _contact(rng, places, teams, journal, day, present, what)
    _discharge(rng, places, journal, day, np.flatnonzero(present))
    returning = (places.back == day.number) & (places.left == NEVER) & at_home
    _book_week(rng, places, teams, np.flatnonzero(returning), day, soon=True)
    _book(rng, places, teams, np.flatnonzero(present & (places.left == NEVER)), day)


def _admit(rng: np.random.Generator, places: Places, journal: Journal, day: Day, what: NDArray[np.int8]) -> None:
    """Start today's hospital stays; how long they last and how they end is settled at once, and told to nobody."""
    urgent, planned = np.flatnonzero(what == world.EMERGENCY), np.flatnonzero(what == world.ELECTIVE)
    nights = world.emergency_nights(rng, len(urgent))
    died = rng.random(len(urgent)) < 0.05 + 0.03 * places.who.frailty[urgent]
    ends = day.number + nights
    journal.stays.add(person=places.person[urgent], day=day.number, nights=nights, died=died, emergency=1)
    journal.deaths.add(person=places.person[urgent][died], day=ends[died])
    places.back[urgent] = ends + 1
    places.state[urgent] = world.POST_ACUTE
    places.ends[urgent[died]] = np.minimum(places.ends[urgent[died]], ends[died])
    nights = world.elective_nights(rng, len(planned))
    journal.stays.add(person=places.person[planned], day=day.number, nights=nights, died=0, emergency=0)
    places.back[planned] = day.number + nights + 1


def _attend(rng: np.random.Generator, places: Places, journal: Journal, day: Day, at_home: Ints) -> None:
    """Emergency department attendances without admission."""
    chance = ATTENDANCE_CHANCE[places.state[at_home]] * np.exp(0.2 * places.who.frailty[at_home])
    journal.attendances.add(person=places.person[at_home[rng.random(len(at_home)) < chance]], day=day.number)


def _contact(
    rng: np.random.Generator,
    places: Places,
    teams: Teams,
    journal: Journal,
    day: Day,
    present: Flags,
    what: NDArray[np.int8],
) -> None:
    """Today's visits, calls and notes, and what the team makes of them."""
    slot = day.number % RING
    due = places.booked[:, slot] >= 0
    seen, news_high = _visit(rng, places, teams, journal, day, np.flatnonzero(due & present))
    _miss(rng, places, journal, day, np.flatnonzero(due & ~present), what)
    places.booked[:, slot] = -1
    here = np.flatnonzero(present)
    state, team = places.state[here], places.who.team[here]
    eager = np.exp(places.who.eagerness[here]) * (0.8 if day.rest else 1.0)
    calls = rng.poisson(CALL_RATE[state] * eager * teams.calls[team])
    notes = rng.poisson(NOTE_RATE, len(here))
    _record(places, journal, day, np.repeat(here, calls), v.CALL)
    _record(places, journal, day, np.repeat(here, notes), v.NOTE)
    onward = here[rng.random(len(here)) < ONWARD_CHANCE[state]]
    journal.onward.add(person=places.person[onward], day=day.number)
    times = rng.poisson(UNSCHEDULED_RATE[state] * eager * teams.unscheduled[team])
    asked = np.repeat(here, times)
    high = _see(rng, places, journal, day, asked, v.UNSCHEDULED, day.news[places.who.team[asked]] + 0.2)
    places.boost[:] = 1 + (places.boost - 1) * 0.95
    places.boost[np.union1d(news_high, high)] *= 1.5
    places.boost[np.unique(asked)] *= 1.3
    np.minimum(places.boost, 4, out=places.boost)


def _visit(
    rng: np.random.Generator, places: Places, teams: Teams, journal: Journal, day: Day, due: Ints
) -> tuple[Ints, Ints]:
    """Booked visits to people at home: the places seen, and those of them with a high NEWS."""
    state, team = places.state[due], places.who.team[due]
    odds = NO_ACCESS_CHANCE / (1 - NO_ACCESS_CHANCE)
    shifted = odds[state] * np.exp(teams.no_access[team])
    bounds = np.cumsum(
        [shifted / (1 + shifted), PATIENT_CANCELS[state], np.full(len(due), PROVIDER_CANCELS * (1 + day.rest))], axis=0
    )
    draw = rng.random(len(due))
    status = np.select(list(draw < bounds), (v.NO_ACCESS, v.PATIENT_CANCELLED, v.PROVIDER_CANCELLED), v.ATTENDED)
    missed = status != v.ATTENDED
    booked = places.booked[due, day.number % RING]
    _record(places, journal, day, due[missed], v.VISIT, status=status[missed], booked=booked[missed])
    seen = due[~missed]
    high = _see(rng, places, journal, day, seen, v.VISIT, day.news[places.who.team[seen]], booked[~missed])
    return seen, high


def _see(
    rng: np.random.Generator,
    places: Places,
    journal: Journal,
    day: Day,
    seen: Ints,
    kind: int,
    share: Floats,
    booked: Ints | int = -1,
) -> Ints:
    """Record visits that took place, some with a NEWS; the places whose NEWS is 4 or more."""
    value = places.who.news[seen] + NEWS_SHIFT[places.state[seen]] + rng.normal(0, 1.3, len(seen))
    taken = rng.random(len(seen)) < share
    news = np.where(taken, np.clip(np.rint(value), 0, 20), -1).astype(np.int64)
    _record(places, journal, day, seen, kind, booked=booked, news=news)
    return seen[news >= 4]


def _miss(
    rng: np.random.Generator, places: Places, journal: Journal, day: Day, due: Ints, what: NDArray[np.int8]
) -> None:
    """Booked visits to people in hospital or just gone: on the first day the team may find nobody in."""
    surprised = (what[due] > 0) & (rng.random(len(due)) < 0.4)
    status = np.where(surprised, v.NO_ACCESS, v.PROVIDER_CANCELLED)
    booked = places.booked[due, day.number % RING]
    _record(places, journal, day, due, v.VISIT, status=status, booked=booked)


def _record(
    places: Places,
    journal: Journal,
    day: Day,
    where: Ints,
    kind: int,
    *,
    status: Ints | int = v.ATTENDED,
    booked: Ints | int = -1,
    news: Ints | int = -1,
) -> None:
    person, state, number = places.person[where], places.state[where], day.number
    journal.contacts.add(
        person=person, day=number, kind=kind, state=state, booked=booked, acted=number, status=status, news=news
    )


def _discharge(rng: np.random.Generator, places: Places, journal: Journal, day: Day, present: Ints) -> None:
    going = present[rng.random(len(present)) < world.DISCHARGE_BY_STATE[places.state[present]]]
    journal.discharges.add(person=places.person[going], day=day.number)
    places.left[going] = day.number
    places.ends[going] = np.minimum(places.ends[going], day.number + LINGERS)
    _clear_diary(places, journal, day.number, going, DELETED)


def _clear_diary(places: Places, journal: Journal, number: int, where: Ints, status: int) -> None:
    rows, slots = np.nonzero(places.booked[where] >= 0)
    place = where[rows]
    target = number + (slots - number) % RING
    booked = places.booked[place, slots]
    journal.contacts.add(
        person=places.person[place],
        day=target,
        kind=v.VISIT,
        state=places.state[place],
        booked=booked,
        acted=number,
        status=status,
        news=-1,
    )
    places.booked[where] = -1


def _working(teams: Teams, team: Ints, day: date) -> Floats:
    """The share of the care plan's visits that each team makes on `day`."""
    return teams.weekend[team] if is_rest_day(day) else np.ones(len(team))


def _book(rng: np.random.Generator, places: Places, teams: Teams, here: Ints, day: Day) -> None:
    """Enter the care plan's visit a week ahead, and tomorrow's extra one where the team has reason to worry."""
    rate, team = places.who.visit_rate[here], places.who.team[here]
    routine = rng.random(len(here)) < rate * _working(teams, team, day.date + timedelta(days=BOOKED_AHEAD))
    places.booked[here[routine], (day.number + BOOKED_AHEAD) % RING] = day.number
    tomorrow = _working(teams, team, day.date + timedelta(days=1))
    extra = here[rng.random(len(here)) < rate * tomorrow * (places.boost[here] - 1)]
    _enter(places, extra, day.number, 1)


def _book_week(rng: np.random.Generator, places: Places, teams: Teams, where: Ints, day: Day, *, soon: bool) -> None:
    """Enter the visits of a first week, with one in the next three days if `soon`."""
    if len(where) == 0:
        return
    rate, team = places.who.visit_rate[where], places.who.team[where]
    first = rng.integers(1, 4, len(where)) if soon else np.zeros(len(where), dtype=np.int64)
    for ahead in range(1, RING):
        chance = rate * _working(teams, team, day.date + timedelta(days=ahead))
        _enter(places, where[(rng.random(len(where)) < chance) | (first == ahead)], day.number, ahead)


def _enter(places: Places, where: Ints, number: int, ahead: int) -> None:
    """Book a visit `ahead` days from day `number` where none is booked for then."""
    free = where[places.booked[where, (number + ahead) % RING] < 0]
    places.booked[free, (number + ahead) % RING] = number


def _refill(rng: np.random.Generator, places: Places, teams: Teams, journal: Journal, day: Day, known: int) -> People:
    """Give the places that fell free today to newcomers, whose numbers begin at `known`."""
    free = np.flatnonzero(places.ends <= day.number)
    _clear_diary(places, journal, day.number, free, v.PROVIDER_CANCELLED)
    newcomers = draw_people(rng, teams, places.who.team[free], np.full(len(free), day.number))
    places.who.put(free, newcomers)
    places.person[free] = known + np.arange(len(free))
    places.state[free] = rng.choice(4, len(free), p=np.array(world.START_SHARES)).astype(np.int8)
    places.back[free] = -1
    places.left[free] = NEVER
    places.ends[free] = NEVER
    places.boost[free] = 1.0
    places.booked[free] = -1
    _book_week(rng, places, teams, free, day, soon=True)
    return newcomers
