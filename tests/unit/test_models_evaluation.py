"""The evaluation, on a fortnight of two teams small enough to count by hand, and its figures."""

import numpy as np
import pandas as pd
import pytest

from features.errors import ContractError, NotReadyError
from models import metrics
from models.evaluation import LIST_MEASURES, RISK_MEASURES, ROW_MEASURES, evaluate
from models.figures import figures
from models.ranking import Capacities
from models.resampling import Resampling
from models.settings import WITHIN
from models.subgroups import NEVER_SEEN, SMALLEST, _hidden

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


TRAITS = KEYS.assign(
    age=np.where(WORLD["person_id"] < 7, "65 to 84", None),
    training=np.where(WORLD["person_id"] >= 7, NEVER_SEEN, "seen in training"),
    known=WORLD["person_id"] == 9,
)


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


def test_retention_by_hand():
    # A: 3 and 4 stay from day to day until 3 is gone from day 10 on; on day 10, 2 has come and 4 stayed. B: 9 stays;
    # 8 is listed until day 1, from day 2 to 4 it is 7, from day 5 on 8 again. A cut is followed by another ten times.
    followed = 10 * 4
    left = 1 + 1 + 1
    assert EVALUATION.episodes.set_index("model").loc["forest", "retention"] == pytest.approx(1 - left / followed)


def test_a_missing_day_is_nobodys_next_day():
    whole = WORLD["as_of"] != START + pd.Timedelta(days=6)
    found = judged(*(frame[whole.to_numpy()] for frame in (SCORES, LABELS, TEAMS, RULES)))
    assert found.episodes.set_index("model").loc["model", "retention"] == pytest.approx(1 - 3 / (8 * 4))


def test_groups_by_hand_where_nothing_is_small():
    table = judged(traits=TRAITS).contrasts
    assert table.empty
    table = judged(traits=TRAITS, against="youngest").contrasts.set_index(["group", "value"])
    assert list(table.index) == [
        ("age", "65 to 84"),
        ("age", "not recorded"),
        ("training", NEVER_SEEN),
        ("training", "seen in training"),
        ("team_id", "A"),
        ("team_id", "B"),
    ]
    # 3 is listed on all nine days before and never by the rule; 7 on three of five, and by the rule never.
    assert table.loc[("team_id", "A"), ["admissions", "lead", "other", "difference"]].tolist() == [1, 1, 0, 1]
    assert table.loc[("team_id", "B"), ["lead", "difference"]].tolist() == pytest.approx([0.6, 0.6])


def test_small_numbers_are_hidden_and_cannot_be_worked_out():
    counts = pd.DataFrame(
        {"people": [40, 30, 20, 9, 50, 60], "admissions": [30, 20, 9, 3, 12, 40], "group": ["age"] * 4 + ["sex"] * 2}
    )
    others = dict.fromkeys(set(EVALUATION.subgroups.columns) - {"people", "admissions", "group", "value"}, 0.5)
    table = _hidden(counts.assign(**others, value=list("abcdef"))).set_index("value")
    assert SMALLEST == 10
    # Of the ages d is small; c goes with it, or d's people would be what the others leave of the total.
    assert table["people"].isna().tolist() == [False, False, True, True, False, False]
    assert table["admissions"].isna().tolist() == [False, False, True, True, False, False]
    assert table["ppv"].isna().equals(table["admissions"].isna())
    assert table["rows"].isna().equals(table["people"].isna())


def test_a_small_trust_shows_no_figure_of_any_group():
    table = judged(traits=TRAITS).subgroups
    assert len(table) == 6
    assert table.drop(columns=["group", "value"]).isna().all(axis=None)


def test_people_never_seen_in_training_are_judged_on_their_own():
    unseen = judged(traits=TRAITS).unseen.set_index("measure")["value"]
    usable = WORLD[(WORLD["state"] == "usable") & (WORLD["person_id"] >= 7)]
    assert unseen["auroc"] == pytest.approx(metrics.auroc(usable["label"], usable["risk"]))
    assert unseen["recall"] == pytest.approx(3 / 5)
    assert EVALUATION.unseen.empty
    assert judged(traits=TRAITS.assign(training="seen in training")).unseen.empty


def test_what_the_list_adds_is_net_of_whom_an_urgent_team_has_already():
    table = judged(traits=TRAITS).known.set_index("who")
    assert table["listed"].tolist() == [44, 11, 33]
    assert table["hits"].tolist() == [12, 0, 12]
    assert table.loc["net of those", "ppv"] == pytest.approx(12 / 33)


def test_the_overlap_is_the_share_of_the_leads_places_that_the_other_lists_too():
    shares = judged(rules=KEYS.assign(copy=SCORES["score"], reversed=-SCORES["score"])).overlap
    assert shares.set_index("model")["share"]["model"] == 1
    assert shares.set_index("model")["share"]["copy"] == 1
    assert shares.set_index("model")["share"]["reversed"] == 0


def test_the_calibration_of_those_listed_is_of_those_listed_alone():
    table = EVALUATION.calibration_listed
    assert table["rows"].sum() == 44
    assert (table["rows"] * table["observed"]).sum() == pytest.approx(12)


