"""Training, bundles and explanations, on a small world whose truth is a known logistic formula."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from features.errors import ContractError, NotReadyError
from features.table import FeatureInfo, make_contract
from models import boosting, metrics, resampling
from models.bundle import _load_pyfunc, load
from models.calibration import fit_calibration
from models.explanation import family_contributions, reasons
from models.settings import ENSEMBLE, LIGHTGBM, LOGISTIC, TrainConfig
from models.training import train

CONTRACT = make_contract(
    (
        FeatureInfo("count_unscheduled_7d", "contacts", "count", "unscheduled", 7, 1, 0.0),
        FeatureInfo("days_since_discharge_90d", "hospital", "days_since", "discharge", 90, -1, None),
        FeatureInfo("last_news_30d", "observations", "last", "news", 30, 1, None),
        FeatureInfo("age", "person", "person", "age", 0, 0, None),
        FeatureInfo("count_noise_7d", "noise", "count", "noise", 7, 0, 0.0),
    ),
    "a test",
)
OTHER = make_contract(CONTRACT.features, "another definition of the same names")
CONFIG = TrainConfig(seeds=(1, 2), most_trees=120, patience=15, learning_rate=0.1, feature_fraction=0.6)
MODELS = (ENSEMBLE, LIGHTGBM, LOGISTIC)


def truth(frame: pd.DataFrame) -> np.ndarray:
    news = (frame["last_news_30d"].fillna(2.0) - 2.0).to_numpy(np.float64)
    recent = np.exp(-frame["days_since_discharge_90d"].to_numpy(np.float64) / 7)
    return -4.0 + np.log1p(frame["count_unscheduled_7d"].to_numpy(np.float64)) + 0.5 * news + np.nan_to_num(recent)


def world(seed: int = 0, people: int = 500, days: int = 80) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A feature table and its labels: each row's outcome is drawn from `truth`."""
    draw = np.random.default_rng(seed)
    n = people * days
    start = pd.Timestamp("2025-01-01 06:00", tz="UTC").as_unit("us")
    table = pd.DataFrame(
        {
            "person_id": np.tile(np.arange(people, dtype=np.int64), days),
            "as_of": start + pd.to_timedelta(np.repeat(np.arange(days), people), unit="D").as_unit("us"),
            "count_unscheduled_7d": draw.poisson(0.8, n),
            "days_since_discharge_90d": np.where(draw.random(n) < 0.3, draw.uniform(0, 90, n), np.nan),
            "last_news_30d": np.where(draw.random(n) < 0.6, draw.normal(2, 1.3, n).round(), np.nan),
            "age": np.tile(draw.normal(77, 10, people), days),
            "count_noise_7d": draw.poisson(1.0, n),
        }
    ).astype(dict.fromkeys(CONTRACT.names, "float32"))
    label = (draw.random(n) < expit(truth(table))).astype(np.int8)
    admitted_at = (table["as_of"] + pd.Timedelta(hours=30)).where(label == 1)
    labels = table[["person_id", "as_of"]].assign(label=label, admitted_at=admitted_at, state="usable")
    return table, labels


def parts_of(table: pd.DataFrame) -> pd.Series:
    day = (table["as_of"] - table["as_of"].min()).dt.days
    return pd.Series(
        np.select([day < 40, (day >= 50) & (day < 65), day >= 75], ["train", "calibrate", "test"], "embargo")
    )


TABLE, LABELS = world()
PARTS = parts_of(TABLE)
TEST = TABLE[PARTS == "test"].reset_index(drop=True)
TEST_LABELS = LABELS["label"][PARTS == "test"].to_numpy()


@pytest.fixture(scope="module")
def bundle():
    return train(TABLE, LABELS, PARTS, CONTRACT, CONFIG)


def say(family, row):
    return f"{family}: {row['count_unscheduled_7d']:.0f} unscheduled"


def test_training_twice_or_on_shuffled_rows_gives_the_same_bytes(bundle):
    order = np.random.default_rng(3).permutation(len(TABLE))
    table, parts = (frame.iloc[order].reset_index(drop=True) for frame in (TABLE, PARTS))
    again = train(table, LABELS.sample(frac=1, random_state=4), parts, CONTRACT, CONFIG)
    assert again.fingerprint == bundle.fingerprint


