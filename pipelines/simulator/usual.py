"""Usual readings as they can be inferred: a normal distribution for each person and reading, by the readings taken,
less what illness is believed to have added."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.people import BY_FRAILTY, LEVELS, READINGS, WATERLOW
from pipelines.simulator.places import World


@dataclass(frozen=True)
class Usual:
    """Usual readings by person and reading: normal, from `mean` and `variance` before any was taken, and what the
    readings say: the sum of their `precision`, and the sum of them weighted by it. A Waterlow score's mean is that of
    the lowest frailty."""

    mean: Floats
    variance: Floats
    precision: Floats
    weighted: Floats

    def copy(self) -> "Usual":
        """What is learned by the copy stays there."""
        return Usual(self.mean, self.variance, self.precision.copy(), self.weighted.copy())

    def learn(self, person: Ints, value: Floats, variance: Floats) -> None:
        """Readings of people (a row each; not a number where there is none), free of illness but for chance. Those of
        one person stand together."""
        precision = np.where(np.isnan(value), 0.0, 1 / variance)
        first = firsts(person)
        who = person[first]
        self.precision[who] += np.add.reduceat(precision, first, axis=0)
        self.weighted[who] += np.add.reduceat(np.where(np.isnan(value), 0.0, value) * precision, first, axis=0)

    def now(self, person: Ints, frailty: Floats) -> tuple[Floats, Floats]:
        """Means and variances of people whose frailty has these chances (a column a level)."""
        mean = self.mean[person]
        level = frailty @ LEVELS
        mean[:, WATERLOW] += BY_FRAILTY * level
        variance = 1 / (1 / self.variance + self.precision[person])
        mean = variance * (mean / self.variance + self.weighted[person])
        by_level = BY_FRAILTY * variance[:, WATERLOW] / self.variance[WATERLOW]
        variance[:, WATERLOW] += by_level**2 * (frailty @ LEVELS**2 - level**2)
        return mean, variance

    def frailty_evidence(self, person: Ints) -> Floats:
        """Log chance of the Waterlow scores at each level, up to a constant of each person's."""
        precision = self.precision[person, WATERLOW]
        told = precision > 0
        found = np.divide(self.weighted[person, WATERLOW], precision, out=np.zeros(len(person)), where=told)
        variance = self.variance[WATERLOW] + np.divide(1, precision, out=np.full(len(person), np.inf), where=told)
        off = found[:, None] - self.mean[person, WATERLOW, None] - BY_FRAILTY * LEVELS
        return np.asarray(-0.5 * off**2 / variance[:, None])


@dataclass(frozen=True)
class Gauges:
    """What each state adds to each reading (by state and reading), and the variance of one reading."""

    shift: Floats
    noise: Floats

    def evidence(self, value: Floats, mean: Floats, variance: Floats) -> Floats:
        """Log chance of some readings (a row each) in each state, up to a constant of each row's; the usual ones are
        normal with these means and variances."""
        taken = ~np.isnan(value)
        precision = np.where(taken, 1 / (self.noise + variance), 0.0)
        off = np.where(taken, value - mean, 0.0)
        return np.asarray((precision * off) @ self.shift.T - 0.5 * precision @ (self.shift**2).T)

    def learn(self, usual: Usual, person: Ints, value: Floats, belief: Floats) -> None:
        """Take readings of people whose states have these chances into what is known of their usual ones."""
        added = belief @ self.shift
        unsure = belief @ self.shift**2 - added**2
        usual.learn(person, value - added, self.noise + np.maximum(unsure, 0))


def gauges_of(world: World) -> Gauges:
    terms = [world.config.readings[name] for name in READINGS]
    noise = np.array([one.noise**2 + one.step**2 / 12 for one in terms])
    return Gauges(np.stack([world.course.signs[name] for name in READINGS], axis=1), noise)


def firsts(sorted_rows: Ints) -> Ints:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(sorted_rows, prepend=-1))
