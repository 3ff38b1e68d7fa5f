"""What is watched, as matplotlib figures over time. Nothing is drawn that its frames do not hold."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from models.figures import DASHES, PALETTE
from models.over_time import EVERYONE, SHOWN, UNSHOWN, WHOLE

GREY = "#777777"
ACROSS = 3
"""Panels in a row."""
LEAST_POINTS = 4
"""Periods of a source and table that make a panel."""


def volumes(series: pd.DataFrame, ends: Sequence[str], alarms: Mapping[tuple[str, str], set[int]]) -> Figure:
    """Rows of each source and table by period, beside what was usual; periods that were alarms are marked.

    series: source, table, period, value, usual. ends: the days on which periods end.
    """
    groups = [(key, mine) for key, mine in series.groupby(["source", "table"]) if len(mine) >= LEAST_POINTS]
    rows = -(-len(groups) // ACROSS)
    figure = Figure(figsize=(9, 1.9 * max(rows, 1)), layout="constrained")
    for place, ((source, table), mine) in enumerate(groups):
        axes = figure.add_subplot(rows, ACROSS, place + 1)
        axes.set_title(f"{table}\n{source}", loc="left", fontsize=8)
        axes.plot(mine["period"], mine["usual"], color=GREY, linestyle="--", linewidth=0.8)
        axes.plot(mine["period"], mine["value"], color=PALETTE[0], linewidth=1.1)
        odd = mine[mine["period"].isin(alarms.get((str(source), str(table)), set()))]
        axes.plot(odd["period"], odd["value"], color=PALETTE[1], marker="v", linestyle="none", markersize=5)
        _bare(axes)
        _days(axes, ends, 2)
    return figure


def deviations(series: pd.DataFrame, ends: Sequence[str]) -> Figure:
    """For each kind of check, the greatest deviation of a period over its limit: above 1 is an alarm.

    series: check, period, deviation, limit.
    """
    figure, axes = _axes("The greatest deviation of each kind, as a share of its limit", "share of the limit")
    sized = series.assign(share=series["deviation"].abs() / series["limit"])
    for (check, mine), colour, dashes in zip(sized.groupby("check"), PALETTE, DASHES * 2, strict=False):
        greatest = mine.groupby("period")["share"].max()
        axes.plot(greatest.index, greatest, color=colour, linestyle=dashes, linewidth=1.2, label=check)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_ylim(0, None)
    _days(axes, ends, 8)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def sums(watched: pd.DataFrame, limits: Mapping[str, float], words: Mapping[str, str]) -> Figure:
    """Each side's sum so far over its limit, day by day. watched: as `decay.watched` gives it."""
    figure, axes = _axes("Signs of decay, as shares of their limits", "share of the limit")
    for (side, limit), colour, dashes in zip(limits.items(), PALETTE, DASHES, strict=False):
        axes.plot(watched["as_of"], watched[side] / limit, color=colour, linestyle=dashes, label=words[side])
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.legend(frameon=False, loc="upper left")
    return figure


def in_use(months: pd.DataFrame) -> Figure:
    """Month by month with 95% intervals: what those listed came to, and expected over observed, by who was shown.

    months: as `over_time.in_use` gives it.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    shown = months[months["period"] != WHOLE]
    names = sorted(shown["period"].unique())
    left, right = figure.subplots(1, 2)
    for measure, label, colour in (("ppv", "of those listed, admitted", 0), ("recall", "of those admitted, listed", 1)):
        _bars(left, shown[(shown["people"] == EVERYONE) & (shown["measure"] == measure)], names, label, colour)
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.set_ylim(0, 1.25 * left.get_ylim()[1])
    for place, people in enumerate((UNSHOWN, SHOWN)):
        mine = shown[(shown["people"] == people) & (shown["measure"] == "expected_over_observed")]
        _bars(right, mine, names, people, place)
    right.axhline(1, color=GREY, linewidth=0.8)
    for axes, title in ((left, "Within nine days"), (right, "Expected over observed (1: right)")):
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axes.legend(frameon=False, fontsize=8)
        _bare(axes)
    return figure


def _bars(axes: Axes, figures: pd.DataFrame, names: list[str], label: str, colour: int) -> None:
    at = np.array([names.index(name) for name in figures["period"]]) + 0.16 * colour - 0.08
    reach = [figures["value"] - figures["low"], figures["high"] - figures["value"]]
    bars = [length.clip(lower=0).fillna(0) for length in reach]
    axes.errorbar(
        at, figures["value"], yerr=bars, color=PALETTE[colour], label=label, marker="os"[colour], markersize=4
    )


def _axes(title: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel(y)
    _bare(axes)
    return figure, axes


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _days(axes: Axes, ends: Sequence[str], marks: int) -> None:
    """Some of the days on which periods end, in place of their numbers."""
    low, high = (int(edge) for edge in axes.get_xlim())
    inside = [int(place) for place in np.linspace(max(low, 0), min(high, len(ends) - 1), marks + 1)]
    axes.set_xticks(inside, [ends[place] for place in inside])
