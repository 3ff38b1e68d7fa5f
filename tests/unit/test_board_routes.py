"""Who gets what from the board: every address, every role, and the usual attacks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desks import (
    NORTH,
    PASSWORD,
    WEST,
    Hands,
    TestClient,
    config,
    csrf_of,
    hands,
    know_people,
    publish_day,
    sign_in,
    tokens_of,
)
from fastapi.routing import APIRoute
from sqlalchemy import select

from pipelines.board.accounts import ROLES
from pipelines.board.app import router
from pipelines.board.records import VIEWED, VIEWS
from pipelines.board.security import MOST_BYTES
from pipelines.pages.teams import slug

DAY = "2026-02-03"
LIST = f"/lists/{NORTH}/{DAY}/list.html"
NOBODY = "nobody"
TEAM = ("member", "lead")
EVERYONE = tuple(ROLES)
MATRIX: dict[tuple[str, str], tuple[str, dict[str, str], dict[int, tuple[str, ...]]]] = {
    ("GET", "/health"): ("/health", {}, {200: (*EVERYONE, NOBODY)}),
    ("GET", "/"): ("/", {}, {303: (*EVERYONE, NOBODY)}),
    ("GET", "/sign-in"): ("/sign-in", {}, {200: (NOBODY,), 303: EVERYONE}),
    ("POST", "/sign-in"): ("/sign-in", {"name": "x", "password": "y"}, {403: (*EVERYONE, NOBODY)}),
    ("POST", "/sign-out"): ("/sign-out", {}, {200: EVERYONE, 303: (NOBODY,)}),
    ("GET", "/lists"): ("/lists", {}, {200: TEAM}),
    ("GET", "/lists/{team}/index.html"): (f"/lists/{NORTH}/index.html", {}, {303: (*TEAM, NOBODY)}),
    ("GET", "/lists/{team}/{day}/{name}"): (LIST, {}, {200: TEAM}),
    ("GET", "/lists/{team}/{day}/people/{name}"): (f"/lists/{NORTH}/{DAY}/people/x.html", {}, {404: TEAM}),
    ("POST", "/lists/{team}/{day}/answers"): (
        f"/lists/{NORTH}/{DAY}/answers",
        {"person": "x", "kind": "seen"},
        {409: TEAM},
    ),
    ("POST", "/lists/{team}/{day}/undo"): (f"/lists/{NORTH}/{DAY}/undo", {"person": "x", "answer": "1"}, {409: TEAM}),
    ("GET", "/results"): ("/results", {}, {200: ("lead",)}),
    ("GET", "/state"): ("/state", {}, {200: ("operations",)}),
    ("GET", "/evidence"): ("/evidence", {}, {200: ("scientist",)}),
    ("GET", "/evidence/{path:path}"): ("/evidence/evaluation/one/report.html", {}, {200: ("scientist",)}),
}
"""For each address: what is asked and sent, and who gets which answer. Who is not named is refused (403), and nobody is
sent to sign in (303)."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    know_people(folder)
    publish_day(folder)
    report = folder / "evaluation" / "one" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<style>p {}</style><header></header><p>A report</p>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def board(workspace: Path) -> Iterator[Hands]:
    made = hands(workspace)
    yield made
    made.desk.records.close()


def expected(role: str, wanted: dict[int, tuple[str, ...]]) -> int:
    usual = 303 if role == NOBODY else 403
    return next((status for status, roles in wanted.items() if role in roles), usual)


def test_every_address_is_in_the_matrix(board: Hands) -> None:
    [included] = board.app.app.routes
    assert included.original_router is router
    assert all(isinstance(route, APIRoute) for route in router.routes)
    there = {(method, route.path) for route in router.routes for method in route.methods}
    assert there == set(MATRIX)


@pytest.mark.parametrize("role", [*EVERYONE, NOBODY])
@pytest.mark.parametrize("address", MATRIX, ids=" ".join)
def test_who_gets_what(board: Hands, address: tuple[str, str], role: str) -> None:
    method, _ = address
    url, data, wanted = MATRIX[address]
    client = board.client() if role == NOBODY else board.signed_in(role)
    token = csrf_of(client.get("/lists" if role in TEAM else "/sign-in" if role == NOBODY else PLACES[role]).text)
    answer = client.request(method, url, data={"csrf": token, **data} if method == "POST" else None)
    assert answer.status_code == expected(role, wanted)
    if role == NOBODY and answer.status_code == 303:
        assert answer.headers["location"] == "/sign-in"


PLACES = {"scientist": "/evidence", "operations": "/state"}


