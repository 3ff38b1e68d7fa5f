"""The Prefect flows: the same steps as the command line, wrapped with retries. The only module that imports Prefect.

A flow takes a configuration's path and a cut; those that are scheduled (configs/prefect.yaml) take the cut that is due,
and the clock, where none is given. Frames pass between tasks in memory and are never persisted, and what nobody foresaw
is told by its kind and place, so Prefect's own records hold paths, counts and states only.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("PREFECT_HOME", str(Path("workspace/prefect").resolve()))

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL

from features.errors import ConfigError, MinusNineError, RemoteError, place_of
from pipelines import mapping, steps
from pipelines.config import RunConfig, load_config
from pipelines.evidence import Evidence
from pipelines.ingesting import IngestResult
from pipelines.mapping import Mapper
from pipelines.monitoring import Monitored
from pipelines.releasing import Day
from pipelines.storage import storage_fault
from pipelines.training import Trained

if TYPE_CHECKING:
    from pipelines.promotion import Decision

P = ParamSpec("P")
R = TypeVar("R")
RETRY_DELAYS: list[float] = [5, 30]
"""Seconds before the first and the second further try."""


def unquoted(step: Callable[P, R]) -> Callable[P, R]:
    """`step`, whose errors bring no other along, and whose unforeseen ones say what failed and where, and nothing of
    what they quote: Prefect keeps the words of all of them."""

    @wraps(step)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return step(*args, **kwargs)
        except Exception as error:
            if isinstance(error, MinusNineError | RemoteError) or storage_fault(error):
                raise error from None
            raise RemoteError(place_of(error)) from None

    return told


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """A disk or a database may be back in a moment; what we have a sentence for will not mend itself."""
    return not isinstance(state.data, MinusNineError)


def _task(step: Callable[P, R], retries: int = 0, name: str = "") -> Callable[P, R]:
    """A step as a Prefect task whose result stays in memory. Only steps that are safe to repeat are retried."""
    made = task(
        name=name or step.__name__,
        retries=retries,
        retry_delay_seconds=RETRY_DELAYS[:retries],
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(unquoted(step))
    return cast("Callable[P, R]", made)


ingest_task = _task(steps.ingest, retries=2)
take_up_task = _task(steps.take_up, retries=2, name="ingest")
train_task = _task(steps.train)
retrain_task = _task(steps.retrain)
promote_task = _task(steps.promote)
evaluate_task = _task(steps.evaluate)
monitor_task = _task(steps.monitor)
outcomes_task = _task(steps.work_out_outcomes)
score_task = _task(steps.score, retries=2)
publish_task = _task(steps.publish)
bucket_task = _task(mapping.attempt, name="bucket")


def opened(run: RunConfig) -> AbstractContextManager[Mapper]:
    """As `mapping.opened`; but what goes to a Dask cluster are Prefect tasks, which its pages show bucket by bucket. A
    bucket's fault is the step's: that is where the pages show it.

    ConfigError where no Prefect server is running: each worker would start one of its own.
    """
    if run.by != "dask":
        return mapping.opened(run)
    if not PREFECT_API_URL.value():
        message = (
            "A flow whose run.by is dask must have a Prefect server that its workers can reach; PREFECT_API_URL names "
            "none. Start one with `prefect server start` and name it there."
        )
        raise ConfigError(message)
    from prefect_dask import PrefectDaskClient  # brings Dask: only those who have a cluster wait for it

    return mapping.on_cluster(run, PrefectDaskClient, bucket_task)


class Progress:
    """Where the steps' progress goes: nowhere, since Prefect's pages show it by task, unless someone listens."""

    listener: Callable[[str], None] | None = None

    def tell(self, words: str) -> None:
        if self.listener is not None:
            self.listener(words)


progress = Progress()


@flow(name="ingest", persist_result=False)
def ingest(config: str, now: datetime, workspace: str | None = None) -> IngestResult:
    """Every new extract into the history."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    done = ingest_task(loaded, now, progress.tell)
    create_markdown_artifact(f"{len(done.ingested)} extracts, {done.rows:,} rows kept, {done.rejected:,} rejected")
    return done


@flow(name="train", persist_result=False)
def train(config: str, as_of: datetime, workspace: str | None = None) -> Trained:
    """A new challenger with its evidence; the first champion, where there is none."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    return _told(train_task(loaded, as_of, progress.tell, opened))


@flow(name="retrain", persist_result=False)
def retrain(config: str, as_of: datetime | None = None, workspace: str | None = None) -> Trained:
    """A new challenger beside the champion that stands. It changes no list: people promote."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    as_of = as_of or steps.due_cut(loaded, datetime.now(UTC))
    return _told(retrain_task(loaded, as_of, progress.tell, opened))


@flow(name="promote", persist_result=False)
def promote(config: str, by: str, workspace: str | None = None) -> "Decision":
    """The challenger to the gate, as decided by `by`, a name or a role. RefusedError says which line it failed."""
    decision = promote_task(load_config(Path(config), Path(workspace) if workspace else None), by, progress.tell)
    lines = "\n".join(f"- {'passed' if line.passed else 'failed'} {line.name}: {line.says}" for line in decision.lines)
    create_markdown_artifact(f"Model {decision.version}\n\n{lines}")
    decision.require()
    return decision


@flow(name="daily", persist_result=False)
def daily(
    config: str,
    as_of: datetime | None = None,
    now: datetime | None = None,
    workspace: str | None = None,
    replacing: bool = False,
) -> Day:
    """Ingest, score, publish; where that fails, mark the lists that stand as stale. A published day stays as it is."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    now = now or datetime.now(UTC)
    doing = steps.Doing(take_up_task, partial(score_task, opened=opened), publish_task)
    day = unquoted(steps.daily)(loaded, as_of or steps.due_cut(loaded, now), now, progress.tell, replacing, doing)
    create_markdown_artifact(f"{day.published.teams} lists, {day.published.listed} people listed")
    return day


@flow(name="monitor", persist_result=False)
def monitor(config: str, now: datetime | None = None, workspace: str | None = None) -> Monitored:
    """What has changed in what comes in and in what comes of it, as a page; and what came of each team's lists, for the
    board."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    now = now or datetime.now(UTC)
    found = monitor_task(loaded, now, progress.tell, opened)
    outcomes_task(loaded, now)
    create_markdown_artifact(f"{len(found.news)} alarms that are news: see the page")  # alarms name codes
    return found


@flow(name="evaluate", persist_result=False)
def evaluate(config: str, workspace: str | None = None) -> Evidence:
    """The champion's evidence, written again."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    return evaluate_task(loaded, progress.tell, opened)


def _told(trained: Trained) -> Trained:
    """A training's figures onto Prefect's pages."""
    figures = "\n".join(f"- {name}: {value:.4g}" for name, value in sorted(trained.evidence.metrics.items()))
    create_markdown_artifact(f"Model {trained.version}, {trained.lead} leads\n\n{figures}")
    return trained
