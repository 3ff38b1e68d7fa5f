"""A year of a simulated world through the daily path, twice: nobody acts on the lists, and teams act on them. What that
does to the figures of a model with which nothing is wrong, and to one that learns from the year."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from features.table import KEYS
from models.bundle import load
from models.over_time import beside, by_month
from models.resampling import Resampling
from models.splits import TEST
from pipelines import steps, tracking
from pipelines.building import Dataset
from pipelines.config import ServiceConfig
from pipelines.judging import rows_for
from pipelines.outcomes import ranked_days
from pipelines.proving import true_admissions, truth
from pipelines.service import Service
from pipelines.training import fitted
from pipelines.worlds import is_played, make_ready, play_on
from pipelines.year_picture import draw_year

Tell = Callable[[str], None]
START, NOBODY, TEAMS = "start", "nobody acts", "teams act"
ARMS = (NOBODY, TEAMS)
CHAMPION = "champion"
RISKS = {name: name for name in ("p9", "p9_untreated")}
BUCKETS = 2
"""Person partitions: a few thousand places need no more."""
DRAWS = Resampling()


@dataclass(frozen=True)
class Plan:
    """What is played: `days` after the configured world's own, with so many `places`. configured: the service's
    configuration with another workspace; the arms' own lie in `folder`."""

    configured: Callable[[Path], ServiceConfig]
    folder: Path
    places: int
    days: int

    def config(self, arm: str) -> ServiceConfig:
        """An arm's service. Where nobody acts, and before anybody does, the reach of help is 0."""
        config = self.configured(self.folder / arm.replace(" ", "-"))
        world = steps.simulated_world(config)
        size = {"places": self.places, "days": world.days + self.days, "daily_drops": self.days}
        size["truth_days"] = max(self.days, world.truth_days)
        changed = {**config.simulator, **size}
        if arm != TEAMS:
            changed["interventions"] = {**config.simulator.get("interventions", {}), "reach": 0.0}
        return config.model_copy(update={"simulator": changed, "buckets": BUCKETS})


@dataclass(frozen=True)
class Arm:
    """An arm that was played to its end."""

    config: ServiceConfig

    @cached_property
    def service(self) -> Service:
        return Service(self.config)

    @property
    def as_of(self) -> datetime:
        """The last morning."""
        return steps.as_of_day(self.config, steps.simulated_last_day(self.config))


@dataclass(frozen=True)
class Year:
    """months: arm, and as `models.over_time.by_month`; retrained: arm (on whose last days they are judged), and as
    `models.over_time.beside`. Both, and a picture, are files of `folder`."""

    months: pd.DataFrame
    retrained: pd.DataFrame
    folder: Path


def year(plan: Plan, tell: Tell) -> Year:
    """Play both arms, from one history and one champion, and hold them against each other. What was broken off goes on
    where it was."""
    for name in ARMS:
        play_arm(plan, name, tell)
    return judged(plan, tell)


def play_arm(plan: Plan, name: str, tell: Tell) -> None:
    """Play an arm to its end, from the start that all arms share."""
    config = plan.config(name)
    if is_played(config):
        return
    if not config.workspace.exists():
        _begin(plan, config.workspace, tell)
    play_on(config, _named(tell, name))


def _begin(plan: Plan, workspace: Path, tell: Tell) -> None:
    """The start, made where there is none, copied to an arm's workspace."""
    start = plan.config(START)
    make_ready(start, _named(tell, START))
    aside = workspace.with_name(f".{workspace.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(start.workspace, aside, symlinks=True, ignore=shutil.ignore_patterns("extracts"))
    aside.rename(workspace)


def judged(plan: Plan, tell: Tell) -> Year:
    """What came of arms that were played to their end, as tables and a picture too."""
    arms = {name: Arm(plan.config(name)) for name in ARMS}
    months = []
    for name, arm in arms.items():
        tell(f"judging month by month: {name}")
        months.append(by_month(shown(arm), DRAWS).assign(arm=name))
    by_arm = pd.concat(months, ignore_index=True)
    by_arm.to_csv(plan.folder / "months.csv", index=False)
    draw_year(by_arm, plan.folder / "year.png")
    learned = retrained(arms, plan.days, tell)
    learned.to_csv(plan.folder / "retrained.csv", index=False)
    return Year(by_arm, learned, plan.folder)


def shown(arm: Arm) -> pd.DataFrame:
    """Everyone ranked on every morning, with what came of it as known on the last one, and the truth: as `by_month`
    takes it."""
    service = arm.service
    rows = ranked_days(service, arm.as_of)
    admitted = true_admissions(service).assign(admitted=True)
    true = truth(service, RISKS).merge(admitted, on=list(KEYS), how="left")
    true["admitted"] = true["admitted"].eq(True)
    return rows.merge(true, on=list(KEYS), how="left")


def retrained(arms: dict[str, Arm], days: int, tell: Tell) -> pd.DataFrame:
    """The champion beside a model that learned from the year of each arm as if nobody had acted, on the last days of
    both: arm, and as `models.over_time.beside`."""
    bundles = {CHAMPION: load(tracking.champion(arms[NOBODY].service.workspace).bundle)}
    rows = {}
    for name, arm in arms.items():
        periods = arm.config.periods.model_copy(update={"history_days": days})
        service = Service(arm.config.model_copy(update={"periods": periods}))
        data = rows_for(service, arm.as_of, _named(tell, f"learning where {name}"))
        bundles[f"learned where {name}"] = fitted(service, data, arm.as_of, tell)[0]
        rows[name] = _last_days(data, truth(service, RISKS))
    key = arms[NOBODY].service.workspace.key()
    return pd.concat(
        [beside(bundles, *of, key, DRAWS).assign(arm=name) for name, of in rows.items()], ignore_index=True
    )


def _named(tell: Tell, what: str) -> Tell:
    return lambda said: tell(f"{what}: {said}")


def _last_days(data: Dataset, true: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The usable rows of the test block whose truth is known: their features, and their labels and risks."""
    known = data.labels.merge(true, on=list(KEYS), how="left", validate="1:1")
    usable = (known["state"] == "usable") & known["p9"].notna()
    told = usable.to_numpy() & (data.parts == TEST).to_numpy()
    return data.frame[told].reset_index(drop=True), known[told].reset_index(drop=True)
