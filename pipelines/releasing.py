"""A day's release: its lists, the record of how they were made, the log of who is on them, and the run in MLflow.

The lists are shown in one step, the switch of a link. What is made before it nobody sees; what follows from it
(`finish`) the next run makes up for, where this one is killed.
"""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import MinusNineError, StorageError, place_of
from features.runs import in_order
from models import boosting
from models.bundle import load
from pipelines import commissioning, folders, listing, runs
from pipelines.daily import WORDS, Scored, local_day
from pipelines.gates.outcome import Outcome, of_plain
from pipelines.publish import MANIFEST, Published, Stamp, last_listed, stands
from pipelines.publish import publish as write_lists
from pipelines.runs import RUN, Run
from pipelines.service import Service
from pipelines.workspace import write_private


@dataclass(frozen=True)
class Day:
    """What a daily run published, or found published. version: which publication of the day it is; gates: what they
    said."""

    published: Published
    run_id: str
    notes: tuple[str, ...]
    version: int
    gates: tuple[Outcome, ...] = ()


@contextmanager
def expecting(service: Service) -> Iterator[None]:
    """Beside what is done inside: get ready to publish as many places as the newest lists have, and to score. What
    fails in that is told when it is needed."""
    with ThreadPoolExecutor(2) as beside:
        beside.submit(folders.expect, last_listed(service.workspace.lists), service.config.run.workers)
        beside.submit(_open_champion, service)
        beside.submit(in_order, np.zeros((6, 1), np.int64))  # what opens the compiled code, which takes half a second
        yield


def _open_champion(service: Service) -> None:
    """What there is to import and to read for it takes seconds once, and then hardly any time."""
    from pipelines import tracking

    for booster in load(tracking.champion(service.workspace).bundle).boosters:
        boosting.read(booster)


def publish(
    service: Service, scored: Scored, now: datetime, replacing: bool = False, seconds: Mapping[str, float] | None = None
) -> Day:
    """Publish every team's list of `scored`, with the record of the run and the log of who is on which list.

    now: when the run began. seconds: how long each step before this one took. replacing: in place of other lists that
    stand for the day, whose record and log stay.
    """
    began = time.perf_counter()
    people = service.identities.people()
    scored = replace(scored, stamp=_naming_the_nameless(scored, people))

    def around(folder: Path, digest: str) -> AbstractContextManager[None]:
        spent = {**(seconds or {}), "writing": time.perf_counter() - began}
        return _recorded(service, scored, now, spent, folder, digest)

    published = write_lists(
        scored.ranked,
        people,
        scored.teams,
        scored.stamp,
        service.workspace.lists,
        replace=replacing,
        unlisted=scored.unlisted,
        other_forms=service.config.forms.files,
        workers=service.config.run.workers,
        withheld=scored.withheld,
        team_notes=scored.team_notes,
        beside=scored.beside,
        around=around,
    )
    if runs.standing(service.workspace, scored.stamp.date) is None:  # lists that somebody has parted from their record
        with around(published.folder, published.digest):
            pass
    return _finished(service, published)


def standing(service: Service, as_of: datetime) -> Day | None:
    """The day's publication, where whole lists stand for it, with what a run that was killed left undone made up for;
    None where the day is still to be made."""
    day = local_day(service.config, as_of)
    run = runs.standing(service.workspace, day)
    if run is None or not stands(service.workspace.lists, day):
        return None
    told = run.told["lists"]
    folder = service.workspace.lists / day
    return _finished(service, Published(folder, False, told["teams"], told["listed"], told["digest"]))


def finish(service: Service, run: Run) -> str:
    """What follows from a publication, where it has not been done yet: the exposure log, the table of lists and MLflow.
    The MLflow run."""
    from pipelines import tracking

    if (settled := run.settled()) is not None:
        return settled
    ranked = run.ranked()
    with service.exposures.appending(_version(run.told), ranked):
        pass
    service.listing_table.show(service.workspace.lists / run.day)
    commissioning.write(service, run)
    run_id = tracking.log_day(
        service.workspace,
        run.day,
        parameters=run.told["parameters"],
        metrics=run.told["metrics"],
        ranked=ranked.drop(columns=[*WORDS, "age", "sex", *listing.COLUMNS], errors="ignore"),
        manifest=(service.workspace.lists / run.day / MANIFEST).read_text(encoding="utf-8"),
    )
    run.settle(run_id)
    return run_id


def finish_all(service: Service) -> None:
    """What follows from each publication that stands, where a run was killed before it was done."""
    for run in runs.published(service.workspace):
        finish(service, run)


