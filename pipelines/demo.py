"""The demonstration: a simulated trust through the whole real path, by Prefect, tracked in MLflow."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from features.errors import ConfigError
from pipelines import steps
from pipelines.config import ServiceConfig
from pipelines.releasing import list_pages
from pipelines.workspace import Workspace

MARK = ".demo"
CACHE = "cache"
"""What the command line may have put into the workspace before anything has been done."""
Telling = Callable[[str], AbstractContextManager[Callable[[str], None]]]


def run_demo(config_path: Path, config: ServiceConfig, out: Console, telling: Telling) -> None:
    """Simulate, ingest, train, and publish the last two days, ending with where to look.

    A workspace that an earlier demonstration made is cleared first; any other that is in use is refused.
    """
    start = time.perf_counter()
    workspace = _cleared(config)
    os.environ["PREFECT_HOME"] = str(workspace.prefect.resolve())
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # an error is told once, by the command line
    last = steps.simulated_last_day(config)
    as_of = steps.as_of_day(config, last)
    with telling("Simulating a trust") as tell:
        summary = steps.simulate(config, tell)
    with telling("Starting Prefect") as tell:
        from pipelines import flows  # reads PREFECT_HOME when it is imported

        tell("its own server, in this process")
    given: dict[str, Any] = {"config": str(config_path), "workspace": str(workspace.root)}
    with telling("Ingesting the extracts") as tell:
        flows.progress.listener = tell
        ingested = flows.ingest(now=as_of, **given)
    with telling("Training and judging the model") as tell:
        flows.progress.listener = tell
        trained = flows.train(as_of=as_of, **given)
    for day in (as_of - timedelta(days=1), as_of):
        with telling(f"Lists for {day:%d-%b-%Y}") as tell:
            flows.progress.listener = tell
            published = flows.daily(as_of=day, now=day, **given).published
    _say_where(out, workspace, summary, ingested, trained, published)
    out.print(f"\nThe whole demonstration took {time.perf_counter() - start:.0f} seconds.")


def _cleared(config: ServiceConfig) -> Workspace:
    workspace = Workspace(config.workspace)
    if workspace.root.exists() and any(entry.name != CACHE for entry in workspace.root.iterdir()):
        if not (workspace.root / MARK).exists():
            message = (
                f"The demonstration needs an empty workspace; {workspace.root} is in use and was not made by it. "
                "Name another with --workspace."
            )
            raise ConfigError(message)
        shutil.rmtree(workspace.root)
    workspace.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    (workspace.root / MARK).touch()
    return workspace


def _say_where(out: Console, workspace: Workspace, summary: Any, ingested: Any, trained: Any, published: Any) -> None:
    figures = trained.evidence.metrics
    out.print(
        f"\n{summary.people:,} simulated people, {ingested.rows:,} rows kept and {ingested.rejected:,} rejected; "
        f"{published.listed} people on {published.teams} lists.",
        soft_wrap=True,
    )
    out.print(
        f"Judged on later days: AUROC {figures['auroc']:.3f}, average precision {figures['average_precision']:.3f}, "
        f"{figures['ppv']:.1%} of those listed admitted within nine days ({figures['lift']:.1f} times as many "
        "as among the whole caseload).",
        soft_wrap=True,
    )
    root = workspace.root
    latest = workspace.lists / "latest"
    rows = {
        "Today's lists": latest / "index.html",
        "One team's list": latest / list_pages(published)[0].relative_to(published.folder),
        "How good they are": trained.evidence.page,
        "What became of the data": ingested.report,
    }
    out.print("\nOpen in a browser:")
    for what, path in rows.items():
        out.print(f"  {what:<24} {path}", soft_wrap=True)
    out.print("\nTo look into the tracking and the runs:")
    out.print(
        f"  .venv/bin/mlflow server --backend-store-uri sqlite:///{root}/mlflow/mlflow.db --port 5000", soft_wrap=True
    )
    out.print(f"  .venv/bin/minusnine serve --workspace {root}", soft_wrap=True)
