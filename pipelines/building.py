"""From the history to the frames that models learn from and score, bucket by bucket."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from math import ceil
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.build import Part, build_part, finish
from features.catalogue import Catalogue
from features.cohort import CONTACT_COLUMNS, NOBODY, OBSERVATION_COLUMNS, OptedOut, caseload, observed
from features.errors import NotReadyError
from features.history import merged
from features.labels import admission_lag_days, deaths_known, inpatient_spells, known_since, label
from features.schema import TABLES
from features.teams import added
from features.windows import HORIZON_DAYS, cuts, shift_days
from models.splits import CALIBRATE, TEST, TRAIN, temporal_split
from pipelines.config import ServiceConfig
from pipelines.gates.teams import looked_back_to, recordings, summed
from pipelines.grouping import grouped
from pipelines.mapping import Mapper, map_buckets
from pipelines.store import Buckets, History

OF_A_PERIOD = ("contacts", "observations", "attendances")
"""Tables of which no row matters any more once it lies before every look-back."""
DAYS_APART = 2
"""Days before a visit on which what was recorded on its calendar day may lie."""
WARM_UP_DAYS = 30
"""Days after the history's first contact before the first training cut: before that everyone looks new."""


@dataclass(frozen=True)
class Outcomes:
    """What is known of hospital stays and deaths at `matured_at`, wherever the people are. lag_days: how long it takes
    until nearly all emergency admissions are known."""

    matured_at: datetime
    spells: pd.DataFrame
    deaths: pd.DataFrame
    merges: pd.DataFrame
    lag_days: float


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from and to be judged by: features, labels and parts row for row; memberships (with team_id) for
    every row; exclusions counted by cut; learned: the people of the train and calibrate blocks, built or not."""

    frame: pd.DataFrame
    labels: pd.DataFrame
    parts: pd.Series
    memberships: pd.DataFrame
    exclusions: pd.DataFrame
    lag_days: float
    learned: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Snapshot:
    """A cut: each person on a caseload, with features; memberships; exclusions; and their personal details.

    details: person_id, age (years), sex, held_30d and readings_30d (as `cohort.observed` counts them), newest (when the
    newest record of those looked at became known). recorded: as `gates.teams.recordings`, of the contacts looked at.
    of_teams: `features.teams.team_counts` of everyone, at the cut and on the mornings before it.
    """

    as_of: datetime
    frame: pd.DataFrame
    memberships: pd.DataFrame
    exclusions: pd.DataFrame
    details: pd.DataFrame
    data_as_of: datetime
    recorded: pd.DataFrame
    of_teams: pd.DataFrame


def matured_outcomes(
    history: History, config: ServiceConfig, matured_at: datetime, least_lag_days: float = 0.0
) -> Outcomes:
    """Stays and deaths as known at `matured_at`, with the admission lag measured on them, or `least_lag_days`."""
    tables = history.read(names=("stays", "people"), known_by=matured_at)
    spells = inpatient_spells(tables["stays"], matured_at, config.outcome, config.caseload.believed_stay_days)
    deaths = deaths_known(tables["people"], tables["stays"], matured_at)
    merges = merged(tables["people"])
    lag_days = admission_lag_days(spells, known_since(tables["people"]), config.outcome)
    return Outcomes(matured_at, spells, deaths, merges, max(lag_days, least_lag_days))


def planned_cuts(config: ServiceConfig, as_of: datetime, first: datetime, lag_days: float) -> dict[str, list[datetime]]:
    """The cuts of each block (train, calibrate, test) for training at `as_of` on a history that begins at `first`."""
    periods, zone = config.periods, config.zone
    embargo = HORIZON_DAYS + ceil(lag_days)
    last = _day(shift_days(as_of - timedelta(days=lag_days), -HORIZON_DAYS, zone), zone)
    start = max(_day(as_of, zone) - timedelta(periods.history_days), _day(first, zone) + timedelta(WARM_UP_DAYS))
    days = cuts([start + timedelta(n) for n in range((last - start).days)], config.cut, zone)
    if not days:
        message = (
            f"Training needs a history longer than {WARM_UP_DAYS + embargo} days; found none. Ingest older extracts."
        )
        raise NotReadyError(message)
    rows = pd.DataFrame({"as_of": pd.Series(days, dtype="datetime64[us, UTC]")})
    test_from = shift_days(days[-1], 1 - periods.test_days, zone)
    parts = temporal_split(
        rows,
        test_from=test_from,
        calibration_days=periods.calibration_days,
        embargo_days=embargo,
        lag_days=lag_days,
        zone=zone,
    )
    every = {TRAIN: 1, CALIBRATE: periods.calibration_every, TEST: periods.test_every}
    return {part: _of_part(rows, parts, part)[:: every[part]] for part in every}


def _of_part(rows: pd.DataFrame, parts: pd.Series, part: str) -> list[datetime]:
    return [moment.to_pydatetime() for moment in rows.loc[parts == part, "as_of"]]


def training_cuts(
    history: History, config: ServiceConfig, as_of: datetime, over: Mapper, least_lag_days: float = 0.0
) -> dict[str, list[datetime]]:
    """`planned_cuts` for training at `as_of` on what was known then."""
    lag_days = matured_outcomes(history, config, as_of, least_lag_days).lag_days
    return planned_cuts(config, as_of, _first_contact(history, as_of, over), lag_days)


def dataset(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    as_of: datetime,
    over: Mapper,
    tell: Callable[[str], None],
    parts: Sequence[str] = (),
    least_lag_days: float = 0.0,
    opted_out: OptedOut = NOBODY,
) -> Dataset:
    """Everything a training at `as_of` needs, from what was known then; only the blocks in `parts`, where given. The
    admission lag is what was measured then, or `least_lag_days`, if that is longer."""
    outcomes = matured_outcomes(history, config, as_of, least_lag_days)
    blocks = planned_cuts(config, as_of, _first_contact(history, as_of, over), outcomes.lag_days)
    wanted = {part: moments for part, moments in blocks.items() if not parts or part in parts}
    others = {part: blocks[part] for part in (TRAIN, CALIBRATE) if part not in wanted}
    work = partial(_blocks, history, config, catalogue, as_of, wanted, opted_out)
    buckets = range(history.buckets)
    pieces = map_buckets(over, work, buckets, lambda done: tell(f"features of bucket {done} of {len(buckets)}"))
    built, named, members, excluded = zip(*pieces, strict=True)
    frame = finished(built, catalogue)
    blocks_of_rows = np.concatenate([part.to_numpy() for part in named])
    learned = [frame.loc[blocks_of_rows != TEST, "person_id"].to_numpy()]
    if others:
        learned += map_buckets(over, partial(_learned, history, config, catalogue, as_of, others, opted_out), buckets)
    labels = label(
        frame,
        outcomes.spells,
        outcomes.deaths,
        outcomes.merges,
        matured_at=as_of,
        lag_days=outcomes.lag_days,
        zone=config.zone,
    )
    return Dataset(
        frame,
        labels,
        pd.Series(blocks_of_rows, name="part", dtype=object),
        _stacked(members),
        _summed(excluded),
        outcomes.lag_days,
        np.unique(np.concatenate(learned)).astype(np.int64),
    )


def snapshot(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    as_of: datetime,
    over: Mapper,
    opted_out: OptedOut = NOBODY,
) -> Snapshot:
    """The caseloads at `as_of` with their features, from what was known then and nothing that became known later."""
    work = partial(_caseload, history, config, catalogue, as_of, opted_out)
    pieces = map_buckets(over, work, range(history.buckets))
    built, members, excluded, details, newest, seen = zip(*pieces, strict=True)
    known = [moment for moment in newest if moment is not None]
    if not known:
        message = (
            "A list needs a history; nothing in it was known by this cut. Ingest extracts first, or correct --as-of."
        )
        raise NotReadyError(message)
    counts = added([part.counts for part in built])
    return Snapshot(
        as_of,
        finished(built, catalogue, counts),
        _stacked(members),
        _summed(excluded),
        _stacked(details),
        max(known),
        summed(_stacked(seen)),
        counts,
    )


def frame_at(
    history: History, config: ServiceConfig, catalogue: Catalogue, cuts: Sequence[datetime], over: Mapper
) -> pd.DataFrame:
    """Everyone on a caseload at each of several cuts, with features, from what was known at each."""
    work = partial(_blocks, history, config, catalogue, max(cuts), {TEST: list(cuts)}, NOBODY)
    return finished([part for part, *_ in map_buckets(over, work, range(history.buckets))], catalogue)


def finished(parts: Sequence[Part], catalogue: Catalogue, counts: pd.DataFrame | None = None) -> pd.DataFrame:
    """The feature table of all buckets. counts: of their teams (`teams.added`), where the parts have not all people."""
    counts = added([part.counts for part in parts]) if counts is None else counts
    return _stacked(finish(part, counts, catalogue) for part in parts)


def _caseload(
    history: History, config: ServiceConfig, catalogue: Catalogue, as_of: datetime, opted_out: OptedOut, bucket: int
) -> tuple[Part, pd.DataFrame, pd.DataFrame, pd.DataFrame, datetime | None, pd.DataFrame]:
    """One bucket's share of a `Snapshot`."""
    cuts = [as_of, *mornings_before(as_of, config.zone)]
    tables = looked_at(history, config, catalogue, as_of, cuts, bucket)
    lists = grouped(tables, config.lists)
    members, excluded = caseload(lists, [as_of], config.caseload, config.zone, opted_out=opted_out)
    part = build_part(tables, index_of(members), catalogue, config.zone, cuts)
    details = _details(tables, part.keyed, as_of, config.zone)
    recorded = recordings(lists["contacts"], looked_back_to(as_of, config))
    return part, members, excluded, details, _newest(tables), recorded


