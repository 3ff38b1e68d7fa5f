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

    kept: that nothing happened, no attendance is known and the person stayed on the caseload. seen: all that the team
    saw, or did not see, up to a factor. busy: that there was something for the team to write. attended: the odds of an
    attendance, in which `kept` leaves the chance of none.
    """

    noted: Noted
    traits: Traits
    kept: Floats
    seen: Floats
    busy: Floats
    attended: Floats
    prompt: float
    """Share of attendances known at once."""

    def likelihood(self, age: int) -> Floats:
        """Of what is known of the day `age` days after its end."""
        noted = self.noted
        known = noted.wait <= age
        share = self.prompt if age == 0 else 1.0
        told = self.kept * (1 - self.attended * share)
        heard = np.flatnonzero(noted.went & (noted.told <= age))
        told[heard] = self.kept[heard] * self.attended[heard]
        told[known] *= self.seen[known]
        silent = np.flatnonzero(~known & ~noted.due)
        within = noted.within[silent, min(age, noted.within.shape[1] - 1), None]
        told[silent] *= 1 - within * self.busy[silent]
        return np.asarray(told)


def told_of(world: World, noted: Noted, lasting: Lasting, plain: Floats) -> Told:
    """What the day tells of people with these traits, but for their readings. plain: `plain_evidence` of the day."""
    quiet, seen = _presences(world, noted, lasting)
    seen += plain
    _add_wounds(world, noted, lasting.wound, seen)
    stays_on = (1 - world.course.discharge) * (1 - world.config.course.moves_away)
    return Told(
        noted=noted,
        traits=lasting.traits,
        kept=c.survival(world.course, lasting.traits, noted.day, noted.spared) * stays_on,
        seen=relative(seen),
        busy=1 - quiet,
        attended=rates.attends(world, lasting.frailty[:, None], EVERY),
        prompt=world.config.delays.attendance_next_day,
    )


def relative(logs: Floats) -> Floats:
    """Likelihoods from their logs, each row's greatest 1."""
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _presences(world: World, noted: Noted, lasting: Lasting) -> tuple[Floats, Floats]:
    """Chance, by row and state, that there is nothing to write on the day when no visit is due; and the log chance that
    just these calls, unscheduled visits, onward referrals and recognitions come about."""
    eager = rates.eagerness(world, lasting.eagerness, noted.day.number)[:, None]
    team = noted.team[:, None]
    recognised = rates.recognised(world, EVERY) * noted.open_to[:, None]
    chances = (
        (rates.calls(world, eager, team, EVERY), noted.called),
        (rates.unscheduled(world, eager, team, EVERY), noted.asked),
        (np.broadcast_to(rates.onward(world, EVERY), recognised.shape), noted.onward),
        (recognised, noted.recognised),
    )
    quiet = np.full(recognised.shape, 1 - world.config.contacts.notes)
    seen = np.zeros(recognised.shape)
    for chance, happened in chances:
        quiet = quiet * (1 - chance)
        seen += np.log(np.maximum(np.where(happened[:, None], chance, 1 - chance), LEAST_CHANCE))
    return quiet, seen


def _add_wounds(world: World, noted: Noted, wound: Floats, seen: Floats) -> None:
    """Add the log chance that each visit finds a wound worse or does not, to the rows of `seen`."""
    rows = noted.visited[noted.contacts.seen]
    worse = a.wound_chance(world)
    np.add.at(seen, rows, np.log1p(-wound[rows, None] * worse))
    found = wound[noted.worse, None] * worse
    np.add.at(seen, noted.worse, np.log(np.maximum(found, LEAST_CHANCE)) - np.log1p(-found))


def plain_evidence(world: World, noted: Noted) -> Floats:
    """Log chance, by row and state, of what depends on nobody's lasting traits: planned visits' outcomes, contacts'
    durations, new confusion."""
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
    by_row = np.zeros((len(noted.person), len(world.course)))
    np.add.at(by_row, noted.visited, total)
    return by_row


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
    """Log chance, by row and state, of the values read, given the usual ones (a row each, a column a reading)."""
    readings = noted.readings
    by_row = np.zeros((len(noted.person), len(world.course)))
    for rank, gauge in enumerate(make_gauges(world.config, world.course)):
        taken = ~np.isnan(readings.value[:, rank])
        row = readings.row[taken]
        np.add.at(by_row, row, gauge.evidence(readings.value[taken, rank], usual[row, rank]))
    return by_row
