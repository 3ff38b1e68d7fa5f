"""The simulation itself: day by day, what happens to the people in the caseload places.

Only what feeds back is lived through here (states, admissions, visits, vital signs, services); details that depend on
nothing but a contact's own kind and state are drawn afterwards. A team acts on what is written up, not on what somebody
saw and has yet to write: so whoever knows the records knows all that the visits depend on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.simulator import course as c
from pipelines.simulator import places as p
from pipelines.simulator import rates
from pipelines.simulator.chance import Floats, Ints, facts
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import HORIZON_DAYS, SimulatorConfig
from pipelines.simulator.course import Day
from pipelines.simulator.diary import DELETED, book, book_week, clear_diary
from pipelines.simulator.interventions import act_on, listed_by_rule
from pipelines.simulator.people import People, draw_people
from pipelines.simulator.places import Journal, Places, World, first_places, let_in, make_world
from pipelines.simulator.teams import NEVER, share_places
from pipelines.simulator.visiting import contact_people, open_service, open_written_services
from pipelines.simulator.vocabulary import PROVIDER_CANCELLED

LINGERS = 12
"""Days that someone discharged from the caseload goes on in the simulation, so that every outcome is complete."""
GENERATIONS = 1 << 12


@dataclass
class Life:
    """A world being lived through. `known`: how many people were ever referred; `day`: the next day to be lived."""

    world: World
    places: Places
    journal: Journal
    known: int
    day: int = 0

    @property
    def people(self) -> People:
        """Everybody ever referred."""
        if len(self.journal.parts) > 1:
            self.journal.parts[:] = [chain(self.journal.parts)]
        return self.journal.parts[0]


def begin(config: SimulatorConfig) -> Life:
    """A world before its first day."""
    world = make_world(config)
    place = np.arange(config.places)
    earlier = facts(config.seed, "first", place).exponential("on the caseload", 250)
    arrived = -1 - np.minimum(earlier, 1000).astype(np.int64)
    people = draw_people(config, world.teams, place * GENERATIONS, share_places(world.teams, config.places), arrived)
    journal = Journal(parts=[take(people, place)])
    places = first_places(world, people)
    book_week(world, places, place, world.day(0), soon=False)
    return Life(world, places, journal, known=config.places)


def live_through(config: SimulatorConfig, progress: Callable[[float], None]) -> Life:
    """The history and the horizon after it, all of whose last outcomes are then complete."""
    life = begin(config)
    total = config.days + HORIZON_DAYS
    while life.day < total:
        live(life)
        if life.day % 50 == 0:
            progress(life.day / total)
    return life


def live(life: Life, listed: Ints | None = None) -> None:
    """One day. `listed`: the people on the lists of its morning, the first-listed first; without it, those whom the
    world's own rule lists, if it has one."""
    world, places, journal = life.world, life.places, life.journal
    day = world.day(life.day)
    if day.number == world.changes.merger:
        places.who.team[:] = world.changes.team_on(places.who.team, day.number)
    if day.number >= world.config.first_noted_cut:
        _note_cut(places, journal, day.number)
    act_on(world, places, journal, day.number, listed_by_rule(world, places, day.number) if listed is None else listed)
    what = _pass(world, places, journal, day)
    at_home = (places.back <= day.number) & (what == c.NOTHING)
    _attend(world, places, journal, day, np.flatnonzero(at_home))
    present = at_home & (places.left == NEVER)
    contact_people(world, places, journal, day, present, what)
    open_written_services(world, places, journal, day, present)
    _discharge(world, places, journal, day, np.flatnonzero(present))
    returning = np.flatnonzero((places.back == day.number) & present & (places.left == NEVER))
    _come_home(world, places, journal, day, returning)
    book(world, places, np.flatnonzero(present & (places.left == NEVER)), day)
    _refill(life, day)
    life.day += 1


def _note_cut(places: Places, journal: Journal, number: int) -> None:
    where = np.flatnonzero(places.here(number))
    journal.cuts.add(
        person=places.person[where], place=where, day=number, state=places.state[where], helped=places.helped[where]
    )


def spared(world: World, helped: Ints, number: int) -> Floats:
    """The factor on the emergency hazard of people helped up to a day."""
    return np.asarray(1 - world.config.interventions.effect * (helped >= number))


