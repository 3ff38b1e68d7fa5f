"""Operations are told once, in a file and at an address; what becomes of the post is written down, and no more."""

import json
import stat
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from features.errors import BlockedError, SourceError
from pipelines.alerts import Alert, alert, of_day, of_failure, told
from pipelines.config import ServiceConfig
from pipelines.gates.outcome import Outcome
from pipelines.service import Service

NOW = datetime(2026, 2, 3, 6, 5, tzinfo=UTC)
ONE = Alert("2026-02-03", "warning", "Rows are few.", "rows", "community")


class Receiver:
    """A server that answers with `codes` in turn, and keeps what was posted."""

    def __init__(self, *codes: int) -> None:
        self.got: list[dict] = []  # type: ignore[type-arg]
        left, got = list(codes), self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(left.pop(0))
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> "Receiver":
        self.thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"


def service(tmp_path: Path, **alerts: object) -> Service:
    return Service(ServiceConfig(trust="T", features=Path("f"), sources={}, workspace=tmp_path, alerts=alerts))  # type: ignore[arg-type]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def test_an_alert_is_a_line_that_only_its_owner_reads_and_is_told_once(tmp_path: Path) -> None:
    mine = service(tmp_path)
    assert alert(mine, [ONE], NOW) == 1
    assert alert(mine, [ONE], NOW.replace(hour=7)) == 0
    assert alert(mine, [ONE, Alert("2026-02-04", "failed", "It broke.")], NOW.replace(hour=8)) == 1
    lines = [json.loads(line) for line in mine.workspace.alerts.read_text().splitlines()]
    assert lines[0] == {
        **{"at": "2026-02-03T06:05:00+00:00", "day": "2026-02-03", "kind": "warning", "says": "Rows are few."},
        **{"gate": "rows", "subject": "community"},
    }
    assert [line["day"] for line in lines] == ["2026-02-03", "2026-02-04"]
    assert stat.S_IMODE(mine.workspace.alerts.stat().st_mode) == 0o600


def test_a_line_that_a_kill_cut_short_stays_a_line_of_its_own(tmp_path: Path) -> None:
    mine = service(tmp_path)
    alert(mine, [ONE], NOW)
    with mine.workspace.alerts.open("a") as file:
        file.write('{"at": "2026')
    assert alert(mine, [Alert("2026-02-04", "failed", "It broke.")], NOW) == 1
    assert [line["says"] for line in told(mine)] == ["Rows are few.", "It broke."]


def test_the_post_arrives_and_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(200) as server:
        monkeypatch.setenv("ALERTS_HOST", server.url)
        mine = service(tmp_path, url="$ALERTS_HOST?key=secret")
        assert alert(mine, [ONE], NOW) == 1
    (got,) = server.got
    assert got["trust"] == "T"
    assert [line["says"] for line in got["alerts"]] == ["Rows are few."]
    assert told(mine)[-1]["delivered"] is True
    assert "secret" not in mine.workspace.alerts.read_text()


def test_a_post_is_tried_again_and_given_up_without_harm(tmp_path: Path, pauses: list[float]) -> None:
    with Receiver(500, 503, 204) as server:
        mine = service(tmp_path, url=server.url)
        alert(mine, [ONE], NOW)
    assert (len(server.got), pauses) == (3, [1, 3])
    assert told(mine)[-1]["says"] == "delivered at try 3"
    alert(service(tmp_path, url=server.url, tries=2), [Alert("2026-02-04", "failed", "It broke.")], NOW)
    last = told(mine)[-1]
    assert (last["delivered"], last["kind"]) == (False, "post")
    assert last["says"] == "not delivered in 2 tries: URLError"
    alert(service(tmp_path, url="$NOWHERE", tries=1), [Alert("2026-02-05", "failed", "It broke.")], NOW)
    assert "no http address" in told(mine)[-1]["says"]


def test_what_a_day_and_a_failure_are_told_as() -> None:
    gates = [
        Outcome("rows", "a", "warn", "failed", says="Few."),
        Outcome("team feed", "T1", "block", "failed", says="Silent."),
        Outcome("risk", "mean", "block", "passed"),
    ]
    found = of_day("2026-02-03", gates, ["Few.", "Nameless."])
    assert [(one.kind, one.says) for one in found] == [
        ("warning", "Few."),
        ("held back", "Silent."),
        ("warning", "Nameless."),
    ]
    assert of_failure("2026-02-03", BlockedError("No.")).kind == "blocked"
    assert of_failure("2026-02-03", SourceError("No.")).kind == "failed"
    assert "John" not in of_failure("2026-02-03", KeyError("John Smith")).says
