"""How likely each thing is that a team may meet with on a day.

Each formula stands once. `at` says which states it is for: the own states of some people (with their factors as a
row), or `EVERY`, all states at once (with the factors as a column).
"""

from typing import Any

import numpy as np

from pipelines.simulator.chance import Flags, Floats, Ints
from pipelines.simulator.places import END_OF_LIFE, Places, World

EVERY = (None, slice(None))


def eagerness(world: World, own: Floats, number: int) -> Floats:
    """The factor on calls and unscheduled visits of people on a day, their team's left out."""
    return np.asarray(np.exp(own) * (world.config.contacts.rest_day_calls if world.rests(number) else 1.0))


def calls(world: World, eager: Floats, team: Ints, at: Any) -> Floats:
    """The rate of calls; on a day there is one or none."""
    return np.asarray(world.config.contacts.calls * world.course.signs["calls"][at] * eager * world.teams.calls[team])


def unscheduled(world: World, eager: Floats, team: Ints, at: Any) -> Floats:
    """The rate of unscheduled visits; on a day there is one or none."""
    rate = world.config.contacts.unscheduled * world.course.signs["unscheduled"][at]
    return np.asarray(rate * eager * world.teams.unscheduled[team])


def at_least_one(rate: Floats) -> Floats:
    return np.asarray(-np.expm1(-rate))


def onward(world: World, at: Any) -> Floats:
    return np.asarray(world.config.contacts.onward * world.course.signs["onward"][at])


def attends(world: World, frailty: Ints | Floats, at: Any) -> Floats:
    """An emergency department attendance without admission."""
    terms = world.config.contacts
    own = terms.attends * np.exp(terms.attends_frailty * (frailty - 1))
    return np.asarray(own * world.course.signs["attends"][at])


def recognised(world: World, at: Any) -> Floats:
    """That someone is recognised as dying."""
    otherwise, dying = world.config.contacts.recognised
    return np.asarray(np.where(world.course.illness == len(world.course.illnesses) - 1, dying, otherwise)[at])


def recognisable(places: Places) -> Flags:
    """Whom nobody has yet put on an end of life service."""
    return np.asarray(~places.who.dying & (places.service_kind != END_OF_LIFE))


def no_access(world: World, team: Ints, at: Any) -> Floats:
    """That a planned visit finds nobody in, or no answer."""
    chance = world.config.contacts.no_access
    odds = chance / (1 - chance) * np.exp(world.teams.no_access[team]) * world.course.signs["no_access"][at]
    return np.asarray(odds / (1 + odds))


def patient_cancels(world: World, at: Any) -> Floats:
    return np.asarray(world.config.contacts.patient_cancels * world.course.signs["cancels"][at])


def provider_cancels(world: World, number: int) -> float:
    return world.config.contacts.provider_cancels * (1 + world.rests(number))