def _pass(world: World, places: Places, journal: Journal, day: Day) -> Ints:
    """The course takes its day's step at home; hospital stays and deaths begin. What happened to each place."""
    home = np.flatnonzero(places.back <= day.number)
    soul, traits = places.who.soul[home], take(places.traits, home)
    chances = world.of("course", soul, day.number)
    places.state[home] = c.move(world.course, chances, places.state[home], traits, day)
    what = np.zeros(len(places.person), dtype=np.int64)
    what[home] = c.happen(
        world.course, chances, places.state[home], traits, day, spared(world, places.helped[home], day.number)
    )
    _note_prevented(world, places, journal, day, home, what)
    _admit(world, places, journal, day, what)
    died = np.flatnonzero(what == c.DEATH)
    journal.deaths.add(person=places.person[died], day=day.number)
    places.ends[died] = day.number
    return what


def _note_prevented(world: World, places: Places, journal: Journal, day: Day, home: Ints, what: Ints) -> None:
    """Who would have been admitted today without the team's help."""
    helped = home[(places.helped[home] >= day.number) & (what[home] != c.EMERGENCY)]
    chances, traits = world.of("course", places.who.soul[helped], day.number), take(places.traits, helped)
    otherwise = c.happen(world.course, chances, places.state[helped], traits, day, np.ones(len(helped)))
    journal.prevented.add(person=places.person[helped[otherwise == c.EMERGENCY]], day=day.number)


def _admit(world: World, places: Places, journal: Journal, day: Day, what: Ints) -> None:
    """Start today's hospital stays; how long they last and how they end is settled at once, and told to nobody."""
    urgent, planned = np.flatnonzero(what == c.EMERGENCY), np.flatnonzero(what == c.ELECTIVE)
    terms, chances = world.config.course, world.of("stay", places.who.soul[urgent], day.number)
    nights = c.emergency_nights(terms, chances)
    died = chances.happens("dies", places.traits.hospital_death[urgent])
    ends = day.number + nights
    journal.stays.add(person=places.person[urgent], day=day.number, nights=nights, died=died, emergency=1)
    journal.deaths.add(person=places.person[urgent][died], day=ends[died])
    places.back[urgent] = ends + 1
    places.state[urgent] = world.course.after_stay[places.state[urgent]]
    places.ends[urgent[died]] = np.minimum(places.ends[urgent[died]], ends[died])
    nights = c.elective_nights(terms, world.of("stay", places.who.soul[planned], day.number))
    journal.stays.add(person=places.person[planned], day=day.number, nights=nights, died=0, emergency=0)
    places.back[planned] = day.number + nights + 1


def _attend(world: World, places: Places, journal: Journal, day: Day, home: Ints) -> None:
    chance = rates.attends(world, places.who.frailty[home], places.state[home])
    went = world.of("attendance", places.who.soul[home], day.number).happens("goes", chance)
    journal.attendances.add(person=places.person[home[went]], day=day.number)


def _discharge(world: World, places: Places, journal: Journal, day: Day, present: Ints) -> None:
    """Leave the caseload, because the work is done or because the person moves away."""
    chances = world.of("discharge", places.who.soul[present], day.number)
    moves = chances.happens("moves away", world.config.course.moves_away)
    going = moves | chances.happens("discharged", world.course.discharge[places.state[present]])
    where = present[going]
    journal.discharges.add(person=places.person[where], day=day.number, moved=moves[going])
    places.left[where] = day.number
    places.ends[where] = np.minimum(places.ends[where], day.number + LINGERS)
    clear_diary(places, journal, day.number, where, DELETED)


def _come_home(world: World, places: Places, journal: Journal, day: Day, where: Ints) -> None:
    """A first week of visits after a stay, and intermediate care for some."""
    terms = world.config.services.intermediate_care
    offered = world.of("home", places.who.soul[where], day.number).happens("intermediate care", terms.share)
    open_service(world, places, journal, day.number, where[offered], p.INTERMEDIATE_CARE)
    book_week(world, places, where, day, soon=True)


def _refill(life: Life, day: Day) -> None:
    """Give the places that fell free today to newcomers."""
    world, places, journal = life.world, life.places, life.journal
    free = np.flatnonzero(places.ends <= day.number)
    clear_diary(places, journal, day.number, free, PROVIDER_CANCELLED)
    arrived = np.full(len(free), day.number)
    newcomers = draw_people(world.config, world.teams, places.who.soul[free] + 1, places.who.team[free], arrived)
    journal.parts.append(newcomers)
    let_in(world, places, free, life.known + np.arange(len(free)), newcomers)
    life.known += len(free)
    book_week(world, places, free, day, soon=True)
