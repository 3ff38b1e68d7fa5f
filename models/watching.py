"""What is watched of the inputs, and which of it is news: figures by period, each kind with a limit of its own.

The kinds share out the page's rate of false alarms evenly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.tallies import Tallies
from models.drift import Floats, Judged, angles, judged, logs, spans
from models.settings import SMALLEST

VOLUME, DELAY, EMPTY, CODES, FEATURES = "volume", "delay", "empty cells", "codes", "features"
CHECKS = (VOLUME, DELAY, EMPTY, CODES, FEATURES)
LATE_SHARES = (0.5, 0.9)
"""Shares of records that usually have come by then: how many come later is watched."""
GONE = 0.1
"""A code at less than this of what was usual has died; one that was at less than this of what it is now is new."""
LEAST_EXPECTED = 5
"""Records of a code that would have been expected since, before its absence says anything."""
LEAST_INDEX = 0.001
"""A stability index below this is none."""
KEYS = ["source", "table", "column", "code"]
QUANTILES = (0.5, 0.9, 0.95)


Alive = Mapping[tuple[str, str], tuple[int, int]]
"""Of each source and table, the first period in which it is told of as usual, and the last in which it was to be."""


@dataclass(frozen=True)
class Watched:
    """One kind of figures. keys: `KEYS` of each ('' where one does not apply; a feature's name is its column). values
    and noise as `drift.judged` takes them; scale: 'count', 'share' or 'log' (of what is shown)."""

    check: str
    keys: pd.DataFrame
    values: Floats
    noise: Floats
    scale: str

    def shown(self, values: Floats) -> Floats:
        """Values as people read them: counts, shares (0-1), indices."""
        if self.scale == "share":
            return np.asarray(np.sin(values) ** 2)
        return np.asarray(np.expm1(values) if self.scale == "count" else np.exp(values))


def alive(told: Tallies, last: Mapping[str, int]) -> Alive:
    """When each source tells of each table: from the first period with half of what a period usually brings, so that
    neither stray earlier rows nor a broken first period are taken for the usual. last: by source."""
    found = {}
    for (source, table), rows in told.rows.groupby(["source", "table"]):
        full = rows[rows["rows"] >= rows["rows"].median() / 2]
        found[str(source), str(table)] = (int(full["period"].min()), last[str(source)])
    return found


def whole_from(when: Alive) -> int:
    """The first period in which every table that is ever told of is."""
    firsts: dict[str, int] = {}
    for (_, table), (first, _) in when.items():
        firsts[table] = min(first, firsts.get(table, first))
    return max(firsts.values(), default=0)


def figures(told: Tallies, periods: int, when: Alive) -> list[Watched]:
    """Volumes, delays, empty cells and codes of every source, table and period."""
    rows = _wide(told.rows, ["source", "table"], periods, when)
    return [
        _watched(VOLUME, rows.columns, *logs(rows.to_numpy()), "count"),
        _delays(told, periods, when),
        _empty(told, rows, periods, when),
        _codes(told, rows, periods, when),
    ]


def _wide(frame: pd.DataFrame, keys: list[str], periods: int, when: Alive) -> pd.DataFrame:
    """Rows by period and keys: 0 where a source that is to be heard of says nothing, NaN outside its time."""
    wide = frame.pivot_table(index="period", columns=keys, values="rows", aggfunc="sum", sort=True, observed=True)
    wide = wide.reindex(range(periods)).fillna(0).astype(float)
    spans = [when.get((column[0], column[1]), (periods, -1)) for column in wide.columns]
    first, last = np.array(spans, np.int64).reshape(-1, 2).T
    period = np.arange(periods)[:, None]
    return wide.where((period >= first) & (period <= last))


def _watched(check: str, columns: pd.Index, values: Floats, noise: Floats, scale: str) -> Watched:
    keys = columns.to_frame(index=False).astype(str).reindex(columns=KEYS, fill_value="")
    return Watched(check, keys, values, np.broadcast_to(noise, values.shape), scale)


def _delays(told: Tallies, periods: int, when: Alive) -> Watched:
    """The shares that come later than by when half and nine in ten of a table's records usually have come."""
    parts = []
    for _, lags in told.lags.groupby(["source", "table"]):
        for share in LATE_SHARES:
            hours = quantile(lags, share)
            parts.append(lags[lags["hours"] > hours].assign(column=_later(hours)))
    columns = ["source", "table", "column"]
    if not parts:
        nothing = pd.MultiIndex.from_tuples([], names=columns)
        return _watched(DELAY, nothing, np.empty((periods, 0)), np.empty((periods, 0)), "share")
    late = _wide(pd.concat(parts), columns, periods, when)
    whole = _wide(told.lags, ["source", "table"], periods, when)
    return _watched(DELAY, late.columns, *angles(late.to_numpy(), _of_whole(whole, late)), "share")


def _later(hours: int) -> str:
    """More than so many whole hours: an hour and more is later than one."""
    than = max(hours, 1)
    return f"after more than {than / 24:.1f} days" if than >= 48 else f"after more than {than} hour{'s' * (than > 1)}"


def _empty(told: Tallies, rows: pd.DataFrame, periods: int, when: Alive) -> Watched:
    empty = _wide(told.nulls, ["source", "table", "column"], periods, when)
    return _watched(EMPTY, empty.columns, *angles(empty.to_numpy(), _of_whole(rows, empty)), "share")


def _codes(told: Tallies, rows: pd.DataFrame, periods: int, when: Alive) -> Watched:
    """Each code's share of its table's records. A code that rests on few people in every period is left out."""
    people = told.codes.groupby(KEYS)["people"].transform("max")
    codes = _wide(told.codes[people >= SMALLEST], KEYS, periods, when)
    return _watched(CODES, codes.columns, *angles(codes.to_numpy(), _of_whole(rows, codes)), "share")


def _of_whole(whole: pd.DataFrame, parts: pd.DataFrame) -> Floats:
    """For each column of `parts`, its source's and table's numbers."""
    return whole[[column[:2] for column in parts.columns]].to_numpy()


def features(index: Floats, names: Sequence[str]) -> Watched:
    """The features' stability indices (periods x features)."""
    keys = pd.MultiIndex.from_product([[""], ["features"], names], names=["source", "table", "column"])
    return _watched(FEATURES, keys, np.log(np.maximum(index, LEAST_INDEX)), np.full(index.shape, 0.5), "log")


@dataclass(frozen=True)
class Found:
    """What was judged. series: check, `KEYS`, period, value, usual (as people read them), deviation (in usual ones),
    limit. alarms: check, `KEYS`, first and last (periods), kind ('new', 'died', 'more', 'less'), value, usual,
    deviation (at the first), and together: how many codes of the column died at once. watched: figures by check."""

    series: pd.DataFrame
    alarms: pd.DataFrame
    watched: Mapping[str, int]


def judge(kinds: Sequence[Watched], year: int, alarms_a_year: float) -> Found:
    """Every kind of figures against its own past. alarms_a_year: how many periods of a year (of `year` periods) may
    hold a false alarm of any kind."""
    series, alarms = [], []
    for kind in kinds:
        rate = min(0.5, alarms_a_year / year / len(CHECKS))
        found = judged(kind.values, kind.noise, year, rate, upward=kind.check == FEATURES)
        series.append(_series(kind, found))
        alarms.append(_alarms(kind, found))
    watched = {kind.check: int(np.isfinite(kind.values).any(axis=0).sum()) for kind in kinds}
    return Found(pd.concat(series, ignore_index=True), pd.concat(alarms, ignore_index=True), watched)


def _series(kind: Watched, found: Judged) -> pd.DataFrame:
    periods, count = kind.values.shape
    keys = kind.keys.loc[np.tile(np.arange(count), periods)].reset_index(drop=True)
    keys.insert(0, "check", kind.check)
    frame = keys.assign(
        period=np.repeat(np.arange(periods), count),
        value=kind.shown(kind.values).ravel(),
        usual=kind.shown(found.usual).ravel(),
        deviation=found.deviation.ravel(),
        limit=np.repeat(found.limit, count),
    )
    known: pd.DataFrame = frame[np.isfinite(frame["value"])]
    return known


def _alarms(kind: Watched, found: Judged) -> pd.DataFrame:
    runs = spans(found.alarms)
    now, usual = kind.shown(kind.values), kind.shown(found.usual)
    at = (runs["first"].to_numpy(), runs["figure"].to_numpy())
    told = (
        kind.keys.loc[runs["figure"]]
        .reset_index(drop=True)
        .assign(first=runs["first"], last=runs["last"], value=now[at], usual=usual[at], deviation=found.deviation[at])
    )
    told.insert(0, "check", kind.check)
    told["kind"] = np.where(told["deviation"] > 0, "more", "less")
    if kind.check in (CODES, VOLUME):
        told.loc[told["value"] < GONE * told["usual"], "kind"] = "died"
        told.loc[told["usual"] < GONE * told["value"], "kind"] = "new"
    return told


def companions(kind: Watched, told: Tallies, alarm: pd.Series) -> list[str]:
    """The codes of the alarm's column that died with it: of which, from its first period on, far fewer have come than
    before, and enough were to be expected. The most frequent first."""
    mine = (kind.keys[["source", "table", "column"]] == alarm[["source", "table", "column"]]).all(axis=1)
    names = kind.keys.loc[mine, "code"]
    rows = told.codes[(told.codes[["source", "table", "column"]] == alarm[["source", "table", "column"]]).all(axis=1)]
    counts = rows.pivot_table(index="period", columns="code", values="rows", aggfunc="sum").fillna(0)
    first = int(alarm["first"])
    counts = counts.reindex(index=range(len(kind.values)), columns=names, fill_value=0)
    before = counts.iloc[max(0, first - 13) : first].mean()
    since = counts.iloc[first:]
    gone = (since.mean() < GONE * before) & (before * len(since) >= LEAST_EXPECTED)
    return [str(code) for code in before[gone].sort_values(ascending=False, kind="stable").index]


def quantile(lags: pd.DataFrame, share: float) -> int:
    """The hours by which that share of the records (hours, rows) had come."""
    by_hour = lags.groupby("hours")["rows"].sum().sort_index()
    reached = by_hour.cumsum().to_numpy() >= share * by_hour.sum()
    return int(by_hour.index[int(np.argmax(reached))]) if len(by_hour) else 0


def lags(told: Tallies) -> pd.DataFrame:
    """source, table, period, rows and the days by which half, 90% and 95% of what was told in the period had come."""
    found = [
        (*key, int(of["rows"].sum()), *(round(quantile(of, share) / 24, 2) for share in QUANTILES))
        for key, of in told.lags.groupby(["source", "table", "period"])
    ]
    names = [f"days_{int(100 * share)}_percent" for share in QUANTILES]
    return pd.DataFrame(found, columns=["source", "table", "period", "rows", *names])
