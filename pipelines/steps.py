"""The use cases. The command line and the Prefect flows call these and nothing else; none of them needs a server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.errors import ConfigError, MinusNineError
from features.windows import cut
from pipelines import daily as days
from pipelines import ingesting, training
from pipelines.config import ServiceConfig
from pipelines.daily import Day, Scored
from pipelines.evidence import Evidence
from pipelines.ingesting import IngestResult
from pipelines.mapping import Opened, opened
from pipelines.service import Service
from pipelines.simulator import SimulatorConfig, Summary, load_world
from pipelines.simulator import simulate as make_extracts
from pipelines.training import Trained

if TYPE_CHECKING:
    from pipelines.backtest import Backtest
    from pipelines.promotion import Decision
    from pipelines.proving import Proof

Tell = Callable[[str], None]


def simulate(config: ServiceConfig, tell: Tell) -> Summary:
    """Write a simulated trust's extracts into the workspace, as the configuration's `simulator` section says."""
    return make_extracts(
        simulated_world(config), Service(config).workspace.extracts, lambda what, share: tell(f"{what} {share:.0%}")
    )


def ingest(config: ServiceConfig, now: datetime, tell: Tell) -> IngestResult:
    """Every new extract into the history."""
    return ingesting.ingest(Service(config), now, tell)


def train(config: ServiceConfig, as_of: datetime, tell: Tell, opened: Opened = opened) -> Trained:
    """A new challenger from what was known at `as_of`, with its evidence. Where no champion stands it becomes that, or
    RefusedError says which line of the gate it failed."""
    trained = training.train(Service(config, opened), as_of, tell)
    if trained.decision is not None:
        trained.decision.require()
    return trained


def has_champion(config: ServiceConfig) -> bool:
    """Whether a model makes lists already."""
    from pipelines import tracking

    return tracking.holder(Service(config).workspace, tracking.CHAMPION) is not None


def promote(config: ServiceConfig, by: str, tell: Tell) -> "Decision":
    """The challenger to the gate, on record as decided by `by`; the decision says what came of it."""
    from pipelines import promotion  # it waits for MLflow

    return promotion.promote(Service(config), by, tell)


def go_back(config: ServiceConfig, by: str) -> tuple[str, str]:
    """The champion before this one is champion again: the version that was and the one that is."""
    from pipelines import promotion

    return promotion.go_back(Service(config), by)


def evaluate(config: ServiceConfig, tell: Tell, opened: Opened = opened) -> Evidence:
    """The champion's evidence, written again."""
    return training.evaluate_champion(Service(config, opened), tell)


def backtest(config: ServiceConfig, as_of: datetime, tell: Tell) -> "Backtest":
    """Training and judging repeated at `as_of` and at earlier cuts, each with what was known then."""
    from pipelines.backtest import backtest as repeated

    return repeated(Service(config), as_of, config.periods.origins, tell)


def prove(config: ServiceConfig, tell: Tell) -> "Proof":
    """The champion held against a simulated trust's truth, and one clock beside two."""
    from pipelines import proving

    return proving.prove(Service(config), tell)


def score(config: ServiceConfig, as_of: datetime, tell: Tell, opened: Opened = opened) -> Scored:
    """Every caseload at `as_of`, ranked and explained."""
    return days.score(Service(config, opened), as_of, tell)


def publish(config: ServiceConfig, scored: Scored, replace: bool = False) -> Day:
    """The lists of `scored`, all of them or none."""
    return days.publish(Service(config), scored, replace)


def refuse_future(as_of: datetime, now: datetime) -> None:
    """A list is made of what is known at its cut: a cut that has not come yet has nothing to be made of."""
    if as_of > now:
        message = f"--as-of must not lie ahead; its cut is {as_of:%d-%b-%Y %H:%M} UTC. Wait until then, or name a day."
        raise ConfigError(message)


@contextmanager
def or_marked_stale(config: ServiceConfig, as_of: datetime) -> Iterator[None]:
    """Where what is done inside fails, older lists stand and say that they are not this day's, and why."""
    try:
        yield
    except MinusNineError as error:
        days.mark_stale(Service(config), as_of, str(error))
        raise
    except Exception:
        days.mark_stale(Service(config), as_of, "something went wrong that operations have to look at.")
        raise


def daily(config: ServiceConfig, as_of: datetime, now: datetime, tell: Tell, replace: bool = False) -> Day:
    """Ingest, score and publish; where that fails, mark older lists that stand as stale."""
    refuse_future(as_of, now)
    with or_marked_stale(config, as_of):
        service = Service(config)  # one for all three, so that what is open stays open
        ingesting.ingest(service, now, tell)
        return days.publish(service, days.score(service, as_of, tell), replace)


def as_of_day(config: ServiceConfig, day: date) -> datetime:
    """The service's cut on `day`."""
    return cut(day, config.cut, config.zone)


def newest_cut(config: ServiceConfig, now: datetime) -> datetime:
    """The latest cut that is not later than `now`."""
    today = now.astimezone(ZoneInfo(config.zone)).date()
    newest = as_of_day(config, today)
    return newest if newest <= now else as_of_day(config, today - timedelta(days=1))


def simulated_world(config: ServiceConfig) -> SimulatorConfig:
    """The world that the configuration's `simulator` section names, with what the section changes in it."""
    changes = dict(config.simulator)
    world = changes.pop("world", None)
    if world is None:
        message = (
            f"{config.folder}: 'simulator' must name a 'world' for a simulated trust; it does not. "
            "Use configs/simulated.yaml."
        )
        raise ConfigError(message)
    return load_world(config.folder / str(world), changes)


def simulated_last_day(config: ServiceConfig) -> date:
    """The day for which a simulated trust's last drop was made."""
    return simulated_world(config).last_day


def workspace_of(config: ServiceConfig) -> Path:
    return Service(config).workspace.root
