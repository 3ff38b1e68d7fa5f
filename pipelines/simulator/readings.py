"""What is measured on visits: how each reading is drawn, and beside it how likely a drawn one is in each state."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from pipelines.simulator.chance import Facts, Flags, Floats, Ints
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.course import Course
from pipelines.simulator.parameters import Reading
from pipelines.simulator.people import READINGS, VITAL

LEAST_CHANCE = 1e-12


@dataclass(frozen=True)
class Gauge:
    """One kind of reading: its terms and how far each state moves it."""

    name: str
    terms: Reading
    shift: Floats

    def draw(self, chances: Facts, usual: Floats, state: Ints) -> Floats:
        return self._written(usual + self.shift[state] + self.terms.noise * chances.normal(self.name))

    def _written(self, value: Floats) -> Floats:
        steps = np.rint(value / self.terms.step) * self.terms.step
        return np.asarray(np.round(np.clip(steps, self.terms.least, self.terms.most), 1), dtype=np.float64)

    def evidence(self, value: Floats, usual: Floats) -> Floats:
        """Log chance, by reading and state, that just this is written."""
        mean, half = usual[:, None] + self.shift, self.terms.step / 2
        above = ndtr((value[:, None] + half - mean) / self.terms.noise)
        below = ndtr((value[:, None] - half - mean) / self.terms.noise)
        above[value > self.terms.most - half] = 1.0
        below[value < self.terms.least + half] = 0.0
        return np.asarray(np.log(np.maximum(above - below, LEAST_CHANCE)))


def make_gauges(config: SimulatorConfig, course: Course) -> tuple[Gauge, ...]:
    """In the order of `READINGS`."""
    return tuple(Gauge(name, config.readings[name], course.signs[name]) for name in READINGS)


def odds_shifted(chance: float, factor: Floats) -> Floats:
    """A chance whose odds are multiplied."""
    odds = chance / (1 - chance) * factor
    return np.asarray(odds / (1 + odds))


@dataclass(frozen=True)
class VitalSigns:
    """How a set of vital signs is drawn: five readings and whether there is new confusion."""

    gauges: tuple[Gauge, ...]
    confusion: Floats
    """Chance of new confusion by state."""

    def draw(self, chances: Facts, usual: Floats, state: Ints) -> Floats:
        """A column each for the readings, and a last one for new confusion (0 or 1)."""
        columns = [gauge.draw(chances, usual[:, rank], state) for rank, gauge in enumerate(self.gauges)]
        return np.stack([*columns, chances.happens("confusion", self.confusion[state]).astype(float)], axis=1)

    def confusion_evidence(self, confused: Flags) -> Floats:
        """Log chance, by set of vital signs and state, that there is new confusion, or is none."""
        return np.asarray(np.where(confused[:, None], np.log(self.confusion), np.log1p(-self.confusion)))


def make_vital_signs(config: SimulatorConfig, course: Course) -> VitalSigns:
    gauges = make_gauges(config, course)[:VITAL]
    return VitalSigns(gauges, odds_shifted(config.confusion, course.signs["confusion"]))


# NEWS2 (Royal College of Physicians, 2017): the upper ends of the bands of each sign, and the bands' points.
BREATHS = ((8, 11, 20, 24), (3, 1, 0, 2, 3))
SATURATION = ((91, 93, 95), (3, 2, 1, 0))
SATURATION_LUNG = ((83, 85, 87), (3, 2, 1, 0))
PRESSURE = ((90, 100, 110, 219), (3, 2, 1, 0, 3))
PULSE = ((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3))
TEMPERATURE = ((35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2))


def news2(taken: Floats, lung_disease: Flags) -> Ints:
    """The score of each set of vital signs, on air; the second saturation scale for people with lung disease."""
    breaths, saturation, pressure, pulse, temperature, confused = taken.T
    total = _points(breaths, BREATHS) + _points(pressure, PRESSURE) + _points(pulse, PULSE)
    total += _points(temperature, TEMPERATURE) + 3 * (confused == 1)
    return total + np.where(lung_disease, _points(saturation, SATURATION_LUNG), _points(saturation, SATURATION))


def _points(value: Floats, bands: tuple[tuple[float, ...], tuple[int, ...]]) -> Ints:
    ends, points = bands
    return np.array(points)[np.searchsorted(np.array(ends), value, side="left")]
