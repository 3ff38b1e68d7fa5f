"""Metrics against slow, independent definitions, on any rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from models import metrics

rows = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=40).map(
    lambda drawn: tuple(np.array(column, dtype=float) for column in zip(*drawn, strict=True))
)


def pairs_won(labels, scores, weights):
    """AUROC as its definition says: over all pairs of an admitted and another row."""
    won = total = 0.0
    for y, s, w in zip(labels, scores, weights, strict=True):
        for other_y, other_s, other_w in zip(labels, scores, weights, strict=True):
            if y == 1 and other_y == 0:
                won += w * other_w * ((s > other_s) + 0.5 * (s == other_s))
                total += w * other_w
    return won / total if total else float("nan")


@given(rows)
@settings(max_examples=150)
def test_auroc_is_the_share_of_pairs_won(drawn):
    labels, scores, weights = drawn
    expected = pairs_won(labels, scores, weights)
    assert metrics.auroc(labels, scores, weights) == pytest.approx(expected, nan_ok=True)


@given(rows)
@settings(max_examples=150)
def test_whole_weights_are_repeated_rows(drawn):
    labels, scores, weights = drawn
    many = weights.astype(int)
    repeated = np.repeat(labels, many), np.repeat(scores, many)
    if 0 < repeated[0].sum() < len(repeated[0]):
        assert metrics.auroc(labels, scores, weights) == pytest.approx(roc_auc_score(*repeated))
        assert metrics.average_precision(labels, scores, weights) == pytest.approx(average_precision_score(*repeated))


@given(rows, st.integers(0, 5))
@settings(max_examples=150)
def test_each_group_lists_its_highest_rows_up_to_its_capacity(drawn, places):
    _, scores, weights = drawn
    groups, ties = weights.astype(int), np.arange(len(scores))
    listed = metrics.top_of_groups(groups, scores, ties, np.full(len(scores), places))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        best = sorted(members, key=lambda i: (-scores[i], ties[i]))[:places]
        assert set(np.flatnonzero(listed & (groups == group))) == set(best)


@given(rows)
@settings(max_examples=100)
def test_a_rising_map_of_the_scores_changes_no_ranking_measure(drawn):
    labels, scores, weights = drawn
    for measure in (metrics.auroc, metrics.average_precision):
        before, after = measure(labels, scores, weights), measure(labels, np.exp(scores) + 3, weights)
        assert before == pytest.approx(after, nan_ok=True)
