"""What state the lists are in at a moment: fresh, awaited, out of date, or held back for a reason, all or some."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from pipelines.feeds import feed_ages, late_feeds
from pipelines.pages import words
from pipelines.publish import LATEST, MANIFEST
from pipelines.service import Service

EXIT_CODES = {"fresh": 0, "awaited": 0, "none": 5, "stale": 20, "blocked": 21, "held back": 22}
"""Of `minusnine status`."""


@dataclass(frozen=True)
class Status:
    """state: a key of `EXIT_CODES`; says: why, and how old each feed is, in sentences."""

    state: str
    says: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.state]


def status(service: Service, day: str, at: datetime) -> Status:
    """The state at a moment, when the lists that should stand by then are those of `day` (an ISO date)."""
    state, why = _state(service, day, at)
    ages = feed_ages(service, at)
    late = late_feeds(service, ages)
    feeds = (late.get(name, f"The feed '{name}' is {words.age_of_feed(hours)}.") for name, hours in ages.items())
    return Status(state, (why, *feeds))


def _state(service: Service, day: str, at: datetime) -> tuple[str, str]:
    latest = service.workspace.lists / LATEST
    if not (latest / MANIFEST).is_file():
        return "none", f"No list has been made in {service.workspace.root}."
    manifest: dict[str, Any] = json.loads((latest / MANIFEST).read_bytes())
    standing = _day_of(manifest)
    until = pd.Timestamp(manifest["stamp"]["valid_until"]).to_pydatetime()
    newest = f"The newest lists are those of {words.plain_date(date.fromisoformat(standing))}"
    if at >= until:
        why = f"{newest}, and are out of date since {words.moment(until, service.config.zone)}."
        return ("blocked", f"{why} {manifest['held'][day]}") if day in manifest["held"] else ("stale", why)
    if standing >= day:
        withheld = [str(told["note"]) for told in manifest.get("withheld", {}).values()]
        notes = " ".join([*manifest["stamp"]["notes"], *withheld])
        good = f"{newest}, good until {words.moment(until, service.config.zone)}. {notes}".strip()
        return ("held back" if withheld else "fresh"), good
    if day in manifest["held"]:
        return "blocked", f"{newest}. {manifest['held'][day]}"
    return "awaited", f"{newest}, good until {words.moment(until, service.config.zone)}; the next are awaited."


def _day_of(manifest: dict[str, Any]) -> str:
    stamp = manifest["stamp"]
    day: str = pd.Timestamp(stamp["as_of"]).tz_convert(stamp["zone"]).date().isoformat()
    return day
