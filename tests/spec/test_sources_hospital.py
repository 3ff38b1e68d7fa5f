"""How hospital rows are read: episodes into stays, open spells, dates that are none, attendances."""

from hashlib import md5
from pathlib import Path

import pandas as pd
from drawn import london, rows_of

from features.batch import Batch
from features.sources.mapping import load_mapping
from features.sources.read import read_batch

PATH = Path(__file__).parents[2] / "configs" / "sources" / "hospital.yaml"
MAPPING = load_mapping(PATH.read_text(encoding="utf-8"), "hospital.yaml")


def ids(identities: list[str]) -> list[int]:
    return [int(md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16) for text in identities]


def read(folder: Path, **files: str) -> Batch:
    """The files as an extract; one without a person's column is about one person at one provider."""
    target = folder / "2026-02-10"
    target.mkdir()
    for name, text in files.items():
        lines = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
        if "PROCODE3" not in lines[0]:
            lines = [["NHSNUMBER", "PROCODE3", *lines[0]], *(["9990000018", "RWH", *line] for line in lines[1:])]
        (target / f"{name}.csv").write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    return read_batch(target, MAPPING, source="acute", pseudonym=ids, zone="Europe/London", known_from="recorded")


def rows(batch: Batch, table: str) -> pd.DataFrame:
    return batch.tables[table].to_pandas().sort_values(["known_from", "row_id"], ignore_index=True)


def values(frame: pd.DataFrame, column: str) -> list[object]:
    return [None if pd.isna(value) else value for value in frame[column]]


EPISODES = """
PROVSPNO | EPIORDER | ADMIDATE   | ADMITIME | ADMIMETH | DISDATE    | DISTIME | DISMETH | RECORDED_DATETIME
S1       | 1        | 2026-01-05 | 14:00    | 21       |            |         |         | 2026-01-06T09:00:00
S1       | 2        | 2026-01-05 | 14:00    | 21       | 1801-01-01 |         |         | 2026-01-08T09:00:00
S1       | 1        | 2026-01-05 | 14:00    | 2a       |            |         |         | 2026-01-09T09:00:00
S1       | 2        | 2026-01-05 | 14:00    | 2a       | 2026-01-12 | 11:30   | 1       | 2026-01-13T09:00:00
S1       | 2        | 2026-01-05 | 14:00    | 2a       | 2026-01-12 | 11:30   | 1       | 2026-01-13T09:00:00
"""
STAY = """
known            | method | discharged       | how
2026-01-06 09:00 | 21     |                  |
2026-01-09 09:00 | 2A     |                  |
2026-01-13 09:00 | 2A     | 2026-01-12 11:30 | 1
"""


def test_episodes_of_a_spell_are_one_stay_as_it_was_known(tmp_path: Path) -> None:
    batch = read(tmp_path, APC=EPISODES)
    found, expected = rows(batch, "stays"), rows_of(STAY)
    assert values(found, "known_from") == [london(line["known"]) for line in expected]
    assert values(found, "method") == [line["method"] for line in expected]
    told = [london(line["discharged"]) if line["discharged"] else None for line in expected]
    assert values(found, "discharged_at") == told
    assert values(found, "discharge_method") == [line["how"] or None for line in expected]
    assert set(found["admitted_at"]) == {london("2026-01-05 14:00")}
    assert found["row_id"].nunique() == 1
    account = batch.account.set_index("reason")["rows"]
    assert account.to_dict() == {"": 3, "duplicate row": 1, "same as the version before": 1}


SPELLS = """
PSEUDO_HESID | PROCODE3 | ADMIDATE   | ADMIMETH | EPIORDER | DISDATE    | stay
A            | RWH      | 2026-01-05 | 021      | 1        |            | 1
A            | RWH      | 2026-01-05 | 21       | 2        | 2026-01-09 | 1
A            | RWH      | 2026-01-20 | 11       | 1        | 1800-01-01 | 2
B            | RWH      | 2026-01-05 | 2b       | 1        | 1582-10-15 | 3
A            | RXX      | 2026-01-05 | 22       | 1        | 2026-01-06 | 4
A            | RWH      | 1801-01-01 | 22       | 1        |            | -
             | RWH      | 2026-01-05 | 22       | 1        |            | -
"""


