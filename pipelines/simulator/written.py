"""When what happened to a person on a day is written up, as the records tell it."""

import numpy as np

from pipelines.simulator.chance import Ints
from pipelines.simulator.people import People
from pipelines.simulator.places import World


def days_to_write(world: World, people: People, person: Ints, day: Ints) -> Ints:
    """Whole days until the write-up; the journal uses the same ones."""
    rests = np.array([world.rests(number + 1) for number in range(int(day.max(initial=0)) + 1)], dtype=np.int64)
    team = world.changes.team_on(people.team[person], day)
    return world.write_up.days(people.soul[person], day, team, rests[day])
