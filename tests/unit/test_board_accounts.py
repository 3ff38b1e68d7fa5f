"""Who may sign in: passwords, waits, sessions that end, the commands, and the demonstration."""

import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import yaml
from desks import HALF_PAST_SEVEN, NORTH, PASSWORD, Hands, config, csrf_of, hands, know_people, publish_day, sign_in
from typer.testing import CliRunner

from features.errors import ConfigError
from pipelines.board import passwords, serving
from pipelines.board.accounts import FREE_ATTEMPTS, Accounts
from pipelines.board.records import SIGN_INS
from pipelines.board.security import Limiter
from pipelines.cli import app
from pipelines.status import Status

LIST = f"/lists/{NORTH}/2026-02-03/list.html"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Hands]:
    know_people(tmp_path)
    publish_day(tmp_path)
    made = hands(tmp_path)
    yield made
    made.desk.records.close()


def test_after_a_few_failures_each_attempt_waits_longer(board: Hands) -> None:
    name, client = board.account("member").name, board.client()
    for _ in range(FREE_ATTEMPTS):
        assert "do not belong together" in sign_in(client, name, "wrong").text
    assert "Wait 15 seconds" in sign_in(client, name).text, "even with the right password"
    board.now[0] += timedelta(seconds=15)
    assert "do not belong together" in sign_in(client, name, "wrong").text
    assert "Wait 30 seconds" in sign_in(client, name).text
    for _ in range(12):
        board.now[0] += timedelta(minutes=15)
        assert "do not belong together" in sign_in(client, name, "wrong").text
    assert "Wait 15 minutes" in sign_in(client, name).text
    board.now[0] += timedelta(minutes=15)
    assert sign_in(client, name).status_code == 303
    told = [what for (what,) in _column(board, "what")]
    assert told.count("made to wait") == 3
    assert told[-1] == "signed in"


def _column(board: Hands, name: str) -> list[Any]:
    from sqlalchemy import select

    with board.desk.records.reading() as connection:
        return list(connection.execute(select(SIGN_INS.c[name]).order_by(SIGN_INS.c.id)).all())


def test_a_name_that_nobody_has_is_told_the_same(board: Hands) -> None:
    name = board.account("member").name
    client = board.client()
    theirs = [sign_in(client, name, "wrong").text for _ in range(FREE_ATTEMPTS + 1)]
    nobodys = [sign_in(client, "nobody", "wrong").text for _ in range(FREE_ATTEMPTS + 1)]
    without = [[text.replace(csrf_of(text), "") for text in texts] for texts in (theirs, nobodys)]
    assert without[0] == without[1]


def test_many_attempts_at_once_gain_nothing(tmp_path: Path) -> None:
    accounts, start, waits = Accounts(tmp_path), Barrier(12), []

    def attempt() -> None:
        start.wait()
        waits.append(accounts.attempt("A Name", 1000.0))

    threads = [Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0 for wait in waits) == FREE_ATTEMPTS


def test_a_session_ends_when_it_is_not_used_and_in_any_case(board: Hands) -> None:
    client = board.signed_in("member")
    for _ in range(12):
        board.now[0] += timedelta(minutes=59)
        assert client.get(LIST).status_code == 200
    board.now[0] += timedelta(minutes=59)
    assert client.get(LIST).status_code == 303, "twelve hours are over, whatever was done in them"
    client = board.signed_in("member")
    board.now[0] += timedelta(minutes=60)
    assert client.get(LIST).status_code == 303


def test_whoever_is_removed_is_signed_out_at_once_and_stays_named(board: Hands) -> None:
    client = board.signed_in("member")
    removed = board.desk.accounts.remove("member of north")
    assert client.get(LIST).status_code == 303
    assert sign_in(client, "member of north").status_code == 403
    assert board.desk.accounts.shown_names()[removed.account_id] == removed.shown
    again = board.desk.accounts.add("member of north", "x", "member", [NORTH], "")
    assert again.account_id != removed.account_id


def test_another_password_ends_the_sessions_and_the_wait(board: Hands) -> None:
    client = board.signed_in("member")
    for _ in range(FREE_ATTEMPTS):
        sign_in(board.client(), "member of north", "wrong")
    board.desk.accounts.set_password("member of north", passwords.hashed("quite another one"))
    assert client.get(LIST).status_code == 303
    assert sign_in(client, "member of north", "quite another one").status_code == 303


def test_only_so_many_sign_ins_and_answers_a_minute(tmp_path: Path) -> None:
    know_people(tmp_path)
    publish_day(tmp_path)
    board = hands(tmp_path, config(tmp_path, sign_ins=2, answers=2))
    client = board.signed_in("member")
    data = {"csrf": csrf_of(client.get(LIST).text), "person": "x", "kind": "seen"}
    statuses = [client.post(f"/lists/{NORTH}/2026-02-03/answers", data=data).status_code for _ in range(3)]
    assert statuses == [409, 409, 429]
    assert [sign_in(board.client(), "a", "b").status_code for _ in range(2)] == [403, 429]
    board.now[0] += timedelta(minutes=1)
    assert sign_in(board.client(), "a", "b").status_code == 403
    board.desk.records.close()


def test_the_limiter_forgets_those_who_have_been_quiet() -> None:
    now = [0.0]
    limiter = Limiter(1, lambda: now[0])
    for number in range(10_001):
        assert limiter.allows(str(number))
    now[0] = 61.0
    assert limiter.allows("another")
    assert len(limiter.times) < 3


