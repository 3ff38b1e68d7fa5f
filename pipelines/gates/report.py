"""All gates of a day, their record, and what follows from them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from features.errors import BlockedError, StaleFeedError
from models.bundle import Bundle
from pipelines import runs
from pipelines.accounts import kept
from pipelines.gates.extracts import extract_outcomes
from pipelines.gates.feeds import feed_outcomes
from pipelines.gates.outcome import BUNDLE, CONTRACT, FAILED, GAP, LATE, PASSED, TEAM, Outcome, of_plain
from pipelines.gates.scores import score_outcomes
from pipelines.gates.teams import team_outcomes
from pipelines.service import Service
from pipelines.workspace import write_private

UNSEEN_DAYS = 7
"""Where no list stands, extracts of so many days count as new."""
UNUSUAL = "The data are not as usual today, so people may be missing from this list or out of place in it."
"""What comes before a gate's finding on a page."""


def data_outcomes(service: Service, bundle: Bundle, as_of: datetime) -> tuple[Outcome, ...]:
    """What can be said before anybody is scored: of the model's contract, the feeds, and the extracts that came since
    the last lists."""
    config = service.config
    ledger = service.history.ledger()
    standing = _before(service, as_of)
    since = datetime.fromisoformat(standing[-1].told["as_of"]) if standing else as_of - timedelta(days=UNSEEN_DAYS)
    first = pd.Timestamp(since - timedelta(weeks=config.gates.weeks, days=1))
    known = ledger[(ledger["received_at"] <= pd.Timestamp(as_of)) & (ledger["received_at"] >= first)]
    accounts = kept(service.workspace.quality, known)
    return (
        *_model(service, bundle),
        *feed_outcomes(service, as_of),
        *extract_outcomes(accounts, since, config.gates, config.zone),
    )


def ranking_outcomes(
    service: Service, bundle: Bundle, ranked: pd.DataFrame, recorded: pd.DataFrame, as_of: datetime
) -> tuple[Outcome, ...]:
    """What can be said of a ranking, and of what was recorded for each team (as `teams.recordings` gives it): of each
    team's feed, and of the risks and lists of the teams that are not held back for it."""
    config, gate = service.config, service.config.gates
    teams = tuple(team_outcomes(recorded, sorted(map(str, ranked["team_id"].unique())), as_of, config))
    shown = ranked[~ranked["team_id"].isin(withheld(teams))]
    same = [run for run in _before(service, as_of) if run.told["model"]["fingerprint"] == bundle.fingerprint]
    return (*teams, *score_outcomes(shown, same, _day(service, as_of), gate))


def withheld(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Why, by team, for the teams whose lists are held back."""
    return {one.subject: one.says for one in outcomes if one.gate == TEAM and one.failed and one.level == "block"}


def notes(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """What every page has to say, for a reader who knows nothing of files."""
    found = [one for one in outcomes if one.failed and one.level == "warn" and one.gate != TEAM]
    return tuple(one.says if one.gate in (LATE, GAP) else f"{UNUSUAL} {one.says}" for one in found)


def team_notes(outcomes: Iterable[Outcome]) -> dict[str, tuple[str, ...]]:
    """What a team's own page has to say."""
    return {
        one.subject: (f"{UNUSUAL} {one.says}",)
        for one in outcomes
        if one.gate == TEAM and one.failed and one.level == "warn"
    }


def refuse(outcomes: Sequence[Outcome]) -> None:
    """BlockedError where a gate does not let the day through; StaleFeedError where it is a late feed alone."""
    blocking = [one for one in outcomes if one.blocks]
    if blocking:
        kind = StaleFeedError if all(one.gate == LATE for one in blocking) else BlockedError
        raise kind(" ".join(one.says for one in blocking))


@dataclass(frozen=True)
class DayReport:
    """What the gates said when a day was last tried. blocked: whether that was for nothing."""

    day: str
    outcomes: tuple[Outcome, ...]

    @property
    def blocked(self) -> bool:
        return any(one.blocks for one in self.outcomes)


def keep(service: Service, as_of: datetime, outcomes: Sequence[Outcome]) -> None:
    """Write down what the gates said of a day, whether or not it is published."""
    day = _day(service, as_of).isoformat()
    blocked = any(one.blocks for one in outcomes)
    told = {"day": day, "as_of": as_of.isoformat(), "blocked": blocked, "gates": [asdict(one) for one in outcomes]}
    folder = service.workspace.gates
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / f"{day}.json", runs.as_json(told))


def reports(service: Service, first: date, last: date) -> list[DayReport]:
    """What the gates said of the days from `first` to `last` that were tried."""
    paths = sorted(service.workspace.gates.glob("[0-9]*.json"))
    wanted = [path for path in paths if first.isoformat() <= path.stem <= last.isoformat()]
    return [DayReport(path.stem, of_plain(json.loads(path.read_bytes())["gates"])) for path in wanted]


def tally(found: Iterable[DayReport]) -> dict[str, Counter[str]]:
    """By gate, how often each state came of it."""
    counts: dict[str, Counter[str]] = {}
    for report in found:
        for one in report.outcomes:
            counts.setdefault(one.gate, Counter())[one.state] += 1
    return counts


def _model(service: Service, bundle: Bundle) -> tuple[Outcome, ...]:
    own, said = bundle.contract.fingerprint, str(bundle.lineage.get("contract"))
    needed = service.catalogue.contract.fingerprint
    differs = "The model was trained on other features than the catalogue has now: retrain, or restore the catalogue."
    mixed = "The model's lineage names another contract than its own: restore its bundle from a backup, or retrain."
    return (
        Outcome(CONTRACT, own[:12], "block", _passed(own == needed), says="" if own == needed else differs),
        Outcome(BUNDLE, bundle.fingerprint[:12], "block", _passed(own == said), says="" if own == said else mixed),
    )


def _passed(whether: bool) -> str:
    return PASSED if whether else FAILED


def _before(service: Service, as_of: datetime) -> list[runs.Run]:
    day = _day(service, as_of)
    first = day - timedelta(days=7 * service.config.gates.weeks)
    days = [first + timedelta(days=number) for number in range((day - first).days)]
    found = [runs.standing(service.workspace, one.isoformat()) for one in days]
    return [run for run in found if run is not None]


def _day(service: Service, as_of: datetime) -> date:
    return as_of.astimezone(ZoneInfo(service.config.zone)).date()
