"""What can happen to a morning, done for real: to the files that are delivered, and to the scheduler's processes."""

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

from features.errors import WorkersError
from pipelines.serving import Running, descendants

USUAL, MENDED = clock(5, 30), clock(6, 25)
"""When extracts come, and when one that was late, or broken, comes whole."""
FEED = "csds"
PATIENCE = 300.0
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Fault(Enum):
    """What happens on a day, in words."""

    NONE = ""
    LATE = "no community extract on this day and the next; they come on the third, at 06:25"
    CORRUPT = "the community extract comes broken, and whole at 06:25"
    KILLED = "the first run's process is killed (SIGKILL) at work"
    FULL = "a full disk at the first two runs"
    TWICE = "two runs are started at once"
    WORKER = "the worker is killed (SIGKILL) before the first run"


@dataclass(frozen=True)
class Arrival:
    """An extract that is held, and where and when it is delivered. whole: if not, its files hold other bytes."""

    held: Path
    place: Path
    at: datetime
    whole: bool = True


def held_back(workspace: Path, held: Path, fault: Callable[[date], Fault], zone: ZoneInfo) -> list[Arrival]:
    """Takes the daily extracts out of the workspace; when they will come, in order."""
    arrivals = []
    for place in sorted((workspace / "extracts" / "daily").glob("*/*")):
        kept = held / place.parent.name / place.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        place.rename(kept)
        day = date.fromisoformat(place.name)
        mended = _mended(day, place.parent.name, fault)
        if mended is None or fault(day) is Fault.CORRUPT:
            arrivals.append(Arrival(kept, place, datetime.combine(day, USUAL, zone), whole=mended is None))
        if mended is not None:
            arrivals.append(Arrival(kept, place, datetime.combine(mended, MENDED, zone)))
    return sorted(arrivals, key=lambda one: (one.at, one.place))


def _mended(day: date, feed: str, fault: Callable[[date], Fault]) -> date | None:
    """The day on which an extract that does not come as usual comes whole."""
    if feed != FEED:
        return None
    for back in (0, 1):
        if fault(day - timedelta(days=back)) is Fault.LATE:
            return day + timedelta(days=2 - back)
    return day if fault(day) is Fault.CORRUPT else None


def deliver(arrivals: list[Arrival], now: datetime) -> None:
    """Put what has come by now into its place, each at once; it is delivered once."""
    while arrivals and arrivals[0].at <= now:
        one = arrivals.pop(0)
        aside = one.place.with_name(f".{one.place.name}")
        shutil.copytree(one.held, aside)
        if not one.whole:
            for path in aside.iterdir():
                path.write_bytes(bytes(range(256)) * 8)
        shutil.rmtree(one.place, ignore_errors=True)
        aside.rename(one.place)


def kill_worker(up: Running) -> None:
    os.kill(up.worker.pid, signal.SIGKILL)
    up.worker.wait()


def kill_run(up: Running, workspace: Path) -> None:
    """Kill the process that is at a daily run, as soon as there is one."""
    os.kill(at_work(up, workspace), signal.SIGKILL)


def fill_disk(up: Running, workspace: Path) -> None:
    """As on a full disk: the process that is at a daily run can write no file any more."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(at_work(up, workspace), resource.RLIMIT_FSIZE, (0, most))


def at_work(up: Running, workspace: Path) -> int:
    """The process that is at a daily run; WorkersError where there comes none."""
    lock = str((workspace / ".run.lock").resolve())
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for pid in descendants(up.worker.pid):
            if lock in _opened(pid):
                return pid
        time.sleep(0.01)
    message = f"A run must be at work within {PATIENCE:.0f} seconds; none was. Look at the worker's log."
    raise WorkersError(message)


def _opened(pid: int) -> set[str]:
    try:
        return {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def ended(up: Running, run: str) -> tuple[str, str]:
    """The name of a run's last state, and what it says."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        state = up.ask(f"/flow_runs/{run}")["state"]
        if state["type"] in FINAL:
            return str(state["name"]), _sentence(str(state["message"] or ""))
        time.sleep(0.3)
    message = f"A run must end within {PATIENCE:.0f} seconds; one did not. Look at Prefect's pages."
    raise WorkersError(message)


def _sentence(message: str) -> str:
    """What a run said, without Prefect's own words before it."""
    return message.split("Error: ", 1)[-1].strip()