@pytest.mark.parametrize("role", ["scientist", "operations", NOBODY])
def test_nobody_is_named_to_whoever_holds_no_caseload(board: Hands, role: str) -> None:
    client = board.client() if role == NOBODY else board.signed_in(role)
    for (method, _), (url, data, _wanted) in MATRIX.items():
        text = client.request(method, url, data=data or None).text
        assert not any(name in text for name in ("OKAFOR", "999 000", "LEE"))


@pytest.mark.parametrize("role", TEAM)
def test_another_teams_list_is_not_there(board: Hands, role: str) -> None:
    client = board.signed_in(role)
    token = csrf_of(client.get("/lists").text)
    west = f"/lists/{slug(WEST)}/{DAY}"
    assert board.signed_in(role, (WEST,)).get(f"{west}/list.html").status_code == 200
    for name in ("list.html", "list.csv"):
        answer = client.get(f"{west}/{name}")
        assert answer.status_code == 404
        assert answer.status_code == client.get(f"/lists/no-such-team/{DAY}/{name}").status_code
    for what in ("answers", "undo"):
        data = {"csrf": token, "person": "x", "kind": "seen", "answer": "1"}
        assert client.post(f"{west}/{what}", data=data).status_code == 404
    assert "Elsewhere".upper() not in client.get(LIST).text


def test_a_person_of_another_teams_list_cannot_be_answered_about(board: Hands) -> None:
    theirs = tokens_of(board.signed_in("member", (WEST,)).get(f"/lists/{slug(WEST)}/{DAY}/list.html").text)
    client = board.signed_in("member")
    token = csrf_of(client.get(LIST).text)
    mine = tokens_of(client.get(LIST).text)
    assert not set(mine) & set(theirs), "person 1 is on both lists, and has another token on each"
    for person in theirs:
        data = {"csrf": token, "person": person, "kind": "seen"}
        assert client.post(f"/lists/{NORTH}/{DAY}/answers", data=data).status_code == 409


@pytest.mark.parametrize("role", TEAM)
def test_a_persons_page_is_for_the_teams_that_list_them_and_on_record(board: Hands, role: str) -> None:
    client = board.signed_in(role)
    pages = re.findall(r'href="(people/[0-9a-f]+[.]html)"', client.get(LIST).text)
    assert len(pages) == 3
    first = client.get(f"/lists/{NORTH}/{DAY}/{pages[0]}")
    assert first.status_code == 200
    assert "OKAFOR, Ngozi" in first.text
    assert "Seen by telephone" in first.text
    assert tokens_of(first.text) == tokens_of(client.get(LIST).text)[:1], "there too the team can answer"
    assert f'href="/lists/{NORTH}/{DAY}/list.html"' in first.text
    saw = audited(board)
    assert saw[-2:] == [("person", [1]), ("list.html", [1, 2, 3])]
    theirs = re.findall(
        r'href="(people/[0-9a-f]+[.]html)"',
        board.signed_in(role, (WEST,)).get(f"/lists/{slug(WEST)}/{DAY}/list.html").text,
    )
    for page in theirs:
        assert client.get(f"/lists/{slug(WEST)}/{DAY}/{page}").status_code == 404
        assert client.get(f"/lists/{NORTH}/{DAY}/{page}").status_code == 404


def audited(board: Hands) -> list[tuple[str, list[int]]]:
    """What was looked at, and who was on it, the last first."""
    with board.desk.records.reading() as connection:
        views = connection.execute(select(VIEWS.c.id, VIEWS.c.what).order_by(VIEWS.c.at)).all()
        people = connection.execute(select(VIEWED.c.view_id, VIEWED.c.person_id)).all()
    return [(view.what, sorted(row.person_id for row in people if row.view_id == view.id)) for view in views]


@pytest.mark.parametrize("forged", ["", "0" * 64, None])
@pytest.mark.parametrize(
    "url", [f"/lists/{NORTH}/{DAY}/answers", f"/lists/{NORTH}/{DAY}/undo", "/sign-out", "/sign-in"]
)
def test_a_form_without_its_token_does_nothing(board: Hands, url: str, forged: str | None) -> None:
    client = board.signed_in("member")
    person = tokens_of(client.get(LIST).text)[0]
    data = {"person": person, "kind": "seen", "answer": "1", "name": "a", "password": PASSWORD}
    answer = client.post(url, data=data if forged is None else data | {"csrf": forged})
    assert answer.status_code == (403 if forged else 400)
    assert client.get(LIST).status_code == 200


