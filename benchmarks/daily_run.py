"""A morning of a trust with 25,000 people on its caseloads and 5 million records: `minusnine daily`, without a server.

    python benchmarks/daily_run.py [--folder /tmp/minus-nine-morning] [--runs 3]

The trust is simulated once and kept in --folder: 26,500 places and 160 days, all of them within the longest look-back,
so that a build reads every record there is. The last sixty days come as daily drops and are taken up one by one, as a
service would have; a champion is trained; the lists of the day before stand. Each run then takes up the last day's drop
and publishes its lists, as a process of its own that is waited for. A further run is timed inside, step by step.
"""

import argparse
import importlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / "configs"
MINUSNINE = Path(sys.executable).with_name("minusnine")
WORLD = {"world": "worlds/trust.yaml", "places": 26_500, "days": 160, "teams": 40, "daily_drops": 60, "truth_days": 1}
PERIODS = {"history_days": 160, "calibration_days": 20, "calibration_every": 4, "test_days": 20, "test_every": 4}
STEPS = (
    ("ingesting: reading the extracts", "pipelines.ingesting", "read_extract"),
    ("ingesting: into the history", "pipelines.store", "History.ingest"),
    ("ingesting: identities", "pipelines.identities", "Identities.settle"),
    ("ingesting: the quality report", "pipelines.ingesting", "_report"),
    ("scoring: the champion", "pipelines.tracking", "champion"),
    ("scoring: features", "pipelines.daily", "snapshot"),
    ("scoring: risk", "models.bundle", "Bundle.score"),
    ("scoring: order", "pipelines.daily", "rank"),
    ("scoring: reasons", "pipelines.daily", "_explained"),
    ("scoring: where it came from", "pipelines.origins", "origin"),
    ("publishing: identities", "pipelines.identities", "Identities.people"),
    ("publishing: lists", "pipelines.publish", "_lists"),
    ("publishing: pages and spreadsheets", "pipelines.publish", "_files"),
    ("publishing: writing", "pipelines.publish", "_write"),
    ("publishing: reading back", "pipelines.publish", "_check"),
    ("publishing: the record", "pipelines.runs", "keep"),
    ("publishing: the exposure log", "pipelines.releasing", "finish_exposed"),
    ("publishing: MLflow", "pipelines.tracking", "log_day"),
)
"""What is timed inside a run: what it is called here, and the function."""


def configured(folder: Path) -> Path:
    """The configuration of the trust in `folder`, written anew."""
    raw = yaml.safe_load((CONFIGS / "simulated.yaml").read_text(encoding="utf-8"))
    raw["simulator"] = WORLD | {"start": "2025-08-05", "world": str(CONFIGS / WORLD["world"])}
    raw["periods"] |= PERIODS
    raw["features"] = str(CONFIGS / raw["features"])
    raw["workspace"] = str(folder / "workspace")
    for source in raw["sources"].values():
        source["mapping"] = str(CONFIGS / source["mapping"])
        source["path"] = source["path"].replace("{workspace}", str(folder))
    raw["promotion"] = {"gain_over_rules": -1, "tolerated_loss": 1, "expected_over_observed": [0.1, 10]}
    raw["promotion"] |= {"calibration_slope": [0.1, 10], "least_admissions": 1}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "service.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def prepared(folder: Path, tell: Callable[[str], None]) -> None:
    """The trust on the evening before its last day, in `folder/kept`; made once."""
    from pipelines import steps
    from pipelines.config import load_config

    if (folder / "kept").exists():
        return
    config = load_config(configured(folder))
    eve = steps.as_of_day(config, steps.simulated_last_day(config)) - timedelta(days=1)
    if not (folder / "extracts").exists():
        steps.simulate(config, tell)
        (folder / "workspace" / "extracts").rename(folder / "extracts")
    steps.ingest(config, eve, tell)
    if not steps.has_champion(config):
        steps.train(config, eve, tell)
    steps.daily(config, eve, eve, tell)
    shutil.copytree(folder / "workspace", folder / "aside", symlinks=True)
    (folder / "aside").rename(folder / "kept")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/minus-nine-morning"))
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    prepared(given.folder, partial(print, flush=True))


if __name__ == "__main__":
    main()
