"""The compiled pass, row by row: where the windows of a row lie, and the driver that has its features made of them."""

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from features import aggregates
from features.aggregates import NO_VALUE, ahead, climb, compiled, inlined, lowest, there


def kept(source: int) -> Any:
    """The driver. Compiled code is kept on disk by the function that was called and for as long as its file stays as it
    is, whatever happens to files it calls into: so `source`, which stands for those, is made a part of the function.
    """

    @compiled
    def fill(out, place, people, of_cut, cuts, starts, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
        """Every feature of every row. `place` is the row's person in the three of `people`, of `kernel._slices`;
        `of_cut` is the row's cut in `cuts` and `starts`. The last three are the fields of `events.Streams`,
        `kernel.Program` and `kernel.Scratch`, in their order."""
        if source >= 0:
            _fill(out, place, people, of_cut, cuts, starts, midnights, streams, program, scratch)

    return fill


@inlined
def _fill(out, place, people, of_cut, cuts, starts, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
    first, last, until = people
    _, _, at, known_from, known_to, _, _, shift, brief = streams
    ladders, walks, _, _, _, _, _, _, _, _, reach, alone, known = program
    block, since = scratch[0], scratch[8]
    for start in range(0, len(place), block):
        rows = range(start, min(start + block, len(place)))
        for row in rows:
            p, k, cut, base = place[row], of_cut[row], cuts[of_cut[row]], (row - start) * len(shift)
            for s in range(len(reach)):
                if reach[s] >= 0:
                    whose = first[p, s], last[p, s], until[p, s]
                    _look_back(s, base, whose, cut, starts, k, reach[s], alone[s], streams, scratch)
            if known >= 0:
                earliest = starts[k, known]
                since[row - start] = _since(first, last, p, earliest, cut, at, known_from, known_to, brief)
        for n in range(len(ladders) - 1):
            for row in rows:
                k, base, known_for = of_cut[row], there((row - start) * len(shift)), since[row - start]
                ladder = walks[n], ladders[n], ladders[n + 1]
                climb(out, row, base, ladder, cuts[k], starts, k, known_for, midnights, streams, program, scratch)


@inlined
def _look_back(s, base, whose, cut, starts, k, far, alone, streams, scratch):  # type: ignore[no-untyped-def]
    """Where the windows of a stream's codes lie. The events of a stream of one code are walked where they are, if all
    of them were in force at the cut; otherwise those that were are gathered, code by code."""
    _, codes, at, known_from, known_to, bits, value, shift, _ = streams
    _, room, ats, values, in_place, begins, ends, lasts, _, _, _ = scratch
    first_code, last_code, (first, last, until) = base + codes[s], base + codes[s + 1], whose
    begin, end = ahead(at, first, last, starts[k, far]), ahead(at, first, last, cut)
    if alone and (known_from[end - 1] <= cut < until or _all_in_force(known_from, known_to, begin, end, cut)):
        in_place[first_code], begins[first_code, far], ends[first_code], lasts[first_code] = True, begin, end, last
        for w in range(far):
            begins[first_code, w] = ahead(at, first, last, starts[k, w])
        return
    for c in range(first_code, last_code):
        in_place[c], begins[c, 0], ends[c], lasts[c] = False, (c + 1) * room, (c + 1) * room, NO_VALUE
    w = 0
    for e in range(end - 1, begin - 1, -1):
        w = _further(begins, first_code, last_code, starts, k, w, far, at[e])
        if known_from[e] <= cut < known_to[e]:
            _take(ats, values, begins, w, base, codes[s], bits[e], at[e], value, shift, e)
    _further(begins, first_code, last_code, starts, k, w, far, NO_VALUE)


@inlined
def _all_in_force(known_from, known_to, begin, end, cut):  # type: ignore[no-untyped-def]
    other = 0
    for e in range(there(begin), there(end)):
        other |= (known_from[e] > cut) | (known_to[e] <= cut)
    return other == 0


@inlined
def _further(begins, first_code, last_code, starts, k, w, far, at):  # type: ignore[no-untyped-def]
    """The shortest window that holds the moment `at`, or `far`; it begins, so far, where the shorter ones do."""
    while w < far and at < starts[k, w]:
        for c in range(first_code, last_code):
            begins[c, w + 1] = begins[c, w]
        w += 1
    return w


@inlined
def _take(ats, values, begins, w, base, first_code, bits, at, value, shift, e):  # type: ignore[no-untyped-def]
    """Put an event before what is gathered of each of its codes."""
    while bits:
        c = first_code + np.int64(lowest(bits))
        begins[base + c, w] -= 1
        ats[begins[base + c, w]] = at
        values[begins[base + c, w]] = value[e + shift[c]] if shift[c] != NO_VALUE else NO_VALUE
        bits &= bits - np.uint64(1)


@inlined
def _since(first, last, p, start, cut, at, known_from, known_to, brief):  # type: ignore[no-untyped-def]
    """The moment of the person's oldest event that is in force and not before `start`, or the cut."""
    oldest = cut
    for s in range(brief):
        for e in range(ahead(at, first[p, s], last[p, s], start), last[p, s]):
            if at[e] >= oldest or known_from[e] <= cut < known_to[e]:
                oldest = min(oldest, at[e])
                break
    return oldest


fill = kept(crc32(Path(aggregates.__file__).read_bytes()))