def test_another_sessions_form_token_does_nothing(board: Hands) -> None:
    theirs = csrf_of(board.signed_in("member").get(LIST).text)
    client = board.signed_in("member")
    data = {"csrf": theirs, "person": tokens_of(client.get(LIST).text)[0], "kind": "seen"}
    assert client.post(f"/lists/{NORTH}/{DAY}/answers", data=data).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/json"}, 415),
        ({"content-length": "99999999"}, 413),
        ({"content-length": "x"}, 413),
    ],
)
def test_what_no_form_of_these_pages_would_send(board: Hands, headers: dict[str, str], status: int) -> None:
    client = board.signed_in("member")
    token = csrf_of(client.get(LIST).text)
    given = {"content-type": "application/x-www-form-urlencoded"} | headers
    assert client.post("/sign-out", content=f"csrf={token}", headers=given).status_code == status
    assert client.get(LIST).status_code == 200, "still signed in"


def test_too_much_is_refused_even_where_it_does_not_say_how_much(board: Hands) -> None:
    client = board.signed_in("member")

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * (MOST_BYTES // 10)

    answer = client.post("/sign-out", content=pieces(), headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (400, 413)
    assert client.get(LIST).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", ""])
def test_another_host_is_not_served(board: Hands, host: str) -> None:
    assert board.client().get("/sign-in", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "identity/identities.sqlite",
        "evaluation/../identity/identities.sqlite",
        "evaluation/%2e%2e/identity/identities.sqlite",
        "evaluation/one/../../exposure/exposure.sqlite",
        "evaluation/link.html",
        "evaluation/linked/list.html",
        "evaluation/.hidden.html",
        "evaluation/one/report.html/",
        "evaluation/one",
        "evaluation/model.pkl",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "evaluation/one/report.html%00",
    ],
)
def test_only_pages_of_evaluation_are_files(board: Hands, workspace: Path, path: str) -> None:
    folder = workspace / "evaluation"
    for link, target in (
        ("link.html", workspace / "lists" / DAY / "index.html"),
        ("linked", workspace / "lists" / DAY / NORTH),
    ):
        if not (folder / link).is_symlink():
            (folder / link).symlink_to(target)
    (folder / ".hidden.html").write_text("hidden")
    (folder / "model.pkl").write_text("no")
    client = board.signed_in("scientist")
    assert client.get("/evidence/evaluation/one/report.html").status_code == 200
    assert client.get(f"/evidence/{path}").status_code == 404


@pytest.mark.parametrize("day", ["latest", "..", "2026-02-30", ".versions", "2026-02-02", "%2e%2e"])
@pytest.mark.parametrize("name", ["list.html", "list.csv", "manifest.json", "run.json", "../manifest.json"])
def test_only_lists_that_stand_are_there(board: Hands, day: str, name: str) -> None:
    client = board.signed_in("member")
    assert client.get(f"/lists/{NORTH}/{day}/{name}").status_code == 404
    assert client.get(f"/lists/{NORTH}/{DAY}/manifest.json").status_code == 404


def test_every_answer_has_the_headers_that_protect_it(board: Hands) -> None:
    client = board.signed_in("member")
    for url in (LIST, "/lists", "/health", "/nowhere", "/state", f"/lists/{NORTH}/{DAY}/list.csv"):
        headers = client.get(url).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        wanted = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
        wanted |= {"x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin"}
        assert {name: headers[name] for name in wanted} == wanted
        assert headers["strict-transport-security"].startswith("max-age=")
        assert "server" not in headers


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(board: Hands) -> None:
    client = board.client()
    board.account("member")
    answer = sign_in(client, "member of north")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("__host-minusnine=")
    assert all(f"; {part}" in cookie for part in ("httponly", "secure", "samesite=lax", "path=/"))
    assert "max-age" not in cookie


def with_cookie(board: Hands, token: str) -> TestClient:
    return board.client(cookie=f"__Host-minusnine={token}")


def test_signing_in_gives_a_session_that_nobody_could_plant(board: Hands) -> None:
    name = board.account("member").name
    planted = "planted-by-somebody-else"
    page = with_cookie(board, planted).get("/sign-in")
    fresh = page.headers["set-cookie"].partition("=")[2].partition(";")[0]
    data = {"csrf": csrf_of(page.text), "name": name, "password": PASSWORD}
    assert with_cookie(board, planted).post("/sign-in", data=data).status_code == 403
    answer = with_cookie(board, fresh).post("/sign-in", data=data)
    session = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert session not in (fresh, planted)
    assert [with_cookie(board, one).get(LIST).status_code for one in (planted, fresh, session)] == [303, 303, 200]


def test_a_session_that_was_signed_out_is_stale(board: Hands) -> None:
    client = board.signed_in("member")
    kept = client.cookies["__Host-minusnine"]
    token = csrf_of(client.get(LIST).text)
    assert with_cookie(board, kept).get(LIST).status_code == 200
    assert client.post("/sign-out", data={"csrf": token}).status_code == 200
    assert with_cookie(board, kept).get(LIST).status_code == 303
    assert with_cookie(board, kept).post("/sign-out", data={"csrf": token}).status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "a" * 5000, "ünïcode", "' or 1=1 --"])
