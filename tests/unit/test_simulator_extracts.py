"""The simulated trust's files, as whoever reads them finds them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import small_world, without_faults

from features.errors import ConfigError
from pipelines.simulator import Summary, simulate
from pipelines.simulator.teams import NEVER
from pipelines.simulator.trust import build_trust
from pipelines.simulator.truth import _dates, days_table

SMALL = small_world(places=300, days=120, daily_drops=4, truth_days=30, start="2024-07-01")
PARENTS = {
    "CYP002": ("CYP001", "LocalPatientID"),
    "CYP003": ("CYP001", "LocalPatientID"),
    "CYP101": ("CYP001", "LocalPatientID"),
    "CYP102": ("CYP101", "ServiceRequestID"),
    "CYP105": ("CYP101", "ServiceRequestID"),
    "CYP201": ("CYP101", "ServiceRequestID"),
    "CYP607": ("CYP101", "ServiceRequestID"),
    "CYP608": ("CYP101", "ServiceRequestID"),
    "CYP609": ("CYP101", "ServiceRequestID"),
    "CYP202": ("CYP201", "CareContactID"),
    "CYP611": ("CYP202", "CareActivityID"),
    "CYP612": ("CYP202", "CareActivityID"),
}
EARLIER = 50_000_000
"""From here on, printed numbers of stays before the referral (and of what led to an admission)."""
RECORDED = {"APC": "RECORDED_DATETIME", "AE": "RECORDED_DATETIME"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("trust") / "simulated"
    return folder, simulate(SMALL, folder)


@pytest.fixture(scope="module")
def folder(written: tuple[Path, Summary]) -> Path:
    return written[0]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def submissions(folder: Path) -> list[tuple[Path, datetime, datetime]]:
    """Each community extract, with the cut before it and its own."""
    last = SMALL.start + timedelta(days=SMALL.days)
    drops = [last - timedelta(days=n) for n in range(SMALL.daily_drops - 1, -1, -1)]
    cuts = [datetime.fromisoformat(f"{day}T06:00:00") for day in [drops[0] - timedelta(days=1), *drops]]
    paths = [history(folder, "csds"), *(folder / "daily/csds" / str(day) for day in drops)]
    return list(zip(paths, [datetime.min, *cuts[:-1]], cuts, strict=True))  # noqa: DTZ901


def history(folder: Path, feed: str) -> Path:
    """The one extract of a feed's history load."""
    (found,) = (folder / "history" / feed).iterdir()
    return found


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_configuration_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    simulate(SMALL, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)


def test_another_seed_gives_another_trust(folder: Path, tmp_path: Path) -> None:
    simulate(SMALL.model_copy(update={"seed": 10}), tmp_path / "other")
    assert (
        read(history(tmp_path / "other", "csds") / "CYP201.csv").to_csv()
        != read(history(folder, "csds") / "CYP201.csv").to_csv()
    )


def test_the_summary_counts_what_is_in_the_files(written: tuple[Path, Summary]) -> None:
    folder, summary = written
    assert summary.files == len(list(folder.rglob("*.csv")))
    people = pd.concat([read(path) for path in folder.rglob("CYP001.csv")])
    own = people[people["LocalPatientID"] < "P5"]  # the others are second numbers of the same people
    assert summary.people == own["LocalPatientID"].nunique()
    stays = pd.concat([read(path) for path in folder.rglob("APC.csv")])
    emergency = stays[stays["ADMIMETH"].isin(["21", "22", "24", "2A", "2D", "28"])]
    assert summary.admissions == emergency.loc[emergency["ADMIDATE"] >= "2024-07-01", "PROVSPNO"].nunique()
    assert (summary.first_day, summary.last_day) == (date(2024, 7, 1), date(2024, 10, 29))


def test_columns_are_the_national_ones_in_order(folder: Path) -> None:
    expected = (
        "CareContactID ServiceRequestID TeamID_Local Contact_Date Contact_Time OrgID_Commissioner AdminCategory "
        "CareContact_Duration Consultation_Type CareContact_Subject ConsMechanism Activity_LocationType "
        "Treatment_OrgSiteID GroupTherapyIndicator AttendanceStatus ReasonableOffer_Date ClinicallyAppropriate_Date "
        "Contact_CancellationDate Contact_CancellationReason ReplacementAppointment_OfferedDate "
        "ReplacementAppointment_BookedDate Recorded_DateTime Contact_Unscheduled Record_Deleted"
    )
    for path, _, _ in submissions(folder):
        assert read(path / "CYP201.csv").columns.tolist() == expected.split()


