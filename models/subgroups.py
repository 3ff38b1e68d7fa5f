"""Who the lists work for: yield and calibration at list size by group, with small numbers hidden."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from features.table import KEYS
from models.listings import admissions, listed
from models.resampling import Resampling, divided, percentile_interval
from models.settings import SMALLEST

UNRECORDED = "not recorded"
TRAINING, NEVER_SEEN = "training", "never seen in training"
KNOWN = "known"
"""The column of traits that says whether an urgent team had already taken the person on."""
COUNTS = ["rows", "people", "admissions", "listed"]
RATES = ["ppv", "ppv_low", "ppv_high", "recall", "recall_low", "recall_high"]
RATES += ["expected_over_observed", "expected_over_observed_low", "expected_over_observed_high"]


def with_traits(rows: pd.DataFrame, traits: pd.DataFrame | None) -> tuple[pd.DataFrame, list[str]]:
    """`rows` with their traits, and the columns that are groups: every trait but `known`."""
    if traits is None:
        return rows.assign(**{KNOWN: False}), []
    groups = [str(name) for name in traits.columns.drop([*KEYS, KNOWN])]
    joined = rows.merge(traits, on=list(KEYS), how="left", validate="1:1")
    filled = {name: joined[name].astype(object).where(joined[name].notna(), UNRECORDED) for name in groups}
    return joined.assign(**filled, **{KNOWN: joined[KNOWN].eq(True)}), groups


def _parts(places: pd.DataFrame, groups: list[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for group in groups:
        for value, held in places.groupby(group, sort=True):
            yield group, str(value), held


def subgroups(places: pd.DataFrame, groups: list[str], resampling: Resampling) -> pd.DataFrame:
    """group, value; rows, people, admissions (of usable rows), listed (places), listed_share (of all places); the
    lead's ppv, recall and expected_over_observed at list size, each with _low and _high.

    What rests on fewer than `SMALLEST` people or admissions is null, and where that would hide one value of a group
    alone, which the others and the total would give away, the next smallest is hidden with it.
    """
    rows = []
    for group, value, held in _parts(places, groups):
        usable = held[held["state"] == "usable"]
        counts = (len(usable), usable["person_id"].nunique(), admissions(usable), int(held["listed"].sum()))
        rows.append((group, value, *counts, float(held["listed"].mean()), *_rates(held, resampling)))
    return _hidden(pd.DataFrame(rows, columns=["group", "value", *COUNTS, "listed_share", *RATES]))


def _rates(held: pd.DataFrame, resampling: Resampling) -> list[float]:
    usable = (held["state"] == "usable").to_numpy(np.float64)
    shown, label = held["listed"].to_numpy(np.float64), held["label"].to_numpy(np.float64)
    values = np.column_stack([shown * label, shown, label, held["risk"].to_numpy(np.float64) * usable])
    hits, listed_places, positives, expected = values.sum(axis=0)
    drawn = resampling.sums(values, held["person_id"]).T
    told: list[float] = []
    for value, draws in (
        (divided(hits, listed_places), divided(drawn[0], drawn[1])),
        (divided(hits, positives), divided(drawn[0], drawn[2])),
        (divided(expected, positives), divided(drawn[3], drawn[2])),
    ):
        interval = percentile_interval(draws)
        told += [float(value), interval.low, interval.high]
    return told


def _hidden(table: pd.DataFrame) -> pd.DataFrame:
    everything = [*COUNTS, "listed_share", *RATES]
    numbers = table[everything].astype(np.float64)
    few_people, few_admissions = _small(table, "people"), _small(table, "admissions")
    numbers.loc[few_admissions, ["admissions", *RATES]] = np.nan
    numbers.loc[few_people] = np.nan
    return pd.concat([table[["group", "value"]], numbers], axis=1)


def _small(table: pd.DataFrame, column: str) -> pd.Series:
    """Rows to hide for their `column`: the small ones, and the next where a group has one small row only."""
    small = table[column] < SMALLEST
    alone = small.groupby(table["group"]).transform("sum") == 1
    others = table[column].where(~small)
    return small | (alone & (others.groupby(table["group"]).rank(method="first") == 1))


def contrasts(places: pd.DataFrame, groups: list[str], other: str, resampling: Resampling) -> pd.DataFrame:
    """group, value, admissions, lead and other (each one's recall at list size), difference, low, high: the lead minus
    `other` on the same resamples. For the gate, which must see small groups too; not for showing."""
    rows = []
    for group, value, held in _parts(places, groups):
        label = held["label"].to_numpy(np.float64)
        values = np.column_stack([label * held["listed"], label * held[listed(other)], label])
        hits, other_hits, positives = values.sum(axis=0)
        drawn = resampling.sums(values, held["person_id"]).T
        interval = percentile_interval(divided(drawn[0] - drawn[1], drawn[2]))
        recalls = (float(divided(hits, positives)), float(divided(other_hits, positives)))
        rows.append((group, value, admissions(held), *recalls, recalls[0] - recalls[1], interval.low, interval.high))
    columns = ["group", "value", "admissions", "lead", "other", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def net_of_known(places: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """who, listed (places), share, hits, ppv, low, high: of all the lead's places, of those whose holder an urgent team
    had already taken on, and of the rest, which is what the list adds."""
    shown = places[places["listed"]]
    known = shown[KNOWN].to_numpy(bool)
    parts = {"everyone listed": shown, "already with an urgent team": shown[known], "net of those": shown[~known]}
    rows = [
        (who, len(held), len(held) / max(len(shown), 1), int(held["label"].sum()))
        + resampling.rate(held["label"], held["person_id"])
        for who, held in parts.items()
    ]
    return pd.DataFrame(rows, columns=["who", "listed", "share", "hits", "ppv", "low", "high"])
