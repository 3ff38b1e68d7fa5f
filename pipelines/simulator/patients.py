"""The files about people: patient index, master patient index, practice, accommodation."""

from collections.abc import Mapping

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, NONE
from pipelines.simulator.chance import Facts, Ints, facts
from pipelines.simulator.faults import flagged
from pipelines.simulator.names import GIVEN, family_names
from pipelines.simulator.sheet import Field, Sheet, blank, constant, day_of, identifier, stamp, whole, words
from pipelines.simulator.trust import Trust

PRACTICES = 40


def local_id(trust: Trust, registration: Ints) -> Field:
    return identifier("P", 7, trust.registrations.number[registration])


def patient_sheets(trust: Trust) -> list[Sheet]:
    return [_master_index(trust), _practice(trust), _accommodation(trust)]


def _own(trust: Trust, kind: str) -> Facts:
    """Chances of facts about people."""
    return facts(trust.records.world.config.seed, kind, trust.records.people.soul)


def _versions(trust: Trust) -> tuple[Ints, Ints]:
    """Registration and moment of a row on registering and of one when the NHS number is traced."""
    known = trust.registrations
    traced = np.flatnonzero(known.traced != NONE)
    return np.concatenate([np.arange(len(known)), traced]), np.concatenate([known.recorded, known.traced[traced]])


def identity_sheet(trust: Trust) -> Sheet:
    """The trust's own patient index: a row on registration and another when the NHS number is traced."""
    registration, recorded = _versions(trust)
    person, own = trust.registrations.person[registration], _own(trust, "name")
    families = family_names()
    columns = {
        "NHSNumber": whole(_number(trust, registration, recorded)),
        "LocalPatientID": local_id(trust, registration),
        "OrgID_LocalPatientID": constant(trust.records.world.config.provider, len(person)),
        "FamilyName": words(families, own.whole("family", 0, len(families))[person]),
        "GivenName": words(GIVEN, own.whole("given", 0, len(GIVEN))[person]),
        "DateOfBirth": day_of(_born(trust)[person]),
    }
    return _of_people(trust, "INDEX", recorded, registration, columns)


def _number(trust: Trust, registration: Ints, recorded: Ints) -> Ints:
    """The NHS number as known when the row was recorded, -1 while untraced."""
    known = trust.registrations
    return np.where(recorded >= known.traced[registration], trust.nhs_number[known.person[registration]], -1)


def _born(trust: Trust) -> Ints:
    """Midnight of each person's date of birth."""
    people = trust.records.people
    arrived = trust.records.world.epoch_day + people.arrived
    return np.asarray((arrived - (people.age * 365.25).astype(np.int64)) * DAY)


def _of_people(
    trust: Trust, name: str, recorded: Ints, registration: Ints, columns: Mapping[str, Field], parent: str = ""
) -> Sheet:
    nothing = np.full(len(registration), -1)
    key = trust.registrations.number[registration]
    return Sheet(name, recorded, registration, nothing, key, columns, parent).in_order()


def _master_index(trust: Trust) -> Sheet:
    """One version on registration, one when the number is traced, one when the death is known."""
    people, deaths = trust.records.people, trust.records.deaths
    dead = np.flatnonzero(deaths.at != NONE)
    registration, recorded = _versions(trust)
    registration = np.concatenate([registration, dead])
    recorded = np.concatenate([recorded, deaths.recorded[dead]])
    person, number = trust.registrations.person[registration], _number(trust, registration, recorded)
    knows_death = (deaths.recorded[person] != NONE) & (recorded >= deaths.recorded[person])
    ethnic = _own(trust, "ethnic category").pick("ethnic", v.ETHNIC_SHARES)
    size = len(person)
    columns = {
        "LocalPatientID": local_id(trust, registration),
        "OrgID_LocalPatientID": constant(trust.records.world.config.provider, size),
        "NHSNumber": whole(number),
        "NHSNumber_Status": words(("07", "01"), (number >= 0).astype(np.int64)),
        "DateOfBirth": day_of(_born(trust)[person]),
        "Postcode": constant("ZZ99 3CZ", size),
        "Gender": words(("1", "2"), people.sex[person]),
        "EthnicCategory": words(v.ETHNIC_CATEGORIES, ethnic[person]),
        "LanguagePreferred": blank(size),
        "DateOfDeath": day_of(np.where(knows_death, deaths.at[person], NONE)),
        "DeathLocationActual_Type": blank(size),
        "IMD_Decile": whole(people.decile[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_people(trust, "CYP001", recorded, registration, columns, "person")


def _practice(trust: Trust) -> Sheet:
    known, own = trust.registrations, _own(trust, "practice")
    codes = tuple(f"X{99000 + number}" for number in range(PRACTICES))
    low = flagged(own, "lower case", trust.records.world.config.faults.lower_case_practice)
    code = own.whole("practice", 0, PRACTICES) + PRACTICES * low
    columns = {
        "LocalPatientID": local_id(trust, np.arange(len(known))),
        "OrgID_GP": words(codes + tuple(map(str.lower, codes)), code[known.person]),
        "GPRegistration_StartDate": day_of(known.recorded - own.whole("since", 100, 9000)[known.person] * DAY),
        "GPRegistration_EndDate": blank(len(known)),
        "Recorded_DateTime": stamp(known.recorded),
    }
    return _of_people(trust, "CYP002", known.recorded, np.arange(len(known)), columns, "person")


def _accommodation(trust: Trust) -> Sheet:
    known = trust.registrations
    columns = {
        "LocalPatientID": local_id(trust, np.arange(len(known))),
        "AccommStatus": words(v.LOCATIONS, trust.records.people.accommodation[known.person]),
        "AccommStatus_Date": day_of(known.recorded),
        "Recorded_DateTime": stamp(known.recorded),
    }
    return _of_people(trust, "CYP003", known.recorded, np.arange(len(known)), columns, "person")
