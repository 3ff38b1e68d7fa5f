"""What hidden states are learned from and told of, on small histories; the cut is Monday 5 January 2026, 06:00."""

import math

import numpy as np
import pandas as pd
import pytest
from drawn import london

from features.beliefs import ADMITTED, HERE, HOME, IN_HOSPITAL
from features.build import build
from features.catalogue import load_catalogue
from features.events import streams
from features.filtering import past, sequences
from features.frames import micros
from features.states import Learned, with_learned
from features.windows import cuts

CATALOGUE = """
events:
  call: {table: contacts, where: "medium = 'telephone'"}
  pulse: {table: observations, where: "code = 'pulse'", value: value}
  emergency: {table: stays, where: "method = '21'"}
states:
  number: 2
  days: 10
  usual_days: 30
  evidence_days: 5
  admission: emergency
  counts: [call]
  readings: [pulse]
families:
  course:
    title: Course
    features:
      - {log_odds: emergency, within: 9}
    sentences: [{say: all}]
  all:
    title: All
    features:
      - {evidence: call}
      - {evidence: pulse}
      - {evidence: emergency}
    sentences: [{say: all}]
"""
NUMBERS = Learned(
    initial=(0.9, 0.1),
    home=(0.5, 0.5),
    transitions=((0.95, 0.05), (0.2, 0.8)),
    counts=((0.02, 0.2),),
    marks=(),
    readings=((0.0, 2.0),),
    hazard=(0.001, 0.05),
    heard=((0.5, *(1.0,) * 30),),
    usual=((80.0, 100.0, 25.0),),
    pace=((0.05, 5.0),),
)
LEARNED = load_catalogue(with_learned(CATALOGUE, NUMBERS.model_dump_json()), "learned")
RISK = "log_odds_emergency_within_9d"
AT_EASE = "1 | 2025-12-20 09:00 | face_to_face\n"


def contacts(*lines):
    return "person_id | occurred_at | medium\n" + "".join(f"1 | {line}\n" for line in lines)


def pulses(*lines):
    return "person_id | occurred_at | code | value\n" + "".join(f"1 | {at} | pulse | {value}\n" for at, value in lines)


def made(tables, cut="2026-01-05 06:00", catalogue=LEARNED):
    index = pd.DataFrame({"person_id": [1], "as_of": pd.Series([london(cut)], dtype="datetime64[us, UTC]")})
    return build(tables, index, catalogue, "Europe/London").iloc[0]


USUAL = [(f"2025-12-{day} 09:00", 80) for day in range(10, 28)]


def test_a_call_and_a_quick_pulse_raise_the_risk_and_are_told_of(history):
    well = made(history(observations=pulses(*USUAL, ("2026-01-03 09:00", 80))))
    ill = made(
        history(
            observations=pulses(*USUAL, ("2026-01-03 09:00", 95)), contacts=contacts("2026-01-03 10:00 | telephone")
        )
    )
    assert ill[RISK] > well[RISK] + 1
    assert ill["evidence_call"] > 0
    assert ill["evidence_pulse"] > 0
    assert well["evidence_pulse"] < 0
    assert well["evidence_call"] < 0, "that nobody called speaks too"
    assert ill["evidence_emergency"] == 0


def test_coming_home_from_an_emergency_stay_is_told_of(history):
    stay = "person_id | admitted_at | discharged_at | method\n1 | 2025-12-29 10:00 | 2026-01-03 12:00 | {}"
    home = made(history(observations=pulses(*USUAL), stays=stay.format("21")))
    planned = made(history(observations=pulses(*USUAL), stays=stay.format("11")))
    assert home["evidence_emergency"] > 0.3
    assert planned["evidence_emergency"] == 0
    assert home[RISK] > planned[RISK]


def test_old_records_fade_and_none_is_unknown(history):
    just, later, gone = (
        made(history(contacts=contacts("2026-01-03 10:00 | telephone")), cut)
        for cut in ("2026-01-04 06:00", "2026-01-10 06:00", "2026-01-14 06:00")
    )
    assert just[RISK] > later[RISK] + 0.5
    assert later["evidence_call"] == pytest.approx(0, abs=0.2)
    assert math.isnan(gone[RISK])
    assert gone[["evidence_call", "evidence_pulse"]].isna().all()


