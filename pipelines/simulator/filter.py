"""What could be known at best: the chances of each state given everything observed so far.

The filter knows the simulator's formulas, every person's and team's traits, and every record at once and unspoilt, so
no model that learns from the extracts can beat it except by luck or by a leak.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from pipelines.simulator import activities as a
from pipelines.simulator import contacts as c
from pipelines.simulator import journal as j
from pipelines.simulator import vocabulary as v
from pipelines.simulator import world
from pipelines.simulator.calendar import DAY, EPOCH, is_rest_day
from pipelines.simulator.columns import take
from pipelines.simulator.people import Flags, Floats, Ints
from pipelines.simulator.trust import Trust

SPAN = 1 << 15
"""More than the days of any history: person * SPAN + day is a key."""


@dataclass(frozen=True)
class Cuts:
    """Who was at home and on the caseload at each cut, in the order of `key`."""

    key: Ints
    person: Ints
    day: Ints
    state: Ints

    def rows_of(self, person: Ints, day: Ints) -> Ints:
        """The row of each person and day, -1 where there is none."""
        key = person * SPAN + day
        row = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[row] == key, row, -1)


def make_cuts(trust: Trust) -> Cuts:
    log = trust.journal.cuts
    key = log["person"] * SPAN + log["day"]
    order = np.argsort(key)
    return Cuts(key[order], log["person"][order], log["day"][order], log["state"][order])


def beliefs(trust: Trust, cuts: Cuts) -> Floats:
    """The chances of each state at each cut, given all that happened before it."""
    evidence = _evidence(trust, cuts)
    gone = _gone(trust, cuts)
    belief = np.tile(np.array(world.START_SHARES), (len(trust.people), 1))
    first = cuts.day.min()
    belief[trust.people.arrived < first - 1] = world.SETTLED_SHARES
    traits, days = world.traits_of(trust.people), np.argsort(cuts.day, kind="stable")
    at_cut = np.zeros((len(cuts.key), 4))
    for rows in np.split(days, np.flatnonzero(np.diff(cuts.day[days])) + 1):
        person = cuts.person[rows]
        at_cut[rows] = belief[person]
        day = trust.config.date_of(int(cuts.day[rows[0]]))
        own = take(traits, person)
        moved = world.predict(belief[person], own, day)
        seen = moved * world.survival(own, day) * np.exp(evidence[rows] - evidence[rows].max(axis=1, keepdims=True))
        seen /= seen.sum(axis=1, keepdims=True)
        after = np.where((gone[rows] == world.ELECTIVE)[:, None], moved, seen)
        belief[person] = np.where((gone[rows] == world.EMERGENCY)[:, None], np.eye(4)[world.POST_ACUTE], after)
    return at_cut


def _gone(trust: Trust, cuts: Cuts) -> Ints:
    """What took each person away on the day after each cut, if anything did."""
    log = trust.journal.stays
    row = cuts.rows_of(log["person"], log["day"])
    gone = np.zeros(len(cuts.key), dtype=np.int64)
    gone[row[row >= 0]] = np.where(log["emergency"] == 1, world.EMERGENCY, world.ELECTIVE)[row >= 0]
    return gone


def _evidence(trust: Trust, cuts: Cuts) -> Floats:
    """Log likelihood, by state, of what was observed on the day after each cut."""
    total = _absences(trust, cuts)
    contacts = trust.unspoilt
    day = contacts.start // DAY - (trust.config.start - EPOCH).days
    row = np.where(contacts.deleted | (contacts.kind == v.LIAISON), -1, cuts.rows_of(contacts.person, day))
    chosen = np.flatnonzero(row >= 0)
    for part, where in (_contact_evidence(trust, chosen), _activity_evidence(trust, row)):
        at = row[where]
        for state in range(4):
            total[:, state] += np.bincount(at, weights=part[:, state], minlength=len(total))
    return total


def _absences(trust: Trust, cuts: Cuts) -> Floats:
    """What the day would tell if nobody called, came or was sent on; and what its events of these kinds add."""
    people, teams = trust.people, trust.teams
    eager = np.exp(people.eagerness[cuts.person]) * np.where(_rest(trust, cuts.day), 0.8, 1.0)
    team = people.team[cuts.person]
    asked = (eager * teams.unscheduled[team])[:, None] * j.UNSCHEDULED_RATE
    called = (eager * teams.calls[team])[:, None] * j.CALL_RATE
    attends = j.ATTENDANCE_CHANCE * np.exp(0.2 * people.frailty[cuts.person])[:, None]
    onward = np.tile(j.ONWARD_CHANCE, (len(cuts.key), 1))
    total = -asked - called + np.log1p(-world.DISCHARGE_BY_STATE)
    for log, chance in ((trust.journal.attendances, attends), (trust.journal.onward, onward)):
        row = cuts.rows_of(log["person"], log["day"])
        happened = np.isin(np.arange(len(cuts.key)), row)
        total += np.where(happened[:, None], np.log(chance), np.log1p(-chance))
    return np.asarray(total)


def _rest(trust: Trust, day: Ints) -> Flags:
    """Whether each simulated day is a day of rest."""
    known = [is_rest_day(trust.config.date_of(number)) for number in range(int(day.max(initial=0)) + 1)]
    return np.array(known)[day]


def _contact_evidence(trust: Trust, chosen: Ints) -> tuple[Floats, Ints]:
    contacts = take(trust.unspoilt, chosen)
    asked, called = contacts.kind == v.UNSCHEDULED, contacts.kind == v.CALL
    total = asked[:, None] * np.log(j.UNSCHEDULED_RATE) + called[:, None] * np.log(j.CALL_RATE)
    visit = contacts.kind == v.VISIT
    total[visit] += _status_evidence(trust, take(contacts, visit))
    timed = (contacts.duration > 0) & (contacts.kind <= v.CALL)
    usual = np.log(c.TYPICAL_MINUTES[contacts.kind])[:, None] + c.DURATION_SHIFT
    total += timed[:, None] * _normal(np.log(np.maximum(contacts.duration, 1)), usual, 0.35)
    scored = np.flatnonzero(contacts.news >= 0)
    mean = trust.people.news[contacts.person[scored]][:, None] + j.NEWS_SHIFT
    total[scored] += _rounded(contacts.news[scored].astype(np.float64), mean, 1.3)
    return total, chosen


def _status_evidence(trust: Trust, visits: c.Contacts) -> Floats:
    odds = j.NO_ACCESS_CHANCE / (1 - j.NO_ACCESS_CHANCE)
    home = trust.people.team[visits.person]
    shifted = odds * np.exp(trust.teams.no_access[home])[:, None]
    chance = shifted / (1 + shifted)
    day = visits.start // DAY - (trust.config.start - EPOCH).days
    provider = j.PROVIDER_CANCELS * (1 + _rest(trust, day))[:, None]
    seen = 1 - chance - j.PATIENT_CANCELS - provider
    status = visits.status[:, None]
    told = [status == v.NO_ACCESS, status == v.PATIENT_CANCELLED, status == v.PROVIDER_CANCELLED]
    likely = [chance, np.broadcast_to(j.PATIENT_CANCELS, chance.shape), np.ones_like(chance)]
    likelihood: Floats = np.select(told, likely, seen)
    return np.log(likelihood)


def _activity_evidence(trust: Trust, row: Ints) -> tuple[Floats, Ints]:
    """Pain, weight and Waterlow score, and whether a wound seen was worse."""
    acts, contacts, people = trust.activities, trust.unspoilt, trust.people
    person = contacts.person[acts.contact]
    total = np.zeros((len(acts), 4))
    kilograms = (acts.kind == a.WEIGHED) | ((acts.kind == a.WEIGHT) & (acts.unit == a.KILOGRAM))
    usual_weight, usual_waterlow = people.weight[person][:, None], people.waterlow[person][:, None]
    value = np.nan_to_num(acts.value)
    total += kilograms[:, None] * _normal(value, usual_weight + a.WEIGHT_SHIFT, 1.5)
    total += (acts.kind == a.WATERLOW)[:, None] * _rounded(value, usual_waterlow + a.WATERLOW_SHIFT, 2.0)
    total += (acts.kind == a.PAIN)[:, None] * _rounded(value, np.tile(a.USUAL_PAIN + a.PAIN_SHIFT, (len(acts), 1)), 2.0)
    total += (acts.kind == a.WOUND)[:, None] * np.log(a.WOUND_CHANCE / (1 - a.WOUND_CHANCE))
    used = row[acts.contact] >= 0
    wounds = np.flatnonzero(contacts.seen & people.wound[contacts.person] & (row >= 0))
    none_worse = np.tile(np.log1p(-a.WOUND_CHANCE), (len(wounds), 1))
    return np.concatenate([total[used], none_worse]), np.concatenate([acts.contact[used], wounds])


def _normal(value: Floats, mean: Floats, spread: float) -> Floats:
    return -0.5 * ((value[:, None] - mean) / spread) ** 2


def _rounded(value: Floats, mean: Floats, spread: float) -> Floats:
    """Log chance that a normal draw rounds to `value`; everything below zero is written as zero."""
    above = ndtr((value[:, None] + 0.5 - mean) / spread)
    below = np.where(value[:, None] == 0, 0.0, ndtr((value[:, None] - 0.5 - mean) / spread))
    return np.asarray(np.log(np.maximum(above - below, 1e-12)))
