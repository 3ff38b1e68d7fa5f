"""People and events drawn straight into the history's files, bucket by bucket, for benchmarks of any size.

Each person has about 66 events in the year before `LAST`: 44 contacts (a fifth of them first known as planned), 19
observations, and now and then a stay, an attendance or a further referral. Half is known within the hour, a fifth only
days later. Same seed, same bytes, whatever the number of people in other buckets.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.history import ALWAYS, stored_schema
from features.schema import ENDS, TABLES, history_schema
from pipelines import delta
from pipelines.store import LEDGER, PARTITIONS, History

BUCKET = 15_000
"""People in a bucket: about a million events in a year."""
LAST = int(datetime(2026, 3, 31, 6, tzinfo=UTC).timestamp() * 1e6)
MINUTE, DAY = 60_000_000, 86_400_000_000
TEAMS = 40
CODES = ("news2", "pain", "weight", "waterlow", "frailty", "wound_worse", "onward_referral", "icd10:I50")
VALUES = {"news2": (3, 2), "pain": (3, 2), "weight": (72, 12), "waterlow": (15, 4), "frailty": (5, 1)}

Ints = npt.NDArray[np.int64]


def laid_down(folder: Path, people: int, seed: int, days: int = 365) -> tuple[History, int]:
    """A history of so many people in `folder`, and how many rows it holds; drawn once, and found again from then on."""
    buckets = max(1, round(people / BUCKET))
    if not delta.Table(folder / "ledger").exists():
        rows = 0
        for bucket in range(buckets):
            for name, versions in drawn(people_of(bucket, buckets, people), seed, days).items():
                rows += versions.num_rows
                delta.Table(folder / name).write(
                    stored(name, versions, bucket), PARTITIONS, ("person_id", "known_from")
                )
        at = {name: delta.Table(folder / name).version() for name in TABLES}
        clock = datetime.fromtimestamp(LAST / 1e6, UTC)
        row = {"batch": 1, "source": "drawn", "name": "drawn", "fingerprint": "drawn", "buckets": buckets, "rows": rows}
        row |= dict.fromkeys(("received_at", "covers_to", "ingested_at"), clock) | {"versions": json.dumps(at)}
        row |= {"added": "{}", "outdated": "{}"}
        delta.Table(folder / "ledger").write(pa.Table.from_pylist([row], schema=LEDGER))
    history = History(folder)
    return history, int(history.ledger()["rows"].iloc[0])


def stored(name: str, versions: pa.Table, bucket: int) -> pa.Table:
    """Versions as the store keeps them: without the ends that follow from one another, with what only it knows."""
    size = versions.num_rows
    times = [c.name for c in TABLES[name].columns if c.type == "time"]
    moments = [versions[column].cast(pa.int64()).fill_null(0).to_numpy() for column in times]
    months = np.max(moments, axis=0).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    period = (1970 + months // 12) * 10 + months % 12 // 3 + 1
    if name in ENDS:
        period[versions[ENDS[name]].is_null().to_numpy()] = ALWAYS
    if TABLES[name].at is None:
        period[:] = ALWAYS
    known = {"deleted": np.zeros(size, bool), "sequence": np.arange(size), "bucket": np.full(size, bucket)}
    known |= {"period": period, "batch": np.ones(size), "content": np.arange(size), "moved": np.zeros(size, bool)}
    known["row_id"] = versions["row_id"].to_numpy() + (bucket << 40)
    return pa.table(
        [cast(known[f.name], f.type) if f.name in known else versions[f.name] for f in stored_schema(TABLES[name])],
        schema=stored_schema(TABLES[name]),
    )


def people_of(bucket: int, buckets: int, people: int) -> Ints:
    """The pseudonyms that fall into this bucket, of `people` in all buckets."""
    return np.arange(bucket, people, buckets, dtype=np.int64)


def drawn(
    person: Ints, seed: int, days: int = 365, contacts: float = 44, observations: float = 19
) -> dict[str, pa.Table]:
    """The history's tables of these people over `days` before `LAST`; rates are events a person and year."""
    rng = np.random.default_rng([seed, int(person[0])])
    draw = Draw(rng, person, days)
    return {
        "people": draw.people(),
        "referrals": draw.referrals(),
        "contacts": draw.contacts(contacts),
        "observations": draw.observations(observations),
        "stays": draw.stays(0.4),
        "attendances": draw.attendances(0.7),
    }