def test_every_extract_says_when_it_was_received(folder: Path) -> None:
    for path, _, cut in submissions(folder):
        header = read(path / "CYP000.csv")
        assert header["Upload_DateTime"].tolist() == [cut.isoformat()]


def test_children_have_their_parents_in_the_same_submission(folder: Path) -> None:
    for path, _, _ in submissions(folder):
        for child, (parent, key) in PARENTS.items():
            assert set(read(path / f"{child}.csv")[key]) <= set(read(path / f"{parent}.csv")[key]), (path.name, child)


def test_a_drop_holds_what_was_recorded_since_the_one_before_and_its_parents(folder: Path) -> None:
    for path, before, cut in submissions(folder):
        for file in sorted(path.glob("CYP[1-9]*.csv")) + sorted(path.glob("CYP00[1-9].csv")):
            recorded = pd.to_datetime(read(file)["Recorded_DateTime"])
            assert (recorded < cut).all(), file
            if file.stem not in ("CYP001", "CYP002", "CYP003", "CYP101", "CYP102"):
                assert (recorded >= before).all(), file


def test_hospital_drops_hold_what_was_recorded_since_the_one_before(folder: Path) -> None:
    for path, before, cut in submissions(folder):
        for name, column in RECORDED.items():
            hospital = Path(str(path).replace("csds", "hospital")) / f"{name}.csv"
            rows = read(hospital)
            recorded = pd.to_datetime(rows[column])
            assert (recorded < cut).all()
            number = rows[{"APC": "PROVSPNO", "AE": "AEKEY"}[name]].str[1:].astype(int)
            assert (recorded[number < EARLIER] >= before).all(), "others are sent when the person is referred"


def test_parents_in_a_drop_are_the_latest_known_and_needed(folder: Path) -> None:
    everything = pd.concat([read(path / "CYP001.csv") for path, _, _ in submissions(folder)])
    for path, before, cut in submissions(folder)[1:]:
        people, referrals = read(path / "CYP001.csv"), read(path / "CYP101.csv")
        old = people[pd.to_datetime(people["Recorded_DateTime"]) < before]
        linked = set(referrals["LocalPatientID"]) | set(read(path / "CYP003.csv")["LocalPatientID"])
        assert set(old["LocalPatientID"]) <= linked
        known = everything[pd.to_datetime(everything["Recorded_DateTime"]) < cut]
        latest = known.groupby("LocalPatientID")["Recorded_DateTime"].max()
        assert (old["Recorded_DateTime"] == old["LocalPatientID"].map(latest)).all()


def test_planned_visits_are_known_before_and_settled_after(folder: Path) -> None:
    contacts = pd.concat([read(path / "CYP201.csv") for path, _, _ in submissions(folder)])
    contacts = contacts.drop_duplicates().sort_values("Recorded_DateTime", kind="stable")
    status = contacts["AttendanceStatus"].str.lstrip("0")
    planned = contacts[(status == "") & (contacts["AttendanceStatus"] != "") & (contacts["Record_Deleted"] == "")]
    in_time = planned["Recorded_DateTime"] < planned["Contact_Date"] + "T" + planned["Contact_Time"]
    assert in_time.mean() > 0.95, "only the four days on which the feed stops may be told of later"
    past = planned[planned["Contact_Date"] < "2024-10-01"]
    settled = contacts.groupby(["CareContactID", "ServiceRequestID"])["Recorded_DateTime"].agg(["min", "max"])
    outcome = past.join(settled, on=["CareContactID", "ServiceRequestID"])
    assert (outcome["max"] > outcome["min"]).mean() > 0.97
    last = read(submissions(folder)[-1][0] / "CYP201.csv")
    assert (last["Contact_Date"] > "2024-10-29").any()


def test_open_spells_have_no_discharge_and_closed_versions_follow(folder: Path) -> None:
    stays = read(history(folder, "hospital") / "APC.csv")
    still_in = stays["DISDEST"] == "98"
    assert set(stays.loc[still_in, "DISDATE"]) == {"", "1800-01-01", "1801-01-01"}
    assert (stays.loc[~still_in, "DISDATE"] >= stays.loc[~still_in, "ADMIDATE"]).all()
    closed = stays[~still_in].groupby("PROVSPNO")["RECORDED_DATETIME"].min()
    opened = stays[still_in].groupby("PROVSPNO")["RECORDED_DATETIME"].min()
    assert (closed > opened.reindex(closed.index)).all()


