"""The compiled half of learning hidden states: what they are expected to have done, given everything recorded."""

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from features import beliefs
from features.beliefs import (
    ADMITTED,
    HERE,
    HOME,
    IN_HOSPITAL,
    compiled,
    fill_quiet,
    forward,
    inner,
    logs_of,
    pull_back,
    start_of,
    still,
)


def kept(source: int) -> Any:
    """`expected`, compiled with `source`, which stands for the code of `beliefs`: see `driver.kept`."""

    @compiled
    def expected(of, records, kinds, often, model):  # type: ignore[no-untyped-def]
        return _expected(of, records, kinds, often, model) if source >= 0 else None

    return expected


@inner
def _expected(of, records, kinds, often, model):  # type: ignore[no-untyped-def]
    """What the states are expected to have done, given everything, summed over people: how often begun (at first, on
    coming home), moved, counted, awaited (days, each as many as the person has counts more often than everyone),
    marked (marks, chances of one), read (sum, number, by certainty), and days lived (present, admitted).

    often: of each person, how often they have each of the counts, against everyone.
    """
    _, _, transitions, counts, marks, readings, hazard = model
    states, longest = len(hazard), kinds.shape[1]
    begun, moved, lived = np.zeros((2, states)), np.zeros((states, states)), np.zeros((2, states))
    awaited, mine, quiet = np.zeros(counts.shape), np.zeros(states), np.empty((1, states))
    credited = np.zeros(counts.shape), np.zeros((2, *marks.shape)), np.zeros((2, *readings.shape))
    chances, likely = np.empty((longest, states)), np.empty((longest, states))
    now, after, whole = np.empty(states), np.empty(states), np.ones((len(counts), 1))
    back, logs = transitions.T.copy(), logs_of(model)
    for p in range(len(of) - 1):
        if of[p] < of[p + 1]:
            first, last = _span_of(records[0], of[p], of[p + 1], kinds[p])
            fill_quiet(quiet, whole, often[p], counts, hazard)
            forward(chances, likely, (first, last), of[p], of[p + 1], records, kinds[p], model, logs, quiet)
            after[:], mine[:], e = 1.0, lived[0], of[p + 1] - 1
            for d in range(last, first - 1, -1):
                now[:] = chances[d] * after
                now /= now.sum()
                e = _credit(now, d, e, of[p], records, kinds[p, d], credited, lived)
                if d == first or kinds[p, d] == HOME:
                    begun[1 if kinds[p, d] == HOME else 0] += now
                    after[:] = 1.0
                else:
                    is_still = still(kinds[p, d], kinds[p, d - 1])
                    if not is_still:
                        _move(moved, chances[d - 1], after, likely[d], transitions)
                    pull_back(after, now, likely[d], is_still, back)
            for count in range(len(awaited)):
                awaited[count] += often[p, count] * (lived[0] - mine)
    counted, marked, read = credited
    return begun, moved, counted, awaited, marked, read, lived


@inner
def _span_of(day, low, high, kinds):  # type: ignore[no-untyped-def]
    """The first and last day of a person that are learned from: as `start_of` has it, and of the last record or of an
    emergency admission after it."""
    last = day[high - 1]
    for d in range(last + 1, len(kinds)):
        if kinds[d] == ADMITTED:
            last = d
    return start_of(day[low], kinds), last


@inner
def _credit(now, d, e, low, records, kind, credited, lived):  # type: ignore[no-untyped-def]
    """Add a day and its records, from `e` back, to the states that they are likely of; where the next ones end."""
    day, channel, value, variance = records
    counted, marked, read = credited
    told, present = np.zeros(marked.shape[1], np.int64), kind in (HERE, HOME)
    if kind != IN_HOSPITAL:
        lived[0 if present else 1] += now
    while e >= low and day[e] == d:
        mark, reading = channel[e] - len(counted), channel[e] - len(counted) - len(told)
        if present and mark < 0:
            counted[channel[e]] += now
        elif present and reading < 0:
            told[mark] |= 3 if value[e] > 0.5 else 1
        elif present:
            read[0, reading] += now * value[e] / variance[e]
            read[1, reading] += now / variance[e]
        e -= 1
    for mark in range(len(told)):
        if told[mark]:
            marked[0, mark] += now * (told[mark] == 3)
            marked[1, mark] += now
    return e


@inner
def _move(moved, chances, after, likely, transitions):  # type: ignore[no-untyped-def]
    """Add to `moved` what is expected of the moves into a day, from chances on the day before."""
    total = 0.0
    for one in range(len(after)):
        for other in range(len(after)):
            total += chances[one] * transitions[one, other] * likely[other] * after[other]
    for one in range(len(after)):
        for other in range(len(after)):
            moved[one, other] += chances[one] * transitions[one, other] * likely[other] * after[other] / total


expected = kept(crc32(Path(beliefs.__file__).read_bytes()))