def test_decisions_hold_the_net_benefit_and_everyones():
    table = EVALUATION.decisions.set_index(["model", "threshold"])
    usable = WORLD[WORLD["state"] == "usable"]
    for threshold in (0.01, 0.06, 0.1):
        expected = metrics.net_benefit(usable["label"], usable["risk"], threshold)
        assert table.loc[("forest", threshold), "net_benefit"] == pytest.approx(expected)
        expected = metrics.net_benefit(usable["label"], np.ones(len(usable)), threshold)
        assert table.loc[("everyone", threshold), "net_benefit"] == pytest.approx(expected)
    # A rule that knows nothing is given the rate of all rows as everyone's risk: acting on all, or on nobody above it.
    rate = usable["label"].mean()
    assert table.loc[("nothing", 0.01), "net_benefit"] == pytest.approx(table.loc[("everyone", 0.01), "net_benefit"])
    assert rate > 0.1
    assert (table["low"] <= table["high"]).all()


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
    assert found.known.set_index("who").loc["everyone listed", "hits"] == hits
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


DAYS_AHEAD = (LABELS["admitted_at"] - LABELS["as_of"]) // pd.Timedelta(days=1) + 1
DATED = LABELS.assign(admitted_day=DAYS_AHEAD.astype("Int8"))
EVEN = KEYS.assign(**{column: WORLD["risk"] * day / 9 for day, column in enumerate(WITHIN, start=1)})


def test_without_a_curve_there_is_nothing_about_days():
    assert EVALUATION.by_day.empty
    assert EVALUATION.timing.empty


def test_the_curve_by_day_by_hand():
    found = judged(labels=DATED, curve=EVEN).by_day.set_index(["who", "day"])
    usable = DATED["state"] == "usable"
    # 3 is a positive from day 1 on, 9 to 1 days ahead; 7 from day 0 on, 5 to 1 days ahead.
    hits = np.array([2, 4, 6, 8, 10, 11, 12, 13, 14])
    assert found.loc["everyone", "observed"].to_numpy() == pytest.approx(hits / usable.sum())
    expected = WORLD.loc[usable, "risk"].sum() * np.arange(1, 10) / 9
    assert found.loc["everyone", "expected"].to_numpy() == pytest.approx(expected / usable.sum())
    assert found.loc["everyone", "expected_over_observed"].to_numpy() == pytest.approx(expected / hits)
    assert found.loc["listed", "rows"].tolist() == [EVALUATION.counts["listed"]] * 9
    # Listed are 3 on all of its nine days and 7 on its last three.
    listed = found.loc["listed", "observed"].to_numpy() * EVALUATION.counts["listed"]
    assert listed == pytest.approx([2, 4, 6, 7, 8, 9, 10, 11, 12])
    settled = found[found["low"].notna()]
    assert (settled["low"] <= settled["observed"]).all()
    assert (settled["observed"] <= settled["high"]).all()


def test_an_even_curve_is_worth_nothing_beyond_its_risk():
    table = judged(labels=DATED, curve=EVEN).timing.set_index("measure")
    assert table[["difference", "low", "high"]].abs().to_numpy().max() < 1e-12
    usable = WORLD["state"] == "usable"
    soon = (DATED["admitted_day"] <= 3).fillna(False)[usable]
    assert table.loc["auroc_3_days", "curve"] == pytest.approx(metrics.auroc(soon, WORLD["risk"][usable]))
    risk, label = WORLD["risk"][usable], WORLD["label"][usable]
    loss = np.where(label == 1, -np.log(risk / 9), -np.log(1 - risk)).mean()
    assert table.loc["day_log_loss", "even"] == pytest.approx(loss)


def test_a_curve_that_knows_the_day_has_the_smaller_loss():
    at = DATED["admitted_day"].fillna(5).astype(int)
    knowing = KEYS.assign(
        **{c: WORLD["risk"] * np.where(day < at, 0.05 * day, 1) for day, c in enumerate(WITHIN, start=1)}
    )
    found = judged(labels=DATED, curve=knowing)
    table = found.timing.set_index("measure")
    assert table.loc["day_log_loss", "low"] < table.loc["day_log_loss", "difference"] < 0
    assert table.loc["day_log_loss", "difference"] == pytest.approx(
        table.loc["day_log_loss", "curve"] - table.loc["day_log_loss", "even"]
    )
    assert set(figures(found)) == {*figures(EVALUATION), "by_day"}
    expected = figures(found)["by_day"].axes[0].lines[0].get_ydata()
    assert list(expected) == found.by_day.loc[found.by_day["who"] == "everyone", "expected"].tolist()


def test_row_order_changes_nothing():
    mixed = [frame.sample(frac=1, random_state=seed) for seed, frame in enumerate((SCORES, LABELS, TEAMS, RULES))]
    again = judged(*mixed, lead="forest")
    for name in ("overall", "differences", "subgroups", "lead_time", "notice", "episodes", "calibration", "decisions"):
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
    assert set(drawn) == {"precision_recall", "calibration", "lead_time", "decisions", "risk_distribution"}
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
