"""A simulated world as pictures: one person's course, and the checks."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.simulator import vocabulary as v
from pipelines.simulator.activities import vital_signs_of
from pipelines.simulator.calendar import DAY
from pipelines.simulator.chance import Ints
from pipelines.simulator.checking import RISKS, Checked
from pipelines.simulator.readings import news2
from pipelines.simulator.records import Records

SPAN = 60
"""Days of a person's course that are shown."""
COLOURS = {"p9": "#222222", "p9_filter": "#005eb8", "p9_in_time": "#d5281b", "p9_recorded": "#ed8b00"}
DPI = 110


def draw_pictures(records: Records, checked: Checked, folder: Path) -> list[Path]:
    """course.png and checks.png in `folder`."""
    pictures = {
        "course.png": course_picture(records, checked.days),
        "checks.png": checks_picture(records, checked.days),
    }
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=DPI)
    return [folder / name for name in pictures]


def telling_person(records: Records, days: pd.DataFrame) -> tuple[int, int]:
    """The number and the day of admission of someone with weeks on the caseload and vital signs taken shortly before:
    the one longest watched, and of those the one with most sets."""
    log, signs = records.journal.stays, records.journal.contacts
    last = int(days["number"].max())
    taken = signs["signs"] >= 0
    seen = pd.DataFrame({"person": signs["person"][taken], "day": signs["day"][taken]})
    stays = pd.DataFrame({name: log[name] for name in ("person", "day", "emergency")}).query("emergency == 1")
    stays = stays[stays["day"].between(last - 20, last)]
    watched = days.groupby("person").size()
    stays["watched"] = stays["person"].map(watched).fillna(0).clip(upper=SPAN)
    near = stays.merge(seen, on="person", suffixes=("", "_seen"))
    near = near[(near["day"] - near["day_seen"]).between(1, 12)]
    stays["sets"] = stays["person"].map(near.groupby("person").size()).fillna(0)
    best = stays.sort_values(["watched", "sets", "person"], ascending=[False, False, True]).iloc[0]
    return int(best["person"]), int(best["day"])


def course_picture(records: Records, days: pd.DataFrame) -> Figure:
    """One person's last weeks before an emergency admission: the true state, the true and the believed risk, and what
    the team saw, with the day when it was on record."""
    person, admitted = telling_person(records, days)
    own = days[days["person"] == person].set_index("number").sort_index()
    own = own[own.index > admitted - SPAN]
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1.5, 1.7])
    _states(axes[0], records, own)
    _risks(axes[1], own)
    _contacts(axes[2], records, person, admitted)
    for axis in axes:
        axis.axvline(admitted, color="#d5281b", linewidth=1.5)
        axis.set_xlim(max(admitted - SPAN, own.index.min() - 2), admitted + 3)
        axis.grid(visible=True, axis="x", alpha=0.3)
    axes[0].annotate("emergency admission", (admitted, 0.5), xytext=(-6, 0), textcoords="offset points", ha="right")
    axes[2].set_xlabel("day of the simulation")
    figure.suptitle("The last weeks of one simulated person before an emergency admission")
    return figure


def _states(axis: Axes, records: Records, own: pd.DataFrame) -> None:
    names = list(records.world.course.names)
    present = [name for name in names if name in set(own["state"])]
    axis.step(own.index, own["state"].map(present.index), where="post", color=COLOURS["p9"])
    axis.set_yticks(range(len(present)), [name.replace("_", " ") for name in present])
    axis.set_title("True state, which nobody sees", loc="left", fontsize=10)


def _risks(axis: Axes, own: pd.DataFrame) -> None:
    for risk, name in RISKS.items():
        axis.plot(own.index, own[risk], color=COLOURS[risk], label=name, drawstyle="steps-post")
    axis.plot(own.index, own["hazard"], color="#768692", linestyle=":", label="hazard of the day")
    axis.set_yscale("log")
    axis.set_title("Risk of an emergency admission within nine days", loc="left", fontsize=10)
    axis.legend(fontsize=8, loc="upper left")


def _contacts(axis: Axes, records: Records, person: int, admitted: int) -> None:
    contacts, first = records.contacts, records.world.epoch_day
    day = contacts.day_from(first)
    rows = np.flatnonzero((contacts.person == person) & (day > admitted - SPAN) & (day <= admitted + 2))
    held = np.isin(contacts.status[rows], (v.ATTENDED, v.LATE_SEEN))
    kinds = (
        ("planned visit", (contacts.kind[rows] == v.VISIT) & held, "o", "#005eb8"),
        ("missed or cancelled", (contacts.kind[rows] == v.VISIT) & ~held & (contacts.status[rows] > 0), "x", "#768692"),
        ("unscheduled visit", contacts.kind[rows] == v.UNSCHEDULED, "^", "#d5281b"),
        ("call", contacts.kind[rows] == v.CALL, "s", "#ed8b00"),
        ("note", contacts.kind[rows] == v.NOTE, ".", "#768692"),
    )
    for height, (name, which, mark, colour) in enumerate(reversed(kinds)):
        at = rows[which]
        axis.scatter(day[at], np.full(len(at), height), marker=mark, color=colour, zorder=3)
        recorded = contacts.recorded_at[at] / DAY - first
        axis.hlines(
            np.full(len(at), height), day[at], np.maximum(recorded, day[at]), color=colour, alpha=0.35, linewidth=5
        )
        axis.text(0.005, height + 0.18, name, fontsize=8, color=colour, transform=axis.get_yaxis_transform())
    _scores(axis, records, rows[contacts.signs[rows] >= 0], day, len(kinds))
    axis.set_yticks([])
    axis.set_title("What the team saw (point), and until when it was not on record (bar)", loc="left", fontsize=10)


