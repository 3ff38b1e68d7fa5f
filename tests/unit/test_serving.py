"""Processes that are served: ended with all they started, whatever they do; and what is said when one is gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from features.errors import ConfigError, WorkersError
from pipelines import serving
from pipelines.config import load_config
from pipelines.serving import Running, Served, descendants

CONFIGS = Path(__file__).parents[2] / "configs"
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def served(tmp_path):
    config = load_config(CONFIGS / "simulated.yaml", tmp_path / "workspace")
    return Served(CONFIGS / "simulated.yaml", config, CONFIGS / "prefect.yaml")


def test_what_does_not_hear_is_killed_with_what_it_started(monkeypatch):
    monkeypatch.setattr(serving, "STOP", 0.5)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        assert set(descendants(process.pid)) == {child}
        serving._end(process)
        assert process.returncode == -signal.SIGKILL
    assert gone(child)


def gone(pid):
    for _ in range(50):
        if not serving._begun(pid):
            return True
        time.sleep(0.1)
    return False


def test_what_another_has_begun_since_under_the_same_number_is_left_alone():
    assert serving._begun(os.getpid())
    assert descendants(os.getpid()).get(os.getppid()) is None


def test_a_port_that_is_taken_is_one_sentence(served):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Served(served.config, served.service, served.deployments, port=other.getsockname()[1])
        with (
            pytest.raises(ConfigError, match="address already in use. End what listens there, or name another --port"),
            serving.running(taken, print),
        ):
            pass


def test_where_one_of_the_two_ends_the_scheduler_ends_and_says_where_to_look(served):
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    ended.wait()
    with pytest.raises(WorkersError, match=r"Prefect's server must go on .* it ended with 3, .*server\.log holds"):
        Running(served, ended, ended).watch(print)


def test_of_the_database_only_the_server_is_told(served, monkeypatch):
    monkeypatch.setenv(serving.DATABASE, "sqlite:///elsewhere.db")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    told = served.environment()
    assert serving.DATABASE not in told
    assert told["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert told["PREFECT_HOME"] == str(served.service.workspace.resolve() / "prefect")
    assert served.database() == {serving.DATABASE: "sqlite:///elsewhere.db"}
