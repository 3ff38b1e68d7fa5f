"""Learning hidden states by expectation maximisation (Baum and Welch), without being told of any illness."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from features import beliefs, expectation
from features.filtering import Sequences
from features.states import OLDEST, Learned, States

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ROUNDS, TOLD_EVERY, SEED, MOST_THREADS = 20, 5, 1, 8
LEAST_ADMISSIONS = 50
"""Of people whose days are learned from: fewer cannot tell a dozen states apart."""
SOON = 9
"""Days before an emergency admission that say how illness shows, to begin with."""
OFTEN = 3
"""Readings of a person above which they say how far readings scatter about one's own usual."""
TRUST = 20.0
"""Days' (and chances') worth of what is so on average that each state begins every round with."""

Compared = tuple[Ints, tuple[npt.NDArray[Any], ...], npt.NDArray[np.int8], Floats]
"""What `expectation.expected` takes: of, records, kinds, often."""


def learn(parts: Sequence[Sequences], spec: States, tell: Callable[[str], None]) -> Learned | None:
    """The numbers of the states of these people; None where they have fewer than `LEAST_ADMISSIONS` admissions."""
    if sum(int((part.kinds == beliefs.ADMITTED).sum()) for part in parts) < LEAST_ADMISSIONS:
        return None
    counts, marks = len(spec.counts), len(spec.marks)
    heard, usual = _heard(parts, counts), _usual(parts, counts + marks, len(spec.readings))
    pace = _pace(parts, counts)
    given = [_compared(part, counts + marks, usual, pace) for part in parts]
    average = _average(given, spec)
    model = _guessed(given, spec, average)
    with ThreadPoolExecutor(min(len(given), MOST_THREADS)) as over:
        for number in range(ROUNDS):
            sums = _added(list(over.map(partial(_expected, model), given)))
            model = _likeliest(sums, average)
            if (number + 1) % TOLD_EVERY == 0:
                tell(f"learning states, round {number + 1} of {ROUNDS}")
    found = dict(zip(Learned.model_fields, [*model, heard, usual, pace], strict=True))
    return Learned(**{name: _rounded(numbers).tolist() for name, numbers in found.items()})


_rounded = np.vectorize(lambda number: float(f"{number:.6g}"), otypes=[float])
"""To six figures."""


def _compared(part: Sequences, first_reading: int, usual: Floats, pace: Floats) -> Compared:
    value, variance = beliefs.all_compared(part.of, part.channel, part.value, first_reading, usual)
    often = _counted(part, len(pace)).astype(np.float64)
    for mine, days in zip(often, _days(part), strict=True):
        beliefs.paced(mine, days, pace)
    return part.of, (part.day, part.channel, value, variance), part.kinds, often


def _counted(part: Sequences, counts: int) -> Ints:
    """How many of each of the counts each person has."""
    person = np.repeat(np.arange(len(part.of) - 1), np.diff(part.of))
    rows = part.channel < counts
    place = person[rows] * counts + part.channel[rows]
    return np.bincount(place, minlength=(len(part.of) - 1) * counts).reshape(-1, counts)


def _days(part: Sequences) -> Ints:
    """From each person's first record to the last, in days; 0 of whoever has none."""
    there, days = np.diff(part.of) > 0, np.zeros(len(part.of) - 1, np.int64)
    days[there] = part.day[part.of[1:][there] - 1] - part.day[part.of[:-1][there]] + 1
    return days


def _pace(parts: Sequence[Sequences], counts: int) -> Floats:
    """Of each of the counts: how many a day, and the shape, by how much more people differ than chance has them."""
    counted, days = np.concatenate([_counted(part, counts) for part in parts]), np.concatenate(list(map(_days, parts)))
    rate = np.maximum(counted.sum(axis=0), 0.5) / max(days.sum(), 1)
    awaited = days[:, None] * rate
    more = ((counted - awaited) ** 2 - counted).sum(axis=0) / np.maximum((awaited**2).sum(axis=0), 1e-9)
    return np.column_stack([rate, 1 / np.clip(more, 0.01, 100.0)])


def _heard(parts: Sequence[Sequences], counts: int) -> Floats:
    lag, channel = (np.concatenate([getattr(part, name) for part in parts]) for name in ("lag", "channel"))
    ages, of = np.arange(OLDEST + 1), [lag[channel == count] for count in range(counts)]
    return np.array([[(mine <= age).mean() if len(mine) else 1.0 for age in ages] for mine in of])


def _usual(parts: Sequence[Sequences], first: int, readings: int) -> Floats:
    """Of each reading: mean and variance of people's usual, and variance of the noise about it."""
    person = np.concatenate([np.repeat(np.arange(len(part.of) - 1), np.diff(part.of)) for part in parts])
    person += np.repeat(np.cumsum([0, *(len(part.of) for part in parts[:-1])]), [len(part.day) for part in parts])
    channel, value = (np.concatenate([getattr(part, name) for part in parts]) for name in ("channel", "value"))
    found = [_spread(person[channel == n], value[channel == n]) for n in range(first, first + readings)]
    return np.array(found).reshape(readings, 3)


