"""What can happen to a daily run, done to one in another process: a kill at a chosen place, a full disk, no rights."""

import ctypes
import importlib
import json
import os
import resource
import signal
import time
from datetime import datetime
from functools import cache, partial
from itertools import count
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

from features.errors import MinusNineError
from pipelines import steps
from pipelines.config import ServiceConfig

FORKS = get_context("forkserver")
IMPORTED = ["mishaps", "pipelines.tracking", "pipelines.exposure", "pipelines.origins", "lightgbm"]


def in_another_process(mishap: Any, config: ServiceConfig, as_of: datetime, told: Path | None = None) -> Any:
    """A process in which the daily run meets `mishap`, called first. told: where it writes what came of it."""
    _made_ready()
    process = FORKS.Process(target=_run, args=(mishap, config, as_of, told))
    process.start()
    return process


@cache
def _made_ready() -> None:
    """What processes are copies of has imported all that a run does; where another was at work before, it ends."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    FORKS.set_forkserver_preload(IMPORTED)


def ended(process: Any) -> int:
    """The exit code: of one that was killed, the signal's number below zero."""
    process.join(120)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    assert code is not None, "a run must end"
    return int(code)


def _run(mishap: Any, config: ServiceConfig, as_of: datetime, told: Path | None) -> None:
    mishap()
    try:
        day = steps.daily(config, as_of, as_of, lambda _said: None)
        answer = {"changed": day.published.changed, "digest": day.published.digest}
    except MinusNineError as error:
        answer = {"error": type(error).__name__, "says": str(error)}
    if told is not None:
        told.write_text(json.dumps(answer))


def rotation_killed_at(boundary: tuple[str, str, int], config: ServiceConfig, now: datetime) -> Any:
    """A mishap to a rotation of the key, in place of the daily run."""
    return partial(_rotate, boundary, config, now)


def _rotate(boundary: tuple[str, str, int], config: ServiceConfig, now: datetime) -> None:
    _lay_trap(*boundary)
    steps.rotate_key(config, None, now, lambda _said: None)


def nothing() -> None:
    """No mishap."""


def killed_at(place: str, when: str, call: int = 1) -> Any:
    """A mishap: the process is killed before, or after, that call of the function at `place` (module:name)."""
    return partial(_lay_trap, place, when, call)


def _lay_trap(place: str, when: str, call: int) -> None:
    module, path = place.split(":")
    owner: Any = importlib.import_module(module)
    *within, name = path.split(".")
    for part in within:
        owner = getattr(owner, part)
    real, calls = getattr(owner, name), count(1)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == call  # by its own number, since several threads may call it
        if when == "before" and mine:
            _kill()
        answer = real(*args, **kwargs)
        if when == "after" and mine:
            _kill()
        return answer

    setattr(owner, name, trapped)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def killed_after(seconds: float) -> Any:
    """A mishap: the process is killed after so long, wherever it is."""
    return partial(_set_alarm, seconds)


def _set_alarm(seconds: float) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def no_file_larger_than(size: int) -> Any:
    """A mishap: as on a full disk, no file can be written beyond so many bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def without_rights() -> None:
    """A mishap: whoever runs this may do no more than the modes of files and folders let their owner do."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) == 0
