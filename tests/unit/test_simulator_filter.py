"""The filters: right in every band of what they say, and no wiser than their records allow."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from worlds import small_world

from pipelines.simulator import vocabulary as v
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.journal import live_through
from pipelines.simulator.records import Records, make_records
from pipelines.simulator.truth import days_table, outcomes
from pipelines.simulator.written import days_to_write

BANDS = [0, 0.003, 0.006, 0.01, 0.02, 0.05, 0.1, 1]
RISKS = ("p9", "p9_filter", "p9_in_time", "p9_recorded")
EXACT = RISKS[1:3]


def records_of(config: SimulatorConfig) -> Records:
    return make_records(live_through(config, lambda _share: None))


def truth_of(config: SimulatorConfig) -> pd.DataFrame:
    """The days of the truth, with the outcome and the person's number."""
    return with_outcomes(records_of(config))


def with_outcomes(records: Records) -> pd.DataFrame:
    config = records.world.config
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


@cache
def remembered() -> Records:
    """A world with most of a year behind it before the filters begin to watch."""
    return records_of(small_world(places=1200, days=360, truth_days=40, seed=5))


@cache
def remembered_truth() -> pd.DataFrame:
    return with_outcomes(remembered())


def surplus(days: pd.DataFrame, found: str, said: str) -> tuple[float, float]:
    """Found over said, summed, with its standard error clustered by person."""
    by_person = (days[found] - days[said]).groupby(days["person"]).sum()
    return float(by_person.sum()), float(np.sqrt((by_person**2).sum()))


@pytest.mark.parametrize("risk", RISKS)
def test_risks_agree_with_what_happened(risk: str) -> None:
    total, error = surplus(watched(), "happened", risk)
    assert abs(total) < 3 * error


@pytest.mark.parametrize("risk", EXACT)
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
    true, all_records, in_time, recorded = (roc_auc_score(watched()["happened"], watched()[risk]) for risk in RISKS)
    assert 0.68 < recorded < in_time < all_records < true - 0.03 < 0.92
    errors = [((watched()["p9"] - watched()[risk]) ** 2).mean() for risk in RISKS[1:]]
    assert errors == sorted(errors)


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


@pytest.mark.parametrize("world", ["new", "remembered"])
def test_the_filter_of_the_records_is_nearly_right_in_every_band(world: str) -> None:
    """An approximation: within a few hundredths of the true risk, and chance."""
    days = watched() if world == "new" else remembered_truth()
    for _, band in days.groupby(pd.cut(days["p9_recorded"], BANDS), observed=True):
        total, error = surplus(band, "p9", "p9_recorded")
        assert abs(total) < 3.5 * error + 0.08 * band["p9_recorded"].sum()
    total, error = surplus(days, "p9", "p9_recorded")
    assert abs(total) < 3.5 * error
    assert days["p9_recorded"].std() < days["p9_in_time"].std()


def test_the_filter_of_the_records_is_told_no_trait_that_no_record_holds() -> None:
    """Other usual readings, eagerness, frailty, catheters and wounds behind the very same records."""
    records = remembered()
    people, draw = records.people, np.random.default_rng(1)
    others = replace(
        people,
        usual=people.usual + draw.normal(0, 5, people.usual.shape),
        eagerness=draw.permutation(people.eagerness),
        frailty=draw.permutation(people.frailty),
        catheter=~people.catheter,
        wound=~people.wound,
        visit_rate=draw.permutation(people.visit_rate),
    )
    told, otherwise = remembered_truth(), days_table(replace(records, people=others)).to_pandas()
    assert told["p9_recorded"].equals(otherwise["p9_recorded"])
    assert (told["p9_in_time"] != otherwise["p9_in_time"]).mean() > 0.9


def without(records: Records, late: np.ndarray) -> Records:
    """As if nothing had been found out at the contacts of `late`: no calls, readings, durations, activities."""
    contacts, acts = records.contacts, records.activities
    silent = replace(
        contacts,
        kind=np.where(late & (contacts.kind == v.CALL), v.NOTE, contacts.kind),
        signs=np.where(late, -1, contacts.signs),
        duration=np.where(late, -1, contacts.duration),
    )
    plain = np.where(late[acts.contact], acts.kind.max(), acts.kind)
    return replace(records, contacts=silent, activities=replace(acts, kind=plain))


def test_what_is_not_written_up_at_a_cut_is_not_known_at_it() -> None:
    records = remembered()
    contacts, last = records.contacts, records.world.config.days
    day = np.maximum(contacts.day_from(records.world.epoch_day), 0)
    wait = days_to_write(records.world, records.people, contacts.person, day)
    before = (day < last) & (day >= last - 20)
    tables = [remembered_truth()]
    for late in (before & (day + wait > last - 1), before & (day + wait == last - 1)):
        tables.append(days_table(without(records, late)).to_pandas())
    as_is, unwritten, just_written = (table[table["date"] == table["date"].max()] for table in tables)
    for risk in ("p9_in_time", "p9_recorded"):
        assert as_is[risk].equals(unwritten[risk])
        assert (as_is[risk] != just_written[risk]).sum() > 20
    assert (as_is["p9_filter"] != unwritten["p9_filter"]).sum() > 20
