"""A month of a simulated world run by the real scheduler, with faults done to real processes and files.

Each simulated morning the deployed daily flow is tried as its schedule would, by Prefect's server and worker; only the
clock is given. What is recorded is what Prefect says of each run, and what `minusnine status` says after it.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import yaml

from features.plain_yaml import load_yaml
from pipelines import disturbing, steps
from pipelines.config import ServiceConfig, load_config
from pipelines.disturbing import Arrival, Fault
from pipelines.serving import Running, Served, free_port, running

Tell = Callable[[str], None]
TRIES = (time(6, 10), time(6, 30), time(6, 50))
SEEN = time(7, 0)
DEPLOYMENT = "daily/morning"
STANDING = ("fresh", "held back")
"""States in which the day's lists stand, all of them or but for some teams."""
MONTH = {
    4: Fault.TWICE,
    8: Fault.LATE,
    13: Fault.CORRUPT,
    17: Fault.KILLED,
    21: Fault.FULL,
    25: Fault.WORKER,
}
"""The day of the month, from 1, and what happens on it."""


@dataclass(frozen=True)
class Plan:
    """What is played: the `days` up to `last`, with so many caseload `places`, and on which of them what happens.

    config: the service's file. folder: where all of it lies; what a month left there before is removed.
    """

    config: Path
    folder: Path
    deployments: Path
    last: date = date(2026, 3, 31)
    days: int = 31
    places: int = 1000
    faults: Mapping[int, Fault] = field(default_factory=lambda: MONTH)

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.days - 1)

    def fault(self, day: date) -> Fault:
        return self.faults.get((day - self.first).days + 1, Fault.NONE)


@dataclass(frozen=True)
class Try:
    """A run of the day's flow: when (simulated), the state that Prefect gives it, what it said, and the state of the
    lists after it."""

    at: datetime
    state: str
    said: str
    lists: str


@dataclass(frozen=True)
class Morning:
    """A day. seen: what `minusnine status` says at 07:00, the state first."""

    day: date
    fault: Fault
    clock: str
    tries: tuple[Try, ...]
    seen: tuple[str, ...]

    @property
    def stands(self) -> datetime | None:
        """When the day's lists first stood."""
        return next((one.at for one in self.tries if one.lists in STANDING), None)


@dataclass(frozen=True)
class Month:
    """The mornings as a table (`tabled`), also as files of `folder`; replayed: how many days were made again, equal."""

    table: pd.DataFrame
    replayed: int
    folder: Path


def month(plan: Plan, tell: Tell) -> Month:
    """Play the month; ReplayError where a day that was published in it cannot be made again, equal row by row."""
    served, arrivals = prepared(plan, tell)
    with Scheduler(served, tell) as scheduler:
        days = [plan.first + timedelta(days=number) for number in range(plan.days)]
        mornings = [morning(scheduler, plan.fault(day), day, arrivals, tell) for day in days]
    table = tabled(mornings)
    table.to_csv(plan.folder / "month.csv", index=False)
    (plan.folder / "month.md").write_text(as_markdown(table), encoding="utf-8")
    found = steps.replay(served.service, plan.first, plan.last, tell)
    for one in found:
        one.require()
    return Month(table, len(found), plan.folder)


def prepared(plan: Plan, tell: Tell) -> tuple[Served, list[Arrival]]:
    """The service with its history and a champion on the eve of the month, and what will be delivered to it when."""
    shutil.rmtree(plan.folder, ignore_errors=True)
    config = configured(plan)
    steps.simulate(config, tell)
    arrivals = disturbing.held_back(config.workspace, plan.folder / "held", plan.fault, ZoneInfo(config.zone))
    eve = steps.as_of_day(config, plan.first - timedelta(days=1))
    steps.ingest(config, eve, tell)
    steps.train(config, eve, tell)
    quick = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    deployments = by_hand(plan.deployments, plan.folder / "prefect.yaml")
    return Served(plan.folder / "service.yaml", config, deployments, port=free_port(), settings=quick), arrivals


def configured(plan: Plan) -> ServiceConfig:
    """The service over a workspace of the month's own, written to a file that the flows can read."""
    config = load_config(plan.config, (plan.folder / "workspace").resolve())
    length = steps.simulated_world(config).days
    size = {"places": plan.places, "daily_drops": plan.days, "start": plan.last - timedelta(days=length)}
    config = config.model_copy(update={"simulator": {**config.simulator, **size}})
    here, raw = config.folder.resolve(), config.model_dump(mode="json")
    raw["features"] = str(here / config.features)
    raw["simulator"]["world"] = str(here / config.simulator["world"])
    for source in raw["sources"].values():
        source["mapping"] = str(here / source["mapping"])
    plan.folder.mkdir(parents=True, mode=0o700)
    path = plan.folder / "service.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return load_config(path)


