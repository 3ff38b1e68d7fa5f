"""The outcome: an emergency admission in [as_of, as_of + 9 d), once it can be known."""

import pandas as pd
import pytest
from drawn import london

from features.labels import OutcomeRules, admission_lag_days, given_labels, inpatient_spells, known_since, label

CUT = "2026-01-05 06:00"
LATER = "2026-06-01 00:00"
NOBODY = pd.DataFrame({"person_id": [0], "died_at": pd.Series([pd.NaT], dtype="datetime64[us, UTC]")})
NO_MERGES = pd.DataFrame({"person_id": [], "merged_into": []}, dtype="int64")


def index(*cuts, person=1):
    return pd.DataFrame(
        {"person_id": person, "as_of": pd.Series([london(c) for c in cuts], dtype="datetime64[us, UTC]")}
    )


def outcome(stays, cut=CUT, matured=LATER, deaths=NOBODY, merges=NO_MERGES, lag_days=0.0, zone="Europe/London"):
    spells = inpatient_spells(stays, london(matured), OutcomeRules(), 180)
    found = label(index(cut), spells, deaths, merges, matured_at=london(matured), lag_days=lag_days, zone=zone)
    return found["label"].iloc[0], found["state"].iloc[0]


@pytest.mark.parametrize(
    ("admitted", "expected"),
    [
        ("2026-01-05 05:59", 0),
        ("2026-01-05 06:00", 1),
        ("2026-01-14 05:59", 1),
        ("2026-01-14 06:00", 0),
    ],
)
def test_the_window_is_half_open(history, admitted, expected):
    stays = history(stays=f"person_id | method | admitted_at | discharged_at\n1 | 21 | {admitted} | {admitted}")[
        "stays"
    ]
    assert outcome(stays) == (expected, "usable")


@pytest.mark.parametrize(
    ("cut", "last_inside", "first_outside"),
    [
        ("2026-03-22 06:00", "2026-03-31 05:59", "2026-03-31 06:00"),  # a night of 23 hours in between
        ("2026-10-20 06:00", "2026-10-29 05:59", "2026-10-29 06:00"),  # and one of 25
    ],
)
def test_nine_days_are_days_of_the_wall_clock(history, cut, last_inside, first_outside):
    for admitted, expected in ((last_inside, 1), (first_outside, 0)):
        stays = history(stays=f"person_id | method | admitted_at\n1 | 21 | {admitted}")["stays"]
        assert outcome(stays, cut, matured="2027-01-01 00:00")[0] == expected


@pytest.mark.parametrize(
    ("cut", "admitted", "day"),
    [
        (CUT, "2026-01-05 06:00", 1),
        (CUT, "2026-01-06 05:59", 1),
        (CUT, "2026-01-06 06:00", 2),
        (CUT, "2026-01-14 05:59", 9),
        (CUT, "2026-01-14 06:00", None),
        ("2026-03-22 06:00", "2026-03-29 05:59", 7),  # the night of 23 hours is the seventh day's
        ("2026-03-22 06:00", "2026-03-29 06:00", 8),
        ("2026-10-20 06:00", "2026-10-25 05:59", 5),  # and that of 25 hours the fifth's
        ("2026-10-20 06:00", "2026-10-25 06:00", 6),
    ],
)
def test_each_of_the_nine_days_is_half_open_on_the_wall_clock(history, cut, admitted, day):
    stays = history(stays=f"person_id | method | admitted_at\n1 | 21 | {admitted}")["stays"]
    spells = inpatient_spells(stays, london("2027-01-01 00:00"), OutcomeRules(), 180)
    cuts = index(cut, "2025-06-01 06:00")
    found = label(
        cuts, spells, NOBODY, NO_MERGES, matured_at=london("2027-01-01 00:00"), lag_days=0, zone="Europe/London"
    )
    assert found["admitted_day"].astype(object).where(found["admitted_day"].notna(), None).tolist() == [day, None]


def test_the_first_admission_of_several_has_the_day(history):
    stays = history(
        stays="""person_id | method | admitted_at | discharged_at
                 1 | 11 | 2026-01-05 10:00 | 2026-01-05 20:00
                 1 | 21 | 2026-01-07 10:00 | 2026-01-08 10:00
                 1 | 21 | 2026-01-09 10:00 | 2026-01-10 10:00"""
    )["stays"]
    spells = inpatient_spells(stays, london(LATER), OutcomeRules(), 180)
    found = label(index(CUT), spells, NOBODY, NO_MERGES, matured_at=london(LATER), lag_days=0, zone="Europe/London")
    assert found["admitted_day"].tolist() == [3]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("21", 1),
        ("22", 1),
        ("2A", 1),
        ("2D", 1),
        ("28", 1),
        ("2B", 1),
        ("2C", 0),
        ("11", 0),
        ("81", 0),
        ("31", 0),
        ("-", 0),
    ],
)
def test_emergency_is_the_method_of_admission(history, method, expected):
    stays = history(stays=f"person_id | method | admitted_at\n1 | {method} | 2026-01-07 10:00")["stays"]
    assert outcome(stays) == (expected, "usable")


def test_a_transfer_continues_the_stay_it_comes_from(history):
    stays = history(
        stays="""person_id | method | admitted_at | discharged_at
                 1 | 11 | 2026-01-06 10:00 | 2026-01-07 10:00
                 1 | 2B | 2026-01-07 12:00 | 2026-01-09 10:00"""
    )["stays"]
    assert outcome(stays) == (0, "usable")


