"""What team leads see: how their lists did."""

from datetime import timedelta
from statistics import median

import pandas as pd
from sqlalchemy import select
from starlette.responses import HTMLResponse

from pipelines.board import outcomes
from pipelines.board.answers import KINDS, UNDO
from pipelines.board.desk import Desk
from pipelines.board.outcomes import Outcome
from pipelines.board.records import ANSWERS
from pipelines.board.sessions import Session
from pipelines.board.views import Table, page
from pipelines.exposure import EXPOSURES
from pipelines.pages import Team, words
from pipelines.workspace import Workspace

LOOKED_BACK = 28
"""Days of lists that are looked back at."""


def response(desk: Desk, session: Session) -> HTMLResponse:
    standing = desk.newest()
    teams = desk.teams(session.account, standing) if standing else []
    found = outcomes.kept(Workspace(desk.config.workspace).board)
    tables = [table for team in teams for table in _of_team(desk, team, found[1] if found else {})]
    lead = f"The lists of the last {words.count(LOOKED_BACK, 'day')}, and what came of them"
    when = f"worked out {words.moment(found[0], desk.config.zone)}" if found else "not been worked out yet"
    says = (
        "Nobody can tell from these figures what would have happened without the list: someone who was seen in time is "
        "not admitted, and then counts as a place without an admission.",
        f"What came of the lists has been {when}." if found else f"What came of the lists has {when}.",
    )
    return page(desk, "How the lists did", session=session, lead=lead, says=says, tables=tables)


def _of_team(desk: Desk, team: Team, came: dict[str, Outcome]) -> list[Table]:
    answered = _answered(team, shown(desk, team.team_id), given(desk, team.team_id))
    return [answered, *([_came(team, came[team.team_id])] if team.team_id in came else [])]


def _came(team: Team, one: Outcome) -> Table:
    notice = f"{median(one.notice):.0f} days" if one.notice else "none"
    rows = [
        ["Places on lists whose nine days are over", f"{one.places:,}"],
        ["Emergency admissions among the whole caseload", f"{one.admissions:,}"],
        ["of these, on a list in the nine days before (caught)", f"{one.caught:,}"],
        ["of these, answered about before (admitted anyway)", f"{one.answered:,}"],
        *([f"admitted after: {KINDS[kind].lower()}", f"{number:,}"] for kind, number in one.after.items() if number),
        ["Half of those caught were first listed so long before, or longer", notice],
    ]
    return Table(f"{team.name}: what came of the lists, {one.first} to {one.last}", ("What", "Number"), rows)


def shown(desk: Desk, team_id: str) -> pd.DataFrame:
    """as_of, person_id of everyone on the team's lists: those of the last version of each day."""
    since = desk.clock() - timedelta(days=LOOKED_BACK)
    asked = select(EXPOSURES.c.as_of, EXPOSURES.c.version, EXPOSURES.c.person_id).where(
        EXPOSURES.c.team_id == team_id, EXPOSURES.c.as_of >= since
    )
    with desk.records.reading() as connection:
        rows = pd.DataFrame(connection.execute(asked).all(), columns=["as_of", "version", "person_id"])
    last = rows.groupby("as_of")["version"].transform("max") if len(rows) else rows["version"]
    return rows[rows["version"] == last]


def given(desk: Desk, team_id: str) -> pd.DataFrame:
    """as_of, person_id, kind of every answer to those lists that stands."""
    since = desk.clock() - timedelta(days=LOOKED_BACK)
    asked = select(ANSWERS.c.id, ANSWERS.c.as_of, ANSWERS.c.person_id, ANSWERS.c.kind, ANSWERS.c.undoes).where(
        ANSWERS.c.team_id == team_id, ANSWERS.c.as_of >= since
    )
    with desk.records.reading() as connection:
        columns = ["id", "as_of", "person_id", "kind", "undoes"]
        rows = pd.DataFrame(connection.execute(asked).all(), columns=columns)
    return rows[(rows["kind"] != UNDO) & ~rows["id"].isin(rows["undoes"].dropna())]


def _answered(team: Team, places: pd.DataFrame, answers: pd.DataFrame) -> Table:
    keys = ["as_of", "person_id"]
    answered = len(answers.drop_duplicates(keys).merge(places[keys], on=keys))
    rows = [
        ["Lists", f"{places['as_of'].nunique():,}"],
        ["Places on them", f"{len(places):,}"],
        ["Different people", f"{places['person_id'].nunique():,}"],
        ["Places that were answered", f"{answered:,}" + (f" ({answered / len(places):.0%})" if len(places) else "")],
        *([words, f"{int((answers['kind'] == kind).sum()):,}"] for kind, words in KINDS.items()),
    ]
    return Table(team.name, ("What", "Number"), rows)
