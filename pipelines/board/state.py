"""What operations see: the state of the lists, of today's run and of the feeds. No people."""

from datetime import datetime

from starlette.responses import HTMLResponse

from pipelines import runs
from pipelines.board.desk import Desk
from pipelines.board.sessions import Session
from pipelines.board.views import Table, page
from pipelines.pages import words
from pipelines.runs import Run
from pipelines.workspace import Workspace

STATES = {
    "fresh": "Today’s lists stand",
    "awaited": "Today’s lists are awaited",
    "none": "No list has been made",
    "stale": "The lists are out of date",
    "blocked": "Today’s lists could not be made",
}
ASKED_AGAIN = 30
"""Seconds after which the state is looked at anew."""


def response(desk: Desk, session: Session) -> HTMLResponse:
    now = desk.clock()
    found = desk.states.get(int(now.timestamp() // ASKED_AGAIN), lambda: desk.state(now))
    published = runs.published(Workspace(desk.config.workspace))[-desk.config.board.days :]
    tables = [_days(published, desk.config.zone), *([_run(published[-1])] if published else [])]
    title = STATES.get(found.state, found.state)
    seen = f"As of {words.moment(now, desk.config.zone)}"
    return page(desk, title, session=session, lead=seen, says=found.says, tables=tables)


def _days(published: list[Run], zone: str) -> Table:
    rows = [
        [
            run.day,
            str(run.version),
            words.moment(datetime.fromisoformat(run.told["published_at"]), zone),
            f"{run.told['lists']['teams']:,}",
            f"{run.told['lists']['listed']:,}",
            str(run.told["parameters"]["model_version"]),
            " ".join(run.told["notes"]) or "none",
        ]
        for run in reversed(published)
    ]
    headings = ("Day", "Version", "Published", "Teams", "Listed", "Model", "Notes")
    return Table("The last lists", headings, rows, numbers=False)


def _run(run: Run) -> Table:
    """How long each step of the newest run took, and how old each feed was at its cut."""
    rows = [[words.label(step), f"{spent:.1f} seconds"] for step, spent in run.told["seconds"].items()]
    ages = run.told["feeds"].items()
    rows += [[f"{words.label(name)} feed", words.age_of_feed(_hours(hours))] for name, hours in ages]
    return Table(f"The run for {run.day}", ("What", "Found"), rows, numbers=False)


def _hours(hours: float | None) -> float:
    return float("nan") if hours is None else hours
