"""The files about referrals and contacts."""

from collections.abc import Mapping

import numpy as np

from pipelines.simulator import activities as a
from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment
from pipelines.simulator.columns import take
from pipelines.simulator.contacts import first_of_referral
from pipelines.simulator.faults import pick
from pipelines.simulator.patients import local_id
from pipelines.simulator.people import Flags, Ints
from pipelines.simulator.sheet import (
    Field,
    Sheet,
    blank,
    clock_of,
    constant,
    day_of,
    flag,
    identifier,
    measured,
    stamp,
    whole,
    words,
)
from pipelines.simulator.trust import Trust

MOST_DIAGNOSES = 8


def referral_sheets(trust: Trust, rng: np.random.Generator) -> list[Sheet]:
    return [
        _referrals(trust, rng),
        _services(trust, rng),
        _onward(trust, rng),
        *_diagnoses(trust, rng),
        _frailty_on_referral(trust),
    ]


def contact_sheets(trust: Trust, rng: np.random.Generator) -> list[Sheet]:
    return [_contacts(trust, rng), *_activities(trust)]


def _referral_id(trust: Trust, referral: Ints) -> Field:
    return identifier("R", 8, trust.referral_number[referral])


def _of_referrals(
    trust: Trust, name: str, recorded: Ints, referral: Ints, key: Ints, columns: Mapping[str, Field], parent: str = ""
) -> Sheet:
    person = trust.referrals.person[referral]
    return Sheet(name, recorded, person, referral, key, columns, parent).in_order()


def _opened_and_closed(trust: Trust, referral: Ints) -> tuple[Ints, Ints, Ints]:
    """For rows that have a version on opening and one on closure: their places, when recorded, and closed when."""
    referrals = trust.referrals
    ends = np.flatnonzero(referrals.closed_recorded[referral] != NONE)
    place = np.concatenate([np.arange(len(referral)), ends])
    recorded = np.concatenate([referrals.recorded[referral], referrals.closed_recorded[referral[ends]]])
    closed = np.concatenate([np.full(len(referral), NONE), referrals.closed[referral[ends]]])
    return place, recorded, closed


