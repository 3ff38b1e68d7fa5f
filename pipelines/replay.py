"""A published day made again from the history, and held row by row against what was published."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.cohort import NOBODY, OptedOut
from features.errors import MinusNineError, ReplayError
from features.states import without_learned
from models.bundle import Bundle, load
from pipelines import opting_out, runs
from pipelines.config import ServiceConfig
from pipelines.daily import left_out, ranking, without
from pipelines.fingerprints import digest_of
from pipelines.origins import SETTINGS, digest_of_rows, packages, settings
from pipelines.runs import Run
from pipelines.service import Service

Tell = Callable[[str], None]
KEYS = ["team_id", "rank"]


@dataclass(frozen=True)
class Replayed:
    """What came of it. difference: where the first row differs, without saying whose it is, and `cause` why; both empty
    where every row is equal. changed: what is otherwise today than it was then, and did not matter."""

    day: str
    version: int
    rows: int
    difference: str = ""
    cause: str = ""
    changed: tuple[str, ...] = ()

    def require(self) -> None:
        if self.difference:
            message = (
                f"Version {self.version} of {self.day} must come out again as it was published; it does not: "
                f"{self.difference}. {self.cause} What was published stands."
            )
            raise ReplayError(message)


def replay(service: Service, day: str, tell: Tell) -> Replayed:
    """The ranking that stands for the day, made again from the history as it was then, with the model, the catalogue,
    the settings and the earlier rankings that it was made with.

    ReplayError where nothing stands for the day, or something that it was made of is not there any more.
    """
    run = runs.standing(service.workspace, day)
    if run is None:
        message = f"A replay needs lists that stand, with their record; there are none for {day}. Name another day."
        raise ReplayError(message)
    bundle = _bundle(service, run)
    known = _same_history(service, run)
    mine = replace(
        service,
        config=_as_configured(service.config, run.told["config"]),
        own_catalogue=run.catalogue(),
        batches=int(run.told["history"]["batches"]) if known else None,
    )
    as_of = datetime.fromisoformat(run.told["as_of"])
    published, earlier = run.ranked(), _earlier(service.workspace.runs, run)
    order = published if run.rekeyed else None
    again = ranking(mine, bundle, as_of, earlier, tell, _opted_out(run, published), order)
    made = without(again.ranked, run.told.get("withheld", {}))
    difference = first_difference(published, pd.read_parquet(io.BytesIO(runs.as_parquet(made))))
    difference = difference or _other_opt_outs(run, left_out(again.snap))
    same_features = digest_of_rows(again.snap.frame) == run.told["features"]
    cause = _cause(run, known, same_features) if difference else ""
    return Replayed(day, run.version, len(made), difference, cause, _changed(service, run))


def first_difference(published: pd.DataFrame, made: pd.DataFrame) -> str:
    """Where the first row in the order of teams and ranks differs, without naming anyone; empty where none does."""
    before, after = (frame.sort_values(KEYS, ignore_index=True) for frame in (published, made))
    if list(before.columns) != list(after.columns):
        return "the columns are others"
    if len(before) != len(after):
        return f"{len(before)} rows were published, and {len(after)} are made"
    unlike = pd.DataFrame({name: _unlike(before[name], after[name]) for name in before})
    if not unlike.any(axis=None):
        return ""
    row = int(unlike.any(axis=1).to_numpy().argmax())
    columns = ", ".join(str(name) for name in unlike if unlike[name].iloc[row])
    place = f"team {before['team_id'].iloc[row]}, rank {before['rank'].iloc[row]}"
    return f"the first row that differs is that of {place}, in {columns}"


def _opted_out(run: Run, published: pd.DataFrame) -> OptedOut:
    """Who had opted out then is not kept, only how many: whoever was not published is taken for one of them."""
    if "opt_out" not in run.told:
        return NOBODY
    return OptedOut(published["person_id"].unique(), keeps=True)


def _other_opt_outs(run: Run, found: int) -> str:
    if run.told.get("withheld"):  # who was held back with their team was not published either, and cannot be told apart
        return ""
    then = run.told.get("opt_out", {}).get("left_out", 0)
    if opting_out.shown(found) == then:
        return ""
    return f"{then} people had opted out, and {opting_out.shown(found)} more than were ranked are found"


def _unlike(one: pd.Series, other: pd.Series) -> pd.Series:
    same: pd.Series = (one == other) | (one.isna() & other.isna())
    return ~same


def _bundle(service: Service, run: Run) -> Bundle:
    """The model that the day was published with; ReplayError where it is not there as it was."""
    told = run.told["model"]
    try:
        bundle = load(service.workspace.models / str(told["bundle"]))
    except MinusNineError as error:
        message = f"Version {run.version} of {run.day} must be made again with the model of then, {told['bundle']}: "
        raise ReplayError(message + str(error)) from error
    if bundle.fingerprint != told["fingerprint"]:
        message = (
            f"Version {run.version} of {run.day} was made with model {str(told['fingerprint'])[:12]}; the bundle "
            f"{told['bundle']} is {bundle.fingerprint[:12]} by now. Restore it from a backup."
        )
        raise ReplayError(message)
    return bundle


def _same_history(service: Service, run: Run) -> bool:
    """Whether the history begins with the extracts that it held then, in their order."""
    told = run.told["history"]
    held = service.history.ledger()["fingerprint"].head(int(told["batches"]))
    return digest_of(held) == str(told["digest"])


def _as_configured(config: ServiceConfig, told: Mapping[str, Any]) -> ServiceConfig:
    """The configuration with the settings that the ranking was made by; those that there were none of then, as they are
    by default."""
    raw = config.model_dump(mode="json", exclude={"folder", *SETTINGS}) | dict(told)
    return ServiceConfig.model_validate(raw | {"folder": config.folder})


def _earlier(folder: Path, run: Run) -> list[Run]:
    """The rankings that it was compared with."""
    found = [folder / day / str(version) for day, version in run.told["previous"]]
    missing = [path for path in found if not (path / runs.RANKED).is_file()]
    if missing:
        message = (
            f"Version {run.version} of {run.day} was compared with {len(found)} earlier rankings; {missing[0]} is not "
            "there any more. Restore it from a backup."
        )
        raise ReplayError(message)
    return [Run(path, {}) for path in found]


def _cause(run: Run, known: bool, same_features: bool) -> str:
    other = [name for name, version in packages().items() if run.told["packages"].get(name) != version]
    if same_features:
        return f"The features are those of then, so the scoring is not: {_software(other)}"
    if not known:
        return (
            "The history changed: it does not begin with the extracts that it held then. Restore it from a backup, or "
            "look at what was ingested again."
        )
    return (
        "The features are not those of then, though the history names the same extracts: its tables were altered, or "
        + _software(other)
    )


def _software(other: list[str]) -> str:
    return f"{', '.join(other)} {'is' if len(other) == 1 else 'are'} of another version." if other else "this software."


def _changed(service: Service, run: Run) -> tuple[str, ...]:
    """What is otherwise today, of all that the replay took from the run's own record."""
    now, then = settings(service.config), settings(_as_configured(service.config, run.told["config"]))
    found = [f"the setting {name}" for name in sorted(now) if now[name] != then[name]]
    same = without_learned(service.catalogue_text).rstrip() == without_learned(run.catalogue()).rstrip()
    return tuple(found) if same else (*found, "the catalogue")
