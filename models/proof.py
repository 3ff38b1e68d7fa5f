"""A model held against what could be known at all, where a simulator tells: the floors it has to reach, and the ceiling
that only a leak gets through."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from models.calibration import fit_line, newton_parts, newton_step
from models.evaluation import Evaluation
from models.gate import Line
from models.resampling import Resampling, divided, percentile_interval

AUROC_BELOW = 0.015
FLOORS = {"ppv": 0.92, "average_precision": 0.85}
"""Least share of the filter's figure."""
LEAD_TIME_FLOOR = 0.90
OVER_TRUE, SLOPE_ON_TRUE = (0.95, 1.05), (0.9, 1.1)
LEAK = "no leak"
NEARLY = 1e-9


def against_truth(
    risk: npt.ArrayLike, true: npt.ArrayLike, people: npt.ArrayLike, resampling: Resampling
) -> pd.DataFrame:
    """measure, value, low, high of the risks against the true probabilities of the same rows: expected_over_true (mean
    risk over mean truth) and slope_on_true (of the truth on the logit of the risk; 1 is right)."""
    given, truth = np.asarray(risk, dtype=np.float64), np.asarray(true, dtype=np.float64)
    score = np.asarray(logit(np.clip(given, NEARLY, 1 - NEARLY)))
    line = fit_line(score, truth)
    at = np.array(line)
    sums = resampling.sums(np.column_stack([given, truth, newton_parts(at, score, truth)]), people)
    ratios, slopes = divided(sums[:, 0], sums[:, 1]), np.array([(at - newton_step(one[2:], at[1]))[1] for one in sums])
    found = {
        "expected_over_true": (given.sum() / truth.sum(), percentile_interval(ratios)),
        "slope_on_true": (line[1], percentile_interval(slopes)),
    }
    rows = [(measure, value, interval.low, interval.high) for measure, (value, interval) in found.items()]
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high"])


def proof(judged: Evaluation, truth: pd.DataFrame, ceiling: str, bound: str | None) -> tuple[Line, ...]:
    """Every floor and the ceiling for the lead of `judged`. truth: `against_truth`'s answer. ceiling: the comparator
    that knew every record at once, which nobody can beat but by luck or a leak. bound: the one that knew what was
    recorded in time, and no more, to come near to; where there is none, there are no floors, since nobody can reach the
    ceiling.

    A floor fails where the whole interval of the figure lies below it: short of that, the data do not show that it is
    missed. The ceiling is broken where the whole interval of the difference in AUROC or average precision lies above 0.
    """
    always = (_leak(judged, ceiling), *_true(truth))
    if bound is None:
        return always
    shares = [_share(judged, measure, floor, bound) for measure, floor in FLOORS.items()]
    return (*always, _auroc(judged, bound), *shares, *_lead_time(judged, bound))


def _leak(judged: Evaluation, ceiling: str) -> Line:
    gains = {measure: judged.gain(ceiling, measure) for measure in ("auroc", "average_precision")}
    told = ", ".join(f"{name.replace('_', ' ')} {_signed(gain)}" for name, gain in gains.items())
    return Line(LEAK, all(low <= 0 for _, low, _ in gains.values()), f"model minus '{ceiling}': {told}")


def _auroc(judged: Evaluation, bound: str) -> Line:
    gain = judged.gain(bound, "auroc")
    says = f"model minus '{bound}': {_signed(gain)}, at least {-AUROC_BELOW}"
    return Line("AUROC", gain[2] >= -AUROC_BELOW, says)


def _share(judged: Evaluation, measure: str, floor: float, bound: str) -> Line:
    """The interval is the paired difference's, with the bound's figure taken as it is."""
    best = judged.figure(measure, bound)[0]
    share = [1 + gain / best for gain in judged.gain(bound, measure)]
    name = measure.replace("_", " ") if measure != "ppv" else "PPV at capacity"
    return _held(f"{name}, share of '{bound}'", share, floor)


def _lead_time(judged: Evaluation, bound: str) -> list[Line]:
    by_model = {str(model): rows.set_index("days_before") for model, rows in judged.lead_time.groupby("model")}
    best, mine = by_model[bound]["share"], by_model[judged.lead][["share", "low", "high"]]
    lines = []
    for day in best.index:
        shares = [float(figure) for figure in mine.loc[day] / best[day]]
        lines.append(_held(f"listed on day -{day}, share of '{bound}'", shares, LEAD_TIME_FLOOR))
    return lines


def _held(name: str, share: Sequence[float], floor: float) -> Line:
    value, low, high = share
    return Line(name, high >= floor, f"{value:.2f} ({low:.2f} to {high:.2f}), at least {floor}")


def _true(truth: pd.DataFrame) -> list[Line]:
    lines = []
    for (lowest, highest), row in zip((OVER_TRUE, SLOPE_ON_TRUE), truth.to_dict("records"), strict=True):
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        says = f"{value:.3f} ({low:.3f} to {high:.3f}), from {lowest} to {highest}"
        lines.append(Line(str(row["measure"]).replace("_", " "), low <= highest and high >= lowest, says))
    return lines


def _signed(gain: tuple[float, float, float]) -> str:
    return f"{gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})"
