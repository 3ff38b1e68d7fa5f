"""An evaluation as matplotlib figures. Nothing is drawn that its frames do not hold."""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from models.evaluation import EVERYONE, Evaluation

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
"""Okabe and Ito's colours, told apart with any colour vision; lines differ in dashes too."""
DASHES = ("-", "--", "-.", ":")


def figures(evaluation: Evaluation) -> dict[str, Figure]:
    """lead_time, calibration, decisions, precision_recall and risk_distribution; and by_day where there is a curve."""
    drawings: dict[str, Callable[[Evaluation], Figure]] = {
        "lead_time": lead_time,
        "calibration": calibration,
        "decisions": decisions,
        "precision_recall": precision_recall,
        "risk_distribution": risk_distribution,
    }
    if len(evaluation.by_day):
        drawings["by_day"] = by_day
    return {name: draw(evaluation) for name, draw in drawings.items()}


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _each_model(frame: pd.DataFrame, axes: Axes, x: str, y: str, marker: str = "") -> None:
    styles = zip(cycle(PALETTE), cycle(DASHES), strict=False)
    for model, (colour, dashes) in zip(frame["model"].unique(), styles, strict=False):
        line = frame[frame["model"] == model]
        axes.plot(line[x], line[y], color=colour, linestyle=dashes, marker=marker, label=model)
    _legend_beside(axes)


def _legend_beside(axes: Axes) -> None:
    """Where it covers no line."""
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def precision_recall(evaluation: Evaluation) -> Figure:
    """Precision against recall over rows, with the rate of all rows as the line that says nothing."""
    counts = evaluation.counts
    title = f"Precision and recall over {counts['rows']:,} person-days with {counts['positives']:,} positives"
    figure, axes = _axes(title, "Recall", "Precision")
    _each_model(evaluation.precision_recall, axes, "recall", "precision")
    axes.axhline(counts["positives"] / counts["rows"], color="#777777", linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    return figure


def calibration(evaluation: Evaluation) -> Figure:
    """Observed rate against predicted risk by tenths of all rows and by fifths of those listed, with 95% intervals."""
    curves = {"all, by tenths": evaluation.calibration, "listed, by fifths": evaluation.calibration_listed}
    figure, axes = _axes("Predicted risk and observed rate", "Predicted risk", "Observed rate")
    top = 1.05 * float(np.nanmax([curve[["predicted", "observed", "high"]].max() for curve in curves.values()]))
    axes.plot([0, top], [0, top], color="#777777", linewidth=0.8, label="predicted = observed")
    for (label, curve), colour, marker in zip(curves.items(), PALETTE, ("o", "s"), strict=False):
        bars = _bars(curve, "observed")
        axes.errorbar(
            curve["predicted"], curve["observed"], yerr=bars, fmt=marker, color=colour, capsize=3, label=label
        )
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False)
    return figure


def by_day(evaluation: Evaluation) -> Figure:
    """The share admitted within so many days, and the share that the curve expects, with 95% intervals."""
    figure, axes = _axes("Admitted within so many days, as expected and as observed", "Days", "Share admitted")
    parts = evaluation.by_day.groupby("who", sort=False)
    for (who, rows), colour, dashes in zip(parts, PALETTE, DASHES, strict=False):
        axes.plot(rows["day"], rows["expected"], color=colour, linestyle=dashes, label=f"{who}: expected")
        bars = _bars(rows, "observed")
        label = f"{who}: observed"
        axes.errorbar(rows["day"], rows["observed"], yerr=bars, fmt="o", color=colour, capsize=3, label=label)
    axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _legend_beside(axes)
    return figure


def _bars(frame: pd.DataFrame, value: str) -> list[np.ndarray]:
    """The lengths of error bars below and above; none where the interval is not known."""
    errors = (frame[value] - frame["low"], frame["high"] - frame[value])
    return [error.clip(lower=0).fillna(0).to_numpy() for error in errors]


def lead_time(evaluation: Evaluation) -> Figure:
    """The share of admissions on a list, day by day before them, with 95% intervals: the lead's as a band."""
    frame = evaluation.lead_time
    title = f"Share of admissions listed, by days before ({evaluation.counts['admissions']:,} admissions)"
    figure, axes = _axes(title, "Days before admission", "Share listed of those on a caseload")
    _each_model(frame, axes, "days_before", "share", marker="o")
    mine = frame[frame["model"] == evaluation.lead]
    axes.fill_between(mine["days_before"], mine["low"], mine["high"], color=PALETTE[0], alpha=0.15, linewidth=0)
    others = [model for model in frame["model"].unique() if model != evaluation.lead]
    for place, (model, colour) in enumerate(zip(others, cycle(PALETTE[1:] + PALETTE[:1]), strict=False), start=1):
        rows = frame[frame["model"] == model]
        aside = rows["days_before"] + 0.06 * place - 0.03 * (len(others) + 1)
        axes.errorbar(aside, rows["share"], yerr=_bars(rows, "share"), fmt="none", ecolor=colour, elinewidth=0.7)
    axes.invert_xaxis()
    axes.set_xticks(sorted(mine["days_before"]), [f"-{day}" for day in sorted(mine["days_before"])])
    axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def decisions(evaluation: Evaluation) -> Figure:
    """Net benefit against the risk from which on one would act, per 1,000 person-days; acting on nobody is 0."""
    frame = evaluation.decisions
    frame = frame[frame["model"] != EVERYONE].assign(shown=lambda rows: 1000 * rows["net_benefit"])
    figure, axes = _axes("Net benefit of acting from a risk on", "Risk from which on one acts", "Per 1,000 person-days")
    _each_model(frame, axes, "threshold", "shown")
    mine = frame[frame["model"] == evaluation.lead]
    axes.fill_between(mine["threshold"], 1000 * mine["low"], 1000 * mine["high"], color=PALETTE[0], alpha=0.15, lw=0)
    everyone = evaluation.decisions[evaluation.decisions["model"] == EVERYONE]
    top, bottom = axes.get_ylim()[1], min(0.0, float(frame["shown"].min()))
    axes.plot(everyone["threshold"], 1000 * everyone["net_benefit"], color="#777777", linewidth=0.8, label=EVERYONE)
    axes.set_ylim(bottom - 0.1 * top, top)
    axes.axhline(0, color="#777777", linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    _legend_beside(axes)
    return figure


def risk_distribution(evaluation: Evaluation) -> Figure:
    """How many rows have which risk, admitted and not, on logarithmic axes; below 1 in 10,000 is one bar."""
    frame = evaluation.risks
    figure, axes = _axes("Person-days by predicted risk (logarithmic axes)", "Predicted risk", "Person-days")
    low = frame["low"].where(frame["low"] > 0, frame["high"] / 2)
    for column, label, colour in (("rows", "all", PALETTE[4]), ("positives", "admitted in nine days", PALETTE[1])):
        axes.bar(low, frame[column], width=frame["high"] - low, align="edge", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log", nonpositive="clip")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda risk, _: f"{100 * risk:g}%"))
    axes.legend(frameon=False)
    return figure