def test_deaths_become_known_after_they_happen(folder: Path) -> None:
    people = pd.concat([read(path / "CYP001.csv") for path, _, _ in submissions(folder)])
    died = people[people["DateOfDeath"] != ""]
    assert len(died) > 3
    assert (died["Recorded_DateTime"].str[:10] > died["DateOfDeath"]).all()
    first = people.sort_values("Recorded_DateTime").drop_duplicates("LocalPatientID")
    assert (first["DateOfDeath"] == "").all()


def test_every_patient_has_a_name_in_the_index(folder: Path) -> None:
    index = pd.concat([read(path) for path in folder.rglob("INDEX.csv")])
    people = pd.concat([read(path) for path in folder.rglob("CYP001.csv")])
    assert set(index["LocalPatientID"]) == set(people["LocalPatientID"])
    assert (index[["FamilyName", "GivenName", "DateOfBirth"]] != "").all(axis=None)


def test_teams_are_unequal_and_people_are_on_several(folder: Path) -> None:
    services = read(history(folder, "csds") / "CYP102.csv")
    assert {"12", "14", "19", "43", "45", "49", "51", "53"} == set(services["TeamType"])
    sizes = services[services["TeamType"] == "12"].groupby("TeamID_Local")["ServiceRequestID"].nunique()
    assert sizes.max() > 1.5 * sizes.min()
    referrals = read(history(folder, "csds") / "CYP101.csv").drop_duplicates(["ServiceRequestID", "LocalPatientID"])
    teams = services.merge(referrals, on="ServiceRequestID").groupby("LocalPatientID")["TeamID_Local"].nunique()
    assert (teams > 1).mean() > 0.05


def test_truth_covers_the_last_cuts(folder: Path) -> None:
    days = pd.read_parquet(folder / "truth/days.parquet")
    assert days["date"].nunique() == SMALL.truth_days
    assert days["date"].max() == SMALL.last_day
    assert 0.008 < days["p9"].mean() < 0.025


def test_faults_leave_the_world_as_it_was() -> None:
    usual = SMALL.model_copy(update={"faults": SMALL.faults.model_copy(update={"vital_signs_stop_days": 0})})
    worlds = [build_trust(config, lambda _share: None) for config in (without_faults(SMALL), usual)]
    tables = [days_table(world.records) for world in worlds]
    assert tables[0].equals(tables[1])
    reported = [world.records.stays.reported for world in worlds]
    assert reported[0].all()
    assert not reported[1].all()


def test_stays_out_of_the_area_are_in_the_truth_and_in_no_file(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"faults": SMALL.faults.model_copy(update={"out_of_area": 0.5})})
    simulate(config, tmp_path / "trust")
    admissions = pd.read_parquet(tmp_path / "trust/truth/admissions.parquet")
    assert 0.4 < (~admissions["reported"]).mean() < 0.6
    assert admissions["known_at"].isna().eq(~admissions["reported"]).all()
    stays = pd.concat([read(path) for path in (tmp_path / "trust").rglob("APC.csv")])
    moments = stays["ADMIDATE"] + "T" + stays["ADMITIME"]
    hidden = admissions.loc[~admissions["reported"], "admitted_at"].dt.strftime("%Y-%m-%dT%H:%M")
    assert hidden.isin(moments).mean() < 0.05


def test_a_feed_that_stops_brings_everything_afterwards(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"daily_drops": 40})
    stop = build_trust(config, lambda _share: None).records.world.changes.feed_stop
    simulate(config, tmp_path / "trust")
    days = {
        int((date.fromisoformat(path.name) - config.start).days) for path in (tmp_path / "trust/daily/csds").iterdir()
    }
    expected = set(range(config.first_cut + 1, config.days + 1)) - set(range(stop.start + 1, stop.stop))
    assert days == expected
    sizes = {
        day: len(read(tmp_path / "trust/daily/csds" / str(config.date_of(day)) / "CYP201.csv")) for day in sorted(days)
    }
    assert sizes[stop.stop] > 2 * np.median(list(sizes.values()))
    assert len(list((tmp_path / "trust/daily/hospital").iterdir())) == 40


