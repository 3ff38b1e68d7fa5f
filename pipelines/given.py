"""A task set by somebody else: index rows, outcomes and assignment given as tables in place of the built-in ones."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.build import Part, build_part
from features.catalogue import Catalogue
from features.errors import SourceError
from features.labels import given_labels
from features.sources.task import FrameKind, FrameSpec, read_frame
from features.windows import HORIZON_DAYS
from models.splits import CALIBRATE, TRAIN, given_split, temporal_split
from pipelines.building import Dataset, finished, looked_at
from pipelines.config import ServiceConfig, TaskConfig
from pipelines.mapping import map_buckets
from pipelines.service import Service
from pipelines.store import History
from pipelines.workspace import pseudonyms

EVERYONE = "everyone"
"""The team of people whose index rows name none."""


def given_dataset(service: Service, task: TaskConfig, tell: Callable[[str], None]) -> Dataset:
    """The task's rows with features from the history, labels from its outcomes and parts from its assignment."""
    index = _table(service, task.index, "index")
    outcomes = _table(service, task.outcomes, "outcomes")
    index["team_id"] = index["team_id"].fillna(EVERYONE)
    rows = _rows(index)
    frame = _features(service, rows, tell)
    labels = given_labels(frame, outcomes, service.config.zone).assign(died=False)
    unknown = pd.Series(float("nan"), index=index.index)
    members = index[["person_id", "as_of", "team_id"]].assign(
        days_on_caseload=unknown,
        last_seen=pd.Series(pd.NaT, index=index.index, dtype="datetime64[us, UTC]"),
        last_seen_by=None,
    )
    nobody = pd.DataFrame({"as_of": [], "team_id": [], "reason": [], "people": []})
    parts = _parts(service, task, frame)
    learned = frame.loc[parts.isin([TRAIN, CALIBRATE]).to_numpy(), "person_id"].unique()
    return Dataset(frame, labels, parts, members.drop_duplicates(), nobody, 0.0, learned)


def trained_on(service: Service, task: TaskConfig) -> tuple[npt.NDArray[np.int64], list[datetime], datetime | None]:
    """People and cuts of the task's training rows, and the first cut that comes later; None where none does, or there
    are no training rows."""
    rows = _rows(_table(service, task.index, "index"))
    train = (_parts(service, task, rows) == TRAIN).to_numpy()
    later = rows.loc[rows["as_of"] > rows.loc[train, "as_of"].max(), "as_of"]
    return (
        np.unique(rows.loc[train, "person_id"].to_numpy(np.int64)),
        [moment.to_pydatetime() for moment in rows.loc[train, "as_of"].unique()],
        later.min().to_pydatetime() if len(later) else None,
    )


def _rows(index: pd.DataFrame) -> pd.DataFrame:
    return index[["person_id", "as_of"]].drop_duplicates().sort_values(["as_of", "person_id"], ignore_index=True)


def _features(service: Service, rows: pd.DataFrame, tell: Callable[[str], None]) -> pd.DataFrame:
    history = service.history
    cuts = [moment.to_pydatetime() for moment in rows["as_of"].unique()]
    shares = [(bucket, rows[rows["person_id"] % history.buckets == bucket]) for bucket in range(history.buckets)]
    work = partial(_of_bucket, history, service.config, service.catalogue, cuts)
    with service.workers() as over:
        parts = map_buckets(over, work, shares, lambda done: tell(f"features of bucket {done} of {len(shares)}"))
    return finished(parts, service.catalogue).sort_values(["as_of", "person_id"], ignore_index=True)


def _of_bucket(
    history: History, config: ServiceConfig, catalogue: Catalogue, cuts: list[datetime], share: tuple[int, pd.DataFrame]
) -> Part:
    bucket, rows = share
    tables = looked_at(history, config, catalogue, None, cuts, bucket)
    return build_part(tables, rows, catalogue, config.zone, cuts)


def _parts(service: Service, task: TaskConfig, frame: pd.DataFrame) -> pd.Series:
    periods, zone = service.config.periods, service.config.zone
    if task.assignment is None:
        last = frame["as_of"].max()
        test_from = (last - pd.Timedelta(days=periods.test_days)).to_pydatetime()
        return temporal_split(
            frame,
            test_from=test_from,
            calibration_days=periods.calibration_days,
            embargo_days=HORIZON_DAYS,
            zone=zone,
        )
    given = _table(service, task.assignment, "assignment")
    parts = frame[["person_id", "as_of"]].merge(given, on=["person_id", "as_of"], how="left")["part"]
    return given_split(frame, parts, calibration_days=periods.calibration_days, embargo_days=HORIZON_DAYS, zone=zone)


def _table(service: Service, spec: FrameSpec, kind: FrameKind) -> pd.DataFrame:
    key = service.workspace.key()
    found = read_frame(
        spec, Path(), kind=kind, pseudonym=lambda texts: pseudonyms(texts, key), zone=service.config.zone
    )
    frame: pd.DataFrame = found.to_pandas()
    if frame.empty:
        message = f"task.{kind} must have rows; found none. Check its path and query."
        raise SourceError(message)
    return frame
