"""A curve of the nine days from any tilt: rising, ending in the risk, and the sum of a geometric series."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.curve import Tilt
from models.logistic import Term

FLAT = Term("score", "value", -10.0, 10.0, 0.0, 1.0, 1.0)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_shares_rise_to_exactly_one(scores):
    shares = Tilt(0.0, FLAT, (), 1.0).shares(pd.DataFrame(index=range(len(scores))), np.array(scores))
    assert shares.shape == (len(scores), 9)
    assert (np.diff(shares, axis=1, prepend=0.0) >= 0).all()
    assert (shares[:, -1] == 1).all()
    for score, found in zip(scores, shares, strict=True):
        ratio = np.exp(score / 4)
        days = np.array([ratio**day for day in range(9)])
        assert found == pytest.approx(np.cumsum(days) / days.sum(), rel=1e-9)


@given(st.floats(-10, 10))
def test_turning_the_tilt_round_turns_the_days_round(score):
    early, late = Tilt(0.0, FLAT, (), 1.0).shares(pd.DataFrame(index=range(2)), np.array([score, -score]))
    assert np.diff(early, prepend=0.0) == pytest.approx(np.diff(late, prepend=0.0)[::-1], abs=1e-12)
