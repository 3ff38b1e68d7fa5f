"""In which groups the rows of an evaluation are, on a history small enough to read."""

import pandas as pd
import pytest
from drawn import london

from pipelines.traits import _of_people

CUT = "2026-01-30 06:00"
PEOPLE = """
person_id | birth_date | sex    | ethnic_category | deprivation_decile | care_home
        1 | 1940-01-30 | female | A               |                  2 | yes
        2 | 1961-01-31 | male   | z               |                 10 | no
        3 |          - | -      | -               |                  - | -
"""
CONTACTS = """
person_id | occurred_at      | known_from       | status   | seen
        1 | 2025-12-31 05:59 | 2026-01-01 00:00 | attended | yes
        1 | 2025-12-31 06:00 | 2026-01-01 00:00 | attended | yes
        1 | 2026-01-05 09:00 | 2026-01-05 10:00 | attended | yes
        1 | 2026-01-06 09:00 | 2026-01-06 10:00 | attended | yes
        1 | 2026-01-07 09:00 | 2026-01-07 10:00 | unknown  | -
        1 | 2026-01-08 09:00 | 2026-01-08 10:00 | no_access | no
        2 | 2026-01-20 09:00 | 2026-01-30 07:00 | attended | yes
"""
OBSERVATIONS = """
person_id | occurred_at      | known_from       | code  | value
        1 | 2026-01-20 09:00 | 2026-01-20 10:00 | news2 | 3
        2 | 2026-01-20 09:00 | 2026-01-20 10:00 | seen  | -
"""
REFERRALS = """
person_id | team_id | team_type | received_at      | known_from       | closed_at
        1 | U       | 49        | 2026-01-20 09:00 | 2026-01-20 10:00 | -
        2 | U       | 49        | 2026-01-20 09:00 | 2026-01-20 10:00 | 2026-01-29 09:00
        3 | D       | 12        | 2026-01-20 09:00 | 2026-01-20 10:00 | -
"""


@pytest.fixture
def found(history):
    tables = history(people=PEOPLE, contacts=CONTACTS, observations=OBSERVATIONS, referrals=REFERRALS)
    rows = pd.DataFrame({"person_id": [1, 2, 3], "as_of": pd.Series([london(CUT)] * 3, dtype="datetime64[us, UTC]")})
    return _of_people(tables, rows, "Europe/London", ("49",)).set_index("person_id")


def test_ages_are_whole_years_at_the_cut(found):
    assert found["age"].iloc[:2].tolist() == ["85 and over", "18 to 64"]


def test_what_is_not_recorded_is_null(found):
    personal = ["age", "sex", "ethnic_group", "deprivation", "home"]
    assert found.loc[3, personal].isna().all()
    assert pd.isna(found.loc[2, "ethnic_group"])


def test_groups_are_the_national_ones(found):
    told = found.loc[1, ["sex", "ethnic_group", "deprivation", "home"]].tolist()
    assert told == ["female", "White", "fifth 1, most deprived", "care home"]
    assert found.loc[2, "deprivation"] == "fifth 5, least deprived"


def test_contacts_count_where_held_in_the_window_and_known_at_the_cut(found):
    # Of 1, four: at the very start of the window, two more seen and one whose outcome is not known; 2's came too late.
    assert found["contacts_in_30_days"].tolist() == ["4 to 7", "0 to 3", "0 to 3"]


def test_a_reading_has_a_value(found):
    assert found["readings_in_30_days"].tolist() == ["some", "none", "none"]


def test_known_is_who_is_with_an_urgent_team_now(found):
    assert found["known"].tolist() == [True, False, False]
