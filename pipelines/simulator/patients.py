"""The files about people: patient index, master patient index, practice, accommodation."""

from collections.abc import Mapping

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, EPOCH, NONE
from pipelines.simulator.faults import pick
from pipelines.simulator.names import GIVEN, family_names
from pipelines.simulator.people import Ints
from pipelines.simulator.sheet import Field, Sheet, blank, constant, day_of, identifier, stamp, whole, words
from pipelines.simulator.trust import Trust

PRACTICES = 40


def local_id(person: Ints) -> Field:
    return identifier("P", 7, person)


def patient_sheets(trust: Trust, rng: np.random.Generator) -> list[Sheet]:
    return [_master_index(trust, rng), _practice(trust, rng), _accommodation(trust)]


def identity_sheet(trust: Trust, rng: np.random.Generator) -> Sheet:
    """The trust's own patient index: a row on registration and another when the NHS number is traced."""
    count = len(trust.people)
    families, given = family_names(), rng.integers(0, len(GIVEN), count)
    family = rng.integers(0, len(families), count)
    traced = np.flatnonzero(trust.traced != NONE)
    person = np.concatenate([np.arange(count), traced])
    recorded = np.concatenate([trust.referrals.recorded[:count], trust.traced[traced]])
    columns = {
        "NHSNumber": whole(_number(trust, person, recorded)),
        "LocalPatientID": local_id(person),
        "OrgID_LocalPatientID": constant(trust.config.provider, len(person)),
        "FamilyName": words(families, family[person]),
        "GivenName": words(GIVEN, given[person]),
        "DateOfBirth": day_of(_born(trust)[person]),
    }
    return _of_people("INDEX", recorded, person, columns)


def _number(trust: Trust, person: Ints, recorded: Ints) -> Ints:
    """The NHS number as known when the row was recorded, -1 while untraced."""
    return np.where(recorded >= trust.traced[person], trust.nhs_number[person], -1)


def _born(trust: Trust) -> Ints:
    """Midnight of each person's date of birth."""
    people = trust.people
    arrived = (trust.config.start - EPOCH).days + people.arrived
    return np.asarray((arrived - (people.age * 365.25).astype(np.int64)) * DAY)


def _of_people(name: str, recorded: Ints, person: Ints, columns: Mapping[str, Field], parent: str = "") -> Sheet:
    return Sheet(name, recorded, person, np.full(len(person), -1), person, columns, parent).in_order()


def _master_index(trust: Trust, rng: np.random.Generator) -> Sheet:
    """One version on registration, one when the number is traced, one when the death is known."""
    count, deaths = len(trust.people), trust.deaths
    traced, dead = np.flatnonzero(trust.traced != NONE), np.flatnonzero(deaths.at != NONE)
    person = np.concatenate([np.arange(count), traced, dead])
    recorded = np.concatenate([trust.referrals.recorded[:count], trust.traced[traced], deaths.recorded[dead]])
    number = _number(trust, person, recorded)
    knows_death = (deaths.recorded[person] != NONE) & (recorded >= deaths.recorded[person])
    ethnic = rng.choice(len(v.ETHNIC_CATEGORIES), count, p=np.array(v.ETHNIC_SHARES))
    size = len(person)
    columns = {
        "LocalPatientID": local_id(person),
        "OrgID_LocalPatientID": constant(trust.config.provider, size),
        "NHSNumber": whole(number),
        "NHSNumber_Status": words(("07", "01"), (number >= 0).astype(np.int64)),
        "DateOfBirth": day_of(_born(trust)[person]),
        "Postcode": constant("ZZ99 3CZ", size),
        "Gender": words(("1", "2"), trust.people.sex[person]),
        "EthnicCategory": words(v.ETHNIC_CATEGORIES, ethnic[person]),
        "LanguagePreferred": blank(size),
        "DateOfDeath": day_of(np.where(knows_death, deaths.at[person], NONE)),
        "DeathLocationActual_Type": blank(size),
        "IMD_Decile": whole(trust.people.decile[person]),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_people("CYP001", recorded, person, columns, "person")


def _practice(trust: Trust, rng: np.random.Generator) -> Sheet:
    count = len(trust.people)
    codes = tuple(f"X{99000 + number}" for number in range(PRACTICES))
    low = pick(count, trust.config.faults.lower_case_practice, rng)
    recorded = trust.referrals.recorded[:count]
    since = recorded - rng.integers(100, 9000, count) * DAY
    columns = {
        "LocalPatientID": local_id(np.arange(count)),
        "OrgID_GP": words(codes + tuple(map(str.lower, codes)), rng.integers(0, PRACTICES, count) + PRACTICES * low),
        "GPRegistration_StartDate": day_of(since),
        "GPRegistration_EndDate": blank(count),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_people("CYP002", recorded, np.arange(count), columns, "person")


def _accommodation(trust: Trust) -> Sheet:
    count = len(trust.people)
    recorded = trust.referrals.recorded[:count]
    columns = {
        "LocalPatientID": local_id(np.arange(count)),
        "AccommStatus": words(v.LOCATIONS, trust.people.accommodation),
        "AccommStatus_Date": day_of(recorded),
        "Recorded_DateTime": stamp(recorded),
    }
    return _of_people("CYP003", recorded, np.arange(count), columns, "person")
