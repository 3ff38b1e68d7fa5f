"""What could be known at best: the chances of each state given what was observed, by Bayes' rule and nothing else.

Two filters. One is given all that was observed up to a cut, at once and unspoilt; the other only what had been written
up by then, with the right chances for what may still be unwritten. Both know the world's formulas, every person's and
team's traits, who was at home and who in hospital; so no model that learns from the extracts can beat them except by
luck or by a leak. A third, `recorded.py`, is not told the people's traits.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.course import Traits
from pipelines.simulator.evidence import Lasting, Told, plain_evidence, readings_evidence, told_of
from pipelines.simulator.noted import Noted, Observer, make_observer, noted_on
from pipelines.simulator.people import traits_of
from pipelines.simulator.recorded import begin_watch_of_records
from pipelines.simulator.records import Records
from pipelines.simulator.stepping import let_in, step


@dataclass(frozen=True)
class Cut:
    """Who is at home and on a caseload at a day's cut, and the chances of each state: given everything observed, given
    what was written up in time, and given that without being told lasting traits.

    told, inferred: the traits themselves, and what is held of them by who is not told."""

    number: int
    person: Ints
    state: Ints
    helped: Ints
    told: Traits
    all_records: Floats
    in_time: Floats
    recorded: Floats
    inferred: Traits


@dataclass(frozen=True)
class Watch:
    """The two filters that are told everything lasting. traits: everybody's. belief: what all records say, by place and
    state. memory: what was believed before each of the last days, and what each told."""

    observer: Observer
    traits: Traits
    belief: Floats
    memory: deque[tuple[Floats, Told]]

    def in_time(self, number: int, place: Ints, person: Ints) -> Floats:
        """What is believed at the cut of a day of what was written up before it: from the last day that is surely
        written up, through the days that may not be."""
        known = self.memory[0][0].copy() if self.memory else np.zeros_like(self.belief)
        records, course = self.observer.records, self.observer.world.course
        for rank, (_, told) in enumerate(self.memory):
            noted = told.noted
            if rank > 0:
                let_in(records, known, noted.day.number, noted.place, noted.person)
            step(course, known, told, number - 1 - noted.day.number)
        let_in(records, known, number, place, person)
        return known[place]

    def take_in(self, noted: Noted, plain: Floats) -> None:
        """`plain`: what the day tells that depends on nobody's lasting traits."""
        world, people, person = self.observer.world, self.observer.records.people, noted.person
        frailty, wound = (getattr(people, name)[person].astype(float) for name in ("frailty", "wound"))
        lasting = Lasting(take(self.traits, person), people.eagerness[person], frailty, wound)
        told = told_of(world, noted, lasting, plain + readings_evidence(world, noted, people.usual[person]))
        self.memory.append((self.belief.copy(), told))
        step(world.course, self.belief, told, world.config.delays.most_days)


def begin_watch(observer: Observer) -> Watch:
    world = observer.world
    traits = traits_of(world.config, world.course, observer.records.people)
    belief = np.zeros((world.config.places, len(world.course)))
    return Watch(observer, traits, belief, deque(maxlen=world.config.delays.most_days))


def beliefs(records: Records, first: int, last: int) -> Iterator[Cut]:
    """For the cuts from `first` to `last`, in order. The filters begin to watch where the journal begins to note."""
    observer, log = make_observer(records), records.journal.cuts
    cut = {name: log[name] for name in ("person", "place", "day", "state", "helped")}
    begins = int(cut["day"][0])
    watch, of_records = begin_watch(observer), begin_watch_of_records(observer, begins)
    for number in range(begins, last + 1):
        rows = slice(*np.searchsorted(cut["day"], (number, number + 1)))
        person, place, helped = cut["person"][rows], cut["place"][rows], cut["helped"][rows]
        let_in(records, watch.belief, number, place, person)
        if number >= first:
            yield Cut(
                number=number,
                person=person,
                state=cut["state"][rows],
                helped=helped,
                told=take(watch.traits, person),
                all_records=watch.belief[place],
                in_time=watch.in_time(number, place, person),
                recorded=of_records.in_time(number, place, person),
                inferred=of_records.traits(person),
            )
        noted = noted_on(observer, number, place, person, helped)
        plain = plain_evidence(observer.world, noted)
        watch.take_in(noted, plain)
        of_records.take_in(noted, plain)
