"""The commands of those who run the service from day to day."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from features.errors import ConfigError
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

if TYPE_CHECKING:
    from pipelines.backfilling import Filled
    from pipelines.releasing import Day

operations = typer.Typer()
exposure = typer.Typer(no_args_is_help=True, help="The log of who was on which list.")
key = typer.Typer(no_args_is_help=True, help="The key that pseudonyms are made with.")
operations.add_typer(exposure, name="exposure")
operations.add_typer(key, name="key")

FromOption = Annotated[str | None, typer.Option("--from", help="The first day, as 2026-01-12.")]
ToOption = Annotated[str | None, typer.Option("--to", help="The last day (default: the newest).")]


@operations.command()
def daily(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    workspace: WorkspaceOption = None,
    replace: Annotated[bool, typer.Option(help="Publish in place of other lists that stand for this day.")] = False,
) -> None:
    """Ingest what is new, score every caseload at the cut, and publish each team's list; a published day stays."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Daily run") as tell:
        day: Day = steps.daily(loaded, chosen_cut(loaded, as_of), now(), tell, replace)
    for note in day.notes:
        warn(note)
    changed = "published" if day.published.changed else "stood already; nothing was changed"
    out.print(f"{day.published.teams} lists with {day.published.listed} people {changed}:")
    out.print(f"  {day.published.folder / 'index.html'}", soft_wrap=True)


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
