"""What the board puts on record, beside the exposure log in its database and as append-only: answers, who saw whom,
and who signed in. It names nobody: accounts and people are numbers. Times are UTC.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    func,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from features.errors import ConfigError, StorageError
from pipelines.exposure import PRUNED, PRUNINGS, Exposures, append_only

T = TypeVar("T")
RECORDS = MetaData()
ANSWERS = Table(
    "answers",
    RECORDS,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("account_id", String(64), nullable=False),
    Column("team_id", String(200), nullable=False),
    Column("person_id", BigInteger, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("reason", String(300), nullable=False),
    Column("until", Date),
    Column("undoes", Integer, unique=True),
    Column("risk", Float),
    Column("model", String(200), nullable=False),
    Index("answers_by_team", "team_id", "as_of"),
    Index("answers_by_person", "person_id"),
    sqlite_autoincrement=True,
)
"""An answer about a person on a team's list of a cut; or, of kind 'undo', the taking back of the one that it `undoes`.
`until`: the day on which a snooze ends. `risk`, `model`: the person's risk on that list, and the model that gave it."""
VIEWS = Table(
    "views",
    RECORDS,
    Column("id", String(32), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("account_id", String(64), nullable=False),
    Column("team_id", String(200), nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Column("what", String(40), nullable=False),
)
"""A list shown to an account: as a page, or which file."""
VIEWED = Table(
    "viewed",
    RECORDS,
    Column("view_id", String(32), primary_key=True),
    Column("person_id", BigInteger, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Index("viewed_by_person", "person_id"),
)
"""Everyone who was on it."""
SIGN_INS = Table(
    "sign_ins",
    RECORDS,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("account_id", String(64), nullable=False),
    Column("what", String(40), nullable=False),
    sqlite_autoincrement=True,
)
"""Signing in and out, and attempts that were refused; account_id is empty where no account has the name."""
DATED = {ANSWERS: ANSWERS.c.as_of, VIEWS: VIEWS.c.as_of, VIEWED: VIEWED.c.as_of, SIGN_INS: SIGN_INS.c.at}
for table, dated in DATED.items():
    append_only(table, f"old.{dated.name} >= {PRUNED}")

AT_ONCE = 200
"""As much as is written in one transaction."""


class Records:
    """The record. What is written by many at once goes into one transaction, so that a morning's rush waits for the
    disk a few times and not hundreds of times; each waits until its own part is on the disk."""

    def __init__(self, exposures: Exposures) -> None:
        self.exposures = exposures
        self.engine = _engine(exposures.url)
        exposures.versions()  # its own tables come first: what may be pruned here follows from them
        with faults():
            if (
                self.engine.dialect.name == "sqlite"
            ):  # those who read do not wait for those who write, nor these for them
                with self.engine.connect() as connection:
                    connection.exec_driver_sql("pragma journal_mode = wal")
            RECORDS.create_all(self.engine)
        self.waiting: SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = SimpleQueue()
        self.writer = Thread(target=self._write_on, name="records", daemon=True)
        self.writer.start()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` answers, once what it wrote is on the disk. StorageError where the database does not take it."""
        done: Future[T] = Future()
        self.waiting.put((work, done))
        with faults():
            return done.result()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with faults(), self.engine.connect() as connection:
            yield connection

    def prune(self) -> int:
        """Remove what is older than the exposure log was last pruned to; how many rows went."""

        def removed(connection: Connection) -> int:
            before = connection.execute(select(func.max(PRUNINGS.c.kept_from))).scalar_one()
            if before is None:
                return 0
            return sum(connection.execute(delete(t).where(dated < before)).rowcount for t, dated in DATED.items())

        return self.write(removed)

    def close(self) -> None:
        self.waiting.put(None)
        self.writer.join()
        self.engine.dispose()

    def _write_on(self) -> None:
        while (first := self.waiting.get()) is not None:
            together = [first]
            while len(together) < AT_ONCE:
                try:
                    following = self.waiting.get_nowait()
                except Empty:
                    break
                if following is None:
                    self.waiting.put(None)
                    break
                together.append(following)
            self._settle(together)

    def _settle(self, together: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        """All in one transaction; where that fails, each in its own, so that one cannot spoil the others'."""
        try:
            with self.engine.begin() as connection:
                answers = [work(connection) for work, _ in together]
        except Exception as error:
            if len(together) == 1:
                together[0][1].set_exception(error)
                return
            for one in together:
                self._settle([one])
            return
        for (_, done), answer in zip(together, answers, strict=True):
            done.set_result(answer)


@contextmanager
def faults() -> Iterator[None]:
    """A fault of the database as a StorageError that quotes nothing. Python's driver of SQLite says SystemError of one
    where another thread clears away an old cursor of the connection at that very moment."""
    try:
        yield
    except (SQLAlchemyError, SystemError) as error:
        message = (
            f"The board must put on record what it shows and is told; its database did not take it "
            f"({type(error).__name__}). See to the database that exposure.url names."
        )
        raise StorageError(message) from None


def _engine(url: str) -> Engine:
    patience = {"timeout": 30} if url.startswith("sqlite") else {}
    try:
        return create_engine(url, hide_parameters=True, pool_size=10, max_overflow=40, connect_args=patience)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        message = f"exposure.url must be an address that SQLAlchemy opens; it gave {type(error).__name__}. Correct it."
        raise ConfigError(message) from None
