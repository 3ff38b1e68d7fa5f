"""What a list says of each person beside rank, risk and reasons, as columns of the ranking; and who left each list."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from features.cohort import NO_ACTIVITY
from features.frames import rows_of
from features.windows import HORIZON_DAYS
from models.ranking import FALLING, last_lists
from models.sections import not_shown, sections
from pipelines.beside import Beside, moved
from pipelines.config import ListsConfig
from pipelines.grouping import teams_on
from pipelines.happenings import ATTENDANCE, CONTACT, HELD, MARKED, PLANNED, REFERRAL, STAY, unended

MORNINGS = [f"risk_{days}d" for days in range(1, HORIZON_DAYS + 1)]
TEXTS = ["marks", "moved", "in_hands", "held_by", "elsewhere_team", "elsewhere_by"]
TIMES = ["elsewhere_at", "next_planned"]
NUMBERS = ["home_days", "referred_days"]
COLUMNS = [*MORNINGS, *TEXTS, *TIMES, *NUMBERS, "section"]
"""What `told` adds to a ranking."""
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class _Ask:
    """What is the same for every row."""

    lists: ListsConfig
    as_of: datetime
    zone: ZoneInfo

    @cached_property
    def today(self) -> date:
        return self.as_of.astimezone(self.zone).date()

    def name(self, team_id: str) -> str:
        return self.lists.team_names.get(team_id, team_id)


def told(ranked: pd.DataFrame, found: Beside, lists: ListsConfig, as_of: datetime, zone: str) -> pd.DataFrame:
    """`ranked` with `COLUMNS`: for those listed, null or empty for others (section apart).

    risk_1d .. risk_9d: the risk on the mornings before, null where on no caseload. marks: what happened when, as
    `seen:9,2 no_access:1`, in calendar days before the cut. moved: what moved the score since the morning before, in
    words. in_hands: with whom someone is seen to, by the configuration's words. held_by: the teams of a shared list.
    elsewhere_*: the last contact by a team that is not the list's. next_planned: the next contact planned. home_days,
    referred_days: since the last discharge from hospital, and since the last referral to this list.
    """
    ask = _Ask(lists, as_of, ZoneInfo(zone))
    listed = ranked[ranked["listed"].astype(bool)]
    happened = _by_person(_of_use(found.happened, as_of), listed)
    rows = [_row(str(team), happened.get(person, []), ask) for team, person in _pairs(listed)]
    frame = pd.DataFrame(rows, columns=[*TEXTS, *TIMES, *NUMBERS], index=listed.index)
    frame[TIMES] = frame[TIMES].apply(lambda moments: pd.to_datetime(moments, utc=True))
    frame["moved"] = listed["person_id"].map(moved(found.pulled)).fillna("")
    mornings = found.mornings.pivot_table(index="person_id", columns="days_before", values="risk")
    mornings = mornings.reindex(columns=range(1, HORIZON_DAYS + 1)).set_axis(MORNINGS, axis=1)
    wide = ranked.join(frame).join(mornings, on="person_id")
    wide = wide.assign(**wide[TEXTS].fillna(""))
    times = dict.fromkeys(TIMES, "datetime64[us, UTC]")
    wide = wide.astype(times | dict.fromkeys([*NUMBERS, *MORNINGS], "float64"))
    return wide.assign(section=sections(wide, lists.sections))


def _pairs(rows: pd.DataFrame) -> Iterable[tuple[Any, Any]]:
    return zip(rows["team_id"], rows["person_id"], strict=True)


def _of_use(happened: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """What `_row` can tell of: stays and referrals; of contacts and attendances those of the days that are marked (with
    a day to spare, since clocks change) and those ahead; and the last contact that was held with each person."""
    lasting, contact = happened["kind"].isin([STAY, REFERRAL]), happened["kind"].eq(CONTACT)
    lately = happened["happened_at"] >= as_of - timedelta(days=HORIZON_DAYS + 2)
    held = happened.loc[contact & happened["what"].eq(HELD), "person_id"].drop_duplicates(keep="last")
    marked = (contact | happened["kind"].eq(ATTENDANCE)) & lately
    return happened[lasting | marked | happened.index.isin(held.index)]


def _by_person(happened: pd.DataFrame, people: pd.DataFrame) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows_of(happened[happened["person_id"].isin(people["person_id"])]):
        found[row["person_id"]].append(row)
    return found


def _row(list_id: str, happened: list[Row], ask: _Ask) -> dict[str, Any]:
    still = [one for one in happened if one["kind"] == REFERRAL and unended(one) and one["team_id"]]
    shared = teams_on(list_id, (one["team_id"] for one in still), ask.lists)
    mine = [one for one in still if one["team_id"] in (shared or [list_id])]
    discharged = [one["ended_at"] for one in happened if one["kind"] == STAY and not unended(one)]
    return {
        "marks": _marks(happened, ask),
        "in_hands": "; ".join(_hands(list_id, still, ask.lists)),
        "held_by": "; ".join(ask.name(team) for team in shared),
        "home_days": _days_since(discharged, ask),
        "referred_days": _days_since([one["happened_at"] for one in mine], ask),
        **_contacts(set(shared) or {list_id}, happened, ask),
    }


def _days_since(moments: list[datetime], ask: _Ask) -> float:
    return (ask.as_of - max(moments)).total_seconds() / 86_400 if moments else float("nan")


def _hands(list_id: str, still: list[Row], lists: ListsConfig) -> list[str]:
    """Words of the configuration for who else has taken the person on; a team need not be told of itself."""
    others = [one for one in still if one["team_id"] != list_id]
    return [
        words for words, known in lists.in_hands.items() if any({o["what"], o["team_id"]} & set(known) for o in others)
    ]


def _contacts(mine: set[str], happened: list[Row], ask: _Ask) -> dict[str, Any]:
    contacts = [one for one in happened if one["kind"] == CONTACT]
    ahead = [one["happened_at"] for one in contacts if one["happened_at"] >= ask.as_of]
    held = [one for one in contacts if one["what"] == HELD]
    theirs = [one for one in held if one["team_id"] not in mine and one["team_id"]]
    last: Row | None = theirs[-1] if theirs and theirs[-1] is held[-1] else None
    return {
        "next_planned": min(ahead, default=pd.NaT),
        "elsewhere_at": last["happened_at"] if last else pd.NaT,
        "elsewhere_team": ask.name(last["team_id"]) if last else "",
        "elsewhere_by": last["medium"] if last and last["medium"] else "",
    }


def _marks(happened: list[Row], ask: _Ask) -> str:
    """`kind:days` for each kind that happened on one of the last ten calendar days, today among them."""
    days: dict[str, set[int]] = defaultdict(set)
    for one in happened:
        for kind, moment in _marked(one):
            days[kind].add(_days_ago(moment, ask))
        if one["kind"] == STAY:
            first = min(_days_ago(one["happened_at"], ask), HORIZON_DAYS)
            last = 0 if unended(one) else _days_ago(one["ended_at"], ask)
            days["in_hospital"] |= set(range(last, first + 1))
    recent = {kind: sorted((d for d in found if 0 <= d <= HORIZON_DAYS), reverse=True) for kind, found in days.items()}
    return " ".join(f"{kind}:{','.join(map(str, found))}" for kind, found in sorted(recent.items()) if found)


def _marked(one: Row) -> list[tuple[str, datetime]]:
    at = one["happened_at"]
    if one["kind"] == CONTACT:
        word = MARKED.get(one["what"], "")
        return [(word, at)] if word else []
    if one["kind"] == ATTENDANCE:
        return [("attended", at)]
    return [("planned_stay" if one["what"] == PLANNED else "admitted", at)] if one["kind"] == STAY else []


def _days_ago(moment: datetime, ask: _Ask) -> int:
    return (ask.today - moment.astimezone(ask.zone).date()).days


def gone(ranked: pd.DataFrame, previous: pd.DataFrame | None) -> pd.DataFrame:
    """team_id, person_id, previous_risk (null where another model stood): who was on a list's last edition and is not
    on today's. ranked: of today, with model_version."""
    last = last_lists(ranked, previous)
    last = last[last["was_listed"].eq(True)]
    today = ranked.loc[~not_shown(ranked), ["team_id", "person_id"]].assign(today=True)
    still = last.merge(today, on=["team_id", "person_id"], how="left")["today"].eq(True).to_numpy()
    left = last[~still].reset_index(drop=True)
    same = left["was_model"].isna() | left["was_model"].isin(ranked["model_version"].unique())
    return left.assign(previous_risk=left["previous_risk"].where(same))[["team_id", "person_id", "previous_risk"]]


