"""The features that hidden states give: the records that speak of them, and what is believed by those in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features import beliefs
from features.aggregates import FOREVER, NO_VALUE, SCALE, Floats, Ints
from features.catalogue import Catalogue
from features.events import Stream, worths
from features.frames import micros, query
from features.states import EVIDENCE, LOG_ODDS, Learned, States
from features.windows import DAY, HORIZON_DAYS, shift_moments

Column = npt.NDArray[Any]
LARGEST_KEY = 2**62
"""Of whole numbers that person and moment are put into together, to be sorted at once."""


@dataclass(frozen=True)
class Past:
    """What there is of `people` (sorted): `records` (at, known_from, known_to, channel, value) and `stays` (admitted,
    discharged, known_from, known_to, whether an emergency), both by person and moment, a person's from `of` and
    `stays_of` on."""

    people: Ints
    of: Ints
    records: tuple[Column, ...]
    stays_of: Ints
    stays: tuple[Column, ...]


def of_states(
    tables: Mapping[str, pa.Table], found: Sequence[Stream], keyed: pd.DataFrame, catalogue: Catalogue, zone: str
) -> dict[str, Floats]:
    """Each feature of states, row for row with `keyed`: the log-odds, by the states, of an emergency admission within
    so many days, and the evidence; null where nothing speaks of them within the look-back, and where they have not been
    learned."""
    infos = [info for info in catalogue.infos() if info.aggregate in (LOG_ODDS, EVIDENCE)]
    spec, learned = catalogue.states, catalogue.learned
    if spec is None or learned is None or not len(keyed):
        return {info.name: np.full(len(keyed), np.nan) for info in infos}
    since = -max(spec.days, spec.usual_days)
    person, (place, cuts) = keyed["person_id"].to_numpy(np.int64), pd.factorize(micros(keyed["as_of"]))
    known = past(tables, found, catalogue, np.unique(person), int(shift_moments(cuts, since, zone).min()))
    rows = np.searchsorted(known.people, person), place, cuts
    believed, evidence = _believed(known, *rows, spec, learned, zone)
    risks = {i.name: (believed * ahead(learned, i.within)).sum(axis=1) for i in infos if i.aggregate == LOG_ODDS}
    told = {info.name: evidence[:, spec.told.index(info.of)] for info in infos if info.aggregate == EVIDENCE}
    return {name: np.asarray(np.log(risk / (1 - risk))) for name, risk in risks.items()} | told


def _believed(
    known: Past, person: Ints, place: Ints, cuts: Ints, spec: States, learned: Learned, zone: str
) -> tuple[Floats, Floats]:
    """The chance of each state (a column each) at each row's cut, and the evidence of each of `spec.told`."""
    edges = np.column_stack([shift_moments(cuts, -age, zone) for age in range(spec.days, -1, -1)])
    usual_from = shift_moments(cuts, -spec.usual_days, zone)
    believed, evidence = np.empty((len(person), spec.number)), np.empty((len(person), len(spec.told)))
    rows = person, place, edges, usual_from, spec.evidence_days
    given = known.of, known.records, known.stays_of, known.stays, learned.arrays, ahead(learned, HORIZON_DAYS)
    beliefs.filtered(believed, evidence, *rows, *given)
    return believed, evidence


def ahead(learned: Learned, days: int) -> Floats:
    """The risk within so many days of whoever is in each state now."""
    hazard, transitions = np.array(learned.hazard), np.array(learned.transitions)
    risk = np.zeros(len(hazard))
    for _ in range(days):
        risk = hazard + (1 - hazard) * (transitions @ risk)
    return risk


