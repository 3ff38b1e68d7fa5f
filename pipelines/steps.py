"""The use cases. The command line and the Prefect flows call these and nothing else; none of them needs a server."""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.errors import ConfigError, MinusNineError, NotReadyError, ReplayError
from features.windows import cut
from pipelines import alerts, ingesting, releasing
from pipelines import daily as days
from pipelines.config import ServiceConfig
from pipelines.daily import Scored
from pipelines.ingesting import IngestResult
from pipelines.locks import alone
from pipelines.mapping import Opened, opened
from pipelines.memory import hold_on
from pipelines.releasing import Day
from pipelines.service import Service
from pipelines.storage import told_plainly

if TYPE_CHECKING:
    from pipelines.backfilling import Filled
    from pipelines.backtest import Backtest
    from pipelines.evidence import Evidence
    from pipelines.gates.outcome import Outcome
    from pipelines.gates.report import DayReport
    from pipelines.monitoring import Monitored
    from pipelines.promotion import Decision
    from pipelines.proving import Proof
    from pipelines.replay import Replayed
    from pipelines.rotation import Rotated
    from pipelines.simulator import SimulatorConfig, Summary
    from pipelines.status import Status
    from pipelines.training import Trained

Tell = Callable[[str], None]


def simulate(config: ServiceConfig, tell: Tell) -> "Summary":
    """Write a simulated trust's extracts into the workspace, as the configuration's `simulator` section says."""
    from pipelines.simulator import simulate as make_extracts

    return make_extracts(
        simulated_world(config), Service(config).workspace.extracts, lambda what, share: tell(f"{what} {share:.0%}")
    )


def ingest(config: ServiceConfig, now: datetime, tell: Tell) -> IngestResult:
    """Every new extract into the history. Where a run is at work there, it waits."""
    with told_plainly(Service(config).workspace.root), ingesting_alone(config):
        return take_up(config, now, tell)


def take_up(config: ServiceConfig, now: datetime, tell: Tell) -> IngestResult:
    """Every new extract into the history, for whoever sees to it that nobody else does so meanwhile."""
    return ingesting.ingest(Service(config), now, tell)


def ingesting_alone(config: ServiceConfig) -> AbstractContextManager[None]:
    """Two who ingest would each take what the other has put aside for what a killed run left."""
    return alone(Service(config).workspace.root / ".ingest.lock", "ingestion", waits=True)


def train(config: ServiceConfig, as_of: datetime, tell: Tell, opened: Opened = opened) -> "Trained":
    """A new challenger from what was known at `as_of`, with its evidence. Where no champion stands it becomes that, or
    RefusedError says which line of the gate it failed."""
    from pipelines import training  # it draws: those who make lists do not wait for matplotlib

    trained = training.train(Service(config, opened), as_of, tell)
    if trained.decision is not None:
        trained.decision.require()
    return trained


def retrain(config: ServiceConfig, as_of: datetime, tell: Tell, opened: Opened = opened) -> "Trained":
    """A new challenger beside the champion that stands; NotReadyError where none does, since the first to make lists is
    for people to put to the gate."""
    if not has_champion(config):
        message = "Retraining needs a champion that stands; there is none yet. Run `minusnine train` for the first."
        raise NotReadyError(message)
    return train(config, as_of, tell, opened)


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


def evaluate(config: ServiceConfig, tell: Tell, opened: Opened = opened) -> "Evidence":
    """The champion's evidence, written again."""
    from pipelines import training

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


def publish(
    config: ServiceConfig,
    scored: Scored,
    now: datetime,
    replacing: bool = False,
    seconds: Mapping[str, float] | None = None,
) -> Day:
    """The lists of `scored`, all of them or none, by a run that began at `now`."""
    return releasing.publish(Service(config), scored, now, replacing, seconds)


@dataclass(frozen=True)
class Doing:
    """Who does the parts of a day: these functions, or a scheduler's tasks around them."""

    take_up: Callable[[ServiceConfig, datetime, Tell], IngestResult] = take_up
    score: Callable[[ServiceConfig, datetime, Tell], Scored] = score
    publish: Callable[..., Day] = publish