def mornings_before(as_of: datetime, zone: str) -> list[datetime]:
    """The nine cuts before this one, the newest first."""
    return [shift_days(as_of, -days, zone) for days in range(1, HORIZON_DAYS + 1)]


def event_columns(catalogue: Catalogue) -> dict[str, set[str]]:
    """For each table of `OF_A_PERIOD`, which of its columns caseloads and features look at."""
    looked = {name: catalogue.columns[name] for name in OF_A_PERIOD}
    also = {"contacts": CONTACT_COLUMNS, "observations": OBSERVATION_COLUMNS}
    return looked | {name: looked[name].union(columns) for name, columns in also.items()}


def looked_at(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    known_by: datetime | None,
    cuts: Sequence[datetime],
    bucket: Buckets,
    also: Mapping[str, Collection[str]] | None = None,
    people: npt.NDArray[np.int64] | None = None,
) -> dict[str, pa.Table]:
    """What caseloads and features at these cuts are made of: events since the longest look-back, in the columns that
    are looked at (and in those of `also`), and the whole of what may have begun long before and still matter; only of
    `people`, where given."""
    since = shift_days(min(cuts), -max(catalogue.longest, config.caseload.active_days) - DAYS_APART, config.zone)
    lasting = history.read(bucket, [name for name in TABLES if name not in OF_A_PERIOD], known_by, people=people)
    columns = {name: looked.union((also or {}).get(name, ())) for name, looked in event_columns(catalogue).items()}
    return lasting | history.read(bucket, OF_A_PERIOD, known_by, columns, since, True, people)


