"""A file to be: its rows as numbers, and how each column is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.simulator.calendar import DAY, NONE
from pipelines.simulator.chance import Flags, Floats, Ints

_EARLIEST = NONE // 2

Render = Callable[[NDArray[Any]], pa.Array]


@dataclass(frozen=True)
class Field:
    """A column's values, one a row, and how a run of them is written."""

    values: NDArray[Any]
    render: Render


@dataclass(frozen=True)
class Sheet:
    """The rows of one file, over all extracts, in the order in which they were recorded.

    recorded: local seconds. person, referral: numbers of the rows' parents (-1: none). key: the rows of one fact share
    it. is_parent_of: "person" or "referral" where other files' rows need this file's, else "".
    """

    name: str
    recorded: Ints
    person: Ints
    referral: Ints
    key: Ints
    fields: Mapping[str, Field]
    is_parent_of: str = ""

    def __len__(self) -> int:
        return len(self.recorded)

    def take(self, which: Ints) -> "Sheet":
        taken = {name: Field(field.values[which], field.render) for name, field in self.fields.items()}
        columns = (self.recorded[which], self.person[which], self.referral[which], self.key[which])
        return Sheet(self.name, *columns, taken, self.is_parent_of)

    def in_order(self) -> "Sheet":
        return self.take(np.lexsort((self.key, self.recorded)))

    def table(self, which: Ints | slice) -> pa.Table:
        """The rows `which` as text, columns in order."""
        return pa.table({name: field.render(field.values[which]) for name, field in self.fields.items()})


def words(vocabulary: tuple[str, ...], index: Ints) -> Field:
    """Entries of a vocabulary; empty where the index is negative."""
    small = index.astype(np.int16)
    texts = pa.array(vocabulary, pa.string())

    def render(values: NDArray[Any]) -> pa.Array:
        return texts.take(pa.array(values, mask=values < 0))

    return Field(small, render)


def constant(text: str, count: int) -> Field:
    return words((text,), np.zeros(count, dtype=np.int64))


def blank(count: int) -> Field:
    return words(("",), np.full(count, -1))


def flag(values: Flags, yes: str = "Y", no: str = "") -> Field:
    return words((no, yes), values.astype(np.int64))


def identifier(prefix: str, width: int, number: Ints) -> Field:
    """A prefix and the number padded with zeros; empty where the number is negative."""

    def render(values: NDArray[Any]) -> pa.Array:
        digits = pc.utf8_lpad(pa.array(values, mask=values < 0).cast(pa.string()), width, "0")
        return pc.binary_join_element_wise(prefix, digits, "")

    return Field(number, render)


def whole(values: Ints) -> Field:
    """Whole numbers; empty where negative."""

    def render(part: NDArray[Any]) -> pa.Array:
        return pa.array(part, mask=part < 0)

    return Field(values, render)


def measured(values: Floats, decimals: int = 0) -> Field:
    """Numbers with at most `decimals` decimals; empty where not a number."""

    def render(part: NDArray[Any]) -> pa.Array:
        scaled = np.round(part.astype(np.float64), decimals)
        empty = np.isnan(scaled)
        if decimals == 0:
            return pa.array(np.where(empty, 0, scaled).astype(np.int64), mask=empty).cast(pa.string())
        return pa.array(scaled, mask=empty).cast(pa.string())

    return Field(values, render)


def day_of(moments: Ints) -> Field:
    """The date, as YYYY-MM-DD; empty for moments that never come."""

    def render(values: NDArray[Any]) -> pa.Array:
        days = pa.array((values // DAY).astype(np.int32), mask=values < _EARLIEST)
        return days.cast(pa.date32()).cast(pa.string())

    return Field(moments, render)


def clock_of(moments: Ints, pattern: str) -> Field:
    """The time of day; `pattern` is HH:MM:SS, HH:MM or HHMM; empty for moments that never come."""

    def render(values: NDArray[Any]) -> pa.Array:
        seconds = pa.array((values % DAY).astype(np.int32), mask=values < _EARLIEST)
        text = seconds.cast(pa.time32("s")).cast(pa.string())
        cut = pc.utf8_slice_codeunits(text, 0, 8 if pattern == "HH:MM:SS" else 5)
        return pc.replace_substring(cut, ":", "") if pattern == "HHMM" else cut

    return Field(moments, render)


def stamp(moments: Ints) -> Field:
    """Local date and time, as YYYY-MM-DDTHH:MM:SS; empty for moments that never come."""

    def render(values: NDArray[Any]) -> pa.Array:
        text = pa.array(values, mask=values < _EARLIEST).cast(pa.timestamp("s")).cast(pa.string())
        return pc.binary_replace_slice(text, 10, 11, "T")

    return Field(moments, render)
