"""The compiled half of the hidden Markov model: belief in each state, carried from day to day by what was recorded.

Everything compiled is in this one file, since compiled code is kept on disk for as long as its own file stays as it is.
"""

from typing import Any

import numpy as np
from numba import njit

HERE, ADMITTED, IN_HOSPITAL, HOME = range(4)
"""What a day is: at home, that of an emergency admission, in hospital, or of coming home from an emergency stay."""
MOST = 3.0
"""Standard deviations beyond which a reading speaks no louder."""

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[call-overload]


@compiled
def filtered(out, person, of_cut, bounds, usual_from, of, records, stays_of, stays, model, ahead):  # type: ignore[no-untyped-def]
    """Put into `out` each row's risk by the states: `ahead` (by state) weighed by the belief at its cut, from the
    records in force then; NaN where there is none in the look-back.

    Days end at `bounds[cut]`, the last of them, which ends at the cut, first; own usual readings are made of records
    since `usual_from[cut]`. Records and stays are the columns of `filtering.Past`, a person's from `of[person]` on.
    """
    initial, home, transitions, counts, marks, readings, hazard, heard, usual = model
    at, known_from, known_to, channel, value = records
    quiet, days = np.exp(-(heard.T @ counts)) * (1 - hazard), bounds.shape[1] - 1
    belief, moved, told = np.empty(len(hazard)), np.empty(len(hazard)), np.zeros(len(marks), np.int64)
    before = np.zeros((len(readings), 2))
    for row in range(len(person)):
        p, edges, since = person[row], bounds[of_cut[row]], usual_from[of_cut[row]]
        cut, e, last, begun = edges[0], of[p], of[p + 1], False
        before[:] = 0.0
        while e < last and not (at[e] >= edges[days] and known_from[e] <= cut < known_to[e]):
            if since <= at[e] < edges[days] and known_from[e] <= cut < known_to[e]:
                compared(channel[e] - len(counts) - len(marks), value[e], before, usual)
            e += 1
        for age in range(days - 1, -1, -1):
            if not begun and (e == last or at[e] >= edges[age]):
                continue
            kind = day_at(edges[age + 1], edges[age], cut, edges[days], stays_of[p], stays_of[p + 1], stays)
            if not begun:
                belief[:], begun = initial, True
            elif kind == HOME:
                belief[:] = home
            elif kind == HERE:
                step(belief, transitions, moved)
            if kind != IN_HOSPITAL:
                belief *= quiet[min(age, len(quiet) - 1)]
            told[:] = 0
            while e < last and at[e] < edges[age]:
                if kind != IN_HOSPITAL and known_from[e] <= cut < known_to[e]:
                    seen = compared(channel[e] - len(counts) - len(marks), value[e], before, usual)
                    weigh(belief, channel[e], seen, told, counts, readings)
                e += 1
            weigh_marks(belief, told, marks)
            belief /= belief.sum()
        out[row] = (belief * ahead).sum() if begun else np.nan


@compiled
def step(belief, transitions, moved):  # type: ignore[no-untyped-def]
    """Belief a day later."""
    moved[:] = 0.0
    for one in range(len(belief)):
        for other in range(len(belief)):
            moved[other] += belief[one] * transitions[one, other]
    belief[:] = moved


@compiled
def compared(reading, value, before, usual):  # type: ignore[no-untyped-def]
    """A reading less what could be believed of the person's own usual by those `before` it (number, sum), to which it
    is added, and its variance, in units of the noise. What is no reading (below 0) stays as it is."""
    if reading < 0:
        return value, 1.0
    mean, spread, noise = usual[reading]
    certainty = 1 / spread + before[reading, 0] / noise
    around = noise + 1 / certainty
    off, most = value - (mean / spread + before[reading, 1] / noise) / certainty, MOST * np.sqrt(around)
    before[reading, 0] += 1
    before[reading, 1] += value
    return min(max(off, -most), most) / np.sqrt(noise), around / noise


