"""A morning of a trust with 25,000 people on its caseloads and 5 million records: `minusnine daily`, without a server.

    python benchmarks/daily_run.py [--folder /tmp/minus-nine-morning] [--runs 3]

The trust is simulated once and kept in --folder: 26,500 places and 160 days, all of them within the longest look-back,
so that a build reads every record there is. The last sixty days come as daily drops and are taken up one by one, as a
service would have; a champion is trained; the lists of the day before stand. Each run then takes up the last day's drop
and publishes its lists, as a process of its own that is waited for. A further run is timed inside, step by step. Before
and after each, a plain loop is timed: how fast the machine was then, without which seconds say little.
"""

import argparse
import ctypes
import importlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / "configs"
START = "2025-08-05"
WORLD = {"places": 26_500, "days": 160, "teams": 40, "daily_drops": 60, "truth_days": 1, "start": START}
PERIODS = {"history_days": 160, "calibration_days": 20, "calibration_every": 4, "test_days": 20, "test_every": 4}
GOAL = {"seconds": 20, "gigabytes": 2}
LOOK_EVERY, PR_SET_CHILD_SUBREAPER = 0.25, 36
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
STEPS = (
    ("ingesting: what there is to take up", "pipelines.ingesting:_fingerprinted"),
    ("ingesting: reading the drop", "pipelines.ingesting:read_extract"),
    ("ingesting: into the history", "pipelines.store:History.ingest"),
    ("ingesting: identities", "pipelines.identities:Identities.keep"),
    ("ingesting: identities", "pipelines.identities:Identities.settle"),
    ("ingesting: identities", "pipelines.identities:Identities.links"),
    ("ingesting: the quality report", "pipelines.ingesting:_report"),
    ("scoring: the champion", "pipelines.tracking:champion"),
    ("scoring: the champion", "pipelines.daily:load"),
    ("scoring: caseloads and features", "pipelines.daily:snapshot"),
    ("scoring: risk", "models.bundle:Bundle.score"),
    ("scoring: the days before", "pipelines.daily:_earlier"),
    ("scoring: order and changes", "pipelines.daily:rank"),
    ("scoring: reasons of those listed", "pipelines.daily:_explained"),
    ("scoring: where it came from", "pipelines.origins:origin"),
    ("publishing: identities", "pipelines.identities:Identities.people"),
    ("publishing: lists in words", "pipelines.publish:_lists"),
    ("publishing: pages and spreadsheets", "pipelines.publish:_files"),
    ("publishing: writing them", "pipelines.publish:_write"),
    ("publishing: reading them back", "pipelines.publish:_check"),
    ("publishing: the record", "pipelines.runs:keep"),
    ("publishing: MLflow", "pipelines.tracking:log_day"),
)
"""What is timed inside a run: what it is called here, and the function as its caller finds it. The exposure log, whose
transaction is open around the switch of the lists, is in the rest."""


def configured(folder: Path) -> Path:
    """The configuration of the trust in `folder`, written anew."""
    raw = yaml.safe_load((CONFIGS / "simulated.yaml").read_text(encoding="utf-8"))
    raw["simulator"] = WORLD | {"world": str(CONFIGS / "worlds/trust.yaml")}
    raw["periods"] |= PERIODS
    raw["features"] = str(CONFIGS / raw["features"])
    raw["workspace"] = str(folder / "workspace")
    for source in raw["sources"].values():
        source["mapping"] = str(CONFIGS / source["mapping"])
        source["path"] = source["path"].replace("{workspace}", str(folder))
    raw["promotion"] = {"gain_over_rules": -1, "tolerated_loss": 1, "expected_over_observed": [0.1, 10]}
    raw["promotion"] |= {"calibration_slope": [0.1, 10], "least_admissions": 1}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "service.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def prepared(folder: Path, tell: Callable[[str], None]) -> None:
    """The trust on the evening before its last day, in `folder/kept`; made once, in a process of its own: one that is
    started from here counts this one's memory as its own."""
    from pipelines import steps
    from pipelines.config import load_config

    if (folder / "kept").exists():
        return
    config = load_config(configured(folder))
    eve = steps.as_of_day(config, steps.simulated_last_day(config)) - timedelta(days=1)
    if not (folder / "extracts").exists():
        steps.simulate(config, tell)
        (folder / "workspace" / "extracts").rename(folder / "extracts")
    steps.ingest(config, eve, tell)
    if not steps.has_champion(config):
        steps.train(config, eve, tell)
    steps.daily(config, eve, eve, tell)
    shutil.copytree(folder / "workspace", folder / "aside", symlinks=True)
    (folder / "aside").rename(folder / "kept")


def measured(folder: Path, *command: str) -> dict[str, float]:
    """Of one run on the evening before, put back first, with all processes that it starts: seconds on the clock,
    processor seconds, and the most memory that they had together at one of many looks."""
    shutil.rmtree(folder / "workspace", ignore_errors=True)
    shutil.copytree(folder / "kept", folder / "workspace", symlinks=True, copy_function=put)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what the run leaves behind is waited for here, and so counted
    loop, before, start, most = yardstick(), spent_by_children(), time.perf_counter(), 0
    with (folder / "run.log").open("w") as log:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None:
            most = max(most, memory_of_session(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY)
    seconds = time.perf_counter() - start
    with suppress(ChildProcessError):
        while True:
            os.wait()
    if process.returncode:
        raise SystemExit((folder / "run.log").read_text(encoding="utf-8"))
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(spent_by_children() - before, 2),
        "gigabytes": round(most / 2**20, 2),
        "load": round(os.getloadavg()[0], 1),
        "loop_before": round(loop, 2),
        "loop_after": round(yardstick(), 2),
    }


