"""Columns that grow by a few rows at a time."""

import numpy as np
from numpy.typing import NDArray

from pipelines.simulator.chance import Ints


class Log:
    """Named columns of whole numbers; on adding, a single value stands for a whole column of it."""

    def __init__(self, **types: str) -> None:
        self._types = types
        self._parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in types}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, **columns: NDArray[np.generic] | int) -> Ints:
        """Append rows; their places."""
        count = max(np.size(values) if np.ndim(values) else 0 for values in columns.values())
        for name, values in columns.items():
            rows = np.broadcast_to(np.asarray(values), count)
            self._parts[name].append(rows.astype(self._types[name]))
        before, self._rows = self._rows, self._rows + count
        return np.arange(before, self._rows)

    def __getitem__(self, name: str) -> Ints:
        return self._joined(name).astype(np.int64)

    def at(self, name: str, rows: Ints) -> Ints:
        """Some rows of a column."""
        return self._joined(name)[rows].astype(np.int64)

    def _joined(self, name: str) -> NDArray[np.generic]:
        parts = self._parts[name] or [np.zeros(0, dtype=self._types[name])]
        self._parts[name] = parts = [np.concatenate(parts)] if len(parts) > 1 else parts
        return parts[0]
