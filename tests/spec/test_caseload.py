"""Who is on a caseload: open referral, recent activity, adult, alive, not an inpatient, as known at the cut."""

import numpy as np
import pytest
from drawn import london

from features.cohort import CaseloadRules, OptedOut, caseload

CUT = "2026-01-05 06:00"
ACTIVE = "person_id | team_id | occurred_at | status | seen\n1 | A | 2026-01-02 10:00 | attended | yes"
OPEN = "person_id | team_id | received_at\n1 | A | 2025-11-01 00:00"


def on_lists(tables, cut=CUT, **rules):
    members, excluded = caseload(tables, [london(cut)], CaseloadRules(**rules), "Europe/London")
    reasons = {
        (row.team_id if isinstance(row.team_id, str) else "-", row.reason): row.people for row in excluded.itertuples()
    }
    return [tuple(row) for row in members[["person_id", "team_id"]].itertuples(index=False)], reasons


def test_a_person_with_an_open_referral_and_a_recent_contact_is_on_that_teams_caseload(history):
    assert on_lists(history(referrals=OPEN, contacts=ACTIVE)) == ([(1, "A")], {("A", "on the caseload"): 1})


def test_a_person_with_open_referrals_to_two_teams_is_on_both(history):
    referrals = OPEN + "\n1 | B | 2026-01-03 00:00"
    assert on_lists(history(referrals=referrals, contacts=ACTIVE))[0] == [(1, "A"), (1, "B")]


@pytest.mark.parametrize(
    ("table", "drawn", "reason"),
    [
        ("people", "person_id | birth_date\n1 | 2008-01-06", "under age"),
        ("people", "person_id | died_at\n1 | 2026-01-03 00:00", "died"),
        (
            "stays",
            "person_id | admitted_at | discharged_at | discharge_method\n1 | 2026-01-02 09:00 | 2026-01-04 12:00 | 4",
            "died",
        ),
        ("stays", "person_id | admitted_at\n1 | 2026-01-04 12:00", "in hospital"),
        ("stays", "person_id | admitted_at | discharged_at\n1 | 2026-01-04 12:00 | 2026-01-05 06:01", "in hospital"),
        (
            "contacts",
            "person_id | team_id | occurred_at | status | seen\n1 | A | 2026-01-02 10:00 | no_access | no",
            "no recent activity",
        ),
        (
            "contacts",
            "person_id | team_id | occurred_at | status | seen\n1 | A | 2026-01-06 10:00 | attended | yes",
            "no recent activity",
        ),
    ],
)
def test_each_exclusion_is_counted_under_its_reason(history, table, drawn, reason):
    tables = history(
        **{"referrals": "person_id | team_id | received_at\n1 | A | 2025-06-01 00:00", "contacts": ACTIVE}
        | {table: drawn}
    )
    assert on_lists(tables) == ([], {("A", reason): 1})


@pytest.mark.parametrize(
    ("table", "drawn"),
    [
        ("people", "person_id | birth_date\n1 | 2008-01-05"),  # eighteen today
        ("people", "person_id | died_at | known_from\n1 | 2026-01-03 00:00 | 2026-01-05 06:01"),  # not known yet
        (
            "stays",
            "person_id | admitted_at | discharged_at\n1 | 2026-01-01 12:00 | 2026-01-05 06:00",
        ),  # home at the cut
        ("stays", "person_id | admitted_at | patient_class\n1 | 2026-01-04 12:00 | 2"),  # a day case
        ("stays", "person_id | admitted_at\n1 | 2025-05-01 12:00"),  # open for eight months: discharge never sent
        ("stays", "person_id | admitted_at | known_from\n1 | 2026-01-04 12:00 | 2026-01-05 06:01"),  # not known yet
        ("stays", "person_id | admitted_at | known_to\n1 | 2026-01-04 12:00 | 2026-01-05 06:00"),  # deleted by then
    ],
)
def test_what_does_not_exclude(history, table, drawn):
    tables = history(**{"referrals": OPEN, "contacts": ACTIVE, table: drawn})
    assert on_lists(tables)[0] == [(1, "A")]


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("person_id | team_id | received_at | closed_at\n1 | A | 2025-11-01 00:00 | 2026-01-05 06:00", []),
        ("person_id | team_id | received_at | closed_at\n1 | A | 2025-11-01 00:00 | 2026-01-09 00:00", [(1, "A")]),
        ("person_id | team_id | received_at\n1 | A | 2026-01-05 06:00", []),
        ("person_id | team_id | received_at | known_from\n1 | A | 2025-11-01 00:00 | 2026-01-05 06:00", [(1, "A")]),
        ("person_id | team_id | received_at | known_from\n1 | A | 2025-11-01 00:00 | 2026-01-05 06:01", []),
    ],
)
def test_a_referral_counts_while_it_is_open_and_known(history, drawn, expected):
    assert on_lists(history(referrals=drawn, contacts=ACTIVE))[0] == expected


