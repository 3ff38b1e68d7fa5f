"""The diary of planned visits."""

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.course import Day
from pipelines.simulator.places import BOOKED_AHEAD, RING, Journal, Places, World

DELETED = -2
"""Status of a booking that was taken off the diary at discharge."""


def visits_by_service(world: World) -> Floats:
    """Visits a day that each service makes, and a last entry for none."""
    terms = world.config.services
    kinds = (terms.urgent, terms.intermediate_care, terms.hospital_at_home, terms.end_of_life)
    return np.array([kind.visits for kind in kinds] + [0.0])


def book(world: World, places: Places, here: Ints, day: Day) -> None:
    """Enter the care plan's visit a week ahead, and an extra one tomorrow for a service or where the team worries."""
    rate, team = places.who.visit_rate[here], places.who.team[here]
    chances = world.of("booking", places.who.soul[here], day.number)
    ahead = day.number + BOOKED_AHEAD
    routine = chances.happens("routine", rate * _working(world, team, ahead))
    places.booked[here[routine], ahead % RING] = day.number
    more = rate * (places.boost[here] - 1)
    more += np.maximum(0, visits_by_service(world)[places.service_kind[here]] - rate)
    extra = chances.happens("extra", more * _working(world, team, day.number + 1))
    enter(places, here[extra], day.number, 1)


def book_week(world: World, places: Places, where: Ints, day: Day, *, soon: bool) -> None:
    """Enter the visits of a first week, with one in the next three days if `soon`."""
    if len(where) == 0:
        return
    rate, team = places.who.visit_rate[where], places.who.team[where]
    chances = world.of("first week", places.who.soul[where], day.number)
    first = chances.whole("soon", 1, 4) if soon else np.zeros(len(where), dtype=np.int64)
    for ahead in range(1, RING):
        chosen = chances.happens(f"visit {ahead}", rate * _working(world, team, day.number + ahead))
        enter(places, where[chosen | (first == ahead)], day.number, ahead)


def enter(places: Places, where: Ints, number: int, ahead: Ints | int) -> None:
    """Book a visit `ahead` days from day `number` where none is booked for then."""
    slot = np.broadcast_to((number + np.asarray(ahead)) % RING, where.shape)
    free = places.booked[where, slot] < 0
    places.booked[where[free], slot[free]] = number
    places.booked_by[where[free], slot[free]] = places.service[where[free]]


def clear_diary(places: Places, journal: Journal, number: int, where: Ints, status: int) -> None:
    """Take what is booked after day `number` off the diary."""
    journal.contacts.add(**booked_visits(places, number + 1, where), acted=number, status=status)
    places.booked[where] = -1


def booked_visits(places: Places, first: int, where: Ints) -> dict[str, Ints]:
    """The visits that stand in the diary for day `first` and later, as columns of the journal's contacts."""
    rows, slots = np.nonzero(places.booked[where] >= 0)
    place = where[rows]
    return {
        "person": places.person[place],
        "day": first + (slots - first) % RING,
        "kind": np.full(len(place), v.VISIT),
        "state": places.state[place],
        "booked": places.booked[place, slots],
        "service": places.booked_by[place, slots],
        "signs": np.full(len(place), -1),
    }


def _working(world: World, team: Ints, number: int) -> Floats:
    """The share of the care plan's visits that each team makes on a day."""
    return world.teams.weekend[team] if world.rests(number) else np.ones(len(team))
