"""The daily step: score every caseload at a cut, rank and explain; and mark older lists where that fails."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from features.cohort import ON_CASELOAD, OPTED_OUT, OptedOut
from models.bundle import Bundle, load
from models.explanation import reasons
from models.ranking import RUN_GAP_DAYS, rank
from models.roll_out import RollOut
from pipelines import opting_out, runs
from pipelines.building import Snapshot, snapshot
from pipelines.config import ServiceConfig
from pipelines.feeds import feed_ages, warnings
from pipelines.publish import Stamp, hold
from pipelines.runs import Run
from pipelines.service import Service

if TYPE_CHECKING:
    from pipelines.tracking import Registered

Tell = Callable[[str], None]
BY_LOT = (
    "The last places of each list are given by lot, so that what the lists do can be measured: people about as likely "
    "to be admitted were left out."
)
WORDS = ["reason_1", "reason_2", "reason_3"]


@dataclass(frozen=True)
class Scored:
    """Everyone on a caseload, ranked (as `publish` takes it), and what the pages say about themselves. unlisted: people
    with an open referral whom no team's list can show, by reason, small numbers of opt-outs in words; origin: as
    `origins.origin` gives it."""

    ranked: pd.DataFrame
    teams: pd.DataFrame
    unlisted: dict[str, int | str]
    stamp: Stamp
    bundle: Bundle
    origin: Mapping[str, Any] = field(default_factory=dict)


def score(service: Service, as_of: datetime, tell: Tell, champion: "Registered | None" = None) -> Scored:
    """Rank every team's caseload as known at `as_of` with the champion, or the model given, with three reasons for each
    person listed."""
    from pipelines import tracking  # MLflow takes seconds to import: only those who need the registry wait for it
    from pipelines.origins import origin

    notes = warnings(service, as_of)
    opted_out = opting_out.checked(service, as_of, "lists")
    champion = champion or tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    service.catalogue.contract.require(bundle.contract, "champion")
    earlier = _earlier(service, as_of)
    snap, ranked = ranking(service, bundle, as_of, earlier, tell, opted_out.people)
    unlisted = _unlisted(snap)
    if opted_out.told is not None:
        opting_out.require_plausible(service.config.access.opt_out, left_out(snap), snap.frame["person_id"].nunique())
        unlisted[OPTED_OUT] = opting_out.shown(left_out(snap))
        notes = (*notes, *filter(None, [opted_out.note]))
    if service.config.roll_out.band.share:
        notes = (*notes, BY_LOT)
    stamp = _stamp(service, snap.data_as_of, as_of, f"{champion.version} ({bundle.fingerprint[:12]})", notes)
    made_of = origin(service, champion, bundle, earlier, snap.frame)
    if opted_out.told is not None:
        made_of["opt_out"] = {**opted_out.told, "left_out": unlisted[OPTED_OUT]}
    return Scored(ranked, _teams(ranked, snap, service.config), unlisted, stamp, bundle, made_of)


def ranking(
    service: Service,
    bundle: Bundle,
    as_of: datetime,
    earlier: Sequence[Run],
    tell: Tell,
    opted_out: OptedOut,
    as_published: pd.DataFrame | None = None,
) -> tuple[Snapshot, pd.DataFrame]:
    """The caseloads at a cut, and everyone on them ranked and explained; compared with the rankings of `earlier`.
    as_published: as `rank` takes it."""
    tell("building features")
    with service.workers() as over:
        snap = snapshot(service.history, service.config, service.catalogue, as_of, over, opted_out)
    tell(f"ranking {len(snap.frame):,} people")
    ranked = rank(
        bundle.score(snap.frame),
        snap.memberships,
        key=service.workspace.key(),
        capacities=service.config.lists.capacities,
        previous=pd.concat([run.ranked() for run in earlier], ignore_index=True) if earlier else None,
        model_version=bundle.fingerprint,
        roll_out=roll_out(service.config, as_of),
        as_published=as_published,
    )
    return snap, _explained(ranked, snap, bundle, service)


def mark_stale(service: Service, as_of: datetime, why: str) -> bool:
    """Where today's lists cannot be made: leave older ones standing, marked with the day and the reason."""
    day = date.fromisoformat(local_day(service.config, as_of))
    note = f"The lists for {day:%d-%b-%Y} could not be made: {why} These are the last ones that could."
    return hold(service.workspace.lists, note, day.isoformat())


