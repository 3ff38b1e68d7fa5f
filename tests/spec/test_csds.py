"""How rows of a CSDS extract are read: small extracts, and what becomes of each row."""

from collections import Counter
from hashlib import md5
from pathlib import Path

import pandas as pd
import pytest
from drawn import london, rows_of

from features.batch import Batch
from features.errors import SourceError
from features.schema import TABLES, batch_schema
from features.sources.mapping import load_mapping
from features.sources.read import read_batch
from features.sources.resolve import LINKS

PATH = Path(__file__).parents[2] / "configs" / "sources" / "csds.yaml"
MAPPING = load_mapping(PATH.read_text(encoding="utf-8"), "csds.yaml")
FILES = {
    "CYP000": "OrgID_Provider | RP_StartDate | RP_EndDate | Upload_DateTime     | File_Type\n"
    "RYX                       | 2026-01-01   | 2026-01-31 | 2026-02-10T06:00:00 | local",
    "CYP001": "LocalPatientID | NHSNumber  | DateOfBirth | Gender\nP1 | 999 000 0018 | 1940-05-06 | 2",
    "CYP101": "ServiceRequestID | LocalPatientID | ReferralRequest_ReceivedDate\nR1 | P1 | 2026-01-02",
    "CYP102": "ServiceRequestID | TeamID_Local | TeamType\nR1 | T1 | 12",
    "CYP201": "CareContactID | ServiceRequestID | Contact_Date",
}
"""A person of one team, by file: what a test does not say."""


def ids(identities: list[str]) -> list[int]:
    return [int(md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16) for text in identities]


def read(folder: Path, known_from: str = "recorded", links: dict[str, str] | None = None, **files: str) -> Batch:
    for name, text in (FILES | files).items():
        lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
        (folder / f"{name}.csv").write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    known = [{"alias": alias, "person_id": ids([who])[0]} for alias, who in (links or {}).items()]
    return read_batch(
        folder,
        MAPPING,
        source="community",
        pseudonym=ids,
        zone="Europe/London",
        known_from=known_from,  # type: ignore[arg-type]
        links=LINKS.empty_table() if not known else LINKS.empty_table().from_pylist(known, LINKS),
    )


def rows(batch: Batch, table: str, by: str = "known_from") -> pd.DataFrame:
    found = batch.tables.get(table, batch_schema(TABLES[table]).empty_table()).to_pandas()
    return found.sort_values([by, "row_id"], ignore_index=True)


def reasons(batch: Batch, outcome: str, file: str) -> dict[str, int]:
    account = batch.account
    mine = account[(account["outcome"] == outcome) & (account["file"] == f"{file}.csv")]
    return dict(zip(mine["reason"], mine["rows"], strict=True))


def values(frame: pd.DataFrame, column: str) -> list[object]:
    return [None if pd.isna(value) else value for value in frame[column]]


def one_contact_each(folder: Path, column: str, cells: list[str]) -> Batch:
    """A contact a day from 1 January, each with its cell of `column`."""
    lines = [f"C{n} | R1 | 2026-01-{n:02d} | {cell}" for n, cell in enumerate(cells, 1)]
    return read(folder, CYP201="\n".join([f"CareContactID | ServiceRequestID | Contact_Date | {column}", *lines]))


ATTENDANCE = """
status | reads as           | seen
5      | attended           | yes
05     | attended           | yes
6      | attended           | yes
7      | late_not_seen      | no
2      | patient_cancelled  | no
3      | no_access          | no
4      | provider_cancelled | no
0      | planned            | -
       | unknown            | -
8      | unknown            | -
"""


def test_attendance_is_seen_not_seen_or_unknown(tmp_path: Path) -> None:
    lines = rows_of(ATTENDANCE)
    batch = one_contact_each(tmp_path, "AttendanceStatus", [line["status"] for line in lines])
    found = rows(batch, "contacts", by="occurred_at")
    assert values(found, "status") == [line["reads as"] for line in lines]
    assert values(found, "seen") == [{"yes": True, "no": False, "-": None}[line["seen"]] for line in lines]
    assert reasons(batch, "note", "CYP201") == {"unknown code: status": 1, "unknown code: seen": 1}


def test_mechanism(tmp_path: Path) -> None:
    mediums = {"01": "face_to_face", "1": "face_to_face", "02": "telephone", "11": "video", "09": "message", "": None}
    batch = one_contact_each(tmp_path, "ConsMechanism", list(mediums))
    assert values(rows(batch, "contacts", by="occurred_at"), "medium") == list(mediums.values())


