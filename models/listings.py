"""Who would have been listed: every model's and rule's list for each team and cut, with what came of each place."""

import numpy as np
import pandas as pd

from features.errors import ContractError
from features.table import KEYS
from models import metrics
from models.ranking import Capacities, tie_order

SETTLED = ("usable", "already_admitted")


def scored_rows(
    scores: pd.DataFrame, labels: pd.DataFrame, comparators: pd.DataFrame | None, lead: str, key: bytes
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Scored rows in key order with their outcome, and the column that holds each model's score, the lead's first.

    ContractError where a model or rule leaves a row without a score.
    """
    keys = list(KEYS)
    rows = scores[[*keys, "score", "risk"]].rename(columns={"score": "score_0"})
    names = {lead: "score_0"}
    if comparators is not None:
        names |= {name: f"score_{i}" for i, name in enumerate(comparators.columns.drop(keys), start=1)}
        rows = rows.merge(comparators.rename(columns=names), on=keys, how="left", validate="1:1")
    if rows[list(names.values())].isna().any(axis=None):
        message = "Every model and rule must score the same rows; some rows have no score. Score them all."
        raise ContractError(message)
    outcome = labels if "died" in labels.columns else labels.assign(died=False)
    rows = rows.merge(outcome[[*keys, "label", "admitted_at", "state", "died"]], on=keys, how="left", validate="1:1")
    rows["state"] = rows["state"].astype(object).where(rows["state"].notna(), "unlabelled")
    rows = rows.sort_values(["as_of", "person_id"], ignore_index=True)
    return rows.assign(tie=tie_order(rows, key)), names


def settled_places(
    rows: pd.DataFrame, memberships: pd.DataFrame, names: dict[str, str], capacities: Capacities
) -> pd.DataFrame:
    """One row a team and person and cut whose outcome is known: the person's row, `group` (the list's number) and for
    each model whether the list holds them; `listed` is the lead's.

    Everyone competes for a place, settled or not. The label is 1 for a hit, and an admission found to be past is none.
    """
    places = memberships[[*KEYS, "team_id"]].merge(rows, on=list(KEYS), how="inner")
    places = places.sort_values(["as_of", "team_id", "person_id"], ignore_index=True)
    grouped = places.groupby(["as_of", "team_id"], sort=False)
    group = grouped.ngroup().to_numpy()
    sizes = grouped.size().reset_index(name="n")
    room = np.array([capacities.of(t, n) for t, n in zip(sizes["team_id"], sizes["n"], strict=True)], dtype=np.int64)
    lists = {
        listed(model): metrics.top_of_groups(group, places[column], places["tie"], room[group])
        for model, column in names.items()
    }
    places = places.assign(group=group, **lists, listed=next(iter(lists.values())))
    places = places[places["state"].isin(SETTLED)]
    return places.assign(label=((places["label"] == 1) & (places["state"] == "usable")).astype(np.int64))


def listed(model: str) -> str:
    """The column that says whom the model lists."""
    return f"listed: {model}"


def overlap(places: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """model, share: of the lead's places, those whose holder is on that model's list of the same team and cut too."""
    mine = places[places["listed"]]
    shares = [(model, float(mine[listed(model)].mean())) for model in names]
    return pd.DataFrame(shares, columns=["model", "share"])


def admissions(rows: pd.DataFrame) -> int:
    """Distinct admissions among the positive rows."""
    return len(rows.loc[rows["label"] == 1, ["person_id", "admitted_at"]].drop_duplicates())
