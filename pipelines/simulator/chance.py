"""Randomness that belongs to a fact, not to a place in a stream.

What is drawn for a fact depends on the seed, on which fact it is and on what is asked, and on nothing else. So a fault
that is switched off, a day that is added or a person who is helped leaves everything else as it was, and a world can be
lived through day by day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Facts:
    """Some facts, each with chances of its own. What is drawn goes by a name: the same name, the same draw."""

    state: NDArray[np.uint64]

    def __getitem__(self, which: NDArray[Any]) -> "Facts":
        return Facts(self.state[which])

    def __len__(self) -> int:
        return len(self.state)

    def uniform(self, what: str) -> Floats:
        """In (0, 1)."""
        return ((_mix(self.state ^ _salt(what)) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def happens(self, what: str, chance: Floats | float) -> Flags:
        return np.asarray(self.uniform(what) < chance)

    def normal(self, what: str) -> Floats:
        return np.asarray(ndtri(self.uniform(what)))

    def exponential(self, what: str, mean: float) -> Floats:
        return np.asarray(-mean * np.log(self.uniform(what)))

    def whole(self, what: str, low: int | Ints, high: int | Ints) -> Ints:
        """A whole number from `low` to one below `high`."""
        span = np.asarray(high) - low
        return np.asarray(low + (self.uniform(what) * span).astype(np.int64), dtype=np.int64)

    def pick(self, what: str, shares: Sequence[float]) -> Ints:
        """A place in `shares`, with chances in proportion to them."""
        edges = np.cumsum(shares)
        return np.searchsorted(edges[:-1] / edges[-1], self.uniform(what), side="right").astype(np.int64)

    def geometric(self, what: str, mean: float) -> Ints:
        """1, 2, ... with this mean."""
        return np.asarray(1 + np.floor(np.log(self.uniform(what)) / np.log1p(-1 / mean)), dtype=np.int64)


def facts(seed: int, kind: str, *keys: NDArray[Any]) -> Facts:
    """The facts of a kind that have these keys."""
    state = np.full(len(keys[0]), seed, dtype=np.uint64) ^ _salt(kind)
    for key in keys:
        state = _mix(state ^ key.astype(np.int64).astype(np.uint64) * _GOLDEN)
    return Facts(state)


@cache
def _salt(what: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(what.encode(), digest_size=8).digest(), "little"))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + _GOLDEN
    value ^= value >> np.uint64(30)
    value *= _MIX_1
    value ^= value >> np.uint64(27)
    value *= _MIX_2
    value ^= value >> np.uint64(31)
    return value