def test_an_implausible_duration_is_null_and_counted(tmp_path: Path) -> None:
    minutes = {"30": 30.0, "0": None, "720": 720.0, "721": None, "ten": None, "nan": None}
    batch = one_contact_each(tmp_path, "CareContact_Duration", list(minutes))
    assert values(rows(batch, "contacts", by="occurred_at"), "duration_minutes") == list(minutes.values())
    told = {"implausible, set to null: duration_minutes": 2, "not a number, set to null: duration_minutes": 2}
    assert reasons(batch, "note", "CYP201") == told


UNSCHEDULED = """
CareContactID | ServiceRequestID | TeamID_Local | Contact_Date | Contact_Unscheduled | reads as
C1            | R1               | T1           | 2026-01-01   | Y                   | True
C2            | R1               | T5           | 2026-01-02   | N                   | False
C3            | R1               | T5           | 2026-01-03   |                     | True
C4            | R1               | T1           | 2026-01-04   |                     | None
C5            | R1               |              | 2026-01-05   |                     | None
"""


def test_unscheduled_is_told_or_follows_from_an_urgent_team(tmp_path: Path) -> None:
    teams = "ServiceRequestID | TeamID_Local | TeamType\nR1 | T1 | 12\nR1 | T5 | 51"
    found = rows(read(tmp_path, CYP102=teams, CYP201=UNSCHEDULED), "contacts", by="occurred_at")
    assert [str(value) for value in values(found, "unscheduled")] == [line["reads as"] for line in rows_of(UNSCHEDULED)]


def test_names_of_other_dialects(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP101="SERVICE REQUEST IDENTIFIER | LOCAL PATIENT IDENTIFIER (EXTENDED) | REFERRAL REQUEST RECEIVED DATE\n"
        "R1 | P1 | 2026-01-02",
        CYP201="CareContTime | CareContDate | SRI | CCI | AttendOrDNACode\n09:30 | 2026-01-05 | R1 | C1 | 5",
    )
    found = rows(batch, "contacts")
    assert values(found, "occurred_at") == [london("2026-01-05 09:30")]
    assert values(found, "status") == ["attended"]


LOST = """
CareContactID | ServiceRequestID | Contact_Date | Recorded_DateTime   | reason
C1            | R1               | 2026-01-05   | 2026-01-05T12:00:00 |
C2            | R9               | 2026-01-05   | 2026-01-05T12:00:00 | parent not in this submission
              | R1               | 2026-01-05   | 2026-01-05T12:00:00 | key part missing
C3            | R1               |              | 2026-01-05T12:00:00 | required value missing: occurred_at
C4            | R1               | 5th Jan      | 2026-01-05T12:00:00 | unreadable date: occurred_at
C5            | R1               | 1066-01-05   | 2026-01-05T12:00:00 | implausible date: occurred_at
C6            | R1               | 2028-03-05   | 2026-01-05T12:00:00 | implausible date: occurred_at
C7            | R1               | 2026-01-05   | 2026-02-10T06:00:01 | recorded after receipt
C8            | R1               | 2026-01-05   | yesterday           | unreadable date: recorded
C9            | R2               | 2026-01-05   | 2026-01-05T12:00:00 | no person
"""


def test_a_row_that_cannot_be_used_is_rejected_for_a_reason(tmp_path: Path) -> None:
    batch = read(tmp_path, CYP101=FILES["CYP101"] + "\nR2 |  | 2026-01-02", CYP201=LOST)
    assert reasons(batch, "rejected", "CYP201") == Counter(line["reason"] for line in rows_of(LOST) if line["reason"])
    assert len(rows(batch, "contacts")) == 1


TRAIL = """
CareContactID | ServiceRequestID | Contact_Date | AttendanceStatus | Record_Deleted | Recorded_DateTime
C1            | R1               | 2026-01-05   | 0                |                | 2026-01-02T09:00:00
C1            | R1               | 2026-01-05   | 0                |                | 2026-01-02T09:00:00
C1            | R1               | 2026-01-05   | 0                |                | 2026-01-03T09:00:00
C1            | R1               | 2026-01-05   | 3                |                | 2026-01-05T18:00:00
C1            | R1               | 2026-01-05   | 5                |                | 2026-01-05T18:00:00
C1            | R1               | 2026-01-05   | 5                | Y              | 2026-01-09T09:00:00
"""


