"""A training table: a million rows at weekly cuts over 18 months, from ten million events, by two threads.

    python benchmarks/training_table.py [--people 60000]

Two and a half years of 60,000 people are drawn straight to the history's files. Everyone is looked at at 17 of the 78
weekly cuts of the last 18 months, which ones following from their pseudonym. The history is gone through once, however
many cuts there are; for comparison the same is timed for a quarter and for all of the cuts, with as many rows.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import country  # noqa: E402

from features.build import Part, build_part  # noqa: E402
from features.frames import moments  # noqa: E402
from pipelines.building import finished, looked_at  # noqa: E402
from pipelines.config import RunConfig, load_config  # noqa: E402
from pipelines.mapping import map_buckets, opened  # noqa: E402
from pipelines.service import Service  # noqa: E402
from pipelines.store import History  # noqa: E402

HERE = Path(__file__).resolve().parent
SERVICE = Service(load_config(HERE.parent / "configs/simulated.yaml"))
THREADS, WEEKS, ROWS_EACH, DAYS = 2, 78, 17, 912


def index_of(person: np.ndarray, weeks: int) -> pd.DataFrame:
    """`ROWS_EACH` rows a person, spread over the last so many weekly cuts."""
    turn = (np.arange(ROWS_EACH) * weeks // ROWS_EACH + (person * 7919 % weeks)[:, None]) % weeks
    cut = country.LAST - turn * 7 * country.DAY
    return pd.DataFrame({"person_id": np.repeat(person, ROWS_EACH), "as_of": moments(cut.ravel())})


def part_of(history: History, people: int, weeks: int, cuts: Sequence[datetime], bucket: int) -> Part:
    rows = index_of(country.people_of(bucket, history.buckets, people), weeks)
    tables = looked_at(history, SERVICE.config, SERVICE.catalogue, cuts[-1], cuts, bucket)
    return build_part(tables, rows, SERVICE.catalogue, SERVICE.config.zone, cuts)


def table(history: History, people: int, weeks: int) -> tuple[float, int]:
    """Seconds from the files to the table, and its rows."""
    cuts = [datetime.fromtimestamp((country.LAST - n * 7 * country.DAY) / 1e6, UTC) for n in range(weeks)][::-1]
    start = time.perf_counter()
    with opened(RunConfig(by="threads", workers=THREADS)) as over:
        parts = map_buckets(over, partial(part_of, history, people, weeks, cuts), range(history.buckets))
    frame = finished(parts, SERVICE.catalogue)
    return time.perf_counter() - start, len(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=60_000)
    people = parser.parse_args().people
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        history, events = country.laid_down(Path(folder), people, seed=9, days=DAYS)
        table(history, people, ROWS_EACH)
        for weeks in (WEEKS // 4, WEEKS):
            seconds, rows = table(history, people, weeks)
            lines.append({"cuts": weeks, "rows": rows, "seconds": round(seconds, 1)})
    result = {
        "events": events,
        "features": len(SERVICE.catalogue.contract.names),
        "threads": THREADS,
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "machine": platform.platform(),
        "load": os.getloadavg()[0],
        "tables": lines,
    }
    (HERE / "results" / "training_table.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(pd.DataFrame(lines).to_string(index=False) + f"\n{events:,} events, load {result['load']:.1f}\n")


if __name__ == "__main__":
    main()