def _spread(person: Ints, value: Floats) -> tuple[float, float, float]:
    number = np.bincount(person)
    if not (number > OFTEN).any():
        return (float(value.mean()) if len(value) else 0.0), 1.0, 1.0
    mean = np.bincount(person, value) / np.maximum(number, 1)
    often = number[person] > OFTEN
    within = ((value - mean[person])[often] ** 2).sum() / (1 - 1 / number[person][often]).sum()
    noise, known = max(float(within), 1e-6), number > 0
    spread = mean[known].var() - noise * (1 / number[known]).mean()
    return float(mean[known].mean()), max(float(spread), 0.1 * noise), noise


def _expected(model: tuple[Floats, ...], given: Compared) -> tuple[Floats, ...]:
    return tuple(expectation.expected(*given, model))


def _added(parts: Sequence[tuple[Floats, ...]]) -> tuple[Floats, ...]:
    return tuple(np.sum(sums, axis=0) for sums in zip(*parts, strict=True))


def _likeliest(sums: tuple[Floats, ...], average: tuple[Floats, ...] | None = None) -> tuple[Floats, ...]:
    """The model that the sums speak for, with a little of the average one in each state."""
    begun, moved, counted, awaited, marked, read, (stayed, admitted) = sums
    rates, shares, hazard = average or (np.full((len(counted), 1), 1e-3), np.full((marked.shape[1], 1), 0.05), 1e-3)
    first, home = (begun + 1) / (begun + 1).sum(axis=1, keepdims=True)
    return (
        first,
        home,
        (moved + 1e-3) / (moved + 1e-3).sum(axis=1, keepdims=True),
        (counted + TRUST * rates) / (awaited + TRUST),
        (marked[0] + TRUST * shares) / (marked[1] + TRUST),
        read[0] / (read[1] + TRUST / 4),
        (admitted + TRUST * hazard) / (stayed + admitted + TRUST),
    )


def _single(given: Sequence[Compared], spec: States) -> tuple[Floats, ...]:
    """The model of one state: how things are on average on the days that are looked at."""
    whole = np.ones((1, 1))
    counts, marks, readings = (np.full((len(names), 1), 0.1) for names in (spec.counts, spec.marks, spec.readings))
    model = (whole[0], whole[0], whole, counts, marks, 0 * readings, whole[0] * 0.1)
    return _likeliest(_added([_expected(model, each) for each in given]))


def _average(given: Sequence[Compared], spec: States) -> tuple[Floats, ...]:
    _, _, _, rates, shares, _, hazard = _single(given, spec)
    return rates, shares, hazard


def _soon(given: Compared) -> Compared:
    """The same people, looked at on the days before an emergency admission alone."""
    of, records, kinds, often = given
    admitted = np.cumsum(np.pad(kinds == beliefs.ADMITTED, ((0, 0), (1, SOON))), axis=1)
    soon = admitted[:, 1 + SOON :] > admitted[:, 1:-SOON]
    return of, records, np.where(soon | (kinds == beliefs.ADMITTED), kinds, beliefs.IN_HOSPITAL).astype(np.int8), often


def _guessed(given: Sequence[Compared], spec: States, average: tuple[Floats, ...]) -> tuple[Floats, ...]:
    """Where learning begins: well states, and ill ones of rising severity, which show what is seen before emergency
    admissions, each in a pattern of its own."""
    (rates, shares, hazard), states = average, spec.number
    _, _, _, rates_soon, shares_soon, readings_soon, _ = _single([_soon(each) for each in given], spec)
    draw = np.random.default_rng(SEED)
    severity = np.sort(np.append([0.0, 0.1][:states], draw.uniform(0.2, 1.2, states - 2)))
    ill = severity > 0.15

    def patterned(usual: Floats, soon: Floats) -> Floats:
        own = draw.normal(0, 0.5, (len(usual), states)) * ill
        return np.asarray(usual * np.exp(2 * np.log(soon / usual) * severity + own))

    steps = np.where(ill, 0.25, 0.01)[:, None] * draw.dirichlet(np.ones(states), states)
    steps += np.diag(1 - steps.sum(axis=1))
    first = np.where(ill, 0.1 / max(ill.sum(), 1), 0.9 / max((~ill).sum(), 1))
    return (
        first / first.sum(),
        np.full(states, 1 / states),
        steps,
        patterned(rates, rates_soon),
        np.clip(patterned(shares, shares_soon), 1e-4, 0.6),
        (2 * readings_soon + draw.normal(0, 0.5, (len(readings_soon), states))) * severity,
        np.clip(0.2 * hazard * np.exp(4.5 * severity), 1e-6, 0.5),
    )
