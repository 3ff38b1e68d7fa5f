"""What a commissioner is shown: counts from which nobody can be told, and pseudonyms that lead nowhere."""

import pandas as pd
import pytest

from pipelines.commissioning import NOT_SHOWN, counts, pseudonymised

TEAMS = pd.DataFrame({"team_id": ["a", "b", "c"], "name": ["A", "B", "C"], "caseload": [200, 40, 9]})
KEY = b"k" * 32


def ranking(**listed: tuple[int, int]) -> pd.DataFrame:
    """For each team so many listed at 1 in 5, and so many at 1 in 100; one more who is not listed."""
    rows = []
    for team, (high, low) in listed.items():
        risks = [0.2] * high + [0.01] * low
        rows += [(team, place, risk, True) for place, risk in enumerate(risks, 1)] + [(team, 99, 0.001, False)]
    frame = pd.DataFrame(rows, columns=["team_id", "rank", "risk", "listed"])
    return frame.assign(person_id=range(len(frame)), change="new", days_on_list=1)


@pytest.mark.parametrize(
    ("high", "low", "listed", "at_high"),
    [
        (10, 10, "20", "10"),
        (10, 9, "19", NOT_SHOWN),  # 19 less 10 would tell of the 9
        (9, 10, "19", NOT_SHOWN),
        (0, 12, "12", NOT_SHOWN),
        (4, 5, NOT_SHOWN, NOT_SHOWN),
        (0, 0, NOT_SHOWN, NOT_SHOWN),
    ],
)
def test_small_numbers_and_what_gives_them_away_are_not_shown(high: int, low: int, listed: str, at_high: str) -> None:
    told = counts(ranking(a=(high, low)), TEAMS).set_index("team_id").loc["a"]
    assert (told["listed"], told["listed_at_1_in_10_or_more"]) == (listed, at_high)


def test_every_team_is_there_and_a_small_caseload_is_not_told() -> None:
    told = counts(ranking(a=(10, 10)), TEAMS)
    assert told["caseload"].tolist() == ["200", "40", NOT_SHOWN]


def test_people_are_listed_by_a_pseudonym_of_their_own() -> None:
    ranked = ranking(a=(3, 9), b=(2, 2))
    people = pseudonymised(ranked, TEAMS, KEY)
    assert people["team_id"].unique().tolist() == ["a"], "four people would be known by their number"
    assert people["rank"].tolist() == list(range(1, 13))
    assert people["person"].is_unique
    assert people["person"].str.fullmatch("[0-9a-f]{16}").all()
    assert pseudonymised(ranked, TEAMS, KEY).equals(people)
    assert not set(pseudonymised(ranked, TEAMS, b"z" * 32)["person"]) & set(people["person"])
    assert not {"age", "sex", "person_id", "last_seen"} & set(people)
