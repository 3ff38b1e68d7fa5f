"""Whose lists there are: each team's, one over several teams, each practice's, or one over several practices."""

import pandas as pd
import pytest
from drawn import london
from pydantic import ValidationError

from features.cohort import CaseloadRules, caseload
from pipelines.config import ListsConfig
from pipelines.grouping import NO_PRACTICE, grouped, list_ids, teams_on

AS_OF = london("2026-01-12 06:00")
PEOPLE = """
    person_id | birth_date | practice_code
    1         | 1940-01-01 | E1
    2         | 1941-01-01 | E2
    3         | 1942-01-01 | -
"""
REFERRALS = """
    person_id | team_id | received_at
    1         | dn      | 2026-01-01 09:00
    1         | ltc     | 2025-12-01 09:00
    2         | ltc     | 2026-01-02 09:00
    2         | eol     | 2026-01-03 09:00
    3         | eol     | 2026-01-04 09:00
    3         | -       | 2026-01-05 09:00
"""
CONTACTS = """
    person_id | team_id | occurred_at      | status   | seen | medium
    1         | dn      | 2026-01-05 09:00 | attended | yes  | face_to_face
    1         | ltc     | 2026-01-09 09:00 | attended | yes  | telephone
    2         | eol     | 2026-01-10 09:00 | attended | yes  | video
"""


def on_lists(history, **lists):
    tables = history(people=PEOPLE, referrals=REFERRALS, contacts=CONTACTS)
    members, excluded = caseload(grouped(tables, ListsConfig(**lists)), [AS_OF], CaseloadRules(), "Europe/London")
    of = excluded.assign(team_id=excluded["team_id"].fillna("none named"))
    return members, {(row.team_id, row.reason): row.people for row in of.itertuples()}


def pairs(members):
    return sorted(zip(members["team_id"], members["person_id"], strict=True))


def test_each_team_has_a_list_of_its_own(history):
    members, excluded = on_lists(history)
    assert pairs(members) == [("dn", 1), ("eol", 2), ("eol", 3), ("ltc", 1), ("ltc", 2)]
    assert excluded["none named", "no team named"] == 1


def test_teams_in_a_group_share_a_list_on_which_a_person_is_once(history):
    members, excluded = on_lists(history, groups={"Hub": ["dn", "ltc"], "Late": ["eol", "ltc"]})
    assert pairs(members) == [("Hub", 1), ("Hub", 2), ("Late", 1), ("Late", 2), ("Late", 3)]
    assert excluded == {
        ("none named", "no team named"): 1,
        ("Hub", "on the caseload"): 2,
        ("Late", "on the caseload"): 3,
    }
    one = members[(members["team_id"] == "Hub") & (members["person_id"] == 1)].iloc[0]
    assert (one["last_seen"], one["last_seen_by"]) == (pd.Timestamp(london("2026-01-09 09:00")), "telephone")
    assert one["days_on_caseload"] == pytest.approx(41.875)


def test_a_team_in_no_group_keeps_its_own_list(history):
    members, _ = on_lists(history, groups={"Hub": ["dn", "ltc"]})
    assert pairs(members) == [("Hub", 1), ("Hub", 2), ("eol", 2), ("eol", 3)]


def test_a_practice_has_a_list_and_a_locality_is_a_group_of_practices(history):
    members, excluded = on_lists(history, group_by="practice")
    assert pairs(members) == [("E1", 1), ("E2", 2), (NO_PRACTICE, 3)]
    assert excluded["none named", "no team named"] == 1
    members, _ = on_lists(history, group_by="practice", groups={"North": ["E1", "E2"]})
    assert pairs(members) == [(NO_PRACTICE, 3), ("North", 1), ("North", 2)]
    assert members.loc[members["person_id"] == 1, "last_seen_by"].tolist() == ["telephone"]


def test_a_list_says_whose_it_is():
    lists = ListsConfig(groups={"Hub": ["dn", "ltc"]}, team_names={"dn": "District nursing", "eol": "End of life"})
    assert list_ids(lists) == {"Hub", "eol"}
    assert teams_on("Hub", ["ltc", "eol", "dn"], lists) == ["dn", "ltc"]
    assert teams_on("eol", ["eol"], lists) == []
    by_practice = ListsConfig(group_by="practice", groups={"North": ["E1"]}, team_names={"dn": "District nursing"})
    assert list_ids(by_practice) == {"North"}
    assert teams_on("E2", ["ltc", "dn"], by_practice) == ["dn", "ltc"]


def test_what_cannot_be_grouped_is_refused():
    with pytest.raises(ValidationError, match="the history holds no locality of a person; name each as a group"):
        ListsConfig(group_by="locality")
    with pytest.raises(ValidationError, match="a group needs a name that is no team's or practice's; 'dn' is one"):
        ListsConfig(groups={"dn": ["dn", "ltc"]})