def _blocks(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    as_of: datetime,
    wanted: dict[str, list[datetime]],
    opted_out: OptedOut,
    bucket: int,
) -> tuple[Part, pd.Series, pd.DataFrame, pd.DataFrame]:
    """One bucket's share of a `Dataset`: features, the block that each row is in, memberships, exclusions."""
    cuts = [cut for block in wanted.values() for cut in block]
    tables = looked_at(history, config, catalogue, as_of, cuts, bucket)
    every = {block: config.periods.landmark_every if block == TRAIN else 1 for block in wanted}
    lists = grouped(tables, config.lists)
    found = {b: caseload(lists, at, config.caseload, config.zone, every[b], opted_out) for b, at in wanted.items()}
    rows = {block: index_of(members) for block, (members, _) in found.items()}
    named = np.repeat(list(rows), [len(index) for index in rows.values()])
    part = build_part(tables, _stacked(rows.values()), catalogue, config.zone, cuts)
    members, excluded = ([frames[n] for frames in found.values()] for n in (0, 1))
    return part, pd.Series(named, name="part", dtype=object), _stacked(members), _stacked(excluded)


def _learned(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    as_of: datetime,
    blocks: dict[str, list[datetime]],
    opted_out: OptedOut,
    bucket: int,
) -> npt.NDArray[np.int64]:
    """One bucket's people of blocks whose features nobody needs."""
    tables = looked_at(history, config, catalogue, as_of, [cut for block in blocks.values() for cut in block], bucket)
    every = {block: config.periods.landmark_every if block == TRAIN else 1 for block in blocks}
    found = [caseload(tables, at, config.caseload, config.zone, every[b], opted_out)[0] for b, at in blocks.items()]
    return np.unique(np.concatenate([members["person_id"] for members in found])).astype(np.int64)


