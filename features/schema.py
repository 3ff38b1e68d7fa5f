"""The contact history's six tables: the one place that says what each column is.

The data dictionary (docs/data-dictionary.md) is generated from here. Times are UTC in storage; a source's local
times are read in the configured time zone. An event whose source gives only a date is placed at local midnight.
"""

from dataclasses import dataclass

import pyarrow as pa

ARROW_TYPES: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "text": pa.string(),
    "code": pa.string(),
    "number": pa.float64(),
    "whole": pa.int32(),
    "flag": pa.bool_(),
    "date": pa.date32(),
    "time": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Column:
    """One column: its type (a key of `ARROW_TYPES`), unit, admissible codes and the meaning of null."""

    name: str
    type: str
    meaning: str
    null: str = "not recorded"
    unit: str = ""
    source: str = ""
    codes: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, ARROW_TYPES[self.type])


@dataclass(frozen=True)
class Table:
    """One table. `at` is the column holding when the fact occurred (null for people, who are not events)."""

    name: str
    meaning: str
    key: str
    at: str | None
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


COMMON = (
    Column(
        "row_id", "id", "The row's identity: a hash of its natural key. Versions of one row share it.", "never null"
    ),
    Column("person_id", "id", "Keyed pseudonym of the person.", "never null"),
    Column("known_from", "time", "When this system could first have known this version.", "never null"),
    Column("known_to", "time", "When a later version or a deletion replaced this one.", "still in force"),
)
"""Columns of every table; `known_to` is worked out when the history is read, from the version that follows."""

PEOPLE = Table(
    "people",
    "One row per person: what is known of them apart from events.",
    "person",
    None,
    (
        Column("birth_date", "date", "Date of birth.", source="MPI.DateOfBirth"),
        Column("sex", "code", "Person stated gender.", source="MPI.Gender", codes=("female", "male", "other")),
        Column("ethnic_category", "text", "National ethnic category, one letter.", source="MPI.EthnicCategory"),
        Column(
            "deprivation_decile",
            "whole",
            "Index of Multiple Deprivation decile of the home area; 1 is most deprived.",
            source="derived from LSOA; IMD04_DECILE",
            least=1,
            most=10,
        ),
        Column("died_at", "time", "When the person died.", "not known to have died", source="MPI.DateOfDeath"),
        Column("practice_code", "text", "General practice, upper case.", source="GP.OrgID_GP"),
        Column("care_home", "flag", "Lives in a care home.", source="AccommType.AccommStatus"),
        Column("merged_into", "id", "The person this one turned out to be.", "not merged"),
    ),
)

REFERRALS = Table(
    "referrals",
    "One row per referral and team: while it is open the person is on that team's caseload.",
    "provider + referral + team",
    "received_at",
    (
        Column("team_id", "text", "The team's local identifier.", "referral names no team", source="TeamID_Local"),
        Column("team_type", "text", "Service or team type, two digits (12 district nursing).", source="TeamType"),
        Column(
            "received_at",
            "time",
            "When the referral was received.",
            "never null",
            source="ReferralRequest_ReceivedDate",
        ),
        Column("referral_source", "text", "Source of referral code.", source="SourceOfReferral"),
        Column("priority", "code", "Priority.", source="Priority_Type", codes=("routine", "urgent", "two_week_wait")),
        Column("reason", "text", "Primary reason for referral code.", source="PrimaryReferralReason"),
        Column(
            "closed_at",
            "time",
            "When the team's involvement ended: closure, rejection or discharge, whichever is first.",
            "open",
            source="Referral_ClosureDate; Discharge_Date",
        ),
        Column("closure_reason", "text", "Closure or rejection reason code.", source="Referral_ClosureReason"),
    ),
)

CONTACT_STATUSES = (
    "attended",
    "patient_cancelled",
    "no_access",
    "provider_cancelled",
    "late_not_seen",
    "planned",
    "unknown",
)

