"""The exposure log: added to and never changed, the same publication once, removed only on record."""

import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from postgres import PASSWORD, VARIABLE
from postgres import postgres as server
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from features.errors import ConfigError, StorageError
from pipelines.board import answers, audit
from pipelines.board.answers import Answer
from pipelines.board.records import Records
from pipelines.exposure import Exposures
from pipelines.serving import free_port

AS_OF = datetime(2026, 7, 3, 5, tzinfo=UTC)
RANKED = pd.DataFrame(
    {
        "team_id": ["A", "A", "B"],
        "person_id": [7, 2**62, 7],
        "rank": [1, 2, 1],
        "risk": [0.5, 0.1, 0.5],
        "listed": [True, False, True],
    }
)


def version(number: int = 1, days: int = 0) -> dict[str, object]:
    at = AS_OF + timedelta(days=days)
    return {
        "as_of": at,
        "version": number,
        "published_at": at + timedelta(minutes=9),
        "model": "1 (abc)",
        "lists": f"digest {number}",
        "listed": 2,
    }


def put(log: Exposures, number: int = 1, days: int = 0, ranked: pd.DataFrame = RANKED) -> None:
    with log.appending(version(number, days), ranked):
        pass


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a Postgres server of the tests' own; skipped where there is none."""
    with server(free_port()) as running:
        running.create(["exposure"])
        yield running.url("exposure").replace(f"${VARIABLE}", PASSWORD)


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Exposures]:
    if request.param == "sqlite":
        yield Exposures("", tmp_path)
        return
    url = request.getfixturevalue("postgres")
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
    yield Exposures(url, tmp_path)


def test_who_was_on_which_list_is_kept_in_order(log: Exposures) -> None:
    put(log, days=1)
    put(log)
    listed = log.listed()
    assert listed["as_of"].tolist() == [*[pd.Timestamp(AS_OF)] * 2, *[pd.Timestamp(AS_OF + timedelta(days=1))] * 2]
    assert listed[["team_id", "person_id", "rank", "risk"]].head(2).to_numpy().tolist() == [
        ["A", 7, 1, 0.5],
        ["B", 7, 1, 0.5],
    ]
    assert log.versions()["published_at"].iloc[0] == pd.Timestamp(AS_OF + timedelta(minutes=9))


def test_a_publication_is_kept_once_and_another_version_beside_it(log: Exposures) -> None:
    for number in (1, 1, 2, 1):
        put(log, number, ranked=RANKED if number == 2 else RANKED.head(1))
    assert log.versions()["lists"].tolist() == ["digest 1", "digest 2"]
    assert log.listed().groupby("version").size().to_dict() == {1: 1, 2: 2}


def test_a_day_with_nobody_listed_is_a_publication_too(log: Exposures) -> None:
    put(log, ranked=RANKED.assign(listed=False))
    assert (len(log.versions()), len(log.listed())) == (1, 0)


def test_what_fails_inside_is_not_kept(log: Exposures) -> None:
    with pytest.raises(ZeroDivisionError), log.appending(version(), RANKED):
        raise ZeroDivisionError
    assert log.versions().empty
    assert log.listed().empty


@pytest.mark.parametrize(
    "statement",
    [
        "update exposures set risk = 0",
        "delete from exposures",
        "update publications set model = 'x'",
        "delete from publications",
        "insert into publications select as_of, version, published_at, model, lists, 9 from publications",
    ],
)
def test_the_database_itself_refuses_changes(log: Exposures, statement: str) -> None:
    put(log)
    with pytest.raises(DBAPIError), create_engine(log.url, poolclass=NullPool).begin() as connection:
        connection.execute(text(statement))
    assert (len(log.versions()), len(log.listed())) == (1, 2)


def test_pruning_removes_what_is_old_on_record_and_nothing_comes_back(log: Exposures) -> None:
    for days in range(4):
        put(log, days=days)
    now = AS_OF + timedelta(days=30)
    assert log.prune(AS_OF + timedelta(days=2), now) == 4
    assert log.prune(AS_OF + timedelta(days=2), now) == 0
    put(log)
    assert len(log.listed()) == 4
    assert len(log.versions()) == 4
    with create_engine(log.url, poolclass=NullPool).begin() as connection:
        rows = connection.execute(text("select exposures from prunings")).fetchall()
        assert [tuple(row) for row in rows] == [(4,)]
    with pytest.raises(DBAPIError), create_engine(log.url, poolclass=NullPool).begin() as connection:
        connection.execute(text("delete from exposures"))
    assert len(log.listed()) == 4


