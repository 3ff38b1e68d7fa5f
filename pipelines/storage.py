"""Faults of disks and databases, told in one sentence: whichever library met them, and without quoting it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import MinusNineError, StorageError

BY_NUMBER = {
    errno.ENOSPC: "there is no room left on its disk",
    errno.EDQUOT: "this user's share of the disk is used up",
    errno.EFBIG: "a file may not grow as large as it must",
    errno.EROFS: "it can only be read",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EIO: "its disk fails",
}
BY_WORDS = {
    "no space left on device": BY_NUMBER[errno.ENOSPC],
    "database or disk is full": BY_NUMBER[errno.ENOSPC],
    "disk quota exceeded": BY_NUMBER[errno.EDQUOT],
    "file too large": BY_NUMBER[errno.EFBIG],
    "read-only file system": BY_NUMBER[errno.EROFS],
    "readonly database": BY_NUMBER[errno.EROFS],
    "permission denied": BY_NUMBER[errno.EACCES],
    "unable to open database file": BY_NUMBER[errno.EACCES],
    "disk i/o error": BY_NUMBER[errno.EIO],
}
"""What libraries that are not Python's say of the same faults."""


@contextmanager
def told_plainly(root: Path) -> Iterator[None]:
    """A fault of the disk inside becomes a StorageError about the workspace `root`; any other goes on as it is."""
    try:
        yield
    except MinusNineError:
        raise
    except Exception as error:
        found = storage_fault(error)
        if found is None:
            raise
        message = (
            f"The workspace {root} must have room and let this user write; {found}. Nothing half-done is shown, and "
            "the lists that stood still stand. Mend that, and run again: it goes on where this run ended."
        )
        raise StorageError(message) from error


def storage_fault(error: BaseException | None) -> str | None:
    """What is wrong with the disk or the folder, if that is what `error` or a cause of it tells of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in BY_NUMBER:
            return BY_NUMBER[error.errno]
        said = str(error).lower()
        for words, meaning in BY_WORDS.items():
            if words in said:
                return meaning
        error = error.__cause__ or error.__context__
    return None
