"""One daily build and its scores on 1, 10 and 100 million events: seconds, peak memory and cost an event.

    python benchmarks/growth.py [--millions 1 10 100] [--folder DIR]

Caseloads of 15 thousand, 150 thousand and one and a half million people, the last about that of England's community
services, with about 66 events each in the year, are drawn straight to the history's files (`country.py`; kept in
--folder where given). Each size is then built and scored by two threads in a process of its own, as the daily run
does it: caseloads, the default catalogue's features, and the risk by three averaged LightGBM models and the logistic
regression's calibration. The model is trained on drawn outcomes: it has the size of a real one and no sense.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import country  # noqa: E402

from features.build import build  # noqa: E402
from features.frames import moments  # noqa: E402
from models.bundle import Bundle, load  # noqa: E402
from models.settings import TrainConfig  # noqa: E402
from models.splits import CALIBRATE, TRAIN  # noqa: E402
from models.training import train  # noqa: E402
from pipelines.building import snapshot  # noqa: E402
from pipelines.config import RunConfig, load_config  # noqa: E402
from pipelines.mapping import opened  # noqa: E402
from pipelines.service import Service  # noqa: E402
from pipelines.store import History  # noqa: E402

HERE = Path(__file__).resolve().parent
CUT = datetime.fromtimestamp(country.LAST / 1e6, UTC)
SERVICE = Service(load_config(HERE.parent / "configs/simulated.yaml"))
THREADS = 2


def model(people: int = 6_000, cuts: int = 20) -> Bundle:
    """A model of real size: 120,000 rows, with outcomes drawn from a few of their features."""
    who = np.arange(people)
    tables = country.drawn(who, seed=2)
    days = [country.LAST - 9 * cut * country.DAY for cut in range(cuts)][::-1]
    keyed = pd.DataFrame({"person_id": np.tile(who, cuts), "as_of": moments(np.repeat(days, people))})
    frame = build(tables, keyed, SERVICE.catalogue, SERVICE.config.zone)
    logit = -4.3 + frame["decayed_unplanned_4d"] + 0.3 * frame["decayed_no_access_4d"]
    ill = np.random.default_rng(1).random(len(frame)) < 1 / (1 + np.exp(-logit))
    admitted = (keyed["as_of"] + timedelta(days=2)).where(ill)
    labels = keyed.assign(label=ill.astype(int), admitted_at=admitted, state="usable")
    parts = pd.Series(np.where(keyed["as_of"] < keyed["as_of"].unique()[-5], TRAIN, CALIBRATE), dtype=object)
    return train(frame, labels, parts, SERVICE.catalogue.contract, TrainConfig())


def measured(folder: Path, bundle: Bundle) -> dict[str, float]:
    """Seconds, rows and peak memory of this process for one day."""
    start = time.perf_counter()
    with opened(RunConfig(by="threads", workers=THREADS)) as over:
        snap = snapshot(History(folder), SERVICE.config, SERVICE.catalogue, CUT, over)
    built = time.perf_counter()
    risk = bundle.score(snap.frame)["risk"]
    done = time.perf_counter()
    return {
        "index_rows": len(risk),
        "build_seconds": round(built - start, 2),
        "score_seconds": round(done - built, 2),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", nargs=2, type=Path, metavar=("HISTORY", "MODEL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        sys.stdout.write(json.dumps(measured(given.measure[0], load(given.measure[1]))))
        return
    with tempfile.TemporaryDirectory() as aside:
        folder = given.folder or Path(aside)
        bundle = model()
        bundle.save(Path(aside) / "model")
        lines = [line(folder / f"{millions:g}", millions, Path(aside) / "model") for millions in given.millions]
    result = {
        "threads": THREADS,
        "features": len(bundle.contract.names),
        "trees": sum(text.count("\nTree=") for text in bundle.boosters),
        "machine": platform.platform(),
        "load": os.getloadavg()[0],
        "sizes": lines,
    }
    (HERE / "results" / "growth.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(pd.DataFrame(lines).to_string(index=False) + f"\nload {result['load']:.1f}\n")


def line(folder: Path, millions: float, bundle: Path) -> dict[str, float]:
    _, events = country.laid_down(folder, round(millions * country.BUCKET), seed=9)
    command = [sys.executable, __file__, "--measure", str(folder), str(bundle)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    whole = found["build_seconds"] + found["score_seconds"]
    return {"events": events, **found, "microseconds_an_event": round(whole / events * 1e6, 3)}


if __name__ == "__main__":
    main()