def by_hand(deployments: Path, path: Path) -> Path:
    """The deployments without their schedules, which go by the real clock, as a file."""
    raw = load_yaml(deployments.read_text(encoding="utf-8"))
    told = [{key: one[key] for key in one if key != "schedules"} for one in raw["deployments"]]
    path.write_text(yaml.safe_dump({**raw, "deployments": told}, sort_keys=False), encoding="utf-8")
    return path


class Scheduler:
    """The scheduler for as long as the month lasts. What ends meanwhile is started again, as a service manager does."""

    def __init__(self, served: Served, tell: Tell) -> None:
        self.served, self.tell, self._up = served, tell, ExitStack()

    def __enter__(self) -> "Scheduler":
        self.up: Running = self._up.enter_context(running(self.served, self.tell))
        return self

    def __exit__(self, *_error: object) -> None:
        self._up.close()

    def restart(self) -> None:
        self._up.close()
        self.__enter__()

    def begin(self, as_of: datetime, at: datetime) -> str:
        """Has the daily flow run as if it were `at`; the run's id."""
        deployment = self.up.ask(f"/deployments/name/{DEPLOYMENT}")["id"]
        given = {"as_of": as_of.isoformat(), "now": at.isoformat()}
        return str(self.up.ask(f"/deployments/{deployment}/create_flow_run", {"parameters": given})["id"])


def morning(scheduler: Scheduler, fault: Fault, day: date, arrivals: list[Arrival], tell: Tell) -> Morning:
    """The tries of a day, until its lists stand."""
    config = scheduler.served.service
    zone, as_of = ZoneInfo(config.zone), steps.as_of_day(config, day)
    tries: list[Try] = []
    for number, clock in enumerate(TRIES):
        at = datetime.combine(day, clock, zone)
        disturbing.deliver(arrivals, at)
        tries += tried(scheduler, fault, number, as_of, at)
        tell(f"{at:%d-%b %H:%M} {fault.value}: {', '.join(f'{one.state}, {one.lists}' for one in tries)}")
        if tries[-1].lists in STANDING:
            break
    found = steps.status(config, datetime.combine(day, SEEN, zone))
    return Morning(day, fault, clock_change(day, zone), tuple(tries), (found.state, *found.says))


def tried(scheduler: Scheduler, fault: Fault, number: int, as_of: datetime, at: datetime) -> list[Try]:
    """One try, or two at once, with what happens to it."""
    lasting = 2 if fault is Fault.FULL else 1
    fault, workspace = fault if number < lasting else Fault.NONE, scheduler.served.service.workspace
    if fault is Fault.WORKER:
        disturbing.kill_worker(scheduler.up)
    begun = [scheduler.begin(as_of, at) for _ in range(2 if fault is Fault.TWICE else 1)]
    if fault is Fault.WORKER:
        scheduler.restart()
    if fault is Fault.KILLED:
        disturbing.kill_run(scheduler.up, workspace)
    if fault is Fault.FULL:
        disturbing.fill_disk(scheduler.up, workspace)
    ended = [disturbing.ended(scheduler.up, run) for run in begun]
    lists = steps.status(scheduler.served.service, at).state
    return [Try(at, *one, lists) for one in ended]


def clock_change(day: date, zone: ZoneInfo) -> str:
    """Of a night in which the clock was changed, how many hours the day before the cut had."""
    before, after = (datetime.combine(day - timedelta(days=back), TRIES[0], zone) for back in (1, 0))
    change = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    return f"clock change: {24 - change.total_seconds() / 3600:.0f} hours since the last cut" if change else ""


def tabled(mornings: list[Morning]) -> pd.DataFrame:
    """day, happened, runs, said (by the first that failed), seen (at 07:00), recovered (when lists stood again)."""
    after_late = [False, *(one.fault is Fault.LATE for one in mornings)]
    rows = [_row(one, mornings[number:], still=after_late[number]) for number, one in enumerate(mornings)]
    return pd.DataFrame(rows)


def _row(told: Morning, since: list[Morning], *, still: bool) -> dict[str, Any]:
    failed = [one for one in told.tries if one.state != "Completed"]
    stood = next((one.stands for one in since if one.stands is not None), None)
    happened = ("still no community extract" if still else "", told.fault.value, told.clock)
    recovered = "" if not failed or stood is None else f"{stood:%d-%b %H:%M}"
    return {
        "day": f"{told.day:%a %d-%b-%Y}",
        "happened": "; ".join(filter(None, happened)),
        "runs": ", ".join(f"{one.at:%H:%M} {one.state}" for one in told.tries),
        "said": failed[0].said if failed else "",
        "seen": f"{told.seen[0]}: {told.seen[1]}",
        "recovered": recovered,
    }


def as_markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |\n" for row in rows)
