"""The Prefect flows: the same steps as the command line, wrapped with retries. The only module that imports Prefect.

A flow takes a configuration's path and a cut. Frames pass between tasks in memory and are never persisted, so
Prefect's own records hold paths, counts and states only.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import ConfigError, StaleFeedError
from pipelines import steps
from pipelines.config import load_config
from pipelines.daily import Day
from pipelines.ingesting import IngestResult
from pipelines.training import Evidence, Trained


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """A disk or a database may be back in a moment; a wrong configuration or a stale feed will not mend itself."""
    return not isinstance(state.data, ConfigError | StaleFeedError)


KEPT_IN_MEMORY: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
RETRIED: dict[str, Any] = {**KEPT_IN_MEMORY, "retries": 2, "retry_delay_seconds": [5, 30]}

ingest_task = task(steps.ingest, name="ingest", retry_condition_fn=_worth_retrying, **RETRIED)
train_task = task(steps.train, name="train", **KEPT_IN_MEMORY)
evaluate_task = task(steps.evaluate, name="evaluate", **KEPT_IN_MEMORY)
score_task = task(steps.score, name="score", retry_condition_fn=_worth_retrying, **RETRIED)
publish_task = task(steps.publish, name="publish", **KEPT_IN_MEMORY)


def _quiet(_said: str) -> None:
    """Prefect's pages show progress by task; the words are for the command line."""


@flow(name="ingest", persist_result=False)
def ingest(config: str, now: datetime, workspace: str | None = None, tell: Any = _quiet) -> IngestResult:
    """Every new extract into the history."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    done = ingest_task(loaded, now, tell)
    create_markdown_artifact(f"{len(done.ingested)} extracts, {done.rows:,} rows kept, {done.rejected:,} rejected")
    return done


@flow(name="train", persist_result=False)
def train(config: str, as_of: datetime, workspace: str | None = None, tell: Any = _quiet) -> Trained:
    """A new champion with its evidence."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    trained = train_task(loaded, as_of, tell)
    figures = "\n".join(f"- {name}: {value:.4g}" for name, value in sorted(trained.evidence.metrics.items()))
    create_markdown_artifact(f"Model {trained.version}, {trained.lead} leads\n\n{figures}")
    return trained


@flow(name="daily", persist_result=False)
def daily(config: str, as_of: datetime, now: datetime, workspace: str | None = None, tell: Any = _quiet) -> Day:
    """Ingest, score, publish; where that fails, mark the lists that stand as stale."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    with steps.or_marked_stale(loaded, as_of):
        ingest_task(loaded, now, tell)
        day = publish_task(loaded, score_task(loaded, as_of, tell))
    create_markdown_artifact(f"{day.published.teams} lists, {day.published.listed} people listed")
    return day


@flow(name="evaluate", persist_result=False)
def evaluate(config: str, workspace: str | None = None, tell: Any = _quiet) -> Evidence:
    """The champion's evidence, written again."""
    loaded = load_config(Path(config), Path(workspace) if workspace else None)
    return evaluate_task(loaded, tell)
