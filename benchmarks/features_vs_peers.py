"""The same windowed features of the same rows by four builders, on one thread, timed once their values agree.

    python benchmarks/features_vs_peers.py [--people 12000]

Counts, sums, last values and slopes over 7, 28 and 180 days; ten rows and sixty events a person, one clock and no
delay. timeseriesflattener 2.5.2 is installed by uv into benchmarks/.peers on first use. Events lie at midnight on
different days and rows at six, so that closed and half-open windows hold the same and whole days (all that the peer's
slope looks at) are exact. The peer's windows hold the values but not the moments, so two of its columns mean something
else, which `agree_with_peer` allows for: its slope is divided by the spread of all the person's moments, and its latest
value is null where the person has a later event outside the window. Ours is timed thrice: everything from an unsorted
table to the frame, the same from a table in the order of person and moment, and the compiled pass alone. Times are by
the clock, and of the processor, which are the ones to compare where other work keeps the machine busy.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features.build import build, fill_from_events  # noqa: E402
from features.catalogue import load_catalogue  # noqa: E402
from features.events import Stream, streams  # noqa: E402
from features.frames import query  # noqa: E402
from features.history import empty_history  # noqa: E402
from features.schema import TABLES, history_schema  # noqa: E402

HERE = Path(__file__).resolve().parent
DAYS, TIMES = (7, 28, 180), 5
CATALOGUE = load_catalogue(
    "{events: {a: {table: observations, value: value}}, families: {all: {title: All, sentences: [{say: all}], "
    "features: [{count: a, days: [7, 28, 180]}, {sum: a, days: [7, 28, 180]}, {last: a, days: [7, 28, 180]}, "
    "{slope: a, days: [7, 28, 180]}]}}}",
    "benchmark",
)
NAMES = CATALOGUE.contract.names
DAY = 86_400_000_000


def drawn(people: int, seed: int = 9) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events (person_id, occurred_at, value) in no order and rows (person_id, as_of) by person."""
    rng = np.random.default_rng(seed)
    first = (datetime(2024, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    days = np.argsort(rng.random((people, 730)), axis=1)[:, :60].ravel()
    person = np.repeat(np.arange(people), 60)
    order = rng.permutation(len(person))
    events = pd.DataFrame(
        {
            "person_id": person[order],
            "occurred_at": ((first + days[order]) * DAY).astype("datetime64[us]"),
            "value": rng.integers(0, 100, len(person)) / 4,
        }
    )
    cuts = np.sort(rng.integers(180, 730, (people, 10)), axis=1).ravel()
    as_of = ((first + cuts) * DAY + DAY // 4).astype("datetime64[us]")
    rows = pd.DataFrame({"person_id": np.repeat(np.arange(people), 10), "as_of": as_of}).drop_duplicates()
    return events, rows.reset_index(drop=True)


def ours(events: pd.DataFrame, rows: pd.DataFrame) -> dict[str, tuple[float, float, pd.DataFrame]]:
    """Seconds and features of the whole build, of the same from sorted events, and of the pass alone; compiled
    beforehand."""
    tables, in_order = history_of(events), history_of(events.sort_values(["person_id", "occurred_at"]))
    index = rows.assign(as_of=rows["as_of"].dt.tz_localize("UTC"))
    build(history_of(events.head(10)), index.head(10), CATALOGUE, "UTC")
    whole = timed(lambda: build(tables, index, CATALOGUE, "UTC")[NAMES])
    events_held, keyed = streams(in_order, CATALOGUE), index[["person_id", "as_of"]]
    alone = timed(lambda: passed(events_held, keyed))
    ordered = timed(lambda: build(in_order, index, CATALOGUE, "UTC")[NAMES])
    return {"ours, whole build": whole, "ours, from sorted events": ordered, "ours, the pass alone": alone}


def passed(found: list[Stream], keyed: pd.DataFrame) -> pd.DataFrame:
    figures = np.empty((len(keyed), len(NAMES)))
    fill_from_events(figures, found, keyed, CATALOGUE, "UTC")
    return pd.DataFrame(figures, columns=NAMES, copy=False)


def history_of(events: pd.DataFrame) -> dict[str, pa.Table]:
    """The events as observations that were known when they occurred."""
    moments = pa.array(events["occurred_at"]).cast(pa.timestamp("us", "UTC"))
    given = {"person_id": events["person_id"], "occurred_at": moments, "known_from": moments, "value": events["value"]}
    schema = history_schema(TABLES["observations"])
    columns = [
        pa.array(given[field.name], type=field.type) if field.name in given else pa.nulls(len(events), field.type)
        for field in schema
    ]
    return empty_history() | {"observations": pa.table(columns, schema=schema)}


def by_pandas(events: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """A merge on the person, a mask for each window, and grouped aggregates."""
    pairs = rows.reset_index(names="row").merge(events, on="person_id").sort_values(["row", "occurred_at"])
    age = pairs["as_of"] - pairs["occurred_at"]
    made = {}
    for days in DAYS:
        inside = pairs[(age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=days))].copy()
        inside["x"] = (inside["occurred_at"] - inside["as_of"]).dt.total_seconds() / 86_400
        group = inside.groupby("row")
        inside["dx"] = inside["x"] - group["x"].transform("mean")
        inside["dy"] = (inside["value"] - group["value"].transform("mean")) * inside["dx"]
        inside["dx"] **= 2
        sums = inside.groupby("row")[["dx", "dy"]].sum()
        made[f"count_a_{days}d"] = group.size().reindex(rows.index, fill_value=0)
        made[f"sum_a_{days}d"] = group["value"].sum().reindex(rows.index, fill_value=0.0)
        made[f"last_a_{days}d"] = group["value"].last().reindex(rows.index)
        made[f"slope_a_{days}d"] = (sums["dy"] / sums["dx"]).where(sums["dx"] > 0).reindex(rows.index)
    return pd.DataFrame(made)[NAMES]


def by_duckdb(events: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One join on the person and the longest window, and filtered aggregates."""
    made = []
    for name in NAMES:
        aggregate, _, days = name.split("_")
        inside = f"filter (where occurred_at >= as_of - interval {days[:-1]} day)"
        made.append(
            {
                "count": f"count(value) {inside}",
                "sum": f"coalesce(sum(value) {inside}, 0)",
                "last": f"arg_max(value, occurred_at) {inside}",
                "slope": f"case when count(value) {inside} > 1 "
                f"then regr_slope(value, epoch_us(occurred_at) / {DAY}) {inside} end",
            }[aggregate]
            + f" as {name}"
        )
    sql = f"""select {", ".join(made)} from index_rows i left join events e on e.person_id = i.person_id
              and e.occurred_at < i.as_of and e.occurred_at >= i.as_of - interval 180 day
              group by i.row order by i.row"""
    found: pd.DataFrame = query(sql, events=events, index_rows=rows.assign(row=range(len(rows)))).to_pandas()
    return found


def by_peer(events: pd.DataFrame, rows: pd.DataFrame) -> tuple[float, float, pd.DataFrame]:
    """timeseriesflattener, timed within its own process."""
    python = HERE / ".peers" / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv"))]
    if not python.exists():
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(HERE / ".peers")], check=True)
        wanted = ["timeseriesflattener==2.5.2", "attrs"]
        subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *wanted], check=True)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.Table.from_pandas(events, preserve_index=False), f"{folder}/events.parquet")
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), f"{folder}/rows.parquet")
        command = [str(python), str(HERE / "peer_timeseriesflattener.py"), folder, str(TIMES)]
        environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        found = pq.read_table(f"{folder}/features.parquet").to_pandas()
    found = rows.merge(found, on=["person_id", "as_of"], how="left")
    named = {"count": "count", "sum": "sum", "last": "latest", "slope": "slope"}
    made = {}
    for name in NAMES:
        aggregate, _, days = name.split("_")
        column = f"value_within_0_to_{days[:-1]}_days_{named[aggregate]}_fallback_nan"
        made[name] = found[f"pred_{column}"].astype(float).fillna(0.0 if aggregate in ("count", "sum") else np.nan)
    seconds, processor = map(float, done.stdout.split()[-2:])
    return seconds, processor, pd.DataFrame(made)


def agree_with_peer(made: pd.DataFrame, reference: pd.DataFrame, events: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Counts and sums are the same everywhere; last values wherever the peer has one; slopes once the peer's are set
    to the spread of the window's own moments (it has none where all values are the same, and ours is 0)."""
    day = events["occurred_at"].astype("int64") / DAY
    everything = day.groupby(events["person_id"]).std().reindex(rows["person_id"]).to_numpy()
    pairs = rows.reset_index(names="row").merge(events.assign(day=day), on="person_id")
    age = pairs["as_of"] - pairs["occurred_at"]
    for days in DAYS:
        for name in (f"count_a_{days}d", f"sum_a_{days}d"):
            np.testing.assert_allclose(made[name], reference[name], err_msg=name)
        said = made[f"last_a_{days}d"].notna()
        np.testing.assert_allclose(made[f"last_a_{days}d"][said], reference[f"last_a_{days}d"][said])
        inside = pairs[(age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=days))]
        spread = inside.groupby("row")["day"].std().reindex(rows.index).to_numpy()
        slope = (made[f"slope_a_{days}d"] * everything / spread).fillna(0.0)
        np.testing.assert_allclose(slope, reference[f"slope_a_{days}d"].fillna(0.0), rtol=1e-5, atol=1e-7)


def timed(work: Callable[[], pd.DataFrame], times: int = TIMES) -> tuple[float, float, pd.DataFrame]:
    """The shortest of several times, by the clock and of the processor, which other work on the machine disturbs least;
    the peer is given as many."""
    seconds, processor = [], []
    for _ in range(times):
        start, started = time.perf_counter(), time.process_time()
        made = work()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - started)
    return min(seconds), min(processor), made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=12_000)
    events, rows = drawn(parser.parse_args().people)
    found = ours(events, rows)
    found["DuckDB range join"] = timed(lambda: by_duckdb(events, rows))
    found["pandas merge"] = timed(lambda: by_pandas(events, rows))
    found["timeseriesflattener 2.5.2"] = by_peer(events, rows)
    reference = found["ours, whole build"][2]
    slowest, busiest, theirs = found["timeseriesflattener 2.5.2"]
    agree_with_peer(theirs, reference, events, rows)
    for name in set(found) - {"timeseriesflattener 2.5.2"}:
        np.testing.assert_allclose(found[name][2].astype(float), reference, rtol=1e-6, atol=1e-8, err_msg=name)
    lines = [
        {
            "builder": name,
            "seconds": round(s, 4),
            "rows_per_second": round(len(rows) / s),
            "times_peer": round(slowest / s, 1),
            "processor_seconds": round(processor, 4),
            "times_peer_by_processor": round(busiest / processor, 1),
        }
        for name, (s, processor, _) in found.items()
    ]
    result = {
        "rows": len(rows),
        "events": len(events),
        "features": len(NAMES),
        "machine": platform.platform(),
        "load": os.getloadavg()[0],
        "values_agree": True,
        "builders": lines,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "features_vs_peers.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(pd.DataFrame(lines).to_string(index=False) + f"\nload {result['load']:.1f}\n")


if __name__ == "__main__":
    main()