def test_a_new_referral_is_recent_activity_even_before_the_first_contact(history):
    assert on_lists(history(referrals="person_id | team_id | received_at\n1 | A | 2025-12-20 00:00"))[0] == [(1, "A")]


def test_a_referral_without_a_team_is_counted_and_on_no_list(history):
    tables = history(referrals="person_id | team_id | received_at\n1 | - | 2025-12-20 00:00", contacts=ACTIVE)
    assert on_lists(tables) == ([], {("-", "no team named"): 1})


def test_services_that_are_not_scored_are_counted_and_on_no_list(history):
    tables = history(
        referrals="person_id | team_id | team_type | received_at\n1 | A | 27 | 2025-12-20 00:00", contacts=ACTIVE
    )
    assert on_lists(tables, leave_out_team_types=("27",)) == ([], {("A", "service not scored"): 1})


def test_days_on_caseload_and_last_seen_are_the_teams_own(history):
    contacts = ACTIVE + "\n1 | B | 2026-01-04 10:00 | attended | yes"
    members, _ = caseload(history(referrals=OPEN, contacts=contacts), [london(CUT)], CaseloadRules(), "Europe/London")
    assert members["last_seen"].tolist() == [london("2026-01-02 10:00")]
    assert members["days_on_caseload"].tolist() == [65.25]


def test_thinned_cuts_take_each_person_once_in_so_many(history):
    days = [london(f"2026-01-{day:02} 06:00") for day in range(5, 19)]
    everyone = "\n".join(f"{person} | A | 2025-12-20 00:00" for person in range(20))
    tables = history(referrals="person_id | team_id | received_at\n" + everyone)
    members, _ = caseload(tables, days, CaseloadRules(), "Europe/London", every=7)
    assert (members.groupby("person_id").size() == 2).all()


def opted(tables, *people, keeps=False):
    chosen = OptedOut(np.array(people, np.int64), keeps)
    members, excluded = caseload(tables, [london(CUT)], CaseloadRules(), "Europe/London", opted_out=chosen)
    counted = {
        (row.team_id if isinstance(row.team_id, str) else "-", row.reason): row.people for row in excluded.itertuples()
    }
    return sorted(zip(members["person_id"], members["team_id"], strict=True)), counted


def test_who_opted_out_is_on_no_caseload_and_is_counted_once_under_no_team(history):
    referrals = OPEN + "\n1 | B | 2026-01-03 00:00\n2 | B | 2026-01-03 00:00\n3 | B | 2025-01-03 00:00"
    tables = history(referrals=referrals, contacts=ACTIVE)
    for members, counted in (opted(tables, 1, 3), opted(tables, 2, keeps=True)):
        assert members == [(2, "B")]
        inactive = {("B", "no recent activity"): 1}
        assert counted == {("B", "on the caseload"): 1, **inactive, ("-", "national opt-out"): 1}
    assert opted(tables) == (
        [(1, "A"), (1, "B"), (2, "B")],
        {("A", "on the caseload"): 1, ("B", "on the caseload"): 2, **inactive},
    )
