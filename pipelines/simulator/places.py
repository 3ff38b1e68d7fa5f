"""The caseload places, who is in them, and the journal of what happens to them."""

from dataclasses import dataclass, field

import numpy as np

from pipelines.simulator.calendar import EPOCH, is_rest_day
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.course import Course, Day, Traits, course_of, make_day
from pipelines.simulator.delays import WriteUp, make_write_up
from pipelines.simulator.log import Log
from pipelines.simulator.people import People, first_shares, traits_of
from pipelines.simulator.readings import VitalSigns, make_vital_signs
from pipelines.simulator.teams import NEVER, Changes, Teams, draw_teams, plan_changes, shock_on

BOOKED_AHEAD = 7
RING = BOOKED_AHEAD + 1
PENDING = 16
"""More than the longest time until a day is written up."""
NO_SERVICE, URGENT, INTERMEDIATE_CARE, HOSPITAL_AT_HOME, END_OF_LIFE = range(-1, 4)
"""Services beside the main referral."""


@dataclass(frozen=True)
class World:
    """What does not change while a world is lived through."""

    config: SimulatorConfig
    course: Course
    teams: Teams
    changes: Changes
    write_up: WriteUp
    vital_signs: VitalSigns

    @property
    def epoch_day(self) -> int:
        """The first simulated day, counted from 1970."""
        return (self.config.start - EPOCH).days

    def day(self, number: int) -> Day:
        return make_day(
            self.config.course, number, self.config.date_of(number), shock_on(self.config, self.changes, number)
        )

    def rests(self, number: int) -> bool:
        return is_rest_day(self.config.date_of(number))

    def of(self, kind: str, soul: Ints, number: Ints | int) -> Facts:
        """The chances of a kind of fact about people on a day."""
        return facts(self.config.seed, kind, soul, np.broadcast_to(number, np.shape(soul)))


def make_world(config: SimulatorConfig) -> World:
    course, teams = course_of(config.course), draw_teams(config)
    return World(
        config,
        course,
        teams,
        plan_changes(config, teams),
        make_write_up(config, teams),
        make_vital_signs(config, course),
    )


@dataclass
class Journal:
    """Everything that happened, by person number and day number."""

    parts: list[People] = field(default_factory=list)
    """Everybody ever referred, in the order of their numbers."""
    contacts: Log = field(
        default_factory=lambda: Log(
            person="i4", day="i2", kind="i1", state="i1", booked="i2", acted="i2", status="i1", service="i4", signs="i4"
        )
    )
    vital_signs: Log = field(default_factory=lambda: Log(v0="i2", v1="i2", v2="i2", v3="i2", v4="i2", v5="i2"))
    """Ten times what was read."""
    stays: Log = field(default_factory=lambda: Log(person="i4", day="i2", nights="i2", died="i1", emergency="i1"))
    attendances: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    onward: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    recognised: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    deaths: Log = field(default_factory=lambda: Log(person="i4", day="i2"))
    discharges: Log = field(default_factory=lambda: Log(person="i4", day="i2", moved="i1"))
    services: Log = field(default_factory=lambda: Log(person="i4", kind="i1", first="i2", last="i2"))
    cuts: Log = field(default_factory=lambda: Log(person="i4", place="i4", day="i2", state="i1", helped="i4"))
    exposures: Log = field(default_factory=lambda: Log(person="i4", day="i2", team="i2", rank="i2", acted="i1"))
    prevented: Log = field(default_factory=lambda: Log(person="i4", day="i2"))


@dataclass(frozen=True)
class Places:
    """By place; the arrays change from day to day."""

    person: Ints
    who: People
    traits: Traits
    state: Ints
    back: Ints
    """First day that the person spends at home again after a stay."""
    left: Ints
    """Day of discharge from the caseload."""
    ends: Ints
    """Day at whose end the place falls free."""
    boost: Floats
    """How much more often than in the care plan the team visits, after what was written up."""
    booked: Ints
    """By place and day modulo `RING`: the day on which a visit was booked, or -1."""
    booked_by: Ints
    """The same: the service that was open at the booking, or -1."""
    coming_boost: Floats
    """By place and day modulo `PENDING`: what the day's write-ups will do to `boost`."""
    coming_service: Ints
    """The same: the service that a write-up will open."""
    service: Ints
    """Number in the journal of the service that visits, -1 for none; `service_kind` and `service_ends` go with it."""
    service_kind: Ints
    service_ends: Ints
    urgent: Ints
    """Number of the last referral to urgent response, which is open to `urgent_ends`."""
    urgent_ends: Ints
    helped: Ints
    """Last day on which the team's help lasts."""

    def here(self, number: int) -> Flags:
        """Alive, at home and on the caseload."""
        return np.asarray((self.back <= number) & (self.left == NEVER))


def first_places(world: World, people: People) -> Places:
    count = len(people)
    places = Places(
        person=np.arange(count),
        who=people,
        traits=traits_of(world.config, world.course, people),
        state=np.zeros(count, dtype=np.int64),
        back=np.zeros(count, dtype=np.int64),
        left=np.zeros(count, dtype=np.int64),
        ends=np.zeros(count, dtype=np.int64),
        boost=np.ones(count),
        booked=np.full((count, RING), -1),
        booked_by=np.full((count, RING), -1),
        coming_boost=np.ones((count, PENDING)),
        coming_service=np.full((count, PENDING), NO_SERVICE),
        service=np.full(count, -1),
        service_kind=np.full(count, NO_SERVICE),
        service_ends=np.full(count, -1),
        urgent=np.full(count, -1),
        urgent_ends=np.full(count, -1),
        helped=np.full(count, -1),
    )
    _settle(world, places, np.arange(count), people)
    return places


def let_in(world: World, places: Places, where: Ints, person: Ints, newcomers: People) -> None:
    """Give the places `where` to newcomers."""
    places.who.put(where, newcomers)
    places.person[where] = person
    fresh = traits_of(world.config, world.course, newcomers)
    for name in ("onset", "emergency", "death", "hospital_death"):
        getattr(places.traits, name)[where] = getattr(fresh, name)
    _settle(world, places, where, newcomers)


def _settle(world: World, places: Places, where: Ints, newcomers: People) -> None:
    shares = first_shares(world.config, world.course, newcomers, newcomers.arrived < 0)
    draw = facts(world.config.seed, "first state", newcomers.soul).uniform("state")
    places.state[where] = (draw[:, None] >= np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
    places.left[where] = places.ends[where] = NEVER
    places.boost[where], places.coming_boost[where] = 1.0, 1.0
    for name in ("back", "booked", "booked_by", "service", "service_ends", "urgent", "urgent_ends", "helped"):
        getattr(places, name)[where] = -1
    places.coming_service[where] = places.service_kind[where] = NO_SERVICE