def _referrals(trust: Trust, rng: np.random.Generator) -> Sheet:
    referrals, people = trust.referrals, trust.people
    count = len(referrals)
    number, recorded, closed = _opened_and_closed(trust, np.arange(count))
    urgent = np.arange(count) >= len(people)
    dying = np.isin(referrals.team, trust.teams.of_type(v.END_OF_LIFE))
    from_hospital = ~urgent & people.from_hospital[referrals.person]
    source = np.where(from_hospital, len(v.REFERRAL_SOURCES) - 1, rng.integers(0, len(v.REFERRAL_SOURCES) - 1, count))
    reason = np.where(dying, len(v.REFERRAL_REASONS), rng.integers(0, len(v.REFERRAL_REASONS), count))
    priority = np.where(urgent | (rng.random(count) < 0.15), 1, 0)
    columns = {
        "ServiceRequestID": _referral_id(trust, number),
        "LocalPatientID": local_id(referrals.person[number]),
        "OrgID_Commissioner": constant("ZZC", len(number)),
        "ReferralRequest_ReceivedDate": day_of(referrals.received[number]),
        "ReferralRequest_ReceivedTime": clock_of(referrals.received[number], "HH:MM:SS"),
        "ServiceLineAgreement": blank(len(number)),
        "SourceOfReferral": words(v.REFERRAL_SOURCES, source[number]),
        "OrgID_Referring": blank(len(number)),
        "Referring_StaffGroup": blank(len(number)),
        "Priority_Type": words(("1", "2"), priority[number]),
        "PrimaryReferralReason": words((*v.REFERRAL_REASONS, v.END_OF_LIFE_REASON), reason[number]),
        "Discharge_Date": day_of(closed),
        "Discharge_LetterIssuedDate": blank(len(number)),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP101", recorded, number, number, columns, "referral")


def _services(trust: Trust, rng: np.random.Generator) -> Sheet:
    """A row for each referral's team and one for its specialist team; the urgent team's are second rows too."""
    referrals = trust.referrals
    twice = np.flatnonzero(referrals.second_team >= 0)
    referral = np.concatenate([np.arange(len(referrals)), twice])
    team = np.concatenate([referrals.team, referrals.second_team[twice]])
    second = (np.arange(len(referral)) >= len(referrals)) | (referral >= len(trust.people))
    nameless = second & (rng.random(len(referral)) < trust.config.faults.team_id_missing)
    place, recorded, closed = _opened_and_closed(trust, referral)
    usual = rng.integers(0, len(v.CLOSURE_REASONS), len(referral))
    reason = np.where(trust.referrals.by_death[referral], len(v.CLOSURE_REASONS), usual)[place]
    columns = {
        "ServiceRequestID": _referral_id(trust, referral[place]),
        "TeamID_Local": words(trust.teams.names, np.where(nameless, -1, team)[place]),
        "TeamType": words(trust.teams.type, team[place]),
        "Referral_ClosureDate": day_of(closed),
        "Referral_RejectionDate": blank(len(place)),
        "Referral_ClosureReason": words((*v.CLOSURE_REASONS, v.DEATH_REASON), np.where(closed == NONE, -1, reason)),
        "Referral_RejectionReason": blank(len(place)),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP102", recorded, referral[place], place, columns, "referral")


def _onward(trust: Trust, rng: np.random.Generator) -> Sheet:
    person, day = trust.journal.onward["person"], trust.journal.onward["day"]
    at = moment(trust.config.start, day, rng.integers(9 * HOUR, 18 * HOUR, len(day)))
    recorded = at + rng.geometric(0.6, len(day)) * DAY - DAY + 600
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "Onward_ReferralDate": day_of(at),
        "Onward_ReferralReason": words(("01", "02", "03"), rng.integers(0, 3, len(day))),
        "OrgID_Receiving": constant(trust.config.hospital, len(day)),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP105", recorded, person, np.arange(len(day)), columns)


def _diagnoses(trust: Trust, rng: np.random.Generator) -> list[Sheet]:
    """The first condition of each person as the primary diagnosis, the others as secondary ones."""
    conditions = np.minimum(trust.people.conditions, MOST_DIAGNOSES)
    person = np.repeat(np.arange(len(conditions)), conditions)
    rank = np.arange(len(person)) - np.repeat(np.cumsum(conditions) - conditions, conditions)
    code = (rng.integers(0, len(v.DIAGNOSES), len(conditions))[person] + 5 * rank) % len(v.DIAGNOSES)
    first = rank == 0
    return [
        _diagnosis_sheet(trust, "CYP607", "PrimaryDiagnosis", person[first], code[first]),
        _diagnosis_sheet(trust, "CYP608", "SecondaryDiagnosis", person[~first], code[~first]),
    ]


def _diagnosis_sheet(trust: Trust, name: str, column: str, person: Ints, code: Ints) -> Sheet:
    recorded = trust.referrals.recorded[person] + 120
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "Diagnosis_Scheme": constant("02", len(person)),
        column: words(v.DIAGNOSES, code),
        f"{column}_Date": day_of(trust.referrals.received[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, name, recorded, person, np.arange(len(person)), columns)


def _frailty_on_referral(trust: Trust) -> Sheet:
    person = np.flatnonzero(~np.isnan(trust.frailty_score))
    recorded = trust.referrals.recorded[person] + 300
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "SNOMED_ID": constant(v.CODES["frailty"], len(person)),
        "Score": measured(trust.frailty_score[person]),
        "AssessmentCompletion_Date": day_of(trust.referrals.received[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP609", recorded, person, person, columns)


def _contact_versions(trust: Trust) -> tuple[Ints, Ints, Flags, Flags]:
    """The contact of each version row, when it was recorded, and whether it is a plan or a correction."""
    contacts = trust.contacts
    moments = np.stack([contacts.planned_at, contacts.recorded_at, contacts.corrected_at])
    stage, contact = np.nonzero(moments != NONE)
    return contact, moments[stage, contact], stage == 0, stage == 2


def _contacts(trust: Trust, rng: np.random.Generator) -> Sheet:
    contacts, faults = trust.contacts, trust.config.faults
    contact, recorded, plan, correction = _contact_versions(trust)
    size = len(contact)
    row = take(contacts, contact)
    remote = np.isin(row.kind, (v.CALL, v.NOTE, v.LIAISON))
    padded = pick(size, faults.zero_padding, rng)
    status = np.where(plan | row.deleted, v.PLANNED, row.status)
    minutes = np.where(correction, row.duration, row.first_duration)
    first = first_of_referral(contacts)[contact] & (trust.people.arrived[row.person] >= 0)
    cancelled = np.where(plan | (row.cancelled < 0), NONE, row.cancelled * DAY)
    asked = np.where(np.isin(row.kind, (v.UNSCHEDULED, v.CALL, v.LIAISON)), 1, np.where(row.kind == v.NOTE, -1, 0))
    reason = np.where(cancelled == NONE, -1, np.where(row.status == v.PATIENT_CANCELLED, 0, 1))
    columns = {
        "CareContactID": identifier("C", 9, row.number),
        "ServiceRequestID": _referral_id(trust, row.referral),
        "TeamID_Local": words(trust.teams.names, row.team),
        "Contact_Date": day_of(row.start),
        "Contact_Time": clock_of(row.start, "HH:MM:SS"),
        "OrgID_Commissioner": constant("ZZC", size),
        "AdminCategory": constant("01", size),
        "CareContact_Duration": whole(np.where(plan, -1, minutes)),
        "Consultation_Type": words(("02", "01"), first.astype(np.int64)),
        "CareContact_Subject": words(("01", "02"), row.proxy.astype(np.int64)),
        "ConsMechanism": words(v.MECHANISMS, np.where(row.mechanism < 0, -1, row.mechanism + 4 * padded)),
        "Activity_LocationType": words(v.LOCATIONS, np.where(remote, -1, row.location)),
        "Treatment_OrgSiteID": blank(size),
        "GroupTherapyIndicator": constant("N", size),
        "AttendanceStatus": words(v.ATTENDANCE, np.where(status < 0, -1, status + 7 * padded)),
        "ReasonableOffer_Date": blank(size),
        "ClinicallyAppropriate_Date": blank(size),
        "Contact_CancellationDate": day_of(cancelled),
        "Contact_CancellationReason": words(("01", "02"), reason),
        "ReplacementAppointment_OfferedDate": blank(size),
        "ReplacementAppointment_BookedDate": blank(size),
        "Recorded_DateTime": stamp(recorded),
        "Contact_Unscheduled": words(("N", "Y"), asked),
        "Record_Deleted": flag(row.deleted & ~plan),
    }
    return _of_referrals(trust, "CYP201", recorded, row.referral, contact, columns)


def _activities(trust: Trust) -> list[Sheet]:
    """Care activities, and the measurements and scored assessments that hang on them."""
    acts, contacts = trust.activities, trust.contacts
    number = np.arange(len(acts))
    recorded, referral = contacts.recorded_at[acts.contact], contacts.referral[acts.contact]
    observed, found = np.isin(acts.kind, a.OBSERVED), acts.kind == a.WOUND
    size = len(acts)
    columns = {
        "CareActivityID": identifier("A", 9, number),
        "CareContactID": identifier("C", 9, contacts.number[acts.contact]),
        "Activity_Type": words(("02", "03"), found.astype(np.int64)),
        "CareProfessionalID_Local": blank(size),
        "CareActivity_Duration": blank(size),
        "Procedure_Scheme": blank(size),
        "CodedProcedure": blank(size),
        "Finding_Scheme": words(("", "04"), found.astype(np.int64)),
        "CodedFinding": words(a.CODE_OF, np.where(found, a.WOUND, -1)),
        "Observation_Scheme": words(("", "03"), observed.astype(np.int64)),
        "CodedObservation": words(a.CODE_OF, np.where(observed & acts.coded, acts.kind, -1)),
        "ObservationValue": measured(np.where(observed, acts.value, np.nan), 1),
        "UC_UnitOfMeasurement": words(a.UNITS, acts.unit),
        "Recorded_DateTime": stamp(recorded),
    }
    sheets = [_of_referrals(trust, "CYP202", recorded, referral, number, columns)]
    weighed = np.flatnonzero(acts.kind == a.WEIGHED)
    columns = {
        "CareActivityID": identifier("A", 9, weighed),
        "Weight": measured(acts.value[weighed], 1),
        "Height": blank(len(weighed)),
        "Length": blank(len(weighed)),
        "Recorded_DateTime": stamp(recorded[weighed]),
    }
    sheets.append(_of_referrals(trust, "CYP611", recorded[weighed], referral[weighed], weighed, columns))
    scored = np.flatnonzero(np.isin(acts.kind, (a.WATERLOW, a.FRAILTY)))
    columns = {
        "CareActivityID": identifier("A", 9, scored),
        "SNOMED_ID": words(a.CODE_OF, acts.kind[scored]),
        "Score": measured(acts.value[scored]),
        "Recorded_DateTime": stamp(recorded[scored]),
    }
    sheets.append(_of_referrals(trust, "CYP612", recorded[scored], referral[scored], scored, columns))
    return sheets