def test_the_number_of_threads_of_the_machine_changes_no_byte():
    contract = make_contract(
        tuple(FeatureInfo(f"last_{i}_30d", "wide", "last", str(i), 30, 0, None) for i in range(40)), "a wide test"
    )
    table, labels = (frame.iloc[: 500 * 25].reset_index(drop=True) for frame in (TABLE, LABELS))
    values = np.random.default_rng(6).normal(size=(len(table), 40)).astype(np.float32)
    wide = pd.concat([table[["person_id", "as_of"]], pd.DataFrame(values, columns=list(contract.names))], axis=1)
    parts = pd.Series(np.repeat(["train", "calibrate"], [500 * 6, 500 * 19]))
    config = CONFIG.model_copy(update={"seeds": (1,), "most_trees": 2, "lead_from_admissions": 10**6})
    labels = labels.assign(label=(values[:, 0] + values[:, 1] > 2).astype(np.int8))
    fingerprints = set()
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            fingerprints.add(train(wide, labels, parts, contract, config).fingerprint)
    assert len(fingerprints) == 1


def test_another_seed_gives_another_model(bundle):
    other = train(TABLE, LABELS, PARTS, CONTRACT, CONFIG.model_copy(update={"seeds": (7, 8)}))
    assert other.boosters != bundle.boosters
    assert other.logistic == bundle.logistic


@pytest.mark.parametrize("asked", [boosting.logits, boosting.contributions])
def test_boosters_side_by_side_give_the_mean_of_each_also_where_one_is_there_twice(bundle, asked):
    first, second = bundle.boosters[:2]
    one, other = (asked([text], TEST, CONTRACT, 1) for text in (first, second))
    assert (asked([first, second, first], TEST, CONTRACT, 1) == np.mean([one, other, one], axis=0)).all()
    assert not np.array_equal(one, other)


def test_only_usable_rows_before_the_test_are_learnt_from(bundle):
    used = PARTS.isin(["train", "calibrate"])
    table, labels, parts = TABLE.copy(), LABELS.copy(), PARTS.copy()
    labels.loc[~used, "label"] = 1 - labels.loc[~used, "label"]
    extra = table[used].head(3000).assign(person_id=lambda rows: rows["person_id"] + 10_000)
    spoilt = extra[["person_id", "as_of"]].assign(label=1, admitted_at=extra["as_of"])
    states = np.where(np.arange(len(extra)) % 2, "immature", "already_admitted")
    again = train(
        pd.concat([table, extra], ignore_index=True),
        pd.concat([labels, spoilt.assign(state=states)], ignore_index=True),
        pd.concat([parts, pd.Series("train", index=extra.index)], ignore_index=True),
        CONTRACT,
        CONFIG,
    )
    assert again.fingerprint == bundle.fingerprint


