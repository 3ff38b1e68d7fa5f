"""The board's pages."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipelines.board.accounts import ROLES, WITH_TEAMS, Account
from pipelines.board.answers import LONGEST_SNOOZE, LONGEST_TEXT, REASONS, Answer, Snooze, of_team, snoozed, state
from pipelines.board.desk import Desk, Sheet
from pipelines.board.lists import Shown
from pipelines.board.security import policy
from pipelines.board.sessions import Session
from pipelines.pages import Board, Person, list_page, part, person_page, render, words
from pipelines.pages.lists import FORM_WORDS

PLACES, CSRF = (f"here{secrets.token_hex(16)}" for _ in range(2))
"""Where, in a page that is kept, what belongs to one reader goes: words that nobody can guess and write."""
USUAL_SNOOZE = 7
CLOSING = "Who looks at a list, and what is answered, is put on record."


@dataclass(frozen=True)
class Table:
    """numbers: whether all but its first column are."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    says: str = ""
    numbers: bool = True


def sent(desk: Desk, page: str, status: int = 200, content_policy: str | None = None) -> HTMLResponse:
    """A page as it goes out: in a demonstration it says so."""
    if desk.demo:
        page = page.replace("<header>", f"<header>\n{_demo(desk)}", 1)
    return HTMLResponse(page, status, {"Content-Security-Policy": content_policy or policy(page)})


def _demo(desk: Desk) -> str:
    clock = words.moment(desk.clock(), desk.config.zone)
    says = f"Anybody may sign in here as anybody. Its clock says {clock}."
    return f'<p class="simulated demo"><strong>DEMO</strong> {says}</p>'


def page(
    desk: Desk,
    title: str,
    *,
    session: Session | None = None,
    status: int = 200,
    lead: str = "",
    notes: Sequence[str] = (),
    says: Sequence[str] = (),
    links: Sequence[tuple[str, str, str]] = (),
    tables: Sequence[Table] = (),
) -> HTMLResponse:
    """A plain page of the board. links: address, words, and what is said after them."""
    text = render(
        "board/page.html",
        footer=f"{desk.config.trust}, {title}",
        simulated=desk.config.simulated,
        sends=True,
        trust=desk.config.trust,
        title=title,
        lead=lead,
        places=places(session.account, session.csrf) if session else "",
        notes=notes,
        says=says,
        links=links,
        tables=tables,
        closing=CLOSING,
    )
    return sent(desk, text, status)


def places(account: Account, csrf: str) -> Markup:
    """Who is signed in, where they can go, and out."""
    return part("board/places.html", account=account, role=ROLES[account.role], places=where(account), csrf=csrf)


def where(account: Account) -> list[tuple[str, str]]:
    if account.role == "scientist":
        return [("/evidence", "Evaluation and monitoring")]
    if account.role == "operations":
        return [("/state", "State of the lists")]
    return [("/lists", "Lists"), *([("/results", "How the lists did")] if account.role == "lead" else [])]


def list_response(desk: Desk, session: Session, shown: Shown) -> HTMLResponse:
    """A team's list with its answers: made once for all of the team, until something changes."""
    standing, newest, notes = shown.standing, desk.lists.newest(), desk.notes(shown)
    as_of = standing.stamp.as_of
    with desk.records.reading() as connection:
        answers = state(connection, shown.team.team_id, as_of)
    key = (standing.mark, shown.team.team_id, answers, notes, newest)

    def made() -> Sheet:
        with desk.records.reading() as connection:
            given = of_team(connection, shown.team.team_id, as_of)
        stamp = replace(standing.stamp, notes=notes)
        board = _board(desk, shown, given, newest)
        text = list_page(shown.team, shown.people, stamp, board, shown.others, files=_files(desk, shown, notes))
        return Sheet(text, policy(text))

    sheet = desk.sheets.get(key, made)
    own = sheet.text.replace(PLACES, places(session.account, session.csrf)).replace(CSRF, session.csrf)
    return sent(desk, own, content_policy=sheet.policy)


def withheld(desk: Desk, session: Session, shown: Shown, told: Mapping[str, Any]) -> Response:
    """In place of a list that was held back alone: the way to the team's last good one, or that there is none."""
    if told["list_of"] is not None:
        return RedirectResponse(f"/lists/{shown.team.slug}/{told['list_of']}/list.html", 303)
    title, notes = f"No list for {shown.team.name}", (str(told["note"]),)
    says = ("No list was made for this team. This does not mean that nobody is at risk.",)
    return page(desk, title, session=session, lead=f"For {shown.standing.stamp.day}", notes=notes, says=says)


def _board(desk: Desk, shown: Shown, given: Mapping[int, Sequence[Answer]], newest: str) -> Board:
    as_of, today = shown.standing.stamp.as_of, shown.standing.date
    model = shown.standing.stamp.model_version
    names = desk.accounts.shown_names()
    asleep = {
        person.person_id: snoozed(person, given.get(person.person_id, ()), as_of, today, model)
        for person in shown.people
    }
    beside = {
        person.person_id: _beside(desk, shown, person, given.get(person.person_id, ()), asleep[person.person_id], names)
        for person in shown.people
    }
    above = part(
        "board/above.html",
        places=Markup(PLACES),
        base=f"/lists/{shown.team.slug}",
        people=len(shown.people),
        answered=sum(any(a.as_of == as_of for a in given.get(p.person_id, ())) for p in shown.people),
        folded=sum(one is not None and not one.back for one in asleep.values()),
        back=sum(one is not None and bool(one.back) for one in asleep.values()),
        days=[(day, words.plain_date(date.fromisoformat(day))) for day in _others(desk, shown, newest)],
    )
    return Board(above, beside, pages=shown.pages)


