"""Figures held against their own past: what dies, what is new, and how often nothing is called something."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from features.tallies import Tallies
from models.drift import AROUND, LEAST_PAST, RECENT, angles, deviations, judged, limit_after, spans
from models.stability import binned, instability, moving, psi
from models.watching import CODES, VOLUME, alive, companions, figures, judge, lags, whole_from

YEAR = 52
DIED, FAMILY = 70, 6
"""The period in which the first codes of a drawn column stop."""


def drawn(seed: int, periods: int = 104, codes: int = 40, unsteady: float = 0.1) -> np.ndarray:
    """Counts of codes by period that differ from code to code and are unsteadier than chance, with nothing changing."""
    chance = np.random.default_rng(seed)
    rates = chance.lognormal(3.5, 1.0, codes)
    return chance.poisson(rates * np.exp(unsteady * chance.normal(size=(periods, codes)))).astype(float)


def told(counts: np.ndarray) -> Tallies:
    """Counts as the tallies of one column of one table."""
    periods, codes = counts.shape
    rows = pd.DataFrame(
        {
            "source": "feed",
            "table": "observations",
            "column": "code",
            "code": np.tile([f"code {number:02d}" for number in range(codes)], periods),
            "period": np.repeat(np.arange(periods), codes),
            "rows": counts.ravel().astype(int),
        }
    )
    rows = rows[rows["rows"] > 0].assign(people=99)
    whole = rows.groupby(["source", "table", "period"], as_index=False)["rows"].sum()
    nulls = pd.DataFrame(columns=["source", "table", "column", "period", "rows"])
    late = whole.assign(hours=5)
    return Tallies(whole, nulls, rows, late)


def test_a_family_of_codes_that_dies_is_found_in_its_period_and_nothing_else_is():
    counts = drawn(1)
    counts[DIED:, :FAMILY] = 0
    found = told(counts)
    kinds = figures(found, len(counts), alive(found, {"feed": len(counts) - 1}))
    alarms = judge(kinds, YEAR, 1.0).alarms
    died = alarms[(alarms["check"] == CODES) & (alarms["kind"] == "died")]
    assert set(died["code"]) <= {f"code {number:02d}" for number in range(FAMILY)}
    assert died["first"].min() == DIED
    assert len(died) >= 3
    codes = next(kind for kind in kinds if kind.check == CODES)
    assert set(companions(codes, found, died.iloc[0])) == {f"code {number:02d}" for number in range(FAMILY)}
    others = alarms[alarms["first"] < DIED]
    assert len(others) <= 1


def test_a_new_code_and_a_feed_that_falls_silent_are_found():
    counts = drawn(2)
    counts[:, 3] = np.where(np.arange(len(counts)) < 80, 0, 60)
    counts[95] = 0
    found = told(counts)
    kinds = figures(found, len(counts), alive(found, {"feed": len(counts) - 1}))
    alarms = judge(kinds, YEAR, 1.0).alarms
    new = alarms[(alarms["check"] == CODES) & (alarms["kind"] == "new")]
    assert list(new["code"]) == ["code 03"]
    assert list(new["first"]) == [80]
    silent = alarms[alarms["check"] == VOLUME]
    assert list(zip(silent["first"], silent["kind"], strict=True)) == [(95, "died")]


def test_without_a_change_no_more_periods_are_alarms_than_stated():
    alarms, judged_periods = 0, 0
    for seed in range(14):
        counts = drawn(seed)
        values, noise = angles(counts, counts.sum(axis=1, keepdims=True))
        found = judged(values, noise, YEAR, 1 / YEAR)
        known = np.isfinite(found.limit)
        alarms += int(found.alarms[known].any(axis=1).sum())
        judged_periods += int(known.sum())
    assert judged_periods > 900
    assert alarms <= binom.ppf(0.999, judged_periods, 1 / YEAR)


def test_a_week_like_the_same_week_a_year_before_is_not_news():
    chance = np.random.default_rng(3)
    values = chance.normal(0, 1, (110, 1))
    values[50], values[102], values[95] = 12, 12, 12
    gap, _ = deviations(values, np.full((110, 1), 0.1), YEAR)
    assert abs(gap[102, 0]) < 3 < abs(gap[95, 0])
    assert AROUND < RECENT


def test_a_past_that_is_too_short_makes_no_alarm_and_a_short_one_a_wider_limit():
    past = np.random.default_rng(4).gumbel(3, 0.5, 200)
    assert limit_after(past[: LEAST_PAST - 1], 0.01) == np.inf
    wide, narrow = limit_after(past[:LEAST_PAST], 0.01), limit_after(past, 0.01)
    assert wide > narrow
    assert narrow == pytest.approx(3 - 0.5 * np.log(-np.log(0.99)), rel=0.15)


def test_incidents_of_the_past_do_not_hide_the_next_one():
    counts = drawn(5)
    quiet = judged(*angles(counts, counts.sum(axis=1, keepdims=True)), YEAR, 1 / YEAR).limit[-1]
    for code, period in enumerate((45, 60, 75)):
        counts[period:, code] = 0
    marked = judged(*angles(counts, counts.sum(axis=1, keepdims=True)), YEAR, 1 / YEAR)
    assert marked.limit[-1] < 1.5 * quiet
    assert marked.alarms[45:48].any()


def test_runs_of_alarms_are_one_each_over_one_quiet_period():
    flags = np.zeros((9, 2), bool)
    flags[[1, 2, 4, 8], 1] = True
    assert spans(flags).to_numpy().tolist() == [[1, 1, 4], [1, 8, 8]]
    assert spans(flags[:, :1]).empty


def test_a_table_is_told_of_from_its_first_full_period_on():
    rows = pd.DataFrame({"source": "a", "table": "stays", "period": range(6), "rows": [1, 2, 40, 90, 100, 95]})
    empty = pd.DataFrame()
    found = Tallies(rows, empty, empty, empty)
    when = alive(found, {"a": 4})
    assert when == {("a", "stays"): (2, 4)}
    assert whole_from(when | {("b", "stays"): (1, 5), ("b", "people"): (3, 5)}) == 3


def test_lags_are_the_hours_by_which_shares_had_come():
    empty = pd.DataFrame()
    late = pd.DataFrame({"source": "a", "table": "stays", "period": 0, "hours": [0, 24, 240], "rows": [50, 45, 5]})
    assert lags(Tallies(empty, empty, empty, late)).iloc[0].tolist() == ["a", "stays", 0, 100, 0.0, 1.0, 1.0]


def test_the_stability_index_is_that_of_its_formula():
    assert psi(np.array([30.0, 70.0]), np.array([50.0, 50.0])) == pytest.approx(0.168, abs=0.01)
    assert binned(np.array([1.0, 2.0, np.nan, 2.0]), np.array([0, 0, 1, 1]), 2).sum(axis=1).tolist() == [2, 2]


def test_a_feature_that_moves_on_one_day_stands_out_and_a_weekday_is_not_watched():
    chance = np.random.default_rng(6)
    days, people = 40, 300
    day = np.repeat(np.arange(days), people)
    frame = pd.DataFrame({"steady": chance.normal(size=len(day)), "moved": chance.normal(size=len(day))})
    frame.loc[day == 35, "moved"] += 1
    frame["weekday"] = day % 7
    names = moving(frame, list(frame.columns), day)
    assert names == ["steady", "moved"]
    index = instability(frame, names, day, days, YEAR)
    assert np.isnan(index[:6]).all()
    assert index[35, 1] > 10 * np.nanmax(np.delete(index, 35, axis=0)) > 0