@pytest.mark.parametrize("model", MODELS)
def test_risks_are_near_the_truth(bundle, model):
    risk, true = bundle.score(TEST, model)["risk"].to_numpy(), expit(truth(TEST))
    assert abs(risk.mean() / true.mean() - 1) < 0.08
    top = np.argsort(-risk)[: len(risk) // 20]
    assert abs(risk[top].mean() / true[top].mean() - 1) < 0.15
    assert metrics.auroc(TEST_LABELS, risk) > metrics.auroc(TEST_LABELS, true) - 0.03


@pytest.mark.parametrize("model", MODELS)
def test_sampling_negatives_leaves_the_mean_risk_where_it_was(bundle, model):
    config = CONFIG.model_copy(update={"sample_above_rows": 100, "negative_share": 0.2})
    sampled = train(TABLE, LABELS, PARTS, CONTRACT, config)
    assert sampled.log_share == pytest.approx(np.log(0.2))
    assert sampled.lineage["blocks"]["sampled"]["rows"] < 0.3 * sampled.lineage["blocks"]["train"]["rows"]
    before, after = (expit(b.logits(TEST, model)).mean() for b in (bundle, sampled))
    assert after == pytest.approx(before, rel=0.08)
    assert after == pytest.approx(expit(truth(TEST)).mean(), rel=0.1)


def test_trees_stop_on_the_corrected_log_loss_of_the_later_block():
    config = CONFIG.model_copy(update={"sample_above_rows": 100, "negative_share": 0.2})
    sampled = train(TABLE, LABELS, PARTS, CONTRACT, config)
    later = TABLE[PARTS == "calibrate"]
    for text, loss in zip(sampled.boosters, sampled.lineage["later_log_loss"], strict=True):
        logits = boosting.logits([text], later, CONTRACT, 1) + sampled.log_share
        assert metrics.log_loss(LABELS["label"][PARTS == "calibrate"], expit(logits)) == pytest.approx(loss, abs=1e-12)


def test_the_logistic_model_leads_until_there_are_enough_admissions(bundle):
    assert bundle.lineage["blocks"]["train"]["admissions"] > 500
    for least, lead in ((10**6, LOGISTIC), (500, ENSEMBLE)):
        config = CONFIG.model_copy(update={"lead_from_admissions": least})
        assert train(TABLE, LABELS, PARTS, CONTRACT, config).lead == lead


def test_constrained_features_never_lower_the_score_the_wrong_way(bundle):
    rows = TEST.sample(200, random_state=1)
    for name, values in (("count_unscheduled_7d", range(12)), ("last_news_30d", range(-2, 10))):
        steps = np.array([bundle.logits(rows.assign(**{name: np.float32(v)}), LIGHTGBM) for v in values])
        assert (np.diff(steps, axis=0) >= -1e-12).all()
    days = [bundle.logits(rows.assign(days_since_discharge_90d=np.float32(v)), LIGHTGBM) for v in range(0, 90, 5)]
    assert (np.diff(np.array(days), axis=0) <= 1e-12).all()


def test_shuffled_outcomes_teach_nothing():
    labels = LABELS.copy()
    shuffled = np.random.default_rng(5).permutation(len(labels))
    labels[["label", "admitted_at"]] = LABELS[["label", "admitted_at"]].to_numpy()[shuffled]
    labels = labels.astype({"label": "int8", "admitted_at": "datetime64[us, UTC]"})
    taught = train(TABLE, labels, PARTS, CONTRACT, CONFIG)
    for model in MODELS:
        measured = metrics.discrimination_of(TEST_LABELS, taught.score(TEST, model)["score"])
        interval = resampling.clustered_interval(lambda w, m=measured: m(w).auroc, TEST["person_id"], draws=200)
        half = (interval.high - interval.low) / 2
        assert abs(measured(None).auroc - 0.5) < 1.5 * half


def no_admissions(table, labels):
    return table, labels.assign(label=0)


def nobody_spared(table, labels):
    return table, labels.assign(label=1, admitted_at=labels["as_of"])


def nothing_varies(table, labels):
    return table.assign(**{name: np.float32(1) for name in CONTRACT.names}), labels


def nothing_late(table, labels):
    return table, labels[(PARTS != "calibrate").to_numpy()]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_admissions, "'train' rows must hold at least 20 admissions; found 0"),
        (nobody_spared, "'train' rows must hold people who were not admitted"),
        (nothing_varies, "at least one of 5 features must vary"),
        (nothing_late, "'calibrate' rows must hold at least 5 admissions; found 0 in 0 usable rows"),
    ],
)
def test_too_little_to_learn_from_is_said_in_a_sentence(spoil, words):
    table, labels = spoil(TABLE, LABELS)
    with pytest.raises(NotReadyError, match="(?i)" + words):
        train(table, labels, PARTS, CONTRACT, CONFIG)


@pytest.mark.parametrize(("least", "model"), [(10**6, LOGISTIC), (0, ENSEMBLE)])
def test_a_lead_that_says_nothing_about_the_later_rows_is_refused(least, model):
    later = (PARTS == "calibrate").to_numpy()
    upside_down = np.random.default_rng(8).random(len(TABLE)) < expit(-6.0 - truth(TABLE))
    label = np.where(later, upside_down, LABELS["label"]).astype(np.int8)
    labels = LABELS.assign(label=label, admitted_at=(LABELS["as_of"] + pd.Timedelta(hours=30)).where(label == 1))
    config = CONFIG.model_copy(update={"lead_from_admissions": least})
    with pytest.raises(NotReadyError, match=f"for '{model}' it does not .*slope 0 or less on 7500 rows"):
        train(TABLE, labels, PARTS, CONTRACT, config)


