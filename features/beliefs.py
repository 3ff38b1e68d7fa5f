"""The compiled half of the hidden Markov model: belief in each state, carried from day to day by what was recorded.

A day's records, wherever they are asked for, are four columns: day, channel (`features.states`), value and variance,
in the order of days; a reading's value is how far it lies from the own usual, in units of the noise. `model` is the
first seven of `states.Learned.arrays`.
"""

from typing import Any

import numpy as np
from numba import njit

from features.windows import DAY

HERE, ADMITTED, IN_HOSPITAL, HOME = range(4)
"""What a day is: at home, that of an emergency admission, in hospital, or of coming home from an emergency stay."""
MOST = 3.0
"""Standard deviations beyond which a reading speaks no louder."""

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")
inner: Any = njit(nogil=True, error_model="numpy", forceinline=True)
"""What only compiled code calls. Compiled code is kept on disk for as long as the file of what was called stays as it
is, so that this must become a part of that."""


@compiled
def filtered(out, evidence, person, of_cut, edges, usual_from, recent, of, records, stays_of, stays, learned, ahead):  # type: ignore[no-untyped-def]
    """Put into `out` the chance of each state at each row's cut, by the records in force then, and into `evidence` what
    those of the last `recent` days say, as `weigh_evidence` does; NaN where there is no record in the look-back.

    edges: of each cut, where the days of the look-back begin, and the cut; own usual readings are made of records since
    `usual_from`. Records and stays are the columns of `filtering.Past`, a person's from `of` and `stays_of` on.
    """
    model, heard, usual, pace = learned[:7], learned[7], learned[8], learned[9]
    hazard, days, logs = model[6], edges.shape[1] - 1, logs_of(learned[:7])
    quiet, often = np.empty((heard.shape[1], len(hazard))), np.empty(len(pace))
    chances, likely, kinds = np.empty((days, len(hazard))), np.empty((days, len(hazard))), np.empty(days, np.int8)
    room = np.diff(of).max()
    day, channel, value, variance = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room), np.empty(room)
    before = np.empty((len(usual), 2))
    for row in range(len(person)):
        p, mine = person[row], edges[of_cut[row]]
        found = day, channel, value, variance
        whose = of[p], of[p + 1], usual_from[of_cut[row]]
        number = in_force(found, often, mine, whose, records, model, before, usual, pace)
        if number:
            fill_quiet(quiet, heard, often, model[3], hazard)
            fill_kinds(kinds, mine, mine[days], stays_of[p], stays_of[p + 1], stays)
            first = start_of(day[0], kinds)
            forward(chances, likely, (first, days - 1), 0, number, found, kinds, model, logs, quiet)
            out[row], evidence[row] = chances[days - 1], 0.0
            span = max(first, days - recent), days - 1
            weigh_evidence(evidence[row], chances, likely, span, number, found, kinds, often, model, logs, heard, ahead)
        else:
            out[row], evidence[row] = np.nan, np.nan


@inner
def in_force(found, often, edges, whose, records, model, before, usual, pace):  # type: ignore[no-untyped-def]
    """Put a person's records that were in force at the cut into `found`, and how often they have counts, against
    everyone, into `often`: how many records there are."""
    day, channel, value, variance = found
    at, known_from, known_to, channels, values = records
    (low, high, usual_from), cut, first_reading = whose, edges[-1], len(model[3]) + len(model[4])
    number, d, since = 0, 0, cut
    before[:], often[:] = 0.0, 0.0
    for e in range(low, high):
        if usual_from <= at[e] < cut and known_from[e] <= cut < known_to[e]:
            since = min(since, at[e])
            if channels[e] < len(often):
                often[channels[e]] += 1
            told = compared(channels[e] - first_reading, values[e], before, usual)
            if at[e] >= edges[0]:
                while at[e] >= edges[d + 1]:
                    d += 1
                day[number], channel[number], (value[number], variance[number]) = d, channels[e], told
                number += 1
    paced(often, (cut - since) / DAY, pace)
    return number


@compiled
def paced(often, days, pace):  # type: ignore[no-untyped-def]
    """Counts over so many days, in place, to how often the person has them, against everyone: the mean of the posterior
    of a factor with a gamma prior about 1."""
    for count in range(len(often)):
        rate, shape = pace[count]
        often[count] = (shape + often[count]) / (shape + rate * days)


@inner
def fill_quiet(quiet, heard, often, counts, hazard):  # type: ignore[no-untyped-def]
    """How likely it is by state that nothing (more) is on record of a day, by its age."""
    for age in range(len(quiet)):
        for state in range(len(hazard)):
            awaited = 0.0
            for count in range(len(often)):
                awaited += heard[count, age] * often[count] * counts[count, state]
            quiet[age, state] = np.exp(-awaited) * (1 - hazard[state])


