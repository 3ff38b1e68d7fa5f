"""A feed taken up day by day: what is told anew, and what cannot be used."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines import cli, steps
from pipelines.config import ServiceConfig, load_config
from pipelines.service import Service

CONFIGS = Path(__file__).parents[2] / "configs"
NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)
HEADER = "person,code,time,value,event_id\n"


@pytest.fixture
def config(tmp_path: Path) -> ServiceConfig:
    (tmp_path / "service.yaml").write_text(
        f"trust: T\nfeatures: {CONFIGS / 'features/community.yaml'}\nworkspace: {tmp_path / 'workspace'}\n"
        f"sources: {{feed: {{mapping: {CONFIGS / 'sources/events.yaml'}, path: {tmp_path / 'feed'}}}}}\n"
    )
    return load_config(tmp_path / "service.yaml")


def delivered(tmp_path: Path, day: str, rows: str) -> None:
    (tmp_path / "feed" / day).mkdir(parents=True)
    (tmp_path / "feed" / day / "events.csv").write_text(HEADER + rows)


def test_what_is_said_again_after_it_was_said_otherwise_holds_again(tmp_path: Path, config: ServiceConfig) -> None:
    for day, value in (("2025-10-28", 1), ("2025-10-29", 2), ("2025-10-30", 1)):
        delivered(tmp_path, day, f"a,x,2025-01-01,{value},e\n")
        steps.ingest(config, NOW, lambda _: None)
    found = Service(config).history.read(names=["observations"])["observations"].sort_by("known_from").to_pylist()
    assert [row["value"] for row in found] == [1.0, 2.0, 1.0]
    assert [row["known_to"] is None for row in found] == [False, False, True]
    assert [one.already for one in steps.ingest(config, NOW, lambda _: None).ingested] == [True] * 3


def test_a_quiet_feed_has_come_each_day(tmp_path: Path, config: ServiceConfig) -> None:
    for day in ("2025-10-28", "2025-10-29", "2025-10-30"):
        delivered(tmp_path, day, "")
    assert not any(one.already for one in steps.ingest(config, NOW, lambda _: None).ingested)
    assert len(Service(config).history.ledger()) == 3


def test_a_file_of_which_nothing_could_be_used_is_named(tmp_path: Path, config: ServiceConfig) -> None:
    delivered(tmp_path, "2025-10-28", "a,x,5th of May,1,e\nb,x,6th of May,1,f\n")
    delivered(tmp_path, "2025-10-29", "a,x,5th of May,1,e\nb,x,2025-05-06,1,f\n")
    said = CliRunner().invoke(cli.app, ["ingest", "--config", str(tmp_path / "service.yaml")]).output
    assert "2025-10-28, events.csv: all 2 rows were rejected, most of them for: unreadable date" in said
    assert "2025-10-29, events.csv" not in said
