"""Metrics by hand, against scikit-learn, and their doctests."""

import doctest
from math import inf, isnan, log

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as theirs
from sklearn.linear_model import LogisticRegression

import models.calibration
from models import metrics, resampling

Y = np.array([0, 0, 1, 0, 1, 1, 0, 0, 1, 0])
P = np.array([0.1, 0.3, 0.3, 0.2, 0.9, 0.6, 0.6, 0.05, 0.2, 0.4])
W = np.array([1.0, 2, 0, 1, 3, 1, 2, 0, 1, 1])


def clustered_world(seed=0, people=300, days=20):
    """People with a risk of their own, the same on all their days: the rows of one person are near copies."""
    draw = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), days)
    ill = np.repeat(draw.random(people) < 0.2, days)
    score = np.repeat(draw.normal(0, 1, people), days) + ill + draw.normal(0, 0.3, people * days)
    return person, ill.astype(int), score


@pytest.mark.parametrize("module", [metrics, resampling, models.calibration])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("weights", [None, W])
def test_row_metrics_agree_with_scikit_learn(weights):
    assert metrics.auroc(Y, P, weights) == pytest.approx(theirs.roc_auc_score(Y, P, sample_weight=weights))
    expected = theirs.average_precision_score(Y, P, sample_weight=weights)
    assert metrics.average_precision(Y, P, weights) == pytest.approx(expected)
    assert metrics.log_loss(Y, P, weights) == pytest.approx(theirs.log_loss(Y, P, sample_weight=weights))
    assert metrics.brier(Y, P, weights) == pytest.approx(theirs.brier_score_loss(Y, P, sample_weight=weights))


@pytest.mark.parametrize("weights", [None, W])
def test_calibration_agrees_with_an_unpenalised_logistic_regression(weights):
    found = metrics.calibration(Y, P, weights)
    logit = np.log(P / (1 - P)).reshape(-1, 1)
    fitted = LogisticRegression(C=inf, tol=1e-10, max_iter=1000).fit(logit, Y, sample_weight=weights)
    assert found.slope == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(fitted.intercept_[0], abs=1e-4)
    weight = np.ones(10) if weights is None else weights
    assert found.expected_over_observed == pytest.approx((weight * P).sum() / (weight * Y).sum())


def test_resampled_calibration_is_near_the_full_fit():
    draw = np.random.default_rng(1)
    logit = draw.normal(-2, 1, 20_000)
    label = draw.random(20_000) < expit(0.3 + 0.8 * logit)
    parts, line = metrics.risk_parts(label, expit(logit))
    for _ in range(5):
        weights = draw.poisson(1.0, 20_000).astype(float)
        full = metrics.calibration(label, expit(logit), weights)
        loss, brier, over, intercept, slope = metrics.risk_figures(weights @ parts, line)
        assert slope == pytest.approx(full.slope, abs=0.003)
        assert intercept == pytest.approx(full.intercept, abs=0.005)
        assert over == pytest.approx(full.expected_over_observed)
        assert loss == pytest.approx(metrics.log_loss(label, expit(logit), weights))
        assert brier == pytest.approx(metrics.brier(label, expit(logit), weights))


@pytest.mark.parametrize(
    ("measure", "labels", "risks"),
    [
        (metrics.auroc, [0, 0], [0.1, 0.2]),
        (metrics.auroc, [1, 1], [0.1, 0.2]),
        (metrics.average_precision, [0, 0], [0.1, 0.2]),
        (metrics.expected_over_observed, [0, 0], [0.1, 0.2]),
        (lambda y, p: metrics.calibration(y, p).slope, [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]),
        (metrics.auroc, [], []),
        (metrics.log_loss, [], []),
    ],
)
def test_what_is_not_defined_is_nan(measure, labels, risks):
    assert isnan(measure(labels, risks))


def test_a_certain_mistake_costs_much_but_not_everything():
    assert 20 < metrics.log_loss([1], [0.0]) < 40
    assert metrics.log_loss([1], [0.5]) == pytest.approx(log(2))


def test_yield_by_hand_for_two_teams():
    #         team 0, two places      team 1, one place
    labels = [1, 0, 0, 1] + [0, 1, 0]
    scores = [0.9, 0.8, 0.2, 0.1] + [0.7, 0.6, 0.5]
    listed = metrics.top_of_groups([0] * 4 + [1] * 3, scores, [0] * 7, [2] * 4 + [1] * 3)
    ppv, recall, lift, nne = metrics.yield_figures(metrics.yield_parts(labels, listed).sum(axis=0))
    assert ppv == pytest.approx(1 / 3)
    assert recall == pytest.approx(1 / 3)
    assert nne == pytest.approx(3)
    assert lift == pytest.approx((1 / 3) / (3 / 7))


def test_net_benefit_by_hand():
    assert metrics.net_benefit([1, 0, 0, 0, 1], [0.3, 0.3, 0.1, 0.05, 0.05], 0.2) == pytest.approx(1 / 5 - 0.25 / 5)


def test_calibration_curve_keeps_every_row_and_parts_no_ties():
    risks = np.repeat([0.1, 0.2, 0.3], [50, 30, 20])
    curve = metrics.calibration_curve(np.arange(100) % 2, risks, bins=10)
    assert curve["rows"].tolist() == [50, 30, 20]
    assert curve["predicted"].to_numpy() == pytest.approx([0.1, 0.2, 0.3])


def test_intervals_are_wider_when_a_persons_rows_go_together():
    person, label, score = clustered_world()
    measured = metrics.discrimination_of(label, score)
    by_person = resampling.clustered_interval(lambda w: measured(w).auroc, person, draws=200, seed=1)
    by_row = resampling.clustered_interval(lambda w: measured(w).auroc, np.arange(len(person)), draws=200, seed=1)
    assert by_person.low < measured(None).auroc < by_person.high
    assert by_person.high - by_person.low > 2 * (by_row.high - by_row.low)


def test_sums_by_person_have_the_resamples_of_the_rows():
    person, label, score = clustered_world(people=50, days=4)
    values = np.column_stack([label, score])
    by_row = resampling.clustered_draws(lambda w: np.sum(values if w is None else w[:, None] * values, axis=0), person)
    assert resampling.clustered_sums(values, person) == pytest.approx(by_row)


def test_intervals_have_the_coverage_they_claim():
    covered = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        ill = np.repeat(draw.random(200) < 0.3, 5).astype(float)
        person = np.repeat(np.arange(200), 5)
        interval = resampling.clustered_interval(lambda w, y=ill: float(w @ y / w.sum()), person, draws=200, seed=seed)
        covered += interval.low <= 0.3 <= interval.high
    assert 88 <= covered <= 100


def test_draws_repeat_and_pair():
    person, label, score = clustered_world()
    measured = metrics.discrimination_of(label, score)
    first, again = (resampling.clustered_draws(lambda w: measured(w).auroc, person, 20, seed=4) for _ in range(2))
    assert (first == again).all()
    assert (first != resampling.clustered_draws(lambda w: measured(w).auroc, person, 20, seed=5)).any()


def test_an_interval_of_nothing_is_nan():
    interval = resampling.clustered_interval(lambda w: float("nan"), [1, 2, 3], draws=10)
    assert isnan(interval.low)
    assert isnan(interval.high)
