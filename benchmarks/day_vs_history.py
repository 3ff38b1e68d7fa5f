"""What one day costs against the length of the history: a day's drop taken up, and what one daily build reads.

    python benchmarks/day_vs_history.py [--months 3 12 36]

A trust of 16,000 people is drawn straight to batches: each day 3,500 contacts (told a week ahead as planned, and again
when held; three in a hundred on another day than planned), 2,500 observations, 120 referrals, 60 stays and 90 A&E
attendances. The history is loaded thirty days at a time; then twenty daily drops are taken up one by one and timed. A
daily build reads, bucket by bucket, people, referrals and stays whole and 365 days of the rest in the columns that the
community catalogue and the caseload look at (as `building.looked_at` does). Bytes are what the process read from files
(`/proc/self/io`); row groups are those of the files that the filter on bucket and period leaves. Processor seconds are
of all threads, and stand beside the others for machines that have more to do.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features.batch import Batch  # noqa: E402
from features.catalogue import load_catalogue  # noqa: E402
from features.history import period_of  # noqa: E402
from features.schema import TABLES, batch_schema  # noqa: E402
from pipelines.building import OF_A_PERIOD, event_columns  # noqa: E402
from pipelines.store import History  # noqa: E402

HERE = Path(__file__).resolve().parent
END = datetime(2026, 11, 20, tzinfo=UTC)
DROPS, BUCKETS, LOOK_BACK = 20, 8, 365
DAY = 86_400_000_000
PEOPLE = np.random.default_rng(1).integers(1, 2**62, 16_000)
A_DAY = {"contacts": 3500, "observations": 2500, "referrals": 120, "stays": 60, "attendances": 90}
CATALOGUE = load_catalogue((HERE.parent / "configs/features/community.yaml").read_text(encoding="utf-8"), "community")
COLUMNS = event_columns(CATALOGUE)
WHOLE = ("people", "referrals", "stays")


def number(day: datetime) -> int:
    return (day - datetime(1970, 1, 1, tzinfo=UTC)).days


def picked(rng: np.random.Generator, words: list[str], rows: int) -> pa.Array:
    return pa.array(words).take(pa.array(rng.integers(0, len(words), rows)))


def facts(day: int, name: str) -> tuple[np.random.Generator, dict[str, Any]]:
    """What the rows of a table that occurred on `day` have in common, whichever version of them is told."""
    rows, kind = A_DAY[name], list(A_DAY).index(name)
    rng = np.random.default_rng([day, kind])
    at = day * DAY + rng.integers(8 * 60, 18 * 60, rows) * 60_000_000
    ids = (np.arange(rows) + (day * 8 + kind) * 8192).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return rng, {
        "row_id": (ids >> np.uint64(1)).astype(np.int64),
        "person_id": PEOPLE[rng.integers(0, len(PEOPLE), rows)],
        "at": at,
    }


def contacts(day: int, planned: bool) -> dict[str, Any]:
    rng, said = facts(day, "contacts")
    rows = len(said["at"])
    said["team_id"] = picked(rng, [f"T{n:02}" for n in range(20)], rows)
    said["medium"] = picked(rng, ["face_to_face"] * 4 + ["telephone"], rows)
    said["location"] = picked(rng, ["A01", "A02", "G01"], rows)
    said["at"] = said["at"] + np.where(rng.random(rows) < 0.03, 2 * DAY, 0) * planned
    said["status"] = picked(rng, ["planned"] if planned else ["attended"] * 9 + ["no_access"], rows)
    said["seen"] = None if planned else pa.array(rng.random(rows) < 0.9)
    said["unscheduled"], said["duration_minutes"] = pa.array(rng.random(rows) < 0.05), rng.integers(10, 60, rows) * 1.0
    return said


def observations(day: int) -> dict[str, Any]:
    rng, said = facts(day, "observations")
    said["code"] = picked(rng, ["news2", "pain", "weight", "waterlow", "wound_worse", "icd10:I50"], len(said["at"]))
    return said | {"value": rng.integers(0, 20, len(said["at"])) * 1.0}


def referrals(day: int) -> dict[str, Any]:
    rng, said = facts(day, "referrals")
    return said | {"team_id": picked(rng, [f"T{n:02}" for n in range(20)], len(said["at"])), "team_type": "12"}


def stays(day: int, left: bool) -> dict[str, Any]:
    rng, said = facts(day, "stays")
    ended = pa.array(said["at"] + 5 * DAY).cast(pa.timestamp("us", tz="UTC")) if left else None
    return said | {"method": picked(rng, ["21", "11"], len(said["at"])), "discharged_at": ended, "patient_class": "1"}


def attendances(day: int) -> dict[str, Any]:
    return facts(day, "attendances")[1] | {"department_type": "01"}


def told(name: str, said: dict[str, Any], known: int) -> pa.Table:
    """Batch rows, known at two in the morning of day `known`."""
    rows, table = len(said["at"]), TABLES[name]
    clock = pa.timestamp("us", tz="UTC")
    full = dict(said) | {"deleted": False, "sequence": np.arange(rows)}
    full["known_from"] = pa.array(np.full(rows, known * DAY + 2 * 3_600_000_000)).cast(clock)
    full[str(table.at)] = pa.array(full.pop("at")).cast(clock)
    columns = [_column(full.get(field.name), field.type, rows) for field in batch_schema(table)]
    return pa.Table.from_arrays(columns, schema=batch_schema(table))


def _column(said: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if said is None:
        return pa.nulls(rows, kind)
    return pa.repeat(pa.scalar(said, kind), rows) if isinstance(said, str | bool) else pa.array(said).cast(kind)


def drop(day: int) -> dict[str, pa.Table]:
    """What is told on the morning of `day`."""
    return {
        "contacts": pa.concat_tables(
            [told("contacts", contacts(day - 1, False), day), told("contacts", contacts(day + 7, True), day)]
        ),
        "observations": told("observations", observations(day - 1), day),
        "referrals": told("referrals", referrals(day - 1), day),
        "stays": pa.concat_tables(
            [told("stays", stays(day - 1, False), day), told("stays", stays(day - 6, True), day)]
        ),
        "attendances": told("attendances", attendances(day - 1), day),
    }


def everyone(day: int) -> pa.Table:
    people = batch_schema(TABLES["people"]).empty_table().to_pandas()
    people["person_id"] = people["row_id"] = PEOPLE
    born = pd.Series(pd.to_datetime("1940-01-01") + pd.to_timedelta(PEOPLE % 9000, unit="D")).dt.date
    clock = pd.Timestamp(day, unit="D", tz="UTC")
    people = people.assign(known_from=clock, deleted=False, sequence=0, birth_date=born, sex="female")
    return pa.Table.from_pandas(people, schema=batch_schema(TABLES["people"]), preserve_index=False)


def batch(name: str, day: int, tables: dict[str, pa.Table]) -> Batch:
    received = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(day, hours=3)
    return Batch("trust", name, name, received, tables, pa.table({}), pd.DataFrame(), pd.DataFrame())


def history_batches(first: int, end: int) -> Iterator[Batch]:
    """The drops before `end`, thirty days in a batch."""
    yield batch("people", first, {"people": everyone(first)})
    for begin in range(first, end, 30):
        drops = [drop(day) for day in range(begin, min(begin + 30, end))]
        yield batch(f"from {begin}", begin + 30, {n: pa.concat_tables([d[n] for d in drops]) for n in drops[0]})


def bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(lines[0].split()[1])


def daily_read(folder: Path, since: datetime | None, columns: dict[str, set[str]] | None) -> dict[str, float]:
    """Seconds, megabytes and rows of what a build reads; with neither argument, of the whole history."""
    before, start, worked, rows = bytes_read(), time.perf_counter(), time.process_time(), 0
    history = History(folder)
    for bucket in range(BUCKETS):
        tables = history.read(bucket, WHOLE)
        tables |= history.read(bucket, OF_A_PERIOD, columns=columns, since=since)
        rows += sum(table.num_rows for table in tables.values())
    spent = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - worked}
    return spent | {"megabytes": (bytes_read() - before) / 1e6, "rows": rows}


def shape(folder: Path, since: datetime | None) -> tuple[int, int]:
    """Files and row groups of the event tables that a read from `since` opens."""
    history = History(folder)
    fragments = []
    for name in OF_A_PERIOD:
        inside = None if since is None else ds.field("period") >= period_of(since)
        fragments += list(history._dataset(TABLES[name], history._visible()).get_fragments(inside))
    return len(fragments), sum(len(fragment.row_groups) for fragment in fragments)


def measure(months: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="day-vs-history-"))
    try:
        first, end = number(END) - months * 30 - DROPS, number(END) - DROPS
        history = History(folder, BUCKETS)
        start = time.perf_counter()
        for one in history_batches(first, end):
            history.ingest(one, END)
        loaded = time.perf_counter() - start
        appends = [appended(folder, day) for day in range(end, number(END))]
        return result(folder, months, loaded, appends)
    finally:
        shutil.rmtree(folder)


def appended(folder: Path, day: int) -> tuple[float, float]:
    """Seconds, and processor seconds, to take up a day's drop."""
    one = batch(f"day {day}", day, drop(day))
    start, worked = time.perf_counter(), time.process_time()
    History(folder, BUCKETS).ingest(one, END)
    return time.perf_counter() - start, time.process_time() - worked


