"""What came of everyone who was ranked on the mornings whose lists stand, as far as it is known at a moment."""

from datetime import UTC, datetime

import pandas as pd

from features.labels import label
from features.table import KEYS
from pipelines.building import matured_outcomes
from pipelines.runs import published
from pipelines.service import Service

RANKED = [*KEYS, "team_id", "risk", "listed", "model_version"]


def ranked_days(service: Service, at: datetime, since: datetime | None = None) -> pd.DataFrame:
    """`RANKED`, day (ISO, local), label, admitted_at and state of everyone ranked on the mornings from `since` on."""
    first = since or datetime.min.replace(tzinfo=UTC)
    runs = [run for run in published(service.workspace) if first <= datetime.fromisoformat(run.told["as_of"]) <= at]
    chosen = [run.ranked()[RANKED].assign(day=run.day) for run in runs]
    if not chosen:
        return pd.DataFrame(columns=[*RANKED, "day", "label", "admitted_at", "state"])
    rows = pd.concat(chosen, ignore_index=True)
    known = matured_outcomes(service.history, service.config, at)
    labels = label(
        rows[list(KEYS)].drop_duplicates(ignore_index=True),
        known.spells,
        known.deaths,
        known.merges,
        matured_at=at,
        lag_days=known.lag_days,
        zone=service.config.zone,
    )
    return rows.merge(labels[[*KEYS, "label", "admitted_at", "state"]], on=list(KEYS))


def shown_people(service: Service, at: datetime) -> pd.DataFrame:
    """person_id, as_of of everyone on any list up to a moment, whichever version of it stands: by the exposure log and,
    for what was pruned from it, by the rankings."""
    logged = service.exposures.listed()[list(KEYS)]
    ranked = [run.ranked() for run in published(service.workspace)]
    listed = [frame.loc[frame["listed"].astype(bool), list(KEYS)] for frame in ranked]
    rows = pd.concat([logged, *listed], ignore_index=True).drop_duplicates(ignore_index=True)
    moments = pd.to_datetime(rows["as_of"], utc=True).astype("datetime64[us, UTC]")
    return rows.assign(person_id=rows["person_id"].astype("int64"), as_of=moments)[moments <= pd.Timestamp(at)]
