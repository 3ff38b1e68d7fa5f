"""The default catalogue at one cut against merely reading the same Parquet columns with pyarrow, on one thread.

    python benchmarks/features_vs_scan.py [--people 15000]

People with about 66 events each in a year are drawn straight to the history's files, in one bucket. Timed in turn, the
shortest of several runs each: pyarrow reading from those files the columns that the build reads; the history read as
versions with both clocks; the features of everyone at one cut made of it; and the last two together, which is what is
held against the first.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import country  # noqa: E402

from features.build import build  # noqa: E402
from features.frames import moments  # noqa: E402
from features.history import columns_for  # noqa: E402
from features.schema import TABLES  # noqa: E402
from pipelines.building import event_columns, looked_at  # noqa: E402
from pipelines.config import load_config  # noqa: E402
from pipelines.service import Service  # noqa: E402

HERE = Path(__file__).resolve().parent
CUT = datetime.fromtimestamp(country.LAST / 1e6, UTC)
SERVICE = Service(load_config(HERE.parent / "configs/simulated.yaml"))


def timed(work: Callable[[], Any], times: int = 7) -> tuple[float, Any]:
    """The shortest of several times, which other work on the machine disturbs least."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), made


def scanned(folder: Path) -> int:
    """Reads what `looked_at` reads, and no more: bytes in memory."""
    size, wanted = 0, event_columns(SERVICE.catalogue)
    for name, table in TABLES.items():
        files = ds.dataset([str(path) for path in (folder / name).rglob("*.parquet")])
        columns = [column for column in columns_for(table, wanted.get(name), CUT) if column in files.schema.names]
        size += files.to_table(columns=columns, use_threads=False).nbytes
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=country.BUCKET)
    people = parser.parse_args().people
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as name:
        history, rows = country.laid_down(Path(name), people, seed=9)
        keyed = pd.DataFrame({"person_id": np.arange(people), "as_of": moments(np.full(people, country.LAST))})

        def read() -> dict[str, pa.Table]:
            return looked_at(history, SERVICE.config, SERVICE.catalogue, CUT, [CUT], 0)

        def made(tables: dict[str, pa.Table]) -> pd.DataFrame:
            return build(tables, keyed, SERVICE.catalogue, SERVICE.config.zone)

        scan, size = timed(lambda: scanned(Path(name)))
        reading, tables = timed(read)
        building, frame = timed(lambda: made(tables))
        whole, _ = timed(lambda: made(read()))
    names = ("pyarrow reads the columns", "read as versions", "features from versions", "both: Parquet to features")
    lines = [
        {"step": step, "seconds": round(seconds, 3), "times_scan": round(seconds / scan, 2)}
        for step, seconds in zip(names, (scan, reading, building, whole), strict=True)
    ]
    result = {
        "events": rows,
        "rows": len(frame),
        "features": len(SERVICE.catalogue.contract.names),
        "megabytes_scanned": round(size / 1e6),
        "machine": platform.platform(),
        "load": os.getloadavg()[0],
        "steps": lines,
    }
    (HERE / "results" / "features_vs_scan.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(pd.DataFrame(lines).to_string(index=False) + f"\n{rows:,} events, load {result['load']:.1f}\n")


if __name__ == "__main__":
    main()
