"""From scores to a list for each team: who, in which order, how many, and what changed since the last list."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ContractError
from features.table import KEYS
from models import roll_out as rolling
from models.roll_out import RollOut

RISING, FALLING = 1.25, 0.8
RUN_GAP_DAYS = 3
"""A list older than this is not compared with: nobody saw the list in between, so nothing ran on."""
EXACT_ODDS = 20
ROUND_ODDS = (20, 25, 30, 40, 50, 75, 100, 150, 200)
COLUMNS = [
    "team_id",
    "person_id",
    "as_of",
    "rank",
    "score",
    "risk",
    "listed",
    "change",
    "previous_risk",
    "days_on_list",
    "also_with",
    "days_on_caseload",
    "last_seen",
    "last_seen_by",
]


def capacity(n: int, share: float = 0.05, least: int = 5, fixed: int | None = None) -> int:
    """How many of `n` people a team can look at in a day: `fixed`, else `share` of them but `least` at least."""
    wanted = fixed if fixed is not None else max(least, int(share * n + 0.5))
    return min(n, wanted)


@dataclass(frozen=True)
class Capacities:
    """Each team's capacity: a number of its own in `fixed`, else a share of its caseload."""

    share: float = 0.05
    least: int = 5
    fixed: Mapping[str, int] = field(default_factory=dict)

    def of(self, team_id: str, n: int) -> int:
        return capacity(n, self.share, self.least, self.fixed.get(team_id))


