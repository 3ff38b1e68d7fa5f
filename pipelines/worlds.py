"""Use cases of simulated worlds: checking one against its own truth, and playing one through day by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from features.errors import BlockedError, ConfigError
from pipelines import steps
from pipelines.config import ServiceConfig
from pipelines.service import Service
from pipelines.simulator.chance import Ints
from pipelines.simulator.checking import Check, check_world
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.journal import live_through
from pipelines.simulator.page import write_page
from pipelines.simulator.playing import Play, begin_play, end_play, listed_people, next_day
from pipelines.simulator.records import make_records
from pipelines.simulator.writing import CONFIG_FILE, config_text

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
    interventions say. The model is trained once, on the history load. A day without a list (a gate did not let it
    through) is a day on which nobody acts. The truth is written at the end."""
    history = Service(config).workspace.history
    if history.exists():
        message = (
            f"A world is played in a workspace of its own; {history.parent} has a history already. Name another with "
            "--workspace."
        )
        raise ConfigError(message)
    return play_on(config, tell)


def play_on(config: ServiceConfig, tell: Tell) -> Play:
    """As `play`, in a workspace where a play of this world may have been broken off: a world lived again is the same,
    so the days before the last one published are lived again with the lists that stand, and not published again."""
    world, workspace = steps.simulated_world(config), Service(config).workspace
    _refuse_another(world, workspace.extracts)
    played = begin_play(world, workspace.extracts, lambda share: tell(f"living {share:.0%}"))
    _make_champion(config, tell)
    lists = workspace.lists
    last = max((day.name for day in lists.glob("20*")), default="")
    listed: Ints = np.zeros(0, dtype=np.int64)
    for number in range(world.first_cut + 1, world.days + 1):
        played, day = next_day(played, listed), world.date_of(number)
        known = str(day) < last
        listed = listed_people(played, lists / str(day)) if known else _listed(config, played, day)
        tell(f"{day:%d-%b-%Y}: {len(listed)} listed{', as before' if known else ''}")
    end_play(played)
    return played


def make_ready(config: ServiceConfig, tell: Tell) -> None:
    """The world's history load written and taken up, and a champion trained on it, where there is none yet."""
    world, extracts = steps.simulated_world(config), Service(config).workspace.extracts
    _refuse_another(world, extracts)
    if not steps.has_champion(config):
        begin_play(world, extracts, lambda share: tell(f"living {share:.0%}"))
        _make_champion(config, tell)


def is_played(config: ServiceConfig) -> bool:
    """Whether the configuration's world was played in its workspace to the end."""
    extracts = Service(config).workspace.extracts
    _refuse_another(steps.simulated_world(config), extracts)
    return (extracts / "truth").exists()


def _make_champion(config: ServiceConfig, tell: Tell) -> None:
    world = steps.simulated_world(config)
    start = steps.as_of_day(config, world.date_of(world.first_cut))
    steps.ingest(config, start, tell)
    if not steps.has_champion(config):
        steps.train(config, start, tell)


def _refuse_another(world: SimulatorConfig, extracts: Path) -> None:
    """ConfigError where `extracts` holds another world."""
    standing = extracts / CONFIG_FILE
    if standing.exists() and standing.read_text("utf-8") != config_text(world):
        message = (
            f"A play goes on in the world in which it began; {extracts} holds one with other settings. Restore them, "
            "or name another workspace."
        )
        raise ConfigError(message)


def _listed(config: ServiceConfig, played: Play, day: date) -> Ints:
    """Whom the lists of the morning hold."""
    as_of = steps.as_of_day(config, day)
    try:
        published = steps.daily(config, as_of, as_of, _nobody).published
    except BlockedError:
        return np.zeros(0, dtype=np.int64)
    return listed_people(played, published.folder)


def _nobody(_said: str) -> None:
    """Progress within a day is not told."""