@inner
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
def all_compared(of, channel, value, first_reading, usual):  # type: ignore[no-untyped-def]
    """`compared` of every record, a person's one after another from `of` on: values, and variances."""
    values, variances, before = np.empty(len(value)), np.empty(len(value)), np.zeros((len(usual), 2))
    for p in range(len(of) - 1):
        before[:] = 0.0
        for e in range(of[p], of[p + 1]):
            values[e], variances[e] = compared(channel[e] - first_reading, value[e], before, usual)
    return values, variances


@inner
def fill_kinds(kinds, edges, cut, low, high, stays):  # type: ignore[no-untyped-def]
    """Put into `kinds` what each day is by the stays in force at the cut. One that has not ended lasts until the cut;
    if it began before the days do, it is taken for one never closed."""
    admitted, discharged, known_from, known_to, emergency = stays
    kinds[:] = HERE
    for s in range(low, high):
        ended = edges[0] <= discharged[s] <= cut or (discharged[s] > cut and admitted[s] >= edges[0])
        if ended and admitted[s] < cut and known_from[s] <= cut < known_to[s]:
            since = np.searchsorted(edges, admitted[s], "right") - 1
            until = min(np.searchsorted(edges, discharged[s], "right") - 1, len(kinds))
            fill_stay(kinds, since, until, emergency[s])


@inner
def fill_stay(kinds, since, until, emergency):  # type: ignore[no-untyped-def]
    """`since`, the day of admission, may lie before the first day; `until`, that of discharge, after the last."""
    if 0 <= since < until:
        kinds[since] = ADMITTED if emergency and kinds[since] in (HERE, HOME) else IN_HOSPITAL
    kinds[max(since + 1, 0) : until] = IN_HOSPITAL
    if emergency and until < len(kinds) and kinds[until] == HERE:
        kinds[until] = HOME


@compiled
def all_kinds(days, edges, cut, stays_of, stays):  # type: ignore[no-untyped-def]
    """`fill_kinds` of everyone: person by day."""
    kinds = np.empty((len(stays_of) - 1, days), np.int8)
    for p in range(len(kinds)):
        fill_kinds(kinds[p], edges, cut, stays_of[p], stays_of[p + 1], stays)
    return kinds


@inner
def forward(chances, likely, span, low, high, records, kinds, model, logs, quiet):  # type: ignore[no-untyped-def]
    """Fill `chances` of each state on each day of `span` (first, last), given all until then, and `likely`, of the
    day's records by state. quiet: how likely a day without records is, by its age."""
    initial, home, transitions, _, marks, readings, hazard = model
    day, channel, value, variance = records
    (first, last), e, told, off = span, low, np.zeros(len(marks), np.int64), np.zeros(len(hazard))
    for d in range(first, last + 1):
        mine, now, present = likely[d], chances[d], kinds[d] in (HERE, HOME)
        alone = quiet[min(last - d, len(quiet) - 1)]
        for state in range(len(mine)):
            mine[state] = alone[state] if present else hazard[state] if kinds[d] == ADMITTED else 1.0
        began = e
        while e < high and day[e] == d:
            if present:
                note(off, told, channel[e], value[e], variance[e], logs, readings)
            e += 1
        if present and e > began:
            weigh(mine, off, told, logs)
        follow(chances, d, first, kinds, initial, home, transitions)
        weighed(now, mine)


@inner
def follow(chances, d, first, kinds, initial, home, transitions):  # type: ignore[no-untyped-def]
    """Chances of each state on a day before its records are looked at."""
    if kinds[d] == HOME:
        chances[d] = home
    elif d == first:
        chances[d] = initial
    elif still(kinds[d], kinds[d - 1]):
        chances[d] = chances[d - 1]
    else:
        mixed(chances[d], chances[d - 1], transitions)


@inner
def mixed(out, weights, rows):  # type: ignore[no-untyped-def]
    """Put the sum of the rows, so much of each, into `out`."""
    out[:] = 0.0
    for one in range(len(weights)):
        for other in range(len(out)):
            out[other] += weights[one] * rows[one, other]


@inner
def weighed(chances, likely):  # type: ignore[no-untyped-def]
    """Chances, in place, given what is so likely by state."""
    total = 0.0
    for state in range(len(chances)):
        chances[state] *= likely[state]
        total += chances[state]
    for state in range(len(chances)):
        chances[state] /= total


@inner
def still(kind, kind_before):  # type: ignore[no-untyped-def]
    """Whether states stay as they are between two days: into, in and out of hospital, except home from it."""
    return kind == IN_HOSPITAL or kind_before == IN_HOSPITAL


