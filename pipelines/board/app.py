"""The board's addresses, and who may ask for which. Each begins by saying so: `desk.require(request, roles)`."""

from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from features.errors import MinusNineError
from pipelines.board import answers, audit, evidence, results, sessions, state, views
from pipelines.board.accounts import ROLES, WITH_TEAMS, Account
from pipelines.board.answers import Answer, AnswerError, Given
from pipelines.board.desk import SIGN_IN, Desk
from pipelines.board.lists import FILES, Shown
from pipelines.board.security import FAILED, Guard
from pipelines.board.sessions import Session
from pipelines.pages.persons import FOLDER

PAGE = "list.html"
SAYS = {
    400: ("That was not understood", "The form was not complete. Go back and try again."),
    403: ("Not for you", "Your role does not have this page, or the form is too old. Go back to where you came from."),
    404: ("Not found", "There is no such page here for you."),
    405: ("Not found", "There is no such page here for you."),
    409: (
        "The list has changed",
        "This list was replaced since you opened it, and nothing was recorded. Open it again.",
    ),
    410: ("Only as a page", "This list is not today’s, or is out of date. A file could not say so: read the page."),
    429: ("Too many at once", "Wait a minute, then try again."),
}
router = APIRouter()


def the_desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(the_desk, use_cache=True)]
Text = Annotated[str, Form(max_length=2000)]


def make_app(desk: Desk, complain: Callable[[str], None]) -> Guard:
    """The board as it is served. complain: is told of faults, in words that name nobody."""

    @asynccontextmanager
    async def while_served(_app: FastAPI) -> Any:
        yield
        desk.records.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=while_served)
    app.state.desk = desk
    app.include_router(router)
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(AnswerError, _not_an_answer)
    app.add_exception_handler(Exception, _failed)
    return Guard(app, desk.config.board.hosts, complain, only_tls=not desk.demo)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    if error.status_code == 303:
        return RedirectResponse((error.headers or {})["Location"], 303)
    title, says = SAYS.get(error.status_code, SAYS[400])
    return views.page(
        the_desk(request), title, status=error.status_code, says=(says,), links=(("/", "Begin again", ""),)
    )


def _not_understood(request: Request, _error: Exception) -> Response:
    return _refused(request, HTTPException(400))


def _not_an_answer(request: Request, error: Exception) -> Response:
    return views.page(the_desk(request), "Nothing was recorded", status=400, says=(str(error),))


def _failed(_request: Request, error: Exception) -> Response:
    """What its reader is told; the guard tells operations."""
    return PlainTextResponse(FAILED, 503 if isinstance(error, MinusNineError) else 500)


def _genuine(session: Session, csrf: str) -> None:
    if not sessions.same(session.csrf, csrf):
        raise HTTPException(403)


@router.get("/health")
async def health() -> PlainTextResponse:
    return PlainTextResponse("ok")


@router.get("/")
def home(request: Request, desk: TheDesk) -> Response:
    session = desk.require(request, *ROLES)
    return RedirectResponse(_first_place(desk, session.account), 303)


def _first_place(desk: Desk, account: Account) -> str:
    """The list of whoever has one team; else the first place of the role."""
    standing = desk.newest()
    teams = desk.teams(account, standing) if standing else []
    if standing and len(teams) == 1:
        return f"/lists/{teams[0].slug}/{standing.day}/{PAGE}"
    return views.where(account)[0][0]


@router.get(SIGN_IN)
def sign_in_page(request: Request, desk: TheDesk) -> Response:
    if desk.session(request) is not None:
        return RedirectResponse("/", 303)
    if desk.by_proxy and (account := desk.named_by_proxy(request)) is not None:
        return _signed_in(desk, account)
    token = sessions.new_token()
    response = views.sign_in_page(desk, sessions.csrf(token))
    desk.cookies.give(response, token)
    return response


@router.post(SIGN_IN)
def sign_in(
    request: Request,
    desk: TheDesk,
    csrf: Text,
    name: Text = "",
    password: Text = "",
    role: Text = "",
    team: Text = "",
) -> Response:
    token = desk.cookies.token(request)
    if desk.by_proxy or not token or not sessions.same(sessions.csrf(token), csrf):
        raise HTTPException(403)
    if not desk.sign_ins.allows(sessions.address(request, desk.config.board.proxy)):
        raise HTTPException(429)
    now = desk.clock()
    if desk.demo:
        found: Account | str = sessions.in_demo(desk.accounts, role, team)
    else:
        found = sessions.with_password(desk.accounts, desk.records, name, password, now)
    if isinstance(found, str):
        return views.sign_in_page(desk, csrf, wrong=found, status=403)
    desk.accounts.end(token)
    return _signed_in(desk, found)


def _signed_in(desk: Desk, account: Account) -> Response:
    response = RedirectResponse("/", 303)
    desk.cookies.give(response, sessions.begin(desk.accounts, desk.records, account, desk.clock()))
    return response


@router.post("/sign-out")
def sign_out(request: Request, desk: TheDesk, csrf: Text) -> Response:
    session = desk.require(request, *ROLES)
    _genuine(session, csrf)
    sessions.end(desk.accounts, desk.records, session, desk.clock())
    said = "You are signed out." + (" Your organisation’s account may still be signed in." if desk.by_proxy else "")
    token = sessions.new_token()
    response = views.sign_in_page(desk, sessions.csrf(token), said=said)
    desk.cookies.give(response, token)
    return response


