"""What came of each team's lists, once it can be known: written aside for the leads' page, since it takes a while."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.labels import label
from pipelines import runs
from pipelines.board.answers import KINDS
from pipelines.building import matured_outcomes
from pipelines.service import Service
from pipelines.workspace import write_private

NAME = "outcomes.json"
LOOKED_BACK = 60
"""Days of lists that are looked back at."""


@dataclass(frozen=True)
class Outcome:
    """What came of one team's lists from `first` to `last`, whose nine days, and the admission lag, are over.

    places, people: on the lists, and on the caseload in all. admissions: emergency admissions of the caseload within
    nine days of a list; caught: those of them whose person was listed in the nine days before; answered: those that had
    been answered about then, by kind in `after`. notice: for each caught one, days from the first such list.
    """

    first: str
    last: str
    places: int
    people: int
    admissions: int
    caught: int
    answered: int
    after: Mapping[str, int]
    notice: Sequence[float]


def work_out(service: Service, answers: pd.DataFrame, now: datetime) -> dict[str, Outcome]:
    """For each team what came of its lists of the last `LOOKED_BACK` days, as known at `now`.

    answers: as `answers.given_before` gives them.
    """
    since = now - timedelta(days=LOOKED_BACK)
    made = [run for run in runs.published(service.workspace) if datetime.fromisoformat(run.told["as_of"]) >= since]
    if not made:
        return {}
    ranked = pd.concat([run.ranked() for run in made], ignore_index=True)
    known = matured_outcomes(service.history, service.config, now)
    index = ranked[["person_id", "as_of"]].drop_duplicates()
    labels = label(
        index,
        known.spells,
        known.deaths,
        known.merges,
        matured_at=now,
        lag_days=known.lag_days,
        zone=service.config.zone,
    )
    settled = ranked.merge(labels[labels["state"] == "usable"], on=["person_id", "as_of"], validate="many_to_one")
    return {str(team): outcome(rows, answers) for team, rows in settled.groupby("team_id")}


def outcome(rows: pd.DataFrame, answers: pd.DataFrame) -> Outcome:
    """rows: of one team, with team_id, person_id, as_of, listed, label and admitted_at."""
    listed = rows[rows["listed"].astype(bool)]
    admitted = ["person_id", "admitted_at"]
    hits = listed[listed["label"] == 1]
    first = hits.groupby(admitted, as_index=False)["as_of"].min()
    about = answers[answers["team_id"].isin(rows["team_id"])][["person_id", "as_of", "kind"]]
    answered = hits.merge(about, on=["person_id", "as_of"])
    kinds = answered.drop_duplicates([*admitted, "kind"])["kind"].value_counts()
    days = rows["as_of"].sort_values()
    return Outcome(
        first=days.iloc[0].date().isoformat(),
        last=days.iloc[-1].date().isoformat(),
        places=len(listed),
        people=int(rows["person_id"].nunique()),
        admissions=len(rows.loc[rows["label"] == 1, admitted].drop_duplicates()),
        caught=len(first),
        answered=len(answered[admitted].drop_duplicates()),
        after={kind: int(kinds.get(kind, 0)) for kind in KINDS},
        notice=[round(days, 2) for days in (first["admitted_at"] - first["as_of"]).dt.total_seconds() / 86_400],
    )


def keep(folder: Path, found: Mapping[str, Outcome], now: datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {"at": now.isoformat(), "teams": {team: asdict(one) for team, one in sorted(found.items())}}
    write_private(folder / NAME, json.dumps(told).encode())


def kept(folder: Path) -> tuple[datetime, dict[str, Outcome]] | None:
    """When it was last worked out, and what came of each team's lists; None where it never was."""
    path = folder / NAME
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_bytes())
    return datetime.fromisoformat(told["at"]), {team: Outcome(**one) for team, one in told["teams"].items()}
