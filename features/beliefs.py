"""The compiled half of the hidden Markov model: belief in each state, carried from day to day by what was recorded.

Everything compiled is in this one file, since compiled code is kept on disk for as long as its own file stays as it is.

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
TINY = 1e-100
"""How likely a day's records may become before they are reckoned anew: a day may have hundreds, by mistake."""
MOST = 3.0
"""Standard deviations beyond which a reading speaks no louder."""

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def filtered(out, evidence, person, of_cut, edges, usual_from, recent, of, records, stays_of, stays, learned, ahead):  # type: ignore[no-untyped-def]
    """Put into `out` the chance of each state at each row's cut, by the records in force then, and into `evidence` what
    those of the last `recent` days say, as `weigh_evidence` does; NaN where there is no record in the look-back.

    edges: of each cut, where the days of the look-back begin, and the cut; own usual readings are made of records since
    `usual_from`. Records and stays are the columns of `filtering.Past`, a person's from `of` and `stays_of` on.
    """
    model, heard, usual, pace = learned[:7], learned[7], learned[8], learned[9]
    hazard, days = model[6], edges.shape[1] - 1
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
            forward(chances, likely, (first, days - 1), 0, number, found, kinds, model, quiet)
            out[row], evidence[row] = chances[days - 1], 0.0
            span = max(first, days - recent), days - 1
            weigh_evidence(evidence[row], chances, likely, span, number, found, kinds, often, model, heard, ahead)
        else:
            out[row], evidence[row] = np.nan, np.nan


@compiled
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


@compiled
def fill_quiet(quiet, heard, often, counts, hazard):  # type: ignore[no-untyped-def]
    """How likely it is by state that nothing (more) is on record of a day, by its age."""
    for age in range(len(quiet)):
        quiet[age] = 0.0
        for count in range(len(often)):
            quiet[age] += heard[count, age] * often[count] * counts[count]
        quiet[age] = np.exp(-quiet[age]) * (1 - hazard)


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
def all_compared(of, channel, value, first_reading, usual):  # type: ignore[no-untyped-def]
    """`compared` of every record, a person's one after another from `of` on: values, and variances."""
    values, variances, before = np.empty(len(value)), np.empty(len(value)), np.zeros((len(usual), 2))
    for p in range(len(of) - 1):
        before[:] = 0.0
        for e in range(of[p], of[p + 1]):
            values[e], variances[e] = compared(channel[e] - first_reading, value[e], before, usual)
    return values, variances


@compiled
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


@compiled
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


@compiled
def forward(chances, likely, span, low, high, records, kinds, model, quiet):  # type: ignore[no-untyped-def]
    """Fill `chances` of each state on each day of `span` (first, last), given all until then, and `likely`, of the
    day's records by state. quiet: how likely a day without records is, by its age."""
    initial, home, transitions, counts, marks, readings, hazard = model
    day, channel, value, variance = records
    (first, last), e, told = span, low, np.zeros(len(marks), np.int64)
    for d in range(first, last + 1):
        kind, present = kinds[d], kinds[d] in (HERE, HOME)
        likely[d] = 1.0
        if present:
            likely[d] = quiet[min(last - d, len(quiet) - 1)]
        elif kind == ADMITTED:
            likely[d] = hazard
        told[:] = 0
        while e < high and day[e] == d:
            if present:
                weigh(likely[d], channel[e], value[e], variance[e], told, counts, readings)
            e += 1
        weigh_marks(likely[d], told, marks)
        follow(chances, d, first, kinds, initial, home, transitions)
        chances[d] *= likely[d]
        chances[d] /= chances[d].sum()


@compiled
def follow(chances, d, first, kinds, initial, home, transitions):  # type: ignore[no-untyped-def]
    """Chances of each state on a day before its records are looked at."""
    if kinds[d] == HOME:
        chances[d] = home
    elif d == first:
        chances[d] = initial
    elif still(kinds[d], kinds[d - 1]):
        chances[d] = chances[d - 1]
    else:
        chances[d] = 0.0
        for one in range(len(initial)):
            for other in range(len(initial)):
                chances[d, other] += chances[d - 1, one] * transitions[one, other]


@compiled
def still(kind, kind_before):  # type: ignore[no-untyped-def]
    """Whether states stay as they are between two days: into, in and out of hospital, except home from it."""
    return kind == IN_HOSPITAL or kind_before == IN_HOSPITAL


@compiled
def weigh(likely, channel, value, variance, told, counts, readings):  # type: ignore[no-untyped-def]
    """Make `likely` (by state, up to a factor) that of the record too. Marks are only noted, in `told`: 1 where there
    could have been one on the day, 3 where there was."""
    mark = channel - len(counts)
    if mark < 0:
        likely *= counts[channel]
    elif mark < len(told):
        told[mark] |= 3 if value > 0.5 else 1
    else:
        weigh_reading(likely, value, variance, readings[mark - len(told)])
    if likely.max() < TINY:
        likely /= likely.max()


@compiled
def weigh_reading(likely, value, variance, means):  # type: ignore[no-untyped-def]
    """Relative to the state in which the reading is likeliest, so that nothing comes of rounding to nothing."""
    least = np.inf
    for state in range(len(likely)):
        least = min(least, (value - means[state]) ** 2)
    for state in range(len(likely)):
        likely[state] *= np.exp((least - (value - means[state]) ** 2) / (2 * variance))


@compiled
def weigh_marks(likely, told, marks):  # type: ignore[no-untyped-def]
    for mark in range(len(told)):
        if told[mark]:
            likely *= marks[mark] if told[mark] == 3 else 1 - marks[mark]


