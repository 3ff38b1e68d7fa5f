"""Days that come one by one are the days of a whole history; lists that are acted on do what was set, and no more."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from worlds import small_world

from pipelines.simulator.config import HORIZON_DAYS, SimulatorConfig
from pipelines.simulator.extracts import plan_extracts
from pipelines.simulator.journal import Life, begin, live, live_through
from pipelines.simulator.playing import begin_play, end_play, next_day
from pipelines.simulator.sheet import Sheet
from pipelines.simulator.trust import trust_of
from pipelines.simulator.writing import lay_out

RULE = {"by": "rule", "effect": 0.6, "reach": 0.8, "listed": 0.06, "lasts_days": 14, "from_day": 80}


def lived(config: SimulatorConfig, days: int) -> Life:
    life = begin(config)
    while life.day < days:
        live(life)
    return life


def rows_before(sheet: Sheet, moment: int) -> pd.DataFrame:
    count = int(np.searchsorted(sheet.recorded, moment))
    return sheet.table(np.arange(count)).to_pandas()


def test_what_was_written_by_a_day_does_not_depend_on_the_days_after_it() -> None:
    """The promise on which playing rests: every file, with every fault at work."""
    faults = {"referral_id_reused": 0.1, "contact_id_reused": 0.05, "registered_twice": 0.2, "recorded_in_error": 0.05}
    config = small_world(places=150, days=90, daily_drops=30, faults=faults, practice={"merger_at": 0.5})
    cut = plan_extracts(config)[1].before
    early, late = (
        lay_out(trust_of(lived(config, days))) for days in (config.first_cut + 1, config.days + HORIZON_DAYS)
    )
    for feed, sheets in early.items():
        for sheet, whole in zip(sheets, late[feed], strict=True):
            before = rows_before(sheet, cut)
            assert len(before) > 0
            pd.testing.assert_frame_equal(before, rows_before(whole, cut), obj=sheet.name)


def test_playing_with_nobody_acting_writes_what_simulating_does(tmp_path) -> None:
    from pipelines.simulator import simulate

    config = small_world(places=60, days=70, daily_drops=3, truth_days=5)
    simulate(config, tmp_path / "whole")
    play = begin_play(config, tmp_path / "played", lambda _share: None)
    for _ in range(3):
        play = next_day(play, np.zeros(0, dtype=np.int64))
    end_play(play)
    whole, played = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*.*")} for f in (tmp_path / "whole", tmp_path / "played")
    )
    assert played == whole


@cache
def worlds() -> tuple[Life, Life]:
    """The same world twice: nobody acts; teams act on a fifth of their people."""
    config = small_world(places=2500, days=200, interventions=RULE)
    nobody = config.model_copy(update={"interventions": config.interventions.model_copy(update={"by": "nobody"})})
    return live_through(nobody, lambda _share: None), live_through(config, lambda _share: None)


def admissions(life: Life) -> pd.DataFrame:
    log = life.journal.stays
    urgent = log["emergency"] == 1
    return pd.DataFrame({"soul": life.people.soul[log["person"][urgent]], "day": log["day"][urgent]})


def test_help_prevents_its_share_of_the_admissions_it_could() -> None:
    _, helped = worlds()
    acted = helped.journal.exposures["acted"] == 1
    until = {}
    for person, day in zip(
        *(helped.journal.exposures[name][acted].tolist() for name in ("person", "day")), strict=True
    ):
        until.setdefault(person, set()).update(range(day, day + RULE["lasts_days"]))
    stays = helped.journal.stays
    urgent = stays["emergency"] == 1
    pairs = zip(stays["person"][urgent].tolist(), stays["day"][urgent].tolist(), strict=True)
    happened = sum(day in until.get(person, ()) for person, day in pairs)
    prevented = len(helped.journal.prevented)
    share, error = prevented / (prevented + happened), 0.5 / np.sqrt(prevented + happened)
    assert prevented > 20
    assert share == pytest.approx(RULE["effect"], abs=4 * error)
    assert acted.mean() == pytest.approx(RULE["reach"], abs=4 * np.sqrt(0.16 / len(acted)))


def test_those_whom_nobody_helped_live_the_same_lives() -> None:
    untouched, helped = worlds()
    acted = helped.journal.exposures["acted"] == 1
    touched = np.unique(helped.people.soul[helped.journal.exposures["person"][acted]] // 4096)
    both = [admissions(life) for life in (untouched, helped)]
    left = [
        frame[~(frame["soul"] // 4096).isin(touched)].sort_values(["day", "soul"], ignore_index=True) for frame in both
    ]
    assert len(left[0]) > 100
    pd.testing.assert_frame_equal(*left)
    assert len(both[1]) < len(both[0])


def test_the_exposure_log_has_each_team_list_in_order() -> None:
    _, helped = worlds()
    log = pd.DataFrame({name: helped.journal.exposures[name] for name in ("day", "team", "rank", "person")})
    lists = log.groupby(["day", "team"])
    assert (lists["rank"].max() == lists.size()).all()
    assert not log.duplicated(["day", "person"]).any()


def test_lists_of_people_who_are_gone_help_nobody() -> None:
    config = small_world(places=80, days=60)
    life = lived(config, 40)
    gone = np.setdiff1d(np.arange(life.known), life.places.person)
    live(life, np.concatenate([gone[:3], life.places.person[:2]]))
    assert len(gone) > 3
    assert not life.journal.exposures["acted"][:3].any()
    assert (life.places.helped >= 0).sum() <= 2
