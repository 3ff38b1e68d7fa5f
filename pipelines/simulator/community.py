"""The files about referrals and contacts."""

from collections.abc import Mapping

import numpy as np

from pipelines.simulator import activities as a
from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE, moment
from pipelines.simulator.chance import Facts, Ints, facts
from pipelines.simulator.columns import take
from pipelines.simulator.config import CUT_HOUR, HORIZON_DAYS
from pipelines.simulator.contacts import first_of_referral
from pipelines.simulator.faults import flagged
from pipelines.simulator.patients import local_id
from pipelines.simulator.referrals import BY_DEATH, MOVED
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
from pipelines.simulator.written import days_to_write

MOST_DIAGNOSES = 8
PLAN, DONE, PUT_RIGHT, TAKEN_OUT = range(4)
"""Stages of a contact's record."""
CODE_OF = (*(v.CODES.get(kind, "") for kind in a.KINDS), v.LATER_PAIN_CODE)
"""The code of each kind of activity, and a last one that pain scores have later."""


def referral_sheets(trust: Trust) -> list[Sheet]:
    return [_referrals(trust), _services(trust), _onward(trust), *_diagnoses(trust), _frailty_on_referral(trust)]


def contact_sheets(trust: Trust) -> list[Sheet]:
    return [_contacts(trust), *_activities(trust)]


def _own(trust: Trust, kind: str, *keys: Ints) -> Facts:
    return facts(trust.records.world.config.seed, kind, *keys)


def _referral_id(trust: Trust, referral: Ints) -> Field:
    return identifier("R", 8, trust.referral_number[referral])


def _of_referrals(
    trust: Trust, name: str, recorded: Ints, referral: Ints, key: Ints, columns: Mapping[str, Field], parent: str = ""
) -> Sheet:
    registration = trust.registrations.of_referral[referral]
    return Sheet(name, recorded, registration, referral, key, columns, parent).in_order()


def _opened_and_closed(trust: Trust, referral: Ints) -> tuple[Ints, Ints, Ints]:
    """For rows that have a version on opening and one on closure: their places, when recorded, and closed when."""
    referrals = trust.records.referrals
    ends = np.flatnonzero(referrals.closed_recorded[referral] != NONE)
    place = np.concatenate([np.arange(len(referral)), ends])
    recorded = np.concatenate([referrals.recorded[referral], referrals.closed_recorded[referral[ends]]])
    closed = np.concatenate([np.full(len(referral), NONE), referrals.closed[referral[ends]]])
    return place, recorded, closed


