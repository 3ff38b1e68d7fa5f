"""The acute trust's files, with HES column names."""

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import NONE
from pipelines.simulator.chance import Facts, Flags, Ints, facts
from pipelines.simulator.columns import take
from pipelines.simulator.hospital import METHODS, TRANSFER
from pipelines.simulator.sheet import Field, Sheet, clock_of, day_of, flag, identifier, stamp, whole, words
from pipelines.simulator.trust import Trust

NO_DATE = ("", "1800-01-01", "1801-01-01")
"""How an open spell's discharge date is written."""

HOME_ON_DISCHARGE, MOVED_ON_DISCHARGE, DIED_ON_DISCHARGE, NOT_FINISHED = range(4)


def acute_sheets(trust: Trust) -> list[Sheet]:
    return [_admitted_care(trust), _emergency_department(trust)]


def _episode_versions(trust: Trust) -> tuple[Ints, Ints, Ints, Ints]:
    """Rows of admitted care: the stay, its version (0 open, 1 closed, 2 coded), the episode's rank, when recorded."""
    stays = trust.records.stays
    moments = np.stack([stays.opened_at, stays.closed_at, stays.coded_at])
    version, stay = np.nonzero((moments != NONE) & stays.reported)
    rows = np.where(version == 0, 1, stays.episodes[stay])
    repeated = np.repeat(np.arange(len(stay)), rows)
    rank = np.arange(len(repeated)) - np.repeat(np.cumsum(rows) - rows, rows)
    stay, version = stay[repeated], version[repeated]
    return stay, version, rank, moments[version, stay]


def _admitted_care(trust: Trust) -> Sheet:
    which, version, rank, recorded = _episode_versions(trust)
    stay = take(trust.records.stays, which)
    own = facts(trust.records.world.config.seed, "open spell", stay.number, version, rank)
    done = version > 0
    length = stay.discharged - stay.admitted
    begins = stay.admitted + length * rank // stay.episodes
    ends = np.where(done, stay.admitted + length * (rank + 1) // stay.episodes, NONE)
    coded = done & ((version == 2) | (stay.coded_at == NONE))
    ending = np.select([~done, stay.died, stay.moved], [NOT_FINISHED, DIED_ON_DISCHARGE, MOVED_ON_DISCHARGE], 0)
    source = np.where(stay.method >= TRANSFER, 1, 0)
    columns = {
        "NHSNUMBER": whole(trust.nhs_number[stay.person]),
        "PROCODE3": _hospital(trust, stay.elsewhere),
        "PROVSPNO": identifier("S", 9, stay.number),
        "EPIORDER": whole(rank + 1),
        "ADMIDATE": day_of(stay.admitted),
        "ADMITIME": clock_of(stay.admitted, "HH:MM"),
        "ADMIMETH": words(METHODS, stay.method),
        "ADMISORC": words(("19", "51"), source),
        "CLASSPAT": words(("1", "2"), stay.day_case.astype(np.int64)),
        "EPISTART": day_of(begins),
        "EPIEND": day_of(ends),
        "DISDATE": _discharge_date(stay.discharged, done, own),
        "DISTIME": clock_of(np.where(done, stay.discharged, NONE), "HH:MM"),
        "DISMETH": words(("1", "1", "4", ""), ending),
        "DISDEST": words(("19", "51", "79", "98"), ending),
        "SPELEND": flag(done & (rank + 1 == stay.episodes), "Y", "N"),
        "DIAG_4_01": words(v.ADMISSION_DIAGNOSES, np.where(coded, stay.diagnosis, -1)),
        "RECORDED_DATETIME": stamp(recorded),
    }
    sent, nothing = np.maximum(recorded, stay.sent_from), np.full(len(which), -1)
    return Sheet("APC", sent, stay.person, nothing, stay.number, columns).in_order()


def _hospital(trust: Trust, elsewhere: Flags) -> Field:
    return words((trust.records.world.config.hospital, "ZZ3"), elsewhere.astype(np.int64))


def _discharge_date(discharged: Ints, done: Flags, own: Facts) -> Field:
    """The date, or one of the ways in which an open spell says that it has none."""
    sentinel = np.array([NONE, _midnight(NO_DATE[1]), _midnight(NO_DATE[2])])
    return day_of(np.where(done, discharged, sentinel[own.whole("no date", 0, 3)]))


def _midnight(text: str) -> int:
    return int(np.datetime64(text, "s").astype(np.int64))


def _emergency_department(trust: Trust) -> Sheet:
    visits = trust.records.attendances
    columns = {
        "NHSNUMBER": whole(trust.nhs_number[visits.person]),
        "PROCODE3": words((trust.records.world.config.hospital,), np.zeros(len(visits.person), dtype=np.int64)),
        "AEKEY": identifier("E", 9, visits.number),
        "ARRIVALDATE": day_of(visits.arrived),
        "ARRIVALTIME": clock_of(visits.arrived, "HHMM"),
        "DEPTIME": clock_of(visits.departed, "HHMM"),
        "AEDEPTTYPE": words(("01", "03"), visits.minor.astype(np.int64)),
        "AEARRIVALMODE": words(("2", "1"), visits.ambulance.astype(np.int64)),
        "AEATTENDDISP": words(("01", "02", "03"), visits.disposal),
        "RECORDED_DATETIME": stamp(visits.recorded_at),
    }
    sent, nothing = np.maximum(visits.recorded_at, visits.sent_from), np.full(len(visits.person), -1)
    return Sheet("AE", sent, visits.person, nothing, visits.number, columns).in_order()