def _scores(axis: Axes, records: Records, rows: Ints, day: Ints, height: int) -> None:
    contacts = records.contacts
    taken = vital_signs_of(records.journal, contacts.signs[rows])
    scores = news2(taken, records.people.lung_disease[contacts.person[rows]])
    for at, score in zip(day[rows], scores, strict=True):
        axis.text(at, height - 0.1, str(score), ha="center", fontsize=9, weight="bold" if score >= 5 else "normal")
    axis.text(0.005, height + 0.18, "NEWS2", fontsize=8, transform=axis.get_yaxis_transform())
    axis.set_ylim(-0.6, height + 0.7)


def checks_picture(records: Records, days: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    _calibration(axes[0], days)
    _by_week(axes[1], records)
    _delays(axes[2], records)
    _nights(axes[3], records)
    _by_state(axes[4], records, days)
    _before_admission(axes[5], records, days)
    return figure


def _calibration(axis: Axes, days: pd.DataFrame) -> None:
    for risk, name in RISKS.items():
        bands = days.groupby(pd.qcut(days[risk], 12, duplicates="drop"), observed=True)
        axis.plot(bands[risk].mean(), bands["happened"].mean().clip(lower=1e-4), "o-", color=COLOURS[risk], label=name)
    axis.plot([1e-3, 0.3], [1e-3, 0.3], color="#768692", linewidth=0.8)
    axis.set(
        xscale="log", yscale="log", xlabel="risk", ylabel="share admitted in nine days", title="Risks and outcomes"
    )
    axis.legend(fontsize=7)


def _by_week(axis: Axes, records: Records) -> None:
    log, config = records.journal.stays, records.world.config
    week = log["day"][log["emergency"] == 1] // 7
    rate = np.bincount(week)[: config.days // 7] / config.places / 7 * 365
    axis.plot(np.arange(len(rate)) * 7, rate, color=COLOURS["p9_filter"])
    axis.axvline(records.world.changes.shock, color="#d5281b", linewidth=0.8)
    axis.set(xlabel="day", ylabel="a place and year", title="Emergency admissions by week; epidemic")


def _delays(axis: Axes, records: Records) -> None:
    contacts = records.contacts
    late = np.floor((contacts.recorded_at - contacts.start)[contacts.seen] / DAY)
    bins = np.arange(17)
    axis.bar(bins, np.bincount(late.clip(0, 16).astype(int), minlength=17) / len(late), color=COLOURS["p9_filter"])
    real = np.array(records.world.config.delays.reporting)
    axis.plot(
        np.arange(len(real)), real / real.sum(), "o", color=COLOURS["p9_in_time"], markersize=4, label="reports, 2011"
    )
    axis.set(yscale="log", xlabel="days until on record", ylabel="share of visits", title="Delay of records")
    axis.legend(fontsize=7)


def _nights(axis: Axes, records: Records) -> None:
    log = records.journal.stays
    nights = log["nights"][log["emergency"] == 1].clip(0, 30)
    axis.bar(np.arange(31), np.bincount(nights, minlength=31) / len(nights), color=COLOURS["p9_filter"])
    axis.set(xlabel="nights", ylabel="share of emergency stays", title="Length of stay")


def _by_state(axis: Axes, records: Records, days: pd.DataFrame) -> None:
    share = days.assign(part=days["p9"] / days["p9"].sum()).groupby("state")["part"].sum()
    names = [name for name in records.world.course.names if name in share.index]
    axis.barh([name.replace("_", " ") for name in names], share[names], color=COLOURS["p9_filter"])
    axis.tick_params(axis="y", labelsize=6)
    axis.invert_yaxis()
    axis.set(xlabel="share of all expected admissions", title="Where the risk is")


def _before_admission(axis: Axes, records: Records, days: pd.DataFrame) -> None:
    log = records.journal.stays
    stays = pd.DataFrame({"person": log["person"], "day": log["day"]})[log["emergency"] == 1]
    joined = days.merge(stays, on="person")
    joined["before"] = joined["day"] - joined["number"]
    near = joined[joined["before"].between(0, 20)].groupby("before")
    for risk, name in RISKS.items():
        means = near[risk].mean()
        axis.plot(-means.index, means, color=COLOURS[risk], label=name)
    axis.set(yscale="log", xlabel="days before the admission", ylabel="mean risk", title="Risk of those admitted")
