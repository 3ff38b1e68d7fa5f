"""A world whose days come one by one, so that teams can act on the lists that were made of the days before."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.simulator.chance import Ints
from pipelines.simulator.config import HORIZON_DAYS, SimulatorConfig
from pipelines.simulator.extracts import plan_extracts, write_extract
from pipelines.simulator.journal import Life, begin, live
from pipelines.simulator.records import make_records
from pipelines.simulator.trust import numbers_of, trust_of
from pipelines.simulator.truth import write_truth
from pipelines.simulator.writing import lay_out, replaced, write_config

NUMBER_COLUMN = "nhs_number"


@dataclass(frozen=True)
class Play:
    """A world lived through up to a day. `written`: how many of its extracts are written."""

    config: SimulatorConfig
    folder: Path
    life: Life
    written: int

    @property
    def acted(self) -> int:
        """How many times a team acted on someone listed."""
        return int(self.life.journal.exposures["acted"].sum())


def begin_play(config: SimulatorConfig, folder: Path, progress: Callable[[float], None]) -> Play:
    """Live through the history and write its load. A simulated trust that stands in `folder` is replaced."""
    life = begin(config)
    while life.day < config.first_cut:
        live(life)
        if life.day % 50 == 0:
            progress(life.day / config.first_cut)
    with replaced(folder) as aside:
        write_config(config, aside)
        for feed in _write_next(config, life, aside, 0):
            (aside / "daily" / feed).mkdir(parents=True)
    return Play(config, folder, life, 1)


def next_day(play: Play, listed: Ints) -> Play:
    """Live one more day, on whose morning these people are on the lists, and write the drop of the next morning. What
    was written before stands."""
    live(play.life, listed)
    _write_next(play.config, play.life, play.folder, play.written)
    return Play(play.config, play.folder, play.life, play.written + 1)


def end_play(play: Play) -> None:
    """Live through the last outcomes and write the truth."""
    nobody = np.zeros(0, dtype=np.int64)
    for _ in range(HORIZON_DAYS):
        live(play.life, nobody)
    aside = play.folder.with_name(f".{play.folder.name}.truth")
    shutil.rmtree(aside, ignore_errors=True)
    write_truth(make_records(play.life), aside)
    aside.rename(play.folder / "truth")


def _write_next(config: SimulatorConfig, life: Life, folder: Path, number: int) -> list[str]:
    """Write the extract of this number; the names of the feeds."""
    feeds = lay_out(trust_of(life))
    write_extract(config, feeds, plan_extracts(config)[number], folder, life.world.changes.quiet)
    return list(feeds)


def listed_people(play: Play, lists: Path) -> Ints:
    """The people on a day's published lists (a folder with each team's list.csv), each list from the top; whoever is on
    several lists is named once, since teams act on a person and not on a place. Nobody acts on a list held back."""
    owner = {str(number): person for person, number in enumerate(numbers_of(play.life).tolist())}
    found = []
    for path in sorted(lists.glob("*/list.csv")):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            shown = (row for row in csv.DictReader(lines) if not row.get("held_back"))
            found += [owner.get(row[NUMBER_COLUMN].replace(" ", ""), -1) for row in shown]
    people = np.array(found, dtype=np.int64)
    people = people[people >= 0]
    return people[np.sort(np.unique(people, return_index=True)[1])]
