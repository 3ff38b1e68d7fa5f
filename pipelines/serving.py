"""The scheduler on one machine: Prefect's server, a process worker, its pool and the deployments, brought up together,
and ended together. They are processes of Prefect's command line; their state is in the workspace.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import ConfigError, WorkersError
from pipelines.config import ServiceConfig
from pipelines.databases import address, require
from pipelines.locks import alone
from pipelines.service import Service

Tell = Callable[[str], None]
POOL = "minus-nine"
SETTING = "databases.prefect"
EVERYWHERE = "0.0.0.0"
DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"
AT_ONCE = 2
"""Runs that the worker starts beside each other: a training must not keep the morning's lists waiting."""
PAUSES, BUSY = (1, 2, 4, 8, 16), 503
PR_SET_PDEATHSIG = 1
START, STOP, LOOK = 180.0, 30.0, 2.0
"""Seconds: what may take how long to answer, or to end before it is killed, and how often one looks."""
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_CLI_COLORS": "false"}
PATIENT = {"PREFECT_SERVER_DATABASE_TIMEOUT": "60", "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60"}
"""Seconds for which Prefect's server waits for its database: a busy machine is no reason to lose a run."""


@dataclass(frozen=True)
class Served:
    """Which service is scheduled, by the file that `deployments` is, and where Prefect listens. config: its file, which
    the flows read. settings: of Prefect, in place of the environment's."""

    config: Path
    service: ServiceConfig
    deployments: Path
    host: str = "127.0.0.1"
    port: int = 4200
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where this machine finds Prefect's pages, on whichever of its addresses they are heard."""
        return f"http://{'127.0.0.1' if self.host == EVERYWHERE else self.host}:{self.port}"

    @property
    def folder(self) -> Path:
        return Service(self.service).workspace.prefect.resolve()

    def environment(self) -> dict[str, str]:
        """What Prefect's processes are told. Of its database only the server is."""
        named = {
            "MINUSNINE_CONFIG": str(self.config.resolve()),
            "MINUSNINE_WORKSPACE": str(self.service.workspace.resolve()),
            "MINUSNINE_HOME": str(Path.cwd()),
            "PREFECT_HOME": str(self.folder),
            "PREFECT_API_URL": f"{self.page}/api",
            "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1", self.host))),
        }
        inherited = {name: value for name, value in os.environ.items() if name != DATABASE}
        return {"PREFECT_LOGGING_LEVEL": "WARNING", **PATIENT, **inherited, **QUIET, **self.settings, **named}

    def database(self) -> dict[str, str]:
        """What tells the server of its database, where it is not a file; StorageError where that does not answer."""
        url = address(self.service.databases.prefect, SETTING) or os.environ.get(DATABASE, "")
        if url:
            require(url, SETTING)
        return {DATABASE: url} if url else {}


@dataclass(frozen=True)
class Running:
    """A scheduler that is up."""

    served: Served
    server: "subprocess.Popen[bytes]"
    worker: "subprocess.Popen[bytes]"

    def ask(self, path: str, given: Mapping[str, Any] | None = None) -> Any:
        """What Prefect's API answers to a GET, or to a POST of what is given; OSError where it does not. A busy server
        is asked again, as Prefect's own clients do."""
        for pause in PAUSES:
            try:
                return asked(f"{self.served.page}/api{path}", given)
            except urllib.error.HTTPError as error:
                if error.code != BUSY:
                    raise
            time.sleep(pause)
        return asked(f"{self.served.page}/api{path}", given)

    def answers(self, path: str) -> bool:
        try:
            asked(f"{self.served.page}/api{path}")
        except OSError:
            return False
        return True

    def watch(self, tell: Tell) -> None:
        """Returns never: WorkersError where one of the two ends. A database that is lost, and back, is told."""
        ready = True
        while True:
            for name, process in (("server", self.server), ("worker", self.worker)):
                _refuse_ended(self.served, name, process)
            if ready != (ready := self.answers("/ready")):
                tell("Prefect's database is back." if ready else "Prefect's server does not reach its database.")
            time.sleep(LOOK)


