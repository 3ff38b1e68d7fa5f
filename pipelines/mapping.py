"""Work on person buckets by threads of this process, a pool of processes, or the workers of a Dask cluster.

The same functions, and results in the order of the items, so that each gives the same bytes. To another process go
work and item as `pickle` writes them; back comes the result or a fault. Nothing is raised there: a worker logs what a
failed call was given.
"""

import gc
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from platform import python_version_tuple
from threading import Thread
from typing import Any, TypeVar
from uuid import uuid4

from features.errors import ConfigError, MinusNineError, RemoteError, WorkersError, place_of
from pipelines.config import RunConfig
from pipelines.memory import hold_on

Item = TypeVar("Item")
Result = TypeVar("Result")
Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]
"""(work, items) -> the place and the result of each item, as they are finished."""
Opened = Callable[[RunConfig], AbstractContextManager[Mapper]]
PACKAGES = ("features", "models", "pipelines")
LIBRARIES = ("numpy", "pandas", "pyarrow", "duckdb", "numba", "deltalake")
TICK = 1.0
"""Seconds between two looks at whether a cluster still has workers."""


@dataclass(frozen=True)
class Fault:
    """What came of work that failed in another process."""

    error: Exception


def map_buckets(
    over: Mapper, work: Callable[[Item], Result], items: Sequence[Item], done: Callable[[int], None] = lambda _: None
) -> list[Result]:
    """`work` of every item, in their order. `done` is told how many are finished each time that one is.

    work: a function that another process can import, or a `partial` of one.
    """
    found: dict[int, Result] = {}
    for place, result in over(work, items):
        found[place] = result
        done(len(found))
    return [found[place] for place in range(len(items))]


@contextmanager
def opened(run: RunConfig) -> Iterator[Mapper]:
    """The mapper that the configuration names. WorkersError where a cluster does not answer."""
    hold_on()
    if run.by == "threads":
        with ThreadPoolExecutor(run.workers) as threads:
            yield partial(by_pool, threads)
    elif run.by == "processes":
        with started(run.workers) as processes:
            yield partial(by_processes, processes)
    else:
        from distributed import Client  # half a second to import: only those who have a cluster wait for it

        with on_cluster(run, Client, attempt) as mapper:
            yield mapper


