"""The daily step: score every caseload at a cut, rank, explain, publish, and log what was published."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from features.cohort import ON_CASELOAD
from features.errors import StaleFeedError
from models.bundle import Bundle, load
from models.explanation import reasons
from models.ranking import rank
from pipelines.building import Snapshot, snapshot
from pipelines.config import ServiceConfig
from pipelines.judging import capacities
from pipelines.publish import MANIFEST, Published, Stamp, hold
from pipelines.publish import publish as write_lists
from pipelines.service import Service

Tell = Callable[[str], None]
RANKED_FILE = "ranked.parquet"


@dataclass(frozen=True)
class Scored:
    """Everyone on a caseload, ranked (as `publish` takes it), and what the pages say about themselves. unlisted: people
    with an open referral whom no team's list can show, by reason."""

    ranked: pd.DataFrame
    teams: pd.DataFrame
    unlisted: dict[str, int]
    stamp: Stamp
    bundle: Bundle


@dataclass(frozen=True)
class Day:
    """What a daily run published."""

    published: Published
    run_id: str
    late_feeds: tuple[str, ...]


def score(service: Service, as_of: datetime, tell: Tell) -> Scored:
    """Rank every team's caseload as known at `as_of` with the champion, with three reasons for each person listed."""
    from pipelines import tracking  # MLflow takes seconds to import: only those who need the registry wait for it

    warnings = _warnings(service, as_of)
    champion = tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    service.catalogue.contract.require(bundle.contract, "champion")
    tell("building features")
    with service.workers() as over:
        snap = snapshot(service.history, service.config, service.catalogue, as_of, over)
    tell(f"ranking {len(snap.frame):,} people")
    ranked = rank(
        bundle.score(snap.frame),
        snap.memberships,
        key=service.workspace.key(),
        capacities=capacities(service.config),
        previous=_previous(service, as_of),
        model_version=bundle.fingerprint,
    )
    told = _explained(ranked, snap, bundle, service)
    version = f"{champion.version} ({bundle.fingerprint[:12]})"
    stamp = _stamp(service, snap.data_as_of, as_of, version, warnings)
    return Scored(told, _teams(ranked, snap, service.config), _unlisted(snap), stamp, bundle)


def publish(service: Service, scored: Scored, replace: bool = False) -> Day:
    """Publish every team's list of `scored`, keep the pseudonymised ranking, and log the day in MLflow."""
    from pipelines import tracking

    published = write_lists(
        scored.ranked,
        service.identities.people(),
        scored.teams,
        scored.stamp,
        service.workspace.lists,
        replace=replace,
        unlisted=scored.unlisted,
    )
    _keep_ranking(service, scored)
    run_id = tracking.log_day(
        service.workspace,
        scored.stamp.date,
        parameters=_parameters(scored, published),
        metrics=_metrics(scored, published),
        ranked=scored.ranked.drop(columns=["reason_1", "reason_2", "reason_3", "age", "sex"]),
        manifest=(published.folder / MANIFEST).read_text(encoding="utf-8"),
    )
    return Day(published, run_id, scored.stamp.notes)


def mark_stale(service: Service, as_of: datetime, why: str) -> bool:
    """Where today's lists cannot be made: leave older ones standing, marked with the day and the reason."""
    day = as_of.astimezone(ZoneInfo(service.config.zone)).date()
    note = f"The lists for {day:%d-%b-%Y} could not be made: {why} These are the last ones that could."
    return hold(service.workspace.lists, note, day.isoformat())


def feed_ages(service: Service, as_of: datetime) -> dict[str, float]:
    """For each feed, the hours from the end of what its newest extract with any rows tells of, to `as_of`; NaN where
    none came."""
    ledger = service.history.ledger()
    told = ledger[(ledger["received_at"] <= pd.Timestamp(as_of)) & (ledger["rows"] > 0)]
    until = told[["received_at", "covers_to"]].min(axis=1).groupby(told["source"]).max()
    hours = (pd.Timestamp(as_of) - until).dt.total_seconds() / 3600
    feeds = [name for name, source in service.config.sources.items() if source.late_after_hours is not None]
    return {name: float(hours.get(name, float("nan"))) for name in feeds}


def late_feeds(service: Service, ages: dict[str, float]) -> dict[str, str]:
    """A sentence for each feed that is late by the configuration."""
    late = {}
    for name, hours in ages.items():
        limit = service.config.sources[name].late_after_hours
        if limit is not None and not hours <= limit:
            age = "ever" if pd.isna(hours) else f"for {hours:.0f} hours"
            late[name] = f"The feed '{name}' is late: nothing has come from it {age}, and {limit:.0f} is the limit."
    return late