def _finished(service: Service, published: Published) -> Day:
    run = runs.standing(service.workspace, published.folder.name)
    assert run is not None, "a publication has its record beside it"
    try:
        run_id, gates = finish(service, run), of_plain(run.told.get("gates", ()))
        return Day(published, run_id, tuple(run.told["notes"]), run.version, gates)
    except MinusNineError:
        raise
    except Exception as error:
        message = (
            f"The lists for {run.day} stand, but what follows from them could not be logged ({place_of(error)}). Run "
            "the day again when the database is back: it changes no list, and logs what is missing."
        )
        raise StorageError(message) from error


@contextmanager
def _recorded(
    service: Service, scored: Scored, now: datetime, seconds: Mapping[str, float], folder: Path, digest: str
) -> Iterator[None]:
    """Keeps the record of a publication and puts it beside its lists in `folder`; its exposures are logged for good
    once what is done inside, the switch to those lists, is done."""
    told, catalogue = _told(service, scored, now, seconds, digest), service.for_model(scored.bundle).catalogue_text
    run = runs.keep(service.workspace, told, scored.ranked, catalogue, scored.beside)
    with service.exposures.appending(_version(told), scored.ranked):
        write_private(folder / RUN, runs.as_json(run.told))
        yield


def _told(service: Service, scored: Scored, now: datetime, seconds: Mapping[str, float], digest: str) -> dict[str, Any]:
    """What `run.json` says."""
    stamp, listed = scored.stamp, int(scored.ranked["listed"].sum())
    metrics = _metrics(scored)
    return {
        "day": stamp.date,
        "version": runs.next_version(service.workspace, stamp.date),
        "as_of": stamp.as_of.isoformat(),
        "data_as_of": stamp.data_as_of.isoformat(),
        "published_at": (now + timedelta(seconds=sum(seconds.values()))).isoformat(),
        "seconds": {step: round(spent, 3) for step, spent in seconds.items()},
        "lists": {"digest": digest, "teams": len(scored.teams), "listed": listed},
        "notes": list(stamp.notes),
        "gates": [asdict(one) for one in scored.gates],
        "withheld": dict(scored.withheld),
        "feeds": {name: hours if pd.notna(hours) else None for name, hours in stamp.feed_ages},
        **scored.origin,
        "parameters": _parameters(scored, digest),
        "metrics": {name: float(value) for name, value in metrics.items() if pd.notna(value)},
    }


def _version(told: Mapping[str, Any]) -> dict[str, Any]:
    """A run as a row of the exposure log's publications."""
    return {
        "as_of": datetime.fromisoformat(told["as_of"]).astimezone(UTC),
        "version": told["version"],
        "published_at": datetime.fromisoformat(told["published_at"]).astimezone(UTC),
        "model": told["parameters"]["model_version"],
        "lists": told["lists"]["digest"],
        "listed": told["lists"]["listed"],
    }


def _naming_the_nameless(scored: Scored, people: pd.DataFrame) -> Stamp:
    """The stamp, with a note where people are listed of whom no identity is held at all."""
    listed = scored.ranked.loc[scored.ranked["listed"], "person_id"].drop_duplicates()
    nameless = int((~listed.isin(people["person_id"])).sum())
    if not nameless:
        return scored.stamp
    note = (
        f"{nameless} of the {len(listed)} people on today's lists are shown by a number, since who they are is not "
        "held. Tell whoever runs this system."
    )
    return replace(scored.stamp, notes=(*scored.stamp.notes, note))


def _parameters(scored: Scored, digest: str) -> dict[str, str]:
    return {
        "as_of": scored.stamp.as_of.isoformat(),
        "data_as_of": scored.stamp.data_as_of.isoformat(),
        "model_version": scored.stamp.model_version,
        "contract": scored.bundle.contract.fingerprint,
        "manifest_digest": digest,
    }


def _metrics(scored: Scored) -> dict[str, float]:
    """Counts, feed ages (hours) and the distribution of risk."""
    people = scored.ranked.drop_duplicates("person_id")
    quantiles = {f"risk_p{int(q * 100):02}": people["risk"].quantile(q) for q in (0.05, 0.5, 0.95, 0.99)}
    ages = {f"feed_age_hours_{name}": hours for name, hours in scored.stamp.feed_ages}
    withheld = {"withheld": int((scored.ranked["withheld"] != "").sum())} if "withheld" in scored.ranked else {}
    return {
        "teams": len(scored.teams),
        "people": len(people),
        "listed": int(scored.ranked["listed"].sum()),
        **withheld,
        "risk_mean": people["risk"].mean(),
        **quantiles,
        **ages,
    }


def list_pages(published: Published) -> list[Path]:
    """The team pages of a publication, in the order of its manifest."""
    manifest = json.loads((published.folder / MANIFEST).read_text(encoding="utf-8"))
    return [published.folder / path for path in manifest["files"] if path.endswith("list.html")]