@compiled
def weigh(belief, channel, seen, told, counts, readings):  # type: ignore[no-untyped-def]
    """Belief in each state times how likely the record is in it; `seen` is as `compared` gives it. Marks are only
    noted, in `told`: 1 where there could have been one on the day, 3 where there was."""
    mark, reading = channel - len(counts), channel - len(counts) - len(told)
    if mark < 0:
        belief *= counts[channel]
    elif reading < 0:
        told[mark] |= 3 if seen[0] > 0.5 else 1
    else:
        weigh_reading(belief, seen, readings[reading])


@compiled
def weigh_reading(belief, seen, means):  # type: ignore[no-untyped-def]
    """Relative to the state in which the reading is likeliest, so that belief never comes to nothing."""
    least = np.inf
    for state in range(len(belief)):
        least = min(least, (seen[0] - means[state]) ** 2)
    for state in range(len(belief)):
        belief[state] *= np.exp((least - (seen[0] - means[state]) ** 2) / (2 * seen[1]))


@compiled
def weigh_marks(belief, told, marks):  # type: ignore[no-untyped-def]
    for mark in range(len(told)):
        if told[mark]:
            belief *= marks[mark] if told[mark] == 3 else 1 - marks[mark]


@compiled
def day_at(low, high, cut, oldest, first, last, stays):  # type: ignore[no-untyped-def]
    """What the day [low, high) is by the stays in force at the cut. One that has not ended lasts until the cut, unless
    it began before the look-back."""
    admitted, discharged, known_from, known_to, emergency = stays
    kind = HERE
    for s in range(first, last):
        if known_from[s] <= cut < known_to[s] and admitted[s] < high:
            if discharged[s] > cut and admitted[s] < oldest:
                continue
            if discharged[s] >= high:
                kind = IN_HOSPITAL
            elif discharged[s] >= low and emergency[s]:
                kind = HOME
    return kind


@compiled
def days_of(kinds, edges, cut, stays_of, stays):  # type: ignore[no-untyped-def]
    """Put into `kinds` (person by day) what each day is by the stays in force at `cut`; edges: where days begin, and
    where the last ends."""
    admitted, discharged, known_from, known_to, emergency = stays
    for p in range(len(kinds)):
        for s in range(stays_of[p], stays_of[p + 1]):
            if not known_from[s] <= cut < known_to[s] or discharged[s] < edges[0] or admitted[s] >= edges[-1]:
                continue
            since = np.searchsorted(edges, admitted[s], "right") - 1
            until = min(np.searchsorted(edges, discharged[s], "right") - 1, kinds.shape[1])
            if since >= 0 and since < until:
                begins = emergency[s] and kinds[p, since] in (HERE, HOME)
                kinds[p, since] = ADMITTED if begins else IN_HOSPITAL
            kinds[p, max(since + 1, 0) : until] = IN_HOSPITAL
            if emergency[s] and since <= until < kinds.shape[1] and kinds[p, until] == HERE:
                kinds[p, until] = HOME


@compiled
def all_compared(of, channel, value, first_reading, usual):  # type: ignore[no-untyped-def]
    """`compared` of every record, a person's after one another from `of` on: values, and variances."""
    values, variances, before = np.empty(len(value)), np.empty(len(value)), np.zeros((len(usual), 2))
    for p in range(len(of) - 1):
        before[:] = 0.0
        for e in range(of[p], of[p + 1]):
            values[e], variances[e] = compared(channel[e] - first_reading, value[e], before, usual)
    return values, variances


