"""Databases by address: names with a dollar filled in from the environment, and one short try whether one answers.

An address may hold a password: nothing here says more of one than which setting names it.
"""

import os
import re

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from features.errors import ConfigError, StorageError

PATIENCE = 10
"""Seconds that a server may take to answer."""
FOUND = {
    "refused": "nothing listens there",
    "authentication failed": "it does not take this user and password",
    "does not exist": "it has no such database or user",
    "timeout": "it does not answer",
    "resolve": "there is no such host",
}
"""What drivers say, in words that quote nothing."""


def address(url: str, setting: str) -> str:
    """`url` with every $NAME filled in; ConfigError names the first that the environment does not hold."""
    filled = os.path.expandvars(url)
    if missing := re.search(r"\$\{?(\w+)", filled):
        message = f"{setting} names ${missing[1]}, which the environment must hold; it does not. Set it there."
        raise ConfigError(message)
    return filled


def engine(url: str, setting: str) -> Engine:
    """The database at a filled address, one connection for each use; ConfigError where it is no usable address."""
    try:
        made = make_url(url)
        patience = {"connect_timeout": PATIENCE} if made.get_backend_name() == "postgresql" else {}
        return create_engine(made, poolclass=NullPool, connect_args=patience, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        message = (
            f"{setting} must be an address that SQLAlchemy opens, with its driver installed; it gave "
            f"{type(error).__name__}. Correct it, or leave it out for SQLite."
        )
        raise ConfigError(message) from None


def require(url: str, setting: str) -> None:
    """StorageError where the server at a filled address does not take a connection now. SQLite is taken as it is."""
    if url.startswith("sqlite"):
        return
    asked = engine(url, setting)
    if asked.url.get_driver_name() == "asyncpg":  # the same server, asked by a driver that waits for the answer
        same = asked.url.set(drivername="postgresql+psycopg", query={})
        asked = engine(same.render_as_string(hide_password=False), setting)
    try:
        asked.connect().close()
    except SQLAlchemyError as error:
        message = (
            f"The database that {setting} names must answer; {found(error)}. See to it, or to its address, and run "
            "again: nothing was done, and what stood still stands."
        )
        raise StorageError(message) from None


def found(error: SQLAlchemyError) -> str:
    """What is wrong with a database, without quoting its driver."""
    said = str(error).lower()
    kind = type(error.orig) if isinstance(error, DBAPIError) else type(error)
    return next((meaning for words, meaning in FOUND.items() if words in said), kind.__name__)