CONTACTS = Table(
    "contacts",
    "One row per care contact, planned or held.",
    "provider + referral + contact",
    "occurred_at",
    (
        Column(
            "referral_id",
            "id",
            "Hash of provider + referral, shared by that referral's team rows.",
            "no referral named",
        ),
        Column("team_id", "text", "The team that made the contact.", source="TeamID_Local"),
        Column(
            "occurred_at",
            "time",
            "When the contact takes or took place.",
            "never null",
            source="Contact_Date, Contact_Time",
        ),
        Column("status", "code", "What became of it.", "never null", source="AttendanceStatus", codes=CONTACT_STATUSES),
        Column(
            "seen",
            "flag",
            "The person was seen (attendance 5 or 6) or was not.",
            "attendance not recorded: unknown",
            source="AttendanceStatus",
        ),
        Column(
            "unscheduled",
            "flag",
            "Not in the care plan: asked for on the day or the day before.",
            source="Contact_Unscheduled (local); else team type 49, 51",
        ),
        Column(
            "medium",
            "code",
            "Consultation mechanism.",
            source="ConsMechanism",
            codes=("face_to_face", "telephone", "video", "message", "other"),
        ),
        Column("location", "text", "Activity location type, as A01.", source="Activity_LocationType"),
        Column("first_contact", "flag", "Initial rather than follow-up.", source="Consultation_Type"),
        Column("with_proxy", "flag", "The contact was with a carer or other proxy.", source="CareContact_Subject"),
        Column(
            "duration_minutes",
            "number",
            "Clinical contact duration.",
            "not recorded, zero or implausible (over 720)",
            "minutes",
            "CareContact_Duration",
            least=0,
            most=720,
        ),
    ),
)

OBSERVATIONS = Table(
    "observations",
    "Anything coded about a person at a moment: measured values, scored assessments, diagnoses, onward referrals, and "
    "the rows of the plain event form.",
    "the source's own key for the fact",
    "occurred_at",
    (
        Column("occurred_at", "time", "When it was observed or done.", "never null"),
        Column(
            "code",
            "text",
            "What: a plain word where the mapping knows one (news2, weight, pain), else scheme:code.",
            "never null",
            source="CodedObservation; SNOMED_ID; PrimaryDiagnosis",
        ),
        Column(
            "value",
            "number",
            "The value, in `unit`.",
            "coded without a value",
            source="ObservationValue; Score; Weight",
        ),
        Column(
            "unit",
            "text",
            "Unit after conversion (kg, m, 1).",
            "no unit applies or none given",
            source="UC_UnitOfMeasurement",
        ),
        Column("team_id", "text", "The team whose contact it was recorded at.", "not recorded at a contact"),
    ),
)

STAYS = Table(
    "stays",
    "One row per hospital provider spell.",
    "provider + spell, else person + provider + admission date",
    "admitted_at",
    (
        Column("admitted_at", "time", "Start of the spell.", "never null", source="ADMIDATE"),
        Column(
            "method", "text", "Method of admission code (21 emergency department, 11 waiting list).", source="ADMIMETH"
        ),
        Column("discharged_at", "time", "End of the spell.", "still in hospital, as far as known", source="DISDATE"),
        Column("discharge_method", "text", "Discharge method code; 4 is died.", source="DISMETH"),
        Column(
            "patient_class",
            "text",
            "1 ordinary, 2 day case, 3 regular day, 4 regular night, 5 mother and baby.",
            source="CLASSPAT",
        ),
        Column("provider", "text", "Provider code.", source="PROCODE3"),
    ),
)

ATTENDANCES = Table(
    "attendances",
    "One row per emergency department attendance.",
    "provider + attendance, else person + provider + arrival",
    "arrived_at",
    (
        Column("arrived_at", "time", "Arrival.", "never null", source="ARRIVALDATE, ARRIVALTIME"),
        Column("departed_at", "time", "Departure."),
        Column(
            "department_type",
            "text",
            "01 major, 02 single specialty, 03 minor injury, 04 walk-in.",
            source="AEDEPTTYPE",
        ),
        Column("arrival_mode", "text", "1 ambulance, 2 other.", source="AEARRIVALMODE"),
        Column("admitted", "flag", "Left the department to be admitted.", source="AEATTENDDISP = 01"),
        Column("provider", "text", "Provider code.", source="PROCODE3"),
    ),
)

TABLES: dict[str, Table] = {t.name: t for t in (PEOPLE, REFERRALS, CONTACTS, OBSERVATIONS, STAYS, ATTENDANCES)}

ENDS = {"referrals": "closed_at", "stays": "discharged_at"}
"""Tables whose rows last, and the column that says until when."""

EMERGENCY_METHODS = ("21", "22", "23", "24", "25", "28", "2A", "2B", "2D")
"""Methods that make an emergency admission; 2B only where it starts a spell, 2C (birth at home) never."""


def batch_schema(table: Table) -> pa.Schema:
    """What a source hands to the history: the table's columns and, for each row, its identity, when it became known,
    whether it says that the row is deleted, and its place among versions that became known at the same moment."""
    leading = [c.arrow for c in COMMON if c.name != "known_to"]
    return pa.schema(
        [*leading, pa.field("deleted", pa.bool_()), pa.field("sequence", pa.int64()), *(c.arrow for c in table.columns)]
    )


def history_schema(table: Table) -> pa.Schema:
    """What the history hands to everyone else: versions with both clocks."""
    return pa.schema([*(c.arrow for c in COMMON), *(c.arrow for c in table.columns)])
