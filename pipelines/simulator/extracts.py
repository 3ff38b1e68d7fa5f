"""Cutting the records into extracts and writing them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipelines.simulator.calendar import DAY, EPOCH, HOUR
from pipelines.simulator.chance import Ints
from pipelines.simulator.config import CUT_HOUR, SimulatorConfig
from pipelines.simulator.sheet import Sheet

CHUNK = 200_000
OPTIONS = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")


@dataclass(frozen=True)
class Extract:
    """What was recorded in [after, before), both local seconds, received on `day`; `kind` is history or daily."""

    kind: str
    first_day: date
    day: date
    after: int
    before: int


def plan_extracts(config: SimulatorConfig) -> list[Extract]:
    """The history load and then one drop a day, each cut at `CUT_HOUR`."""
    last = config.start + timedelta(days=config.first_cut)
    plans = [Extract("history", config.start, last, -(1 << 60), _cut(last))]
    for number in range(1, config.daily_drops + 1):
        day = last + timedelta(days=number)
        before = day - timedelta(days=1)
        plans.append(Extract("daily", before, day, _cut(before), _cut(day)))
    return plans


def _cut(day: date) -> int:
    return (day - EPOCH).days * DAY + CUT_HOUR * HOUR


def write_extracts(
    config: SimulatorConfig,
    feeds: Mapping[str, Sequence[Sheet]],
    folder: Path,
    quiet: range,
    progress: Callable[[float], None],
) -> int:
    """Write every feed's files of every extract; the number of files. `quiet`: the days on which the community feed
    brings nothing."""
    files = 0
    plans = plan_extracts(config)
    for done, plan in enumerate(plans):
        files += write_extract(config, feeds, plan, folder, quiet)
        progress((done + 1) / len(plans))
    return files


def write_extract(
    config: SimulatorConfig, feeds: Mapping[str, Sequence[Sheet]], plan: Extract, folder: Path, quiet: range
) -> int:
    """Write every feed's files of one extract; the number of files."""
    files = 0
    for feed, sheets in feeds.items():
        if feed == "csds" and plan.kind == "daily" and (plan.day - config.start).days in quiet:
            continue
        target = folder / plan.kind / feed / plan.day.isoformat()
        target.mkdir(parents=True)
        if feed == "csds":
            _write_header(config, plan, target / "CYP000.csv")
            files += 1
        files += _write_feed(sheets, plan, target)
    return files


def _write_feed(sheets: Sequence[Sheet], plan: Extract, target: Path) -> int:
    chosen = select_rows(sheets, plan.after, plan.before)
    for sheet, rows in zip(sheets, chosen, strict=True):
        write_rows(sheet, rows, target / f"{sheet.name}.csv")
    return len(sheets)


def select_rows(sheets: Sequence[Sheet], after: int, before: int) -> list[Ints]:
    """The rows of each sheet recorded in [after, before) and, for the files that others need, the latest version
    before the cut of each fact that those rows belong to."""
    rows = [np.arange(*np.searchsorted(sheet.recorded, (after, before))) for sheet in sheets]
    for role in ("referral", "person"):
        owners = [getattr(sheet, role) for sheet in sheets]
        needed = np.unique(np.concatenate([owner[which] for owner, which in zip(owners, rows, strict=True)]))
        for place, sheet in enumerate(sheets):
            if sheet.is_parent_of == role:
                rows[place] = _with_parents(sheet, rows[place], owners[place], needed, before)
    return rows


def _with_parents(sheet: Sheet, which: Ints, owner: Ints, needed: Ints, before: int) -> Ints:
    """`which`, and the latest version of every needed fact that has none among them."""
    known = np.arange(np.searchsorted(sheet.recorded, before))
    belongs = known[np.isin(owner[known], needed)]
    _, last = np.unique(sheet.key[belongs][::-1], return_index=True)
    missing = belongs[len(belongs) - 1 - last]
    absent = missing[~np.isin(sheet.key[missing], sheet.key[which])]
    return np.union1d(which, absent)


def write_rows(sheet: Sheet, rows: Ints, path: Path) -> None:
    schema = sheet.table(rows[:0]).schema
    with pa.csv.CSVWriter(path, schema, write_options=OPTIONS) as writer:
        for first in range(0, len(rows), CHUNK):
            writer.write_table(sheet.table(rows[first : first + CHUNK]))


def _write_header(config: SimulatorConfig, plan: Extract, path: Path) -> None:
    received = datetime.combine(plan.day, time(CUT_HOUR)).isoformat()  # noqa: DTZ001 - extracts carry local times
    header = {
        "Version": "1.6",
        "OrgID_Provider": config.provider,
        "OrgID_Submitter": config.provider,
        "RP_StartDate": plan.first_day.isoformat(),
        "RP_EndDate": (plan.day - timedelta(days=1)).isoformat(),
        "FileCreation_DateTime": received,
        "PrimarySystem": "Simulated trust",
        "Upload_DateTime": received,
        "UniqueSubmissionID": f"{plan.day:%Y%m%d}",
        "File_Type": "local",
    }
    pa.csv.write_csv(pa.table({name: [value] for name, value in header.items()}), path, write_options=OPTIONS)
