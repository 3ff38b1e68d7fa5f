"""A model in use, month by month: every figure worked out by hand on a few rows."""

import numpy as np
import pandas as pd
import pytest

from models.over_time import WHOLE, beside, by_month
from models.resampling import Resampling

DRAWS = Resampling(draws=20)
ROWS = """
person_id day        team_id risk listed label state             p9    p9_untreated admitted
1         2026-01-01 A       0.30 True   1     usable            0.20  0.40         True
1         2026-01-01 B       0.30 False  1     usable            0.20  0.40         True
2         2026-01-01 A       0.10 False  0     usable            0.10  0.10         False
3         2026-01-01 A       0.50 True   1     already_admitted  nan   nan          nan
4         2026-01-01 A       0.20 True   0     immature          0.10  0.10         False
1         2026-02-01 A       0.40 True   0     usable            0.10  0.20         False
2         2026-02-01 A       0.20 False  1     usable            0.30  0.30         False
"""


def rows() -> pd.DataFrame:
    head, *lines = (line.split() for line in ROWS.strip().splitlines())
    table = pd.DataFrame(lines, columns=head).astype({"person_id": "int64", "label": "int64"})
    for name in ("risk", "p9", "p9_untreated"):
        table[name] = table[name].astype(float)
    known = {"True": True, "False": False}
    table["listed"] = table["listed"].map(known)
    table["admitted"] = table["admitted"].map(known)
    return table.assign(as_of=pd.to_datetime(table["day"], utc=True))


def test_each_month_has_its_figures() -> None:
    found = by_month(rows(), DRAWS).set_index(["month", "measure"])["value"]
    january = found.loc["2026-01"]
    assert january["auroc"] == 1.0
    assert january["ppv"] == pytest.approx(1 / 2), "who was in hospital already took a place and is no hit"
    assert january["expected_over_observed"] == pytest.approx(0.4 / 1), "a person counts once, however many teams"
    assert january["expected_over_true"] == pytest.approx(0.6 / 0.4)
    assert january["expected_over_untreated"] == pytest.approx(0.6 / 0.6)
    assert january["listed_true"] == pytest.approx(0.15)
    assert january["listed_untreated"] == pytest.approx(0.25)
    assert january["listed_helped"] == pytest.approx(1 / 2)
    assert january["admissions"] == pytest.approx(1000 / 3)
    assert found.loc["2026-02", "auroc"] == 0.0
    assert found.loc[WHOLE, "expected_over_observed"] == pytest.approx(1.0 / 2)
    assert list(dict.fromkeys(found.index.get_level_values("month"))) == [WHOLE, "2026-01", "2026-02"]


def test_a_month_without_outcomes_has_no_figure_rather_than_a_false_one() -> None:
    found = by_month(rows().assign(state="immature"), DRAWS).set_index(["month", "measure"])["value"]
    assert found.loc[WHOLE, ["auroc", "ppv", "expected_over_observed"]].isna().all()
    assert found.loc[WHOLE, "listed_untreated"] == pytest.approx((0.4 + 0.1 + 0.2) / 3)


class Halving:
    """A model whose risk is a share of the feature `true`."""

    def __init__(self, share: float) -> None:
        self.share = share

    def score(self, frame: pd.DataFrame) -> pd.DataFrame:
        risk = self.share * frame["true"]
        return frame[["person_id", "as_of"]].assign(score=risk, risk=risk)


def test_models_are_held_against_the_truth_at_the_top_of_each_cut() -> None:
    drawn = np.random.default_rng(9)
    true = drawn.uniform(0.01, 0.3, 400)
    cuts = pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True).as_unit("us").repeat(200)
    frame = pd.DataFrame({"person_id": range(400), "as_of": cuts, "true": true})
    known = pd.DataFrame({"label": (drawn.uniform(size=400) < true).astype(int), "p9_untreated": true})
    found = beside({"right": Halving(1.0), "half": Halving(0.5)}, frame, known, b"key", DRAWS)
    value = found.set_index(["model", "measure"])["value"]
    top = np.concatenate([np.sort(true[:200])[-10:], np.sort(true[200:])[-10:]]).mean()
    assert value["right", "top_untreated"] == value["half", "top_untreated"] == pytest.approx(top)
    assert value["right", "top_over_untreated"] == pytest.approx(1.0)
    assert value["half", "top_over_untreated"] == pytest.approx(0.5)
    assert value["half", "top_predicted"] == pytest.approx(top / 2)
    assert value["right", "auroc"] == value["half", "auroc"]
