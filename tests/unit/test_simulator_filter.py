"""The two filters: right in every band of what they say, and no wiser than their records allow."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from worlds import small_world

from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.journal import live_through
from pipelines.simulator.records import make_records
from pipelines.simulator.truth import days_table, outcomes

BANDS = [0, 0.003, 0.006, 0.01, 0.02, 0.05, 0.1, 1]
RISKS = ("p9", "p9_filter", "p9_in_time")


def truth_of(config: SimulatorConfig) -> pd.DataFrame:
    """The days of the truth, with the outcome and the person's number."""
    records = make_records(live_through(config, lambda _share: None))
    days = days_table(records).to_pandas()
    days["person"] = days["local_patient_id"].str[1:].astype(int)
    number = (pd.to_datetime(days["date"]) - pd.Timestamp(config.start)).dt.days.to_numpy()
    days["happened"] = outcomes(records, days["person"].to_numpy(), number)
    return days


@cache
def watched() -> pd.DataFrame:
    """A world that the filters watch from its first day, with late records, a busy epidemic and short teams."""
    practice = {"shock_at": 0.5, "shortage": 0.1, "merger_at": 0.4}
    return truth_of(small_world(places=2500, days=60, truth_days=45, seed=21, practice=practice))


def surplus(days: pd.DataFrame, found: str, said: str) -> tuple[float, float]:
    """Found over said, summed, with its standard error clustered by person."""
    by_person = (days[found] - days[said]).groupby(days["person"]).sum()
    return float(by_person.sum()), float(np.sqrt((by_person**2).sum()))


@pytest.mark.parametrize("risk", RISKS)
def test_risks_agree_with_what_happened(risk: str) -> None:
    total, error = surplus(watched(), "happened", risk)
    assert abs(total) < 3 * error


@pytest.mark.parametrize("risk", RISKS[1:])
def test_filters_are_right_in_every_band(risk: str) -> None:
    """Sharper than by outcomes: against the risk from the true state, which the filters do not see."""
    days = watched()
    z = []
    for _, band in days.groupby(pd.cut(days[risk], BANDS), observed=True):
        total, error = surplus(band, "p9", risk)
        z.append(total / error)
    assert len(z) >= 6
    assert np.abs(z).max() < 4
    assert (np.square(z)).sum() < len(z) + 4 * np.sqrt(2 * len(z))


def test_more_is_known_of_the_true_state_than_of_all_records_than_of_those_in_time() -> None:
    true, all_records, in_time = (roc_auc_score(watched()["happened"], watched()[risk]) for risk in RISKS)
    assert 0.70 < in_time < all_records < true - 0.03 < 0.92
    errors = [((watched()["p9"] - watched()[risk]) ** 2).mean() for risk in RISKS[1:]]
    assert errors[0] < errors[1]


def test_where_everything_is_written_at_once_both_filters_are_one() -> None:
    prompt = {"same_day": 1.0, "next_day": 0.0, "attendance_next_day": 1.0, "rest_day_late": 0.0}
    days = truth_of(small_world(places=300, days=60, truth_days=40, delays=prompt))
    assert days["p9_in_time"].to_numpy() == pytest.approx(days["p9_filter"].to_numpy(), rel=1e-9)


def test_states_and_risks_do_not_depend_on_how_soon_things_are_written_unless_teams_act_on_them() -> None:
    still = {"alarm_boost": 1.0, "unscheduled_boost": 1.0}
    services = {"hospital_at_home": {"share": 0.0}, "end_of_life": {"visits": 0.0}}
    slow = {"same_day": 0.1, "next_day": 0.1}
    worlds = [
        truth_of(small_world(places=200, days=60, truth_days=20, contacts=still, services=services, delays=delays))
        for delays in ({}, slow)
    ]
    columns = ["local_patient_id", "date", "state", "p9"]
    assert worlds[0][columns].equals(worlds[1][columns])
    assert (worlds[0]["p9_in_time"] != worlds[1]["p9_in_time"]).any()
