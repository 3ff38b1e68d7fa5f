"""What a day tells about each person's state: how likely all that was seen, or not seen, is in every state."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from pipelines.simulator import activities as a
from pipelines.simulator import course as c
from pipelines.simulator import rates
from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.contacts import LONGEST, minutes_of
from pipelines.simulator.course import Traits
from pipelines.simulator.noted import Noted
from pipelines.simulator.places import World
from pipelines.simulator.rates import EVERY
from pipelines.simulator.readings import LEAST_CHANCE, make_gauges
from pipelines.simulator.teams import short_of_staff


@dataclass(frozen=True)
class Lasting:
    """Lasting traits as a filter is told them or infers them, by row. eagerness: log of the factor on calls and
    unscheduled visits; frailty: the level by which attendances go; wound: the chance that there is one."""

    traits: Traits
    eagerness: Floats
    frailty: Floats
    wound: Floats


@dataclass(frozen=True)
class Told:
    """What one day tells, by row of `noted` and by state.

    begins: the chance that each illness begins. kept: that nothing happened, the person went to no emergency department
    and stayed on the caseload; `attends`: the odds of having gone. seen: all that the team saw, or did not see, up to a
    factor, by row written. busy: the chance that there was something for the team to write. prompt: the share of
    attendances known at once.
    """

    noted: Noted
    traits: Traits
    begins: Floats
    kept: Floats
    attends: Floats
    seen: Floats
    busy: Floats
    prompt: float

    def likelihood(self, age: int) -> Floats:
        """Of what is known of the day `age` days after its end."""
        noted = self.noted
        late = (noted.wait > age) & ~noted.due
        within = np.where(late, noted.within[:, min(age, noted.within.shape[1] - 1)], 0.0)
        told = (1 - within[:, None] * self.busy) * self.kept
        heard = noted.went & (noted.told <= age)
        if age == 0:
            told *= 1 + self.attends * (~heard * (1 - self.prompt))[:, None]
        told[heard] *= self.attends[heard]
        known = noted.wait[noted.written] <= age
        told[noted.written[known]] *= self.seen[known]
        return np.asarray(told)


def told_of(world: World, noted: Noted, lasting: Lasting, seen: Floats) -> Told:
    """What the day tells of people with these traits. seen: log chance, by row written, of what else the team saw."""
    course, traits = world.course, lasting.traits
    busy, presence = _presences(world, noted, lasting)
    stays_on = (1 - course.discharge) * (1 - world.config.course.moves_away)
    attended = rates.attends(world, lasting.frailty[:, None], EVERY)
    return Told(
        noted=noted,
        traits=traits,
        begins=c.onset(traits, noted.day),
        kept=c.survival(course, traits, noted.day, noted.spared) * stays_on * (1 - attended),
        attends=attended / (1 - attended),
        seen=relative(seen + presence + _wounds(world, noted, lasting.wound)),
        busy=busy,
        prompt=world.config.delays.attendance_next_day,
    )


def relative(logs: Floats) -> Floats:
    """Likelihoods from their logs, each row's greatest 1."""
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _presences(world: World, noted: Noted, lasting: Lasting) -> tuple[Floats, Floats]:
    """Chance, by row and state, that there is something to write when no visit is due; and log chance, by row written
    and state, that just these calls, unscheduled visits, onward referrals and recognitions come about."""
    eager = rates.eagerness(world, lasting.eagerness, noted.day.number)[:, None]
    calls = rates.calls(world, eager, noted.team[:, None], EVERY)
    asked = rates.unscheduled(world, eager, noted.team[:, None], EVERY)
    onward = np.log1p(-rates.onward(world, EVERY))
    recognised = noted.open_to[:, None] * np.log1p(-rates.recognised(world, EVERY))
    nothing = onward + recognised - calls - asked
    seen = nothing[noted.written]
    for happened, rate in ((noted.called, calls), (noted.asked, asked)):
        rows = np.flatnonzero(happened)
        seen[noted.slot[rows]] += rate[rows] + np.log(rates.at_least_one(rate[rows]))
    for happened, chance in ((noted.onward, rates.onward), (noted.recognised, rates.recognised)):
        seen[noted.slot[happened]] += np.log(chance(world, EVERY)) - np.log1p(-chance(world, EVERY))
    return 1 - (1 - world.config.contacts.notes) * np.exp(nothing), seen


def _wounds(world: World, noted: Noted, wound: Floats) -> Floats:
    """Log chance, by row written and state, that each visit finds a wound worse or does not."""
    total = np.zeros((len(noted.written), len(world.course)))
    rows, worse = noted.visited[noted.contacts.seen], a.wound_chance(world)
    np.add.at(total, noted.slot[rows], np.log1p(-wound[rows, None] * worse))
    found = wound[noted.worse, None] * worse
    np.add.at(total, noted.slot[noted.worse], np.log(np.maximum(found, LEAST_CHANCE)) - np.log1p(-found))
    return total


def plain_evidence(world: World, noted: Noted) -> Floats:
    """Log chance, by row written and state, of what depends on nobody's lasting traits: the outcomes of planned visits,
    how long contacts took, new confusion."""
    contacts = noted.contacts
    total = np.zeros((len(contacts), len(world.course)))
    visits = np.flatnonzero(contacts.kind == v.VISIT)
    total[visits] = _outcome(world, noted, visits)
    timed = np.flatnonzero((contacts.duration > 0) & (contacts.kind <= v.CALL))
    mean = np.log(minutes_of(world, contacts.kind[timed]))[:, None] + world.course.signs["minutes"]
    minutes, spread = contacts.duration[timed, None], world.config.contacts.minutes_spread
    above = np.where(minutes == LONGEST, 1.0, ndtr((np.log(minutes + 0.5) - mean) / spread))
    below = np.where(minutes == 1, 0.0, ndtr((np.log(minutes - 0.5) - mean) / spread))
    total[timed] += np.log(np.maximum(above - below, LEAST_CHANCE))
    measured = np.flatnonzero(contacts.signs >= 0)
    total[measured] += world.vital_signs.confusion_evidence(noted.confused)
    written = np.zeros((len(noted.written), len(world.course)))
    np.add.at(written, noted.slot[noted.visited], total)
    return written


def _outcome(world: World, noted: Noted, visits: Ints) -> Floats:
    number, team = noted.day.number, noted.team[noted.visited[visits]]
    missed = rates.no_access(world, team[:, None], EVERY)
    cancelled = np.broadcast_to(rates.patient_cancels(world, EVERY), missed.shape)
    provider = rates.provider_cancels(world, number)
    short = short_of_staff(world.config, team, number, noted.day.shock)
    put_off = (world.config.practice.postponed * short)[:, None]
    possible = 1 - missed - cancelled - provider
    status = noted.contacts.status[visits, None]
    told = [status == v.NO_ACCESS, status == v.PATIENT_CANCELLED, status == v.PROVIDER_CANCELLED]
    return np.asarray(
        np.log(np.select(told, [missed, cancelled, provider + put_off * possible], (1 - put_off) * possible))
    )


def readings_evidence(world: World, noted: Noted, usual: Floats) -> Floats:
    """Log chance, by row written and state, of the values read. usual: the usual ones, by row and reading."""
    readings = noted.readings
    written = np.zeros((len(noted.written), len(world.course)))
    for rank, gauge in enumerate(make_gauges(world.config, world.course)):
        taken = ~np.isnan(readings.value[:, rank])
        row = readings.row[taken]
        np.add.at(written, noted.slot[row], gauge.evidence(readings.value[taken, rank], usual[row, rank]))
    return written