def result(folder: Path, months: int, loaded: float, appends: list[tuple[float, float]]) -> dict[str, Any]:
    since = END - timedelta(LOOK_BACK)
    daily_read(folder, since, COLUMNS)
    reads = [daily_read(folder, since, COLUMNS) for _ in range(3)]
    whole = daily_read(folder, None, None)
    daily = min(reads, key=lambda read: read["seconds"])
    files, groups = shape(folder, since)
    all_files, all_groups = shape(folder, None)
    return {
        "months": months,
        "rows": whole["rows"],
        "load_seconds": loaded,
        "append_median_seconds": float(np.median([seconds for seconds, _ in appends])),
        "append_most_seconds": max(seconds for seconds, _ in appends),
        "append_median_processor_seconds": float(np.median([worked for _, worked in appends])),
        "read_seconds": daily["seconds"],
        "read_processor_seconds": daily["processor_seconds"],
        "read_megabytes": daily["megabytes"],
        "read_rows": daily["rows"],
        "read_files": files,
        "read_row_groups": groups,
        "all_seconds": whole["seconds"],
        "all_megabytes": whole["megabytes"],
        "all_files": all_files,
        "all_row_groups": all_groups,
        "disk_megabytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, nargs="+", default=[3, 12, 36])
    arguments = parser.parse_args()
    found = pd.DataFrame()
    for months in arguments.months:
        found = pd.concat([found, pd.DataFrame([measure(months)])], ignore_index=True)
        print(f"{months} months measured", flush=True)  # noqa: T201
    print(found.T.to_string(header=False, float_format=lambda value: f"{value:,.2f}"))  # noqa: T201
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    target = HERE / "results" / "day_vs_history.json"
    target.write_text(json.dumps(machine | {"histories": found.to_dict("records")}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
