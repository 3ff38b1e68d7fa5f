"""Use cases of simulated worlds: checking one against its own truth, and playing one through day by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from features.errors import ConfigError, StaleFeedError
from pipelines import steps
from pipelines.config import ServiceConfig
from pipelines.service import Service
from pipelines.simulator.chance import Ints
from pipelines.simulator.checking import Check, check_world
from pipelines.simulator.journal import live_through
from pipelines.simulator.page import write_page
from pipelines.simulator.playing import Play, begin_play, end_play, listed_people, next_day
from pipelines.simulator.records import make_records

Tell = Callable[[str], None]


@dataclass(frozen=True)
class WorldCheck:
    """What a world's checks found, and the page that shows them."""

    checks: list[Check]
    page: Path


def check(config: ServiceConfig, tell: Tell) -> WorldCheck:
    """Live the configuration's world through and hold it to its promises; a page with pictures in the workspace."""
    world = steps.simulated_world(config)
    records = make_records(live_through(world, lambda share: tell(f"living {share:.0%}")))
    tell("comparing with the truth")
    checked = check_world(records)
    tell("drawing")
    page = write_page(records, checked, Service(config).workspace.root / "world")
    return WorldCheck(checked.checks, page)


def play(config: ServiceConfig, tell: Tell) -> Play:
    """The daily path over all of a world's drops, with teams acting on each published list as the world's
    interventions say. The model is trained once, on the history load. A day without a list (a late feed) is a day on
    which nobody acts. The truth is written at the end."""
    world, service = steps.simulated_world(config), Service(config)
    if service.workspace.history.exists():
        message = (
            f"A world is played in a workspace of its own; {service.workspace.root} has a history already. Name "
            "another with --workspace."
        )
        raise ConfigError(message)
    played = begin_play(world, service.workspace.extracts, lambda share: tell(f"living {share:.0%}"))
    start = steps.as_of_day(config, world.date_of(world.first_cut))
    steps.ingest(config, start, tell)
    steps.train(config, start, tell)
    listed: Ints = np.zeros(0, dtype=np.int64)
    for number in range(world.first_cut + 1, world.days + 1):
        played = next_day(played, listed)
        listed = _listed(config, played, steps.as_of_day(config, world.date_of(number)))
        tell(f"{world.date_of(number):%d-%b-%Y}: {len(listed)} listed")
    end_play(played)
    return played


def _listed(config: ServiceConfig, played: Play, as_of: datetime) -> Ints:
    """Whom the lists of the morning hold."""
    try:
        day = steps.daily(config, as_of, as_of, _nobody)
    except StaleFeedError:
        return np.zeros(0, dtype=np.int64)
    return listed_people(played, day.published.folder)


def _nobody(_said: str) -> None:
    """Progress within a day is not told."""