def started(workers: int, ready: Sequence[str] = ()) -> ProcessPoolExecutor:
    """So many processes of this machine, which end with this one however it ends. ready: modules that they will need,
    imported once for all of them, by the first of whom they are copies; what is said first holds."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", *ready])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    """A pool's process waits for work on a pipe that it holds open itself: it would wait for ever for a run that was
    killed. What it begins with it need not look through for what is no longer used."""
    gc.freeze()
    hold_on()

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def by_pool(pool: Executor, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
    """A mapper; what fails is raised as it is, and what has not begun by then is left."""
    futures = {pool.submit(work, item): place for place, item in enumerate(items)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def by_processes(pool: Executor, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
    """A mapper. WorkersError where a process is ended from outside."""
    try:
        for place, outcome in by_pool(pool, partial(attempt, footing(), _packed(work)), items):
            yield place, _of(outcome)
    except BrokenProcessPool:
        message = (
            "The processes of a run must live until it is done; one was ended, for want of memory as a rule. Lower "
            "run.workers, or take the extracts up into a history of more buckets."
        )
        raise WorkersError(message) from None


@contextmanager
def on_cluster(run: RunConfig, connect: Callable[..., Any], call: Any) -> Iterator[Mapper]:
    """The mapper of the cluster at `run.address`. connect: makes its client; call: `attempt`, or what stands for it."""
    for name in ("distributed", "distributed.client"):  # what it says of a lost scheduler, one sentence says here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = connect(run.address, timeout=run.patience, set_as_default=False)
    except (OSError, TimeoutError):
        raise WorkersError(_unreachable(run)) from None
    with client:
        yield partial(by_cluster, client, call, run)


def by_cluster(
    client: Any, call: Any, run: RunConfig, work: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[tuple[int, Result]]:
    """A mapper. Work of a worker that is lost goes to another; WorkersError where none is left or the scheduler goes.

    Work goes out with every item and is not left with the workers: what a lost worker held alone could not be made
    again. Nor is it taken to be pure: what it reads may have changed since a call of the same words.
    """
    if client.status == "closed":  # the scheduler was lost since the last call, and did not come back
        raise WorkersError(_unreachable(run))
    payload = _packed(work)
    futures = [client.submit(call, footing(), payload, item, pure=False) for item in items]
    place = {future.key: number for number, future in enumerate(futures)}
    for key, outcome in _outcomes(client, futures, run):
        yield place[key], _of(outcome)


def attempt(expected: dict[str, str], payload: bytes, item: Any) -> Any:
    """The result of the pickled work for `item`, or its fault, which quotes nothing of the item or the data."""
    try:
        _require(expected)
        return _unpacked(payload)(item)
    except MinusNineError as error:
        return Fault(error)
    except Exception as error:  # whatever it is, its own words may hold a cell
        return Fault(RemoteError(place_of(error)))


def _packed(work: Callable[[Any], Any]) -> bytes:
    return pickle.dumps((uuid4(), work))


@lru_cache(maxsize=1)
def _unpacked(payload: bytes) -> Callable[[Any], Any]:
    """Once a call in each process, not once a bucket; never what an earlier call had, whatever it was given."""
    work: Callable[[Any], Any] = pickle.loads(payload)[1]
    return work


@cache
def footing() -> dict[str, str]:
    """What has to be the same wherever work is done for its bytes to be the same."""
    code, root = sha256(), Path(__file__).parents[1]
    for path in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        code.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    libraries = {name: version(name) for name in LIBRARIES}
    return {"code of minus-nine": code.hexdigest()[:12], "python": ".".join(python_version_tuple()[:2]), **libraries}


def _require(expected: dict[str, str]) -> None:
    for what, wanted in expected.items():
        if footing().get(what) != wanted:
            message = (
                f"Every worker must have the {what} of the run that it works for, {wanted}; one has "
                f"{footing().get(what)}. Install the same version where that worker runs and start it again."
            )
            raise ConfigError(message)


def _of(outcome: Any) -> Any:
    if isinstance(outcome, Fault):
        raise outcome.error
    return outcome


def _outcomes(client: Any, futures: Iterable[Any], run: RunConfig) -> Iterator[tuple[str, Any]]:
    """Key and outcome of futures as they are finished, for as long as there is a scheduler and, now and then, a worker.
    Workers are let go of what they have handed over."""
    waiting, last_seen = set(futures), time.monotonic()
    while waiting:
        for future in _done(client, waiting, run):
            with suppress(TimeoutError):  # whoever held it was lost: it is being made again
                outcome = _fetched(future, run)
                future.release()
                waiting.remove(future)
                yield future.key, outcome
        if _workers(client, run):
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > run.patience:
            message = (
                f"A run on a Dask cluster needs workers; for {run.patience:g} seconds the scheduler at {run.address} "
                f"has had none, or has not answered, with {len(waiting)} buckets to go. Start workers and run it again."
            )
            raise WorkersError(message)


def _done(client: Any, waiting: set[Any], run: RunConfig) -> set[Any]:
    from distributed import wait

    try:
        with client.as_current():
            return set(wait(list(waiting), timeout=TICK, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return set()
    except CancelledError:
        raise WorkersError(_unreachable(run)) from None


def _workers(client: Any, run: RunConfig) -> int:
    """How many the scheduler has; none where it does not answer."""
    if client.status != "running":
        return 0
    try:
        return int(client.sync(client.scheduler.identity, n_workers=0, callback_timeout=run.patience)["n_workers"])
    except (OSError, TimeoutError):
        return 0


def _fetched(future: Any, run: RunConfig) -> Any:
    """A finished future's outcome. `attempt` does not raise: what does is the cluster's."""
    try:
        return future.result(timeout=run.patience)
    except TimeoutError:
        raise
    except Exception as error:
        message = (
            f"The Dask cluster at {run.address} must finish every bucket; it gave one up ({type(error).__name__}). "
            "Look into the workers' logs, for want of memory before all, and run it again."
        )
        raise WorkersError(message) from None


def _unreachable(run: RunConfig) -> str:
    return (
        f"run.address must be that of a Dask scheduler that answers; {run.address} does not. Start `dask scheduler` "
        "there and run it again, or set run.by to threads."
    )
