"""The board, served: one process, HTTP on this machine; TLS is the proxy's before it."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address

import uvicorn

from features.errors import ConfigError
from pipelines.board import sessions
from pipelines.board.accounts import Accounts
from pipelines.board.app import make_app
from pipelines.board.desk import Desk
from pipelines.board.lists import Lists
from pipelines.board.records import Records
from pipelines.board.security import Guard
from pipelines.config import ServiceConfig
from pipelines.service import Service
from pipelines.status import Status
from pipelines.workspace import Workspace

MOST_AT_ONCE = 1000
OPENING = timedelta(hours=1, minutes=30)
"""After the cut of the newest lists, the time at which a demonstration begins."""


def board(
    config: ServiceConfig,
    clock: Callable[[], datetime],
    state: Callable[[datetime], Status],
    complain: Callable[[str], None],
    demo: bool = False,
) -> Guard:
    """The board of a service as an ASGI application."""
    service = Service(config)
    if demo and not config.simulated:
        message = "A demonstration lets anybody in, and must show nobody who exists; this service is not simulated."
        raise ConfigError(message + " Leave out --demo.")
    by_proxy = not demo and config.board.sign_in == "proxy"
    desk = Desk(
        config=config,
        accounts=Accounts(None if demo else service.workspace.board),
        records=Records(service.exposures),
        clock=clock,
        state=state,
        demo=demo,
        secret=sessions.shared_secret() if by_proxy else "",
    )
    return make_app(desk, complain)


def demo_clock(config: ServiceConfig, clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """A clock that goes on from half past seven or so on the day of the newest lists."""
    lists = Lists(Workspace(config.workspace))
    standing = lists.standing(lists.newest())
    if standing is None:
        return clock
    behind = clock() - (standing.stamp.as_of + OPENING)
    return lambda: clock() - behind


def serve(application: Guard, host: str, port: int) -> None:
    """Until it is stopped. Nothing is logged of who asks for what: the record has it, and names nobody."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    uvicorn.run(
        application,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


def require_loopback(host: str) -> None:
    """ConfigError where others than this machine could reach it."""
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here:
        message = f"A demonstration must stay on this machine; --host is {host}. Leave it out."
        raise ConfigError(message)