def test_one_team_becomes_part_of_another() -> None:
    config = small_world(places=300, days=120, practice={"merger_at": 0.5})
    trust = build_trust(config, lambda _share: None)
    changes, contacts = trust.records.world.changes, trust.contacts
    day = contacts.day_from(trust.records.world.epoch_day)
    merged = contacts.team == changes.merged
    assert (day[merged] < changes.merger).all()
    before, after = ((contacts.team == changes.into) & (day < changes.merger)), (contacts.team == changes.into)
    assert after.sum() - before.sum() > 1.2 * before.sum()


def test_a_code_that_dies_and_a_template_that_drops_the_total(tmp_path: Path) -> None:
    config = small_world(places=400, days=120, practice={"pain_code_dies_at": 0.5, "template_at": 0.5}, daily_drops=0)
    simulate(config, tmp_path / "trust")
    folder = history(tmp_path / "trust", "csds")
    acts = read(folder / "CYP202.csv").merge(
        read(folder / "CYP201.csv").drop_duplicates("CareContactID", keep="last"), on="CareContactID"
    )
    old, new = (acts["CodedObservation"] == code for code in ("225908003", "1153364009"))
    middle = str(config.date_of(60))
    assert (acts.loc[old, "Contact_Date"] < middle).all()
    assert (acts.loc[new, "Contact_Date"] >= middle).all()
    assert min(old.sum(), new.sum()) > 50
    late = acts[acts["Contact_Date"] >= middle]
    totals = late[late["CodedObservation"] == "1104051000000101"].groupby("TeamID_Local").size()
    breaths = late[late["CodedObservation"] == "86290005"].groupby("TeamID_Local").size()
    share = (totals.reindex(breaths.index).fillna(0) / breaths)[breaths > 20]
    assert (share == 0).sum() == 1
    assert (share.drop(share.idxmin()) > 0.8).all()


def test_each_illness_shows_its_own_signs() -> None:
    """Late heart failure weighs more, infections are hot, and wounds gone septic are found worse."""
    trust = build_trust(small_world(places=3000, days=80), lambda _share: None)
    records, names = trust.records, np.array(trust.records.world.course.names)
    state = names[records.contacts.state[records.activities.contact]]
    person = records.contacts.person[records.activities.contact]

    def shift(kind: int, column: int, illness: str) -> float:
        rows = (records.activities.kind == kind) & (state == illness)
        assert rows.sum() > 15
        return float((records.activities.value[rows] - records.people.usual[person[rows], column]).mean())

    assert shift(4, 4, "chest_infection 3") > 0.7
    assert abs(shift(4, 4, "heart_failure 3")) < 0.3
    assert shift(0, 0, "chest_infection 3") > shift(0, 0, "urine_delirium 3") > 1
    late_heart = np.isin(state, ("heart_failure 2", "heart_failure 3"))
    weights = np.isin(records.activities.kind, (7, 8)) & late_heart
    assert (records.activities.value[weights] - records.people.usual[person[weights], 6]).mean() > 1.5


@pytest.fixture
def occupied(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "precious.txt").write_text("keep me", encoding="utf-8")
    yield tmp_path
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "keep me"


def test_a_folder_that_holds_something_else_is_refused(occupied: Path) -> None:
    with pytest.raises(ConfigError, match="holds something else"):
        simulate(SMALL, occupied)


def test_a_simulated_trust_is_replaced(tmp_path: Path) -> None:
    tiny = small_world(places=50, days=60, daily_drops=1, truth_days=5)
    simulate(tiny, tmp_path / "trust")
    simulate(tiny.model_copy(update={"daily_drops": 0}), tmp_path / "trust")
    assert not (tmp_path / "trust/daily").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["trust"]


def test_nothing_half_written_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "disc full"
        raise OSError(message)

    monkeypatch.setattr("pipelines.simulator.writing.write_truth", fail)
    with pytest.raises(OSError, match="disc full"):
        simulate(small_world(places=50, days=60, truth_days=5), tmp_path / "trust")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    simulate(
        small_world(places=50, days=60, truth_days=5),
        tmp_path / "trust",
        lambda what, share: told.append((what, share)),
    )
    assert {what for what, _ in told} == {"living", "writing"}
    assert told[-1] == ("writing", 1.0)


def test_what_never_comes_has_no_date() -> None:
    assert _dates(date(2025, 1, 1), np.array([-1, 2, NEVER])).to_pylist() == [None, date(2025, 1, 3), None]