def test_thousands_of_records_of_a_day_by_mistake_leave_a_risk(history):
    """Likelihoods of so many lie far below the smallest number there is, and calls and pulses contradict each other."""
    calls = contacts(*["2026-01-03 10:00 | telephone"] * 3000)
    slow = pulses(*USUAL, *[("2026-01-03 09:00", 40)] * 3000)
    for found in (made(history(contacts=calls, observations=slow)), made(history(contacts=calls))):
        assert np.isfinite(found.drop("as_of").astype(float)).all()


def test_what_was_not_yet_on_record_is_not_believed(history):
    call = "person_id | occurred_at | medium | known_from | known_to\n"
    call += "1 | 2025-12-28 10:00 | telephone | 2025-12-28 11:00 | -\n1 | 2026-01-03 10:00 | telephone | {}"
    late = made(history(contacts=call.format("2026-01-05 06:01 | -")))
    never = made(history(contacts=contacts("2025-12-28 10:00 | telephone")))
    taken_back = made(history(contacts=call.format("2026-01-03 11:00 | 2026-01-05 06:00")))
    known = made(history(contacts=call.format("2026-01-05 06:00 | -")))
    assert late[RISK] == never[RISK] == taken_back[RISK]
    assert known[RISK] > never[RISK]


def test_states_that_are_not_learned_say_nothing_and_are_another_contract(history):
    before = load_catalogue(CATALOGUE, "before")
    row = made(history(observations=pulses(*USUAL)), catalogue=before)
    assert row[before.contract.names].isna().all()
    assert before.contract.names == LEARNED.contract.names
    other = NUMBERS.model_copy(update={"hazard": (0.001, 0.06)})
    contracts = {
        load_catalogue(text, "c").contract.fingerprint
        for text in (CATALOGUE, with_learned(CATALOGUE, other.model_dump_json()))
    }
    assert len(contracts | {LEARNED.contract.fingerprint}) == 3


def test_days_lags_and_kinds_that_are_learned_from(history):
    tables = history(
        contacts="""
        person_id | occurred_at      | medium    | known_from       | known_to
        1         | 2026-01-01 05:59 | telephone | 2026-01-01 07:00 | -
        1         | 2026-01-01 06:00 | telephone | 2026-01-02 06:00 | -
        1         | 2026-01-01 06:00 | telephone | 2026-01-04 09:00 | -
        1         | 2026-01-02 12:00 | telephone | 2026-01-02 12:00 | 2026-01-20 00:00
        1         | 2026-01-03 12:00 | telephone | 2026-01-21 12:00 | -
        2         | 2026-01-04 05:00 | telephone | 2026-01-04 05:00 | -
        2         | 2026-01-04 06:00 | telephone | 2026-01-04 06:00 | -
        3         | 2026-01-02 12:00 | telephone | 2026-01-02 12:00 | -""",
        stays="""
        person_id | admitted_at      | discharged_at    | method | known_from
        2         | 2026-01-01 10:00 | 2026-01-03 05:00 | 21     | 2026-01-01 10:00""",
    )
    edges = micros(
        pd.Series(
            cuts(pd.date_range("2025-12-31", "2026-01-04").date, london("2026-01-05 06:00").time(), "Europe/London")
        )
    )
    known = past(tables, streams(tables, LEARNED), LEARNED, np.array([1, 2]), int(edges[0]))
    found = sequences(known, edges, int(micros(pd.Series([london("2026-01-20 00:00")]))[0]))
    assert list(found.of) == [0, 3, 4], "nobody but these two, nothing at or after the last edge"
    assert list(found.day) == [0, 1, 1, 3]
    assert list(found.lag) == [1, 0, 3, 0], "days until a cut could see it, from the one that ends its day"
    assert found.kinds.tolist() == [[HERE] * 4, [HERE, ADMITTED, HOME, HERE]]
    assert IN_HOSPITAL not in found.kinds, "home again by the cut after the next"
