"""Locks between processes. The system lets go of the lock of a process that dies, so that none is left behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import BusyError


@contextmanager
def alone(path: Path, what: str, *, waits: bool) -> Iterator[None]:
    """Holds the file `path` against everyone else who would do `what`: a second waits, or leaves with BusyError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(handle, path, what, waits)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path, what: str, waits: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = (
            f"Only one {what} may be at work in a workspace; another holds {path}. Nothing was done. Wait until it has "
            "ended, and run again."
        )
        raise BusyError(message) from None