PLANNED = RANKED.assign(
    listed=[True, False, False], chance=[0.25, 0.25, 0.0], withheld=["", "by lot", "team not started"]
)


def test_shown_and_withheld_are_kept_apart_each_with_its_chance(log: Exposures) -> None:
    put(log)
    put(log, days=1, ranked=PLANNED)
    assert log.listed().groupby("as_of").size().tolist() == [2, 1]
    withheld = log.withheld()
    assert withheld["as_of"].eq(pd.Timestamp(AS_OF + timedelta(days=1))).all()
    assert withheld[["team_id", "person_id", "rank", "risk", "chance", "reason"]].to_numpy().tolist() == [
        ["A", 2**62, 2, 0.1, 0.25, "by lot"],
        ["B", 7, 1, 0.5, 0.0, "team not started"],
    ]
    whole = log.weighted()
    assert whole["shown"].tolist() == [True, True, True, False, False]
    assert whole["chance"].tolist() == [1, 1, 0.25, 0.25, 0]
    assert whole["reason"].tolist() == ["", "", "", "by lot", "team not started"]
    assert log.prune(AS_OF + timedelta(days=2), AS_OF + timedelta(days=3)) == 6
    assert log.weighted().empty


@pytest.mark.parametrize("change", ["update chances set chance = 1", "delete from withheld", "delete from chances"])
def test_nor_can_it_be_changed_who_was_withheld(log: Exposures, change: str) -> None:
    put(log, ranked=PLANNED)
    with pytest.raises(DBAPIError), create_engine(log.url, poolclass=NullPool).begin() as connection:
        connection.execute(text(change))
    assert len(log.weighted()) == 3


def test_a_log_of_before_there_were_roll_outs_still_opens(log: Exposures) -> None:
    put(log)
    with create_engine(log.url, poolclass=NullPool).begin() as connection:
        for table in ("chances", "withheld"):
            connection.execute(text(f"drop table {table}"))
    assert len(log.listed()) == 2
    put(log, days=1, ranked=PLANNED)
    assert log.weighted()["shown"].tolist() == [True, True, True, False, False]


def test_the_boards_record_beside_it_is_as_strict(log: Exposures) -> None:
    put(log)
    records = Records(log)
    at = AS_OF + timedelta(hours=2)
    given = Answer(0, at, "account", "A", 7, AS_OF, 1, "snooze", "", date(2026, 7, 9), 0.5, "1 (abc)")
    first, second = answers.give(records, given), answers.give(records, replace(given, kind="seen", until=None))
    assert answers.undo(records, second, "A", "another", at)
    assert not answers.undo(records, second, "A", "another", at)
    with records.reading() as connection:
        assert answers.state(connection, "A", AS_OF) == (3, 3)
        assert answers.of_team(connection, "A", AS_OF) == {7: [replace(given, id=first)]}
    audit.saw(records, account_id="a", team_id="A", as_of=AS_OF, version=1, what="list.html", people=[7], now=at)
    for statement in ("delete from answers", "update viewed set person_id = 8", "delete from views"):
        with pytest.raises(DBAPIError), records.engine.begin() as connection:
            connection.execute(text(statement))
    log.prune(AS_OF + timedelta(days=1), at)
    assert records.prune() == 5
    records.close()


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    put(Exposures("", tmp_path / "exposure"))
    assert stat.S_IMODE((tmp_path / "exposure" / "exposure.sqlite").stat().st_mode) == 0o600


def test_an_address_that_cannot_be_opened_is_one_sentence_that_does_not_tell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(StorageError, match="its database did not: ") as lost:
        put(Exposures(f"sqlite:///{tmp_path}/no/$SECRET.sqlite", tmp_path))
    with pytest.raises(ConfigError, match="an address that SQLAlchemy opens") as wrong:
        put(Exposures("nosuch://$SECRET@here", tmp_path))
    assert not any("hunter2" in str(told.value) for told in (lost, wrong))
