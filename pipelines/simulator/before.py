"""What the time before a filter begins to watch tells of lasting traits. Nobody followed anyone's state then, so people
are taken to have been in each as often as people on a caseload usually are."""

import numpy as np
from scipy.special import softmax

from pipelines.simulator import activities as a
from pipelines.simulator import course as c
from pipelines.simulator import rates
from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.inferred import SURE, Inferred, at_first, at_referral, expected_traits, first_wound
from pipelines.simulator.noted import reading_of
from pipelines.simulator.people import LEVELS, READINGS, VITAL, People, first_shares
from pipelines.simulator.places import World
from pipelines.simulator.records import Records
from pipelines.simulator.stepping import home
from pipelines.simulator.usual import Gauges

YEAR = 365


def inferred_before(records: Records, gauges: Gauges, number: int) -> Inferred:
    """By what was recorded of the days before `number`, all of it written up."""
    world, people = records.world, records.people
    referral = at_referral(world, people, records.frailty_score)
    shares = usual_shares(world, people, referral, number)
    inferred = at_first(world, people, referral, shares)
    if number > 0:
        _readings(records, inferred, gauges, shares, number)
        _time_at_home(records, inferred, shares, number)
        _found(records, inferred, shares, number)
    return inferred


def usual_shares(world: World, people: People, referral: Floats, number: int) -> Floats:
    """How much of the year before a day someone on a caseload spends in each state, given the mean traits of those
    referred by then."""
    known = np.flatnonzero(people.arrived < number)
    people, levels, course = take(people, known), softmax(referral[known], axis=1), world.course
    traits = expected_traits(world, people, levels, levels, 1 / (1 + np.exp(-first_wound(world, people))))
    mean = c.Traits(*(getattr(traits, name).mean(axis=0)[None] for name in c.Traits.__dataclass_fields__))
    new = first_shares(world.config, course, people, np.zeros(len(people), dtype=bool)).mean(axis=0)
    stays_on = (1 - course.discharge) * (1 - world.config.course.moves_away)
    belief, total = new[None], np.zeros(len(course))
    for day in map(world.day, range(number - 2 * YEAR, number)):
        belief = c.predict(course, belief, c.onset(mean, day))
        admitted = belief * c.emergency(course, mean, day)
        belief = (belief - admitted - belief * c.death(course, mean)) * stays_on + admitted @ home(course)
        belief = belief + (1 - belief.sum()) * new
        total += belief[0] * (day.number >= number - YEAR)
    return np.asarray(total / total.sum())


def _readings(records: Records, inferred: Inferred, gauges: Gauges, shares: Floats, number: int) -> None:
    """Whoever has an unscheduled visit is the more likely ill."""
    world, contacts = records.world, records.contacts
    asked = shares * world.course.signs["unscheduled"]
    belief = np.stack([shares, asked / asked.sum()])
    earlier = contacts.day_from(world.epoch_day) < number
    rows = np.flatnonzero(earlier & (contacts.signs >= 0))
    sets = np.full((len(rows), len(READINGS)), np.nan)
    sets[:, :VITAL] = a.vital_signs_of(records.journal, contacts.signs[rows])[:, :VITAL]
    rank = reading_of(records.activities.kind)
    single = np.flatnonzero((rank >= 0) & earlier[records.activities.contact])
    alone = np.full((len(single), len(READINGS)), np.nan)
    alone[np.arange(len(single)), rank[single]] = records.activities.value[single]
    for row, value in ((rows, sets), (records.activities.contact[single], alone)):
        order = np.argsort(contacts.person[row], kind="stable")
        which = (contacts.kind[row] == v.UNSCHEDULED).astype(np.int64)
        gauges.learn(inferred.usual, contacts.person[row][order], value[order], belief[which[order]])


def _time_at_home(records: Records, inferred: Inferred, shares: Floats, number: int) -> None:
    """Emergency admissions, calls and unscheduled visits, and the days in which they could have come."""
    people, stays, contacts = records.people, records.journal.stays, records.contacts
    person, day, count = stays["person"], stays["day"], len(people)
    earlier = day < number
    away = np.minimum(stays["nights"] + 1, number - day)[earlier]
    present = np.clip(number - np.maximum(people.arrived + 1, 0), 0, None)
    at_home = np.maximum(present - np.bincount(person[earlier], away, count), 0)
    inferred.admitted[:] = np.bincount(person[earlier & (stays["emergency"] == 1)], minlength=count)
    inferred.days[:] = at_home
    spoke = np.isin(contacts.kind, (v.CALL, v.UNSCHEDULED)) & (contacts.day_from(records.world.epoch_day) < number)
    inferred.asked[:] += np.bincount(contacts.person[spoke], minlength=count)
    upto = _expected(records.world, shares, number)
    whole = upto[people.team, number] - upto[people.team, np.clip(people.arrived + 1, 0, number)]
    inferred.expected[:] += whole * at_home / np.maximum(present, 1)


def _expected(world: World, shares: Floats, number: int) -> Floats:
    """Calls and unscheduled visits of one person with a factor of 1 on the days before each, by first team and day."""
    terms, signs, first = world.config.contacts, world.course.signs, np.arange(len(world.teams.type))
    daily = np.zeros((len(first), number + 1))
    for day in range(number):
        team = world.changes.team_on(first, day)
        both = terms.calls * world.teams.calls[team] * (shares @ signs["calls"])
        both += terms.unscheduled * world.teams.unscheduled[team] * (shares @ signs["unscheduled"])
        daily[:, day + 1] = both * rates.eagerness(world, np.zeros(1), day)
    return np.cumsum(daily, axis=1)


def _found(records: Records, inferred: Inferred, shares: Floats, number: int) -> None:
    """Wounds worse or not, and exact frailty scores."""
    contacts = records.contacts
    earlier = contacts.day_from(records.world.epoch_day) < number
    visits = np.bincount(contacts.person[earlier & contacts.seen], minlength=len(records.people))
    inferred.wound[:] += visits * np.log1p(-shares @ a.wound_chance(records.world))
    found = take(records.activities, earlier[records.activities.contact])
    whose: Ints = contacts.person[found.contact]
    inferred.wound[whose[found.kind == a.WOUND]] = SURE
    scored = found.kind == a.FRAILTY
    level = np.searchsorted(a.FRAILTY_SCORES, found.value[scored])
    np.subtract.at(inferred.frailty, whose[scored], SURE * (level[:, None] != LEVELS))