def test_without_a_spell_number_a_stay_is_a_person_provider_and_date(tmp_path: Path) -> None:
    batch = read(tmp_path, APC=SPELLS)
    found = rows(batch, "stays").sort_values(["person_id", "provider", "admitted_at"])
    who = dict(zip("AB", ids(["hesid:A", "hesid:B"]), strict=True))
    told = {(row.person_id, row.provider, row.admitted_at.date().isoformat(), row.method) for row in found.itertuples()}
    assert told == {
        (who["A"], "RWH", "2026-01-05", "21"),
        (who["A"], "RWH", "2026-01-20", "11"),
        (who["B"], "RWH", "2026-01-05", "2B"),
        (who["A"], "RXX", "2026-01-05", "22"),
    }
    assert found["discharged_at"].notna().sum() == 2
    lost = batch.account[batch.account["outcome"] == "rejected"]
    assert dict(zip(lost["reason"], lost["rows"], strict=True)) == {
        "required value missing: admitted_at": 1,
        "no person": 1,
    }


ATTENDANCES = """
AEKEY | ARRIVALDATE | ARRIVALTIME | DEPTIME | AEDEPTTYPE | AEARRIVALMODE | AEATTENDDISP | left             | admitted
E1    | 2026-01-05  | 2230        | 0145    | 1          | 1             | 01           | 2026-01-06 01:45 | True
E2    | 2026-01-07  | 0905        | 1230    | 01         | 2             | 03           | 2026-01-07 12:30 | False
E3    | 2026-01-08  | 0905        | 4000    | 99         | 9             | 99           |                  | None
      | 2026-01-09  |             |         | 03         | 2             | 2            |                  | False
"""


def test_attendances(tmp_path: Path) -> None:
    batch = read(tmp_path, AE=ATTENDANCES)
    found = rows(batch, "attendances").sort_values("arrived_at", ignore_index=True)
    lines = rows_of(ATTENDANCES)
    assert values(found, "departed_at") == [london(line["left"]) if line["left"] else None for line in lines]
    assert [str(value) for value in values(found, "admitted")] == [line["admitted"] for line in lines]
    assert values(found, "department_type") == ["01", "01", None, "03"]
    assert values(found, "arrival_mode") == ["1", "2", None, "2"]
    assert found["row_id"].nunique() == 4


CLOCKS = """
ARRIVALDATE | ARRIVALTIME | UTC
2026-01-05  | 0930        | 2026-01-05T09:30
2026-07-05  | 09:30:15    | 2026-07-05T08:30:15
05/07/2026  | 0930        | 2026-07-05T08:30
2025-10-26  | 0130        | 2025-10-26T00:30
2025-10-26  | 0230        | 2025-10-26T02:30
2026-03-29  | 0130        | 2026-03-29T01:30
2026-07-05  |             | 2026-07-04T23:00
2026-07-05  | 2561        | 2026-07-04T23:00
"""


def test_local_times_are_read_on_the_clock_they_were_written_by(tmp_path: Path) -> None:
    lines = rows_of(CLOCKS)
    given = [f"A{n} | {x['ARRIVALDATE']} | {x['ARRIVALTIME']}" for n, x in enumerate(lines)]
    header = "AEKEY | ARRIVALDATE | ARRIVALTIME"
    batch = read(tmp_path, AE="\n".join([header, *given]))
    found = sorted(batch.tables["attendances"].to_pandas()["arrived_at"])
    assert found == sorted(pd.Timestamp(line["UTC"], tz="UTC") for line in lines)