def refuse_future(as_of: datetime, now: datetime) -> None:
    """A list is made of what is known at its cut: a cut that has not come yet has nothing to be made of."""
    if as_of > now:
        message = f"--as-of must not lie ahead; its cut is {as_of:%d-%b-%Y %H:%M} UTC. Wait until then, or name a day."
        raise ConfigError(message)


@contextmanager
def one_run(config: ServiceConfig) -> Iterator[None]:
    """Alone in the workspace, or BusyError; and nobody else ingests meanwhile. A fault of the disk is told plainly."""
    root = Service(config).workspace.root
    with told_plainly(root), alone(root / ".run.lock", "daily run", waits=False), ingesting_alone(config):
        yield


@contextmanager
def or_marked_stale(config: ServiceConfig, as_of: datetime, now: datetime) -> Iterator[None]:
    """Where what is done inside fails, older lists stand and say that they are not this day's, and why; and operations
    are told."""
    try:
        with told_plainly(Service(config).workspace.root):
            yield
    except MinusNineError as error:
        _mark(config, as_of, now, error, str(error))
        raise
    except Exception as error:
        _mark(config, as_of, now, error, alerts.UNFORESEEN)
        raise


def _mark(config: ServiceConfig, as_of: datetime, now: datetime, error: Exception, why: str) -> None:
    """Mark older lists and alert; where not even that can be done, the error says so too."""
    service = Service(config)
    try:
        days.mark_stale(service, as_of, why)
    except (MinusNineError, OSError):
        error.add_note("The lists that stand could not be marked as out of date either.")
    try:
        alerts.alert(service, [alerts.of_failure(days.local_day(config, as_of), error)], now)
    except OSError:
        error.add_note(f"{service.workspace.alerts} could not be written to either.")


DIRECTLY = Doing()


def daily(
    config: ServiceConfig,
    as_of: datetime,
    now: datetime,
    tell: Tell,
    replacing: bool = False,
    doing: Doing = DIRECTLY,
) -> Day:
    """Ingest, score and publish; where that fails, mark older lists that stand as stale.

    A day that has been published is left as it is, and given back, unless it is to be replaced.
    """
    refuse_future(as_of, now)
    with one_run(config), or_marked_stale(config, as_of, now), _in_haste():
        service = Service(config)
        day = None if replacing else releasing.standing(service, as_of)
        day = day or _made(service, as_of, now, tell, replacing, doing)
        alerts.alert(service, alerts.of_day(days.local_day(config, as_of), day.gates, day.notes), now)
        return day


@contextmanager
def _in_haste() -> Iterator[None]:
    """Threads give way to one another sooner: beside one that imports, others would wait at every turn. And what is no
    longer used is looked for seldom, since a day leaves little, and to look takes a second."""
    hold_on()
    turn, often = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(turn / 10)
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.set_threshold(*often)


def _made(service: Service, as_of: datetime, now: datetime, tell: Tell, replacing: bool, doing: Doing) -> Day:
    config = service.config
    seconds: dict[str, float] = {}
    with _timed(seconds, "ingesting"), releasing.expecting(service):
        doing.take_up(config, now, tell)
    if not gc.get_freeze_count():
        gc.freeze()  # all that was imported: looking through it again for what is no longer used takes a second
    with _timed(seconds, "scoring"):
        scored = doing.score(config, as_of, tell)
    day = doing.publish(config, scored, now, replacing, seconds)
    releasing.finish_all(service)
    return day


def backfill(config: ServiceConfig, first: date, last: date, now: datetime, tell: Tell) -> "list[Filled]":
    """The lists of every day from `first` to `last` that has none, in order, as they would have been."""
    from pipelines import backfilling

    cuts = [as_of_day(config, day) for day in _days(first, last)]
    refuse_future(cuts[-1], now)
    with one_run(config):
        service = Service(config)
        releasing.finish_all(service)
        take_up(config, now, tell)
        return list(backfilling.backfill(service, cuts, now, tell))


