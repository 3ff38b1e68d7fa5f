"""The daily step: score every caseload at a cut, rank and explain; and mark older lists where that fails."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from features.cohort import ON_CASELOAD, OPTED_OUT, OptedOut
from models.bundle import Bundle, load
from models.explanation import Sentence, family_contributions, pulls, reasons
from models.ranking import RUN_GAP_DAYS, rank
from models.roll_out import RollOut
from pipelines import listing, opting_out, runs
from pipelines.beside import beside
from pipelines.building import Snapshot, snapshot
from pipelines.config import ServiceConfig
from pipelines.feeds import feed_ages
from pipelines.gates import report
from pipelines.gates.outcome import Outcome
from pipelines.grouping import list_ids
from pipelines.mapping import Mapper
from pipelines.publish import LATEST, Stamp, hold
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
    `origins.origin` gives it; beside: as `Ranking` has it. gates: what they said; withheld: why, by team, for teams
    whose lists are held back, of whom nobody is in `ranked`; team_notes: what only a team's own page says."""

    ranked: pd.DataFrame
    teams: pd.DataFrame
    unlisted: dict[str, int | str]
    stamp: Stamp
    bundle: Bundle
    origin: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    gates: tuple[Outcome, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    team_notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ranking:
    """A cut's caseloads, everyone on them ranked and explained, and what the pages show beside that: frames by name,
    `happened` (with `team`, its name) and `pulled` as `Beside` has them, `leaving` as `listing.leaving` gives it."""

    snap: Snapshot
    ranked: pd.DataFrame
    beside: dict[str, pd.DataFrame]


def score(service: Service, as_of: datetime, tell: Tell, champion: "Registered | None" = None) -> Scored:
    """Rank every team's caseload as known at `as_of` with the champion, or the model given, with three reasons for each
    person listed. BlockedError where a gate does not let that through; what the gates said is kept either way."""
    from pipelines import tracking  # MLflow takes seconds to import: only those who need the registry wait for it
    from pipelines.origins import origin

    opted_out = opting_out.checked(service, as_of, "lists")
    champion = champion or tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    service = service.for_model(bundle)
    found = report.data_outcomes(service, bundle, as_of)
    report.keep(service, as_of, found)
    service.catalogue.contract.require(bundle.contract, "champion")
    report.refuse(found)
    earlier = _earlier(service, as_of)
    made = ranking(service, bundle, as_of, earlier, tell, opted_out.people)
    snap, ranked = made.snap, made.ranked
    tell("looking at the ranking")
    found += report.ranking_outcomes(service, bundle, ranked, snap.recorded, as_of)
    report.keep(service, as_of, found)
    report.refuse(found)
    unlisted = _unlisted(snap)
    told = _left_out_by_choice(service, snap, opted_out, unlisted)
    notes = (*report.notes(found), *([opted_out.note] if opted_out.note else []))
    if service.config.roll_out.band.share:
        notes = (*notes, BY_LOT)
    back, version = report.withheld(found), f"{champion.version} ({bundle.fingerprint[:12]})"
    return Scored(
        without(ranked, back),
        _teams(ranked, snap, service.config),
        unlisted,
        _stamp(service, snap.data_as_of, as_of, version, notes),
        bundle,
        origin(service, champion, bundle, earlier, snap.frame) | told,
        made.beside,
        found,
        back,
        report.team_notes(found),
    )


def _left_out_by_choice(
    service: Service, snap: Snapshot, opted_out: opting_out.Checked, unlisted: dict[str, int | str]
) -> dict[str, Any]:
    """What a record tells of opt-outs, which are counted in `unlisted` as they may be told; empty where there is no
    opt-out file."""
    if opted_out.told is None:
        return {}
    opting_out.require_plausible(service.config.access.opt_out, left_out(snap), snap.frame["person_id"].nunique())
    unlisted[OPTED_OUT] = opting_out.shown(left_out(snap))
    return {"opt_out": {**opted_out.told, "left_out": unlisted[OPTED_OUT]}}


def look(service: Service, as_of: datetime, tell: Tell) -> tuple[Outcome, ...]:
    """What the gates say of a day as things are, with nothing kept, blocked or published; of the ranking only where
    the data let one be made."""
    from pipelines import tracking

    bundle = load(tracking.champion(service.workspace).bundle)
    service = service.for_model(bundle)
    found = report.data_outcomes(service, bundle, as_of)
    if any(one.blocks for one in found):
        return found
    opted_out = opting_out.checked(service, as_of, "lists").people
    made = ranking(service, bundle, as_of, _earlier(service, as_of), tell, opted_out)
    return found + report.ranking_outcomes(service, bundle, made.ranked, made.snap.recorded, as_of)


def without(ranked: pd.DataFrame, teams: Collection[str]) -> pd.DataFrame:
    """A ranking without the teams whose lists are held back: what nobody is shown is on no record of what was."""
    return ranked[~ranked["team_id"].isin(teams)].reset_index(drop=True) if teams else ranked


def ranking(
    service: Service,
    bundle: Bundle,
    as_of: datetime,
    earlier: Sequence[Run],
    tell: Tell,
    opted_out: OptedOut,
    as_published: pd.DataFrame | None = None,
) -> Ranking:
    """The caseloads at a cut, ranked, explained, and compared with the rankings of `earlier`. as_published: as `rank`
    takes it."""
    tell("building features")
    previous = pd.concat([run.ranked() for run in earlier], ignore_index=True) if earlier else None
    with service.workers() as over:
        snap = snapshot(service.history, service.config, service.catalogue, as_of, over, opted_out)
        tell(f"ranking {len(snap.frame):,} people")
        ranked = rank(
            bundle.score(snap.frame),
            snap.memberships,
            key=service.workspace.key(),
            capacities=service.config.lists.capacities,
            previous=previous,
            model_version=bundle.fingerprint,
            roll_out=roll_out(service.config, as_of),
            as_published=as_published,
        )
        return _explained(service, bundle, snap, ranked, previous, over)


def mark_stale(service: Service, as_of: datetime, why: str) -> bool:
    """Where today's lists cannot be made: leave older ones standing, marked with the day and the reason."""
    day = date.fromisoformat(local_day(service.config, as_of))
    note = f"The lists for {day:%d-%b-%Y} could not be made: {why} These are the last ones that could."
    marked = hold(service.workspace.lists, note, day.isoformat())
    if marked:
        service.listing_table.mark(service.workspace.lists / LATEST)
    return marked


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


def _explained(
    service: Service,
    bundle: Bundle,
    snap: Snapshot,
    ranked: pd.DataFrame,
    previous: pd.DataFrame | None,
    over: Mapper,
) -> Ranking:
    """The ranking with age, sex and, for those listed, three reasons, the curve of the nine days where the model has
    one, and what `listing.told` adds."""
    config, listed = service.config, ranked.loc[ranked["listed"], "person_id"].unique()
    mine = snap.frame[snap.frame["person_id"].isin(listed)].reset_index(drop=True)
    local = snap.as_of.astimezone(ZoneInfo(config.zone))
    sentence = partial(service.catalogue.sentence, cut_share=(local.hour + local.minute / 60) / 24)
    left = listing.gone(ranked, previous)
    people = listed, left["person_id"].unique()
    with ThreadPoolExecutor(1) as apart:  # what the model says, while what happened is read and put into words
        said = apart.submit(_said, bundle, mine, sentence)
        known = service.history, config, service.catalogue, bundle, snap.as_of
        found = beside(*known, people, snap.of_teams, said, apart, sentence, over)
        words, _ = said.result()
        frame = ranked.merge(words, on="person_id", how="left").merge(snap.details, on="person_id", how="left")
        told = listing.told(frame.assign(**frame[WORDS].fillna("")), found, config.lists, snap.as_of, config.zone)
    off = listing.leaving(ranked, left, found, config.lists)
    teams = found.happened["team_id"]
    happened = found.happened.assign(team=teams.map(config.lists.team_names).fillna(teams))
    return Ranking(snap, told, {"happened": happened, "pulled": found.pulled, "leaving": off})


def _said(bundle: Bundle, frame: pd.DataFrame, sentence: Sentence) -> tuple[pd.DataFrame, pd.DataFrame]:
    """person_id, `WORDS` and the curve, where the model has one; and the `pulls`, of the people in `frame`."""
    contributions = family_contributions(bundle, frame)
    words = reasons(bundle, frame, sentence, contributions)[["person_id", *WORDS]]
    if bundle.tilt is not None:
        words = words.merge(bundle.curve(frame).drop(columns="as_of"), on="person_id")
    return words, pulls(bundle, frame, sentence, contributions)


def _teams(ranked: pd.DataFrame, snap: Snapshot, config: ServiceConfig) -> pd.DataFrame:
    """team_id, name, caseload, capacity, members (names of the teams of a shared list), and how many with an open
    referral were left out for each reason; of every list that has a referral open or a name in the configuration."""
    sizes = ranked.groupby("team_id").size()
    known = {*sizes.index, *snap.exclusions["team_id"].dropna(), *list_ids(config.lists)}
    room, plan = config.lists.capacities, roll_out(config, snap.as_of)
    rows = [
        {
            "team_id": team,
            "name": config.lists.team_names.get(team, team),
            "caseload": int(sizes.get(team, 0)),
            "capacity": room.of(team, int(sizes.get(team, 0))),
            "members": tuple(config.lists.team_names.get(one, one) for one in config.lists.groups.get(team, ())),
            "begins": config.roll_out.starts[team] if plan is not None and plan.waits(team) else None,
        }
        for team in sorted(str(team) for team in known)
    ]
    excluded = snap.exclusions[snap.exclusions["reason"] != ON_CASELOAD]
    wide = excluded.pivot_table(index="team_id", columns="reason", values="people", aggfunc="sum", fill_value=0)
    wide.columns = [f"excluded_{str(reason).replace(' ', '_')}" for reason in wide.columns]
    teams = pd.DataFrame(rows, columns=["team_id", "name", "caseload", "capacity", "members", "begins"])
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
    ages = feed_ages(service, as_of)
    oldest = max((hours for hours in ages.values() if pd.notna(hours)), default=None)
    return Stamp(
        as_of=as_of,
        data_as_of=data_as_of if oldest is None else as_of - timedelta(hours=oldest),
        model_version=version,
        trust=service.config.trust,
        simulated=service.config.simulated,
        zone=service.config.zone,
        feed_ages=tuple(ages.items()),
        notes=notes,
        active_days=service.config.caseload.active_days,
        good_until=service.config.lists.good_until,
    )
