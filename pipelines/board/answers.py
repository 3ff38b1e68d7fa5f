"""What teams answer about the people on their lists: added to, never changed, taken back by another row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Row, func, insert, select

from features.errors import MinusNineError
from models.ranking import RISING
from pipelines.board.records import ANSWERS, Records
from pipelines.pages import Person, words

KINDS = {
    "seen": "Seen, no action",
    "visited": "Visited",
    "escalated": "Escalated to urgent response",
    "known": "Already known",
    "not_appropriate": "Not appropriate",
    "snooze": "Snoozed",
}
REASONS = (
    "Another team leads the care",
    "On an end of life pathway",
    "In hospital or away",
    "No longer on our caseload",
    "The reasons given are wrong",
    "Something else",
)
"""Why someone is not appropriate for the list."""
UNDO = "undo"
LONGEST_TEXT = 200
LONGEST_SNOOZE = 28
"""Days."""
LOOKED_BACK = 35
"""Days for which an answer stays beside the person it is about."""


class AnswerError(MinusNineError):
    """An answer cannot be taken as it is."""


@dataclass(frozen=True)
class Answer:
    """A row of `ANSWERS` that has not been undone."""

    id: int
    at: datetime
    account_id: str
    team_id: str
    person_id: int
    as_of: datetime
    version: int
    kind: str
    reason: str
    until: date | None
    risk: float
    model: str

    @property
    def says(self) -> str:
        return in_words(self.kind, self.reason, self.until)


def in_words(kind: str, reason: str, until: date | None) -> str:
    """As a colleague reads it: Snoozed until 20-Jan-2026."""
    after = f" until {words.plain_date(until)}" if until is not None else ""
    return KINDS[kind] + after + (f": {reason}" if reason else "")


@dataclass(frozen=True)
class Given:
    """An answer as it comes from a page. today: the day of the list, from which a snooze is counted."""

    kind: str
    choice: str
    text: str
    until: str
    today: date

    def checked(self) -> tuple[str, str, date | None]:
        """kind, reason and until as they are kept; AnswerError says what is wrong."""
        if self.kind not in KINDS:
            message = "An answer must be one of those that the page offers. Go back and choose one."
            raise AnswerError(message)
        if self.kind == "snooze":
            return self.kind, "", self._until()
        return self.kind, self._reason() if self.kind == "not_appropriate" else "", None

    def _reason(self) -> str:
        text = " ".join(self.text.split())
        if self.choice not in REASONS or len(text) > LONGEST_TEXT or not text.isprintable():
            message = f"‘Not appropriate’ needs a reason from the list, and at most {LONGEST_TEXT} characters of text."
            raise AnswerError(message + " Go back and choose one.")
        return f"{self.choice}; {text}" if text else self.choice

    def _until(self) -> date:
        last = self.today + timedelta(days=LONGEST_SNOOZE)
        try:
            until = date.fromisoformat(self.until)
        except ValueError:
            until = self.today
        if not self.today < until <= last:
            message = (
                f"A snooze must end after the day of the list, and by {words.plain_date(last)}. Go back and choose."
            )
            raise AnswerError(message)
        return until


def give(records: Records, answer: Answer) -> int:
    """Puts an answer on record; its id. The id it comes with is not used."""
    values = {column.name: getattr(answer, column.name) for column in ANSWERS.columns if column.name in _KEPT}

    def added(connection: Connection) -> int:
        return int(connection.execute(insert(ANSWERS), values).inserted_primary_key[0])  # type: ignore[index]

    return records.write(added)


_KEPT = {"at", "account_id", "team_id", "person_id", "as_of", "version", "kind", "reason", "until", "risk", "model"}


def undo(records: Records, answer_id: int, team_id: str, account_id: str, now: datetime) -> bool:
    """Takes an answer of that team back, whoever gave it; False where there is none, or it is taken back already."""

    def added(connection: Connection) -> bool:
        found = connection.execute(_standing(ANSWERS.c.id == answer_id, ANSWERS.c.team_id == team_id)).first()
        if found is None:
            return False
        told = {"at": now.astimezone(UTC), "account_id": account_id, "kind": UNDO, "undoes": answer_id, "reason": ""}
        kept = {name: getattr(found, name) for name in ("team_id", "person_id", "as_of", "version", "risk", "model")}
        connection.execute(insert(ANSWERS), told | kept)
        return True

    return records.write(added)


def state(connection: Connection, team_id: str, as_of: datetime) -> tuple[int, int]:
    """Another pair whenever what `of_team` gives has changed."""
    asked = select(func.count(), func.max(ANSWERS.c.id)).where(*_of(team_id, as_of))
    count, newest = connection.execute(asked).one()
    return int(count), int(newest or 0)


def of_team(connection: Connection, team_id: str, as_of: datetime) -> dict[int, list[Answer]]:
    """What a team has answered on its list of a cut and those of the days before, by person, the newest first."""
    found: dict[int, list[Answer]] = {}
    for row in connection.execute(_standing(*_of(team_id, as_of)).order_by(ANSWERS.c.id.desc())):
        found.setdefault(int(row.person_id), []).append(_answer(row))
    return found


def given_before(records: Records, at: datetime, people: Iterable[int] | None = None) -> pd.DataFrame:
    """What any team had answered by a moment and not taken back by then: person_id, team_id, at, says, kind, as_of; the
    newest first. people: of whom; by default of everyone."""
    late = ANSWERS.c.at >= at.astimezone(UTC)
    asked = _standing(~late, until=at)
    if people is not None:
        asked = asked.where(ANSWERS.c.person_id.in_([int(person) for person in people]))
    with records.reading() as connection:
        rows = [_answer(row) for row in connection.execute(asked.order_by(ANSWERS.c.id.desc()))]
    columns = ["person_id", "team_id", "at", "says", "kind", "as_of"]
    frame = pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
    moments = dict.fromkeys(("at", "as_of"), "datetime64[us, UTC]")
    return frame.astype({"person_id": "int64", **moments})


@dataclass(frozen=True)
class Snooze:
    """Someone whom the team did not want to see until a day. `back` says why they are shown all the same; empty where
    they are folded away."""

    until: date
    back: str


def snoozed(person: Person, given: Sequence[Answer], as_of: datetime, today: date, model: str) -> Snooze | None:
    """Where a snooze of this person runs on the list of a cut, made on `today` by `model`; None where none does.

    It ends early for a risk that is `RISING` times what it was, or rises again, or that another model gives.
    """
    newest = next((answer for answer in given if answer.kind == "snooze"), None)
    if newest is None or newest.until is None or newest.until <= today:
        return None
    until = newest.until
    if newest.as_of == as_of:
        return Snooze(until, "")
    if newest.model != model:
        return Snooze(until, "another model is in use since, so whether the risk rose cannot be told")
    if person.risk >= RISING * newest.risk or person.change == "rising":
        return Snooze(until, "the risk has risen since")
    return Snooze(until, "")


def _of(team_id: str, as_of: datetime) -> tuple[ColumnElement[bool], ...]:
    moment = as_of.astimezone(UTC)
    since = moment - timedelta(days=LOOKED_BACK)
    return ANSWERS.c.team_id == team_id, ANSWERS.c.as_of <= moment, ANSWERS.c.as_of > since


def _standing(*conditions: ColumnElement[bool], until: datetime | None = None):  # type: ignore[no-untyped-def]
    undoing = ANSWERS.alias()
    undone = select(undoing.c.id).where(undoing.c.undoes == ANSWERS.c.id)
    if until is not None:
        undone = undone.where(undoing.c.at < until.astimezone(UTC))
    return select(ANSWERS).where(*conditions, ANSWERS.c.kind != UNDO, ~undone.exists())


def _answer(row: Row[tuple[object, ...]]) -> Answer:
    told = row._mapping
    moments = {name: _utc(told[name]) for name in ("at", "as_of")}
    return Answer(**{name: told[name] for name in ("id", *sorted(_KEPT))} | moments)


def _utc(at: datetime) -> datetime:
    """SQLite gives times without their zone."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
