"""The commands of those who run the service from day to day."""

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from features.errors import BlockedError, ConfigError, nearest
from pipelines.config import ServiceConfig
from pipelines.console import (
    DEFAULT_CONFIG,
    AsOfOption,
    ConfigOption,
    WorkspaceOption,
    chosen_cut,
    day_of,
    now,
    opened,
    out,
    telling,
    warn,
)
from pipelines.gates.config import GateRule

if TYPE_CHECKING:
    from pipelines.backfilling import Filled
    from pipelines.gates.outcome import Outcome
    from pipelines.gates.report import DayReport
    from pipelines.releasing import Day

operations = typer.Typer()
exposure = typer.Typer(no_args_is_help=True, help="The log of who was on which list.")
key = typer.Typer(no_args_is_help=True, help="The key that pseudonyms are made with.")
operations.add_typer(exposure, name="exposure")
operations.add_typer(key, name="key")

DEPLOYMENTS = Path("configs/prefect.yaml")
FromOption = Annotated[str | None, typer.Option("--from", help="The first day, as 2026-01-12.")]
WarnOnlyOption = Annotated[
    list[str] | None, typer.Option("--warn-only", help="A gate that may not block this run, as rows; may be repeated.")
]
ToOption = Annotated[str | None, typer.Option("--to", help="The last day (default: the newest).")]


@operations.command()
def daily(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    workspace: WorkspaceOption = None,
    replace: Annotated[bool, typer.Option(help="Publish in place of other lists that stand for this day.")] = False,
    warn_only: WarnOnlyOption = None,
) -> None:
    """Ingest what is new, score every caseload at the cut, and publish each team's list; a published day stays."""
    loaded = warning_only(opened(config, workspace), warn_only or [])
    from pipelines import steps

    chosen = chosen_cut(loaded, as_of)
    with telling("Daily run") as tell, gates_told(loaded, chosen):
        day: Day = steps.daily(loaded, chosen, now(), tell, replace)
    show_gates(day.gates)
    for note in day.notes:
        warn(note)
    changed = "published" if day.published.changed else "stood already; nothing was changed"
    out.print(f"{day.published.teams} lists with {day.published.listed} people {changed}:")
    out.print(f"  {day.published.folder / 'index.html'}", soft_wrap=True)


