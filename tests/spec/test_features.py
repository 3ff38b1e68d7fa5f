"""What each aggregate means, on small histories; the cut is Monday 5 January 2026, 06:00."""

import math

import pandas as pd
import pytest
from drawn import london

from features.build import build
from features.catalogue import load_catalogue

CUT = "2026-01-05 06:00"
CATALOGUE = """
events:
  visit: {table: contacts, where: seen, value: duration_minutes}
  missed: {table: contacts, where: seen = false}
  contact: {table: contacts}
families:
  all:
    title: All
    features:
      - {count: visit, days: [7, 30]}
      - {days_since: visit, days: 30}
      - {mean: visit, days: 30}
      - {min: visit, days: 30}
      - {max: visit, days: 30}
      - {last: visit, days: 30}
      - {share: missed, among: contact, days: 30}
      - {person: age}
      - {person: open_referrals}
      - {person: days_on_caseload}
    sentences: [{say: all}]
"""


def made(tables, cut=CUT, catalogue=CATALOGUE):
    index = pd.DataFrame({"person_id": [1], "as_of": pd.Series([london(cut)], dtype="datetime64[us, UTC]")})
    return build(tables, index, load_catalogue(catalogue, "test"), "Europe/London").iloc[0]


def visits(*lines):
    return "person_id | occurred_at | seen | duration_minutes\n" + "\n".join(f"1 | {line}" for line in lines)


@pytest.mark.parametrize(
    ("occurred", "week", "month"),
    [
        ("2026-01-05 06:00", 0, 0),  # at the cut: ahead
        ("2026-01-05 05:59", 1, 1),
        ("2025-12-29 06:00", 1, 1),  # exactly seven days behind
        ("2025-12-29 05:59", 0, 1),
        ("2025-12-06 06:00", 0, 1),
        ("2025-12-06 05:59", 0, 0),
    ],
)
def test_a_window_holds_its_start_and_not_its_cut(history, occurred, week, month):
    row = made(history(contacts=visits(f"{occurred} | yes | 10")))
    assert (row["count_visit_7d"], row["count_visit_30d"]) == (week, month)


@pytest.mark.parametrize(
    ("cut", "first_inside", "last_outside"),
    [
        ("2026-03-31 06:00", "2026-03-24 06:00", "2026-03-24 05:59"),
        ("2026-10-28 06:00", "2026-10-21 06:00", "2026-10-21 05:59"),
    ],
)
def test_a_window_keeps_its_hour_across_a_clock_change(history, cut, first_inside, last_outside):
    assert made(history(contacts=visits(f"{first_inside} | yes | 10")), cut)["count_visit_7d"] == 1
    assert made(history(contacts=visits(f"{last_outside} | yes | 10")), cut)["count_visit_7d"] == 0


@pytest.mark.parametrize(
    ("known_from", "known_to", "counted"),
    [
        ("2026-01-05 06:00", "-", 1),
        ("2026-01-05 06:01", "-", 0),
        ("2026-01-04 00:00", "2026-01-05 06:00", 0),
        ("2026-01-04 00:00", "2026-01-05 06:01", 1),
    ],
)
def test_only_the_version_in_force_at_the_cut_counts(history, known_from, known_to, counted):
    columns = "person_id | occurred_at | seen | known_from | known_to"
    drawn = f"{columns}\n1 | 2026-01-03 09:00 | yes | {known_from} | {known_to}"
    assert made(history(contacts=drawn))["count_visit_7d"] == counted


def test_values(history):
    row = made(
        history(
            contacts=visits(
                "2026-01-01 09:00 | yes | 30", "2026-01-03 09:00 | yes | 20", "2026-01-02 09:00 | yes | 55.5"
            )
        )
    )
    assert row["mean_visit_30d"] == pytest.approx(35.1667, abs=1e-4)
    assert (row["min_visit_30d"], row["max_visit_30d"], row["last_visit_30d"]) == (20, 55.5, 20)
    assert row["days_since_visit_30d"] == 1.875


def test_a_value_that_is_not_recorded_is_passed_over_and_the_event_is_not(history):
    row = made(history(contacts=visits("2026-01-01 09:00 | yes | 30", "2026-01-03 09:00 | yes | -")))
    assert (row["count_visit_30d"], row["mean_visit_30d"], row["last_visit_30d"]) == (2, 30, 30)
    assert row["days_since_visit_30d"] == 1.875