@router.get("/lists")
def teams(request: Request, desk: TheDesk) -> Response:
    return views.teams_page(desk, desk.require(request, *WITH_TEAMS))


@router.get("/lists/{team}/{day}/{name}")
def a_list(request: Request, desk: TheDesk, team: str, day: str, name: str) -> Response:
    session = desk.require(request, *WITH_TEAMS)
    if name != PAGE and name not in FILES:
        raise HTTPException(404)
    shown = _shown(desk, session, team, day)
    if (withheld := shown.standing.withheld.get(team)) is not None:
        return views.withheld(desk, session, shown, withheld)
    content = desk.lists.file(shown.standing, shown.team, name) if name in FILES else None
    if name in FILES and content is None:
        raise HTTPException(404)
    if content is not None and desk.notes(shown) != shown.standing.published_notes(shown.team):
        raise HTTPException(410)  # a file cannot carry the warning that the page does
    beside = [one.person_id for one in shown.others] if content is None else []
    _saw(desk, session, shown, name, list(dict.fromkeys([*(one.person_id for one in shown.people), *beside])))
    if content is None:
        return views.list_response(desk, session, shown)
    told = f'attachment; filename="{team}-{day}-{name}"'
    return Response(content, media_type=FILES[name], headers={"Content-Disposition": told})


@router.get("/lists/{team}/{day}/people/{name}")
def a_person(request: Request, desk: TheDesk, team: str, day: str, name: str) -> Response:
    """The page of somebody who is on the team's list."""
    session = desk.require(request, *WITH_TEAMS)
    shown = _shown(desk, session, team, day)
    found = next((one for one in shown.people if shown.pages.get(one.person_id) == f"{FOLDER}/{name}"), None)
    if found is None or team in shown.standing.withheld:
        raise HTTPException(404)
    _saw(desk, session, shown, "person", [found.person_id])
    return views.person_response(desk, session, shown, found)


def _saw(desk: Desk, session: Session, shown: Shown, what: str, people: Sequence[int]) -> None:
    audit.saw(
        desk.records,
        account_id=session.account.account_id,
        team_id=shown.team.team_id,
        as_of=shown.standing.stamp.as_of,
        version=shown.standing.run.version,
        what=what,
        people=people,
        now=desk.clock(),
    )


@router.get("/lists/{team}/index.html")
def all_teams(request: Request, desk: TheDesk, team: str) -> Response:
    """Where a published page's link to all teams leads."""
    desk.require(request, *WITH_TEAMS)
    return RedirectResponse("/lists", 303)


def _shown(desk: Desk, session: Session, team: str, day: str) -> Shown:
    standing = desk.standing(day)
    return desk.lists.shown(standing, desk.team(session.account, standing, team))


@router.post("/lists/{team}/{day}/answers")
def answer(
    request: Request,
    desk: TheDesk,
    team: str,
    day: str,
    csrf: Text,
    person: Text,
    kind: Text,
    choice: Text = "",
    text: Text = "",
    until: Text = "",
) -> Response:
    session, shown = _answering(request, desk, team, day, csrf)
    found = desk.person(shown, person)
    if found is None:
        raise HTTPException(409)
    stamp = shown.standing.stamp
    kept_kind, reason, end = Given(kind, choice, text, until, shown.standing.date).checked()
    given = Answer(
        id=0,
        at=desk.clock().astimezone(UTC),
        account_id=session.account.account_id,
        team_id=shown.team.team_id,
        person_id=found.person_id,
        as_of=stamp.as_of.astimezone(UTC),
        version=shown.standing.run.version,
        kind=kept_kind,
        reason=reason,
        until=end,
        risk=found.risk,
        model=stamp.model_version,
    )
    answers.give(desk.records, given)
    return _back_to(team, day, person)


@router.post("/lists/{team}/{day}/undo")
def undo(
    request: Request, desk: TheDesk, team: str, day: str, csrf: Text, person: Text, answer: Annotated[int, Form()]
) -> Response:
    session, shown = _answering(request, desk, team, day, csrf)
    if desk.person(shown, person) is None:
        raise HTTPException(409)
    answers.undo(desk.records, answer, shown.team.team_id, session.account.account_id, desk.clock())
    return _back_to(team, day, person)


def _answering(request: Request, desk: Desk, team: str, day: str, csrf: str) -> tuple[Session, Shown]:
    session = desk.require(request, *WITH_TEAMS)
    _genuine(session, csrf)
    if not desk.given.allows(session.account.account_id):
        raise HTTPException(429)
    shown = _shown(desk, session, team, day)
    if team in shown.standing.withheld:
        raise HTTPException(409)
    return session, shown


def _back_to(team: str, day: str, person: str) -> Response:
    """The list again, at the person who was answered about."""
    return RedirectResponse(f"/lists/{team}/{day}/{PAGE}#p{person}", 303)


@router.get("/results")
def how_lists_did(request: Request, desk: TheDesk) -> Response:
    session = desk.require(request, "lead")
    return results.response(desk, session)


@router.get("/state")
def state_of_lists(request: Request, desk: TheDesk) -> Response:
    session = desk.require(request, "operations")
    return state.response(desk, session)


@router.get("/evidence")
def evidence_pages(request: Request, desk: TheDesk) -> Response:
    session = desk.require(request, "scientist")
    return evidence.index(desk, session)


@router.get("/evidence/{path:path}")
def evidence_file(request: Request, desk: TheDesk, path: str) -> Response:
    desk.require(request, "scientist")
    found = evidence.file(desk, path)
    if found is None:
        raise HTTPException(404)
    return found
