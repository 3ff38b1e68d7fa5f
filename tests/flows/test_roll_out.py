"""A day of a roll-out: the team that waits is told so, shown and withheld are logged apart, and it comes out again."""

from datetime import timedelta

import pytest

from models.roll_out import BY_LOT, NOT_STARTED, BandConfig, RollOutConfig
from pipelines import steps
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture
def cut(copied):
    return steps.as_of_day(copied, steps.simulated_last_day(copied))


def rolling(config, cut, *, waits=(), share=0.5):
    starts = {team: cut.date() + timedelta(days=20) for team in waits}
    band = BandConfig(share=share, spare_risk=0.9)
    return config.model_copy(update={"roll_out": RollOutConfig(starts=starts, band=band)})


def equal(config, cut):
    (again,) = steps.replay(config, cut.date(), cut.date(), quiet)
    return again


def test_a_day_of_a_roll_out_is_logged_apart_and_comes_out_again(copied, cut):
    plain = steps.score(copied, cut, quiet).ranked
    waits = str(plain.groupby("team_id").size().idxmax())
    config = rolling(copied, cut, waits=[waits])
    day = steps.daily(config, cut, cut, quiet)
    log = Service(config).exposures
    listed, withheld, weighted = log.listed(), log.withheld(), log.weighted()
    assert set(withheld["reason"]) == {NOT_STARTED, BY_LOT}
    assert set(withheld.loc[withheld["reason"] == NOT_STARTED, "team_id"]) == {waits}
    others, mine = plain[plain["listed"] & (plain["team_id"] != waits)], plain[plain["team_id"] == waits]
    assert len(listed) == day.published.listed == len(others)
    assert (withheld["team_id"] == waits).sum() == mine["listed"].sum()
    by_lot = weighted[weighted["chance"].between(0, 1, inclusive="neither")]
    assert by_lot["shown"].any()
    assert not by_lot["shown"].all()
    top = others[others["rank"] == 1].merge(weighted, on=["team_id", "person_id"])
    assert len(top) == others["team_id"].nunique()
    assert (top["chance"] == 1).all()
    (page,) = [path.read_text("utf-8") for path in day.published.folder.glob(f"{waits}/list.html")]
    assert f"lists begin on {cut.date() + timedelta(days=20):%d-%b-%Y}" in page
    assert '<tr role="row" class="person">' not in page
    for later in (config, copied):
        assert equal(later, cut).difference == ""
    assert equal(copied, cut).changed == ("the setting roll_out",)


def test_a_day_without_one_comes_out_again_whatever_is_planned_by_then(copied, cut):
    steps.daily(copied, cut, cut, quiet)
    again = equal(rolling(copied, cut, share=0.2), cut)
    assert (again.difference, again.changed) == ("", ("the setting roll_out",))
    assert Service(copied).exposures.withheld().empty


def test_lists_given_by_lot_say_so_and_show_nobody_of_another_team(copied, cut):
    plain = steps.score(copied, cut, quiet)
    drawn = steps.score(rolling(copied, cut), cut, quiet)
    assert "The last places of each list are given by lot" in drawn.stamp.notes[0]
    assert not plain.stamp.notes
    counts = [one.ranked.groupby("team_id")["listed"].sum().to_dict() for one in (plain, drawn)]
    assert counts[0] == counts[1]
    assert (drawn.ranked["listed"] != plain.ranked["listed"]).any()