def test_a_table_that_does_not_fit_its_labels_is_refused():
    with pytest.raises(ContractError, match="duplicates"):
        train(TABLE, pd.concat([LABELS, LABELS.head(1)]), PARTS, CONTRACT, CONFIG)
    with pytest.raises(ContractError, match="row for row"):
        train(TABLE, LABELS, PARTS.head(10), CONTRACT, CONFIG)


def test_calibration_recovers_a_known_line():
    draw = np.random.default_rng(2)
    logit = draw.normal(-3, 1, 200_000)
    fitted = fit_calibration((logit - 1) / 2, draw.random(200_000) < expit(logit))
    assert fitted.slope == pytest.approx(2, abs=0.05)
    assert fitted.intercept == pytest.approx(1, abs=0.1)


def test_calibration_stays_usable_where_a_block_is_small_or_contrary():
    parted = fit_calibration([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1])
    assert 0 < parted.slope < 10
    contrary = fit_calibration([2.0, 1.0, -1.0, -2.0] * 10, [0, 0, 1, 0] * 10)
    assert contrary.slope == 0
    assert contrary.risk([-5.0, 5.0]) == pytest.approx([0.25, 0.25])


def test_a_bundle_round_trips_to_equal_bytes_and_scores(bundle, tmp_path):
    bundle.save(tmp_path / "first")
    again = load(tmp_path / "first")
    again.save(tmp_path / "second")
    assert again == bundle
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()
    pd.testing.assert_frame_equal(again.score(TEST), bundle.score(TEST), check_exact=True)


def test_saving_again_changes_nothing_and_never_overwrites(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    bundle.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    with pytest.raises(ContractError, match="new folder"):
        replace(bundle, lead=LIGHTGBM if bundle.lead == LOGISTIC else LOGISTIC).save(tmp_path / "model")


@pytest.mark.parametrize("name", ["model_1.txt", "logistic.json", "calibration.json", "contract.json", "lineage.json"])
def test_a_tampered_file_is_refused(bundle, tmp_path, name):
    bundle.save(tmp_path / "model")
    path = tmp_path / "model" / name
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ContractError, match="hash differs"):
        load(tmp_path / "model")
    path.unlink()
    with pytest.raises(ContractError, match="hash differs"):
        load(tmp_path / "model")


def test_a_missing_or_foreign_bundle_is_refused(bundle, tmp_path):
    with pytest.raises(NotReadyError, match=r"no bundle\.json"):
        load(tmp_path)
    bundle.save(tmp_path / "model")
    manifest = tmp_path / "model" / "bundle.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(ContractError, match="must have format 1; found 99"):
        load(tmp_path / "model")


def test_another_table_or_model_name_is_refused(bundle):
    with pytest.raises(ContractError):
        bundle.score(TEST.drop(columns="age"))
    with pytest.raises(ContractError):
        bundle.score(TEST[[*TEST.columns[:2], *reversed(CONTRACT.names)]])
    with pytest.raises(ContractError, match="ensemble, lightgbm, logistic; found 'oracle'"):
        bundle.score(TEST, "oracle")


def test_bundles_that_differ_only_in_definitions_differ(bundle):
    assert replace(bundle, contract=OTHER).fingerprint != bundle.fingerprint


@pytest.mark.parametrize("model", MODELS)
def test_a_row_scores_the_same_whatever_is_beside_it(bundle, model):
    whole = bundle.score(TEST, model)
    for rows in (TEST.iloc[5:6], TEST.iloc[::-1], TEST.iloc[:0]):
        pd.testing.assert_frame_equal(bundle.score(rows, model), whole.loc[rows.index], check_exact=True)


