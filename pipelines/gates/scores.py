"""The day's risks and lists, held against those of earlier days and against yesterday's."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from models.usual import chance, usual
from pipelines.gates.config import GatesConfig
from pipelines.gates.outcome import OVERLAP, RISK, UNKNOWN, Outcome, judged
from pipelines.runs import Run

MEAN, HIGH = "mean risk", "share at a risk of 1 in 10 or more"
QUANTILES = {"median risk": 0.5, "95th percentile of risk": 0.95}
TOP = 0.1
LISTED = "yesterday's places on a list, of people still on the caseload,"


def score_outcomes(ranked: pd.DataFrame, runs: Sequence[Run], today: date, config: GatesConfig) -> Iterator[Outcome]:
    """What the gates say of a ranking. runs: those with the same model whose lists stand for earlier days, in order;
    the values that the gates found then are their history."""
    told = [run.told for run in runs][-7 * config.weeks :]
    yield from _risks(ranked, told, config)
    if config.overlap.level != "off":
        yield _overlap(ranked, runs, told, today, config)


def _risks(ranked: pd.DataFrame, told: Sequence[Mapping[str, Any]], config: GatesConfig) -> Iterator[Outcome]:
    rule, people = config.risk, ranked.drop_duplicates("person_id")["risk"].to_numpy(np.float64)
    if rule.level == "off":
        return
    if not len(people):
        yield Outcome(RISK, MEAN, rule.level, UNKNOWN)
        return
    values = {MEAN: people.mean(), **{name: float(np.quantile(people, q)) for name, q in QUANTILES.items()}}
    for name, value in values.items():
        past = values_of(told, RISK, name)
        centre = usual(past)
        floor = rule.floor * centre.centre if centre else 0.0
        yield judged(RISK, name, rule, float(value), past, config.least_days, floor=floor)
    past, high = values_of(told, RISK, HIGH), float((people >= TOP).mean())
    centre = usual(past)
    floor = max(rule.floor * centre.centre, chance(centre.centre, len(people))) if centre else 0.0
    floor = max(floor, config.least_people / len(people))  # a few are no fault: they are whom a list is for
    yield judged(RISK, HIGH, rule, high, past, config.least_days, floor=floor)


def _overlap(
    ranked: pd.DataFrame, runs: Sequence[Run], told: Sequence[Mapping[str, Any]], today: date, config: GatesConfig
) -> Outcome:
    if not runs or runs[-1].day != (today - timedelta(days=1)).isoformat():
        return Outcome(OVERLAP, LISTED, config.overlap.level, UNKNOWN)
    both, could = kept_places(runs[-1].ranked(), ranked)
    if not could:
        return Outcome(OVERLAP, LISTED, config.overlap.level, UNKNOWN)
    past = values_of(told, OVERLAP, LISTED)
    centre = usual(past)
    floor = max(config.overlap.floor, chance(centre.centre, could) if centre else 0.0)
    return judged(
        OVERLAP, LISTED, config.overlap, both / could, past, config.least_days, floor=floor, sides=(True, False)
    )


def kept_places(yesterday: pd.DataFrame, today: pd.DataFrame) -> tuple[int, int]:
    """How many places on yesterday's lists are on today's too, and how many could be: those whose person is on that
    team's caseload today, but no more for a team than are listed today, since a capacity may be set anew."""
    keys = ["team_id", "person_id"]
    was = yesterday.loc[yesterday["listed"].astype(bool), keys].merge(today[[*keys, "listed"]], on=keys)
    could = was.groupby("team_id").size().clip(upper=today.groupby("team_id")["listed"].sum())
    return int(was["listed"].sum()), int(could.sum())


def values_of(told: Sequence[Mapping[str, Any]], gate: str, subject: str) -> list[float]:
    """What a gate found for a subject in earlier runs."""
    return [
        float(one["value"])
        for run in told
        for one in run.get("gates", [])
        if one["gate"] == gate and one["subject"] == subject and one["value"] is not None
    ]
