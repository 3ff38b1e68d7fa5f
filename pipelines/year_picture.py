"""The picture of a year: the same model's figures where nobody acts on its lists and where teams do."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.over_time import WHOLE

COLOURS = ("#005eb8", "#d5281b")
PANELS = {
    "auroc": "AUROC against what was observed",
    "ppv": "Of those listed, admitted within nine days",
    "expected_over_observed": "Expected over observed admissions (1: right)",
    "expected_over_untreated": "Expected over the true risk, had nobody helped (1: right)",
    "listed_helped": "Of those listed, helped already",
    "admissions": "Emergency admissions for 1,000 days on a caseload",
}
SHARES = ("ppv", "listed_helped")
DPI = 110


def draw_year(months: pd.DataFrame, path: Path) -> None:
    """months: arm, month, measure, value, low, high. Bars are 95% intervals."""
    figure = Figure(figsize=(11, 10), layout="constrained")
    shown = months[months["month"] != WHOLE]
    for axis, (measure, title) in zip(figure.subplots(3, 2, sharex=True).flat, PANELS.items(), strict=True):
        _panel(axis, shown[shown["measure"] == measure])
        axis.set_title(title, fontsize=10, loc="left")
        if measure in SHARES:
            axis.yaxis.set_major_formatter(lambda value, _place: f"{value:.0%}")
        if measure.startswith("expected"):
            axis.axhline(1, color="#4c6272", linewidth=0.8)
    figure.axes[0].legend(frameon=False)
    figure.suptitle("One model, one year, one simulated world: lists on which nobody acts, and on which teams do")
    figure.savefig(path, dpi=DPI)


def _panel(axis: Axes, figures: pd.DataFrame) -> None:
    months = sorted(figures["month"].unique())
    for shift, colour, (arm, mine) in zip((-0.12, 0.12), COLOURS, figures.groupby("arm"), strict=True):
        at = [months.index(month) + shift for month in mine["month"]]
        reach = [mine["value"] - mine["low"], mine["high"] - mine["value"]]
        axis.errorbar(at, mine["value"], yerr=reach, color=colour, label=arm, marker="o", markersize=4, linewidth=1.2)
    axis.set_xticks(range(len(months)), months, rotation=45, ha="right", fontsize=8)
    axis.grid(visible=True, axis="y", alpha=0.3)
