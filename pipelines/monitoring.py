"""The monitoring use case: what has changed, as a page, tables and metrics. It tells; no model is trained or promoted
by it, and no list is held back."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.alarms import Alarm, alarms
from pipelines.monitoring_page import PAGE, files, points
from pipelines.service import Service
from pipelines.watched_inputs import edges_to, end_of, inputs
from pipelines.watched_outcomes import outcomes
from pipelines.workspace import write_private

Tell = Callable[[str], None]
MADE, LATEST = ".made", "latest"


@dataclass(frozen=True)
class Monitored:
    """Where it was written, and the alarms, news first. changed: it was not there already."""

    folder: Path
    alarms: tuple[Alarm, ...]
    changed: bool

    @property
    def page(self) -> Path:
        return self.folder / PAGE

    @property
    def news(self) -> tuple[Alarm, ...]:
        return tuple(one for one in self.alarms if one.news)


def monitor(service: Service, at: datetime, tell: Tell) -> Monitored:
    """Look back from a cut; page and tables lie in `monitoring/DAY`, and `monitoring/latest` leads to the newest."""
    from models.bundle import load
    from pipelines import tracking

    champion = tracking.holder(service.workspace, tracking.CHAMPION)
    service = service if champion is None else service.for_model(load(champion.bundle))
    as_of, config = end_of(service, at), service.config
    edges = edges_to(service, as_of)
    came, became = inputs(service, edges, tell), outcomes(service, edges, tell)
    told = alarms(came, became, config.zone)
    tell("writing")
    written = files(came, became, told, config)
    digest = _digest(written)
    day = as_of.astimezone(ZoneInfo(config.zone)).date().isoformat()
    changed = show(service.workspace.monitoring, day, written, digest)
    news = [one for one in told if one.news]
    tracking.log_monitoring(
        service.workspace,
        day,
        parameters={"as_of": as_of.isoformat(), "digest": digest, "model": became.model, "alarms": str(len(news))},
        points=points(came, became, config.zone),
    )
    return Monitored(service.workspace.monitoring / day, tuple(told), changed)


def show(folder: Path, day: str, written: Mapping[str, str], digest: str) -> bool:
    """Make `folder/day` lead to these files in one step; whether it did not before. What was there stays until then."""
    version = folder / MADE / f"{day}.{digest[:16]}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not version.exists():
        aside = version.with_name(f"{version.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700, parents=True)
        for name, text in written.items():
            write_private(aside / name, text.encode())
        aside.rename(version)
    changed = _lead(folder / day, Path(MADE, version.name))
    newest = max(link.name for link in folder.iterdir() if link.is_symlink() and link.name != LATEST)
    _lead(folder / LATEST, Path(newest))
    _sweep(folder)
    return changed


def _lead(link: Path, target: Path) -> bool:
    if link.is_symlink() and link.readlink() == target:
        return False
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    return True


def _sweep(folder: Path) -> None:
    """Remove what no day leads to: replaced pages, and what a run that was killed left."""
    used = {link.readlink().name for link in folder.iterdir() if link.is_symlink()}
    for made in (folder / MADE).iterdir():
        if made.name not in used:
            shutil.rmtree(made)


def _digest(written: Mapping[str, str]) -> str:
    found = sha256()
    for name in sorted(written):
        found.update(f"{name}\0{written[name]}\0".encode())
    return found.hexdigest()