def test_versions_known_as_they_were_recorded(tmp_path: Path) -> None:
    batch = read(tmp_path, CYP201=TRAIL)
    found = rows(batch, "contacts")
    assert values(found, "status") == ["planned", "attended", "attended"]
    assert values(found, "deleted") == [False, False, True]
    assert values(found, "known_from") == [london(f"2026-01-{at}") for at in ("02 09:00", "05 18:00", "09 09:00")]
    assert found["row_id"].nunique() == 1
    assert reasons(batch, "rejected", "CYP201") == {"duplicate row": 1}
    assert reasons(batch, "unused", "CYP201") == {
        "same as the version before": 1,
        "superseded in the same extract": 1,
    }


def test_versions_known_on_receipt(tmp_path: Path) -> None:
    found = rows(read(tmp_path, known_from="receipt", CYP201=TRAIL), "contacts")
    assert values(found, "deleted") == [True]
    assert values(found, "known_from") == [london("2026-02-10 06:00")]


def test_one_contact_id_under_two_referrals_is_two_contacts(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP101=FILES["CYP101"] + "\nR2 | P1 | 2026-01-03",
        CYP201="CareContactID | ServiceRequestID | Contact_Date\nC1 | R1 | 2026-01-05\nC1 | R2 | 2026-01-06",
        CYP202="CareActivityID | CareContactID | CodedObservation | ObservationValue\nA1 | C1 | 225908003 | 4",
    )
    assert rows(batch, "contacts")["row_id"].nunique() == 2
    assert reasons(batch, "rejected", "CYP202") == {"parent is ambiguous": 1}


def test_a_referral_id_that_changes_hands(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP001="LocalPatientID\nP1\nP2",
        CYP101="ServiceRequestID | LocalPatientID | ReferralRequest_ReceivedDate | Recorded_DateTime\n"
        "R1 | P1 | 2026-01-02 | 2026-01-02T09:00:00\nR1 | P2 | 2026-01-10 | 2026-01-10T09:00:00",
        CYP201="CareContactID | ServiceRequestID | Contact_Date | Recorded_DateTime\n"
        "C1 | R1 | 2026-01-05 | 2026-01-05T12:00:00\nC2 | R1 | 2026-01-15 | 2026-01-15T12:00:00",
    )
    assert values(rows(batch, "contacts"), "person_id") == ids(["local:RYX:P1", "local:RYX:P2"])


REFERRED = "ServiceRequestID | LocalPatientID | ReferralRequest_ReceivedDate | Discharge_Date | Recorded_DateTime\n"
SERVED = (
    "ServiceRequestID | TeamID_Local | TeamType | Referral_ClosureDate | Referral_RejectionDate | Recorded_DateTime\n"
)


def test_a_referral_ends_with_the_first_of_discharge_closure_and_rejection(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP101=REFERRED + "R1 | P1 | 2026-01-02 | 2026-01-20 |",
        CYP102=SERVED + "R1|T1|12|2026-01-15||\nR1|T2|12||2026-01-12|\nR1|T3|12|||\nR1|T4|12|2026-03-01||",
    )
    found = rows(batch, "referrals").set_index("team_id").sort_index()
    days = [f"2026-01-{day} 00:00" for day in (15, 12, 20, 20)]
    assert values(found, "closed_at") == [london(day) for day in days]


def test_a_discharge_makes_a_later_version_of_the_team_row_and_is_not_known_before(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP101=REFERRED
        + "R1 | P1 | 2026-01-02 | | 2026-01-02T09:00:00\nR1 | P1 | 2026-01-02 | 2026-01-20 | 2026-01-21T09:00:00",
        CYP102=SERVED + "R1 | T1 | 12 | | | 2026-01-02T09:00:00",
    )
    found = rows(batch, "referrals")
    assert values(found, "closed_at") == [None, london("2026-01-20 00:00")]
    assert values(found, "known_from") == [london("2026-01-02 09:00"), london("2026-01-21 09:00")]


def test_a_referral_without_a_team(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP101=FILES["CYP101"] + "\nR2 | P1 | 2026-01-03",
        CYP102="ServiceRequestID | TeamID_Local | TeamType\nR1 |  | 43",
    )
    found = rows(batch, "referrals", by="received_at")
    assert values(found, "team_id") == [None, None]
    assert values(found, "team_type") == ["43", None]
    assert reasons(batch, "note", "CYP102") == {"no team named": 1}
    assert reasons(batch, "kept", "CYP101") == {"": 2}


