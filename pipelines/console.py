"""What the commands share: options, where words go, and how progress and errors are told, as text or as JSON lines."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from features.errors import ConfigError
from pipelines.config import ServiceConfig, load_config

out, err = Console(highlight=False), Console(stderr=True, highlight=False)
ConfigOption = Annotated[Path, typer.Option("--config", help="The service's configuration (YAML).")]
WorkspaceOption = Annotated[Path | None, typer.Option("--workspace", help="Used in place of the configuration's own.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="The day of the list, as 2026-01-12 (default: newest).")
]
DEFAULT_CONFIG = Path("configs/simulated.yaml")
LOG_VARIABLE = "MINUSNINE_LOG"
_log = {"json": False}


def write_json(wanted: bool) -> None:
    """Tell progress and errors as a JSON object a line from now on: at, level, says, and what there is to add."""
    _log["json"] = wanted


def logged(level: str, says: str, **more: Any) -> bool:
    """Writes the line, where JSON is wanted; whether it was. Nothing that is told names or numbers a person."""
    if _log["json"]:
        line = {"at": now().isoformat(timespec="milliseconds"), "level": level, "says": says, **more}
        typer.echo(json.dumps(line, ensure_ascii=False), err=True)
    return _log["json"]


def complain(says: str, exit_code: int) -> None:
    """An error's one sentence."""
    if not logged("error", says, exit_code=exit_code):
        err.print(f"minusnine: {says}", style="bold red", markup=False, soft_wrap=True)


def warn(says: str) -> None:
    """Something to look at that stopped nothing."""
    if not logged("warning", says):
        err.print(says, style="bold yellow", markup=False, soft_wrap=True)


def _telling_json(what: str) -> Iterator[Callable[[str], None]]:
    start = time.perf_counter()

    def tell(words: str) -> None:
        logged("info", words, step=what, seconds=round(time.perf_counter() - start, 3))

    tell("begun")
    yield tell
    tell("done")


@contextmanager
def telling(what: str) -> Iterator[Callable[[str], None]]:
    """A line that says what is being done and for how long, and at the end how long it took."""
    start = time.perf_counter()
    if _log["json"]:
        yield from _telling_json(what)
        return
    live = err.is_terminal
    with err.status(what) as status:

        def tell(words: str) -> None:
            line = f"{what}: {words} ({time.perf_counter() - start:.0f} s)"
            status.update(line) if live else err.print(line, markup=False, soft_wrap=True)

        if not live:
            err.print(f"{what} ...", markup=False)
        yield tell
    err.print(f"{what}: done in {time.perf_counter() - start:.1f} s", markup=False, style="green")


def opened(config: Path, workspace: Path | None) -> ServiceConfig:
    """The configuration, with matplotlib told to keep its font list in the workspace too."""
    loaded = load_config(config, workspace)
    os.environ.setdefault("MPLCONFIGDIR", str(loaded.workspace / "cache"))
    return loaded


def now() -> datetime:
    return datetime.now(UTC)


def chosen_cut(config: ServiceConfig, as_of: str | None) -> datetime:
    """The cut asked for, or the one that is due."""
    from pipelines import steps

    return steps.due_cut(config, now()) if as_of is None else steps.as_of_day(config, day_of(as_of, "--as-of"))


def day_of(text: str, option: str) -> date:
    """The day that an option names; ConfigError where it names none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{option} must be a day such as 2026-01-12; it is not. Give year, month and day."
        raise ConfigError(message) from None
