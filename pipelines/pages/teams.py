"""Teams as the pages show them, and the folder each team's list is published in."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.pages import words

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
EXCLUDED = "excluded_"


@dataclass(frozen=True)
class Team:
    """One team. `caseload` is the people considered, `capacity` the most it can be shown in a day; `excluded` counts
    people on the caseload who were not considered, by reason; `members` names the teams of a shared list. begins: the
    day from which it is shown its lists, where that is still to come."""

    team_id: str
    name: str
    caseload: int
    capacity: int
    excluded: tuple[tuple[str, int], ...]
    members: tuple[str, ...] = ()
    begins: str = ""

    @property
    def slug(self) -> str:
        return slug(self.team_id)


def slug(team_id: str) -> str:
    """A folder name for any identifier: itself where it is plain, else what is plain of it and a hash.

    Distinct identifiers get distinct names: a plain one has no '~', and every other carries its own hash.
    """
    if PLAIN.fullmatch(team_id):
        return team_id
    stem = re.sub(r"[^A-Za-z0-9]+", "-", team_id).strip("-")[:32] or "team"
    return f"{stem}~{hashlib.sha256(team_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def team_views(teams: pd.DataFrame) -> tuple[Team, ...]:
    """The teams in order of name; columns `excluded_<reason>` become the counts by reason."""
    views = (_view(row) for row in teams.to_dict("records"))
    return tuple(sorted(views, key=lambda team: (team.name.casefold(), team.team_id)))


def _view(row: Mapping[Any, Any]) -> Team:
    excluded = tuple(
        (words.label(column.removeprefix(EXCLUDED)), int(value))
        for column, value in row.items()
        if column.startswith(EXCLUDED) and not pd.isna(value)
    )
    name = str(row["name"]).strip() if not pd.isna(row["name"]) else ""
    members = tuple(row["members"]) if "members" in row else ()
    begins = "" if pd.isna(row.get("begins")) else words.plain_date(row["begins"])
    counts = int(row["caseload"]), int(row["capacity"])
    return Team(str(row["team_id"]), name or str(row["team_id"]), *counts, excluded, members, begins)
