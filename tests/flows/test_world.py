"""Simulated worlds and the real path: which rows are refused and why; teams that act on the lists of the day before."""

import pandas as pd
import pytest

from features.errors import ConfigError
from pipelines import steps
from pipelines.config import load_config
from pipelines.simulator.playing import NUMBER_COLUMN
from pipelines.worlds import check, play
from pipelines.year import ARMS, TEAMS, Arm, Plan, play_arm, retrained, shown

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
    for day, exposed in exposures.groupby("date"):
        paths = (config.workspace / "lists" / str(day)).glob("*/list.csv")
        published = pd.concat([pd.read_csv(path, dtype=str) for path in paths])
        assert exposed["local_patient_id"].is_unique
        assert len(exposed) == published[NUMBER_COLUMN].nunique()
    assert exposures["date"].nunique() == len(lists) - 1, "nobody acts on the list of the last day any more"
    helped = pd.read_parquet(played.folder / "truth" / "days.parquet").query("p9 < p9_untreated")
    assert set(helped["local_patient_id"]) <= set(exposures["local_patient_id"])
    assert len(helped) > 20
    with pytest.raises(ConfigError, match="a workspace of its own"):
        play(config, quiet)


@pytest.mark.slow
def test_two_arms_of_a_play_that_was_broken_off_share_all_but_the_help(small_config, tmp_path, monkeypatch):
    def configured(workspace):
        loaded = load_config(small_config, workspace)
        return loaded.model_copy(
            update={"simulator": loaded.simulator | {"interventions": {"reach": 1.0, "effect": 1.0}}}
        )

    plan = Plan(configured, tmp_path, places=400, days=2)
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.worlds.end_play", interrupted)
        with pytest.raises(KeyboardInterrupt):
            play_arm(plan, TEAMS, quiet)
    day = steps.simulated_last_day(plan.config(TEAMS))
    stood = digests(tmp_path / "teams-act" / "lists" / str(day))
    said = []
    for arm in ARMS:
        play_arm(plan, arm, said.append)
    assert sum("as before" in words for words in said) == 1, "the last published day is made sure of again"
    assert digests(tmp_path / "teams-act" / "lists" / str(day)) == stood
    arms = {name: Arm(plan.config(name)) for name in ARMS}
    nobody, teams = (shown(arms[name]) for name in ARMS)
    first = nobody["day"].min()
    pd.testing.assert_frame_equal(nobody[nobody["day"] == first], teams[teams["day"] == first])
    assert (nobody["p9"].dropna() == nobody["p9_untreated"].dropna()).all()
    assert (teams["p9"] < teams["p9_untreated"]).sum() > 20
    learned = retrained(arms, days=260, tell=quiet)
    assert set(learned["model"]) == {"champion", *(f"learned where {name}" for name in ARMS)}
    assert learned.loc[learned["measure"] == "auroc", "value"].between(0.5, 0.95).all()
    play_arm(plan, TEAMS, unheard)
    with pytest.raises(ConfigError, match="other settings"):
        play_arm(Plan(configured, tmp_path, places=300, days=2), TEAMS, unheard)


def interrupted(_played):
    raise KeyboardInterrupt


def unheard(said):
    pytest.fail(f"nothing was left to do, and yet: {said}")


def digests(folder):
    """The bytes of every file of a publication, by its path."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_world_is_checked_and_drawn(small_config, tmp_path):
    loaded = load_config(small_config, tmp_path / "workspace")
    few = {"places": 300, "days": 150, "truth_days": 45}
    done = check(loaded.model_copy(update={"simulator": loaded.simulator | few}), quiet)
    exact = [one for one in done.checks if "lives from each state" in one.what or "tenths" in one.what]
    assert len(exact) == 4
    assert all(one.well for one in exact)
    assert {path.name for path in done.page.parent.iterdir()} == {"index.html", "course.png", "checks.png"}


def quiet(_said):
    """Progress that nobody reads."""
