"""The evaluation, on a fortnight of two teams small enough to count by hand, and its figures."""

import numpy as np
import pandas as pd
import pytest

from features.errors import ContractError, NotReadyError
from models import metrics
from models.evaluation import LIST_MEASURES, RISK_MEASURES, ROW_MEASURES, Resampling, evaluate
from models.figures import figures
from models.ranking import Capacities

START = pd.Timestamp("2025-01-06 06:00", tz="UTC").as_unit("us")
ADMITTED = {3: START + pd.Timedelta(days=9, hours=5), 7: START + pd.Timedelta(days=4, hours=1)}
DAYS = 12
TWO_EACH = Capacities(fixed={"A": 2, "B": 2})
QUICK = Resampling(draws=50, seed=1)


def fortnight():
    """Ten people, five on each team, daily until admitted. The score of 3 and 7 rises over their last three days; 0 is
    found to have been in hospital already on day 2, and 9 dies after day 10."""
    rows = []
    for day in range(DAYS):
        at = START + pd.Timedelta(days=day)
        for person in range(10):
            admitted = ADMITTED.get(person, pd.NaT)
            if admitted is not pd.NaT and admitted < at:
                continue
            ahead = (admitted - at) / pd.Timedelta(days=1) if admitted is not pd.NaT else np.inf
            risk = 0.9 - 0.1 * ahead if ahead < 3 else 0.05 + 0.01 * person
            state = "already_admitted" if (person, day) == (0, 2) else "immature" if day == 11 else "usable"
            coming = ahead < 9
            row = (person, at, risk, int(coming), admitted if coming else pd.NaT, state, person == 9 and day == 10)
            rows.append(row)
    columns = ["person_id", "as_of", "risk", "label", "admitted_at", "state", "died"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(admitted_at=pd.to_datetime(frame["admitted_at"], utc=True).dt.as_unit("us"))


WORLD = fortnight()
KEYS = WORLD[["person_id", "as_of"]]
LABELS = WORLD[["person_id", "as_of", "label", "admitted_at", "state", "died"]]
SCORES = KEYS.assign(score=np.log(WORLD["risk"] / (1 - WORLD["risk"])), risk=WORLD["risk"])
TEAMS = KEYS.assign(team_id=np.where(WORLD["person_id"] < 5, "A", "B"), days_on_caseload=10.0, last_seen=pd.NaT)
RULES = KEYS.assign(youngest=-WORLD["person_id"], nothing=0.0)


def judged(scores=SCORES, labels=LABELS, teams=TEAMS, rules=RULES, **given):
    return evaluate(scores, labels, teams, rules, capacities=TWO_EACH, key=b"key", resampling=QUICK, **given)


EVALUATION = judged(lead="forest")


def value(measure, model="forest"):
    found = EVALUATION.overall.set_index(["model", "measure"])["value"]
    return found[model, measure]


def test_every_model_has_every_measure_it_can_have():
    measures = EVALUATION.overall.groupby("model", sort=False)["measure"].agg(set).to_dict()
    ranking = {*ROW_MEASURES, *LIST_MEASURES}
    assert measures == {"forest": ranking | {*RISK_MEASURES}, "youngest": ranking, "nothing": ranking}
    known = EVALUATION.overall.dropna()
    assert (known["low"] <= known["high"]).all()


def test_row_measures_are_those_of_the_usable_rows():
    usable = WORLD[WORLD["state"] == "usable"]
    assert value("auroc") == pytest.approx(metrics.auroc(usable["label"], usable["risk"]))
    assert value("brier") == pytest.approx(metrics.brier(usable["label"], usable["risk"]))
    assert value("auroc", "nothing") == pytest.approx(0.5)


def test_list_measures_by_hand():
    # Team A lists 4 and 3 until 3 goes into hospital on day 9, then 4 and 2; B lists 9 and 8 or, in its last three
    # days, 7. Of 22 usable lists' 44 places, 3 fills ten while a positive (days 1-9; day 0 is ten days ahead: no hit).
    hits = 9 + 3
    positives = 9 + 5
    assert value("ppv") == pytest.approx(hits / 44)
    assert value("recall") == pytest.approx(hits / positives)
    assert value("nne") == pytest.approx(44 / hits)


def test_differences_are_the_lead_minus_the_others_on_the_same_resamples():
    table = EVALUATION.differences.set_index(["model", "measure"])
    assert table.loc[("youngest", "ppv"), "value"] == pytest.approx(value("ppv") - value("ppv", "youngest"))
    same = judged(rules=KEYS.assign(copy=SCORES["score"])).differences
    assert (same[["value", "low", "high"]] == 0).all(axis=None)


def test_lead_time_follows_each_admission_back():
    table = EVALUATION.lead_time[EVALUATION.lead_time["model"] == "forest"].set_index("days_before")
    # 3 is listed on all nine days before; 7 is on a caseload for five days before, and listed on the last three.
    assert table["admissions"].tolist() == [2, 2, 2, 2, 2, 1, 1, 1, 1]
    assert table["listed"].tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 1]
    assert table["share"].tolist() == [1, 1, 1, 0.5, 0.5, 1, 1, 1, 1]