def past(
    tables: Mapping[str, pa.Table], found: Sequence[Stream], catalogue: Catalogue, people: Ints, since: int
) -> Past:
    """What the history has of these people (sorted), since that moment."""
    assert catalogue.states is not None
    parts = [_channel(found, catalogue, *channel) for channel in catalogue.states.channels]
    person, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    ends = np.append(people, FOREVER)
    place = np.searchsorted(ends, person)
    chosen = np.flatnonzero((columns[0] >= since) & (ends[place] == person))
    chosen = chosen[_in_order(place[chosen], columns[0][chosen], columns[3][chosen], columns[4][chosen])]
    stayed, *stays = _stays(tables["stays"], catalogue.events[catalogue.states.admission].where, people)
    return Past(
        people,
        np.searchsorted(person[chosen], ends),
        tuple(column[chosen] for column in columns),
        np.searchsorted(stayed, ends),
        tuple(stays),
    )


def _in_order(place: Ints, at: Ints, channel: Ints, value: Floats) -> Ints:
    """By person and moment; of one moment by channel, in the order of which they come; and of one channel by value, so
    that a table's rows of one moment may come in any order."""
    if not len(at):
        return np.zeros(0, np.int64)
    first, span = int(at.min()), int(at.max() - at.min()) + 1
    if int(place.max() + 1) * span > LARGEST_KEY:
        return np.lexsort((value, channel, at, place))
    key = place * span + (at - first)
    order = np.argsort(key, kind="stable")
    same = (np.diff(key[order]) == 0) & (np.diff(channel[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = order[tied]
    order[tied] = among[np.lexsort((value[among], channel[among], key[among]))]
    return order


def _channel(
    found: Sequence[Stream], catalogue: Catalogue, event: str, channel: int, value: float | None
) -> tuple[Column, ...]:
    """person, at, known_from, known_to, channel and value of an event's rows that have what the channel asks for."""
    stream = next(one for one in found if event in one.group.events and not one.group.lasting)
    rows, values = stream.are(event), np.full(len(stream.at), 0 if value is None else value)
    if value is None:
        worth = {worth: n for n, worth in worths(catalogue.events[name] for name in stream.group.events)}
        told = stream.values[worth[catalogue.events[event].value]]
        rows, values = rows & (told != NO_VALUE), told / SCALE
    places = np.flatnonzero(rows)
    moments = (column[places] for column in (stream.person, stream.at, stream.known_from, stream.known_to))
    return *moments, np.full(len(places), channel, np.int64), values[places]


def _stays(table: pa.Table, emergency: str, people: Ints) -> tuple[Column, ...]:
    """person, admitted, discharged, known_from, known_to (what has no end ends never) and whether an emergency."""
    ends = [f"coalesce(epoch_us({name}), {FOREVER})" for name in ("discharged_at", "known_to")]
    told = query(
        f"select person_id, epoch_us(admitted_at) as a, {ends[0]} as b, epoch_us(known_from) as c, {ends[1]} as d, "
        f"coalesce(({emergency}\n), false)::tinyint as e from rows where admitted_at is not null "
        "order by person_id, a, b, e",
        rows=table,
    )
    columns = [told[name].to_numpy() for name in told.column_names]
    return tuple(column[np.isin(columns[0], people)] for column in columns)


@dataclass(frozen=True)
class Sequences:
    """People's days, to learn from: `day`, `lag` (days until on record), `channel` and `value` of each record, a
    person's from `of` on in the order of days; kinds: what each person's days are (of `beliefs`)."""

    of: Ints
    day: Ints
    lag: Ints
    channel: Ints
    value: Floats
    kinds: npt.NDArray[np.int8]


def sequences(known: Past, edges: Ints, at: int) -> Sequences:
    """The days between `edges` (where they begin, and where the last ends) by the versions in force at that moment."""
    moment, known_from, known_to, channel, value = known.records
    there = (edges[0] <= moment) & (moment < edges[-1]) & (known_from <= at) & (at < known_to)
    chosen = np.flatnonzero(there)
    day = np.searchsorted(edges, moment[chosen], "right") - 1
    lag = np.maximum(-((edges[day + 1] - known_from[chosen]) // DAY), 0)
    kinds = beliefs.all_kinds(len(edges) - 1, edges, at, known.stays_of, known.stays)
    return Sequences(np.searchsorted(chosen, known.of), day, lag, channel[chosen], value[chosen], kinds)
