"""A board for tests: a workspace with published lists of invented people, its accounts, and somebody to ask it."""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import select

from pipelines import runs
from pipelines.board.accounts import WITH_TEAMS, Account, Accounts
from pipelines.board.app import make_app
from pipelines.board.desk import Desk
from pipelines.board.passwords import hashed
from pipelines.board.records import Records
from pipelines.config import BoardConfig, ServiceConfig
from pipelines.exposure import Exposures
from pipelines.identities import COLUMNS, Identities
from pipelines.pages.teams import slug
from pipelines.publish import MANIFEST, Stamp, publish
from pipelines.status import Status
from pipelines.workspace import Workspace

with warnings.catch_warnings():  # it would rather have another client than the one that is there
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

CUT = datetime(2026, 2, 3, 6, 0, tzinfo=UTC)
HALF_PAST_SEVEN = CUT + timedelta(hours=1, minutes=30)
NORTH, WEST = "north", "UCR/West & Central"
WEST_FOLDER = "UCR-West-Central~67e3f84fd8ba3f7c"
PASSWORD = "a long enough password"
PEOPLE = {
    1: ("9990000018", "Okafor", "Ngozi"),
    2: ("9990000026", "<script>alert(1)</script>", "O'Dowd"),
    3: ("9990000034", "Lee", "An"),
    4: ("9990000042", "Elsewhere", "Only"),
}
LISTED = {NORTH: (1, 2, 3), WEST: (4, 1)}


def config(workspace: Path, **board: Any) -> ServiceConfig:
    return ServiceConfig(
        trust="Invented Trust",
        workspace=workspace,
        simulated=True,
        features=Path("none.yaml"),
        sources={},
        board=BoardConfig(**({"hosts": ("testserver", "127.0.0.1", "localhost")} | board)),
    )


def know_people(workspace: Path, people: Mapping[int, tuple[str, str, str]] = PEOPLE) -> None:
    rows = [
        {
            **dict.fromkeys(COLUMNS),
            "person_id": person,
            "nhs_number": number,
            "family_name": family,
            "given_name": given,
        }
        for person, (number, family, given) in people.items()
    ]
    Identities(Workspace(workspace).identity).add(pa.Table.from_pylist(rows))


def ranked(as_of: datetime, risks: Mapping[int, float], changes: Mapping[int, str]) -> pd.DataFrame:
    """Both teams' lists; whoever has no risk given has 0.1."""
    rows = []
    for team, people in LISTED.items():
        for rank, person in enumerate(people, 1):
            told = {"team_id": team, "person_id": person, "as_of": pd.Timestamp(as_of), "rank": rank, "listed": True}
            told |= {"risk": risks.get(person, 0.1), "score": -2.0, "change": changes.get(person, "steady")}
            told |= {"previous_risk": np.nan, "days_on_list": 1, "also_with": "", "days_on_caseload": 40.0}
            told |= {"last_seen": pd.Timestamp(as_of - timedelta(days=2)), "last_seen_by": "telephone"}
            told |= {"reason_1": f"reason of {person}", "reason_2": "", "reason_3": "", "age": 80.0, "sex": "female"}
            rows.append(told)
    unlisted = {**rows[0], "person_id": 99, "rank": 4, "listed": False, "reason_1": "nobody is told this"}
    return pd.DataFrame([*rows, unlisted])


