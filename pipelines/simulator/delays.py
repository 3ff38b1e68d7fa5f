"""How long it takes until something that happened is on record."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator.chance import Facts, Floats, Ints, facts
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.parameters import DelayTerms
from pipelines.simulator.teams import Teams


@dataclass(frozen=True)
class WriteUp:
    """When a person's day is written up: whole days after it. `within`: the chance that it takes no longer, by team,
    whether a day of rest follows, and days 0, 1, ... to the longest, where it is 1."""

    seed: int
    within: Floats

    def days(self, soul: Ints, day: Ints, team: Ints, eve: Ints) -> Ints:
        """One delay for all that is written of a person on one day."""
        draw = facts(self.seed, "written", soul, day).uniform("delay")
        return np.asarray((draw[:, None] >= self.within[team, eve]).sum(axis=1))


def make_write_up(config: SimulatorConfig, teams: Teams) -> WriteUp:
    terms = config.delays
    reporting = np.array(terms.reporting, dtype=float) / sum(terms.reporting)
    chance = np.zeros((len(teams.type), 2, terms.most_days + 1))
    for team, own in enumerate(teams.delay):
        late_days = 2 + np.floor(terms.late_scale * own * np.arange(len(reporting))).astype(np.int64)
        late = np.bincount(np.minimum(late_days, terms.most_days), weights=reporting, minlength=terms.most_days + 1)
        for eve, more in enumerate((1.0, terms.rest_day_late)):
            share = min(0.9, (1 - terms.same_day - terms.next_day) * own * more)
            prompt = terms.same_day / (terms.same_day + terms.next_day)
            chance[team, eve] = share * late
            chance[team, eve, :2] += (1 - share) * np.array([prompt, 1 - prompt])
    within = np.cumsum(chance, axis=2)
    within[..., -1] = 1.0
    return WriteUp(config.seed, within)


def reported_after(terms: DelayTerms, chances: Facts, scale: float) -> Ints:
    """Whole days: a share of a reporting delay drawn from the real ones."""
    return np.asarray(np.floor(scale * chances.pick("reported", terms.reporting)), dtype=np.int64)