def replay(config: ServiceConfig, first: date, last: date, tell: Tell) -> "list[Replayed]":
    """Every published day from `first` to `last` made again, and held against what was published. ReplayError where
    there is none, or one cannot be made again."""
    from pipelines.replay import replay as again
    from pipelines.runs import published

    service = Service(config)
    days = [run.day for run in published(service.workspace) if first.isoformat() <= run.day <= last.isoformat()]
    if not days:
        message = f"A replay needs lists that stand, with their record; there are none from {first} to {last}."
        raise ReplayError(message + " Name other days.")
    return [again(service, day, lambda words, day=day: tell(f"{day}: {words}")) for day in days]  # type: ignore[misc]


def status(config: ServiceConfig, at: datetime) -> "Status":
    """What state the lists are in at a moment."""
    from pipelines.status import status as state_at

    return state_at(Service(config), days.local_day(config, newest_cut(config, at)), at)


def gates(config: ServiceConfig, as_of: datetime, now: datetime, tell: Tell) -> "tuple[Outcome, ...]":
    """What the gates say of a day as the history is; nothing is kept or published."""
    refuse_future(as_of, now)
    return days.look(Service(config), as_of, tell)


def gate_reports(config: ServiceConfig, first: date, last: date) -> "list[DayReport]":
    """What the gates said of each day from `first` to `last` when it was last tried."""
    from pipelines.gates import report

    return report.reports(Service(config), first, last)


def monitor(config: ServiceConfig, now: datetime, tell: Tell, opened: Opened = opened) -> "Monitored":
    """What has changed in what comes in and what comes of it, looked back on from the newest cut."""
    from pipelines.monitoring import monitor as look_back

    service = Service(config, opened)
    root = service.workspace.root
    with told_plainly(root), alone(root / ".monitor.lock", "monitoring", waits=False):
        return look_back(service, newest_cut(config, now), tell)


def work_out_outcomes(config: ServiceConfig, now: datetime) -> int:
    """What came of each team's lists, for the board's page of team leads; of how many teams it could be told."""
    from pipelines.board import answers, outcomes
    from pipelines.board.records import Records

    service = Service(config)
    with told_plainly(service.workspace.root), closing(Records(service.exposures)) as records:
        given = answers.given_before(records, now)
        found = outcomes.work_out(service, given, now)
        outcomes.keep(service.workspace.board, found, now)
    return len(found)


def prune_exposures(config: ServiceConfig, now: datetime) -> int:
    """Remove from the exposure log, and from the board's records beside it, what is older than `exposure.keep_days`;
    how many rows went."""
    from pipelines.board.records import Records

    if config.exposure.keep_days is None:
        message = "exposure.keep_days must say how long the exposure log is kept; it does not. Set it to prune."
        raise ConfigError(message)
    service = Service(config)
    with told_plainly(service.workspace.root):
        pruned = service.exposures.prune(now - timedelta(days=config.exposure.keep_days), now)
        with closing(Records(service.exposures)) as records:
            return pruned + records.prune()


def rotate_key(config: ServiceConfig, to: Path | None, now: datetime, tell: Tell) -> "Rotated":
    """The whole workspace under a new pseudonym key, or as it was. Not while a run is at work."""
    from pipelines.rotation import rotate

    with one_run(config):
        return rotate(Service(config), to, now, tell)


def _days(first: date, last: date) -> list[date]:
    if last < first:
        message = f"--to must not come before --from; it is {last}, and --from is {first}. Change one of them."
        raise ConfigError(message)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - began


def as_of_day(config: ServiceConfig, day: date) -> datetime:
    """The service's cut on `day`."""
    return cut(day, config.cut, config.zone)


def newest_cut(config: ServiceConfig, now: datetime) -> datetime:
    """The latest cut that is not later than `now`."""
    today = now.astimezone(ZoneInfo(config.zone)).date()
    newest = as_of_day(config, today)
    return newest if newest <= now else as_of_day(config, today - timedelta(days=1))


def due_cut(config: ServiceConfig, now: datetime) -> datetime:
    """The cut whose lists are due: the newest; of a simulated trust, the one its last drop was made for."""
    drawn = "world" in config.simulator
    return as_of_day(config, simulated_last_day(config)) if drawn else newest_cut(config, now)


def simulated_world(config: ServiceConfig) -> "SimulatorConfig":
    """The world that the configuration's `simulator` section names, with what the section changes in it."""
    from pipelines.simulator import load_world  # a trust of real people does not wait for it

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