def test_an_emergency_soon_after_a_discharge_is_a_new_one(history):
    stays = history(
        stays="""person_id | method | admitted_at | discharged_at
                 1 | 11 | 2026-01-06 10:00 | 2026-01-07 10:00
                 1 | 21 | 2026-01-07 12:00 | 2026-01-09 10:00"""
    )["stays"]
    assert outcome(stays) == (1, "usable")


def test_a_day_case_is_no_stay(history):
    stays = history(stays="person_id | method | patient_class | admitted_at\n1 | 21 | 2 | 2026-01-07 10:00")["stays"]
    assert outcome(stays) == (0, "usable")


def test_someone_who_was_in_hospital_already_is_never_a_hit(history):
    stays = history(
        stays="""person_id | method | admitted_at | discharged_at | known_from
                 1 | 21 | 2026-01-04 23:00 | 2026-01-06 10:00 | 2026-01-06 12:00
                 1 | 21 | 2026-01-08 10:00 | 2026-01-09 10:00 | 2026-01-09 12:00"""
    )["stays"]
    assert outcome(stays)[1] == "already_admitted"


def test_a_row_is_usable_once_its_window_and_the_lag_have_passed(history):
    stays = history()["stays"]
    assert outcome(stays, matured="2026-01-14 05:59")[1] == "immature"
    assert outcome(stays, matured="2026-01-14 06:00")[1] == "usable"
    assert outcome(stays, matured="2026-01-16 05:59", lag_days=2)[1] == "immature"


def test_only_what_is_known_when_labels_are_read_makes_one(history):
    stays = history(
        stays="person_id | method | admitted_at | known_from\n1 | 21 | 2026-01-07 10:00 | 2026-02-01 10:00"
    )["stays"]
    assert outcome(stays, matured="2026-01-31 00:00")[0] == 0
    assert outcome(stays, matured="2026-02-02 00:00")[0] == 1


def test_a_death_at_home_is_no_admission_and_is_told_apart(history):
    deaths = pd.DataFrame(
        {"person_id": [1], "died_at": pd.Series([london("2026-01-09 00:00")], dtype="datetime64[us, UTC]")}
    )
    spells = inpatient_spells(history()["stays"], london(LATER), OutcomeRules(), 180)
    found = label(index(CUT), spells, deaths, NO_MERGES, matured_at=london(LATER), lag_days=0, zone="Europe/London")
    assert (found["label"].iloc[0], bool(found["died"].iloc[0])) == (0, True)
    assert found["admitted_day"].isna().all()


def test_outcomes_follow_a_person_found_to_be_someone_else(history):
    merges = pd.DataFrame({"person_id": [1, 5], "merged_into": [5, 7]})
    stays = history(stays="person_id | method | admitted_at\n7 | 21 | 2026-01-07 10:00")["stays"]
    assert outcome(stays, merges=merges) == (1, "usable")


def test_the_lag_is_measured_from_when_admissions_became_known(history):
    drawn = "\n".join(f"{n} | {n} | 21 | 2026-01-01 00:00 | 2026-01-{1 + n:02} 00:00" for n in range(1, 21))
    stays = history(stays="row_id | person_id | method | admitted_at | known_from\n" + drawn)["stays"]
    spells = inpatient_spells(stays, london(LATER), OutcomeRules(), 180)
    always = known_since(
        history(people="person_id | known_from\n" + people(range(1, 21), "2025-12-01 00:00"))["people"]
    )
    assert admission_lag_days(spells, always, OutcomeRules(lag_quantile=0.5)) == pytest.approx(10.5)
    assert admission_lag_days(spells.iloc[:0], always, OutcomeRules()) == 0


def test_what_is_told_of_a_newcomers_past_is_not_a_lag(history):
    """A daily feed believes nothing earlier than itself: the stays of years ago come with their newcomer."""
    drawn = "".join(f"{n} | {n} | 21 | 2026-01-01 00:00 | 2026-01-03 00:00\n" for n in range(1, 6))
    drawn += "".join(f"{n} | {n} | 21 | 2025-01-01 00:00 | 2026-04-01 00:00\n" for n in range(6, 21))
    stays = history(stays="row_id | person_id | method | admitted_at | known_from\n" + drawn)["stays"]
    spells = inpatient_spells(stays, london(LATER), OutcomeRules(), 180)
    told = people(range(1, 6), "2025-12-01 00:00") + people(range(6, 21), "2026-04-01 00:00")
    since = known_since(history(people="person_id | known_from\n" + told)["people"])
    assert admission_lag_days(spells, since, OutcomeRules()) == pytest.approx(2)
    newcomers = since[since["person_id"] > 5]
    assert admission_lag_days(spells[spells["person_id"] > 5], newcomers, OutcomeRules()) == pytest.approx(455, abs=0.1)


def people(numbers, known_from):
    return "".join(f"{number} | {known_from}\n" for number in numbers)


def test_outcomes_given_as_a_table_follow_the_same_boundary():
    given = pd.DataFrame({"person_id": [1], "at": pd.Series([london("2026-01-14 06:00")], dtype="datetime64[us, UTC]")})
    found = given_labels(index("2026-01-05 06:00", "2026-01-05 06:01", "2026-01-14 06:00"), given, "Europe/London")
    assert found["label"].tolist() == [0, 1, 1]
    assert found["admitted_day"].iloc[1:].tolist() == [9, 1]
    assert set(found["state"]) == {"usable"}
