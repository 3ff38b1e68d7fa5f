"""The curve of the nine days, on a small world in which the day of an admission is drawn from a known formula."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.errors import ContractError, NotReadyError
from features.table import FeatureInfo, make_contract
from models.bundle import load
from models.curve import MODERATION, PLACES, SLIGHT, Admitted, Tilt, fit_tilt
from models.logistic import Term
from models.settings import ENSEMBLE, LIGHTGBM, LOGISTIC, WITHIN, TrainConfig
from models.training import train

CONTRACT = make_contract(
    (
        FeatureInfo("count_call_7d", "contacts", "count", "call", 7, 1, 0.0),
        FeatureInfo("last_news_30d", "observations", "last", "news", 30, 0, None),
    ),
    "a test",
)
CONFIG = TrainConfig(seeds=(1,), most_trees=20, patience=10, learning_rate=0.1, feature_fraction=1.0, curve=True)
START = pd.Timestamp("2025-01-01 06:00", tz="UTC").as_unit("us")


def true_tilt(frame: pd.DataFrame) -> np.ndarray:
    """Calls bring an admission near, readings put it off."""
    calls, news = frame["count_call_7d"].to_numpy(np.float64), frame["last_news_30d"].to_numpy(np.float64)
    return -0.8 * np.log1p(calls) + 0.6 * news


def shares_of(tilt: np.ndarray) -> np.ndarray:
    """Each day's share, by the sum of a geometric series: the ratio from day to day is the same."""
    ratio = np.exp(np.where(np.abs(tilt) < 1e-6, 1e-6, tilt) / 4)[:, None]
    return ratio ** np.arange(9) * (1 - ratio) / (1 - ratio**9)


def world(people: int = 400, days: int = 80) -> tuple[pd.DataFrame, pd.DataFrame]:
    draw = np.random.default_rng(5)
    n = people * days
    table = pd.DataFrame(
        {
            "person_id": np.tile(np.arange(people, dtype=np.int64), days),
            "as_of": START + pd.to_timedelta(np.repeat(np.arange(days), people), unit="D").as_unit("us"),
            "count_call_7d": draw.poisson(0.8, n),
            "last_news_30d": draw.normal(0, 1, n),
        }
    ).astype(dict.fromkeys(CONTRACT.names, "float32"))
    label = (draw.random(n) < expit(-2.5 + np.log1p(table["count_call_7d"]))).astype(np.int8)
    drawn = 1 + (draw.random(n)[:, None] > shares_of(true_tilt(table)).cumsum(axis=1)).sum(axis=1)
    admitted = label == 1
    labels = table[["person_id", "as_of"]].assign(
        label=label,
        admitted_at=(table["as_of"] + pd.to_timedelta(24 * drawn - 12, unit="h")).where(admitted),
        admitted_day=pd.Series(drawn, dtype="Int8").where(admitted),
        died=False,
        state="usable",
    )
    return table, labels


TABLE, LABELS = world()
DAY = (TABLE["as_of"] - START).dt.days
PARTS = pd.Series(np.select([DAY < 40, (DAY >= 50) & (DAY < 65), DAY >= 75], ["train", "calibrate", "test"], "embargo"))
TEST = TABLE[PARTS == "test"].reset_index(drop=True)
TEST_LABELS = LABELS[PARTS == "test"].reset_index(drop=True)


@pytest.fixture(scope="module")
def bundle():
    return train(TABLE, LABELS, PARTS, CONTRACT, CONFIG)


def within(bundle, frame=TEST, model=None):
    return bundle.curve(frame, model)[list(WITHIN)].to_numpy()


@pytest.mark.parametrize("model", [ENSEMBLE, LIGHTGBM, LOGISTIC])
def test_the_curve_never_falls_and_ends_in_the_very_risk_that_ranks(bundle, model):
    curve = within(bundle, TEST, model)
    assert (np.diff(curve, axis=1) > 0).all()
    assert (curve[:, 0] > 0).all()
    assert (curve[:, -1] == bundle.score(TEST, model)["risk"].to_numpy()).all()


def test_a_curve_changes_neither_score_nor_risk(bundle):
    without = train(TABLE, LABELS, PARTS, CONTRACT, CONFIG.model_copy(update={"curve": False}))
    pd.testing.assert_frame_equal(without.score(TEST), bundle.score(TEST), check_exact=True)
    with pytest.raises(NotReadyError, match=r"training\.curve"):
        without.curve(TEST)


def test_the_days_shares_are_near_the_truth(bundle):
    curve = within(bundle)
    told, true = curve / curve[:, -1:], shares_of(true_tilt(TEST)).cumsum(axis=1)
    assert np.abs(told[:, 2] - true[:, 2]).mean() < 0.04
    assert np.corrcoef(told[:, 2], true[:, 2])[0, 1] > 0.95
    for day in (1, 3, 5, 9):
        came = (TEST_LABELS["admitted_day"] <= day).fillna(False).to_numpy(float)
        assert curve[:, day - 1].sum() == pytest.approx(came.sum(), abs=3 * np.sqrt(came.sum()))


def test_a_tilt_by_hand():
    flat = Term("score", "value", 0.0, 1.0, 0.0, 1.0, 0.0)
    half = Tilt(4 * np.log(0.5), flat, (), 1.0)
    shares = half.shares(TEST.head(1), np.zeros(1))[0]
    assert shares == pytest.approx([(1 - 0.5**k) / (1 - 0.5**9) for k in range(1, 10)])
    even = replace(half, intercept=0.0).shares(TEST.head(1), np.zeros(1))[0]
    assert even == pytest.approx(np.arange(1, 10) / 9)