def test_a_person_from_several_files(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP001="LocalPatientID|NHSNumber|DateOfBirth|Gender|EthnicCategory|IMD_Decile|DateOfDeath\n"
        "P1 | 9990000018 | 06/05/1940 | 2 | a | 0 | 2026-01-30",
        CYP002="LocalPatientID | OrgID_GP\nP1 | e82001\nP9 | E82002",
        CYP003="LocalPatientID | AccommStatus\nP1 | G01",
    )
    found = rows(batch, "people").iloc[0]
    assert found["person_id"] == ids(["nhs:9990000018"])[0]
    assert str(found["birth_date"]) == "1940-05-06"
    assert (found["sex"], found["ethnic_category"], found["practice_code"]) == ("female", "A", "E82001")
    assert found["care_home"]
    assert pd.isna(found["deprivation_decile"])
    assert found["died_at"] == london("2026-01-30 00:00")
    assert reasons(batch, "rejected", "CYP002") == {"parent not in this submission": 1}


NUMBERS = """
NHSNumber    | who it is
9990000018   | nhs:9990000018
999 000 0018 | nhs:9990000018
999-000-0018 | nhs:9990000018
9990000019   | local:RYX:P4
999000001    | local:RYX:P5
0000000000   | local:RYX:P6
             | local:RYX:P7
"""


def test_an_nhs_number_counts_if_its_check_digit_holds(tmp_path: Path) -> None:
    lines = rows_of(NUMBERS)
    patients = [f"P{n} | {line['NHSNumber']} | {n}" for n, line in enumerate(lines, 1)]
    batch = read(tmp_path, CYP001="\n".join(["LocalPatientID | NHSNumber | IMD_Decile", *patients]))
    found = batch.identities.to_pylist()
    whose = {row["local_id"]: (row["person_id"], row["nhs_number"]) for row in found}
    for number, line in enumerate(lines, 1):
        scheme, _, digits = line["who it is"].partition(":")
        assert whose[f"RYX:P{number}"] == (ids([line["who it is"]])[0], digits if scheme == "nhs" else None)


def test_who_an_earlier_extract_said_a_local_id_is(tmp_path: Path) -> None:
    batch = read(tmp_path, CYP001="LocalPatientID\nP1", links={"RYX:P1": "nhs:9990000018"})
    assert values(rows(batch, "people"), "person_id") == ids(["nhs:9990000018"])
    assert values(rows(batch, "people"), "merged_into") == [None]


def test_a_number_traced_later_merges_the_person_known_by_the_local_id(tmp_path: Path) -> None:
    patients = "LocalPatientID | NHSNumber | Recorded_DateTime\nP1 | 9990000018 | 2026-01-09T09:00:00"
    batch = read(tmp_path, CYP001=patients, links={"RYX:P1": "local:RYX:P1"})
    found = rows(batch, "people").set_index("person_id")
    old, new = ids(["local:RYX:P1", "nhs:9990000018"])
    assert found.loc[old, "merged_into"] == new
    assert found.loc[old, "known_from"] == london("2026-01-09 09:00")
    assert pd.isna(found.loc[new, "merged_into"])
    earlier = read(tmp_path, CYP001="LocalPatientID\nP1")
    assert found.loc[old, "row_id"] == rows(earlier, "people")["row_id"].iloc[0]


OBSERVED = """
code             | value | unit     | reads as         | as    | in
1104051000000101 | 5     |          | news2            | 5     |
1104051000000101 | 25    |          | news2            | -     |
225908003        | 3     | {score}  | pain             | 3     | 1
27113001         | 80    | kg       | weight           | 80    | kg
27113001         | 80000 | g        | weight           | 80    | kg
27113001         | 100   | [lb_av]  | weight           | 45.36 | kg
27113001         | 80    | Kg       | weight           | -     |
27113001         | 80    |          | weight           | -     |
27113001         | 8000  | kg       | weight           | -     | kg
27113001         | heavy | kg       | weight           | -     | kg
27113001         | inf   | kg       | weight           | -     | kg
365770008        | 7     | mmol/L   | snomed:365770008 | 7     | mmol/L
365770008        | 7     | per mile | snomed:365770008 | -     |
"""


