"""What a team's list says, as tables."""

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, ContractError
from models.ranking import COLUMNS, Capacities, capacity, in_words, rank, tie_order
from models.rules import rule_scores

MONDAY, TUESDAY, FRIDAY, SATURDAY = (
    pd.Timestamp(f"2025-06-0{day} 05:00", tz="UTC").as_unit("us") for day in (2, 3, 6, 7)
)
KEY = b"a test's key"
TWO = Capacities(fixed={"A": 2, "B": 1})


@pytest.mark.parametrize(
    ("n", "settings", "places"),
    [
        (465, {}, 23),
        (470, {}, 24),  # 23.5 is rounded up
        (100, {}, 5),
        (60, {}, 5),  # never fewer than 5 ...
        (3, {}, 3),  # ... but nobody is listed twice
        (0, {}, 0),
        (200, {"share": 0.1}, 20),
        (200, {"fixed": 12}, 12),
        (8, {"fixed": 12}, 8),
        (200, {"fixed": 0}, 0),
    ],
)
def test_capacity(n, settings, places):
    assert capacity(n, **settings) == places


@pytest.mark.parametrize(
    ("risk", "words"),
    [
        (1.0, "more likely than not"),
        (0.51, "more likely than not"),
        (0.5, "about 1 in 2"),
        (0.3, "about 1 in 3"),
        (0.125, "about 1 in 8"),
        (0.05, "about 1 in 20"),
        (0.045, "about 1 in 20"),
        (0.04, "about 1 in 25"),
        (0.022, "about 1 in 50"),
        (0.01, "about 1 in 100"),
        (0.0067, "about 1 in 150"),
        (0.005, "about 1 in 200"),
        (0.0049, "less than 1 in 200"),
        (0.0, "less than 1 in 200"),
    ],
)
def test_a_risk_in_words(risk, words):
    assert in_words(risk) == words


@pytest.mark.parametrize("risk", [-0.1, 1.1, float("nan")])
def test_what_is_no_risk_has_no_words(risk):
    with pytest.raises(ContractError, match="between 0 and 1"):
        in_words(risk)


def scored(at, **risks):
    """Scores of people named p<number>."""
    people = [int(name[1:]) for name in risks]
    values = np.array(list(risks.values()), dtype=float)
    return pd.DataFrame({"person_id": people, "as_of": at, "score": np.log(values / (1 - values)), "risk": values})


def caseload(at, **teams):
    rows = [(person, at, team, 30.0, pd.NaT) for team, people in teams.items() for person in people]
    frame = pd.DataFrame(rows, columns=["person_id", "as_of", "team_id", "days_on_caseload", "last_seen"])
    return frame.assign(last_seen=pd.to_datetime(frame["last_seen"], utc=True), last_seen_by=None)


def test_each_team_has_its_own_order_and_places():
    lists = rank(
        scored(MONDAY, p1=0.3, p2=0.1, p3=0.2, p4=0.05),
        caseload(MONDAY, A=[1, 2, 3], B=[3, 4]),
        key=KEY,
        capacities=TWO,
    )
    told = lists[["team_id", "person_id", "rank", "listed", "also_with", "change", "days_on_list"]]
    assert told.values.tolist() == [
        ["A", 1, 1, True, "", "new", 1],
        ["A", 3, 2, True, "B", "new", 1],
        ["A", 2, 3, False, "", "new", 0],
        ["B", 3, 1, True, "A", "new", 1],
        ["B", 4, 2, False, "", "new", 0],
    ]
    assert list(lists.columns) == COLUMNS
    assert (lists["days_on_caseload"] == 30).all()


