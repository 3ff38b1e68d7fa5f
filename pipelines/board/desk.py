"""What the pages work with: the lists, the accounts, the record, and the rules of one board."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from fastapi import HTTPException
from starlette.requests import Request

from pipelines.board import sessions
from pipelines.board.accounts import WITH_TEAMS, Account, Accounts
from pipelines.board.lists import Kept, Lists, Shown, Standing
from pipelines.board.records import Records
from pipelines.board.security import Limiter
from pipelines.board.sessions import Cookies, Session
from pipelines.config import ServiceConfig
from pipelines.pages import Person, Team
from pipelines.status import Status
from pipelines.workspace import Workspace

SIGN_IN = "/sign-in"


@dataclass(frozen=True)
class Sheet:
    """A page with a place for what differs by who reads it, and the policy it is sent with."""

    text: str
    policy: str


@dataclass(frozen=True)
class Desk:
    """One board. clock: what time it is; state: what state the lists are in at a moment, for operations; demo: anybody
    may choose who to be; secret: what the proxy proves itself with."""

    config: ServiceConfig
    accounts: Accounts
    records: Records
    clock: Callable[[], datetime]
    state: Callable[[datetime], Status]
    demo: bool = False
    secret: str = ""
    sheets: Kept[Sheet] = field(default_factory=lambda: Kept[Sheet](256))
    states: Kept[Status] = field(default_factory=lambda: Kept[Status](1))

    @cached_property
    def lists(self) -> Lists:
        return Lists(Workspace(self.config.workspace))

    @cached_property
    def cookies(self) -> Cookies:
        return Cookies(secure=not self.demo)

    @cached_property
    def sign_ins(self) -> Limiter:
        return Limiter(self.config.board.sign_ins, lambda: self.clock().timestamp())

    @cached_property
    def given(self) -> Limiter:
        return Limiter(self.config.board.answers, lambda: self.clock().timestamp())

    @cached_property
    def key(self) -> bytes:
        return self.accounts.secret("people on pages")

    @property
    def by_proxy(self) -> bool:
        return not self.demo and self.config.board.sign_in == "proxy"

    def session(self, request: Request) -> Session | None:
        """The session of whoever asks; with a proxy, only while it says that it is they."""
        found = sessions.find(self.accounts, self.cookies.token(request), self.clock(), self.config.board)
        if found is None or not self.by_proxy:
            return found
        return found if self.named_by_proxy(request) == found.account else None

    def named_by_proxy(self, request: Request) -> Account | None:
        """The account of whoever the proxy has signed in."""
        name = sessions.name_from_proxy(request, self.config.board.proxy, self.secret)
        found = self.accounts.named(name) if name else None
        return found[0] if found else None

    def require(self, request: Request, *roles: str) -> Session:
        """The session of somebody in one of these roles; others are sent to sign in, or refused."""
        session = self.session(request)
        if session is None:
            raise HTTPException(303, headers={"Location": SIGN_IN})
        if session.account.role not in roles:
            raise HTTPException(403)
        return session

    def team(self, account: Account, standing: Standing, folder: str) -> Team:
        """A team of the account's by the folder of its lists. Somebody else's team is not there for it."""
        team = standing.teams.get(folder)
        if team is None or not account.holds(team.team_id):
            raise HTTPException(404)
        return team

    def teams(self, account: Account, standing: Standing) -> list[Team]:
        """The account's teams that have a list, by name."""
        held = [team for team in standing.teams.values() if account.role in WITH_TEAMS and account.holds(team.team_id)]
        return sorted(held, key=lambda team: team.name.casefold())

    def standing(self, day: str) -> Standing:
        """The lists of a day that is not too long ago to be looked at."""
        newest, found = self.newest(), self.lists.standing(day)
        if newest is None or found is None:
            raise HTTPException(404)
        recent = 0 <= (newest.date - found.date).days < self.config.board.days
        if not recent and all(told["list_of"] != day for told in newest.withheld.values()):
            raise HTTPException(404)
        return found

    def newest(self) -> Standing | None:
        """The newest lists; None where none stand."""
        return self.lists.standing(self.lists.newest())

    def notes(self, shown: Shown) -> tuple[str, ...]:
        """What has to be read now before a team's list."""
        newest = self.newest() or shown.standing
        return shown.standing.notes_at(self.clock(), newest, shown.team)

    def token(self, shown: Shown, person: Person) -> str:
        """What a form calls a person by: good for this list only, and telling nothing."""
        about = f"{shown.team.team_id}|{shown.standing.day}|{shown.standing.run.version}|{person.person_id}"
        return hmac.digest(self.key, about.encode(), "sha256").hex()[:32]

    def person(self, shown: Shown, token: str) -> Person | None:
        return next((one for one in shown.people if hmac.compare_digest(self.token(shown, one), token)), None)
