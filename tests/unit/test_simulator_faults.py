"""Each planted fault: present at about its rate when it is switched on, absent when it is off."""

from collections.abc import Callable, Mapping
from functools import cache

import pandas as pd
import pyarrow as pa
import pytest
from worlds import small_world

from pipelines.simulator import Faults
from pipelines.simulator.trust import build_trust
from pipelines.simulator.writing import lay_out

Tables = Mapping[str, pd.DataFrame]


@cache
def tables(fault: str | None, value: float = 0) -> Tables:
    """Every file's rows with one fault alone, or none."""
    faults = Faults.model_validate(Faults.none().model_dump() | ({fault: value} if fault else {}))
    config = small_world(places=200, days=120, start="2024-07-01", faults=faults.model_dump())
    trust = build_trust(config, lambda _share: None)
    sheets = [sheet for feed in lay_out(trust).values() for sheet in feed]
    return {sheet.name: as_text(sheet.table(slice(None))) for sheet in sheets}


def as_text(table: pa.Table) -> pd.DataFrame:
    return pa.table([column.cast(pa.string()) for column in table.columns], table.column_names).to_pandas().fillna("")


def happened(t: Tables) -> pd.DataFrame:
    contacts = t["CYP201"]
    return contacts[~contacts["AttendanceStatus"].isin(["0", "00"])]


def observations(t: Tables) -> pd.DataFrame:
    activities = t["CYP202"]
    return activities[activities["ObservationValue"] != ""]


def share_of_reused_ids(t: Tables) -> float:
    contacts = t["CYP201"].drop_duplicates(["CareContactID", "ServiceRequestID"])
    return 1 - contacts["CareContactID"].nunique() / len(contacts)


def referrals_of_two_people(t: Tables) -> float:
    owners = t["CYP101"].groupby("ServiceRequestID")["LocalPatientID"].nunique()
    return float((owners > 1).sum() / t["CYP101"]["LocalPatientID"].nunique())


def calls_before_admission(t: Tables) -> float:
    """Calls with a proxy, recorded at least a day and a half after they are dated, dated the day before a stay."""
    people = t["CYP001"][["LocalPatientID", "NHSNumber"]].drop_duplicates()
    stays = t["APC"].drop_duplicates("PROVSPNO")
    stays = stays[stays["ADMIMETH"].str.startswith("2") & (stays["ADMIMETH"] != "2B")]
    stays = stays.merge(people, left_on="NHSNUMBER", right_on="NHSNumber")
    stays = stays[stays["ADMIDATE"] >= "2024-07-05"]
    stays["Contact_Date"] = (pd.to_datetime(stays["ADMIDATE"]) - pd.Timedelta(days=1)).dt.strftime("%Y-%m-%d")
    referrals = t["CYP101"][["LocalPatientID", "ServiceRequestID"]].drop_duplicates()
    calls = t["CYP201"].merge(referrals, on="ServiceRequestID")
    calls = calls[(calls["ConsMechanism"] == "02") & (calls["CareContact_Duration"] == "10")]
    calls = calls[calls["CareContact_Subject"] == "02"]
    known = stays.merge(calls, on=["LocalPatientID", "Contact_Date"])
    late = pd.to_datetime(known["Recorded_DateTime"]) - pd.to_datetime(known["ADMIDATE"])
    return float((late >= pd.Timedelta(days=1)).sum() / len(stays))


def silent_teams(t: Tables) -> float:
    """The share of nursing teams that record no vital signs at all for six weeks in the middle of the history."""
    visits = t["CYP202"].merge(t["CYP201"].drop_duplicates("CareContactID"), on="CareContactID", suffixes=("", "_c"))
    breaths = visits[visits["CodedObservation"] == "86290005"]
    usual = breaths["TeamID_Local"].value_counts()
    usual = usual[usual > 20]
    middle = breaths[breaths["Contact_Date"].between("2024-09-05", "2024-10-10")]["TeamID_Local"]
    return float((~usual.index.isin(middle)).mean())


def provider_share_of_missed(t: Tables) -> float:
    """The most that any team's no-access visits disappear."""
    contacts = happened(t)
    counts = contacts.groupby("TeamID_Local")["AttendanceStatus"].agg(lambda s: (s == "3").sum())
    return float((counts == 0).mean())


def unsettled(t: Tables) -> float:
    """Planned visits of the past that have no outcome."""
    contacts = t["CYP201"]
    rows = contacts[contacts["Contact_Date"] < "2024-10-20"].groupby(["CareContactID", "ServiceRequestID"]).size()
    planned = contacts[contacts["AttendanceStatus"] == "0"].set_index(["CareContactID", "ServiceRequestID"]).index
    return float((rows[rows.index.isin(planned)] == 1).mean())


def repeated(t: Tables) -> float:
    return float(t["CYP201"].duplicated().mean())


def untraced(t: Tables) -> float:
    people = t["CYP001"].sort_values("Recorded_DateTime").drop_duplicates("LocalPatientID")
    newcomers = people[people["Recorded_DateTime"] > "2024-07-01"]
    return float((newcomers["NHSNumber_Status"] == "07").mean())


def nameless_teams(t: Tables) -> float:
    seconds = t["CYP102"][t["CYP102"]["TeamType"].isin(["43", "19", "51"])]
    return float((seconds["TeamID_Local"] == "").mean())


def bad_units(t: Tables) -> float:
    units = observations(t)["UC_UnitOfMeasurement"]
    given = units[units != ""]
    return float((~given.isin(["kg", "g", "[lb_av]", "{score}", "/min", "%", "mm[Hg]", "Cel"])).mean())


