"""The filter of the records: what could be known of each person's state from what was written up in time, by one who is
told no lasting trait that no record holds, and infers it instead (`inferred.py`).

It takes state and traits for independent of each other given the records, and each trait for independent of the
others: so it is an approximation, not an exact bound. Where it simplifies, it knows a little less than could be known,
never more. Usual readings are learned from all that was written up in time, the other traits only from days that are
surely written up (the two weeks before a cut are left out), and of the time before it watches it takes averages. Like
the other filters it is told the world's formulas, the teams' ways and who was at home, and reads what faults spoilt as
it should have been.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from pipelines.simulator import activities as a
from pipelines.simulator import course as c
from pipelines.simulator import rates
from pipelines.simulator.before import inferred_before
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.course import Traits
from pipelines.simulator.evidence import Told, relative, told_of
from pipelines.simulator.inferred import SURE, Inferred
from pipelines.simulator.noted import Noted, Observer
from pipelines.simulator.people import LEVELS
from pipelines.simulator.places import World
from pipelines.simulator.stepping import let_in, step
from pipelines.simulator.usual import Gauges, Usual, firsts, gauges_of


@dataclass(frozen=True)
class RecordsWatch:
    """`belief` (by place and state) and `inferred` are what is known of all days that are surely written up; `late` has
    what the days since tell."""

    observer: Observer
    gauges: Gauges
    inferred: Inferred
    belief: Floats
    late: deque[tuple[Told, Floats]] = field(default_factory=deque)
    """With the chances of the levels of frailty."""

    def in_time(self, number: int, place: Ints, person: Ints) -> Floats:
        """What is believed at the cut of a day, by row and state."""
        belief, usual = self.belief.copy(), self.inferred.usual.copy()
        for told, levels in self.late:
            self._step(belief, usual, told, levels, number - 1 - told.noted.day.number)
        let_in(self.observer.records, belief, number, place, person)
        return belief[place]

    def traits(self, person: Ints) -> Traits:
        """Mean traits for the risk of some people."""
        return self.inferred.at_risk(person)

    def take_in(self, noted: Noted, plain: Floats) -> None:
        """Take a day in, and what is surely written up once it is over into what is known. `plain`: what it tells that
        depends on nobody's lasting traits."""
        world, longest = self.observer.world, self.observer.world.config.delays.most_days
        levels = self.inferred.levels(noted.person)
        self.late.append((told_of(world, noted, self.inferred.lasting(noted.person, levels), plain), levels))
        if len(self.late) > longest:
            told, levels = self.late.popleft()
            believed = self._step(self.belief, self.inferred.usual, told, levels, longest)
            learn(world, self.inferred, told.noted, believed)

    def _step(self, belief: Floats, usual: Usual, told: Told, levels: Floats, age: int) -> Floats:
        noted, readings = told.noted, told.noted.readings
        let_in(self.observer.records, belief, noted.day.number, noted.place, noted.person)
        known = noted.known(readings.row, age)
        row, value = readings.row[known], readings.value[known]
        mean, variance = usual.now(noted.person[row], levels[row])
        first = firsts(row)
        logs = np.add.reduceat(self.gauges.evidence(value, mean, variance), first, axis=0)
        believed = step(self.observer.world.course, belief, told, age, (row[first], relative(logs)))
        self.gauges.learn(usual, noted.person[row], value, believed[row])
        return believed


def begin_watch_of_records(observer: Observer, number: int) -> RecordsWatch:
    """The filter of the records before the cut of a day, with what the days before it tell of lasting traits."""
    world = observer.world
    gauges = gauges_of(world)
    belief = np.zeros((world.config.places, len(world.course)))
    return RecordsWatch(observer, gauges, inferred_before(observer.records, gauges, number), belief)


def learn(world: World, inferred: Inferred, noted: Noted, believed: Floats) -> None:
    """Take a day that is written up into what is known of all traits but the usual readings."""
    person, stayed = noted.person, noted.happened == c.NOTHING
    inferred.admitted[person] += noted.happened == c.EMERGENCY
    inferred.days[person] += 1
    rest = rates.eagerness(world, np.zeros(1), noted.day.number)
    for happened, terms, own, sign in (
        (noted.called, world.config.contacts.calls, world.teams.calls, "calls"),
        (noted.asked, world.config.contacts.unscheduled, world.teams.unscheduled, "unscheduled"),
    ):
        expected = terms * rest * own[noted.team] * (believed @ world.course.signs[sign])
        inferred.asked[person] += happened
        inferred.expected[person] += stayed * expected * (1 - happened / 2)
    inferred.frailty[person[noted.scored]] -= SURE * (noted.level[:, None] != LEVELS)
    rows = noted.visited[noted.contacts.seen]
    np.add.at(inferred.wound, person[rows], np.log1p(-believed[rows] @ a.wound_chance(world)))
    inferred.wound[person[noted.worse]] = SURE