def test_observations_in_units_that_are_understood(tmp_path: Path) -> None:
    lines = rows_of(OBSERVED)
    header = "CareContactID | ServiceRequestID | TeamID_Local | Contact_Date | Contact_Time"
    contacts = [f"C{n} | R1 | T1 | 2026-01-{n:02d} | 10:00:00" for n in range(1, len(lines) + 1)]
    given = [f"A1 | C{n} | {x['code']} | {x['value']} | {x['unit']}" for n, x in enumerate(lines, 1)]
    columns = "CareActivityID | CareContactID | CodedObservation | ObservationValue | UC_UnitOfMeasurement"
    batch = read(tmp_path, CYP201="\n".join([header, *contacts]), CYP202="\n".join([columns, *given]))
    found = rows(batch, "observations", by="occurred_at")
    assert values(found, "code") == [line["reads as"] for line in lines]
    assert values(found, "unit") == [line["in"] or None for line in lines]
    expected = [None if line["as"] == "-" else pytest.approx(float(line["as"]), abs=0.01) for line in lines]
    assert values(found, "value") == expected
    assert sum(reasons(batch, "note", "CYP202").values()) == expected.count(None)
    assert set(values(found, "team_id")) == {"T1"}
    assert found["occurred_at"].iloc[0] == london("2026-01-01 10:00")


def test_everything_else_that_is_observed(tmp_path: Path) -> None:
    batch = read(
        tmp_path,
        CYP105="ServiceRequestID | Onward_ReferralDate\nR1 | 2026-01-08",
        CYP201="CareContactID | ServiceRequestID | Contact_Date\nC1 | R1 | 2026-01-05",
        CYP202="CareActivityID | CareContactID | CodedFinding | CodedObservation | ObservationValue\n"
        "A1 | C1 | 262552000 | |\nA2 | C1 | | | 7\nA3 | C1 | | |",
        CYP607="ServiceRequestID | Diagnosis_Scheme | PrimaryDiagnosis | Diagnosis_Date\nR1|02|i50.1|2026-01-03",
        CYP608="ServiceRequestID | Diagnosis_Scheme | SecondaryDiagnosis | Diagnosis_Date\nR1|06|44054006|2026-01-04",
        CYP609="ServiceRequestID | SNOMED_ID | Score | AssessmentCompletion_Date\nR1|1129331000000101|6|2026-01-06",
        CYP611="CareActivityID | Weight | Height | Length\nA1 | 70 | 1.7 |\nA2 | | | 170\nA9 | 70 | |\nA1 | | |",
        CYP612="CareActivityID | SNOMED_ID | Score\nA1 | 443731006 | 15",
    )
    found = rows(batch, "observations")
    told = sorted((row.code, str(row.value)) for row in found.itertuples())
    assert told == [
        ("frailty", "6.0"), ("height", "1.7"), ("height", "1.7"), ("icd10:I50", "nan"), ("onward_referral", "nan"),
        ("snomed:44054006", "nan"), ("waterlow", "15.0"), ("weight", "70.0"), ("wound_worse", "nan"),
    ]  # fmt: skip
    assert reasons(batch, "rejected", "CYP202") == {"value without a code": 1}
    assert reasons(batch, "unused", "CYP202") == {"nothing observed": 1}
    assert reasons(batch, "rejected", "CYP611") == {"parent not in this submission": 1}
    assert reasons(batch, "unused", "CYP611") == {"nothing measured": 1}


@pytest.mark.parametrize("kind", ["primary", "Refresh", "local"])
def test_a_whole_submission_says_for_which_days_it_is_complete(tmp_path: Path, kind: str) -> None:
    header = FILES["CYP000"].replace("local", kind)
    batch = read(tmp_path, CYP000=header, CYP201=UNSCHEDULED)
    told = [(scope.table, scope.start, scope.end) for scope in batch.scopes]
    whole = [("contacts", london("2026-01-01 00:00"), london("2026-02-01 00:00"))]
    assert told == ([] if kind == "local" else whole)
    for file in tmp_path.iterdir():
        file.unlink()
    assert not read(tmp_path, CYP000=header).scopes, "a file without rows deletes nothing"


@pytest.mark.parametrize(("rows_given", "found"), [(0, "it has 0"), (2, "it has 2")])
def test_a_folder_holds_one_submission(tmp_path: Path, rows_given: int, found: str) -> None:
    header, row = FILES["CYP000"].splitlines()
    with pytest.raises(SourceError, match=found):
        read(tmp_path, CYP000="\n".join([header, *[row] * rows_given]))


def test_no_contacts_is_no_error_and_what_has_no_recorded_time_is_known_on_receipt(tmp_path: Path) -> None:
    batch = read(tmp_path)
    assert "contacts" not in batch.tables
    assert values(rows(batch, "referrals"), "team_id") == ["T1"]
    assert values(rows(batch, "referrals"), "known_from") == [london("2026-02-10 06:00")]
    assert batch.identities.select(["nhs_number", "local_id"]).to_pylist() == [
        {"nhs_number": "9990000018", "local_id": "RYX:P1"}
    ]