def test_mlflow_finds_a_model_that_predicts_risk(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    model = _load_pyfunc(str(tmp_path / "model"))
    features = TEST[list(reversed(CONTRACT.names))]
    assert (model.predict(features) == bundle.score(TEST)["risk"].to_numpy()).all()
    with pytest.raises(ContractError, match="did you mean 'agee'"):
        model.predict(features.rename(columns={"age": "agee"}))


@pytest.mark.parametrize("model", MODELS)
def test_contributions_add_up_to_the_score(bundle, model):
    shares = family_contributions(bundle, TEST, model)
    assert list(shares.columns[3:]) == ["contacts", "hospital", "observations", "person", "noise"]
    score = bundle.score(TEST, model)["score"]
    assert np.abs(shares.iloc[:, 2:].sum(axis=1) - score).max() < 1e-9


@pytest.mark.parametrize("model", MODELS)
def test_what_hidden_states_add_is_told_of_the_families_whose_records_point_the_same_way(bundle, model):
    as_states = {"last_news_30d": "log_odds", "count_unscheduled_7d": "evidence", "age": "evidence"}
    contract = make_contract(
        [replace(one, aggregate=as_states.get(one.name, one.aggregate)) for one in CONTRACT.features], "of states"
    )
    table = TEST.assign(age=TEST["age"] - TEST["age"].mean())  # points up and down; unscheduled contacts up, or nowhere
    before = family_contributions(bundle, table, model)
    shares = family_contributions(replace(bundle, contract=contract), table, model)
    assert np.abs(shares.iloc[:, 2:].sum(axis=1) - bundle.score(table, model)["score"]).max() < 1e-9
    of_states, contacts, age = before["observations"], table["count_unscheduled_7d"], table["age"].astype("float64")
    both = (of_states > 0) & (contacts > 0) & (age > 0)
    part = (contacts / (contacts + age))[both]
    np.testing.assert_allclose((shares - before)["contacts"][both], part * of_states[both], atol=1e-9)
    np.testing.assert_allclose((shares - before)["person"][both], (1 - part) * of_states[both], atol=1e-9)
    alone = (of_states < 0) & (age < 0)
    np.testing.assert_allclose((shares - before)["person"][alone], of_states[alone], atol=1e-9)
    nowhere = (of_states < 0) & (age >= 0)
    np.testing.assert_allclose(shares["observations"][nowhere], of_states[nowhere], atol=1e-9)
    assert (shares["observations"][both | alone] == 0).all()
    assert min(both.sum(), alone.sum(), nowhere.sum()) > 100
    assert (shares[["hospital", "noise"]] == before[["hospital", "noise"]]).all(axis=None)


def test_contributions_that_do_not_add_up_are_refused(bundle, monkeypatch):
    whole = boosting.contributions
    monkeypatch.setattr(boosting, "contributions", lambda *given: whole(*given) + 1e-6)
    with pytest.raises(ContractError, match="add up"):
        family_contributions(bundle, TEST, LIGHTGBM)


@pytest.mark.parametrize("model", MODELS)
def test_reasons_are_the_largest_upward_families_with_their_facts(bundle, model):
    rows = TEST.sample(300, random_state=2)
    told = reasons(bundle, rows, say, family_contributions(bundle, rows, model))
    shares = family_contributions(bundle, rows, model).iloc[:, 3:]
    assert told.index.equals(rows.index)
    for index, row in told.iterrows():
        upward = shares.loc[index][shares.loc[index] >= 0.05].sort_values(ascending=False)[:3]
        families = [family for family in row[["family_1", "family_2", "family_3"]] if family]
        assert families == list(upward.index)
        assert [row[f"contribution_{i + 1}"] for i in range(len(families))] == list(upward)
        count = rows.loc[index, "count_unscheduled_7d"]
        expected = [f"{family}: {count:.0f} unscheduled" for family in families]
        assert list(row[["reason_1", "reason_2", "reason_3"]]) == expected + [""] * (3 - len(families))


def test_a_family_without_words_is_passed_over(bundle):
    told = reasons(bundle, TEST.head(50), lambda family, row: "" if family == "contacts" else say(family, row))
    assert "contacts" not in set(told[["family_1", "family_2", "family_3"]].to_numpy().ravel())


def test_the_config_refuses_unknown_settings_and_too_many_seeds():
    with pytest.raises(ValueError, match="extra"):
        TrainConfig(scale_pos_weight=10)
    with pytest.raises(ValueError, match="at most 5"):
        TrainConfig(seeds=(1, 2, 3, 4, 5, 6))