class Draw:
    """One bucket's draws, in the order of person and moment."""

    def __init__(self, rng: np.random.Generator, person: Ints, days: int) -> None:
        self.rng, self.everyone, self.days = rng, person, days
        self.busy = rng.gamma(2.0, 0.5, len(person))

    def times(self, rate: float) -> tuple[Ints, Ints]:
        """person, moment of events that come at `rate` a year on average, busy people's oftener."""
        person = np.repeat(self.everyone, self.rng.poisson(rate * self.days / 365 * self.busy))
        at = LAST - self.rng.integers(1, self.days * 1440, len(person)) * MINUTE
        order = np.lexsort((at, person))
        return person[order], at[order]

    def known(self, at: Ints) -> Ints:
        late = np.where(self.rng.random(len(at)) < 0.2, self.rng.geometric(0.35, len(at)) * DAY, 0)
        return at + self.rng.integers(1, 60, len(at)) * MINUTE + late

    def one_of(self, words: tuple[str | None, ...], shares: tuple[float, ...], size: int) -> pa.Array:
        places = self.rng.choice(len(words), size, p=shares).astype(np.int8)
        return pa.DictionaryArray.from_arrays(pa.array(places), pa.array(words)).cast(pa.string())

    def team(self, size: int) -> pa.Array:
        return self.one_of(tuple(f"T{n:02}" for n in range(TEAMS)), (1 / TEAMS,) * TEAMS, size)

    def people(self) -> pa.Table:
        size = len(self.everyone)
        born = self.rng.integers(-14_600, -3_650, size).astype("datetime64[D]")
        return table(
            "people",
            person_id=self.everyone,
            known_from=np.full(size, LAST - self.days * DAY),
            birth_date=pa.array(born),
            sex=self.one_of(("female", "male"), (0.6, 0.4), size),
            deprivation_decile=self.rng.integers(1, 11, size),
            care_home=self.rng.random(size) < 0.1,
        )

    def referrals(self) -> pa.Table:
        """Everyone's first, still open, and a few more."""
        more, later = self.times(0.5)
        person = np.concatenate([self.everyone, more])
        first = LAST - self.rng.integers(1, self.days * 1440, len(self.everyone)) * MINUTE
        received = np.concatenate([first, later])
        closed = np.where(np.arange(len(person)) < len(self.everyone), -1, received + 30 * DAY)
        return table(
            "referrals",
            person_id=person,
            known_from=received,
            team_id=self.team(len(person)),
            team_type=self.one_of(("12", "49", "14", "53"), (0.7, 0.1, 0.1, 0.1), len(person)),
            received_at=received,
            priority=self.one_of(("routine", "urgent"), (0.9, 0.1), len(person)),
            closed_at=pa.array(closed, mask=closed < 0),
        )

    def contacts(self, rate: float) -> pa.Table:
        """A fifth has two versions: planned, and from when the outcome was recorded what came of it."""
        person, at = self.times(rate / 1.2)
        known = self.known(at)
        planned = np.flatnonzero(self.rng.random(len(at)) < 0.2)
        rows = np.sort(np.concatenate([np.arange(len(at)), planned]))
        is_plan = np.concatenate([rows[1:] == rows[:-1], [False]])
        outcome = self.rng.choice(5, len(at), p=(0.85, 0.05, 0.04, 0.03, 0.03))[rows]
        size = len(rows)
        status = np.where(is_plan, 4, np.array([0, 1, 2, 3, 5])[outcome]).astype(np.int8)
        words = pa.array(["attended", "no_access", "patient_cancelled", "provider_cancelled", "planned", "unknown"])
        minutes = np.maximum(self.rng.normal(30, 12, size).round(), 5)
        return table(
            "contacts",
            row_id=rows,
            person_id=person[rows],
            known_from=np.where(is_plan, at[rows] - 7 * DAY, known[rows]),
            known_to=pa.array(known[rows], mask=~is_plan),
            team_id=self.team(size),
            occurred_at=at[rows],
            status=pa.DictionaryArray.from_arrays(pa.array(status), words).cast(pa.string()),
            seen=pa.array(status == 0, mask=status >= 4),
            unscheduled=self.rng.random(size) < 0.07,
            medium=self.one_of(("face_to_face", "telephone", None), (0.8, 0.17, 0.03), size),
            with_proxy=self.rng.random(size) < 0.05,
            duration_minutes=pa.array(minutes, mask=status > 0),
        )

    def observations(self, rate: float) -> pa.Table:
        person, at = self.times(rate)
        code = self.rng.choice(len(CODES), len(at), p=(0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.15)).astype(np.int8)
        middle = np.array([VALUES.get(name, (0, 0)) for name in CODES], float)[code]
        value = np.clip(self.rng.normal(middle[:, 0], middle[:, 1]).round(), 0, None)
        return table(
            "observations",
            person_id=person,
            known_from=self.known(at),
            occurred_at=at,
            code=pa.DictionaryArray.from_arrays(pa.array(code), pa.array(CODES)).cast(pa.string()),
            value=pa.array(value, mask=code > 4),
            team_id=self.team(len(at)),
        )

    def stays(self, rate: float) -> pa.Table:
        person, at = self.times(rate)
        return table(
            "stays",
            person_id=person,
            known_from=at + DAY,
            admitted_at=at,
            method=self.one_of(("21", "11", "22"), (0.6, 0.3, 0.1), len(at)),
            discharged_at=at + self.rng.geometric(0.12, len(at)) * DAY,
        )

    def attendances(self, rate: float) -> pa.Table:
        person, at = self.times(rate)
        return table(
            "attendances",
            person_id=person,
            known_from=at + DAY,
            arrived_at=at,
            department_type=self.one_of(("01", "03"), (0.8, 0.2), len(at)),
        )


def table(name: str, **given: object) -> pa.Table:
    """A table of the history; columns that are not given are null, and rows without a number are numbered."""
    schema = history_schema(TABLES[name])
    size = len(given["person_id"])  # type: ignore[arg-type]
    given = {"row_id": np.arange(size), **given}
    columns = [
        cast(given[field.name], field.type) if field.name in given else pa.nulls(size, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def cast(column: object, kind: pa.DataType) -> pa.Array:
    made = column if isinstance(column, pa.Array) else pa.array(column)
    return made.cast(pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else made.cast(kind)