def roll_out(config: ServiceConfig, as_of: datetime) -> RollOut | None:
    """The plan on the cut's day; None where every team is shown its whole list."""
    if config.roll_out.shows_all:
        return None
    return RollOut(config.roll_out, date.fromisoformat(local_day(config, as_of)))


def local_day(config: ServiceConfig, as_of: datetime) -> str:
    """The cut's day on the service's clock, as 2026-02-03."""
    return as_of.astimezone(ZoneInfo(config.zone)).date().isoformat()


def _earlier(service: Service, as_of: datetime) -> list[Run]:
    """The runs that stand for the days before, of which the last of each team is what today's list is compared with."""
    days = [local_day(service.config, as_of - timedelta(days=back)) for back in range(RUN_GAP_DAYS + 1, 0, -1)]
    found = [runs.standing(service.workspace, day) for day in days]
    return [run for run in found if run is not None]


def _explained(ranked: pd.DataFrame, snap: Snapshot, bundle: Bundle, service: Service) -> pd.DataFrame:
    """`ranked` with age, sex and, for those listed, three reasons."""
    listed = ranked.loc[ranked["listed"], ["person_id"]].drop_duplicates()
    mine = snap.frame[snap.frame["person_id"].isin(listed["person_id"])].reset_index(drop=True)
    local = snap.as_of.astimezone(ZoneInfo(service.config.zone))
    sentence = partial(service.catalogue.sentence, cut_share=(local.hour + local.minute / 60) / 24)
    told = reasons(bundle, mine, sentence)[["person_id", *WORDS]]
    frame = ranked.merge(told, on="person_id", how="left").merge(snap.details, on="person_id", how="left")
    return frame.assign(**frame[WORDS].fillna(""))


def _teams(ranked: pd.DataFrame, snap: Snapshot, config: ServiceConfig) -> pd.DataFrame:
    """team_id, name, caseload, capacity, and how many with an open referral were left out for each reason; of every
    team that has a referral open or a name in the configuration."""
    sizes = ranked.groupby("team_id").size()
    known = {*sizes.index, *snap.exclusions["team_id"].dropna(), *config.lists.team_names}
    room, plan = config.lists.capacities, roll_out(config, snap.as_of)
    rows = [
        {
            "team_id": team,
            "name": config.lists.team_names.get(team, team),
            "caseload": int(sizes.get(team, 0)),
            "capacity": room.of(team, int(sizes.get(team, 0))),
            "begins": config.roll_out.starts[team] if plan is not None and plan.waits(team) else None,
        }
        for team in sorted(str(team) for team in known)
    ]
    excluded = snap.exclusions[snap.exclusions["reason"] != ON_CASELOAD]
    wide = excluded.pivot_table(index="team_id", columns="reason", values="people", aggfunc="sum", fill_value=0)
    wide.columns = [f"excluded_{str(reason).replace(' ', '_')}" for reason in wide.columns]
    teams = pd.DataFrame(rows, columns=["team_id", "name", "caseload", "capacity", "begins"])
    teams = teams.merge(wide.reset_index(), on="team_id", how="left")
    counts = [str(column) for column in teams if str(column).startswith("excluded_")]
    return teams.assign(**teams[counts].fillna(0).astype(int))


def left_out(snap: Snapshot) -> int:
    """How many people are on no caseload for nothing but their opt-out."""
    return int(snap.exclusions.loc[snap.exclusions["reason"] == OPTED_OUT, "people"].sum())


def _unlisted(snap: Snapshot) -> dict[str, int | str]:
    nameless = snap.exclusions[snap.exclusions["team_id"].isna()]
    return {str(reason): int(people) for reason, people in nameless.groupby("reason")["people"].sum().items()}


def _stamp(service: Service, data_as_of: datetime, as_of: datetime, version: str, notes: tuple[str, ...]) -> Stamp:
    ages = {name: hours for name, hours in feed_ages(service, as_of).items() if pd.notna(hours)}
    return Stamp(
        as_of=as_of,
        data_as_of=data_as_of if not ages else as_of - timedelta(hours=max(ages.values())),
        model_version=version,
        trust=service.config.trust,
        simulated=service.config.simulated,
        zone=service.config.zone,
        feed_ages=tuple(feed_ages(service, as_of).items()),
        notes=notes,
        active_days=service.config.caseload.active_days,
        good_until=service.config.lists.good_until,
    )
