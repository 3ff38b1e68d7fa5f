"""The exceptions a user may meet. Each message says what must hold, what was found, where, and what to do."""

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class MinusNineError(Exception):
    """Shown to the user as one sentence, without a traceback. `exit_code` is the command line's."""

    exit_code = 1


class ConfigError(MinusNineError):
    """A configuration, mapping or catalogue file does not say something usable."""

    exit_code = 2


class SourceError(MinusNineError):
    """An extract cannot be read at all; the history stays as it was."""

    exit_code = 3


class ContractError(MinusNineError):
    """A table is not the one that was promised to whoever reads it."""

    exit_code = 4


class NotReadyError(MinusNineError):
    """Something that must exist before this step (history, model, enough outcomes) does not."""

    exit_code = 5


class BlockedError(MinusNineError):
    """A gate does not let the day's lists through; the last ones stand, marked as what they are."""

    exit_code = 13


class StaleFeedError(BlockedError):
    """A feed is too old for a list made with it to be trusted."""

    exit_code = 7


class WorkersError(MinusNineError):
    """The processes or the cluster that work is given to do not answer, or were lost before it was done."""

    exit_code = 8


class RefusedError(MinusNineError):
    """A model did not pass the gate; the champion, if there is one, stands."""

    exit_code = 9


class BusyError(MinusNineError):
    """Another run is at work in the workspace; this one did nothing."""

    exit_code = 10


class StorageError(MinusNineError):
    """A disk, a folder or a database cannot be written to; what was visible before still is, and nothing half-done."""

    exit_code = 11


class ReplayError(MinusNineError):
    """What was published cannot be made again, or comes out otherwise."""

    exit_code = 12


class RemoteError(Exception):
    """A fault in another process that has no sentence of its own. Its text is the original's `place_of`."""


def place_of(error: Exception) -> str:
    """What failed and where, without quoting the error: it may quote a cell."""
    if isinstance(error, RemoteError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause naming the known word most like `word`, or all of them where none is alike."""
    options = sorted(known)
    close = get_close_matches(word, options, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(options)}"