def without_unit(t: Tables) -> float:
    values = observations(t)
    return float((values["UC_UnitOfMeasurement"] == "").mean())


def second_numbers(t: Tables) -> float:
    """Local numbers that were given for a second referral, of all such referrals."""
    urgent = t["CYP101"][t["CYP101"]["ServiceRequestID"] >= "R5"].drop_duplicates("ServiceRequestID")
    return float((urgent["LocalPatientID"] >= "P5").mean())


def taken_out(t: Tables) -> float:
    """Held visits that stand deleted on another referral."""
    contacts = t["CYP201"]
    wrong = contacts[(contacts["Record_Deleted"] == "Y") & contacts["AttendanceStatus"].isin(["5", "6"])]
    return len(wrong) / float(contacts["AttendanceStatus"].isin(["5", "6"]).sum())


def unreported(t: Tables) -> float:
    """Admissions that no file has, as the share by which the stays of the simulated time fall short."""
    stays = t["APC"]
    now = stays[stays["PROVSPNO"].str[1:].astype(int) < 50_000_000]
    return 1 - now["PROVSPNO"].nunique() / ALL_STAYS


def brought_together(t: Tables) -> float:
    """The greatest share of a fortnight's contacts that was recorded within one hour."""
    recorded = pd.to_datetime(t["CYP201"]["Recorded_DateTime"])
    recorded = recorded[(recorded >= "2024-09-01") & (recorded < "2024-10-29")]
    return float(recorded.dt.floor("h").value_counts().max() / (len(recorded) / 4))


ALL_STAYS = int(tables(None)["APC"].loc[lambda s: s["PROVSPNO"].str[1:].astype(int) < 50_000_000, "PROVSPNO"].nunique())


CASES: dict[str, tuple[float, Callable[[Tables], float], float, float]] = {
    "attendance_missing": (0.10, lambda t: (happened(t)["AttendanceStatus"] == "").mean(), 0.07, 0.18),
    "mechanism_missing": (0.10, lambda t: (t["CYP201"]["ConsMechanism"] == "").mean(), 0.09, 0.11),
    "contact_id_reused": (0.0135, share_of_reused_ids, 0.010, 0.017),
    "referral_id_reused": (0.05, referrals_of_two_people, 0.005, 0.12),
    "team_id_missing": (0.10, nameless_teams, 0.05, 0.16),
    "lower_case_practice": (0.19, lambda t: t["CYP002"]["OrgID_GP"].str.islower().mean(), 0.13, 0.25),
    "zero_padding": (0.06, lambda t: t["CYP201"]["AttendanceStatus"].str.len().eq(2).mean(), 0.05, 0.07),
    "code_missing": (0.04, lambda t: (observations(t)["CodedObservation"] == "").mean(), 0.03, 0.05),
    "unit_missing": (0.40, without_unit, 0.36, 0.5),
    "recorded_in_error": (0.05, taken_out, 0.01, 0.06),
    "registered_twice": (0.3, second_numbers, 0.2, 0.4),
    "out_of_area": (0.3, unreported, 0.15, 0.45),
    "feed_stop_days": (4, brought_together, 0.15, 0.5),
    "unit_unresolvable": (0.40, bad_units, 0.36, 0.44),
    "duplicate_rows": (0.01, repeated, 0.007, 0.013),
    "duration_zero": (0.03, lambda t: (happened(t)["CareContact_Duration"] == "0").mean(), 0.02, 0.04),
    "duration_999": (0.02, lambda t: (happened(t)["CareContact_Duration"] == "999").mean(), 0.01, 0.03),
    "liaison_call": (0.5, calls_before_admission, 0.15, 0.65),
    "untraced": (0.2, untraced, 0.1, 0.3),
    "vital_signs_stop_days": (60, silent_teams, 0.05, 0.4),
    "outage_days": (4, unsettled, 0.001, 0.02),
    "no_access_as_cancelled": (6, provider_share_of_missed, 0.35, 0.75),
}


def test_every_fault_has_its_case() -> None:
    assert set(CASES) == set(Faults.model_fields)


@pytest.mark.parametrize("fault", CASES)
def test_fault_is_planted_at_about_its_rate(fault: str) -> None:
    value, measure, least, most = CASES[fault]
    assert measure(tables(None)) < least
    assert least < measure(tables(fault, value)) < most


def test_some_wrong_durations_are_put_right_later() -> None:
    contacts = tables("duration_zero", 0.03)["CYP201"]
    zero = contacts[contacts["CareContact_Duration"] == "0"]
    later = zero.merge(contacts, on=["CareContactID", "ServiceRequestID"], suffixes=("", "_later"))
    fixed = later[(later["Recorded_DateTime_later"] > later["Recorded_DateTime"])]
    assert 0.2 < len(fixed) / len(zero) < 0.6
    assert (fixed["CareContact_Duration_later"] != "0").all()


def test_reused_contact_ids_have_no_activities() -> None:
    t = tables("contact_id_reused", 0.0135)
    contacts = t["CYP201"].drop_duplicates(["CareContactID", "ServiceRequestID"])
    shared = contacts.loc[contacts.duplicated("CareContactID"), "CareContactID"]
    assert len(shared) > 20
    assert not shared.isin(t["CYP202"]["CareContactID"]).any()


def test_traced_people_keep_their_local_id() -> None:
    people = tables("untraced", 0.2)["CYP001"].sort_values("Recorded_DateTime")
    traced = people[people["LocalPatientID"].isin(people.loc[people["NHSNumber_Status"] == "07", "LocalPatientID"])]
    assert traced.groupby("LocalPatientID")["NHSNumber_Status"].agg("".join).str.fullmatch("(07)+(01)+").all()
