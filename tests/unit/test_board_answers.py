"""What a team answers: kept, shown to the team, taken back, never lost, and never hiding somebody whose risk rises."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pandas as pd
import pytest
from desks import (
    CUT,
    HALF_PAST_SEVEN,
    NORTH,
    WEST,
    Hands,
    TestClient,
    csrf_of,
    hands,
    know_people,
    publish_day,
    rows,
    tokens_of,
    undo_of,
    withhold,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from features.errors import StorageError
from pipelines.board.answers import KINDS, given_before
from pipelines.board.records import ANSWERS, SIGN_INS, VIEWED, VIEWS
from pipelines.pages.teams import slug
from pipelines.publish import hold
from pipelines.workspace import Workspace

DAY, NEXT = "2026-02-03", "2026-02-04"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Hands]:
    know_people(tmp_path)
    publish_day(tmp_path)
    made = hands(tmp_path)
    yield made
    made.desk.records.close()


def page(client: TestClient, day: str = DAY, team: str = NORTH) -> str:
    answer = client.get(f"/lists/{team}/{day}/list.html")
    assert answer.status_code == 200
    text: str = answer.text
    return text


def answer(client: TestClient, rank: int, kind: str, day: str = DAY, **more: str) -> Any:
    text = page(client, day)
    data = {"csrf": csrf_of(text), "person": tokens_of(text)[rank - 1], "kind": kind, **more}
    return client.post(f"/lists/{NORTH}/{day}/answers", data=data)


def beside(text: str, rank: int) -> str:
    """What the page has beside the person of a rank."""
    return text.split('<div class="answers')[rank]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("not_appropriate", "snooze")])
def test_one_click_is_an_answer_for_the_whole_team(board: Hands, kind: str) -> None:
    client, colleague = board.signed_in("member"), board.signed_in("lead")
    done = answer(client, 1, kind)
    assert done.status_code == 303
    assert done.headers["location"] == f"/lists/{NORTH}/{DAY}/list.html#p{tokens_of(page(client))[0]}"
    for reader in (client, colleague):
        assert f"<strong>{KINDS[kind]}</strong>, 03-Feb-2026 07:30" in beside(page(reader), 1)
        assert KINDS[kind] + "</strong>, 03" not in beside(page(reader), 2)
    assert "<strong>1 of 3 people</strong> answered" in page(colleague)
    kept = rows(board, ANSWERS)[0]
    account = board.account("member")
    assert (kept.account_id, kept.team_id, kept.person_id, kept.kind) == (account.account_id, NORTH, 1, kind)
    assert (kept.version, kept.risk, kept.model) == (1, 0.1, "1 (abc)")


def test_the_database_holds_no_name(board: Hands, tmp_path: Path) -> None:
    answer(board.signed_in("member"), 1, "visited")
    for path in (tmp_path / "exposure").iterdir():
        content = path.read_bytes()
        assert not any(name in content for name in (b"Okafor", b"OKAFOR", b"9990000018", b"member"))


def test_a_reason_is_kept_and_shown_as_text(board: Hands) -> None:
    client = board.signed_in("member")
    choice = "On an end of life pathway"
    assert answer(client, 1, "not_appropriate", choice=choice, text=" <i>x</i>\n & y ").status_code == 303
    assert "Not appropriate: On an end of life pathway; &lt;i&gt;x&lt;/i&gt; &amp; y</strong>" in page(client)
    assert rows(board, ANSWERS)[0].reason == f"{choice}; <i>x</i> & y"


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("undo", {}),
        ("nonsense", {}),
        ("not_appropriate", {}),
        ("not_appropriate", {"choice": "made up"}),
        ("not_appropriate", {"choice": "Something else", "text": "x" * 201}),
        ("not_appropriate", {"choice": "Something else", "text": "x\x00y"}),
        ("snooze", {}),
        ("snooze", {"until": DAY}),
        ("snooze", {"until": "2026-01-01"}),
        ("snooze", {"until": "2026-03-04"}),
        ("snooze", {"until": "soon"}),
    ],
)
def test_what_is_no_answer_is_not_kept(board: Hands, kind: str, more: dict[str, str]) -> None:
    client = board.signed_in("member")
    done = answer(client, 1, kind, **more)
    assert done.status_code == 400
    assert "Nothing was recorded" in done.text
    assert rows(board, ANSWERS) == []
    assert board.complaints == []


def test_undone_by_anybody_of_the_team_and_nothing_is_deleted(board: Hands) -> None:
    client, colleague = board.signed_in("member"), board.signed_in("lead")
    answer(client, 1, "visited")
    answer(client, 1, "known")
    url, data = f"/lists/{NORTH}/{DAY}/undo", undo_of(page(colleague))
    assert colleague.post(url, data=data).status_code == 303
    assert colleague.post(url, data=data).status_code == 303
    assert "Already known</strong>" not in page(client)
    assert "Visited</strong>" in page(client)
    kinds = [(row.kind, row.undoes) for row in rows(board, ANSWERS)]
    assert kinds == [("visited", None), ("known", None), ("undo", 2)]


def test_another_teams_answer_cannot_be_undone(board: Hands) -> None:
    answer(board.signed_in("member"), 1, "visited")
    client = board.signed_in("member", (WEST,))
    text = page(client, team=slug(WEST))
    data = {"csrf": csrf_of(text), "person": tokens_of(text)[0], "answer": "1"}
    assert client.post(f"/lists/{slug(WEST)}/{DAY}/undo", data=data).status_code == 303
    assert len(rows(board, ANSWERS)) == 1


def test_many_answering_at_once_lose_nothing(board: Hands) -> None:
    clients = [board.signed_in("member", name=f"nurse {number}") for number in range(8)]
    text = page(clients[0])
    person, start = tokens_of(text)[0], Barrier(len(clients))
    statuses: list[int] = []

    def click(client: TestClient, kind: str) -> None:
        data = {"csrf": csrf_of(page(client)), "person": person, "kind": kind}
        start.wait()
        statuses.append(client.post(f"/lists/{NORTH}/{DAY}/answers", data=data).status_code)

    threads = [Thread(target=click, args=(c, ("seen", "visited")[n % 2])) for n, c in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [303] * 8
    assert len({(row.account_id, row.kind) for row in rows(board, ANSWERS)}) == 8
    shown = beside(page(clients[0]), 1)
    assert (shown.count("<strong>Seen, no action</strong>"), shown.count("<strong>Visited</strong>")) == (4, 4)


def test_one_that_fails_spoils_nobody_elses(board: Hands) -> None:
    records, start = board.desk.records, Barrier(4)
    failed: list[str] = []

    def write(good: bool) -> None:
        start.wait()
        try:
            records.write(lambda connection: connection.execute(text("select 1" if good else "select nothing")))
        except StorageError as error:
            failed.append(str(error))

    threads = [Thread(target=write, args=(number != 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert "did not take it" in failed[0]


def test_a_driver_that_loses_its_words_is_a_fault_of_the_database(board: Hands) -> None:
    def failing(_connection: object) -> None:
        message = "<sqlite3.Connection> returned NULL without setting an exception"
        raise SystemError(message)

    with pytest.raises(StorageError, match="did not take it"):
        board.desk.records.write(failing)


def test_tomorrows_list_shows_what_was_answered(board: Hands, tmp_path: Path) -> None:
    client = board.signed_in("member")
    answer(client, 1, "visited")
    publish_day(tmp_path, days=1)
    board.now[0] += timedelta(days=1)
    client = board.signed_in("member")
    tomorrow = page(client, NEXT)
    assert '<li class="earlier">Visited, 03-Feb-2026 07:30' in beside(tomorrow, 1)
    assert "<strong>0 of 3 people</strong> answered" in tomorrow
    assert answer(client, 1, "known", NEXT).status_code == 303
    earlier = page(client)
    assert "This is an earlier list. The newest is the one for 04-Feb-2026" in earlier
    assert "Already known</strong>" not in earlier
    assert "<strong>Visited</strong>" in earlier


@pytest.mark.parametrize(
    ("day", "risk", "change", "model", "folded", "says"),
    [
        (1, 0.1, "steady", "1 (abc)", True, "Folded away until 05-Feb-2026"),
        (1, 0.124, "steady", "1 (abc)", True, "Folded away until 05-Feb-2026"),
        (1, 0.125, "steady", "1 (abc)", False, "the risk has risen since"),
        (1, 0.1, "rising", "1 (abc)", False, "the risk has risen since"),
        (1, 0.1, "steady", "2 (def)", False, "another model is in use since"),
        (2, 0.1, "steady", "1 (abc)", False, ""),
    ],
)
def test_a_snooze_folds_until_its_day_or_until_the_risk_rises(
    board: Hands, tmp_path: Path, day: int, risk: float, change: str, model: str, folded: bool, says: str
) -> None:
    client = board.signed_in("member")
    assert answer(client, 1, "snooze", until="2026-02-05").status_code == 303
    today = page(client)
    assert 'snoozed"' in today.split('<div class="answers')[1][:20]
    assert "1 snoozed and folded" in today
    publish_day(tmp_path, days=day, risks={1: risk}, changes={1: change}, model=model)
    board.now[0] += timedelta(days=day)
    client = board.signed_in("member")
    then = page(client, (CUT + timedelta(days=day)).date().isoformat())
    assert "OKAFOR, Ngozi" in then
    assert (' snoozed"' in beside(then, 1)[:20]) is folded
    assert says in beside(then, 1)
    assert ("back from a snooze" in then) is (bool(says) and not folded)


def test_a_snooze_of_the_day_before_can_be_undone(board: Hands, tmp_path: Path) -> None:
    answer(board.signed_in("member"), 1, "snooze", until="2026-02-09")
    publish_day(tmp_path, days=1)
    board.now[0] += timedelta(days=1)
    client = board.signed_in("member")
    done = client.post(f"/lists/{NORTH}/{NEXT}/undo", data=undo_of(page(client, NEXT)))
    assert done.status_code == 303
    assert "Snoozed until" not in page(client, NEXT)


def test_a_list_that_was_replaced_takes_no_answer_for_the_old_one(board: Hands, tmp_path: Path) -> None:
    client = board.signed_in("member")
    text = page(client)
    publish_day(tmp_path, risks={3: 0.4}, replace=True)
    data = {"csrf": csrf_of(text), "person": tokens_of(text)[0], "kind": "seen"}
    done = client.post(f"/lists/{NORTH}/{DAY}/answers", data=data)
    assert done.status_code == 409
    assert "nothing was recorded" in done.text
    assert rows(board, ANSWERS) == []
    assert "About 1 in 2" in page(client)


def test_a_list_is_never_shown_out_of_date_without_saying_so(board: Hands, tmp_path: Path) -> None:
    client = board.signed_in("member")
    warning = "This list is out of date since Wednesday 04-Feb-2026, 08:00"
    assert warning not in page(client)
    assert client.get(f"/lists/{NORTH}/{DAY}/list.csv").status_code == 200
    for passed, late in ((timedelta(days=1, minutes=29), False), (timedelta(days=1, minutes=30), True)):
        board.now[0] = HALF_PAST_SEVEN + passed
        client = board.signed_in("member")
        assert (warning in page(client)) is late
        assert (warning in client.get("/lists").text) is late
        assert client.get(f"/lists/{NORTH}/{DAY}/list.csv").status_code == (410 if late else 200)


def test_what_failed_since_is_said_on_the_list(board: Hands, tmp_path: Path) -> None:
    client = board.signed_in("member")
    assert "the feed is late" not in page(client)
    assert hold(tmp_path / "lists", "The lists for 04-Feb-2026 could not be made: the feed is late.", NEXT)
    assert "The lists for 04-Feb-2026 could not be made: the feed is late." in page(client)
    assert client.get(f"/lists/{NORTH}/{DAY}/list.csv").status_code == 410


def test_a_team_whose_list_is_held_back_reads_its_last_good_one_and_why(board: Hands, tmp_path: Path) -> None:
    publish_day(tmp_path, days=1)
    withhold(tmp_path, NEXT, DAY)
    board.now[0] += timedelta(days=1)
    client = board.signed_in("member")
    sent = client.get(f"/lists/{NORTH}/{NEXT}/list.html")
    assert (sent.status_code, sent.headers["location"]) == (303, f"/lists/{NORTH}/{DAY}/list.html")
    text = page(client)
    assert "The list was held back: half of the contacts are missing." in text
    assert "This is an earlier list" not in text
    assert client.get(f"/lists/{NORTH}/{DAY}/list.csv").status_code == 410
    assert answer(client, 1, "visited").status_code == 303
    west = board.signed_in("member", (WEST,))
    assert "West is told this alone." in page(west, NEXT, slug(WEST))
    assert west.get(f"/lists/{slug(WEST)}/{NEXT}/list.csv").status_code == 200
    assert "This is an earlier list" in page(west, DAY, slug(WEST))


def test_a_team_that_never_had_a_list_is_told_so_and_not_that_nobody_is_listed(board: Hands, tmp_path: Path) -> None:
    withhold(tmp_path, DAY, None)
    text = page(board.signed_in("member"))
    assert "The list was held back" in text
    assert "This does not mean that nobody is at risk" in text
    assert "OKAFOR" not in text
    assert "Nobody is listed" not in text


def test_nobody_is_shown_who_is_not_on_the_published_list(board: Hands, tmp_path: Path) -> None:
    path = (tmp_path / "lists" / DAY).resolve() / NORTH / "list.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:2]), "utf-8")
    text = page(board.signed_in("member"))
    assert "OKAFOR" in text
    assert "LEE" not in text


def test_where_nothing_stands_it_says_so(tmp_path: Path) -> None:
    board = hands(tmp_path)
    answer = board.signed_in("member").get("/lists")
    board.desk.records.close()
    assert answer.status_code == 200
    assert "No list has been published here yet" in answer.text


def test_who_saw_whom_is_on_record_before_it_is_shown(board: Hands) -> None:
    client = board.signed_in("member")
    page(client)
    assert client.get(f"/lists/{NORTH}/{DAY}/list.csv").status_code == 200
    client.get(f"/lists/{slug(WEST)}/{DAY}/list.html")
    views = rows(board, VIEWS)
    account = board.account("member").account_id
    assert [(view.account_id, view.team_id, view.what) for view in views] == [
        (account, NORTH, "list.html"),
        (account, NORTH, "list.csv"),
    ]
    assert {(row.view_id, row.person_id) for row in rows(board, VIEWED)} == {
        (view.id, person) for view in views for person in (1, 2, 3)
    }
    assert [row.what for row in rows(board, SIGN_INS)] == ["signed in"]


def test_what_cannot_be_put_on_record_is_not_shown(board: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    client = board.signed_in("member")
    with board.desk.records.engine.begin() as connection:
        connection.execute(text("drop table viewed"))
    shown = client.get(f"/lists/{NORTH}/{DAY}/list.html")
    assert shown.status_code == 503
    assert "OKAFOR" not in shown.text
    assert "must put on record what it shows" in board.complaints[0]


@pytest.mark.parametrize("table", ["answers", "views", "viewed", "sign_ins"])
@pytest.mark.parametrize("change", ["update {} set as_of = as_of", "update {} set at = at", "delete from {}"])
def test_the_database_itself_refuses_changes(board: Hands, table: str, change: str) -> None:
    client = board.signed_in("member")
    answer(client, 1, "seen")
    with pytest.raises(DBAPIError), board.desk.records.engine.begin() as connection:
        connection.execute(text(change.format(table)))
    assert len(rows(board, {"answers": ANSWERS, "views": VIEWS, "viewed": VIEWED, "sign_ins": SIGN_INS}[table])) > 0


def test_what_the_exposure_log_forgets_the_board_forgets_too(board: Hands, tmp_path: Path) -> None:
    answer(board.signed_in("member"), 1, "visited")
    publish_day(tmp_path, days=9)
    board.now[0] += timedelta(days=9)
    answer(board.signed_in("member"), 1, "known", "2026-02-12")
    assert board.desk.records.prune() == 0
    board.desk.records.exposures.prune(CUT + timedelta(days=3), board.now[0])
    assert board.desk.records.prune() > 4
    assert [row.kind for row in rows(board, ANSWERS)] == ["known"]
    assert len(rows(board, SIGN_INS)) == 1


def test_answers_given_before_a_moment_for_other_pages(board: Hands) -> None:
    client = board.signed_in("member")
    answer(client, 1, "visited")
    board.now[0] += timedelta(minutes=5)
    client.post(f"/lists/{NORTH}/{DAY}/undo", data=undo_of(page(client)))
    answer(client, 2, "known")
    records = board.desk.records
    first = given_before(records, HALF_PAST_SEVEN + timedelta(minutes=1))
    assert first[["person_id", "says"]].to_numpy().tolist() == [[1, "Visited"]]
    later = given_before(records, HALF_PAST_SEVEN + timedelta(hours=1))
    assert later[["person_id", "says"]].to_numpy().tolist() == [[2, "Already known"]]
    assert given_before(records, HALF_PAST_SEVEN + timedelta(hours=1), [1]).empty
    assert first["as_of"].tolist() == [pd.Timestamp(CUT)]


def test_the_leads_page_counts_what_was_answered(board: Hands) -> None:
    lead = board.signed_in("lead")
    answer(lead, 1, "visited")
    answer(lead, 1, "escalated")
    answer(lead, 2, "seen")
    text = " ".join(re.sub(r"<[^>]+>", " ", lead.get("/results").text).split())
    assert "Places on them 3" in text
    assert "Places that were answered 2 (67%)" in text
    assert "Visited 1" in text
    assert "Urgent" not in text.split("North nursing")[1].split("Escalated")[0]
    assert Workspace(board.desk.config.workspace).board.is_dir()