def spent_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory_of_session(session: int) -> int:
    """Kilobytes that its processes have together; of what several share each has its part."""
    found = 0
    for told in Path("/proc").glob("[0-9]*/smaps_rollup"):
        with suppress(OSError, ValueError):  # it may end meanwhile
            if os.getsid(int(told.parent.name)) == session:
                found += next(int(line.split()[1]) for line in told.read_text().splitlines() if line.startswith("Pss:"))
    return found


def yardstick() -> float:
    """Seconds of ten million additions in plain Python."""
    start, added = time.perf_counter(), 0
    while added < 10_000_000:
        added += 1
    return time.perf_counter() - start


def put(source: str, target: str) -> None:
    """A copy; of the history's files, which are never written to again, another name."""
    os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)


class Watch:
    """Seconds and processor seconds of each step, less those of the steps within it; what other threads do beside them
    is in the processor seconds of the step that it is beside."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self.within = [[0.0, 0.0]]

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def timed(*given: Any, **more: Any) -> Any:
            if current_thread() is not main_thread():
                return work(*given, **more)
            start = time.perf_counter(), time.process_time()
            self.within.append([0.0, 0.0])
            try:
                return work(*given, **more)
            finally:
                passed = time.perf_counter() - start[0], time.process_time() - start[1]
                inside, mine = self.within.pop(), self.spent.setdefault(name, [0.0, 0.0])
                for clock in (0, 1):
                    mine[clock] += passed[clock] - inside[clock]
                    self.within[-1][clock] += passed[clock]

        return timed

    def put_in(self) -> None:
        """In the place of every function of `STEPS`."""
        for name, place in STEPS:
            module, path = place.split(":")
            *owners, attribute = path.split(".")
            owner = importlib.import_module(module)
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, attribute, self.timed(name, getattr(owner, attribute)))


def inside(config: str, day: str, answer: Path) -> None:
    """One run in this process, step by step, into a file."""
    watch = Watch()
    from pipelines import cli

    start = time.process_time()
    watch.timed("imports", watch.put_in)()
    watch.spent["imports"][1] += start
    try:
        watch.timed("the rest", cli.app)(["daily", "--config", config, "--as-of", day], standalone_mode=False)
    finally:
        answer.write_text(json.dumps(watch.spent), encoding="utf-8")


def counted(folder: Path) -> dict[str, int]:
    """What the runs had to do."""
    from pipelines import steps
    from pipelines.config import load_config
    from pipelines.runs import published
    from pipelines.service import Service

    service = Service(load_config(folder / "service.yaml"))
    run = published(service.workspace)[-1]
    ranked, ledger = run.ranked(), service.history.ledger()
    today = ledger[ledger["batch"] > run.told["history"]["batches"] - len(run.told["inputs"])]
    whole = service.history.read(columns=dict.fromkeys(("contacts", "observations", "attendances"), ()))
    return {
        "records_taken_up": int(ledger["rows"].sum()),
        "versions_in_the_history": sum(table.num_rows for table in whole.values()),
        "people_on_caseloads": int(ranked["person_id"].nunique()),
        "teams": int(ranked["team_id"].nunique()),
        "listed": int(ranked["listed"].sum()),
        "rows_of_the_day": int(today["rows"].sum()),
        "extracts": len(ledger),
        "days_of_history": int((steps.simulated_world(service.config)).days),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/minus-nine-morning"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prepare", action="store_true", help="only make the trust")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside(given.inside[0], given.inside[1], Path(given.inside[2]))
        return
    if given.prepare:
        prepared(given.folder, partial(print, flush=True))
        return
    subprocess.run([sys.executable, __file__, "--folder", str(given.folder), "--prepare"], check=True)
    path, day, answer = str(configured(given.folder)), last_day(given.folder), str(given.folder / "steps.json")
    run = [sys.executable, str(Path(sys.executable).with_name("minusnine")), "daily", "--config", path, "--as-of", day]
    runs = [measured(given.folder, *run) for _ in range(given.runs)]
    what = counted(given.folder)
    watched = measured(given.folder, sys.executable, __file__, "--inside", path, day, answer)
    spent = json.loads(Path(answer).read_text(encoding="utf-8"))
    steps = {name: [round(clock, 2) for clock in spent[name]] for name in ("imports", *dict(STEPS), "the rest")}
    best = min(runs, key=lambda one: one["seconds"])
    result = {**what, "goal": GOAL, "best": best, "runs": runs, "watched": watched, "steps": steps}
    result |= {"machine": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    (HERE / "results" / "daily_run.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = pd.DataFrame.from_dict(steps, orient="index", columns=["seconds", "processor seconds"])
    sys.stdout.write(f"{json.dumps(what)}\n{pd.DataFrame(runs)}\n\n{table}\n")


def last_day(folder: Path) -> str:
    from pipelines import steps
    from pipelines.config import load_config

    return steps.simulated_last_day(load_config(folder / "service.yaml")).isoformat()


if __name__ == "__main__":
    main()
