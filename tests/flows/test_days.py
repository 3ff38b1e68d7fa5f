"""Days one after another: filled in as they would have been, and made again row by row."""

import shutil
from datetime import date, timedelta

import pandas as pd
import pytest

from features.errors import ConfigError, ReplayError
from pipelines import steps
from pipelines.backfilling import LEFT_OUT, MADE, STOOD
from pipelines.replay import first_difference
from pipelines.service import Service

QUARTER = 91


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def quarter(trained, tmp_path_factory):
    """The small trust with a model of the day before its last quarter; the lists of that quarter's first days are to be
    filled in. Its feeds are not late: those of a history load end with it."""
    root = tmp_path_factory.mktemp("quarter") / "workspace"
    shutil.copytree(trained.workspace, root, ignore=shutil.ignore_patterns("evaluation", "truth", "mlflow", "models"))
    last = steps.simulated_last_day(trained)
    first = last - timedelta(days=QUARTER - 1)
    sources = {
        name: source.model_copy(
            update={"path": root / source.path.relative_to(trained.workspace), "late_after_hours": None}
        )
        for name, source in trained.sources.items()
    }
    periods = trained.periods.model_copy(update={"calibration_days": 20, "test_days": 20})
    config = trained.model_copy(update={"workspace": root, "sources": sources, "periods": periods})
    now = steps.as_of_day(config, last)
    steps.train(config, steps.as_of_day(config, first), quiet)
    return config, first, last, now


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_day_of_a_quarter_is_filled_in_and_comes_out_again(quarter):
    config, first, last, now = quarter
    too_soon = first - timedelta(days=1)
    filled = steps.backfill(config, too_soon, last, now, quiet)
    assert [one.what for one in filled] == [LEFT_OUT, *[MADE] * QUARTER]
    assert "needs a champion trained by then" in filled[0].why
    again = steps.replay(config, first, last, quiet)
    assert [(one.day, one.difference) for one in again] == [(one.day, "") for one in filled[1:]]
    assert sum(one.rows for one in again) > QUARTER * 50
    exposed = Service(config).exposures.listed()
    assert exposed["as_of"].nunique() == QUARTER


def some_days(quarter, tmp_path):
    """The first three days in a workspace of the test's own."""
    config, first, _last, now = quarter
    root = tmp_path / "workspace"
    shutil.copytree(config.workspace, root, symlinks=True)
    for name in ("lists", "runs", "exposure"):
        shutil.rmtree(root / name, ignore_errors=True)
    return config.model_copy(update={"workspace": root}), first, now


@pytest.fixture
def three(quarter, tmp_path):
    config, first, now = some_days(quarter, tmp_path)
    filled = steps.backfill(config, first, first + timedelta(days=2), now, quiet)
    assert [one.what for one in filled] == [MADE] * 3
    return config, first, now


def test_what_stands_is_skipped_and_a_gap_is_filled_without_touching_what_came_after(quarter, tmp_path):
    config, first, now = some_days(quarter, tmp_path)
    days = [first + timedelta(days=number) for number in range(3)]
    for day in (days[0], days[2]):
        steps.backfill(config, day, day, now, quiet)
    after = (config.workspace / "lists" / days[2].isoformat()).readlink()
    assert [one.what for one in steps.backfill(config, days[0], days[2], now, quiet)] == [STOOD, MADE, STOOD]
    assert (config.workspace / "lists" / days[2].isoformat()).readlink() == after
    assert (config.workspace / "lists" / "latest").readlink().name == days[2].isoformat()
    assert not steps.daily(config, steps.as_of_day(config, days[2]), now, quiet).published.changed
    assert not [one for one in steps.replay(config, days[0], days[2], quiet) if one.difference]


def test_a_replay_uses_what_the_day_was_made_with_and_says_what_is_otherwise_now(three):
    config, first, _now = three
    lists = config.lists.model_copy(update={"share": 0.5})
    (again,) = steps.replay(config.model_copy(update={"lists": lists}), first, first, quiet)
    assert (again.difference, again.changed) == ("", ("the setting lists",))


def test_a_ranking_that_was_altered_is_found_and_nobody_is_named(three):
    config, first, _now = three
    path = config.workspace / "runs" / first.isoformat() / "1" / "ranked.parquet"
    ranked = pd.read_parquet(path)
    ranked.loc[3, "score"] += 1e-9
    ranked.to_parquet(path, index=False)
    (again,) = steps.replay(config, first, first, quiet)
    with pytest.raises(ReplayError, match=rf"team {ranked['team_id'][3]}, rank {ranked['rank'][3]}, in score") as told:
        again.require()
    assert "so the scoring is not" in str(told.value)
    assert str(ranked["person_id"][3]) not in str(told.value)


def test_a_model_that_is_lost_or_another_is_named_as_the_cause(three):
    config, first, _now = three
    (bundle,) = (config.workspace / "models").iterdir()
    bundle.rename(bundle.with_name("elsewhere"))
    with pytest.raises(ReplayError, match=f"must be made again with the model of then, {bundle.name}"):
        steps.replay(config, first, first, quiet)


def test_a_history_that_is_not_that_of_then_is_named_as_the_cause(three, monkeypatch):
    config, first, now = three
    shutil.rmtree(config.workspace / "history")
    only = {name: source for name, source in config.sources.items() if name != "hospital-history"}
    less = config.model_copy(update={"sources": only})
    (config.workspace / "fingerprints.json").unlink()
    steps.ingest(less, now, quiet)
    (again,) = steps.replay(less, first, first, quiet)
    with pytest.raises(ReplayError, match="The history changed: it does not begin with the extracts that it held then"):
        again.require()


def test_days_that_are_no_days_to_fill_or_to_replay(three):
    config, first, now = three
    with pytest.raises(ConfigError, match="must not lie ahead"):
        steps.backfill(config, first, date(2100, 1, 1), now, quiet)
    with pytest.raises(ConfigError, match="--to must not come before --from"):
        steps.backfill(config, first, first - timedelta(days=1), now, quiet)
    with pytest.raises(ReplayError, match="there are none from 2001-01-01"):
        steps.replay(config, date(2001, 1, 1), date(2001, 2, 1), quiet)


def test_a_row_too_many_is_a_difference():
    one = pd.DataFrame({"team_id": ["A"], "rank": [1], "score": [None]})
    assert first_difference(one, one.copy()) == ""
    assert first_difference(one, pd.concat([one, one.assign(rank=2)])) == "1 rows were published, and 2 are made"
    assert first_difference(one, one.assign(more=1)) == "the columns are others"
