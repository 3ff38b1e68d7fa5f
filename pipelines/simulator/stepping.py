"""A filter's step: how what is believed of people's states changes from one day to the next, by Bayes' rule."""

import numpy as np

from pipelines.simulator import course as c
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.columns import take
from pipelines.simulator.course import Course
from pipelines.simulator.evidence import Told
from pipelines.simulator.people import first_shares
from pipelines.simulator.records import Records


def let_in(records: Records, belief: Floats, number: int, place: Ints, person: Ints) -> None:
    """At the cut of day `number`, begin anew with those who came the day before, and with everybody of whom nothing is
    believed yet. `belief`: by place and state."""
    arrived = records.people.arrived[person]
    nothing = belief @ np.ones(belief.shape[1]) == 0
    new = np.flatnonzero((arrived == number - 1) | nothing[place])
    people = take(records.people, person[new])
    settled = (people.arrived < 0) | (people.arrived < number - 1)
    belief[place[new]] = first_shares(records.world.config, records.world.course, people, settled)


def step(course: Course, belief: Floats, told: Told, age: int, also: tuple[Ints, Floats] | None = None) -> Floats:
    """Take what is known of a day `age` days after its end into the belief of those who were there, in place. `also`:
    rows, and by row and state the likelihood of more that is known of them. What is believed of the day itself, by row:
    of people whom a stay took away, the state in which it did."""
    noted = told.noted
    likely = told.likelihood(age)
    if also is not None:
        likely[also[0]] *= also[1]
    moved = c.predict(course, belief[noted.place], told.begins)
    admitted, planned = np.flatnonzero(noted.happened == c.EMERGENCY), np.flatnonzero(noted.happened == c.ELECTIVE)
    likely[planned] = 1
    likely[admitted] = c.emergency(course, take(told.traits, admitted), noted.day)
    moved *= likely
    moved /= np.maximum(moved @ np.ones(len(course)), 1e-300)[:, None]
    belief[noted.place] = moved
    belief[noted.place[admitted]] = moved[admitted] @ home(course)
    return moved


def home(course: Course) -> Floats:
    """From the state at admission to the state in which people come home."""
    matrix = np.zeros((len(course), len(course)))
    matrix[np.arange(len(course)), course.after_stay] = 1
    return matrix
