"""Writing a simulated trust's folder: all of it or nothing."""

import shutil
from collections.abc import Callable, Sequence
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
from pipelines.simulator.faults import duplicate_rows
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
    folder = folder.resolve()
    _check_target(folder)
    tell: Progress = progress or (lambda _what, _share: None)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        summary = _write(config, aside, tell)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return summary


def _write(config: SimulatorConfig, folder: Path, tell: Progress) -> Summary:
    trust = build_trust(config, lambda share: tell("living", share))
    files = write_extracts(config, lay_out(trust), folder, lambda share: tell("writing", share))
    write_truth(trust, folder / "truth")
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return _summary(trust, files)


def lay_out(trust: Trust) -> dict[str, Sequence[Sheet]]:
    """The files of each feed, with all their rows."""
    people, referrals, contacts, acute, identity, again = map(np.random.default_rng, trust.rows.spawn(6))
    csds = [*patient_sheets(trust, people), *referral_sheets(trust, referrals), *contact_sheets(trust, contacts)]
    faults = trust.config.faults
    return {
        "csds": [duplicate_rows(sheet, faults, again).in_order() for sheet in csds],
        "hospital": acute_sheets(trust, acute),
        "identity": [identity_sheet(trust, identity)],
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
    cut = plan_extracts(trust.config)[-1].before
    contacts, stays = trust.contacts, trust.stays
    seen = (contacts.recorded_at < cut) & (contacts.recorded_at != NONE) & ~contacts.deleted
    config = trust.config
    begun = (config.start - EPOCH).days * DAY
    return Summary(
        people=int((trust.referrals.recorded[: len(trust.people)] < cut).sum()),
        contacts=int(seen.sum()),
        admissions=int((stays.emergency & (stays.admitted >= begun) & (stays.opened_at < cut)).sum()),
        files=files,
        first_day=config.start,
        last_day=config.last_day,
    )
