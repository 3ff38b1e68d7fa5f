"""Who may sign in, and who is signed in: accounts, sessions and failed attempts in a file that only its owner can read.

Passwords are kept as Argon2id hashes, session tokens and the names that were tried as SHA-256 digests. Nothing here
knows patients.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from features.errors import ConfigError

ROLES = {
    "member": "Team member",
    "lead": "Team lead",
    "scientist": "Data scientist",
    "operations": "Operations",
}
WITH_TEAMS = ("member", "lead")
SCHEMA = """
create table if not exists accounts (
    account_id text primary key, name text not null, shown text not null, role text not null, teams text not null,
    password text not null, removed integer not null default 0);
create unique index if not exists account_names on accounts (name) where removed = 0;
create table if not exists sessions (
    digest text primary key, account_id text not null, began real not null, used real not null);
create table if not exists attempts (name text primary key, failures integer not null, again real not null);
create table if not exists secrets (purpose text primary key, secret blob not null);
"""
FREE_ATTEMPTS, FIRST_WAIT, LONGEST_WAIT = 4, 15.0, 900.0
"""After so many failures the next attempt waits (seconds), twice as long each time."""


@dataclass(frozen=True)
class Account:
    """account_id is what records hold; `name` is signed in with and `shown` read by colleagues."""

    account_id: str
    name: str
    shown: str
    role: str
    teams: tuple[str, ...]

    def holds(self, team_id: str) -> bool:
        return self.role in WITH_TEAMS and team_id in self.teams


class Accounts:
    """The accounts in `folder`, or in memory where it is None. Safe for threads; other processes may write too."""

    def __init__(self, folder: Path | None) -> None:
        path: Path | str = ":memory:"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / "accounts.sqlite"
            path.touch(mode=0o600, exist_ok=True)
        self.lock = Lock()
        self.database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        self.database.execute("pragma journal_mode = wal")
        self.database.executescript(SCHEMA)

    def add(self, name: str, shown: str, role: str, teams: Sequence[str], password: str) -> Account:
        """A new account. password: its hash; empty where a proxy signs it in. ConfigError where the name is taken."""
        account = Account(secrets.token_hex(8), normal(name), shown, role, tuple(teams))
        row = (account.account_id, account.name, shown, role, json.dumps(list(teams)), password)
        try:
            self._do("insert into accounts values (?, ?, ?, ?, ?, ?, 0)", *row)
        except sqlite3.IntegrityError:
            message = f"Each account must have a name of its own; there is one called {account.name}. Remove it first."
            raise ConfigError(message) from None
        return account

    def remove(self, name: str) -> Account:
        """Whoever it is can no longer sign in, and is no longer signed in; what they answered stays theirs."""
        account = self._required(name)
        self._do("update accounts set removed = 1, password = '' where account_id = ?", account.account_id)
        self._do("delete from sessions where account_id = ?", account.account_id)
        return account

    def set_password(self, name: str, password: str) -> Account:
        """Another password (its hash): whoever is signed in has to do so again, and may at once."""
        account = self._required(name)
        self._do("update accounts set password = ? where account_id = ?", password, account.account_id)
        self._do("delete from sessions where account_id = ?", account.account_id)
        self.forget_failures(name)
        return account

    def everyone(self) -> list[Account]:
        rows = self._do("select account_id, name, shown, role, teams from accounts where removed = 0 order by name")
        return [_account(row) for row in rows]

    def named(self, name: str) -> tuple[Account, str] | None:
        """The account of that name and the hash of its password."""
        rows = self._do(
            "select account_id, name, shown, role, teams, password from accounts where name = ? and removed = 0",
            normal(name),
        )
        return (_account(rows[0]), str(rows[0][5])) if rows else None

    def shown_names(self) -> dict[str, str]:
        """What each account, removed ones too, is called, by account_id."""
        return dict(self._do("select account_id, shown from accounts"))

    def attempt(self, name: str, now: float) -> float:
        """Counts an attempt to sign in before it is looked at, so that many at once gain nothing; how many seconds it
        has to wait, and then it did not count."""
        tried = _digest(normal(name))

        def counted(database: sqlite3.Connection) -> float:
            row = database.execute("select failures, again from attempts where name = ?", (tried,)).fetchone()
            failures, again = row or (0, 0.0)
            if again > now:
                return float(again - now)
            waits = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures + 1 - FREE_ATTEMPTS, 30))
            then = now + waits if failures + 1 >= FREE_ATTEMPTS else 0.0
            database.execute("insert or replace into attempts values (?, ?, ?)", (tried, failures + 1, then))
            return 0.0

        return self._alone(counted)

    def forget_failures(self, name: str) -> None:
        self._do("delete from attempts where name = ?", _digest(normal(name)))

    def begin(self, token: str, account_id: str, now: float) -> None:
        self._do("insert into sessions values (?, ?, ?, ?)", _digest(token), account_id, now, now)

    def end(self, token: str) -> None:
        self._do("delete from sessions where digest = ?", _digest(token))

    def signed_in(self, token: str, now: float, idle: float, whole: float) -> Account | None:
        """Whose session it is, if it was used within `idle` seconds and began within `whole`; it is used now."""
        digest = _digest(token)
        rows = self._do(
            "select a.account_id, a.name, a.shown, a.role, a.teams, s.began, s.used from sessions s "
            "join accounts a using (account_id) where s.digest = ? and a.removed = 0",
            digest,
        )
        if not rows:
            return None
        began, used = rows[0][5:]
        if now - began >= whole or now - used >= idle:
            self._do("delete from sessions where began <= ? or used <= ?", now - whole, now - idle)
            return None
        if now - used >= min(60.0, idle / 10):
            self._do("update sessions set used = ? where digest = ?", now, digest)
        return _account(rows[0])

    def secret(self, purpose: str) -> bytes:
        """Thirty-two random bytes, the same each time for the same purpose."""
        self._do("insert or ignore into secrets values (?, ?)", purpose, secrets.token_bytes(32))
        return bytes(self._do("select secret from secrets where purpose = ?", purpose)[0][0])

    def _required(self, name: str) -> Account:
        found = self.named(name)
        if found is None:
            message = f"There must be an account of that name; none is called {normal(name)}."
            raise ConfigError(message + " `minusnine board user list` lists them.")
        return found[0]

    def _do(self, statement: str, *values: Any) -> list[Any]:
        with self.lock:
            return self.database.execute(statement, values).fetchall()

    def _alone(self, work: Callable[[sqlite3.Connection], float]) -> float:
        with self.lock:
            self.database.execute("begin immediate")
            try:
                answer = work(self.database)
            except BaseException:
                self.database.execute("rollback")
                raise
            self.database.execute("commit")
            return answer


def normal(name: str) -> str:
    """A name as it is compared."""
    return " ".join(name.split()).casefold()[:200]


def _account(row: Sequence[Any]) -> Account:
    return Account(row[0], row[1], row[2], row[3], tuple(json.loads(row[4])))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
