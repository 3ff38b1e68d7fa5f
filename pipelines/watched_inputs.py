"""What came in, period by period, counted from the history and held against the service's own past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd

from features.errors import NotReadyError
from features.schema import TABLES
from features.tallies import Tallies, added, tally
from features.windows import cut, shift_days
from models import stability, watching
from models.drift import places
from pipelines.building import frame_at
from pipelines.given import given_dataset
from pipelines.mapping import map_buckets
from pipelines.service import Service
from pipelines.store import History

Tell = Callable[[str], None]
YEAR_DAYS = 365.25
LEAST_PERIODS = 2


@dataclass(frozen=True)
class Inputs:
    """What came in, by period. ends: of each period. lags: as `watching.lags`; together: for the place of an alarm in
    `found.alarms`, the codes that died with its own."""

    ends: tuple[datetime, ...]
    told: Tallies
    found: watching.Found
    lags: pd.DataFrame
    together: Mapping[int, list[str]]


def end_of(service: Service, at: datetime) -> datetime:
    """The cut to look back from: the moment's own, or, where no source is a feed, the first after all that came."""
    config, ledger = service.config, service.history.ledger()
    if ledger.empty:
        message = "Monitoring needs a history; there is none. Run `minusnine ingest` first."
        raise NotReadyError(message)
    if any(source.late_after_hours is not None for source in config.sources.values()):
        return at
    told = ledger["covers_to"].max().to_pydatetime()
    last = cut(told.date(), config.cut, config.zone)
    return min(at, last if last >= told else shift_days(last, 1, config.zone))


def inputs(service: Service, edges: list[datetime], tell: Tell) -> Inputs:
    """Rows, delays, empty cells, codes and features of each period between the edges, and what of them is news."""
    config = service.config.monitoring
    year = round(YEAR_DAYS / config.period_days)
    tell("counting what came in")
    told = tallies(service, edges)
    kinds = watching.figures(told, len(edges) - 1, _alive(service, edges))
    tell("building features of each period's last day")
    kinds.append(_features(service, edges, year, tell))
    found = watching.judge(kinds, year, config.false_alarms_a_year)
    codes = next(kind for kind in kinds if kind.check == watching.CODES)
    died = found.alarms[(found.alarms["check"] == watching.CODES) & (found.alarms["deviation"] < 0)]
    together = {int(place): watching.companions(codes, told, alarm) for place, alarm in died.iterrows()}
    return Inputs(tuple(edges[1:]), told, found, watching.lags(told), together)


def edges_to(service: Service, as_of: datetime) -> list[datetime]:
    """Where periods begin and end, from the first that the history covers."""
    config, zone = service.config.monitoring, service.config.zone
    first = _first_known(service.history)
    back = [-config.period_days * number for number in range(config.history_days // config.period_days + 1)]
    edges = [moment for days in reversed(back) if (moment := shift_days(as_of, days, zone)) >= first]
    if len(edges) < LEAST_PERIODS + 1:
        message = (
            f"Monitoring needs {LEAST_PERIODS} periods of {config.period_days} days; by this cut the history covers "
            f"{max(0, len(edges) - 1)}. Wait, or name a later day."
        )
        raise NotReadyError(message)
    return edges


def _first_known(history: History) -> datetime:
    known = history.read(names=("referrals", "observations"), columns={"referrals": (), "observations": ()})
    firsts = [table["known_from"].to_pandas().min() for table in known.values() if table.num_rows]
    if not firsts:
        message = "Monitoring needs a history with referrals or observations; it has none. Ingest extracts first."
        raise NotReadyError(message)
    moment: datetime = min(firsts).to_pydatetime()
    return moment


def tallies(service: Service, edges: list[datetime]) -> Tallies:
    """What came in between the edges, counted."""
    ledger = service.history.ledger()
    sources = dict(zip(ledger["batch"].astype(int), ledger["source"], strict=True))
    work = partial(_of_bucket, service.history, sources, edges)
    with service.workers() as over:
        return added(map_buckets(over, work, range(service.history.buckets)))


def _of_bucket(history: History, sources: dict[int, str], edges: list[datetime], bucket: int) -> Tallies:
    columns = {name: {*table.names, "batch"} for name, table in TABLES.items()}
    parts = [history.read(bucket, (name,), edges[-1], columns, coded=True) for name in TABLES]
    return added([tally(part, sources, edges) for part in parts])


def _alive(service: Service, edges: list[datetime]) -> dict[str, tuple[int, int]]:
    """Of each source, its first whole period, and the last in which it was to be heard of: for a feed the latest."""
    ledger, alive, last = service.history.ledger(), {}, len(edges) - 2
    for name, mine in ledger.groupby("source"):
        source = service.config.sources.get(str(name))
        feed = source is not None and source.late_after_hours is not None
        until = np.searchsorted(edges, mine["covers_to"].max().to_pydatetime(), side="right") - 2
        loaded = source is not None and source.known_from == "recorded"
        first = 0 if loaded else int(np.searchsorted(edges, mine["received_at"].min().to_pydatetime(), side="left"))
        alive[str(name)] = (first, last if feed else min(last, int(until)))
    return alive


def _features(service: Service, edges: list[datetime], year: int, tell: Tell) -> watching.Watched:
    """The features of each period's last cut; of a task given as tables, of the index rows within the period."""
    names, ends = list(service.catalogue.contract.names), edges[1:]
    if service.config.task is not None:
        frame = given_dataset(service, service.config.task, tell).frame
        day = places(frame["as_of"], edges)
        inside = (day >= 0) & (day < len(ends))
        frame, day = frame[inside], day[inside]
    else:
        with service.workers() as over:
            frame = frame_at(service.history, service.config, service.catalogue, ends, over)
        day = np.searchsorted(pd.DatetimeIndex(ends), frame["as_of"])
    names = stability.moving(frame, names, day)
    return watching.features(stability.instability(frame, names, day, len(ends), year), names)
