"""Who a roll-out shows: never fewer or other people at the top, the last places by lot with the chance that is told."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from models.ranking import Capacities, rank
from models.roll_out import BY_LOT, NOT_STARTED, BandConfig, RollOut, RollOutConfig, lots, shown

DAY = date(2026, 1, 12)
KEY = b"a key"
PEOPLE, PLACES = 60, 20
BAND = BandConfig(share=0.25, reach=1.5)


def team(name="A", people=PEOPLE, risk=0.1):
    ranks = np.arange(1, people + 1)
    return pd.DataFrame({"team_id": name, "person_id": ranks + 1000, "rank": ranks, "risk": risk})


def plan(day=DAY, band=BAND, **starts):
    return RollOut(RollOutConfig(starts=starts, band=band), day)


def made(rows, roll_out, places=PLACES, key=KEY):
    return shown(rows, pd.Series(places, index=rows.index), roll_out, lots(rows, roll_out, key))


def test_the_last_places_are_drawn_among_those_in_reach_and_no_others():
    rows = made(team(), plan())
    sure, lot, rest = rows[rows["rank"] <= 15], rows[rows["rank"].between(16, 30)], rows[rows["rank"] > 30]
    assert sure["listed"].all()
    assert (sure["chance"] == 1).all()
    assert lot["listed"].sum() == 5
    assert np.allclose(lot["chance"], 5 / 15)
    assert (lot["withheld"] == np.where(lot["listed"], "", BY_LOT)).all()
    assert not rest["listed"].any()
    assert (rest["chance"] == 0).all()
    assert (rest["withheld"] == "").all()


def test_each_in_the_lot_is_shown_as_often_as_is_told():
    keys = [number.to_bytes(2, "big") for number in range(400)]
    lot = team()["rank"].between(16, 30)
    share = np.mean([made(team(), plan(), key=key)["listed"][lot] for key in keys], axis=0)
    error = np.sqrt(1 / 3 * 2 / 3 / len(keys))
    assert np.abs(share - 1 / 3).max() < 4 * error


def test_a_lot_lasts_a_period_and_the_next_is_another():
    first = DAY - timedelta(DAY.toordinal() % BAND.period_days)
    days = [tuple(made(team(), plan(first + timedelta(number)))["listed"]) for number in range(2 * BAND.period_days)]
    assert len({*days[: BAND.period_days]}) == 1
    assert len({*days}) == 2


def test_whoever_is_at_high_risk_within_capacity_is_shown_for_certain():
    rows = team()
    rows.loc[rows["rank"].isin([16, 20, 21]), "risk"] = 0.5
    found = made(rows, plan()).set_index("rank")
    assert found["chance"].loc[[16, 20]].tolist() == [1, 1]
    assert found["listed"].loc[[16, 20]].all()
    assert found["chance"].loc[21] == pytest.approx(3 / 13)
    assert found["listed"].sum() == PLACES


@pytest.mark.parametrize(("people", "places"), [(60, 1), (3, 3), (0, 0), (22, 20), (60, 3)])
def test_lists_are_as_long_as_ever(people, places):
    found = made(team(people=people), plan(), places)
    assert found["listed"].sum() == min(people, places)
    assert found["chance"].sum() == pytest.approx(min(people, places))


def test_a_team_that_waits_is_shown_nobody_until_its_day():
    rows = pd.concat([team("A"), team("B")], ignore_index=True)
    before, after = (made(rows, plan(DAY, A=DAY + timedelta(wait))) for wait in (1, 0))
    waiting, other = before[before["team_id"] == "A"], before[before["team_id"] == "B"]
    assert not waiting["listed"].any()
    assert (waiting["chance"] == 0).all()
    assert (waiting["withheld"] == np.where(waiting["rank"] <= PLACES, NOT_STARTED, "")).all()
    assert other["listed"].sum() == PLACES
    assert after.groupby("team_id")["listed"].sum().tolist() == [PLACES, PLACES]


def test_a_person_has_the_same_lot_in_every_team_and_the_order_of_rows_is_nothing():
    rows = pd.concat([team("A"), team("B")], ignore_index=True)
    found = made(rows, plan()).set_index(["team_id", "rank"])["listed"]
    assert found["A"].tolist() == found["B"].tolist()
    mixed = made(rows.sample(frac=1, random_state=3), plan()).set_index(["team_id", "rank"])["listed"]
    pd.testing.assert_series_equal(mixed.sort_index(), found.sort_index())


def test_a_ranking_without_a_plan_is_what_it_was_and_with_one_keeps_its_order():
    at = pd.Timestamp("2026-01-12 06:00", tz="UTC").as_unit("us")
    risk = np.linspace(0.15, 0.01, PEOPLE)
    scores = pd.DataFrame({"person_id": np.arange(PEOPLE), "as_of": at, "score": risk, "risk": risk})
    held = scores[["person_id", "as_of"]].assign(team_id="A", days_on_caseload=1.0, last_seen=pd.NaT, last_seen_by=None)
    given = {"key": KEY, "capacities": Capacities(fixed={"A": PLACES})}
    plain, planned = rank(scores, held, **given), rank(scores, held, **given, roll_out=plan())
    columns = ["team_id", "person_id", "rank", "score", "risk"]
    pd.testing.assert_frame_equal(plain[columns], planned[columns])
    assert list(planned.columns) == [*plain.columns, "chance", "withheld"]
    assert (planned["days_on_list"] > 0).tolist() == planned["listed"].tolist()