def index_of(members: pd.DataFrame) -> pd.DataFrame:
    return members[["person_id", "as_of"]].drop_duplicates().sort_values(["as_of", "person_id"], ignore_index=True)


def _details(tables: dict[str, pa.Table], frame: pd.DataFrame, as_of: datetime, zone: str) -> pd.DataFrame:
    """The details of the people in `frame`, as known at `as_of`."""
    people = tables["people"].select(["person_id", "birth_date", "sex", "known_from"]).to_pandas()
    people = people.sort_values("known_from").groupby("person_id", as_index=False).last()
    mine = frame[["person_id"]].merge(people, on="person_id", how="left")
    born = pd.to_datetime(mine["birth_date"])
    today = pd.Timestamp(_day(as_of, zone))
    birthday_to_come = (born.dt.month * 100 + born.dt.day) > today.month * 100 + today.day
    mine["age"] = (today.year - born.dt.year) - birthday_to_come.astype(float)
    mine = mine[["person_id", "age", "sex"]].merge(observed(tables, as_of, zone), on="person_id", how="left")
    return mine.fillna({"held_30d": 0, "readings_30d": 0}).astype({"held_30d": "int64", "readings_30d": "int64"})


def _newest(tables: dict[str, pa.Table]) -> datetime | None:
    moments = [pc.max(table["known_from"]).as_py() for table in tables.values() if table.num_rows]
    return max(moments) if moments else None


def _first_contact(history: History, as_of: datetime, over: Mapper) -> datetime:
    firsts = map_buckets(over, partial(_first_of, history, as_of), range(history.buckets))
    found = [moment for moment in firsts if moment is not None]
    if not found:
        message = (
            "Training needs contacts in the history; none was known by this cut. Ingest extracts whose mapping fills "
            "`contacts`, or say with `task` what is to be learned instead."
        )
        raise NotReadyError(message)
    return min(found)


def _first_of(history: History, as_of: datetime, bucket: int) -> datetime | None:
    contacts = history.read(bucket, ("contacts",), as_of, {"contacts": ("occurred_at",)})["contacts"]
    earliest: datetime | None = pc.min(contacts["occurred_at"]).as_py()
    return earliest


def _stacked(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(frames), ignore_index=True)


def _summed(exclusions: Iterable[pd.DataFrame]) -> pd.DataFrame:
    keys = ["as_of", "team_id", "reason"]
    return _stacked(exclusions).groupby(keys, dropna=False, as_index=False).agg({"people": "sum"})


def _day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()
