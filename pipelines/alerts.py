"""What operations are told: lines added to a file of the workspace and, where an address is set, posted there.

No line names or numbers a person. Whether a post arrives is written down too, and changes nothing else.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from features.errors import BlockedError, MinusNineError
from pipelines.gates.config import AlertsConfig
from pipelines.gates.outcome import TEAM, Outcome
from pipelines.service import Service

BLOCKED, FAILED, HELD_BACK, WARNING, POST = "blocked", "failed", "held back", "warning", "post"
PAUSES = (1.0, 3.0)
"""Seconds before the second and the third try at a post; the last before those that follow."""
UNFORESEEN = "something went wrong that operations have to look at."


@dataclass(frozen=True)
class Alert:
    """day: that of the lists, as 2026-02-03. kind: blocked (a gate let nothing through), failed (no list for another
    reason), held back (one team's list), warning (published, with a note). gate and subject: whose finding it is."""

    day: str
    kind: str
    says: str
    gate: str = ""
    subject: str = ""


def of_day(day: str, gates: Sequence[Outcome], notes: Sequence[str]) -> list[Alert]:
    """The alerts of lists that were published: what their gates found, and what else their pages have to say."""
    found = [Alert(day, _kind(one), one.says, one.gate, one.subject) for one in gates if one.failed]
    others = [note for note in notes if not any(alert.says in note for alert in found)]
    return found + [Alert(day, WARNING, note) for note in others]


def of_failure(day: str, error: BaseException) -> Alert:
    """The alert of a day that has no lists."""
    kind = BLOCKED if isinstance(error, BlockedError) else FAILED
    return Alert(day, kind, str(error) if isinstance(error, MinusNineError) else UNFORESEEN)


def alert(service: Service, alerts: Sequence[Alert], now: datetime) -> int:
    """Tell what has not been told yet; how much that was."""
    path = service.workspace.alerts
    before = {_same(line) for line in told(service)}
    fresh = [line for one in alerts if _same(line := _line(one, now)) not in before]
    if fresh:
        _append(path, fresh)
        if service.config.alerts.url:
            _append(path, [_posted(service, fresh, now)])
    return len(fresh)


def told(service: Service) -> list[dict[str, Any]]:
    """The lines of the file, oldest first; one that a kill cut short is left out."""
    path = service.workspace.alerts
    return list(_whole(path.read_text(encoding="utf-8"))) if path.is_file() else []


def _whole(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield dict(json.loads(line))
        except ValueError:
            continue


def _kind(one: Outcome) -> str:
    return HELD_BACK if one.gate == TEAM and one.level == "block" else WARNING


def _line(one: Alert, now: datetime) -> dict[str, Any]:
    return {"at": now.astimezone(UTC).isoformat(timespec="seconds"), **asdict(one)}


def _same(line: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in line.items() if name != "at"}, sort_keys=True)


def _append(path: Any, lines: Sequence[dict[str, Any]]) -> None:
    """Whole lines at the end of the file, on disk before it returns; one that was cut short stays a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        cut_short = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        file.write(b"\n" * cut_short + text.encode())
        file.flush()
        os.fsync(file.fileno())


def _posted(service: Service, fresh: Sequence[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Posts the lines; a line that says what came of it, and nothing of the address."""
    config = service.config.alerts
    body = json.dumps({"trust": service.config.trust, "alerts": fresh}, ensure_ascii=False).encode()
    for number in range(1, config.tries + 1):
        fault = _post(config, body)
        if not fault or number == config.tries:
            break
        time.sleep(PAUSES[min(number, len(PAUSES)) - 1])
    says = f"not delivered in {number} tries: {fault}" if fault else f"delivered at try {number}"
    return _line(Alert(str(fresh[0]["day"]), POST, says), now) | {"alerts": len(fresh), "delivered": not fault}


def _post(config: AlertsConfig, body: bytes) -> str:
    """What went wrong, in a word; empty where it was taken."""
    url = os.path.expandvars(config.url)
    if not url.startswith(("http://", "https://")):
        return "alerts.url is no http address"
    try:
        request = Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
        with urlopen(request, timeout=config.timeout):
            return ""
    except (OSError, ValueError, HTTPException) as error:
        code = getattr(error, "code", None)
        return f"answered {code}" if code else type(error).__name__
