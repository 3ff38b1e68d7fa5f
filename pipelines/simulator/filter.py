"""What could be known at best: the chances of each state given what was observed, by Bayes' rule and nothing else.

Two filters. One is given all that was observed up to a cut, at once and unspoilt; the other only what had been written
up by then, with the right chances for what may still be unwritten. Both know the world's formulas, every person's and
team's traits, who was at home and who in hospital; so no model that learns from the extracts can beat them except by
luck or by a leak.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.simulator import course as c
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.course import Course
from pipelines.simulator.evidence import Observer, Told, make_observer, told_on
from pipelines.simulator.people import first_shares
from pipelines.simulator.records import Records

Memory = deque[tuple[Floats, Told]]
"""The last days: what was believed before each, and what each told."""


@dataclass(frozen=True)
class Cut:
    """Who is at home and on a caseload at a day's cut, and the chances of each state: given everything observed, and
    given what was written up in time."""

    number: int
    person: Ints
    state: Ints
    helped: Ints
    all_records: Floats
    in_time: Floats


def beliefs(records: Records, first: int, last: int) -> Iterator[Cut]:
    """For the cuts from `first` to `last`, in order. The filter begins to watch where the journal begins to note."""
    observer = make_observer(records)
    world, log = records.world, records.journal.cuts
    cut = {name: log[name] for name in ("person", "place", "day", "state", "helped")}
    memory: Memory = deque(maxlen=world.config.delays.most_days)
    belief = np.zeros((world.config.places, len(world.course)))
    for number in range(int(cut["day"][0]), last + 1):
        rows = slice(*np.searchsorted(cut["day"], (number, number + 1)))
        person, place = cut["person"][rows], cut["place"][rows]
        _let_in(observer, belief, number, place, person)
        if number >= first:
            in_time = _in_time(observer, memory, number, place, person)
            yield Cut(number, person, cut["state"][rows], cut["helped"][rows], belief[place], in_time)
        told = told_on(observer, number, place, person, cut["helped"][rows])
        memory.append((belief.copy(), told))
        _step(observer, belief, told, world.config.delays.most_days)


def _let_in(observer: Observer, belief: Floats, number: int, place: Ints, person: Ints) -> None:
    """Begin anew with those who came yesterday, and with everybody of whom nothing is believed yet."""
    records = observer.records
    arrived = records.people.arrived[person]
    new = np.flatnonzero((arrived == number - 1) | (belief[place].sum(axis=1) == 0))
    people = take(records.people, person[new])
    settled = (people.arrived < 0) | (people.arrived < number - 1)
    belief[place[new]] = first_shares(records.world.config, records.world.course, people, settled)


def _in_time(observer: Observer, memory: Memory, number: int, place: Ints, person: Ints) -> Floats:
    """What is believed at the cut of a day of what was written up before it: from the last day that is surely written
    up, through the days that may not be."""
    known = memory[0][0].copy() if memory else np.zeros((observer.world.config.places, len(observer.world.course)))
    for rank, (_, told) in enumerate(memory):
        if rank > 0:
            _let_in(observer, known, told.day.number, told.place, told.person)
        _step(observer, known, told, number - 1 - told.day.number)
    _let_in(observer, known, number, place, person)
    return known[place]


def _step(observer: Observer, belief: Floats, told: Told, age: int) -> None:
    """Take what is known of a day `age` days after its end into the belief of those who were there, in place."""
    course, prompt = observer.world.course, observer.world.config.delays.attendance_next_day
    moved = c.predict(course, belief[told.place], told.traits, told.day)
    admitted, planned = np.flatnonzero(told.happened == c.EMERGENCY), told.happened == c.ELECTIVE
    after = np.where(planned[:, None], moved, moved * told.likelihood(age, prompt))
    hazard = c.emergency(course, take(told.traits, admitted), told.day)
    after[admitted] = (moved[admitted] * hazard) @ _home(course)
    belief[told.place] = after / np.maximum(after.sum(axis=1, keepdims=True), 1e-300)


def _home(course: Course) -> Floats:
    """From the state at admission to the state in which people come home."""
    matrix = np.zeros((len(course), len(course)))
    matrix[np.arange(len(course)), course.after_stay] = 1
    return matrix
