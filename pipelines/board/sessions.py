"""Signing in and staying signed in."""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import Response

from features.errors import ConfigError
from pipelines.board import audit, passwords
from pipelines.board.accounts import ROLES, WITH_TEAMS, Account, Accounts
from pipelines.board.records import Records
from pipelines.config import BoardConfig, ProxyConfig

SECRET_VARIABLE = "MINUSNINE_BOARD_SECRET"
LEAST_SECRET = 32
TOO_SOON = "Too many attempts. Wait {wait}, then try again."
WRONG = "That name and password do not belong together. Check both and try again."


@dataclass(frozen=True)
class Session:
    """A signed-in account and the token of its session."""

    account: Account
    token: str

    @property
    def csrf(self) -> str:
        return csrf(self.token)


@dataclass(frozen=True)
class Cookies:
    """How the browser keeps a token. secure: over TLS only, as everywhere but in a demonstration on this machine."""

    secure: bool

    @property
    def name(self) -> str:
        return "__Host-minusnine" if self.secure else "minusnine"

    def token(self, request: Request) -> str:
        return request.cookies.get(self.name, "")

    def give(self, response: Response, token: str) -> None:
        response.set_cookie(self.name, token, secure=self.secure, httponly=True, samesite="lax", path="/")

    def take(self, response: Response) -> None:
        response.delete_cookie(self.name, secure=self.secure, httponly=True, samesite="lax", path="/")


def csrf(token: str) -> str:
    """What a form must send back with a token that only this page's browser holds."""
    return hmac.digest(token.encode(), b"form", "sha256").hex()


def new_token() -> str:
    return secrets.token_urlsafe(32)


def with_password(accounts: Accounts, records: Records, name: str, password: str, now: datetime) -> Account | str:
    """The account, or the sentence that refuses it; either is put on record."""
    found = accounts.named(name)
    account_id = found[0].account_id if found else ""
    wait = accounts.attempt(name, now.timestamp())
    if wait > 0:
        audit.signed(records, account_id, "made to wait", now)
        return TOO_SOON.format(wait=_in_words(wait))
    if not passwords.matches(found[1] if found else "", password) or found is None:
        audit.signed(records, account_id, "refused", now)
        return WRONG
    accounts.forget_failures(name)
    return found[0]


def begin(accounts: Accounts, records: Records, account: Account, now: datetime) -> str:
    """A new session's token: never one that the browser had before."""
    token = new_token()
    audit.signed(records, account.account_id, "signed in", now)
    accounts.begin(token, account.account_id, now.timestamp())
    return token


def end(accounts: Accounts, records: Records, session: Session, now: datetime) -> None:
    accounts.end(session.token)
    audit.signed(records, session.account.account_id, "signed out", now)


def find(accounts: Accounts, token: str, now: datetime, config: BoardConfig) -> Session | None:
    """Whose session it is, while it lasts."""
    if not token:
        return None
    whole, idle = config.session_hours * 3600, config.idle_minutes * 60
    account = accounts.signed_in(token, now.timestamp(), idle, whole)
    return None if account is None else Session(account, token)


def shared_secret() -> str:
    """What the proxy proves itself with; ConfigError where it is not set, or too short."""
    secret = os.environ.get(SECRET_VARIABLE, "")
    if len(secret) < LEAST_SECRET:
        message = (
            f"board.sign_in: proxy needs a secret that only the proxy and the board know; {SECRET_VARIABLE} must hold "
            f"at least {LEAST_SECRET} characters, and holds {len(secret)}. Set it for both."
        )
        raise ConfigError(message)
    return secret


def name_from_proxy(request: Request, proxy: ProxyConfig, secret: str) -> str:
    """The name of whoever the proxy has signed in; empty where the request does not come from it."""
    if not from_proxy(request, proxy):
        return ""
    given = request.headers.getlist(proxy.secret_header)
    names = request.headers.getlist(proxy.user_header)
    if len(given) != 1 or len(names) != 1 or not hmac.compare_digest(given[0].encode(), secret.encode()):
        return ""
    return names[0]


def from_proxy(request: Request, proxy: ProxyConfig) -> bool:
    try:
        peer = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(peer in network for network in proxy.addresses)


def _in_words(wait: float) -> str:
    return f"{wait:.0f} seconds" if wait < 90 else f"{wait / 60:.0f} minutes"


def same(mine: str, theirs: str) -> bool:
    return hmac.compare_digest(mine.encode(), theirs.encode("utf-8", "surrogatepass"))


def address(request: Request, proxy: ProxyConfig) -> str:
    """Where a request comes from: what the proxy saw, if it is the proxy who hands it on."""
    seen = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    if seen and from_proxy(request, proxy):
        return seen[:64]
    return request.client.host if request.client else ""


def in_demo(accounts: Accounts, role: str, team: str) -> Account | str:
    """An account of that role and team, made when it is first asked for."""
    if role not in ROLES:
        return "Choose who you are."
    teams = (team,) if role in WITH_TEAMS else ()
    name = " ".join(("demonstration", role, *teams))[:200]
    if (found := accounts.named(name)) is None:
        with suppress(ConfigError):  # somebody else was a moment earlier
            return accounts.add(name, f"{ROLES[role]} (demonstration)", role, teams, "")
        found = accounts.named(name)
    return found[0] if found else "Try again."