@compiled
def expected(of, records, kinds, model):  # type: ignore[no-untyped-def]
    """What the states are expected to have done, given everything, summed over people: how often begun (at first, on
    coming home), moved, counted, marked (marks, chances of one), read (sum, number, by certainty), and days lived
    (present, admitted).

    records: day, channel, value and variance; those of a person from `of` on, in the order of days.
    """
    initial, _, transitions, counts, marks, readings, hazard = model
    states, longest = len(hazard), kinds.shape[1]
    begun, moved, counted = np.zeros((2, states)), np.zeros((states, states)), np.zeros(counts.shape)
    marked, read, lived = np.zeros((2, *marks.shape)), np.zeros((2, *readings.shape)), np.zeros((2, states))
    chances, likely = np.empty((longest, states)), np.empty((longest, states))
    now, after = np.empty(states), np.empty(states)
    for p in range(len(of) - 1):
        if of[p] == of[p + 1]:
            continue
        first, last = forward(chances, likely, of[p], of[p + 1], records, kinds[p], model)
        after[:] = 1.0
        e = of[p + 1] - 1
        for d in range(last, first - 1, -1):
            now[:] = chances[d] * after
            now /= now.sum()
            e = credit(now, d, e, of[p], records, kinds[p, d], counted, marked, read)
            if kinds[p, d] in (HERE, HOME):
                lived[0] += now
            elif kinds[p, d] == ADMITTED:
                lived[1] += now
            if d == first:
                begun[0] += now
            elif kinds[p, d] == HOME:
                begun[1] += now
                after[:] = 1.0
            else:
                after *= likely[d]
                if not_still(kinds[p, d], kinds[p, d - 1]):
                    back(after, now, chances[d - 1], transitions, moved)
                after /= after.sum()
    return begun, moved, counted, marked, read, lived


@compiled
def not_still(kind, kind_before):  # type: ignore[no-untyped-def]
    """Whether states move between two days: not into, in or out of hospital, except home from it."""
    return kind != IN_HOSPITAL and kind_before != IN_HOSPITAL


@compiled
def forward(chances, likely, low, high, records, kinds, model):  # type: ignore[no-untyped-def]
    """Fill `chances` of each state on each day, given all until then, and `likely`, of the day's records by state; the
    first and last day that are filled: of the first record, and of the last or of an admission after it."""
    initial, home, transitions, counts, marks, readings, hazard = model
    day, channel, value, variance = records
    first, last, e = day[low], day[high - 1], low
    for d in range(last + 1, len(kinds)):
        if kinds[d] == ADMITTED:
            last = d
    quiet, told = np.exp(-counts.sum(axis=0)) * (1 - hazard), np.zeros(len(marks), np.int64)
    moved = np.empty(len(hazard))
    for d in range(first, last + 1):
        kind = kinds[d]
        likely[d] = quiet if kind in (HERE, HOME) else hazard if kind == ADMITTED else np.ones(len(hazard))
        told[:] = 0
        while e < high and day[e] == d:
            if kind in (HERE, HOME):
                weigh(likely[d], channel[e], (value[e], variance[e]), told, counts, readings)
            e += 1
        weigh_marks(likely[d], told, marks)
        if d == first:
            chances[d] = initial
        elif kind == HOME:
            chances[d] = home
        elif not_still(kind, kinds[d - 1]):
            chances[d] = chances[d - 1]
            step(chances[d], transitions, moved)
        else:
            chances[d] = chances[d - 1]
        chances[d] *= likely[d]
        chances[d] /= chances[d].sum()
    return first, last


@compiled
def credit(now, d, e, low, records, kind, counted, marked, read):  # type: ignore[no-untyped-def]
    """The records of a day, from `e` back, to the states that they are likely of; the place of the next ones."""
    day, channel, value, variance = records
    told = np.zeros(marked.shape[1], np.int64)
    while e >= low and day[e] == d:
        mark, reading = channel[e] - len(counted), channel[e] - len(counted) - marked.shape[1]
        if kind in (HERE, HOME):
            if mark < 0:
                counted[channel[e]] += now
            elif reading < 0:
                told[mark] |= 3 if value[e] > 0.5 else 1
            else:
                read[0, reading] += now * value[e] / variance[e]
                read[1, reading] += now / variance[e]
        e -= 1
    for mark in range(len(told)):
        if told[mark]:
            marked[0, mark] += now * (told[mark] == 3)
            marked[1, mark] += now
    return e


@compiled
def back(after, now, chances, transitions, moved):  # type: ignore[no-untyped-def]
    """How likely the rest is by the state of the day before, in place of by the day's; the moves between the two are
    added to `moved`."""
    states, total = len(after), 0.0
    for one in range(states):
        ahead = 0.0
        for other in range(states):
            ahead += transitions[one, other] * after[other]
        now[one] = ahead
        total += chances[one] * ahead
    for one in range(states):
        for other in range(states):
            moved[one, other] += chances[one] * transitions[one, other] * after[other] / total
    after[:] = now