def leaving(ranked: pd.DataFrame, gone: pd.DataFrame, found: Beside, lists: ListsConfig) -> pd.DataFrame:
    """team_id, person_id, why, at, rank, risk, previous_risk of those of `gone` of whom it is known why they left.

    why: risk_fell or others_higher (then with today's rank and risk), in_hospital, died, referral_closed, other_list or
    no_recent_activity; at: since when, null where it is no moment. Who was left out for another reason is not shown.
    """
    now = ranked[["team_id", "person_id", "rank", "risk"]]
    rows = gone.merge(now, on=["team_id", "person_id"], how="left").merge(found.deaths, on="person_id", how="left")
    reasons = {(row.team_id, row.person_id): str(row.reason) for row in found.left.itertuples()}
    others = set(found.left["person_id"].tolist())
    happened = _by_person(found.happened[found.happened["kind"].isin([STAY, REFERRAL])], gone)
    told = [
        _why(row, reasons.get((row["team_id"], row["person_id"])), happened.get(row["person_id"], []), others, lists)
        for row in rows.to_dict("records")
    ]
    when = pd.Series([at for _, at in told], index=rows.index, dtype="datetime64[us, UTC]")
    rows = rows.assign(why=pd.Series([why for why, _ in told], index=rows.index, dtype=object), at=when)
    shown = rows[rows["why"].ne("") & ~rows["person_id"].isin(found.merged)]
    return shown.sort_values(["team_id", "person_id"], ignore_index=True)


def _why(
    row: Row, reason: str | None, happened: list[Row], others: set[int], lists: ListsConfig
) -> tuple[str, datetime | None]:
    if row["rank"] >= 1:
        return ("risk_fell" if row["risk"] <= FALLING * row["previous_risk"] else "others_higher"), None
    died = [moment for moment in [row["died_at"]] if bool(pd.notna(moment))]
    inside = [one["happened_at"] for one in happened if one["kind"] == STAY and unended(one)]
    if died or inside:
        return ("died", died[0]) if died else ("in_hospital", max(inside))
    if reason is not None:
        return ("no_recent_activity" if reason == NO_ACTIVITY else ""), None
    if row["person_id"] in others and lists.group_by == "practice":
        return "other_list", None
    ended = [one for one in happened if one["kind"] == REFERRAL and not unended(one)]
    mine = lists.groups.get(str(row["team_id"]), (row["team_id"],)) if lists.group_by == "team" else ()
    return "referral_closed", max(
        (one["ended_at"] for one in ended if not mine or one["team_id"] in mine), default=None
    )