@operations.command()
def gates(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    first: FromOption = None,
    last: ToOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what each gate says of a day as things are, and publish nothing; or, of days that were tried, how often each
    gate spoke."""
    loaded = opened(config, workspace)
    from pipelines import steps

    if first or last:
        show_tally(steps.gate_reports(loaded, *chosen_days(loaded, first, last)))
        return
    with telling("Looking at the gates") as tell:
        found = steps.gates(loaded, chosen_cut(loaded, as_of), now(), tell)
    for one in found:
        out.print(
            f"{MARKS[one.state]}  {one.gate} ({one.level}) {one.subject}: {one.line}", markup=False, soft_wrap=True
        )
    if any(one.blocks for one in found):
        raise SystemExit(BlockedError.exit_code)


@operations.command()
def backfill(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Make the lists of days that have none, in order: from what was known then, with the model that stood by then."""
    loaded = opened(config, workspace)
    from pipelines import steps

    days = chosen_days(loaded, first, last)
    with telling("Backfill") as tell:
        filled: list[Filled] = steps.backfill(loaded, *days, now(), tell)
    for one in filled:
        out.print(f"{one.day} {one.what}" + (f": {one.why}" if one.why else ""), markup=False, soft_wrap=True)


@operations.command()
def replay(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    first: FromOption = None,
    last: ToOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Make published days again from the history, and prove them equal row by row, or say where they first differ."""
    loaded = opened(config, workspace)
    from pipelines import steps

    if as_of and (first or last):
        message = "--as-of names one day, --from and --to several; found both. Leave one of them out."
        raise ConfigError(message)
    days = chosen_days(loaded, first, last) if first or last else (chosen_day(loaded, as_of),) * 2
    with telling("Replay") as tell:
        found = steps.replay(loaded, *days, tell)
    for day in found:
        since = f" (otherwise by now, and not needed: {', '.join(day.changed)})" if day.changed else ""
        said = "DIFFERS" if day.difference else f"equal in all {day.rows:,} rows{since}"
        out.print(f"{day.day} version {day.version}: {said}", markup=False, soft_wrap=True)
    for day in found:
        day.require()


@operations.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    at: Annotated[str | None, typer.Option(help="The moment, as 2026-01-12T09:00 (default: now).")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Say whether today's lists stand, and how old the feeds are; the exit code says it too."""
    loaded = opened(config, workspace)
    from pipelines import steps

    found = steps.status(loaded, moment_of(loaded, at))
    out.print(found.state, style="bold")
    for sentence in found.says:
        out.print(f"  {sentence}", markup=False, soft_wrap=True)
    raise SystemExit(found.exit_code)


@operations.command()
def monitor(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    workspace: WorkspaceOption = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 where there is any alarm that is news.")] = False,
) -> None:
    """Say what has changed in what comes in and in what comes of the lists, held against the service's own past."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Monitoring") as tell:
        found = steps.monitor(loaded, chosen_cut(loaded, as_of), tell)
    for one in found.news:
        warn(f"{one.level} alarm since {one.since}: {one.what} {one.do}")
    out.print(f"{len(found.news)} alarms" if len(found.news) != 1 else "1 alarm", end=": ")
    out.print(str(found.page), markup=False, soft_wrap=True)
    if strict and found.news:
        raise SystemExit(1)


@operations.command()
def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(help="Where Prefect's server listens.")] = 4200,
    host: Annotated[str, typer.Option(help="By whom it is heard: by default by this machine alone.")] = "127.0.0.1",
    deployments: Annotated[Path, typer.Option(help="What is run, and when (YAML).")] = DEPLOYMENTS,
) -> None:
    """Run the schedules on this machine: Prefect's server, a worker and the deployments, until told to end."""
    loaded = opened(config, workspace)
    from pipelines.serving import Served, running

    served = Served(config, loaded, deployments, host, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), telling("Scheduler") as tell, running(served, tell) as up:
        out.print(f"Prefect's pages: {served.page}", soft_wrap=True)
        out.print(f"Records and logs: {served.folder}", soft_wrap=True)
        tell("up; a signal (Ctrl-C, SIGTERM) ends it")
        up.watch(warn)


@exposure.command()
def prune(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Remove from the exposure log what is older than `exposure.keep_days`, on record."""
    loaded = opened(config, workspace)
    from pipelines import steps

    out.print(f"{steps.prune_exposures(loaded, now()):,} exposures removed")


@key.command("rotate")
def rotate_key(
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    to: Annotated[Path | None, typer.Option(help="A file with the new key (default: one is made).")] = None,
) -> None:
    """Put the whole workspace under a new pseudonym key, whole or not at all; every extract is read again."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Rotating the key") as tell:
        done = steps.rotate_key(loaded, to, now(), tell)
    out.print(
        f"{done.people:,} people have new pseudonyms, in {done.extracts} extracts, {done.publications} publications "
        f"and {done.exposures:,} exposures.",
        soft_wrap=True,
    )
    if done.outside:
        out.print("Put the new key where the former one came from: until then nothing will run here.", style="bold")


def warning_only(config: ServiceConfig, names: Sequence[str]) -> ServiceConfig:
    """The configuration with those gates at the level of a warning; ConfigError where there is no such gate."""
    rules = {name: rule for name, rule in config.gates if isinstance(rule, GateRule)}
    for name in names:
        if name not in rules:
            message = f"--warn-only must name a gate; '{name}' is none: {nearest(name, rules)}"
            raise ConfigError(message)
    changed = {name: rules[name].model_copy(update={"level": "warn"}) for name in names}
    return config.model_copy(update={"gates": config.gates.model_copy(update=changed)})


MARKS = {"passed": "ok  ", "failed": "LOOK", "not enough history": "... ", "too few rows": "... "}


def show_gates(found: "Sequence[Outcome]") -> None:
    """A line for each gate, and one for each finding; `minusnine gates` shows all, and so does run.json."""
    for gate, level in dict.fromkeys((one.gate, one.level) for one in found):
        mine = [one for one in found if (one.gate, one.level) == (gate, level)]
        counts = Counter(one.state for one in mine)
        said = ", ".join(f"{counts[state]} {state}" for state in MARKS if counts[state])
        nearest = max((one for one in mine if one.state == "passed"), key=lambda one: one.nearness, default=None)
        told = f"; nearest to a limit: {nearest.subject}, {nearest.line}" if nearest and nearest.nearness > 0 else ""
        out.print(f"  {gate} ({level}): {said}{told}", markup=False, soft_wrap=True)
        for one in mine:
            if one.failed:
                out.print(f"    LOOK  {one.says}", markup=False, soft_wrap=True)


@contextmanager
def gates_told(config: ServiceConfig, as_of: datetime) -> Iterator[None]:
    """Where a gate lets nothing through, what all of them said is shown."""
    from pipelines import steps

    try:
        yield
    except BlockedError:
        day = as_of.astimezone(ZoneInfo(config.zone)).date()
        for report in steps.gate_reports(config, day, day):
            show_gates(report.outcomes)
        raise


def show_tally(reports: "Sequence[DayReport]") -> None:
    """How many of the days were blocked, had a team held back or a warning; and by gate what came of it."""
    from pipelines.gates import report

    blocked = sum(one.blocked for one in reports)
    held = sum(len(report.withheld(one.outcomes)) for one in reports if not one.blocked)
    noted = sum(bool(report.notes(one.outcomes)) for one in reports if not one.blocked)
    out.print(f"{len(reports)} days: {blocked} blocked, {noted} with a warning, {held} teams' days held back")
    for gate, counts in report.tally(reports).items():
        said = ", ".join(f"{counts[state]:,} {state}" for state in MARKS if counts[state])
        out.print(f"  {gate}: {said}", markup=False, soft_wrap=True)


def chosen_days(config: ServiceConfig, first: str | None, last: str | None) -> tuple[date, date]:
    """The days from --from to --to; ConfigError where the first is not given."""
    if first is None:
        message = "--from must name the first day; it is not given. Give it as 2026-01-12."
        raise ConfigError(message)
    return day_of(first, "--from"), chosen_day(config, None) if last is None else day_of(last, "--to")


def chosen_day(config: ServiceConfig, as_of: str | None) -> date:
    """The day of `chosen_cut`, on the service's clock."""
    return chosen_cut(config, as_of).astimezone(ZoneInfo(config.zone)).date()


def moment_of(config: ServiceConfig, at: str | None) -> datetime:
    """The moment that --at names on the service's clock; by default now, or a simulated trust's newest cut."""
    if at is None:
        return chosen_cut(config, None) if config.simulated else now()
    try:
        return datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(config.zone))
    except ValueError:
        message = "--at must be a moment such as 2026-01-12T09:00; it is not. Give day and time."
        raise ConfigError(message) from None
