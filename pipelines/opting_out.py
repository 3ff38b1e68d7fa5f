"""The national data opt-out: a file of NHS numbers, and the people whom it keeps off caseload lists or out of training.

The numbers go no further than this module: whoever works on caseloads is given pseudonyms. That someone has opted out
is not kept: a record holds how many were left out, and the file itself is the only place that says who.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.cohort import NOBODY, OPTED_OUT, OptedOut
from features.errors import ConfigError, SourceError, StaleFeedError
from models.settings import SMALLEST
from pipelines.config import OptOutConfig
from pipelines.service import Service
from pipelines.workspace import pseudonyms

WEIGHTS = range(10, 1, -1)


@dataclass(frozen=True)
class Checked:
    """What a file says. people: whom it leaves out; told: the file in counts and dates, as JSON; note: what the lists
    must say of it, empty where there is nothing to say. All are empty where no file is configured for the use."""

    people: OptedOut = NOBODY
    told: Mapping[str, Any] | None = None
    note: str = ""


def checked(service: Service, as_of: datetime, use: str) -> Checked:
    """Whom the configured file leaves out of `use`, which is one of `config.USES`.

    SourceError where the file cannot be read or holds no NHS number; StaleFeedError where it is too old at `as_of`.
    """
    config = service.config.access.opt_out
    if config.path is None or use not in config.applies:
        return Checked()
    numbers, unreadable = _numbers(config.path)
    told = {
        "holds": config.holds,
        "changed_at": _changed_at(config.path).isoformat(),
        "numbers": len(numbers),
        "unreadable": unreadable,
    }
    return Checked(_people(service, config, numbers), told, _note(config, as_of))


def shown(count: int) -> int | str:
    """A number of people who opted out as it may be told: so few that someone could be recognised are not counted."""
    return count if count == 0 or count >= SMALLEST else f"fewer than {SMALLEST}"


def require_plausible(config: OptOutConfig, left_out: int, considered: int) -> None:
    """ConfigError where so many opted out that the file must hold something else than `holds` says.

    left_out, considered: people whom the file leaves out, and those whom it does not.
    """
    if left_out > config.most_share * (left_out + considered):
        message = (
            f"{OPTED_OUT.capitalize()}s may leave out at most {config.most_share:.0%} of the people on caseloads; "
            f"{config.path} leaves out more. Look whether it holds what access.opt_out.holds says, '{config.holds}', "
            "and is whole."
        )
        raise ConfigError(message)


def _people(service: Service, config: OptOutConfig, numbers: list[str]) -> OptedOut:
    """In a file of those who have not opted out nobody is named who has no NHS number: an opt-out is set against one,
    so they stay."""
    named = pseudonyms([f"nhs:{number}" for number in numbers], service.workspace.key())
    if config.holds == "opted_out":
        return OptedOut(np.unique(np.array(named, np.int64)))
    everyone = service.identities.people()
    without = everyone.loc[everyone["nhs_number"].isna(), "person_id"].to_numpy(np.int64)
    return OptedOut(np.unique(np.concatenate([np.array(named, np.int64), without])), keeps=True)


def _numbers(path: Path) -> tuple[list[str], int]:
    """The NHS numbers in the first cell of each line, and how many lines have something else there, the first line
    apart, which may be a heading."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        message = (
            f"The opt-out file {path} must be readable text; {found}. Deliver it again: without it no list is made."
        )
        raise SourceError(message) from error
    cells = [cell for line in lines if (cell := line.split(",")[0].strip().strip('"').replace(" ", ""))]
    good = [cell for cell in cells if is_nhs_number(cell)]
    if not good:
        message = f"The opt-out file {path} must hold NHS numbers, one a line; it holds none. Deliver it again."
        raise SourceError(message)
    return good, sum(not is_nhs_number(cell) for cell in cells[1:])


def is_nhs_number(text: str) -> bool:
    """Ten digits with the right check digit."""
    if len(text) != 10 or not (text.isascii() and text.isdigit()) or text == "0" * 10:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, text, strict=False))
    return (11 - total % 11) % 11 == int(text[9])


def _changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _note(config: OptOutConfig, as_of: datetime) -> str:
    assert config.path is not None
    days = (as_of - _changed_at(config.path)).days
    if days <= config.stale_after_days:
        return ""
    words = f"The opt-out file is {days} days old, and {config.stale_after_days} is the limit."
    if config.when_stale == "block":
        words = f"{words} Have the opt-outs checked again."
        raise StaleFeedError(words)
    return words