def _warnings(service: Service, as_of: datetime) -> tuple[str, ...]:
    """What the lists must say of late feeds; StaleFeedError where a late feed forbids making them."""
    late = late_feeds(service, feed_ages(service, as_of))
    blocking = [words for name, words in late.items() if service.config.sources[name].when_late == "block"]
    if blocking:
        raise StaleFeedError(" ".join(blocking))
    return tuple(late.values())


def _previous(service: Service, as_of: datetime) -> pd.DataFrame | None:
    """The rankings published for earlier cuts: the last of each team is what today's list is compared with."""
    kept = sorted((service.workspace.root / "rankings").glob(f"*/{RANKED_FILE}"))
    earlier = [path for path in kept if path.parent.name < _day(service, as_of)][-7:]
    return pd.concat([pd.read_parquet(path) for path in earlier], ignore_index=True) if earlier else None


def _day(service: Service, as_of: datetime) -> str:
    return as_of.astimezone(ZoneInfo(service.config.zone)).date().isoformat()


def _keep_ranking(service: Service, scored: Scored) -> None:
    folder = service.workspace.root / "rankings" / scored.stamp.date
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = folder / f".{RANKED_FILE}"
    scored.ranked.to_parquet(aside, index=False)
    aside.replace(folder / RANKED_FILE)


def _explained(ranked: pd.DataFrame, snap: Snapshot, bundle: Bundle, service: Service) -> pd.DataFrame:
    """`ranked` with age, sex and, for those listed, three reasons."""
    listed = ranked.loc[ranked["listed"], ["person_id"]].drop_duplicates()
    mine = snap.frame[snap.frame["person_id"].isin(listed["person_id"])].reset_index(drop=True)
    local = snap.as_of.astimezone(ZoneInfo(service.config.zone))
    sentence = partial(service.catalogue.sentence, cut_share=(local.hour + local.minute / 60) / 24)
    told = reasons(bundle, mine, sentence)[["person_id", "reason_1", "reason_2", "reason_3"]]
    frame = ranked.merge(told, on="person_id", how="left").merge(snap.details, on="person_id", how="left")
    words = ["reason_1", "reason_2", "reason_3"]
    return frame.assign(**frame[words].fillna(""))


def _teams(ranked: pd.DataFrame, snap: Snapshot, config: ServiceConfig) -> pd.DataFrame:
    """team_id, name, caseload, capacity, and how many with an open referral were left out for each reason; of every
    team that has a referral open or a name in the configuration."""
    sizes = ranked.groupby("team_id").size()
    known = {*sizes.index, *snap.exclusions["team_id"].dropna(), *config.lists.team_names}
    room = capacities(config)
    rows = [
        {
            "team_id": team,
            "name": config.lists.team_names.get(team, team),
            "caseload": int(sizes.get(team, 0)),
            "capacity": room.of(team, int(sizes.get(team, 0))),
        }
        for team in sorted(str(team) for team in known)
    ]
    excluded = snap.exclusions[snap.exclusions["reason"] != ON_CASELOAD]
    wide = excluded.pivot_table(index="team_id", columns="reason", values="people", aggfunc="sum", fill_value=0)
    wide.columns = [f"excluded_{str(reason).replace(' ', '_')}" for reason in wide.columns]
    teams = pd.DataFrame(rows, columns=["team_id", "name", "caseload", "capacity"])
    teams = teams.merge(wide.reset_index(), on="team_id", how="left")
    counts = [str(column) for column in teams if str(column).startswith("excluded_")]
    return teams.assign(**teams[counts].fillna(0).astype(int))


def _unlisted(snap: Snapshot) -> dict[str, int]:
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
    )


def _parameters(scored: Scored, published: Published) -> dict[str, str]:
    return {
        "as_of": scored.stamp.as_of.isoformat(),
        "data_as_of": scored.stamp.data_as_of.isoformat(),
        "model_version": scored.stamp.model_version,
        "contract": scored.bundle.contract.fingerprint,
        "manifest_digest": published.digest,
    }


def _metrics(scored: Scored, published: Published) -> dict[str, float]:
    """Counts, feed ages (hours) and the distribution of risk."""
    people = scored.ranked.drop_duplicates("person_id")
    quantiles = {f"risk_p{int(q * 100):02}": people["risk"].quantile(q) for q in (0.05, 0.5, 0.95, 0.99)}
    ages = {f"feed_age_hours_{name}": hours for name, hours in scored.stamp.feed_ages}
    return {
        "teams": published.teams,
        "people": len(people),
        "listed": published.listed,
        "risk_mean": people["risk"].mean(),
        **quantiles,
        **ages,
    }


def list_pages(published: Published) -> list[Path]:
    """The team pages of a publication, in the order of its manifest."""
    manifest = json.loads((published.folder / MANIFEST).read_text(encoding="utf-8"))
    return [published.folder / path for path in manifest["files"] if path.endswith("list.html")]
