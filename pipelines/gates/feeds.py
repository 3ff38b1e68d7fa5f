"""How old each feed is: by its own limit in the configuration, and against its age at earlier cuts."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import isnan
from zoneinfo import ZoneInfo

from features.daysoff import counts_as
from features.windows import cut
from pipelines.config import ServiceConfig
from pipelines.feeds import GAP_DAYS, ages_at, gaps_at, late_feeds
from pipelines.gates.outcome import AGE, FAILED, GAP, LATE, PASSED, UNKNOWN, Outcome, judged
from pipelines.service import Service


def feed_outcomes(service: Service, as_of: datetime) -> Iterator[Outcome]:
    """For each feed with `late_after_hours`: whether it is late, at the level that `when_late` says; and whether it is
    older than it usually is at a cut of this weekday."""
    ledger, config = service.history.ledger(), service.config
    ages = ages_at(ledger, config, as_of)
    late = late_feeds(service, ages)
    for name, hours in ages.items():
        source = config.sources[name]
        state, age = FAILED if name in late else PASSED, None if isnan(hours) else hours
        yield Outcome(LATE, name, source.when_late, state, age, high=source.late_after_hours, says=late.get(name, ""))
    yield from gap_outcomes(gaps_at(ledger, config, as_of), config)
    if config.gates.feed_age.level == "off":
        return
    earlier = [ages_at(ledger, config, moment) for moment in same_weekday(config, as_of)]
    for name, hours in ages.items():
        past, rule = [ages[name] for ages in earlier], config.gates.feed_age
        if isnan(hours):
            yield Outcome(AGE, name, rule.level, UNKNOWN)
        elif name not in late:  # of a late feed all is said
            yield judged(AGE, name, rule, hours, past, config.gates.least, sides=(False, True))


def gap_outcomes(gaps: Mapping[str, float], config: ServiceConfig) -> Iterator[Outcome]:
    """Whether a feed that goes on has left something out. gaps: as `feeds.gaps_at`."""
    level = config.gates.feed_gap
    for name, hours in gaps.items() if level != "off" else ():
        limit = config.sources[name].late_after_hours
        if isnan(hours) or limit is None:
            yield Outcome(GAP, name, level, UNKNOWN)
            continue
        says = (
            f"The feed '{name}' has a gap of {hours:.0f} hours in the last {GAP_DAYS} days, and {limit:.0f} is the "
            "limit: unless a later extract made up for it, what happened then is missing here."
        )
        state = FAILED if hours > limit else PASSED
        yield Outcome(GAP, name, level, state, hours, high=limit, says=says if state == FAILED else "")


def same_weekday(config: ServiceConfig, as_of: datetime) -> list[datetime]:
    """Earlier cuts of mornings like this one, as far back as a history goes; the latest first."""
    today, off = as_of.astimezone(ZoneInfo(config.zone)).date(), config.gates.days_off
    days = (today - timedelta(days=back) for back in range(1, 7 * config.gates.weeks + 1))
    return [cut(day, config.cut, config.zone) for day in days if counts_as(day, off) == counts_as(today, off)]
