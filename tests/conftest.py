"""What tests share, and the rule that every test has one kind."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from drawn import london, parsed, rows_of
from hypothesis import settings

from features.history import empty_history
from features.schema import TABLES, history_schema
from pipelines import steps
from pipelines.config import ServiceConfig, load_config
from pipelines.workspace import write_private

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
KINDS = {"unit", "spec", "generative", "oracle", "golden", "flows", "browser"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = item.path.relative_to(Path(__file__).parent).parts[0]
        assert kind in KINDS, f"{item.nodeid} must lie in one of tests/{{{','.join(sorted(KINDS))}}}"


@pytest.fixture
def history() -> Callable[..., dict[str, pa.Table]]:
    """history(contacts="person_id | occurred_at | ...") -> the six tables; what a table leaves out is null, row_id is
    the line's number and known_from 2000-01-01."""

    def make(**drawn: str) -> dict[str, pa.Table]:
        tables = empty_history()
        for name, text in drawn.items():
            table = TABLES[name]
            types = {field.name: "id" for field in history_schema(table)}
            types |= {"known_from": "time", "known_to": "time"} | {c.name: c.type for c in table.columns}
            rows = []
            for number, row in enumerate(rows_of(text)):
                cells = {key: parsed(value, types[key]) for key, value in row.items()}
                rows.append({"row_id": number, "known_from": london("2000-01-01 00:00"), **cells})
            tables[name] = pa.Table.from_pylist(rows, schema=history_schema(table))
        return tables

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, named by MINUSNINE_DATA; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MINUSNINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets (MINUSNINE_DATA or {folder})")
    return folder


SMALL = {
    "simulator": {
        "world": "worlds/small.yaml",
        **{"places": 400, "days": 260, "teams": 10, "daily_drops": 2, "start": "2025-04-01", "seed": 3},
    },
    "periods": {"history_days": 260, "calibration_days": 30, "test_days": 30, "landmark_every": 3},
    "training": {"seeds": [1], "most_trees": 40, "least_admissions": 10, "least_calibration_admissions": 2},
    "promotion": {
        "least_admissions": 1,
        "gain_over_rules": -1,
        "tolerated_loss": 100,
        "expected_over_observed": [0.1, 10],
        "calibration_slope": [0.01, 10],
    },
    "buckets": 2,
    "forms": {"files": []},
}
"""A trust small enough for tests: ten teams, nine months, a gate that asks little of so few admissions, and lists in no
other forms than page and spreadsheet."""


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file for the small trust, its workspace beside it."""
    folder = tmp_path_factory.mktemp("small")
    configs = Path(__file__).parents[1] / "configs"
    raw = yaml.safe_load((configs / "simulated.yaml").read_text(encoding="utf-8")) | SMALL
    for name in ("features", "sources", "worlds"):
        (folder / name).symlink_to(configs / name)
    raw["workspace"] = str(folder / "workspace")
    path = folder / "service.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(small_config: Path) -> ServiceConfig:
    """The small trust simulated, ingested and trained; tests must not change its workspace.

    Its key is fixed, since who is looked at on which cut, and so every figure, follows from it.
    """
    config = load_config(small_config)
    (config.workspace / "identity").mkdir(parents=True, mode=0o700)
    write_private(config.workspace / "identity" / "pseudonym.key", b"9" * 64)
    as_of = steps.as_of_day(config, steps.simulated_last_day(config))
    steps.simulate(config, quiet)
    steps.ingest(config, as_of, quiet)
    steps.train(config, as_of, quiet)
    return config


@pytest.fixture
def copied(trained: ServiceConfig, tmp_path: Path) -> ServiceConfig:
    """The trained small trust with a workspace of its own, to do anything to."""
    shutil.copytree(trained.workspace, tmp_path / "workspace", symlinks=True)
    return trained.model_copy(update={"workspace": tmp_path / "workspace"})


def quiet(_said: str) -> None:
    """Progress that nobody reads."""
