"""Index rows, outcomes and assignments given as tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

import duckdb
import pytest

from features.errors import ConfigError, SourceError
from features.sources.mapping import Identity
from features.sources.task import FrameKind, FrameSpec, read_frame

WHO = (Identity(scheme="case", columns=("case",)),)


def ids(identities: Sequence[str]) -> list[int]:
    return [int(md5(name.encode(), usedforsecurity=False).hexdigest()[:15], 16) for name in identities]


def frame(spec: FrameSpec, where: Path, kind: FrameKind, zone: str = "UTC") -> list[dict[str, object]]:
    rows: list[dict[str, object]] = read_frame(spec, where, kind=kind, pseudonym=ids, zone=zone).to_pylist()
    return rows


def test_columns_go_by_name_and_repetitions_go(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("day,case\n2026-07-01,A\n2026-07-01,A\n2026-07-02T06:00:00Z,B\n", encoding="utf-8")
    spec = FrameSpec(path="i.csv", person=WHO, columns={"as_of": "day"})
    first, second = ids(["case:A", "case:B"])
    found = frame(spec, tmp_path, "index", "Europe/London")
    assert sorted(found, key=lambda row: str(row["as_of"])) == [
        {"person_id": first, "as_of": datetime(2026, 6, 30, 23, tzinfo=UTC), "team_id": None},
        {"person_id": second, "as_of": datetime(2026, 7, 2, 6, tzinfo=UTC), "team_id": None},
    ]


def test_a_query_over_files(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("case,what,day\nA,in,2026-01-05\nA,out,2026-01-07\n", encoding="utf-8")
    query = "select \"case\", day::date + 1 as at, what as kind from e where what = 'in'"
    spec = FrameSpec(files={"e": "e.csv"}, query=query, person=WHO)
    assert frame(spec, tmp_path, "outcomes") == [
        {"person_id": ids(["case:A"])[0], "at": datetime(2026, 1, 6, tzinfo=UTC), "kind": "in"}
    ]


def test_no_rows_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("case,as_of,part\n", encoding="utf-8")
    assert frame(FrameSpec(path="a.csv", person=WHO), tmp_path, "assignment") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("case,as_of,part\nA,never,train\n", "1 rows do not"),
        ("case,as_of,part\n,2026-01-05,train\n", "1 rows do not"),
        ("case,as_of,part\nA,2026-01-05\n", "must be readable throughout; 1 rows are not"),
        ("case,as_of\nA,2026-01-05\n", "must have a column 'part'"),
    ],
)
def test_rows_that_somebody_counts_on_are_not_left_out(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=says):
        frame(FrameSpec(path="a.csv", person=WHO), tmp_path, "assignment")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (FrameSpec(path="a.csv", person=WHO, columns={"asof": "day"}), "there is no column 'asof'"),
        (FrameSpec(files={"e": "a.csv"}, query="select nothing from e", person=WHO), "its query must run"),
        (FrameSpec(files={"e": "a.csv"}, query="select 1 as x from e", person=WHO), "must give a column 'case'"),
    ],
)
def test_a_spec_that_does_not_fit_its_table(tmp_path: Path, spec: FrameSpec, says: str) -> None:
    (tmp_path / "a.csv").write_text("case,as_of\nA,2026-01-05\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        frame(spec, tmp_path, "index")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is none"):
        frame(FrameSpec(path="a.csv", person=WHO), tmp_path, "index")


@pytest.mark.parametrize("given", [{}, {"path": "a", "query": "b"}, {"query": "b"}, {"path": "a", "files": {"e": "x"}}])
def test_a_table_comes_from_one_place(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs either 'path'"):
        FrameSpec.model_validate({"person": [{"scheme": "case", "columns": ["case"]}], **given})


INDEX = """
    with days as (
        select case_id, "timestamp"::date as day,
               bool_or(regexp_matches(activity, '^(ligdagen|190205|190204|190101|intensive care ligdag)')) as in_bed
        from events group by all
    ), weeks as (
        select date '2005-01-01' + 7 * n::integer as day from range(0, 200) as t(n)
    ), people as (
        select case_id, min(day) as first_day from days group by case_id
    )
    select p.case_id, w.day + 1 as as_of
    from people p join weeks w on w.day > p.first_day + 14 and w.day <= date '2008-03-11'
    where exists (select 1 from days d where d.case_id = p.case_id and d.day between w.day - 90 and w.day)
      and not exists (select 1 from days d where d.case_id = p.case_id and d.day = w.day and d.in_bed)"""
OUTCOMES = "select case_id, \"timestamp\"::date as at, 'admission' as kind from events where activity like '190021%'"


def test_the_published_task_on_the_billing_log(real_data: Path) -> None:
    where, who = real_data / "bpic2011_hospital", (Identity(scheme="case", columns=("case_id",)),)
    files = {"events": "events.parquet"}
    index, outcomes = (
        read_frame(FrameSpec(files=files, query=query, person=who), where, kind=kind, pseudonym=ids, zone="UTC")
        for query, kind in ((INDEX, "index"), (OUTCOMES, "outcomes"))
    )
    with duckdb.connect() as connection:
        connection.register("i", index)
        connection.register("o", outcomes)
        rows, people, hits = connection.sql("""
            select count(*), count(distinct person_id), sum(exists (
                select 1 from o
                where o.person_id = i.person_id and o.at >= as_of and o.at < as_of + interval 9 day)::int)
            from i""").fetchall()[0]
    assert (rows, people, round(hits / rows, 4)) == (49_219, 1_126, 0.0393)