def beside(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A contact and a reason of everyone listed; nobody has left a list."""
    people = frame.loc[frame["listed"], "person_id"].unique()
    at = frame["as_of"].iloc[0] - pd.Timedelta(days=1)
    contact = {"kind": "contact", "what": "held", "happened_at": at, "ended_at": pd.NaT, "known_from": at}
    contact |= {"value": float("nan"), "place": 0, "team_id": NORTH, "team": "North nursing", "medium": "telephone"}
    reason = {"family": "calls", "title": "Calls", "said": "2 calls", "said_before": "", "share": 0.5}
    return {
        "happened": pd.DataFrame([{"person_id": person} | contact for person in people]),
        "pulled": pd.DataFrame([{"person_id": person, "share_before": 0.1} | reason for person in people]),
        "leaving": frame.iloc[:0].assign(why="", at=pd.NaT),
    }


def publish_day(
    workspace: Path,
    days: int = 0,
    risks: Mapping[int, float] | None = None,
    changes: Mapping[int, str] | None = None,
    model: str = "1 (abc)",
    replace: bool = False,
) -> Path:
    """The lists of a day as a daily run leaves them: files, record and exposures. Where they are."""
    as_of = CUT + timedelta(days=days)
    frame = ranked(as_of, risks or {}, changes or {})
    teams = pd.DataFrame(
        {"team_id": [NORTH, WEST], "name": ["North nursing", "Urgent, <West>"], "caseload": 40, "capacity": 5}
    )
    stamp = Stamp(as_of, as_of, model, "Invented Trust", True, "Europe/London", feed_ages=(("community", 2.0),))
    place = Workspace(workspace)
    told = {"day": stamp.date, "version": runs.next_version(place, stamp.date), "as_of": as_of.isoformat()}
    published_at = as_of + timedelta(minutes=5)
    told |= {
        "published_at": published_at.isoformat(),
        "seconds": {"scoring": 3.25},
        "notes": [],
        "feeds": {"community": 2.0},
    }
    told |= {"lists": {"digest": "d", "teams": 2, "listed": 5}, "parameters": {"model_version": model}}
    version = {"as_of": as_of, "version": told["version"], "published_at": published_at, "model": model}
    log = Exposures("", place.exposure)

    @contextmanager
    def around(folder: Path, _digest: str) -> Iterator[None]:
        run = runs.keep(place, told, frame, "families: {}", beside(frame))
        with log.appending(version | {"lists": "d", "listed": 5}, frame):
            (folder / runs.RUN).write_bytes(runs.as_json(run.told))
            yield

    people = Identities(place.identity).people()
    shown = beside(frame)
    return publish(frame, people, teams, stamp, place.lists, replace=replace, beside=shown, around=around).folder


@dataclass
class Hands:
    """A board and who asks it: `now` can be moved, `complaints` are what it would log."""

    desk: Desk
    app: Any
    now: list[datetime]
    complaints: list[str] = field(default_factory=list)

    def client(self, **headers: str) -> TestClient:
        return TestClient(self.app, base_url="https://testserver", headers=headers, follow_redirects=False)

    def account(self, role: str, teams: tuple[str, ...] = (NORTH,), name: str = "") -> Account:
        name = name or f"{role} of {' and '.join(teams)}"
        found = self.desk.accounts.named(name)
        held = teams if role in WITH_TEAMS else ()
        return found[0] if found else self.desk.accounts.add(name, f"<b>{role}</b>", role, held, HASHED)

    def signed_in(self, role: str, teams: tuple[str, ...] = (NORTH,), name: str = "") -> TestClient:
        client = self.client()
        account = self.account(role, teams, name)
        answer = sign_in(client, account.name)
        assert answer.status_code == 303, answer.text
        return client


HASHED = hashed(PASSWORD)


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> Any:
    page = client.get("/sign-in")
    return client.post("/sign-in", data={"csrf": csrf_of(page.text), "name": name, "password": password})


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, "a page with a form has a token"
    return found[1]


def tokens_of(page: str) -> list[str]:
    """What the page calls each person by, in the order of their ranks."""
    return list(dict.fromkeys(re.findall(r'name="person" value="([0-9a-f]+)"', page)))


def hands(workspace: Path, settings: ServiceConfig | None = None, secret: str = "") -> Hands:
    """A board over what stands in the workspace, at half past seven on its first day."""
    now = [HALF_PAST_SEVEN]
    complaints: list[str] = []
    desk = Desk(
        config=settings or config(workspace),
        accounts=Accounts(workspace / "board"),
        records=Records(Exposures("", Workspace(workspace).exposure)),
        clock=lambda: now[0],
        state=lambda _at: Status("fresh", ("The newest lists are those of 03-Feb-2026.",)),
        secret=secret,
    )
    return Hands(desk, make_app(desk, complaints.append), now, complaints)


def withhold(workspace: Path, day: str, list_of: str | None) -> None:
    """As a publication says of a team whose list was held back alone."""
    folder = (workspace / "lists" / day).resolve()
    told = json.loads((folder / MANIFEST).read_bytes())
    note = "The list was held back: half of the contacts are missing."
    told["withheld"] = {NORTH: {"team_id": NORTH, "name": "North", "list_of": list_of, "notes": [], "note": note}}
    told["team_notes"] = {slug(WEST): ["West is told this alone."]}
    (folder / MANIFEST).write_text(json.dumps(told))


def undo_of(text: str) -> dict[str, str]:
    found = re.search(r'name="person" value="(\w+)"><button name="answer" value="(\d+)"', text)
    assert found
    return {"csrf": csrf_of(text), "person": found[1], "answer": found[2]}


def rows(board: Hands, table: Any) -> list[Any]:
    with board.desk.records.reading() as connection:
        return list(connection.execute(select(table)).all())
