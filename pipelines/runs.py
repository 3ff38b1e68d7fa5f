"""What each publication of a day's lists was made of and said: a folder `runs/2026-02-03/1` for each version.

It holds the pseudonymised ranking, the catalogue of features, and `run.json`, which also lies beside the lists: the
copy there says which version of the day the lists are. What a run that was killed left here has no such copy, and is
never looked at.
"""

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.workspace import Workspace, write_private

RUN, RANKED, CATALOGUE, SETTLED = "run.json", "ranked.parquet", "catalogue.yaml", "settled.json"
REKEYED = "rekeyed"
"""The mark of a publication that was made under a former pseudonym key."""


@dataclass(frozen=True)
class Run:
    """A publication. told: what its `run.json` says."""

    folder: Path
    told: Mapping[str, Any]

    @property
    def day(self) -> str:
        return str(self.told["day"])

    @property
    def version(self) -> int:
        return int(self.told["version"])

    def ranked(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / RANKED)

    def beside(self) -> dict[str, pd.DataFrame]:
        """What the pages showed beside the ranking, as `daily.Ranking` has it."""
        return {
            path.stem: pd.read_parquet(path) for path in sorted(self.folder.glob("*.parquet")) if path.name != RANKED
        }

    @property
    def rekeyed(self) -> bool:
        return (self.folder / REKEYED).exists()

    def catalogue(self) -> str:
        return (self.folder / CATALOGUE).read_text(encoding="utf-8")

    def settled(self) -> str | None:
        """The MLflow run of this publication; None while the exposure log or MLflow may still lack it."""
        path = self.folder / SETTLED
        return str(json.loads(path.read_bytes())["mlflow_run"]) if path.is_file() else None

    def settle(self, mlflow_run: str) -> None:
        write_private(self.folder / SETTLED, json.dumps({"mlflow_run": mlflow_run}).encode())


def standing(workspace: Workspace, day: str) -> Run | None:
    """The run whose lists stand for the day, an ISO date; None where no lists do, or their record is lost."""
    beside = workspace.lists / day / RUN
    if not beside.is_file():
        return None
    told = read_json(beside)
    folder = workspace.runs / day / str(told["version"])
    return Run(folder, told) if (folder / RUN).is_file() else None


def published(workspace: Workspace) -> list[Run]:
    """The runs whose lists stand, in the order of their days."""
    days = sorted(path.parent.name for path in workspace.lists.glob(f"[0-9]*/{RUN}"))
    return [run for day in days if (run := standing(workspace, day)) is not None]


def next_version(workspace: Workspace, day: str) -> int:
    made = [int(path.name) for path in (workspace.runs / day).glob("[0-9]*")]
    return 1 + max(made, default=0)


def keep(
    workspace: Workspace,
    told: Mapping[str, Any],
    ranked: pd.DataFrame,
    catalogue: str,
    beside: Mapping[str, pd.DataFrame],
) -> Run:
    """Write a run's folder, whole or not at all. beside: as `daily.Ranking` has it."""
    folder = workspace.runs / str(told["day"]) / str(told["version"])
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    write_private(aside / RANKED, as_parquet(ranked))
    for name, frame in beside.items():
        write_private(aside / f"{name}.parquet", as_parquet(frame))
    write_private(aside / CATALOGUE, catalogue.encode())
    write_private(aside / RUN, as_json(told))
    aside.rename(folder)
    return Run(folder, told)


def as_parquet(frame: pd.DataFrame) -> bytes:
    written = io.BytesIO()
    frame.to_parquet(written, index=False)
    return written.getvalue()


def as_json(told: Mapping[str, Any]) -> bytes:
    return (json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_bytes())
    return told
