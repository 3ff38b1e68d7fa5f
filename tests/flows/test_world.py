"""Simulated worlds and the real path: which rows are refused and why; teams that act on the lists of the day before."""

import pandas as pd
import pytest

from features.errors import ConfigError
from pipelines import steps
from pipelines.config import load_config
from pipelines.simulator.playing import NUMBER_COLUMN
from pipelines.worlds import check, play

EXPECTED_REJECTS = {
    ("observations", "value without a code"),
    *((table, "duplicate row") for table in ("people", "referrals", "contacts", "observations")),
}
"""What the planted faults lead to; anything else that is refused is a fault of the simulator or of the adapters."""


def account(workspace):
    """What became of every row of every ingestion."""
    return pd.concat([pd.read_csv(path) for path in (workspace / "quality").glob("*/account.csv")])


def test_the_planted_faults_and_nothing_else_lead_to_rejects(trained):
    rows = account(trained.workspace)
    rejected = rows[rows["outcome"] == "rejected"]
    assert set(zip(rejected["table"], rejected["reason"], strict=True)) == EXPECTED_REJECTS
    assert 0.001 < rejected["rows"].sum() / rows["rows"].sum() < 0.05


def test_without_faults_nothing_is_refused(small_config, tmp_path):
    from pipelines.simulator import Faults

    loaded = load_config(small_config, tmp_path / "workspace")
    few = {"places": 80, "days": 80, "daily_drops": 3, "faults": Faults.none().model_dump()}
    config = loaded.model_copy(update={"simulator": loaded.simulator | few})
    steps.simulate(config, quiet)
    steps.ingest(config, steps.as_of_day(config, steps.simulated_last_day(config)), quiet)
    rows = account(config.workspace)
    assert rows["rows"].sum() > 10_000
    assert (rows["outcome"] != "rejected").all()


@pytest.mark.slow
def test_days_played_through_the_daily_path_have_their_lists_and_their_help(small_config, tmp_path):
    loaded = load_config(small_config, tmp_path / "workspace")
    few = {"daily_drops": 3, "truth_days": 5, "interventions": {"reach": 1.0, "effect": 1.0}}
    config = loaded.model_copy(update={"simulator": loaded.simulator | few})
    played = play(config, quiet)
    lists = sorted(path.name for path in (config.workspace / "lists").iterdir() if path.name[:2] == "20")
    world = steps.simulated_world(config)
    assert lists == [str(world.date_of(number)) for number in range(world.first_cut + 1, world.days + 1)]
    exposures = pd.read_parquet(played.folder / "truth" / "exposures.parquet")
    for day, shown in exposures.groupby("date"):
        paths = (config.workspace / "lists" / str(day)).glob("*/list.csv")
        published = pd.concat([pd.read_csv(path, dtype=str) for path in paths])
        assert shown["local_patient_id"].is_unique
        assert len(shown) == published[NUMBER_COLUMN].nunique()
    assert exposures["date"].nunique() == len(lists) - 1, "nobody acts on the list of the last day any more"
    helped = pd.read_parquet(played.folder / "truth" / "days.parquet").query("p9 < p9_untreated")
    assert set(helped["local_patient_id"]) <= set(exposures["local_patient_id"])
    assert len(helped) > 20
    with pytest.raises(ConfigError, match="a workspace of its own"):
        play(config, quiet)


def test_a_world_is_checked_and_drawn(small_config, tmp_path):
    loaded = load_config(small_config, tmp_path / "workspace")
    few = {"places": 300, "days": 150, "truth_days": 45}
    done = check(loaded.model_copy(update={"simulator": loaded.simulator | few}), quiet)
    exact = [one for one in done.checks if "lives from each state" in one.what or "tenths" in one.what]
    assert len(exact) == 3
    assert all(one.well for one in exact)
    assert {path.name for path in done.page.parent.iterdir()} == {"index.html", "course.png", "checks.png"}


def quiet(_said):
    """Progress that nobody reads."""
