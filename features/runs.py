"""Rows in order, from sorted runs: what lies sorted is not sorted again, a few sorted runs are merged."""

from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]
MOST_RUNS = 256
"""With more runs than these the rows are as good as unsorted."""


def in_order(keys: Ints) -> Ints | None:
    """The places that put rows in the order of `keys` (key by row, the first key first); none where they lie so."""
    begins = _begins(keys, MOST_RUNS)
    if len(begins) <= 1:
        return None
    if len(begins) > MOST_RUNS:
        return np.lexsort(keys[::-1])
    spans = pairwise([*begins, keys.shape[1]])
    runs = [(end - begin, number, np.arange(begin, end)) for number, (begin, end) in enumerate(spans)]
    heapify(runs)
    while len(runs) > 1:
        size, number, left = heappop(runs)
        more, _, right = heappop(runs)
        heappush(runs, (size + more, number, _merged(keys, left, right)))
    return runs[0][2]


@njit(cache=True, nogil=True)
def _begins(keys, most):  # type: ignore[no-untyped-def]
    """Where each sorted run begins, up to one more than `most` of them."""
    found = [np.int64(0)]
    for row in range(1, keys.shape[1]):
        if _less(keys, row, row - 1):
            found.append(np.int64(row))
            if len(found) > most:
                break
    return np.array(found)


@njit(cache=True, nogil=True)
def _merged(keys, left, right):  # type: ignore[no-untyped-def]
    out = np.empty(len(left) + len(right), np.int64)
    a = b = 0
    for place in range(len(out)):
        if b == len(right) or (a < len(left) and not _less(keys, right[b], left[a])):
            out[place] = left[a]
            a += 1
        else:
            out[place] = right[b]
            b += 1
    return out


@njit(cache=True, nogil=True)
def _less(keys, one, other):  # type: ignore[no-untyped-def]
    for key in range(keys.shape[0]):
        if keys[key, one] != keys[key, other]:
            return keys[key, one] < keys[key, other]
    return False
