"""What may be wrong before anything runs: versions, configuration, feeds, history, model, keys, disk."""

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from packaging.version import Version

from features.errors import MinusNineError
from pipelines.config import ServiceConfig
from pipelines.feeds import feed_ages, late_feeds
from pipelines.mapping import map_buckets
from pipelines.opting_out import checked
from pipelines.service import Service
from pipelines.store import History

BOUNDS = {
    "fastapi": ("0.151", "Prefect's server refuses requests with it"),
    "sqlalchemy": ("2.1", "Prefect's schedules silently do nothing with it"),
    "duckdb": ("2", "results are read in a way that it dropped"),
}
LEAST_FREE_GB = 2


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing, and whether it is well."""

    well: bool
    says: str


def examine(config: ServiceConfig, now: datetime) -> list[Finding]:
    """Every finding, in the order in which things depend on one another."""
    service = Service(config)
    checks: tuple[Callable[[Service, datetime], Iterator[Finding]], ...] = (
        _versions,
        _catalogue,
        _sources,
        _history,
        _databases,
        _workers,
        _rules,
        _champion,
        _opt_out,
        _secrets,
        _disk,
    )
    return [finding for check in checks for finding in _guarded(check, service, now)]


def _guarded(
    check: Callable[[Service, datetime], Iterator[Finding]], service: Service, now: datetime
) -> Iterator[Finding]:
    """A check that meets an error finds that error."""
    try:
        yield from check(service, now)
    except MinusNineError as error:
        yield Finding(False, str(error))
    except Exception as error:  # whatever a broken file raises is what the doctor is for
        what = check.__name__.strip("_")
        yield Finding(False, f"{what}: cannot be read ({type(error).__name__}). Restore the workspace from a backup.")


def _versions(_service: Service, _now: datetime) -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding(supported, f"Python {sys.version_info[0]}.{sys.version_info[1]} (3.11 to 3.13 are supported)")
    for package, (bound, why) in BOUNDS.items():
        found = version(package)
        good = Version(found) < Version(bound)
        yield Finding(
            good, f"{package} {found}" + ("" if good else f" must be below {bound}: {why}. Run `make setup`.")
        )


def _catalogue(service: Service, _now: datetime) -> Iterator[Finding]:
    catalogue = service.catalogue
    yield Finding(True, f"{len(catalogue.contract.names)} features in {len(catalogue.families)} families")


def _sources(service: Service, _now: datetime) -> Iterator[Finding]:
    for name, source in service.config.sources.items():
        try:
            service.mapping(source)
            found = len(service.extracts(name))
            yield Finding(found > 0 or source.optional, f"source '{name}': {found} extracts to be found")
        except MinusNineError as error:
            yield Finding(False, str(error))


def _history(service: Service, now: datetime) -> Iterator[Finding]:
    service.workspace.key()
    ledger = service.history.ledger()
    for bucket in range(service.history.buckets):
        service.history.read(bucket)
    service.identities.people()
    yield Finding(
        len(ledger) > 0, f"history: {len(ledger)} extracts taken up" + ("" if len(ledger) else ". Run ingest.")
    )
    if service.config.simulated:
        return
    ages = feed_ages(service, now)
    late = late_feeds(service, ages)
    for name, hours in ages.items():
        yield Finding(name not in late, late.get(name, f"feed '{name}': newest extract {hours:.0f} hours old"))


def _databases(service: Service, _now: datetime) -> Iterator[Finding]:
    from pipelines.databases import address, require  # SQLAlchemy takes a while to import

    config = service.config
    named = {"exposure.url": config.exposure.url, "databases.mlflow": config.databases.mlflow}
    for setting, url in {**named, "databases.prefect": config.databases.prefect}.items():
        if url:
            try:
                require(address(url, setting), setting)
                yield Finding(True, f"the database that {setting} names answers")
            except MinusNineError as error:
                yield Finding(False, str(error))


def _workers(service: Service, _now: datetime) -> Iterator[Finding]:
    """One of those who work on the buckets is given the history, which it refuses if it does not see the same one."""
    with service.workers() as over:
        map_buckets(over, _buckets, [service.history])
    yield Finding(True, f"buckets are worked on by {service.config.run.by}")


def _buckets(history: History) -> int:
    return history.buckets


def _rules(service: Service, _now: datetime) -> Iterator[Finding]:
    from pipelines import tracking

    number = len(service.config.rules)
    none = "a first model has to beat a simple rule, and there is none. Add 'rules' as in configs/simulated.yaml."
    if number or tracking.holder(service.workspace, tracking.CHAMPION) is None:
        yield Finding(number > 0, f"{number} simple rules for a first model to beat" if number else none)


def _champion(service: Service, _now: datetime) -> Iterator[Finding]:
    from models.bundle import load
    from pipelines import tracking

    champion = tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    same = bundle.contract.fingerprint == service.for_model(bundle).catalogue.contract.fingerprint
    clause = (
        "" if same else " was trained on other features than the catalogue has now: retrain, or restore the catalogue"
    )
    yield Finding(same, f"champion: model {champion.version}{clause}")


def _opt_out(service: Service, now: datetime) -> Iterator[Finding]:
    for use in service.config.access.opt_out.applies:
        found = checked(service, now, use)
        if found.told is not None:
            says = f"opt-outs from {use}: a file of {found.told['numbers']:,} NHS numbers. {found.note}"
            yield Finding(not found.note, says.strip())


def _secrets(service: Service, _now: datetime) -> Iterator[Finding]:
    for path in sorted(service.workspace.identity.glob("*")):
        closed = not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        clause = "is open to others than its owner: chmod 600 it"
        yield Finding(closed, f"{path.name} {'can be read by its owner alone' if closed else clause}")


def _disk(service: Service, _now: datetime) -> Iterator[Finding]:
    here = service.workspace.root if service.workspace.root.exists() else service.workspace.root.absolute().parent
    free = shutil.disk_usage(here).free / 1e9
    yield Finding(free >= LEAST_FREE_GB, f"{free:.0f} GB free where the workspace is (at least {LEAST_FREE_GB} wanted)")