def test_passwords_are_kept_as_argon2id_and_none_matches_nobody() -> None:
    kept = passwords.hashed(PASSWORD)
    assert kept.startswith("$argon2id$")
    assert passwords.matches(kept, PASSWORD)
    assert not passwords.matches(kept, PASSWORD + "x")
    assert not passwords.matches("", "a password that no account has")
    with pytest.raises(ConfigError, match="12 to 256 characters; it has 5"):
        passwords.hashed("short")


def test_the_file_is_its_owners_and_holds_no_token_or_password(board: Hands, tmp_path: Path) -> None:
    client = board.signed_in("member")
    token = client.cookies["__Host-minusnine"].encode()
    files = list((tmp_path / "board").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "board").stat().st_mode) == 0o700
    content = b"".join(path.read_bytes() for path in files)
    assert b"argon2id" in content
    assert token not in content
    assert PASSWORD.encode() not in content


def service_file(tmp_path: Path, **changes: Any) -> Path:
    raw = {"trust": "T", "features": "f.yaml", "sources": {}, "workspace": str(tmp_path / "w"), "simulated": True}
    path = tmp_path / "service.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    return path


def user(path: Path, *words: str, given: str = "") -> Any:
    return CliRunner().invoke(app, ["board", "user", *words, "--config", str(path)], input=given)


def test_accounts_are_seen_to_by_commands(tmp_path: Path) -> None:
    path = service_file(tmp_path)
    added = user(path, "add", "N.Okafor", "--role", "lead", "--team", "A", "--team", "B", given=PASSWORD + "\n")
    assert added.exit_code == 0, added.output
    assert user(path, "add", "ops", "--role", "operations", "--by-proxy").exit_code == 0
    listed = user(path, "list").output
    assert "n.okafor (N.Okafor): team lead of A, B, account" in listed
    assert "ops (ops): operations, account" in listed
    assert PASSWORD not in listed + added.output
    accounts = Accounts(tmp_path / "w" / "board")
    found = accounts.named("n.OKAFOR")
    assert found is not None
    assert passwords.matches(found[1], PASSWORD)
    assert user(path, "password", "n.okafor", given="another password\n").exit_code == 0
    assert user(path, "remove", "n.okafor").exit_code == 0
    assert accounts.named("n.okafor") is None


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("add", "x", "--role", "boss"), PASSWORD, "--role must be one of"),
        (("add", "x", "--role", "member"), PASSWORD, "needs a --team"),
        (("add", "x", "--role", "scientist", "--team", "A"), PASSWORD, "nobody else may have one"),
        (("add", "x", "--role", "operations"), "short", "12 to 256 characters"),
        (("remove", "x"), "", "none is called x"),
    ],
)
def test_what_makes_no_account_is_one_sentence(tmp_path: Path, words: tuple[str, ...], given: str, says: str) -> None:
    done = user(service_file(tmp_path), *words, given=given)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("A Name", "A", "operations", (), "")
    with pytest.raises(ConfigError, match="name of its own"):
        accounts.add(" a  NAME ", "B", "operations", (), "")


class TestDemo:
    """Anybody may choose who to be, of people who do not exist, on this machine."""

    @pytest.fixture
    def demo(self, tmp_path: Path) -> Any:
        know_people(tmp_path)
        publish_day(tmp_path)
        fresh = Status("fresh", ())
        return serving.board(config(tmp_path), lambda: HALF_PAST_SEVEN, lambda _at: fresh, print, demo=True)

    def test_each_role_signs_in_without_a_password_and_every_page_says_demo(self, demo: Any, tmp_path: Path) -> None:
        from desks import TestClient

        for role, place in (
            ("member", LIST),
            ("lead", "/results"),
            ("scientist", "/evidence"),
            ("operations", "/state"),
        ):
            client = TestClient(demo, base_url="http://127.0.0.1", follow_redirects=True)
            page = client.get("/sign-in")
            signed = client.post("/sign-in", data={"csrf": csrf_of(page.text), "role": role, "team": NORTH})
            shown = client.get(place)
            assert shown.status_code == 200
            for one in (page, signed, shown, client.get("/nowhere")):
                assert "<strong>DEMO</strong>" in one.text
        assert not (tmp_path / "board").exists(), "no account is kept"

    def test_never_for_people_who_exist(self, tmp_path: Path) -> None:
        real = config(tmp_path).model_copy(update={"simulated": False})
        with pytest.raises(ConfigError, match="must show nobody who exists"):
            serving.board(real, lambda: HALF_PAST_SEVEN, lambda _at: Status("fresh", ()), print, demo=True)

    @pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "board.trust.example"])
    def test_never_for_others_than_this_machine(self, host: str) -> None:
        with pytest.raises(ConfigError, match="must stay on this machine"):
            serving.require_loopback(host)
        serving.require_loopback("127.0.0.1")
        serving.require_loopback("::1")

    def test_its_clock_goes_on_from_the_morning_of_the_newest_lists(self, tmp_path: Path) -> None:
        publish_day(tmp_path)
        now = [HALF_PAST_SEVEN + timedelta(days=300)]
        clock = serving.demo_clock(config(tmp_path), lambda: now[0])
        assert clock() == HALF_PAST_SEVEN
        now[0] += timedelta(minutes=9)
        assert clock() == HALF_PAST_SEVEN + timedelta(minutes=9)


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_proxy_without_a_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("MINUSNINE_BOARD_SECRET", secret)
    settings = config(tmp_path, sign_in="proxy")
    with pytest.raises(ConfigError, match="at least 32 characters"):
        serving.board(settings, lambda: HALF_PAST_SEVEN, lambda _at: Status("fresh", ()), print)
