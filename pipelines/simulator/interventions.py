"""Teams act on lists. An action lowers the emergency hazard by a set share for a set number of days; who was listed,
and who was acted on, is kept."""

import numpy as np

from pipelines.simulator.chance import Ints, facts
from pipelines.simulator.places import Journal, Places, World


def listed_by_rule(world: World, places: Places, number: int) -> Ints:
    """The people whom the world's own rule lists: of each team those whom it visits most beyond the care plan, which
    is those whose written-up signs were worst. Nobody, unless the world's interventions go by the rule."""
    terms = world.config.interventions
    if terms.by != "rule" or number < terms.from_day:
        return np.zeros(0, dtype=np.int64)
    here = np.flatnonzero(places.here(number))
    tie = world.of("list", places.who.soul[here], number).uniform("tie")
    team = places.who.team[here]
    order = np.lexsort((tie, -places.boost[here], team))
    rank = _rank_within(team[order])
    capacity = np.rint(terms.listed * np.bincount(team, minlength=len(world.teams.type)))
    chosen = rank < capacity[team[order]]
    return np.asarray(places.person[here[order[chosen]]])


def _rank_within(sorted_team: Ints) -> Ints:
    first = np.searchsorted(sorted_team, sorted_team)
    return np.asarray(np.arange(len(sorted_team)) - first)


def act_on(world: World, places: Places, journal: Journal, number: int, listed: Ints) -> None:
    """Let teams act on some of those `listed` who are there to be helped."""
    if len(listed) == 0:
        return
    terms = world.config.interventions
    place = np.full(int(max(listed.max(), places.person.max())) + 1, -1)
    place[places.person] = np.arange(len(places.person))
    where = place[listed]
    found = (where >= 0) & places.here(number)[where]
    chances = facts(world.config.seed, "action", places.who.soul[where], np.full(len(where), number))
    acted = found & chances.happens("acts", terms.reach)
    team = places.who.team[where]
    order = np.argsort(team, kind="stable")
    rank = np.empty(len(listed), dtype=np.int64)
    rank[order] = _rank_within(team[order])
    journal.exposures.add(person=listed, day=number, team=team, rank=rank + 1, acted=acted)
    places.helped[where[acted]] = number + terms.lasts_days - 1