def admitted(days, scores=None):
    rows = len(days)
    frame = pd.DataFrame({"as_of": [START] * rows, "count_call_7d": 1.0, "last_news_30d": 0.0})
    return Admitted(frame, np.zeros(rows) if scores is None else np.asarray(scores), np.asarray(days, dtype=np.int8))


def test_where_nothing_tells_people_apart_the_mean_day_is_the_observed_one():
    # The likelihood is greatest where expected and observed mean place agree, but for the slight ridge.
    days = [1] * 40 + [2] * 20 + [5] * 20 + [9] * 10
    tilt = fit_tilt(admitted(days), admitted(days), CONTRACT)
    assert tilt.terms == ()
    for of, penalty in (
        (tilt.intercept, SLIGHT * tilt.intercept),
        (tilt.calibration.line(tilt.intercept), MODERATION * tilt.calibration.intercept),
    ):
        expected = shares_of(np.array([of]))[0] @ PLACES
        assert len(days) * (PLACES[np.array(days) - 1].mean() - expected) == pytest.approx(penalty, abs=1e-6)


def test_one_day_for_everyone_is_no_infinite_tilt():
    for day in (1, 9):
        tilt = fit_tilt(admitted([day] * 30), admitted([day] * 30), CONTRACT)
        told = tilt.shares(admitted([day]).frame, np.zeros(1))[0]
        assert np.isfinite(told).all()
        assert (told[0] > 0.6) if day == 1 else (told[-2] < 0.4)


def test_a_later_block_that_says_the_opposite_leaves_nobody_apart():
    scores = np.repeat([-1.0, 1.0], 300)
    early, late = np.repeat([1, 9], 300), np.repeat([9, 1], 300)
    tilt = fit_tilt(admitted(early, scores), admitted(late, scores), CONTRACT)
    assert tilt.score.coefficient > 0
    assert tilt.calibration.slope == 0
    assert tilt.tilts(admitted([1, 1]).frame, np.array([-1.0, 1.0])) == pytest.approx([0, 0], abs=1e-9)


def test_who_dies_or_is_not_known_yet_says_nothing_about_the_day(bundle):
    spared = (LABELS["label"] == 0).to_numpy()
    died = LABELS.assign(died=spared & (np.arange(len(LABELS)) % 3 == 0))
    assert train(TABLE, died, PARTS, CONTRACT, CONFIG).fingerprint == bundle.fingerprint
    extra = TABLE[PARTS != "test"].head(2000).assign(person_id=lambda rows: rows["person_id"] + 10_000)
    immature = extra[["person_id", "as_of"]].assign(
        label=1, admitted_at=extra["as_of"], admitted_day=1, died=False, state="immature"
    )
    again = train(
        pd.concat([TABLE, extra], ignore_index=True),
        pd.concat([LABELS, immature.astype({"admitted_day": "Int8"})], ignore_index=True),
        pd.concat([PARTS, PARTS[extra.index]], ignore_index=True),
        CONTRACT,
        CONFIG,
    )
    assert again.fingerprint == bundle.fingerprint


def test_only_the_days_of_training_and_calibration_are_learnt_from(bundle):
    test = (PARTS == "test").to_numpy()
    spoilt = LABELS.assign(admitted_day=LABELS["admitted_day"].mask(test & LABELS["admitted_day"].notna(), 1))
    assert train(TABLE, spoilt, PARTS, CONTRACT, CONFIG).fingerprint == bundle.fingerprint
    other = LABELS.assign(admitted_day=10 - LABELS["admitted_day"])
    assert train(TABLE, other, PARTS, CONTRACT, CONFIG).fingerprint != bundle.fingerprint


def test_sampling_negatives_leaves_the_days_as_they_are(bundle):
    config = CONFIG.model_copy(update={"sample_above_rows": 100, "negative_share": 0.2})
    sampled = train(TABLE, LABELS, PARTS, CONTRACT, config)
    told = [within(one) / within(one)[:, -1:] for one in (bundle, sampled)]
    assert np.abs(told[0] - told[1]).mean() < 0.01


def test_training_on_shuffled_rows_gives_the_same_bytes(bundle):
    order = np.random.default_rng(3).permutation(len(TABLE))
    table, parts = (frame.iloc[order].reset_index(drop=True) for frame in (TABLE, PARTS))
    assert (
        train(table, LABELS.sample(frac=1, random_state=4), parts, CONTRACT, CONFIG).fingerprint == bundle.fingerprint
    )


def test_a_row_has_the_same_curve_whatever_is_beside_it(bundle):
    whole = bundle.curve(TEST)
    for rows in (TEST.iloc[5:6], TEST.iloc[::-1], TEST.iloc[:0]):
        pd.testing.assert_frame_equal(bundle.curve(rows), whole.loc[rows.index], check_exact=True)


def test_the_curve_is_kept_with_the_bundle_and_is_a_part_of_what_it_is(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again == bundle
    pd.testing.assert_frame_equal(again.curve(TEST), bundle.curve(TEST), check_exact=True)
    assert replace(bundle, tilt=None).fingerprint != bundle.fingerprint
    path = tmp_path / "model" / "curve.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ContractError, match="hash differs"):
        load(tmp_path / "model")


def test_labels_that_do_not_say_the_day_are_refused():
    with pytest.raises(ContractError, match="admitted_day"):
        train(TABLE, LABELS.drop(columns="admitted_day"), PARTS, CONTRACT, CONFIG)
