"""What came in, period by period, counted from the history and held against the service's own past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pandas as pd
import pyarrow.compute as pc

from features.errors import NotReadyError
from features.schema import TABLES
from features.tallies import Tallies, added, tally
from features.windows import cut, shift_days
from models import stability, watching
from models.drift import places
from pipelines.building import WARM_UP_DAYS, frame_at
from pipelines.given import given_dataset
from pipelines.mapping import map_buckets
from pipelines.service import Service
from pipelines.store import History

Tell = Callable[[str], None]
YEAR_DAYS = 365.25


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
    config = service.config
    if service.history.ledger().empty:
        message = "Monitoring needs a history; there is none. Run `minusnine ingest` first."
        raise NotReadyError(message)
    if any(source.late_after_hours is not None for source in config.sources.values()):
        return at
    tables = service.history.read(known_by=at, columns=dict.fromkeys(TABLES, ()))
    known = [pc.max(table["known_from"]).as_py() for table in tables.values() if table.num_rows]
    if not known:
        message = "Monitoring needs something that was known by the moment; nothing was. Name a later day."
        raise NotReadyError(message)
    last = cut(max(known).date(), config.cut, config.zone)
    return min(at, last if last > max(known) else shift_days(last, 1, config.zone))


def edges_to(service: Service, as_of: datetime) -> list[datetime]:
    """Where periods begin and end."""
    config = service.config.monitoring
    periods = config.history_days // config.period_days
    back = range(-periods * config.period_days, 1, config.period_days)
    return [shift_days(as_of, days, service.config.zone) for days in back]


def inputs(service: Service, edges: list[datetime], tell: Tell) -> Inputs:
    """Rows, delays, empty cells, codes and features of each period between the edges, and what of them is news."""
    config = service.config.monitoring
    year = round(YEAR_DAYS / config.period_days)
    tell("counting what came in")
    told = tallies(service, edges)
    when = watching.alive(told, _last(service, edges))
    kinds = watching.figures(told, len(edges) - 1, when)
    tell("building features of each period's last day")
    kinds.append(_features(service, edges, watching.whole_from(when), year, tell))
    found = watching.judge(kinds, year, config.false_alarms_a_year)
    codes = next(kind for kind in kinds if kind.check == watching.CODES)
    died = found.alarms[(found.alarms["check"] == watching.CODES) & (found.alarms["deviation"] < 0)]
    together = {int(str(place)): watching.companions(codes, told, alarm) for place, alarm in died.iterrows()}
    return Inputs(tuple(edges[1:]), told, found, watching.lags(told), together)


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


def _last(service: Service, edges: list[datetime]) -> dict[str, int]:
    """Of each source the last period in which it was to be heard of: for a feed the latest, else the last whole one
    that its extracts tell of."""
    ledger, latest = service.history.ledger(), len(edges) - 2
    feeds = {name for name, source in service.config.sources.items() if source.late_after_hours is not None}
    found = {}
    for name in ledger["source"].unique():
        until = ledger.loc[ledger["source"] == name, "covers_to"].max()
        found[str(name)] = latest if name in feeds else sum(edge <= until for edge in edges) - 2
    return found


def _features(service: Service, edges: list[datetime], first: int, year: int, tell: Tell) -> watching.Watched:
    """The features of each period's last cut, from the one after which a period is whole; of a task given as tables,
    those of the index rows within the period."""
    names, ends = list(service.catalogue.contract.names), edges[1:]
    if service.config.task is not None:
        frame = given_dataset(service, service.config.task, tell).frame
    else:
        began = first + WARM_UP_DAYS // service.config.monitoring.period_days
        with service.workers() as over:
            frame = frame_at(service.history, service.config, service.catalogue, ends[began:], over)
    day = places(frame["as_of"], edges)
    frame, day = frame[day >= 0], day[day >= 0]
    names = stability.moving(frame, names, day) if len(frame) else []
    return watching.features(stability.instability(frame, names, day, len(ends), year), names)