def test_notice_is_of_all_admissions():
    table = EVALUATION.notice[EVALUATION.notice["model"] == "forest"].set_index("days_before")
    assert table["admissions"].tolist() == [2, 2, 2, 2]
    assert table["listed"].to_dict() == {1: 2, 2: 2, 3: 2, 5: 1}


def test_episodes_by_hand():
    table = EVALUATION.episodes.set_index("model").loc["forest"]
    # A: 4 (12 days usable or not, 11 settled), 3 (ten days), 2 (day 10). B: 9 (11 days), 8 (days 0-1, and from day 5:
    # a gap of 4 days parts them), 7 (three days).
    assert table["lists"] == 22
    assert table["people"] == 6
    assert table["episodes"] == 7
    assert table["ppv"] == pytest.approx(2 / 7)
    assert table["mean_days"] == pytest.approx((11 + 10 + 1 + 11 + 2 + 6 + 3) / 7)


def test_teams_add_up_to_the_whole():
    teams = EVALUATION.teams
    assert teams["team_id"].tolist() == ["A", "B"]
    assert teams["rows"].sum() == EVALUATION.counts["rows"]
    assert teams["listed"].tolist() == [22, 22]
    assert teams["hits"].tolist() == [9, 3]
    assert teams["observed"].tolist() == [9, 5]
    assert teams["expected"].sum() == pytest.approx(WORLD.loc[WORLD["state"] == "usable", "risk"].sum())


def test_counts_account_for_every_row():
    counts = EVALUATION.counts
    assert counts["rows"] + counts["already_admitted"] + counts["immature"] + counts["unlabelled"] == len(WORLD)
    assert (counts["already_admitted"], counts["immature"]) == (1, 8)
    assert (counts["admissions"], counts["positives"]) == (2, 14)
    assert (counts["deaths"], counts["deaths_listed"]) == (1, 1)


def test_people_already_admitted_take_places_but_are_no_hits():
    # On day 2 the score of 0 is now the highest of team A: 4 keeps the other place, and 3, a positive, has none.
    on_day_2 = (WORLD["person_id"] == 0) & (WORLD["state"] == "already_admitted")
    labels = LABELS.assign(label=LABELS["label"].where(~on_day_2, 1))
    found = judged(SCORES.assign(score=SCORES["score"].where(~on_day_2, 50.0)), labels)
    assert (found.counts["already_admitted_listed"], found.counts["listed"]) == (1, 44)
    measured = found.overall.set_index(["model", "measure"])["value"].loc["model"]
    hits = 8 + 3
    assert measured["ppv"] == pytest.approx(hits / 44)
    assert measured["nne"] == pytest.approx(44 / hits)
    assert measured["recall"] == pytest.approx(hits / 14)
    settled = int(WORLD["state"].isin(["usable", "already_admitted"]).sum())
    assert measured["lift"] == pytest.approx((hits / 44) / (14 / settled))
    team = found.teams.set_index("team_id").loc["A"]
    assert (team["listed"], team["hits"], team["observed"]) == (22, hits - 3, 9)
    assert team["ppv"] == pytest.approx((hits - 3) / 22)
    for measure in ("brier", "calibration_slope"):
        assert measured[measure] == pytest.approx(value(measure))


def test_rows_without_a_label_are_counted_and_left_out():
    known = LABELS[LABELS["person_id"] != 4]
    found = judged(labels=known)
    assert found.counts["unlabelled"] == (WORLD["person_id"] == 4).sum()
    assert 4 not in set(SCORES.merge(known)["person_id"])
    assert found.counts["people"] == EVALUATION.counts["people"] - 1


def test_calibration_tenths_hold_every_usable_row():
    table = EVALUATION.calibration
    assert table["rows"].sum() == EVALUATION.counts["rows"]
    assert table["predicted"].is_monotonic_increasing
    assert (table["rows"] * table["observed"]).sum() == pytest.approx(EVALUATION.counts["positives"])


def test_row_order_changes_nothing():
    mixed = [frame.sample(frac=1, random_state=seed) for seed, frame in enumerate((SCORES, LABELS, TEAMS, RULES))]
    again = judged(*mixed, lead="forest")
    for name in ("overall", "differences", "teams", "lead_time", "notice", "episodes", "calibration"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(EVALUATION, name))
    assert again.counts == EVALUATION.counts


def test_nobody_admitted_cannot_be_judged():
    with pytest.raises(NotReadyError, match="found 0 of"):
        judged(labels=LABELS.assign(label=0))


def test_a_rule_without_scores_for_some_rows_is_refused():
    with pytest.raises(ContractError, match="score the same rows"):
        judged(rules=RULES.iloc[1:])


def test_figures_draw_every_model_and_admit_their_numbers():
    drawn = figures(EVALUATION)
    assert set(drawn) == {"precision_recall", "calibration", "lead_time", "risk_distribution"}
    for name in ("precision_recall", "lead_time"):
        axes = drawn[name].axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["forest", "youngest", "nothing"]
    assert "2 admissions" in drawn["lead_time"].axes[0].get_title(loc="left")
    line = drawn["lead_time"].axes[0].lines[0]
    assert line.get_ydata().tolist() == [1, 1, 1, 0.5, 0.5, 1, 1, 1, 1]


def test_figures_can_be_written(tmp_path):
    for name, figure in figures(EVALUATION).items():
        figure.savefig(tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size > 5_000