def test_the_share_of_missed_contacts(history):
    lines = (
        "2026-01-01 09:00 | no | -",
        "2026-01-02 09:00 | yes | 9",
        "2026-01-03 09:00 | - | -",
        "2026-01-04 09:00 | no | -",
    )
    assert made(history(contacts=visits(*lines)))["share_missed_among_contact_30d"] == 0.5


NEW = """
events:
  visit: {table: contacts, where: seen, value: duration_minutes}
  missed: {table: contacts, where: seen = false}
  hospice: {table: referrals, where: team_type = '14'}
families:
  all:
    title: All
    features:
      - {distinct_days: visit, days: 30}
      - {days_since_first: visit, days: 30}
      - {longest_gap: visit, days: 30}
      - {cadence: visit, days: 30}
      - {rate: visit, days: 30}
      - {ratio: visit, days: 7, against: 30}
      - {run: missed, until: visit, days: 30}
      - {decayed: visit, half_life: 2}
      - {decayed_mean: visit, half_life: 2}
      - {decayed_excess: visit, half_life: 2, against: 30}
      - {sum: visit, days: 30}
      - {first: visit, days: 30}
      - {change: visit, days: 7, against: 30}
      - {slope: visit, days: 30}
      - {open: hospice}
    sentences: [{say: all}]
"""


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("distinct_days_visit_30d", 3),  # 26 December, 1 January (twice) and 3 January
        ("days_since_first_visit_30d", 10),
        ("longest_gap_visit_30d", 6),
        ("cadence_visit_30d", 2 / (8 / 3)),  # two days since the last, of gaps of 6, 0 and 2 days
        ("rate_visit_30d", 4 / 10),  # known for ten days only
        ("ratio_visit_7d_against_30d", 3.25 / (4 * 7 / 10 + 0.5)),
        ("run_missed_until_visit_30d", 2),
        ("decayed_visit_2d", 2**-5 + 2 * 2**-2 + 2**-1),
        ("decayed_mean_visit_2d", (10 / 32 + 20 / 4 + 40 / 4 + 30 / 2) / (1 / 32 + 1 / 4 + 1 / 4 + 1 / 2)),
        ("decayed_excess_visit_2d_against_30d", -15 / 32 - 5 / 4 + 15 / 4 + 5 / 2),  # of a usual 25
        ("sum_visit_30d", 100),
        ("first_visit_30d", 10),
        ("change_visit_7d_against_30d", 30 - 25),
        ("slope_visit_30d", 100 / 36),
        ("open_hospice", 1),
    ],
)
def test_what_the_other_aggregates_mean(history, name, figure):
    contacts = visits(
        "2025-12-26 06:00 | yes | 10",
        "2026-01-01 06:00 | yes | 20",
        "2026-01-01 06:00 | yes | 40",
        "2026-01-02 06:00 | no | -",
        "2026-01-03 06:00 | yes | 30",
        "2026-01-03 07:00 | no | -",
        "2026-01-04 06:00 | no | -",
    )
    referrals = """person_id | team_type | received_at | closed_at
                   1 | 14 | 2026-01-04 06:00 | -
                   1 | 14 | 2025-12-29 06:00 | 2026-01-05 06:00
                   1 | 12 | 2026-01-04 06:00 | -"""
    row = made(history(contacts=contacts, referrals=referrals), catalogue=NEW)
    assert row[name] == pytest.approx(figure)


def test_nothing_known_is_zero_counts_and_nulls_for_the_rest(history):
    row = made(history())
    assert row["count_visit_30d"] == 0
    assert all(math.isnan(row[name]) for name in ("days_since_visit_30d", "mean_visit_30d", "age", "open_referrals"))


def test_personal_facts_as_known_at_the_cut(history):
    row = made(
        history(
            people="""person_id | birth_date | known_from | known_to
                      1 | 1940-01-06 | 2020-01-01 00:00 | 2026-01-06 00:00
                      1 | 1930-01-06 | 2026-01-06 00:00 | -""",
            referrals="""person_id | received_at | closed_at
                         1 | 2025-12-31 06:00 | -
                         1 | 2025-12-26 06:00 | 2026-02-01 00:00
                         1 | 2025-06-01 06:00 | 2025-12-30 00:00""",
        )
    )
    assert (row["age"], row["open_referrals"], row["days_on_caseload"]) == (85, 2, 10)


def test_other_people_do_not_matter(history):
    drawn = "person_id | occurred_at | seen\n2 | 2026-01-03 09:00 | yes"
    assert made(history(contacts=drawn))["count_visit_7d"] == 0
