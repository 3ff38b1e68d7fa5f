"""A hidden Markov model of what teams record, day by day: learned by expectation maximisation, believed in at cuts."""

from dataclasses import dataclass

import numpy as np
from numba import njit

HORIZON, BACK, OLDEST = 9, 120, 30
"""Days ahead; days that a belief looks back; age in days from which nothing more is awaited."""
AWAY, HERE, ADMITTED, IN_HOSPITAL, HOME = range(5)
"""What a day is: off every caseload, on one, of an emergency admission, in hospital, of leaving it after one."""
COUNT, MARK, READING = range(3)
"""What a record is."""
PRESENT = (HERE, HOME)
"""The days of which records are looked at."""
WEIGHT = 6
"""The channel of the reading that some illnesses raise and others lower."""
RATES, SHARES = np.array([0.012, 0.026, 0.003, 0.0008]), np.array([0.045, 0.01, 0.05])
"""Guesses to begin with: counts a day, and shares of chances at which there is a mark."""
SIGNS = np.array([1.8, -1.4, -0.8, 1.7, 1.6, 0.5, 0.0, 0.5, 0.7])
"""How far an illness may move each reading, in units of its noise, to begin with."""


@dataclass(frozen=True)
class Past:
    """People in order, their days (`AWAY` to `HOME`) from the first on, and their records and stays, by person and day:
    those of a person from `of[n]` to `of[n + 1]`. A record is its day, the first cut that saw it, what it is (`COUNT`,
    `MARK`, `READING`), of which channel, its value, and the variance of a reading in units of its noise. heard: of each
    count, the share that is on record by its age in days."""

    people: np.ndarray
    first: int
    days: np.ndarray
    begin: np.ndarray
    records: tuple[np.ndarray, ...]
    of: np.ndarray
    stays: tuple[np.ndarray, ...]
    stays_of: np.ndarray
    heard: np.ndarray


@dataclass(frozen=True)
class Model:
    """By state: chances at first, and on coming home; of the next day's; what is counted a day, shares of marks and
    mean readings, by channel; and the chance of an emergency admission a day."""

    first: np.ndarray
    home: np.ndarray
    steps: np.ndarray
    counts: np.ndarray
    marks: np.ndarray
    readings: np.ndarray
    hazard: np.ndarray

    @property
    def tables(self) -> tuple[np.ndarray, ...]:
        return tuple(vars(self).values())

    def risk(self, belief: np.ndarray) -> np.ndarray:
        """The chance of an emergency admission within nine days."""
        ahead = np.zeros(len(self.hazard))
        for _ in range(HORIZON):
            ahead = self.hazard + (1 - self.hazard) * (self.steps @ ahead)
        return np.asarray(belief @ ahead)


@njit(cache=True)
def weigh(belief, what, channel, value, variance, counts, marks, readings):  # type: ignore[no-untyped-def]
    """Belief in each state times how likely the record is in it; of a reading relative to the likeliest state."""
    if what == COUNT:
        belief *= counts[channel]
    elif what == MARK:
        belief *= marks[channel] if value > 0.5 else 1 - marks[channel]
    else:
        off = (value - readings[channel]) ** 2 / (2 * variance)
        belief *= np.exp(off.min() - off)


@njit(cache=True)
def forward(days, begin, end, low, high, records, model, chances, likely):  # type: ignore[no-untyped-def]
    """Fill `chances` (of each state on each day of one person, given all until then) and `likely` (of the day's
    records, by state)."""
    first, home, steps, counts, marks, readings, hazard = model
    day, _, what, channel, value, variance = records
    quiet, e = np.exp(-counts.sum(axis=0)) * (1 - hazard), low
    for d in range(begin, end):
        kind = days[d]
        likely[d] = quiet if kind in PRESENT else hazard if kind == ADMITTED else np.ones(len(hazard))
        while e < high and day[e] <= d:
            if day[e] == d and kind in PRESENT:
                weigh(likely[d], what[e], channel[e], value[e], variance[e], counts, marks, readings)
            e += 1
        if d == begin:
            chances[d] = first
        elif kind == HOME:
            chances[d] = home
        elif kind == IN_HOSPITAL or days[d - 1] == IN_HOSPITAL:
            chances[d] = chances[d - 1]
        else:
            chances[d] = chances[d - 1] @ steps
        chances[d] *= likely[d]
        chances[d] /= chances[d].sum()


@njit(cache=True)
def expected(days, begin, of, until, records, model):  # type: ignore[no-untyped-def]
    """What the states are expected to have done, summed over people: the sums that `learned` takes its means from."""
    first, home, steps, counts, marks, readings, hazard = model
    states, (day, _, what, channel, value, variance) = len(first), records
    begun, lived, moved, counted = (
        np.zeros((2, states)),
        np.zeros((3, states)),
        np.zeros_like(steps),
        np.zeros_like(counts),
    )
    marked, read = np.zeros((2, *marks.shape)), np.zeros((2, *readings.shape))
    chances, likely = np.zeros((until, states)), np.zeros((until, states))
    for p in range(len(days)):
        end = until
        while end > begin[p] and days[p, end - 1] == AWAY:
            end -= 1
        forward(days[p], begin[p], end, of[p], of[p + 1], records, model, chances, likely)
        after, e = np.ones(states), of[p + 1] - 1
        for d in range(end - 1, begin[p] - 1, -1):
            kind, now = days[p, d], chances[d] * after
            now /= now.sum()
            while e >= of[p] and day[e] >= d:
                if day[e] == d and kind in PRESENT:
                    credit(now, what[e], channel[e], value[e], variance[e], counted, marked, read)
                e -= 1
            lived[0 if kind in PRESENT else 1 if kind == ADMITTED else 2] += now
            if d == begin[p] or kind == HOME:
                begun[0 if d == begin[p] else 1] += now
                after = np.ones(states)
            else:
                after = before(after * likely[d], kind, days[p, d - 1], chances[d - 1], steps, moved)
    return begun, moved, counted, marked, read, lived


