"""One morning's caseloads, and the rows that a training is judged on, by each way of working on person buckets.

    python benchmarks/ways_of_mapping.py [--places 400 4000] [--keep FOLDER]

For each size a trust is simulated and taken up (kept in FOLDER, where one is given). Then each way runs in a process of
its own: one bucket after the other, two threads, a pool of two processes, and a Dask scheduler with two worker
processes over TCP on this machine. Each gives the same bytes, or the command fails. `opening` is what it costs to call
them together; `first` includes imports and the loading of compiled code where the work is done, `morning` does not;
`judging` is the test period's cuts. CPU seconds and peaks of memory are those of all processes that took part, without
the scheduler.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from models.splits import TEST  # noqa: E402
from pipelines import steps  # noqa: E402
from pipelines.building import dataset, snapshot  # noqa: E402
from pipelines.config import load_config  # noqa: E402
from pipelines.mapping import map_buckets, opened  # noqa: E402
from pipelines.service import Service  # noqa: E402

WAYS = {
    "one thread": ("threads", 1),
    "two threads": ("threads", 2),
    "two processes": ("processes", 2),
    "Dask": ("dask", 2),
}
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path[:2])}


def simulated(places: int, folder: Path) -> Path:
    """A configuration of a simulated trust of that many places whose extracts have been taken up."""
    raw = yaml.safe_load((ROOT / "configs" / "simulated.yaml").read_text(encoding="utf-8"))
    raw["simulator"]["places"] = places
    raw |= {"workspace": str(folder / f"workspace-{places}"), "buckets": 8 if places <= 4000 else 16}
    for name in ("features", "sources", "worlds"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / "configs" / name)
    path = folder / f"{places}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    config = load_config(path)
    if not (config.workspace / "history").exists():
        steps.simulate(config, lambda _: None)
        steps.ingest(config, steps.as_of_day(config, steps.simulated_last_day(config)), lambda _: None)
    return path


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, which end with it."""
    where = folder / "scheduler.json"
    quiet = ("--no-dashboard", "--scheduler-file", str(where))
    worker = ("worker", *quiet, "--no-nanny", "--nthreads", "1", "--memory-limit", "0")
    where.unlink(missing_ok=True)
    with ExitStack() as stack:
        for words in (("scheduler", "--host", "127.0.0.1", "--port", "0", *quiet), worker, worker):
            line = [sys.executable, "-m", "dask", *words]
            process = subprocess.Popen(line, cwd=folder, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        while not where.exists():
            time.sleep(0.1)
        yield str(json.loads(where.read_text())["address"])


def usage(_item: int) -> tuple[int, float, float]:
    """Whose process, its CPU seconds, and its peak in MiB."""
    time.sleep(0.1)  # long enough for everyone to get a share
    kept = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in kept if line.startswith("VmHWM"))
    return os.getpid(), time.process_time(), peak / 1024


def measured(path: Path, way: str, address: str) -> dict[str, Any]:
    """One way's figures, in this process."""
    by, workers = WAYS[way]
    config = load_config(path)
    config = config.model_copy(
        update={"run": config.run.model_copy(update={"by": by, "workers": workers, "address": address})}
    )
    service, as_of = Service(config), steps.as_of_day(config, steps.simulated_last_day(config))
    given = (service.history, config, service.catalogue, as_of)
    asked = import_module("ways_of_mapping").usage
    marks = [time.perf_counter()]
    with opened(config.run) as over:
        marks.append(time.perf_counter())
        snapshot(*given, over)
        marks.append(time.perf_counter())
        before = {pid: cpu for pid, cpu, _ in map_buckets(over, asked, range(8))} | {os.getpid(): time.process_time()}
        begun = time.perf_counter()
        frame = snapshot(*given, over).frame
        morning = time.perf_counter() - begun
        middle = {pid: cpu for pid, cpu, _ in map_buckets(over, asked, range(8))} | {os.getpid(): time.process_time()}
        begun = time.perf_counter()
        rows = dataset(*given, over, lambda _: None, (TEST,)).frame
        judging = time.perf_counter() - begun
        after = {pid: (cpu, peak) for pid, cpu, peak in [*map_buckets(over, asked, range(8)), asked(0)]}
    return {
        "way": way,
        "opening_s": round(marks[1] - marks[0], 2),
        "first_s": round(marks[2] - marks[1], 2),
        "morning_s": round(morning, 2),
        "morning_cpu_s": round(sum(middle[pid] - before[pid] for pid in middle), 2),
        "judging_s": round(judging, 2),
        "judging_cpu_s": round(sum(cpu - middle[pid] for pid, (cpu, _) in after.items()), 2),
        "people": len(frame),
        "rows": len(rows),
        "peaks_mib": sorted((round(peak) for _, peak in after.values()), reverse=True),
        "digest": hash(tuple(digest(table) for table in (frame, rows))),
    }


def digest(table: pd.DataFrame) -> int:
    return int(pd.util.hash_pandas_object(table, index=False).sum() % 2**63)


def compared(path: Path, folder: Path) -> list[dict[str, Any]]:
    found = []
    with cluster(folder) as address:
        for way in WAYS:
            line = [sys.executable, __file__, "--way", way, "--config", str(path), "--address", address]
            said = subprocess.run(
                line, check=True, env=ENVIRONMENT | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True
            )
            found.append(json.loads(said.stdout.splitlines()[-1]))
    assert len({line.pop("digest") for line in found}) == 1, "the ways must give the same bytes"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, nargs="+", default=[400, 4000])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        sys.stdout.write(json.dumps(measured(asked.config, asked.way, asked.address)) + "\n")
        return
    with tempfile.TemporaryDirectory() as aside:
        folder = (asked.keep or Path(aside)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        worlds = {places: simulated(places, folder) for places in asked.places}
        lines = [{"places": places, **line} for places, path in worlds.items() for line in compared(path, folder)]
    result = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "ways": lines}
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    written = ROOT / "benchmarks" / "results" / "ways_of_mapping.json"
    written.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(pd.DataFrame(lines).to_string(index=False) + f"\nload {result['load']:.1f}\n")


if __name__ == "__main__":
    main()