@pytest.mark.parametrize(
    ("before", "now", "listed", "change", "days"),
    [
        pytest.param(0.20, 0.21, True, "steady", 2, id="as yesterday"),
        pytest.param(0.20, 0.25, True, "rising", 2, id="a quarter more"),
        pytest.param(0.20, 0.16, True, "falling", 2, id="a fifth less"),
        pytest.param(0.05, 0.21, True, "new", 1, id="was below the line"),
        pytest.param(None, 0.21, True, "new", 1, id="was not on the caseload"),
        pytest.param(0.05, 0.08, False, "rising", 0, id="rising below the line"),
        pytest.param(0.20, 0.08, False, "falling", 0, id="left the list"),
        pytest.param(None, 0.08, False, "new", 0, id="new below the line"),
    ],
)
def test_what_changed_since_the_last_list(before, now, listed, change, days):
    people = {"p2": 0.10, "p3": 0.15}
    first = {**people, "p1": before} if before is not None else people
    yesterday = rank(scored(MONDAY, **first), caseload(MONDAY, A=[int(p[1:]) for p in first]), key=KEY, capacities=TWO)
    today = rank(
        scored(TUESDAY, p1=now, **people), caseload(TUESDAY, A=[1, 2, 3]), key=KEY, capacities=TWO, previous=yesterday
    )
    row = today.set_index("person_id").loc[1]
    assert (row["listed"], row["change"], row["days_on_list"]) == (listed, change, days)
    assert row["previous_risk"] == pytest.approx(before if before is not None else float("nan"), nan_ok=True)


def test_days_on_the_list_count_days_not_lists():
    people, team = {"p1": 0.3, "p2": 0.2}, {"A": [1, 2]}
    previous = None
    for at in (MONDAY, TUESDAY, FRIDAY):
        made = rank(scored(at, **people), caseload(at, **team), key=KEY, capacities=TWO, previous=previous)
        previous = made if previous is None else pd.concat([previous, made])
    assert made["days_on_list"].tolist() == [5, 5]


@pytest.mark.parametrize(
    ("at", "change", "previous_risk", "days"),
    [
        pytest.param(FRIDAY, "steady", 0.3, 4, id="three days later the run goes on"),
        pytest.param(FRIDAY + pd.Timedelta(hours=1), "steady", 0.3, 4, id="a clock change is no gap"),
        pytest.param(SATURDAY, "new", float("nan"), 1, id="after four days it starts anew"),
    ],
)
def test_a_run_ends_where_lists_were_not_made(at, change, previous_risk, days):
    people, team = {"p1": 0.3, "p2": 0.2}, {"A": [1, 2]}
    last = rank(scored(TUESDAY, **people), caseload(TUESDAY, **team), key=KEY, capacities=TWO)
    today = rank(scored(at, **people), caseload(at, **team), key=KEY, capacities=TWO, previous=last)
    row = today.set_index("person_id").loc[1]
    assert (row["change"], row["days_on_list"]) == (change, days)
    assert row["previous_risk"] == pytest.approx(previous_risk, nan_ok=True)


def test_a_gap_is_each_teams_own():
    people = {"p1": 0.3, "p2": 0.2}
    first = rank(scored(MONDAY, **people), caseload(MONDAY, A=[1], B=[2]), key=KEY, capacities=TWO)
    second = rank(scored(TUESDAY, **people), caseload(TUESDAY, A=[1]), key=KEY, capacities=TWO, previous=first)
    today = rank(
        scored(FRIDAY, **people),
        caseload(FRIDAY, A=[1], B=[2]),
        key=KEY,
        capacities=TWO,
        previous=pd.concat([first, second]),
    )
    assert today[["team_id", "change", "days_on_list"]].values.tolist() == [["A", "steady", 5], ["B", "new", 1]]


@pytest.mark.parametrize(
    ("was", "now", "before", "change", "previous_risk"),
    [
        pytest.param("7", "7", 0.20, "rising", 0.20, id="the same model"),
        pytest.param("7", "8", 0.20, "steady", float("nan"), id="another model, listed before"),
        pytest.param("7", "8", 0.05, "new", float("nan"), id="another model, not listed before"),
        pytest.param(None, "8", 0.20, "rising", 0.20, id="the last list does not say"),
        pytest.param("7", None, 0.20, "rising", 0.20, id="this list does not say"),
    ],
)
def test_two_models_risks_are_not_compared(was, now, before, change, previous_risk):
    people, team = {"p2": 0.10, "p3": 0.15}, {"A": [1, 2, 3]}
    yesterday = rank(
        scored(MONDAY, p1=before, **people), caseload(MONDAY, **team), key=KEY, capacities=TWO, model_version=was
    )
    today = rank(
        scored(TUESDAY, p1=0.3, **people),
        caseload(TUESDAY, **team),
        key=KEY,
        capacities=TWO,
        previous=yesterday,
        model_version=now,
    )
    row = today.set_index("person_id").loc[1]
    assert (row["change"], row["days_on_list"]) == (change, 1 if change == "new" else 2)
    assert row["previous_risk"] == pytest.approx(previous_risk, nan_ok=True)
    assert list(today.columns) == (COLUMNS if now is None else [*COLUMNS, "model_version"])
    assert now is None or (today["model_version"] == now).all()


