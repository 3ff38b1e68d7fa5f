"""Which cut belongs to which block, as tables."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, ContractError
from models.splits import given_split, keyed_share, keyed_uniform, temporal_split

SUMMER = {"test_from": datetime(2025, 7, 1, 6, tzinfo=UTC), "calibration_days": 20, "embargo_days": 12, "lag_days": 2.5}


def rows_at(*days: str, people: int = 2) -> pd.DataFrame:
    """Everyone at 07:00 in London (06:00 UTC in summer) on each day."""
    cuts = [pd.Timestamp(f"{day} 07:00", tz="Europe/London").tz_convert("UTC") for day in days]
    table = [(person, cut) for cut in cuts for person in range(people)]
    return pd.DataFrame(table, columns=["person_id", "as_of"]).astype({"as_of": "datetime64[us, UTC]"})


@pytest.mark.parametrize(
    ("day", "part"),
    [
        ("2025-01-02", "train"),
        ("2025-05-17", "train"),  # its outcome is known 12 days on, on the 29th
        ("2025-05-18", "embargo"),
        ("2025-05-29", "embargo"),
        ("2025-05-30", "calibrate"),
        ("2025-06-18", "calibrate"),
        ("2025-06-19", "embargo"),
        ("2025-06-30", "embargo"),
        ("2025-07-01", "test"),
        ("2025-12-31", "test"),
    ],
)
def test_blocks_follow_each_other_with_an_embargo_between(day, part):
    assert set(temporal_split(rows_at(day), **SUMMER)) == {part}


def test_no_outcome_window_with_its_lag_reaches_into_a_later_block():
    rows = rows_at(*pd.date_range("2025-03-01", "2025-08-01").strftime("%Y-%m-%d"))
    parts = temporal_split(rows, **SUMMER)
    settled = rows["as_of"] + pd.Timedelta(days=9 + 2.5)
    for earlier, later in (("train", "calibrate"), ("calibrate", "test")):
        assert settled[parts == earlier].max() < rows["as_of"][parts == later].min()


@pytest.mark.parametrize(("embargo", "lag", "enough"), [(9, 0, True), (8, 0, False), (10, 1.2, False), (11, 1.2, True)])
def test_an_embargo_covers_the_horizon_and_the_lag(embargo, lag, enough):
    asked = {**SUMMER, "embargo_days": embargo, "lag_days": lag}
    if enough:
        assert len(temporal_split(rows_at("2025-01-02"), **asked)) == 2
    else:
        with pytest.raises(ConfigError, match=f"found {embargo}"):
            temporal_split(rows_at("2025-01-02"), **asked)


GIVEN = {"calibration_days": 2, "embargo_days": 9}


def test_a_given_split_gets_its_calibration_from_the_end_of_training():
    days = ["2025-03-01", "2025-03-11", "2025-03-12", "2025-03-20", "2025-03-21", "2025-03-22", "2025-04-10"]
    rows = rows_at(*days, people=1)
    given = pd.Series(["train"] * 6 + ["test"])
    expected = ["train", "train", "embargo", "embargo", "calibrate", "calibrate", "test"]
    assert list(given_split(rows, given, **GIVEN)) == expected


def test_a_given_split_with_all_its_blocks_is_kept_but_for_the_embargo():
    rows = rows_at("2025-03-01", "2025-03-05", "2025-03-12", "2025-03-25", people=1)
    given = pd.Series(["train", "train", "calibrate", "test"])
    assert list(given_split(rows, given, **GIVEN)) == ["train", "embargo", "calibrate", "test"]


def test_rows_without_a_given_part_are_used_for_nothing():
    rows = rows_at("2025-03-01", "2025-03-02", "2025-03-12", "2025-03-25", people=1)
    given = pd.Series(["train", None, "calibrate", "test"])
    assert list(given_split(rows, given, **GIVEN)) == ["train", "embargo", "calibrate", "test"]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["train", "test", "train", "test"], id="by person"),
        pytest.param(["test", "test", "train", "train"], id="backwards"),
        pytest.param(["train", "calibrate", "calibrate", "test"], id="a cut in two blocks"),
    ],
)
def test_a_split_that_does_not_go_forward_is_refused(given):
    with pytest.raises(ContractError, match="forward in time"):
        given_split(rows_at("2025-03-01", "2025-06-01"), pd.Series(given), **GIVEN)


def test_unknown_words_in_a_given_split_are_refused():
    with pytest.raises(ContractError, match="found 1 other"):
        given_split(rows_at("2025-03-01"), pd.Series(["train", "validation"]), **GIVEN)


def test_a_keyed_share_is_a_share_nested_and_repeatable():
    rows = rows_at("2025-03-01", "2025-03-02", people=20_000)
    small, large = (keyed_share(rows["person_id"], rows["as_of"], "key", share) for share in (0.05, 0.2))
    assert abs(small.mean() - 0.05) < 0.005
    assert abs(large.mean() - 0.2) < 0.01
    assert not (small & ~large).any()
    assert (small == keyed_share(rows["person_id"], rows["as_of"], "key", 0.05)).all()
    assert (small != keyed_share(rows["person_id"], rows["as_of"], "other", 0.05)).any()


def test_keyed_numbers_depend_on_the_row_alone_and_spread_evenly():
    rows = rows_at("2025-03-01", "2025-03-02", people=5_000)
    whole = keyed_uniform(rows["person_id"], rows["as_of"], "key")
    part = rows.iloc[::-7]
    assert (keyed_uniform(part["person_id"], part["as_of"].dt.as_unit("ns"), "key") == whole[::-7]).all()
    assert np.histogram(whole, 10, (0, 1))[0].min() > 850
    assert abs(np.corrcoef(whole[:5000], whole[5000:])[0, 1]) < 0.05
