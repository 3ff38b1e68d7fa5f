"""Hidden states: what a catalogue says of them, and the numbers that training finds for them.

A hidden Markov model (Rabiner, 1989) of what is recorded of a person day by day. On each day a person is in one of a
few states that nobody names; each has its own rates of contacts, shares of marks, mean readings and chance of an
emergency admission, and its own chances of what follows. A catalogue says which of its events speak of the states;
the numbers are learned at training (`models.states`), become a part of the catalogue, and so of the model's contract.
"""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

LOG_ODDS, EVIDENCE = "log_odds", "evidence"
"""The aggregates of features that the states give: what they amount to, and what of it each kind of record says."""
LEARNED = "\nlearned: "
"""What the line of a catalogue begins with that has its learned numbers."""
OLDEST = 30
"""Age in days from which nothing more of a day is waited for."""

Row = tuple[float, ...]
Table = tuple[Row, ...]
Arrays = tuple[npt.NDArray[np.float64], ...]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mark(_Data):
    """On a day that has an event `among`, or `of`: whether it has `of`."""

    of: str
    among: str


class States(_Data):
    """number: of states. admission: the event, of stays, whose risk they give. Of events in `counts` how many there are
    a day matters, of `marks` whether there is one, of `readings` the value, against the person's own usual.

    Belief is made of the records of `days` days, what is usual of those of `usual_days`; evidence is told of the last
    `evidence_days`.
    """

    days: Annotated[int, Field(ge=1, le=1000)] = 120
    usual_days: Annotated[int, Field(ge=1, le=3660)] = 365
    evidence_days: Annotated[int, Field(ge=1)] = 30
    number: Annotated[int, Field(ge=2, le=20)] = 12
    admission: str
    counts: Annotated[tuple[str, ...], Field(min_length=1)]
    marks: tuple[Mark, ...] = ()
    readings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> "States":
        if len(set(self.told)) < len(self.told):
            message = "an event must be named once among the admission, counts, marks (of) and readings"
            raise ValueError(message)
        return self

    @property
    def names(self) -> list[str]:
        """Every event that is named."""
        marks = [name for mark in self.marks for name in (mark.of, mark.among)]
        return [self.admission, *self.counts, *marks, *self.readings]

    @property
    def told(self) -> list[str]:
        """The events that evidence is told of, in the order of channels; last that of coming home."""
        return [*self.counts, *(mark.of for mark in self.marks), *self.readings, self.admission]

    @property
    def channels(self) -> list[tuple[str, int, float | None]]:
        """Event, channel (counts first, then marks, then readings) and value; None stands for the event's own."""
        counts, marks = len(self.counts), len(self.marks)
        found: list[tuple[str, int, float | None]] = [(name, n, 1.0) for n, name in enumerate(self.counts)]
        for n, mark in enumerate(self.marks, counts):
            found += [(mark.among, n, 0.0), (mark.of, n, 1.0)]
        return found + [(name, n, None) for n, name in enumerate(self.readings, counts + marks)]


class Learned(_Data):
    """By state: `initial` chances where a record begins and on coming `home` from an emergency stay; of the next day's
    state (`transitions`, rows add up to 1); by channel, `counts` a day, shares of `marks`, mean `readings` (in standard
    deviations of the noise about the own usual); `hazard`, the chance of an emergency admission a day.

    heard: for each of the counts, the share that is on record by its age in days (0 to `OLDEST`). usual: for each of
    the readings, mean and variance of people's usual, and variance of the noise about it. pace: for each of the counts,
    how many there are a day, and the shape of the gamma distribution of how often people have them against that.
    """

    initial: Row
    home: Row
    transitions: Table
    counts: Table
    marks: Table
    readings: Table
    hazard: Row
    heard: Table
    usual: Table
    pace: Table

    @property
    def arrays(self) -> Arrays:
        """As the compiled pass takes them, in the order of the fields."""
        states = len(self.hazard)
        by_state = dict.fromkeys(("transitions", "counts", "marks", "readings"), states)
        wide = {**by_state, "heard": OLDEST + 1, "usual": 3, "pace": 2}
        tables = {name: np.array(value, np.float64) for name, value in self}
        return tuple(table.reshape(-1, wide[name]) if name in wide else table for name, table in tables.items())

    def fits(self, spec: States) -> bool:
        """Whether the numbers are of such states."""
        states, shapes = spec.number, [table.shape for table in self.arrays]
        rows = [len(spec.counts), len(spec.marks), len(spec.readings)]
        tables = [(n, states) for n in (states, *rows)]
        own = [(rows[0], OLDEST + 1), (rows[2], 3), (rows[0], 2)]
        return shapes == [(states,), (states,), *tables, (states,), *own]


def without_learned(text: str) -> str:
    """The text of a catalogue as it is before training."""
    return text.partition(LEARNED)[0]


def with_learned(text: str, learned: str) -> str:
    """The text of a catalogue that has learned: `learned` is JSON of `Learned`."""
    return f"{text.rstrip()}{LEARNED}{learned}\n"


def learned_in(text: str) -> str:
    """The learned numbers in the text of a catalogue, or nothing."""
    return text.partition(LEARNED)[2].strip()
