"""Several folders and files of a workspace replaced at once: made aside, and then switched whole or not at all.

What is to come lies under `.staged/new`, by the path that it will have. Once it is marked as ready the switch goes
forward only: whoever opens the workspace next completes what a process that was killed had begun.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.locks import alone

STAGED, NEW, READY, GONE = ".staged", "new", "ready", ".replaced"


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """A folder in which to put what is to come; when all of it is there, and nothing failed, it is switched to."""
    complete(root)
    shutil.rmtree(root / STAGED, ignore_errors=True)
    aside = root / STAGED / NEW
    aside.mkdir(parents=True, mode=0o700)
    yield aside
    os.sync()
    (root / STAGED / READY).touch(mode=0o600)
    _settle(root / STAGED)
    complete(root)


def complete(root: Path) -> None:
    """End a switch that has begun; nothing is done where none has."""
    if (root / STAGED / READY).exists():
        with alone(root / ".staged.lock", "switch", waits=True):
            _complete(root)
    elif (root / GONE).exists():
        shutil.rmtree(root / GONE, ignore_errors=True)


def _complete(root: Path) -> None:
    aside = root / STAGED
    if not (aside / READY).exists():
        return
    for path in sorted((aside / NEW).iterdir()):
        _put(path, root / path.name, aside / "old")
    _settle(root)
    shutil.rmtree(root / GONE, ignore_errors=True)
    aside.rename(root / GONE)
    shutil.rmtree(root / GONE, ignore_errors=True)


def _put(path: Path, target: Path, old: Path) -> None:
    """A folder in the place of the one of its name, or, into one whose name ends in '+', what it holds file by file."""
    if path.name.endswith("+"):
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            file.replace(target.with_name(path.name.removesuffix("+")) / file.relative_to(path))
        return
    if target.exists():
        old.mkdir(exist_ok=True, mode=0o700)
        target.rename(old / path.name)
    path.rename(target)


def _settle(folder: Path) -> None:
    """What was renamed or made in a folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
