"""Training on a million rows of eighty features: seconds and the most memory held at once.

    python benchmarks/training.py [--rows 1000000] [--threads 1]

Both models, three seeds, early stopping and calibration on a tenth as many later rows, as `train` does it with the
settings it has by default. About one row in a hundred is positive. The table itself is made first and is not timed;
`table_gb` is what the process holds before training begins.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features.table import Contract, FeatureInfo, make_contract  # noqa: E402
from models import metrics  # noqa: E402
from models.settings import TrainConfig  # noqa: E402
from models.training import train  # noqa: E402

HERE = Path(__file__).resolve().parent
FEATURES, TOLD = 80, 12
DAYS = 200


def contract() -> Contract:
    """Counts, recencies and values, twelve of which tell something."""
    made = (("count", 0.0, 1), ("days_since", None, 0), ("last", None, 0))
    kinds = (made[number % 3] for number in range(FEATURES))
    infos = (
        FeatureInfo(f"{kind}_{n}_30d", f"family {n % 10}", kind, str(n), 30, direction, empty)
        for n, (kind, empty, direction) in enumerate(kinds)
    )
    return make_contract(infos, "a benchmark")


def world(rows: int, seed: int = 9) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """A feature table of `rows` training rows and a tenth as many later ones, outcomes from a logistic formula."""
    rng = np.random.default_rng(seed)
    total = rows + rows // 10
    values = {}
    logit = np.full(total, -5.4)
    for n, name in enumerate(contract().names):
        drawn = rng.poisson(0.7, total) if n % 3 == 0 else rng.normal(0, 1, total)
        column = drawn.astype(np.float32)
        if n < TOLD:
            logit += 0.3 * column
        if n % 3:
            column[rng.random(total) < 0.3] = np.nan
        values[name] = column
    day = np.where(np.arange(total) < rows, rng.integers(0, DAYS, total), rng.integers(DAYS + 20, DAYS + 60, total))
    as_of = pd.Timestamp("2024-01-01 06:00", tz="UTC").as_unit("us") + pd.to_timedelta(day, unit="D").as_unit("us")
    table = pd.DataFrame({"person_id": np.arange(total), "as_of": as_of, **values})
    label = (rng.random(total) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    admitted_at = (table["as_of"] + pd.Timedelta(hours=5)).where(label == 1)
    labels = table[["person_id", "as_of"]].assign(label=label, admitted_at=admitted_at, state="usable")
    return table, labels, pd.Series(np.where(np.arange(total) < rows, "train", "calibrate"))


def most_held_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    table, labels, parts = world(given.rows)
    before = most_held_gb()
    start = time.perf_counter()
    bundle = train(table, labels, parts, contract(), TrainConfig(threads=given.threads))
    seconds = time.perf_counter() - start
    later = (parts == "calibrate").to_numpy()
    risk = bundle.score(table[later])["risk"]
    result = {
        "rows": given.rows,
        "features": FEATURES,
        "positives": int(labels.loc[~later, "label"].sum()),
        "sampled_rows": bundle.lineage["blocks"]["sampled"]["rows"],
        "threads": given.threads,
        "seconds": round(seconds, 1),
        "table_gb": round(before, 2),
        "most_held_gb": round(most_held_gb(), 2),
        "auroc_of_later_rows": round(metrics.auroc(labels.loc[later, "label"], risk), 3),
        "machine": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "training.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("".join(f"{name:<22} {value}\n" for name, value in result.items()))


if __name__ == "__main__":
    main()
