"""Randomness that belongs to a fact rather than to a place in a stream."""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def keyed(seed: int, *keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each combination of `keys`: the same for the same keys, unrelated otherwise."""
    state = np.full(len(keys[0]), seed, dtype=np.uint64)
    for key in keys:
        state = _mix(state ^ key.astype(np.uint64) * _GOLDEN)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
