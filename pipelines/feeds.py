"""How old each feed is at a cut, and which of them are late."""

from datetime import datetime

import pandas as pd

from pipelines.config import ServiceConfig
from pipelines.service import Service


def feed_ages(service: Service, as_of: datetime) -> dict[str, float]:
    """`ages_at` in the service's history."""
    return ages_at(service.history.ledger(), service.config, as_of)


def ages_at(ledger: pd.DataFrame, config: ServiceConfig, as_of: datetime) -> dict[str, float]:
    """For each feed, the hours from the end of what its newest extract with any rows tells of, to `as_of`; NaN where
    none came."""
    told = ledger[(ledger["received_at"] <= pd.Timestamp(as_of)) & (ledger["rows"] > 0)]
    until = told[["received_at", "covers_to"]].min(axis=1).groupby(told["source"]).max()
    hours = (pd.Timestamp(as_of) - until).dt.total_seconds() / 3600
    feeds = [name for name, source in config.sources.items() if source.late_after_hours is not None]
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