def person_response(desk: Desk, session: Session, shown: Shown, person: Person) -> HTMLResponse:
    """The page of somebody listed, with what the team answered about them, and where to answer."""
    standing, names = shown.standing, desk.accounts.shown_names()
    with desk.records.reading() as connection:
        given = of_team(connection, shown.team.team_id, standing.stamp.as_of).get(person.person_id, ())
    asleep = snoozed(person, given, standing.stamp.as_of, standing.date, standing.stamp.model_version)
    beside = _beside(desk, shown, person, given, asleep, names)
    above = part(
        "board/above-person.html",
        places=places(session.account, session.csrf),
        back=f"/lists/{shown.team.slug}/{standing.day}/list.html",
    )
    board = Board(above, {person.person_id: Markup(beside.replace(CSRF, session.csrf))})
    stamp = replace(standing.stamp, notes=desk.notes(shown))
    course = shown.told.courses([person.person_id])[person.person_id]
    text = person_page(shown.team, person, course, stamp, board)
    return sent(desk, text, content_policy=policy(text))


def _files(desk: Desk, shown: Shown, notes: Sequence[str]) -> list[str]:
    """The list's other forms, as long as they say all that the page says."""
    if tuple(notes) != shown.standing.published_notes(shown.team):
        return []
    return [name for name in FORM_WORDS if desk.lists.file(shown.standing, shown.team, name) is not None]


def _others(desk: Desk, shown: Shown, newest: str) -> list[str]:
    """Other days: the newest, and some before."""
    days = [day for day in desk.lists.days(desk.config.board.days) if day != shown.standing.day]
    return [day for day in days if day == newest or day < shown.standing.day][:6]


def _beside(
    desk: Desk, shown: Shown, person: Person, given: Sequence[Answer], snooze: Snooze | None, names: Mapping[str, str]
) -> Markup:
    as_of, today = shown.standing.stamp.as_of, shown.standing.date
    told = [_told(answer, names, desk.config.zone, snooze) for answer in given]
    ends = {"first_day": 1, "usual_day": USUAL_SNOOZE, "last_day": LONGEST_SNOOZE}
    return part(
        "board/beside.html",
        token=desk.token(shown, person),
        csrf=CSRF,
        base=f"/lists/{shown.team.slug}/{shown.standing.day}",
        name=person.name,
        snooze=snooze,
        snooze_until=words.plain_date(snooze.until) if snooze else "",
        today=[one for one, answer in zip(told, given, strict=True) if answer.as_of == as_of],
        earlier=[one for one, answer in zip(told, given, strict=True) if answer.as_of != as_of][:3],
        reasons=REASONS,
        longest=LONGEST_TEXT,
        **{name: (today + timedelta(days=days)).isoformat() for name, days in ends.items()},
    )


def _told(answer: Answer, names: Mapping[str, str], zone: str, snooze: Snooze | None) -> dict[str, Any]:
    """An answer of another day can be undone where it is a snooze that still runs."""
    return {
        "id": answer.id,
        "says": answer.says,
        "when": words.moment(answer.at, zone),
        "by": names.get(answer.account_id, "somebody whose account is gone"),
        "undoable": snooze is not None and answer.kind == "snooze" and answer.until == snooze.until,
    }


def sign_in_page(desk: Desk, csrf: str, wrong: str = "", said: str = "", status: int = 200) -> HTMLResponse:
    newest = desk.newest() if desk.demo else None
    text = render(
        "board/sign-in.html",
        footer=desk.config.trust,
        simulated=desk.config.simulated,
        sends=True,
        trust=desk.config.trust,
        csrf=csrf,
        wrong=wrong,
        said=said,
        way="demo" if desk.demo else "proxy" if desk.by_proxy else "accounts",
        address=desk.config.board.proxy.sign_out,
        roles=ROLES,
        teams=[(team.team_id, team.name) for team in newest.teams.values()] if newest else [],
    )
    return sent(desk, text, status)


def teams_page(desk: Desk, session: Session) -> HTMLResponse:
    """The account's teams, each with its newest list."""
    standing = desk.newest()
    if standing is None:
        return page(desk, "No list stands", session=session, says=(
            "No list has been published here yet. Nothing on this page means that nobody is at risk. "
            "Ask whoever runs this system when the first list comes.",
        ))  # fmt: skip
    day, stamp = standing.day, standing.stamp
    links = [
        (
            f"/lists/{team.slug}/{day}/list.html",
            team.name,
            f"{words.count(team.caseload, 'person', 'people')} on the caseload",
        )
        for team in desk.teams(session.account, standing)
    ]
    says = () if links else ("None of your teams has a list. Ask whoever runs this system which teams are yours.",)
    notes = standing.notes_at(desk.clock(), standing)
    return page(
        desk, "Your teams’ lists", session=session, lead=f"For {stamp.day}", notes=notes, says=says, links=links
    )


def can_read_lists(account: Account) -> bool:
    return account.role in WITH_TEAMS
