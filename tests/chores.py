"""Work that tests give to other processes, which import it by name."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from features.errors import NotReadyError
from pipelines.mapping import attempt


def doubled(item: int) -> int:
    return 2 * item


def not_ready(_item: int) -> None:
    message = "Something must be there; it is not."
    raise NotReadyError(message)


def quotes_a_cell(item: str) -> None:
    message = f"cannot read {item}"
    raise ValueError(message)


def dies_once(flag: Path, work: Callable[[Any], Any], item: Any) -> Any:
    """Whoever comes first is killed in the middle of it."""
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return work(item)
    return dies(item)


def attempt_dying_once(expected: dict[str, str], payload: bytes, item: Any) -> Any:
    """As `mapping.attempt`; but whoever comes first is killed. The flag lies where the worker does."""
    return dies_once(Path("flow-died"), partial(attempt, expected, payload), item)


def dies(_item: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