def tie_order(rows: pd.DataFrame, key: bytes) -> npt.NDArray[np.uint64]:
    """What orders equal scores: the first 8 bytes of HMAC-SHA256(key, person_id and as_of), least first.

    Nobody's place among equals follows from their identifier, and a re-run gives the same order.
    """
    people = rows["person_id"].to_numpy(np.int64)
    moments = rows["as_of"].dt.as_unit("us").astype("int64").to_numpy()
    messages = np.column_stack([people, moments]).astype(">i8").tobytes()
    digests = (hmac.digest(key, messages[i : i + 16], "sha256")[:8] for i in range(0, len(messages), 16))
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def rank(
    scores: pd.DataFrame,
    memberships: pd.DataFrame,
    *,
    key: bytes,
    capacities: Capacities,
    previous: pd.DataFrame | None = None,
    model_version: str | None = None,
    roll_out: RollOut | None = None,
    as_published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Everyone on every team's caseload in the team's order, whatever the order of the rows given.

    scores: person_id, as_of, score, risk, for one cut. memberships: the caseload. previous: earlier answers of this
    function, of which each team's last before this cut counts, if made at most `RUN_GAP_DAYS` days before. Columns of
    the answer are `COLUMNS`, and model_version if it is given: rank is 1 .. n within the team and `listed` says that
    the rank is within its capacity; `change` is 'new' for someone not ranked for that list (`previous_risk` is then
    NaN), or listed now but not on it; otherwise 'rising' or 'falling' where the risk is at least 1.25 or at most 0.8
    times the last one, else 'steady'. Two models' risks are not compared: where `previous` names another model_version,
    `previous_risk` is NaN and who is not new is 'steady'. `days_on_list` counts the days of the present run, 0 if not
    listed; `also_with` names the other teams that hold the person.
    With a roll_out `listed` says who is shown by it, and `roll_out.COLUMNS` are added. as_published: an answer of this
    function under another key; what a key decides and nothing else, the order of equals and lots, is taken from it.
    ContractError where the cut is not one, or someone on a caseload has no score.
    """
    rows = _scored(scores, memberships)
    rows["tie"] = _ties(rows, key) if as_published is None else _told(rows, as_published)["rank"]
    rows = rows.sort_values(["team_id", "score", "tie"], ascending=[True, False, True], ignore_index=True)
    team = rows.groupby("team_id", sort=False)
    rows["rank"] = team.cumcount() + 1
    capacity_of = {name: capacities.of(str(name), size) for name, size in team.size().items()}
    places = rows["team_id"].map(capacity_of).astype(np.int64)
    rows["listed"] = rows["rank"] <= places
    if roll_out is not None:
        lot = rolling.lots(rows, roll_out, key) if as_published is None else ~_told(rows, as_published)["listed"]
        rows = rolling.shown(rows, places, roll_out, lot)
    rows["also_with"] = _other_teams(rows)
    columns = COLUMNS if roll_out is None else [*COLUMNS, *rolling.COLUMNS]
    answer = _compared(rows, previous, model_version)[columns]
    return answer if model_version is None else answer.assign(model_version=model_version)


def _ties(rows: pd.DataFrame, key: bytes) -> pd.Series:
    """`tie_order` of those who have an equal on their list; 0 of the others, whose place it does not decide."""
    equals = rows.duplicated(["team_id", "score"], keep=False)
    return pd.Series(tie_order(rows[equals], key), rows.index[equals]).reindex(rows.index, fill_value=np.uint64(0))


def _scored(scores: pd.DataFrame, memberships: pd.DataFrame) -> pd.DataFrame:
    keys = list(KEYS)
    cuts = pd.concat([scores["as_of"], memberships["as_of"]]).nunique()
    if cuts > 1:
        message = f"A list must be made for one cut; found {cuts}. Rank each as_of on its own."
        raise ContractError(message)
    if scores.duplicated(keys).any() or memberships.duplicated([*keys, "team_id"]).any():
        message = "Scores and caseloads must name a person once a cut and team; found duplicates. Rebuild them."
        raise ContractError(message)
    rows = memberships.merge(scores[[*keys, "score", "risk"]], on=keys, how="left")
    lost = int((rows["score"].isna() | rows["risk"].isna() | rows["team_id"].isna()).sum())
    if lost:
        message = (
            f"Everyone on a caseload must have a team and a score; {lost} of {len(rows)} rows have not. "
            "Build the feature table from the same caseload."
        )
        raise ContractError(message)
    return rows


def _told(rows: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The rank of each row in an earlier answer, and whether it was listed there; of who was not in it neither."""
    keys = ["team_id", "person_id"]
    found = rows[keys].merge(published[[*keys, "rank", "listed"]], on=keys, how="left")
    return found.assign(listed=found["listed"].eq(True)).set_index(rows.index)


def _other_teams(rows: pd.DataFrame) -> pd.Series:
    """Looked for among those whom several teams hold, which few people are."""
    several = rows.loc[rows["person_id"].duplicated(keep=False), ["person_id", "team_id"]]
    held = {person: sorted(teams) for person, teams in several.groupby("person_id")["team_id"]}
    pairs = zip(several["person_id"], several["team_id"], strict=True)
    others = [", ".join(team for team in held[person] if team != own) for person, own in pairs]
    return pd.Series(others, index=several.index, dtype="str").reindex(rows.index, fill_value="")


def _compared(rows: pd.DataFrame, previous: pd.DataFrame | None, model_version: str | None) -> pd.DataFrame:
    """`rows` with what changed since each team's last list."""
    last = last_lists(rows, previous)
    rows = rows.merge(last, on=["team_id", "person_id"], how="left")
    was_listed = rows["was_listed"].eq(True)
    new = rows["was_at"].isna() | (rows["listed"] & ~was_listed)
    if model_version is not None:
        same = rows["was_model"].isna() | (rows["was_model"] == model_version)
        rows["previous_risk"] = rows["previous_risk"].where(same)
    ratio = rows["risk"] / rows["previous_risk"].where(rows["previous_risk"] > 0)
    rows["change"] = np.select([new, ratio >= RISING, ratio <= FALLING], ["new", "rising", "falling"], "steady")
    passed = _days(rows["as_of"] - rows["was_at"])
    run = np.where(was_listed, rows["was_days"].fillna(0) + np.maximum(passed.round(), 1), 1)
    rows["days_on_list"] = np.where(rows["listed"], run, 0).astype(np.int64)
    return rows


def last_lists(rows: pd.DataFrame, previous: pd.DataFrame | None) -> pd.DataFrame:
    """team_id, person_id, previous_risk, was_listed, was_days, was_at, was_model (null where not told): each team's
    last list before this cut, unless it is too old to be compared with."""
    names = {"risk": "previous_risk", "listed": "was_listed", "days_on_list": "was_days", "as_of": "was_at"}
    names |= {"model_version": "was_model"}
    given = rows.iloc[:0].assign(days_on_list=0) if previous is None or rows.empty else previous
    if "model_version" not in given.columns:
        given = given.assign(model_version=None)
    if not rows.empty:
        passed = _days(rows["as_of"].iloc[0] - given["as_of"])
        given = given[(passed > 0) & (passed.round() <= RUN_GAP_DAYS)]
    given = given[given["as_of"] == given.groupby("team_id")["as_of"].transform("max")]
    return given[["team_id", "person_id", *names]].rename(columns=names)


def _days(passed: pd.Series) -> pd.Series:
    """Days of 24 hours; rounded they are calendar days, since a clock change moves a list by an hour."""
    days: pd.Series = passed.dt.total_seconds() / 86_400
    return days


def in_words(p: float) -> str:
    """A risk (0-1) as a nurse would say it: "about 1 in 8". Exact to 1 in 20, then in round steps."""
    if not 0 <= p <= 1:
        message = "A risk must lie between 0 and 1; found another number. Score with a calibrated model."
        raise ContractError(message)
    if p > 0.5:
        return "more likely than not"
    if p < 1 / ROUND_ODDS[-1]:
        return f"less than 1 in {ROUND_ODDS[-1]}"
    odds = 1 / p
    told = round(odds) if odds <= EXACT_ODDS else min(ROUND_ODDS, key=lambda step: abs(step - odds))
    return f"about 1 in {told}"
