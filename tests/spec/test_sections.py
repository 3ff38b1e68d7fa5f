"""Which section of a list someone is in: a table that a nurse can read."""

import pandas as pd
import pytest
from drawn import rows_of

from models.sections import LISTED, POORLY, SectionRules, section, sections

PRECEDENCE = """
    change  | home | referred | section
    new     | -    | -        | new_and_rising
    new     | -    | 40       | new_and_rising
    new     | 2    | -        | newly_home
    new     | -    | 1        | newly_home
    new     | 7    | 300      | new_and_rising
    rising  | -    | -        | new_and_rising
    rising  | 2    | 1        | new_and_rising
    steady  | -    | 300      | still_high
    steady  | 6.9  | 300      | newly_home
    steady  | 7    | 7        | still_high
    falling | -    | -        | still_high
    falling | 3    | -        | newly_home
"""


@pytest.mark.parametrize("row", rows_of(PRECEDENCE), ids=lambda row: " ".join(row.values()))
def test_everyone_listed_is_in_one_section(row):
    home, referred = (float("nan") if row[key] == "-" else float(row[key]) for key in ("home", "referred"))
    found = section(row["change"], home, referred, newly_days=7)
    assert found == row["section"]
    assert found in LISTED


UNSEEN = """
    team  | rank | listed | risk | caseload | held | readings | withheld | found
    north | 1    | yes    | 0.30 | 200      | 0    | 0        |          | new_and_rising
    north | 2    | no     | 0.09 | 200      | 9    | 4        |          |
    north | 3    | no     | 0.08 | 200      | 0    | 0        | a lot    |
    north | 4    | no     | 0.07 | 200      | 2    | 0        |          | poorly_observed
    north | 5    | no     | 0.07 | 200      | 0    | 1        |          |
    north | 6    | no     | 0.07 | 29       | 0    | 0        |          |
    north | 7    | no     | 0.06 | 30       | 0    | 0        |          | poorly_observed
    north | 8    | no     | 0.06 | 30       | 0    | 0        |          |
    north | 9    | no     | 0.01 | 30       | 0    | 0        |          |
    south | 1    | no     | 0.30 | 200      | 0    | 0        |          |
    south | 2    | no     | 0.01 | 200      | 0    | 0        |          |
"""


def test_poorly_observed_is_who_is_hardly_seen_with_a_raised_risk_and_is_not_listed():
    drawn = pd.DataFrame(rows_of(UNSEEN))
    numbers = drawn[["rank", "risk", "caseload", "held", "readings"]].astype(float)
    numbers.columns = ["rank", "risk", "days_on_caseload", "held_30d", "readings_30d"]
    ranked = numbers.assign(
        team_id=drawn["team"], listed=drawn["listed"].eq("yes"), withheld=drawn["withheld"], change="new"
    ).assign(home_days=float("nan"), referred_days=float("nan"))
    rules = SectionRules(few_contacts=2, few_readings=0, raised=0.5, poorly_most=2)
    assert sections(ranked, rules) == list(drawn["found"])
    backwards = ranked.iloc[::-1]
    assert sections(backwards, rules) == list(drawn["found"])[::-1]
    none = SectionRules(few_contacts=2, raised=0.5, poorly_most=0)
    assert POORLY not in sections(ranked, none)