@compiled
def weigh_evidence(out, chances, likely, span, number, found, kinds, often, model, heard, ahead):  # type: ignore[no-untyped-def]
    """Add to `out` (by channel, last for coming home) how much likelier the records of the days of `span` are given an
    admission ahead, whose chance by state is `ahead`, than given none: the mean difference of the logarithms."""
    initial, home, transitions, counts, marks, _, _ = model
    (first, last), e = span, number - 1
    after, against, apart, room = ahead.copy(), 1 - ahead, np.empty(len(ahead)), np.empty(len(ahead))
    for d in range(last, first - 1, -1):
        apart[:] = chances[d] * after / (chances[d] * after).sum() - chances[d] * against / (chances[d] * against).sum()
        e = tell(out, apart, d, e, found, kinds[d], model)
        if kinds[d] in (HERE, HOME):
            for count in range(len(counts)):
                awaited = heard[count, min(last - d, heard.shape[1] - 1)] * often[count]
                out[count] -= awaited * (apart * counts[count]).sum()
        if kinds[d] == HOME:
            out[-1] += (apart * np.log(home / initial)).sum()
            break
        if d > first:
            pull_back(after, room, likely[d], still(kinds[d], kinds[d - 1]), transitions)
            pull_back(against, room, likely[d], still(kinds[d], kinds[d - 1]), transitions)


@compiled
def tell(out, apart, d, e, found, kind, model):  # type: ignore[no-untyped-def]
    """Add to `out` the logarithms of how likely a day's records, from `e` back, are by state, by the weights `apart`;
    where the next ones end."""
    _, _, _, counts, marks, readings, _ = model
    day, channel, value, variance = found
    told = np.zeros(len(marks), np.int64)
    while e >= 0 and day[e] == d:
        mark, reading = channel[e] - len(counts), channel[e] - len(counts) - len(marks)
        if kind in (HERE, HOME):
            if mark < 0:
                out[channel[e]] += (apart * np.log(counts[channel[e]])).sum()
            elif reading < 0:
                told[mark] |= 3 if value[e] > 0.5 else 1
            else:
                out[channel[e]] -= (apart * (value[e] - readings[reading]) ** 2).sum() / (2 * variance[e])
        e -= 1
    for mark in range(len(told)):
        if told[mark]:
            shares = marks[mark] if told[mark] == 3 else 1 - marks[mark]
            out[len(counts) + mark] += (apart * np.log(shares)).sum()
    return e


@compiled
def pull_back(after, room, likely, is_still, transitions):  # type: ignore[no-untyped-def]
    """Make `after`, how likely all later days are by a day's state, that of the day before, up to a factor."""
    after *= likely
    if not is_still:
        room[:] = 0.0
        for one in range(len(after)):
            for other in range(len(after)):
                room[one] += transitions[one, other] * after[other]
        after[:] = room
    after /= after.sum()


@compiled
def expected(of, records, kinds, often, model):  # type: ignore[no-untyped-def]
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
    for p in range(len(of) - 1):
        if of[p] < of[p + 1]:
            first, last = span_of(records[0], of[p], of[p + 1], kinds[p])
            fill_quiet(quiet, whole, often[p], counts, hazard)
            forward(chances, likely, (first, last), of[p], of[p + 1], records, kinds[p], model, quiet)
            after[:], mine[:], e = 1.0, lived[0], of[p + 1] - 1
            for d in range(last, first - 1, -1):
                now[:] = chances[d] * after
                now /= now.sum()
                e = credit(now, d, e, of[p], records, kinds[p, d], credited, lived)
                if d == first or kinds[p, d] == HOME:
                    begun[1 if kinds[p, d] == HOME else 0] += now
                    after[:] = 1.0
                else:
                    is_still = still(kinds[p, d], kinds[p, d - 1])
                    if not is_still:
                        move(moved, chances[d - 1], after, likely[d], transitions)
                    pull_back(after, now, likely[d], is_still, transitions)
            for count in range(len(awaited)):
                awaited[count] += often[p, count] * (lived[0] - mine)
    counted, marked, read = credited
    return begun, moved, counted, awaited, marked, read, lived


@compiled
def span_of(day, low, high, kinds):  # type: ignore[no-untyped-def]
    """The first and last day of a person that are learned from: as `start_of` has it, and of the last record or of an
    emergency admission after it."""
    last = day[high - 1]
    for d in range(last + 1, len(kinds)):
        if kinds[d] == ADMITTED:
            last = d
    return start_of(day[low], kinds), last


@compiled
def start_of(first, kinds):  # type: ignore[no-untyped-def]
    """The day from which a person is followed: that of the first record, or before it of coming home from an emergency
    stay, whichever tells how they were."""
    for d in range(first - 1, -1, -1):
        if kinds[d] == HOME:
            return d
    return first


@compiled
def credit(now, d, e, low, records, kind, credited, lived):  # type: ignore[no-untyped-def]
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


@compiled
def move(moved, chances, after, likely, transitions):  # type: ignore[no-untyped-def]
    """Add to `moved` what is expected of the moves into a day, from chances on the day before."""
    total = 0.0
    for one in range(len(after)):
        for other in range(len(after)):
            total += chances[one] * transitions[one, other] * likely[other] * after[other]
    for one in range(len(after)):
        for other in range(len(after)):
            moved[one, other] += chances[one] * transitions[one, other] * likely[other] * after[other] / total
