"""Writing a simulated trust's folder: all of it or nothing."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from features.errors import ConfigError
from pipelines.simulator.acute import acute_sheets
from pipelines.simulator.calendar import DAY, EPOCH, NONE
from pipelines.simulator.community import contact_sheets, referral_sheets
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.extracts import plan_extracts, write_extracts
from pipelines.simulator.faults import duplicate_rows, stop_feed
from pipelines.simulator.patients import identity_sheet, patient_sheets
from pipelines.simulator.sheet import Sheet
from pipelines.simulator.trust import Trust, build_trust
from pipelines.simulator.truth import write_truth

CONFIG_FILE = "simulation.json"
PARTS = {CONFIG_FILE, "history", "daily", "truth"}

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Summary:
    """What was written. people: ever referred; contacts; admissions: emergency ones since `first_day`; all as far as
    known by the last cut. last_day: the day of the last drop, for which the list is made."""

    people: int
    contacts: int
    admissions: int
    files: int
    first_day: date
    last_day: date


def simulate(config: SimulatorConfig, folder: Path, progress: Progress | None = None) -> Summary:
    """Write the extracts and the truth of one simulated trust under `folder`.

    The same configuration gives the same bytes. A simulated trust that stands there already is replaced; ConfigError
    where `folder` holds anything else. `progress` is told what is being done and the share of it that is done.
    """
    tell: Progress = progress or (lambda _what, _share: None)
    with replaced(folder) as aside:
        return _write(config, aside, tell)


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A folder aside to write to, which takes the place of `folder` when all has been written. ConfigError where
    `folder` holds anything but a simulated trust."""
    folder = folder.resolve()
    _check_target(folder)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(config: SimulatorConfig, folder: Path, tell: Progress) -> Summary:
    trust = build_trust(config, lambda share: tell("living", share))
    quiet = trust.records.world.changes.quiet
    files = write_extracts(config, lay_out(trust), folder, quiet, lambda share: tell("writing", share))
    write_truth(trust.records, folder / "truth")
    write_config(config, folder)
    return _summary(trust, files)


def write_config(config: SimulatorConfig, folder: Path) -> None:
    (folder / CONFIG_FILE).write_text(config_text(config), encoding="utf-8")


def config_text(config: SimulatorConfig) -> str:
    return config.model_dump_json(indent=1, by_alias=True) + "\n"


def lay_out(trust: Trust) -> dict[str, Sequence[Sheet]]:
    """The files of each feed, with all their rows."""
    world = trust.records.world
    csds = [*patient_sheets(trust), *referral_sheets(trust), *contact_sheets(trust)]
    return {
        "csds": [stop_feed(duplicate_rows(sheet, world).in_order(), world) for sheet in csds],
        "hospital": acute_sheets(trust),
        "identity": [identity_sheet(trust)],
    }


def _check_target(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        message = f"A simulated trust is written to a folder; {folder} is a file. Name another place."
        raise ConfigError(message)
    inside = {path.name for path in folder.iterdir()}
    if inside and (CONFIG_FILE not in inside or inside - PARTS):
        message = (
            f"The folder for a simulated trust must be new, empty or hold one already; {folder} holds something else. "
            "Name another folder or empty this one."
        )
        raise ConfigError(message)


def _summary(trust: Trust, files: int) -> Summary:
    config, records = trust.records.world.config, trust.records
    cut = plan_extracts(config)[-1].before
    contacts, stays = trust.contacts, records.stays
    seen = (contacts.recorded_at < cut) & (contacts.recorded_at != NONE) & (contacts.deleted_at == NONE)
    begun = (config.start - EPOCH).days * DAY
    known = (
        stays.emergency
        & stays.reported
        & (stays.admitted >= begun)
        & (np.maximum(stays.opened_at, stays.sent_from) < cut)
    )
    return Summary(
        people=int((records.referrals.recorded[: len(records.people)] < cut).sum()),
        contacts=int(seen.sum()),
        admissions=int(known.sum()),
        files=files,
        first_day=config.start,
        last_day=config.last_day,
    )
