"""Who saw whom, and who signed in: on record before anything is shown."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, insert

from pipelines.board.records import SIGN_INS, VIEWED, VIEWS, Records


def saw(
    records: Records,
    *,
    account_id: str,
    team_id: str,
    as_of: datetime,
    version: int,
    what: str,
    people: Iterable[int],
    now: datetime,
) -> None:
    """An account is about to be shown a team's list (`what`: as a page or which file) with these people on it."""
    cut = as_of.astimezone(UTC)
    view = {"id": uuid4().hex, "at": now.astimezone(UTC), "account_id": account_id, "team_id": team_id}
    view |= {"as_of": cut, "version": version, "what": what}
    rows = [{"view_id": view["id"], "person_id": person, "as_of": cut} for person in people]

    def added(connection: Connection) -> None:
        connection.execute(insert(VIEWS), view)
        if rows:
            connection.execute(insert(VIEWED), rows)

    records.write(added)


def signed(records: Records, account_id: str, what: str, now: datetime) -> None:
    """An account signed in or out, or was refused."""
    told = {"at": now.astimezone(UTC), "account_id": account_id, "what": what}
    records.write(lambda connection: connection.execute(insert(SIGN_INS), told))