@njit(cache=True)
def before(after, kind, kind_before, chances, steps, moved):  # type: ignore[no-untyped-def]
    """How likely the rest is by the state of the day before; what moves between the two is added to `moved`."""
    if kind != IN_HOSPITAL and kind_before != IN_HOSPITAL:
        ways = steps * np.outer(chances, after)
        moved += ways / ways.sum()
        after = steps @ after
    return after / after.sum()


@njit(cache=True)
def credit(now, what, channel, value, variance, counted, marked, read):  # type: ignore[no-untyped-def]
    """A record to the states it is likely of."""
    if what == COUNT:
        counted[channel] += now
    elif what == MARK:
        marked[0, channel] += now * value
        marked[1, channel] += now
    else:
        read[0, channel] += now * value / variance
        read[1, channel] += now / variance


def guessed(states: int, seed: int) -> Model:
    """Where learning begins: states of rising severity, each of a pattern of its own."""
    draw = np.random.default_rng(seed)
    severity = np.sort(np.append([0.0, 0.1], draw.uniform(0.2, 1.2, states - 2)))
    ill = severity > 0.15
    counts = RATES[:, None] * np.exp(np.outer([2.4, 1.8, 1.9, 2.2], severity) + draw.normal(0, 0.3, (4, states)) * ill)
    marks = SHARES[:, None] * np.exp(np.outer([1.0, 2.0, 0.6], severity) + draw.normal(0, 0.6, (3, states)) * ill)
    readings = SIGNS[:, None] * severity * np.exp(draw.normal(0, 0.5, (len(SIGNS), states)))
    readings[WEIGHT] = draw.normal(0, 1, states) * ill
    steps = np.where(ill, 0.25, 0.01)[:, None] * draw.dirichlet(np.ones(states), states)
    steps += np.diag(1 - steps.sum(axis=1))
    first = np.append(0.9, np.full(states - 1, 0.1 / (states - 1)))
    home, hazard = np.full(states, 1 / states), 0.0003 * np.exp(4.5 * severity)
    return Model(first, home, steps, counts, np.clip(marks, 0.001, 0.6), readings, hazard)


def learned(known: Past, until: int, states: int, rounds: int, seed: int) -> Model:
    """The model of the days before `until`."""
    model = guessed(states, seed)
    for _ in range(rounds):
        given = known.days, known.begin, known.of, until, known.records, model.tables
        begun, moved, counted, marked, read, (stayed, admitted, _) = expected(*given)
        first, home = (begun + 1) / (begun + 1).sum(axis=1, keepdims=True)
        model = Model(
            first,
            home,
            (moved + 1e-3) / (moved + 1e-3).sum(axis=1, keepdims=True),
            (counted + 20 * RATES[:, None]) / (stayed + 20),
            (marked[0] + 1) / (marked[1] + 20),
            read[0] / (read[1] + 5),
            (admitted + 20 * 0.0015) / (stayed + admitted + 20),
        )
    return model


@njit(cache=True)
def as_told(kind, d, cut, stays, low, high):  # type: ignore[no-untyped-def]
    """What a day is by the stays that were on record at a cut."""
    since, until, told, emergency = stays
    for s in range(low, high):
        if told[s] < cut and since[s] <= d:
            kind = IN_HOSPITAL if d < until[s] else HOME if d == until[s] and emergency[s] else kind
    return kind


@njit(cache=True)
def believed(person, cut, days, begin, records, of, stays, stays_of, heard, model):  # type: ignore[no-untyped-def]
    """Chances of each state at each row's cut, from what was on record by then."""
    first, home, steps, counts, marks, readings, hazard = model
    day, known, what, channel, value, variance = records
    found = np.zeros((len(person), len(first)))
    quiet = np.exp(-(heard.T @ counts)) * (1 - hazard)
    for row in range(len(person)):
        p, now = person[row], first.copy()
        start, e = max(begin[p], cut[row] - BACK), of[p]
        for d in range(start, cut[row]):
            kind = as_told(HERE if days[p, d] != AWAY else AWAY, d, cut[row], stays, stays_of[p], stays_of[p + 1])
            if kind == HOME:
                now = home.copy()
            elif kind != IN_HOSPITAL:
                now = now @ steps
            present = kind in PRESENT
            if present:
                now *= quiet[min(cut[row] - 1 - d, OLDEST)]
            while e < of[p + 1] and day[e] <= d:
                if day[e] == d and present and known[e] < cut[row]:
                    weigh(now, what[e], channel[e], value[e], variance[e], counts, marks, readings)
                e += 1
            now /= now.sum()
        found[row] = now
    return found
