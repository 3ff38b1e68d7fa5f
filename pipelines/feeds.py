"""How old each feed is at a cut, and which of them are late."""

from datetime import datetime

import pandas as pd

from features.windows import HORIZON_DAYS
from pipelines.config import ServiceConfig
from pipelines.service import Service

GAP_DAYS = HORIZON_DAYS
"""What is missing from longer ago weighs little in a list."""


def feed_ages(service: Service, as_of: datetime) -> dict[str, float]:
    """`ages_at` in the service's history."""
    return ages_at(service.history.ledger(), service.config, as_of)


def ages_at(ledger: pd.DataFrame, config: ServiceConfig, as_of: datetime) -> dict[str, float]:
    """For each feed, the hours from the end of what its newest extract with any rows tells of, to `as_of`; NaN where
    none came."""
    hours = (
        pd.Timestamp(as_of) - _told_until(ledger, as_of).groupby("source")["until"].max()
    ).dt.total_seconds() / 3600
    return {name: float(hours.get(name, float("nan"))) for name in _watched(config)}


def gaps_at(ledger: pd.DataFrame, config: ServiceConfig, as_of: datetime) -> dict[str, float]:
    """For each feed, the most hours between the ends of what two extracts tell of that follow one another, the later of
    them within `GAP_DAYS` of `as_of`; NaN where no extract came before it."""
    told = _told_until(ledger, as_of).sort_values("until").drop_duplicates()
    told["hours"] = told.groupby("source")["until"].diff().dt.total_seconds() / 3600
    recent = told[told["until"] >= pd.Timestamp(as_of) - pd.Timedelta(days=GAP_DAYS)]
    widest = recent.groupby("source")["hours"].max()
    return {name: float(widest.get(name, float("nan"))) for name in _watched(config)}


def _told_until(ledger: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """source and until, of every extract with any rows that had come by `as_of`."""
    told = ledger[(ledger["received_at"] <= pd.Timestamp(as_of)) & (ledger["rows"] > 0)]
    return told[["source"]].assign(until=told[["received_at", "covers_to"]].min(axis=1))


def _watched(config: ServiceConfig) -> list[str]:
    return [name for name, source in config.sources.items() if source.late_after_hours is not None]


def late_feeds(service: Service, ages: dict[str, float]) -> dict[str, str]:
    """A sentence for each feed that is late by the configuration."""
    late = {}
    for name, hours in ages.items():
        limit = service.config.sources[name].late_after_hours
        if limit is not None and not hours <= limit:
            age = "ever" if pd.isna(hours) else f"for {hours:.0f} hours"
            late[name] = f"The feed '{name}' is late: nothing has come from it {age}, and {limit:.0f} is the limit."
    return late