@contextmanager
def running(served: Served, tell: Tell) -> Iterator[Running]:
    """Everything up and healthy, for as long as what is done inside lasts; then it is ended, whatever it takes.

    BusyError where the workspace is served already, ConfigError where the port is taken, StorageError where Prefect's
    database does not answer, WorkersError where something does not come up.
    """
    environment, database = served.environment(), served.database()
    with alone(served.folder / ".serve.lock", "scheduler", waits=False):
        _refuse_taken(served)
        tell("starting Prefect's server")
        with _process(served, "server", ["server", "start", *_place(served)], environment | database) as server:
            _wait(served, "server", server, lambda: asked(f"{served.page}/api/ready") is not None)
            tell("starting the worker")
            name = f"{socket.gethostname()}-{server.pid}"
            words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", name, "--limit", str(AT_ONCE)]
            with _process(served, "worker", words, environment) as worker:
                up = Running(served, server, worker)
                _wait(served, "worker", worker, lambda: _online(up, name))
                tell("deploying the schedules")
                _deploy(served, environment)
                yield up


def asked(url: str, given: Mapping[str, Any] | None = None) -> Any:
    """As `Running.ask`, past any proxy."""
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return json.loads(answer.read())


def _place(served: Served) -> list[str]:
    return ["--host", served.host, "--port", str(served.port)]


def _refuse_taken(served: Served) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((served.host, served.port))
        except OSError as error:
            message = (
                f"Prefect's server needs {served.host}:{served.port} for itself; {str(error.strerror).lower()}. End "
                "what listens there, or name another --port."
            )
            raise ConfigError(message) from None


@contextmanager
def _process(
    served: Served, name: str, words: list[str], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of Prefect's command line, ended with all that it started. What it says goes to a file by its name."""
    with _log(served, name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    try:
        yield process
    finally:
        _end(process)


def _end_with_parent() -> None:
    """Linux asks this process to end as soon as the one that started it is gone, however it went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _log(served: Served, name: str) -> Path:
    served.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = served.folder / f"{name}.log"
    path.touch(mode=0o600)
    return path


def _wait(served: Served, name: str, process: "subprocess.Popen[bytes]", well: Callable[[], bool]) -> None:
    """Until all is well; WorkersError where the process ends, or it takes too long."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        _refuse_ended(served, name, process)
        with suppress(OSError):
            if well():
                return
        time.sleep(0.2)
    where = _log(served, name)
    message = f"Prefect's {name} must come up within {START:.0f} seconds; it did not. {where} holds what it said."
    raise WorkersError(message)


def _refuse_ended(served: Served, name: str, process: "subprocess.Popen[bytes]") -> None:
    if (code := process.poll()) is not None:
        message = (
            f"Prefect's {name} must go on while the schedules are served; it ended with {code}, and they with it. "
            f"{_log(served, name)} holds what it said. Start again: what was due meanwhile is run then."
        )
        raise WorkersError(message)


def _online(up: Running, name: str) -> bool:
    found = up.ask(f"/work_pools/{POOL}/workers/filter", {"workers": {"status": {"any_": ["ONLINE"]}}})
    return any(worker["name"] == name for worker in found)


def _deploy(served: Served, environment: Mapping[str, str]) -> None:
    words = ["deploy", "--all", "--prefect-file", str(served.deployments.resolve())]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=START,
        check=False,
    )
    _log(served, "deploy").write_bytes(done.stdout)
    if done.returncode:
        message = (
            f"{served.deployments} must say what Prefect can deploy; it refused. {_log(served, 'deploy')} holds why. "
            "Correct the file."
        )
        raise ConfigError(message)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Asks the process to end, and kills it, or what it leaves behind, where that does not help."""
    family = descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
        if process.poll() is None:
            family |= descendants(process.pid)
            process.kill()
            process.wait()
    for pid, begun in family.items():
        if _begun(pid) == begun:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    """The processes that this one started, and theirs: when each began, which tells it from a later one so numbered."""
    parents = {int(path.name): fields[1] for path in Path("/proc").glob("[0-9]*") if (fields := _stat(int(path.name)))}
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if int(parent) in new} - found
        found |= new
    return {child: begun for child in found if (begun := _begun(child))}


def _begun(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _stat(pid: int) -> list[str]:
    """State, parent, and what else Linux says of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return []