def _referrals(trust: Trust) -> Sheet:
    referrals, people, teams = trust.records.referrals, trust.records.people, trust.records.world.teams
    count, own = len(referrals), _own(trust, "referral row", referrals.number)
    number, recorded, closed = _opened_and_closed(trust, np.arange(count))
    service = np.arange(count) >= len(people)
    from_hospital = ~service & people.from_hospital[referrals.person]
    source = own.whole("source", 0, len(v.REFERRAL_SOURCES) - 1)
    source = np.where(from_hospital, len(v.REFERRAL_SOURCES) - 1, source)
    dying = np.isin(referrals.team, teams.of_type(v.END_OF_LIFE))
    reason = np.where(dying, len(v.REFERRAL_REASONS), own.whole("reason", 0, len(v.REFERRAL_REASONS)))
    urgent = np.isin(referrals.team, [*teams.of_type(v.URGENT), *teams.of_type(v.HOSPITAL_AT_HOME)])
    priority = np.where(urgent | own.happens("urgent", 0.15), 1, 0)
    columns = {
        "ServiceRequestID": _referral_id(trust, number),
        "LocalPatientID": local_id(trust, trust.registrations.of_referral[number]),
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
    return _of_referrals(trust, "CYP101", recorded, number, referrals.number[number], columns, "referral")


def _services(trust: Trust) -> Sheet:
    """A row for each referral's team and one for its specialist team; the services' are second rows too. Where a team
    became part of another, its row ends and one for the other begins."""
    referrals, world = trust.records.referrals, trust.records.world
    referral, team, opened, ended = _team_rows(trust)
    second = (team != referrals.team[referral]) | (referral >= len(trust.records.people))
    own = _own(trust, "service row", referrals.number[referral], team)
    nameless = (second & (ended == NONE) & (opened == NONE)) & own.happens(
        "nameless", world.config.faults.team_id_missing
    )
    usual = own.whole("reason", 0, len(v.CLOSURE_REASONS))
    ending, by_death = referrals.ending[referral], len(v.CLOSURE_REASONS)
    reasons = np.select([ending == BY_DEATH, ending == MOVED], [by_death, by_death + 1], usual)
    closed = np.where(ended == NONE, referrals.closed[referral], ended)
    told = np.where(ended == NONE, referrals.closed_recorded[referral], ended)
    ends = np.flatnonzero(told != NONE)
    place = np.concatenate([np.arange(len(referral)), ends])
    begun = np.where(opened == NONE, referrals.recorded[referral], opened)
    recorded = np.concatenate([begun, np.maximum(told[ends], begun[ends] + 60)])
    over = np.arange(len(place)) >= len(referral)
    columns = {
        "ServiceRequestID": _referral_id(trust, referral[place]),
        "TeamID_Local": words(world.teams.names, np.where(nameless, -1, team)[place]),
        "TeamType": words(world.teams.type, team[place]),
        "Referral_ClosureDate": day_of(np.where(over, closed[place], NONE)),
        "Referral_RejectionDate": blank(len(place)),
        "Referral_ClosureReason": words(
            (*v.CLOSURE_REASONS, v.DEATH_REASON, v.MOVED_REASON), np.where(over, reasons[place], -1)
        ),
        "Referral_RejectionReason": blank(len(place)),
        "Recorded_DateTime": stamp(recorded),
    }
    key = referrals.number[referral[place]] * world.config.teams + team[place]
    return _of_referrals(trust, "CYP102", recorded, referral[place], key, columns, "referral")


def _team_rows(trust: Trust) -> tuple[Ints, Ints, Ints, Ints]:
    """Referral and team of every service row, and where a merger began or ended it: that moment, else NONE."""
    referrals, world = trust.records.referrals, trust.records.world
    changes = world.changes
    merger = (world.epoch_day + min(changes.merger, world.config.days + HORIZON_DAYS)) * DAY + CUT_HOUR * HOUR
    twice = np.flatnonzero(referrals.second_team >= 0)
    was = (referrals.team == changes.merged) & (changes.merger < world.config.days)
    moved = np.flatnonzero(
        was & (referrals.recorded < merger) & ((referrals.closed == NONE) | (referrals.closed > merger))
    )
    referral = np.concatenate([np.arange(len(referrals)), twice, moved])
    team = np.concatenate([referrals.team, referrals.second_team[twice], np.full(len(moved), changes.into)])
    opened, ended = np.full(len(referral), NONE), np.full(len(referral), NONE)
    opened[len(referrals) + len(twice) :] = merger
    ended[moved] = merger
    return referral, team, opened, ended


def _onward(trust: Trust) -> Sheet:
    """Written up with the rest of the person's day."""
    log, world = trust.records.journal.onward, trust.records.world
    person, day = log["person"], log["day"]
    own = _own(trust, "onward", trust.records.people.soul[person], day)
    at = moment(world.config.start, day, own.whole("hour", 9 * HOUR, 18 * HOUR))
    wait = days_to_write(world, trust.records.people, person, day)
    recorded = at + wait * DAY + 600
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "Onward_ReferralDate": day_of(at),
        "Onward_ReferralReason": words(("01", "02", "03"), own.whole("reason", 0, 3)),
        "OrgID_Receiving": constant(world.config.hospital, len(day)),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP105", recorded, person, np.arange(len(day)), columns)


def _diagnoses(trust: Trust) -> list[Sheet]:
    """The first condition of each person as the primary diagnosis, the others as secondary ones."""
    people = trust.records.people
    conditions = np.minimum(people.conditions, MOST_DIAGNOSES)
    person = np.repeat(np.arange(len(conditions)), conditions)
    rank = np.arange(len(person)) - np.repeat(np.cumsum(conditions) - conditions, conditions)
    # Those that bear on the course come first; the others are any of the rest.
    named = people.heart_failure.astype(np.int64) + people.lung_disease
    first_other = _own(trust, "diagnosis", people.soul).whole("first", 0, len(v.DIAGNOSES) - v.NAMED)
    other = v.NAMED + (first_other[person] + 5 * rank) % (len(v.DIAGNOSES) - v.NAMED)
    which = np.where((rank == 0) & people.heart_failure[person], v.HEART_FAILURE, v.LUNG_DISEASE)
    code = np.where(rank < named[person], which, other)
    first = rank == 0
    return [
        _diagnosis_sheet(trust, "CYP607", "PrimaryDiagnosis", person[first], rank[first], code[first]),
        _diagnosis_sheet(trust, "CYP608", "SecondaryDiagnosis", person[~first], rank[~first], code[~first]),
    ]


def _diagnosis_sheet(trust: Trust, name: str, column: str, person: Ints, rank: Ints, code: Ints) -> Sheet:
    recorded = trust.records.referrals.recorded[person] + 120
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "Diagnosis_Scheme": constant("02", len(person)),
        column: words(v.DIAGNOSES, code),
        f"{column}_Date": day_of(trust.records.referrals.received[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, name, recorded, person, person * 16 + rank, columns)


def _frailty_on_referral(trust: Trust) -> Sheet:
    person = np.flatnonzero(~np.isnan(trust.records.frailty_score))
    recorded = trust.records.referrals.recorded[person] + 300
    columns = {
        "ServiceRequestID": _referral_id(trust, person),
        "SNOMED_ID": constant(v.CODES["frailty"], len(person)),
        "Score": measured(trust.records.frailty_score[person]),
        "AssessmentCompletion_Date": day_of(trust.records.referrals.received[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_referrals(trust, "CYP609", recorded, person, person, columns)


def _contact_versions(trust: Trust) -> tuple[Ints, Ints, Ints]:
    """The contact of each version row, when it was recorded, and which stage it is of: planned, done, put right, taken
    out."""
    contacts = trust.contacts
    moments = np.stack([contacts.planned_at, contacts.recorded_at, contacts.corrected_at, contacts.deleted_at])
    stage, contact = np.nonzero(moments != NONE)
    return contact, moments[stage, contact], stage


def _contacts(trust: Trust) -> Sheet:
    config = trust.records.world.config
    contact, recorded, stage = _contact_versions(trust)
    size, plan = len(contact), stage == PLAN
    row = take(trust.contacts, contact)
    remote = np.isin(row.kind, (v.CALL, v.NOTE, v.LIAISON))
    padded = flagged(_own(trust, "contact row", row.number, stage), "padded", config.faults.zero_padding)
    status = np.where(plan, v.PLANNED, row.status)
    minutes = np.where(stage == PUT_RIGHT, row.duration, row.first_duration)
    arrived = trust.records.people.arrived[row.person]
    # What is planned is a visit to the home, and nobody knows yet which will be the first that is held.
    first = first_of_referral(trust.contacts)[contact] & (arrived >= 0) & ~plan
    medium = np.where(plan & (row.mechanism >= 0), v.FACE_TO_FACE, row.mechanism)
    cancelled = np.where(plan | (row.cancelled < 0), NONE, row.cancelled * DAY)
    asked = np.where(np.isin(row.kind, (v.UNSCHEDULED, v.CALL, v.LIAISON)), 1, np.where(row.kind == v.NOTE, -1, 0))
    reason = np.where(cancelled == NONE, -1, np.where(row.status == v.PATIENT_CANCELLED, 0, 1))
    columns = {
        "CareContactID": identifier("C", 9, row.number),
        "ServiceRequestID": _referral_id(trust, row.referral),
        "TeamID_Local": words(trust.records.world.teams.names, row.team),
        "Contact_Date": day_of(row.start),
        "Contact_Time": clock_of(row.start, "HH:MM:SS"),
        "OrgID_Commissioner": constant("ZZC", size),
        "AdminCategory": constant("01", size),
        "CareContact_Duration": whole(np.where(plan, -1, minutes)),
        "Consultation_Type": words(("02", "01"), first.astype(np.int64)),
        "CareContact_Subject": words(("01", "02"), row.proxy.astype(np.int64)),
        "ConsMechanism": words(v.MECHANISMS, np.where(medium < 0, -1, medium + 4 * padded)),
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
        "Record_Deleted": flag(stage == TAKEN_OUT),
    }
    return _of_referrals(trust, "CYP201", recorded, row.referral, row.number, columns)


def _activities(trust: Trust) -> list[Sheet]:
    """Care activities, and the measurements and scored assessments that hang on them."""
    acts, contacts = trust.activities, trust.contacts
    number = contacts.number[acts.contact] * a.NUMBERS + acts.kind
    recorded, referral = contacts.recorded_at[acts.contact], contacts.referral[acts.contact]
    told = np.flatnonzero(recorded != NONE)
    columns = _told(trust, told, number, recorded)
    sheets = [_of_referrals(trust, "CYP202", recorded[told], referral[told], number[told], columns)]
    weighed = np.flatnonzero((acts.kind == a.WEIGHED) & (recorded != NONE))
    columns = {
        "CareActivityID": identifier("A", 12, number[weighed]),
        "Weight": measured(acts.value[weighed], 1),
        "Height": blank(len(weighed)),
        "Length": blank(len(weighed)),
        "Recorded_DateTime": stamp(recorded[weighed]),
    }
    sheets.append(_of_referrals(trust, "CYP611", recorded[weighed], referral[weighed], number[weighed], columns))
    scored = np.flatnonzero(np.isin(acts.kind, (a.WATERLOW, a.FRAILTY)) & (recorded != NONE))
    columns = {
        "CareActivityID": identifier("A", 12, number[scored]),
        "SNOMED_ID": words(CODE_OF, acts.kind[scored]),
        "Score": measured(acts.value[scored]),
        "Recorded_DateTime": stamp(recorded[scored]),
    }
    sheets.append(_of_referrals(trust, "CYP612", recorded[scored], referral[scored], number[scored], columns))
    return sheets


def _told(trust: Trust, which: Ints, number: Ints, recorded: Ints) -> dict[str, Field]:
    """The columns of care activities."""
    acts, contacts, size = take(trust.activities, which), trust.contacts, len(which)
    observed, found = np.isin(acts.kind, a.OBSERVED), np.isin(acts.kind, a.FOUND)
    code = np.where(acts.new_code, len(CODE_OF) - 1, acts.kind)
    return {
        "CareActivityID": identifier("A", 12, number[which]),
        "CareContactID": identifier("C", 9, contacts.number[acts.contact]),
        "Activity_Type": words(("02", "03"), (found | (acts.kind == a.PLAIN)).astype(np.int64)),
        "CareProfessionalID_Local": blank(size),
        "CareActivity_Duration": blank(size),
        "Procedure_Scheme": blank(size),
        "CodedProcedure": blank(size),
        "Finding_Scheme": words(("", "04"), found.astype(np.int64)),
        "CodedFinding": words(CODE_OF, np.where(found, code, -1)),
        "Observation_Scheme": words(("", "03"), observed.astype(np.int64)),
        "CodedObservation": words(CODE_OF, np.where(observed & acts.coded, code, -1)),
        "ObservationValue": measured(np.where(observed, acts.value, np.nan), 1),
        "UC_UnitOfMeasurement": words(a.UNITS, acts.unit),
        "Recorded_DateTime": stamp(recorded[which]),
    }