@inner
def note(off, told, channel, value, variance, logs, readings):  # type: ignore[no-untyped-def]
    """Take from `off` how likely a record is by state (a logarithm, up to a term). Marks are only noted, in `told`: 1
    where there could have been one on the day, 3 where there was."""
    counts, marks, _ = logs
    mark, reading = channel - len(counts), channel - len(counts) - len(marks)
    if mark < 0:
        for state in range(len(off)):
            off[state] -= counts[channel, state]
    elif reading < 0:
        told[mark] |= 3 if value > 0.5 else 1
    else:
        for state in range(len(off)):
            away = value - readings[reading, state]
            off[state] += away * away / (2 * variance)


@inner
def weigh(likely, off, told, logs):  # type: ignore[no-untyped-def]
    """Make `likely` (by state, up to a factor) that of what was noted of the day too, of which then nothing is left:
    relative to the likeliest state, so that nothing comes of rounding to nothing."""
    _, marks, none = logs
    for mark in range(len(told)):
        if told[mark]:
            for state in range(len(off)):
                off[state] -= marks[mark, state] if told[mark] == 3 else none[mark, state]
            told[mark] = 0
    least = off.min()
    for state in range(len(off)):
        if off[state] > least:
            likely[state] *= np.exp(least - off[state])
        off[state] = 0.0


@inner
def logs_of(model):  # type: ignore[no-untyped-def]
    """Logarithms of the model's counts, of marks, and of none where there could be one."""
    return np.log(model[3]), np.log(model[4]), np.log(1 - model[4])


@inner
def weigh_evidence(out, chances, likely, span, number, found, kinds, often, model, logs, heard, ahead):  # type: ignore[no-untyped-def]
    """Add to `out` (by channel, last for coming home) how much likelier the records of the days of `span` are given an
    admission ahead, whose chance by state is `ahead`, than given none: the mean difference of the logarithms."""
    initial, home, transitions, counts = model[:4]
    (first, last), e, back = span, number - 1, transitions.T.copy()
    after, against = ahead.copy(), 1 - ahead
    apart, room = np.empty(len(ahead)), np.empty(len(ahead))
    for d in range(last, first - 1, -1):
        difference(apart, chances[d], after, against)
        e = tell(out, apart, d, e, found, kinds[d], model, logs)
        if kinds[d] in (HERE, HOME):
            for count in range(len(counts)):
                awaited = heard[count, min(last - d, heard.shape[1] - 1)] * often[count]
                out[count] -= awaited * dot(apart, counts[count])
        if kinds[d] == HOME:
            out[-1] += dot(apart, np.log(home / initial))
            break
        if d > first:
            pull_back(after, room, likely[d], still(kinds[d], kinds[d - 1]), back)
            pull_back(against, room, likely[d], still(kinds[d], kinds[d - 1]), back)


@inner
def difference(apart, chances, after, against):  # type: ignore[no-untyped-def]
    """Chances given what comes after, less those given what stands against it."""
    one, other = dot(chances, after), dot(chances, against)
    for state in range(len(apart)):
        apart[state] = chances[state] * after[state] / one - chances[state] * against[state] / other


@inner
def dot(one, other):  # type: ignore[no-untyped-def]
    total = 0.0
    for n in range(len(one)):
        total += one[n] * other[n]
    return total


@inner
def tell(out, apart, d, e, found, kind, model, logs):  # type: ignore[no-untyped-def]
    """Add to `out` the logarithms of how likely a day's records, from `e` back, are by state, by the weights `apart`;
    where the next ones end."""
    readings, (counts, marks, none) = model[5], logs
    day, channel, value, variance = found
    told, last = np.zeros(len(marks), np.int64), e
    while e >= 0 and day[e] == d:
        mark, reading = channel[e] - len(counts), channel[e] - len(counts) - len(marks)
        if kind in (HERE, HOME):
            if mark < 0:
                out[channel[e]] += dot(apart, counts[channel[e]])
            elif reading < 0:
                told[mark] |= 3 if value[e] > 0.5 else 1
            else:
                for state in range(len(apart)):
                    away = value[e] - readings[reading, state]
                    out[channel[e]] -= apart[state] * away * away / (2 * variance[e])
        e -= 1
    for mark in range(len(told) if e < last else 0):
        if told[mark]:
            out[len(counts) + mark] += dot(apart, marks[mark] if told[mark] == 3 else none[mark])
    return e


@inner
def pull_back(after, room, likely, is_still, back):  # type: ignore[no-untyped-def]
    """Make `after`, how likely all later days are by a day's state, that of the day before, up to a factor. back: the
    transitions turned about."""
    total = 0.0
    for state in range(len(after)):
        after[state] *= likely[state]
    if not is_still:
        mixed(room, after, back)
        after[:] = room
    for state in range(len(after)):
        total += after[state]
    for state in range(len(after)):
        after[state] /= total


@inner
def start_of(first, kinds):  # type: ignore[no-untyped-def]
    """The day from which a person is followed: that of the first record, or before it of coming home from an emergency
    stay, whichever tells how they were."""
    for d in range(first - 1, -1, -1):
        if kinds[d] == HOME:
            return d
    return first