def test_a_token_that_no_session_has(board: Hands, cookie: str) -> None:
    answer = board.client().get(LIST, headers={"cookie": f"__Host-minusnine={cookie}".encode()})
    assert answer.status_code == 303


def test_names_are_shown_as_they_are_written_and_run_nothing(board: Hands) -> None:
    page = board.signed_in("member").get(LIST).text
    assert "<script" not in page
    assert "&lt;SCRIPT&gt;ALERT(1)&lt;/SCRIPT&gt;" in page
    assert "<b>member</b>" not in page


def test_health_tells_nothing(board: Hands) -> None:
    answer = board.client().get("/health")
    assert (answer.status_code, answer.text) == (200, "ok")


def test_a_fault_says_where_and_nothing_of_whom(board: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        message = "OKAFOR, Ngozi 9990000018"
        raise RuntimeError(message)

    client = board.signed_in("member")
    monkeypatch.setattr(type(board.desk), "standing", fails)
    answer = client.get(LIST)
    assert answer.status_code == 500
    assert "OKAFOR" not in answer.text
    assert len(board.complaints) == 1
    assert "RuntimeError in test_board_routes.py" in board.complaints.pop()


class TestProxy:
    """Sign-in by a proxy that has signed people in already."""

    SECRET = "s" * 40
    HEADERS = {"X-Forwarded-Email": "nurse@trust.example", "X-Minusnine-Proxy": SECRET}

    @pytest.fixture
    def proxied(self, workspace: Path, tmp_path: Path) -> Iterator[Hands]:
        settings = config(workspace, sign_in="proxy", proxy={"addresses": ["10.9.0.0/24"]})
        made = hands(workspace, settings, self.SECRET)
        if made.desk.accounts.named("nurse@trust.example") is None:
            made.desk.accounts.add("nurse@trust.example", "Nurse", "member", [NORTH], "")
            made.desk.accounts.add("other@trust.example", "Other", "member", [NORTH], "")
        yield made
        made.desk.records.close()

    def asked(self, board: Hands, peer: str) -> TestClient:
        return TestClient(board.app, base_url="https://testserver", follow_redirects=False, client=(peer, 1234))

    def test_whom_it_names_is_signed_in(self, proxied: Hands) -> None:
        client = self.asked(proxied, "10.9.0.7")
        assert client.get("/sign-in", headers=self.HEADERS).status_code == 303
        assert client.get(LIST, headers=self.HEADERS).status_code == 200

    @pytest.mark.parametrize(
        ("peer", "changes"),
        [
            ("10.8.0.7", {}),
            ("testclient", {}),
            ("10.9.0.7", {"X-Minusnine-Proxy": "s" * 39}),
            ("10.9.0.7", {"X-Minusnine-Proxy": ""}),
            ("10.9.0.7", {"X-Forwarded-Email": "stranger@trust.example"}),
            ("10.9.0.7", {"X-Forwarded-Email": ""}),
        ],
    )
    def test_a_forged_header_signs_nobody_in(self, proxied: Hands, peer: str, changes: dict[str, str]) -> None:
        client = self.asked(proxied, peer)
        answer = client.get("/sign-in", headers=self.HEADERS | changes)
        assert answer.status_code == 200
        assert "There is no account here that goes with it" in answer.text
        assert client.get(LIST, headers=self.HEADERS | changes).status_code == 303

    def test_a_header_given_twice_signs_nobody_in(self, proxied: Hands) -> None:
        client = self.asked(proxied, "10.9.0.7")
        twice = [*self.HEADERS.items(), ("X-Forwarded-Email", "other@trust.example")]
        assert client.get("/sign-in", headers=twice).status_code == 200

    def test_a_session_is_good_only_for_whom_the_proxy_names(self, proxied: Hands) -> None:
        client = self.asked(proxied, "10.9.0.7")
        client.get("/sign-in", headers=self.HEADERS)
        assert client.get(LIST, headers=self.HEADERS).status_code == 200
        assert client.get(LIST, headers=self.HEADERS | {"X-Forwarded-Email": "other@trust.example"}).status_code == 303
        assert client.get(LIST).status_code == 303

    def test_there_is_no_password_beside_it(self, proxied: Hands) -> None:
        client = self.asked(proxied, "10.9.0.7")
        client.get("/sign-in")
        data = {"csrf": "x", "name": "nurse@trust.example", "password": ""}
        assert client.post("/sign-in", data=data).status_code == 403

    def test_without_it_such_headers_mean_nothing(self, board: Hands) -> None:
        client = self.asked(board, "127.0.0.1")
        assert client.get("/sign-in", headers=self.HEADERS).status_code == 200
        assert client.get(LIST, headers=self.HEADERS).status_code == 303
