"""The commands of the board: serve it, and see to who may sign in."""

import getpass
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from features.errors import ConfigError
from pipelines.cli_operations import moment_of
from pipelines.config import ServiceConfig
from pipelines.console import DEFAULT_CONFIG, ConfigOption, WorkspaceOption, complain, now, opened, out
from pipelines.workspace import Workspace

board = typer.Typer(invoke_without_command=True, help="The page on which teams read and answer their lists.")
users = typer.Typer(no_args_is_help=True, help="Who may sign in.")
board.add_typer(users, name="user")
UNFORESEEN = 70

RoleOption = Annotated[str, typer.Option(help="member, lead, scientist or operations.")]
TeamOption = Annotated[list[str] | None, typer.Option("--team", help="A team's id; give it again for each team.")]
ByProxyOption = Annotated[bool, typer.Option("--by-proxy", help="Without a password: a proxy signs them in.")]


@board.callback()
def serve(
    context: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8009,
    demo: Annotated[bool, typer.Option("--demo", help="Simulated people; anybody may choose who to be.")] = False,
) -> None:
    """Serve the board until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    loaded = opened(config, workspace)
    from pipelines import steps
    from pipelines.board import serving

    clock = now
    if demo:
        serving.require_loopback(host)
        clock = serving.demo_clock(loaded, now)
    application = serving.board(
        loaded, clock, partial(steps.status, loaded), partial(complain, exit_code=UNFORESEEN), demo
    )
    out.print(f"The board is at http://{host}:{port}/ until it is stopped.{' DEMO.' if demo else ''}", markup=False)
    serving.serve(application, host, port)


@board.command("outcomes")
def work_out_outcomes(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Work out what came of each team's lists, once it can be known, for the page of team leads."""
    loaded = opened(config, workspace)
    from pipelines import steps

    out.print(f"Worked out for {steps.work_out_outcomes(loaded, moment_of(loaded, None))} teams.")


@users.command("add")
def add_user(
    name: str,
    role: RoleOption,
    team: TeamOption = None,
    shown: Annotated[str, typer.Option(help="What colleagues read (default: the name).")] = "",
    by_proxy: ByProxyOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
) -> None:
    """Add an account. The password is asked for, or read from standard input."""
    from pipelines.board.accounts import ROLES, WITH_TEAMS, Accounts
    from pipelines.board.passwords import hashed

    if role not in ROLES:
        message = f"--role must be one of {', '.join(ROLES)}; it is {role}. Choose one."
        raise ConfigError(message)
    if (role in WITH_TEAMS) != bool(team):
        message = "A team member or lead needs a --team, and nobody else may have one. Correct the options."
        raise ConfigError(message)
    loaded = opened(config, workspace)
    kept = "" if by_proxy else hashed(_password())
    account = Accounts(_folder(loaded)).add(name, shown or name, role, team or [], kept)
    out.print(f"{account.name} may sign in, as account {account.account_id}.", markup=False)


@users.command("remove")
def remove_user(name: str, config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Remove an account: it is signed out at once. What it answered and saw stays on record."""
    from pipelines.board.accounts import Accounts

    account = Accounts(_folder(opened(config, workspace))).remove(name)
    out.print(f"{account.name} may no longer sign in.", markup=False)


@users.command("password")
def set_password(name: str, config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Give an account another password; ends its sessions, and the wait after failed attempts."""
    from pipelines.board.accounts import Accounts
    from pipelines.board.passwords import hashed

    account = Accounts(_folder(opened(config, workspace))).set_password(name, hashed(_password()))
    out.print(f"{account.name} has another password.", markup=False)


@users.command("list")
def list_users(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """List who may sign in, with role and teams."""
    from pipelines.board.accounts import ROLES, Accounts

    for account in Accounts(_folder(opened(config, workspace))).everyone():
        teams = f" of {', '.join(account.teams)}" if account.teams else ""
        says = f"{account.name} ({account.shown}): {ROLES[account.role].lower()}{teams}, account {account.account_id}"
        out.print(says, markup=False, soft_wrap=True)


def _folder(config: ServiceConfig) -> Path:
    return Workspace(config.workspace).board


def _password() -> str:
    """Asked for twice where somebody sits there; else the first line of standard input. Never an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        message = "The password must be the same both times; it is not. Try again."
        raise ConfigError(message)
    return first