def test_lists_of_the_same_or_a_later_cut_are_not_looked_back_on():
    people, team = {"p1": 0.3, "p2": 0.2}, {"A": [1, 2]}
    later = rank(scored(FRIDAY, **people), caseload(FRIDAY, **team), key=KEY, capacities=TWO)
    alone = rank(scored(MONDAY, **people), caseload(MONDAY, **team), key=KEY, capacities=TWO)
    again = rank(
        scored(MONDAY, **people),
        caseload(MONDAY, **team),
        key=KEY,
        capacities=TWO,
        previous=pd.concat([alone, later]),
    )
    pd.testing.assert_frame_equal(again, alone)


def test_row_order_changes_nothing_and_ties_follow_the_key():
    people = list(range(60))
    scores = scored(MONDAY, **{f"p{person}": 0.1 + 0.1 * (person % 3) for person in people})
    held = caseload(MONDAY, A=people, B=people[::2])
    lists = rank(scores, held, key=KEY, capacities=Capacities())
    for seed in range(5):
        mixed = scores.sample(frac=1, random_state=seed), held.sample(frac=1, random_state=seed + 10)
        pd.testing.assert_frame_equal(rank(*mixed, key=KEY, capacities=Capacities()), lists)
    other = rank(scores, held, key=b"another", capacities=Capacities())
    assert other["person_id"].tolist() != lists["person_id"].tolist()
    assert other["score"].tolist() == lists["score"].tolist()


def test_the_order_of_ties_is_fixed_for_ever():
    rows = pd.DataFrame({"person_id": [1, -2], "as_of": [MONDAY, MONDAY]})
    assert [f"{number:016x}" for number in tie_order(rows, b"key")] == ["c84a6da6367e03cd", "9c4f9718727b1f6f"]


def test_one_cut_everyone_scored_nobody_twice():
    scores, held = scored(MONDAY, p1=0.3, p2=0.2), caseload(MONDAY, A=[1, 2])
    for wrong, words in (
        ((scores, pd.concat([held, caseload(TUESDAY, A=[1])])), "one cut; found 2"),
        ((scores.head(1), held), "1 of 2 rows have not"),
        ((scores, held.assign(team_id=[None, "A"])), "1 of 2 rows have not"),
        ((pd.concat([scores, scores]), held), "duplicates"),
        ((scores, pd.concat([held, held])), "duplicates"),
    ):
        with pytest.raises(ContractError, match=words):
            rank(*wrong, key=KEY, capacities=TWO)


def test_an_empty_caseload_makes_an_empty_list():
    lists = rank(scored(MONDAY, p1=0.3), caseload(MONDAY, A=[1]).iloc[:0], key=KEY, capacities=TWO)
    assert lists.empty
    assert list(lists.columns) == COLUMNS


RULES = {
    "points": [("unscheduled_7d", 3.0, None), ("news", 2.0, 5.0)],
    "recent discharge": [("days_since_discharge", -1.0, None)],
}


@pytest.mark.parametrize(
    ("unscheduled", "news", "days", "points", "recency"),
    [
        (0, 2, 10, 0, -10),
        (2, 5, 3, 8, -3),
        (1, float("nan"), float("nan"), 3, -36_525),
    ],
)
def test_rules_as_scores(unscheduled, news, days, points, recency):
    row = {"unscheduled_7d": unscheduled, "news": news, "days_since_discharge": days}
    table = pd.DataFrame({"person_id": [1], "as_of": [MONDAY], **{name: [float(v)] for name, v in row.items()}})
    told = rule_scores(table, RULES)
    assert told[["points", "recent discharge"]].values.tolist() == [[points, recency]]


def test_a_rule_on_an_unknown_feature_names_the_nearest():
    table = pd.DataFrame({"person_id": [1], "as_of": [MONDAY], "unscheduled_7d": [1.0]})
    with pytest.raises(ConfigError, match="did you mean 'unscheduled_7d'"):
        rule_scores(table, {"points": [("unscheduled_7", 1.0, None)]})
