"""Records that are columns: frozen dataclasses whose every field is an array with an entry for each."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

C = TypeVar("C")


def take(columns: C, which: NDArray[Any]) -> C:
    """The entries `which`, by place or by flag."""
    kind: Any = type(columns)
    taken: C = kind(**{field.name: getattr(columns, field.name)[which] for field in fields(kind)})
    return taken


def chain(parts: Sequence[C]) -> C:
    """The entries of all `parts`, one after another."""
    kind: Any = type(parts[0])
    joined: C = kind(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)})
    return joined
