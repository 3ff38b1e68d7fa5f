"""Publishing a day's lists: all or none, the same bytes again, nobody lost, nothing that can be misread as safe."""

import csv
import fcntl
import io
import json
import os
import re
import stat
import threading
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RemoteError
from pipelines.folders import expect
from pipelines.mapping import started
from pipelines.pages import people
from pipelines.pages.lists import CSV_COLUMNS
from pipelines.pages.teams import slug
from pipelines.publish import LATEST, MANIFEST, Published, PublishError, Stamp, last_listed, publish

AS_OF = datetime(2026, 7, 3, 5, 0, tzinfo=UTC)
ADA, BEN, CAT = 1, -2, 3


def row(team: str, person: int, rank: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "team_id": team,
        "person_id": person,
        "as_of": pd.Timestamp(AS_OF),
        "rank": rank,
        "score": -float(rank),
        "risk": 0.25 / rank,
        "listed": True,
        "change": "new",
        "previous_risk": float("nan"),
        "days_on_list": 1,
        "also_with": "",
        "days_on_caseload": 40.0,
        "last_seen": pd.Timestamp(AS_OF - timedelta(days=2)),
        "last_seen_by": "face_to_face",
        "reason_1": "3 unscheduled visits in 7 days",
        "reason_2": "",
        "reason_3": "",
        "age": 81.9,
        "sex": "female",
    }
    return usual | changes


def ranking(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"last_seen": "datetime64[us, UTC]", "as_of": "datetime64[us, UTC]"})


RANKED = ranking(
    row("north", ADA, 1),
    row("north", BEN, 2, change="rising", previous_risk=0.05, days_on_list=3, also_with="south", last_seen=pd.NaT),
    row("north", CAT, 3, listed=False),
    row("south", BEN, 1, change="steady", previous_risk=0.25),
)
IDENTITIES = pd.DataFrame(
    {
        "person_id": [ADA, BEN, CAT],
        "nhs_number": ["9990000018", "9990000115", "9990000220"],
        "family_name": ["Okafor", "Lee", "Quill"],
        "given_name": ["Ada", "Ben", "Cat"],
        "birth_date": [datetime(1944, 8, 2).date()] * 3,  # noqa: DTZ001
    }
)
TEAMS = pd.DataFrame(
    {
        "team_id": ["north", "south", "west"],
        "name": ["North nursing", "South nursing", "West nursing"],
        "caseload": [40, 12, 0],
        "capacity": [2, 1, 5],
        "excluded_already_in_hospital": [3, 0, 0],
    }
)
STAMP = Stamp(
    as_of=AS_OF,
    data_as_of=AS_OF - timedelta(hours=4),
    model_version="champion 14",
    trust="Invented Trust",
    simulated=True,
    zone="Europe/London",
    feed_ages=(("Contacts", 4.0), ("Wards", float("nan"))),
)


def run(
    folder: Path, ranked: pd.DataFrame = RANKED, stamp: Stamp = STAMP, replace: bool = False, **more: Any
) -> Published:
    return publish(ranked, IDENTITIES, TEAMS, stamp, folder, replace=replace, **more)


def on(days: int) -> tuple[pd.DataFrame, Stamp]:
    """The same lists, `days` later."""
    later = AS_OF + timedelta(days=days)
    stamp = Stamp(later, later - timedelta(hours=4), "champion 14", "Invented Trust", True, "Europe/London")
    return RANKED.assign(as_of=pd.Timestamp(later)), stamp


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("**/*")) if path.is_file()}


def rows_of(folder: Path, team: str) -> list[dict[str, str]]:
    text = (folder / LATEST / team / "list.csv").read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_team_gets_a_page_and_only_listed_people_are_shown(tmp_path: Path) -> None:
    published = run(tmp_path)
    assert (published.teams, published.listed, published.changed) == (3, 3, True)
    assert sorted(path.name for path in published.folder.iterdir()) == [
        "index.html",
        MANIFEST,
        "north",
        "south",
        "west",
    ]
    assert [person["name"] for person in rows_of(tmp_path, "north")] == ["OKAFOR, Ada", "LEE, Ben"]
    assert rows_of(tmp_path, "west") == []
    everything = b"".join(contents(published.folder).values())
    assert b"OKAFOR" in everything
    assert b"QUILL" not in everything.upper()


def test_the_spreadsheet_says_what_the_page_says(tmp_path: Path) -> None:
    run(tmp_path)
    text = (tmp_path / LATEST / "north" / "list.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbfrank,nhs_number,name,risk,risk_in_words,change,reason_1,reason_2,reason_3,")
    assert text.count(b"\r\n") == text.count(b"\n") == 3
    first, second = rows_of(tmp_path, "north")
    assert tuple(first) == CSV_COLUMNS
    assert first == {
        "rank": "1",
        "nhs_number": "999 000 0018",
        "name": "OKAFOR, Ada",
        "risk": "0.2500",
        "risk_in_words": "about 1 in 4",
        "change": "new",
        "reason_1": "3 unscheduled visits in 7 days",
        "reason_2": "",
        "reason_3": "",
        "last_seen": "01-Jul-2026 06:00",
        "days_on_caseload": "40",
        "as_of": "03-Jul-2026 06:00",
        "data_as_of": "03-Jul-2026 02:00",
        "model_version": "champion 14",
        "also_with": "",
        "age": "81",
        "previous_risk": "",
        "days_on_list": "1",
        "last_seen_by": "face to face",
        "section": "",
        "in_the_hands_of": "",
    }
    assert (second["last_seen"], second["also_with"]) == ("not seen by this team in 90 days", "South nursing")
    assert second["last_seen_by"] == ""
    assert (second["previous_risk"], second["days_on_list"]) == ("0.0500", "3")


def test_the_manifest_and_index_count_and_name_nobody(tmp_path: Path) -> None:
    folder = run(tmp_path).folder
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert manifest["listed"] == 3
    assert manifest["stamp"]["as_of"] == "2026-07-03T05:00:00+00:00"
    assert manifest["stamp"]["feed_ages"] == {"Contacts": 4.0, "Wards": None}
    assert [team["listed"] for team in manifest["teams"]] == [2, 1, 0]
    for name in (MANIFEST, "index.html"):
        text = (folder / name).read_text("utf-8")
        assert not re.search(r"OKAFOR|Okafor|LEE|999 ?000", text)


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    first = run(tmp_path / "one")
    before = contents(first.folder), first.folder.readlink()
    again = run(tmp_path / "one", RANKED.sample(frac=1, random_state=4))
    assert again == Published(first.folder, False, 3, 3, first.digest)
    assert (contents(first.folder), first.folder.readlink()) == before
    assert contents(run(tmp_path / "two").folder) == before[0]


def test_other_lists_for_a_published_day_need_replace(tmp_path: Path) -> None:
    before = contents(run(tmp_path).folder)
    other = RANKED.assign(risk=RANKED["risk"] / 2)
    with pytest.raises(PublishError, match="2026-07-03 are already published .* publish again with replace"):
        run(tmp_path, other)
    assert contents(tmp_path / LATEST) == before
    assert run(tmp_path, other, replace=True).changed
    assert rows_of(tmp_path, "north")[0]["risk"] == "0.1250"
    assert len(list((tmp_path / ".versions").iterdir())) == 1


def test_an_altered_publication_is_not_taken_for_the_same(tmp_path: Path) -> None:
    folder = run(tmp_path).folder
    (folder / "north" / "list.csv").write_text("rank\r\n", "utf-8")
    with pytest.raises(PublishError, match="already published"):
        run(tmp_path)
    assert run(tmp_path, replace=True).changed
    assert len(rows_of(tmp_path, "north")) == 2


def test_latest_moves_forward_only(tmp_path: Path) -> None:
    run(tmp_path, *on(1))
    assert (tmp_path / LATEST).readlink() == Path("2026-07-04")
    run(tmp_path, *on(0))
    assert (tmp_path / LATEST).readlink() == Path("2026-07-04")
    run(tmp_path, *on(2))
    assert (tmp_path / LATEST).readlink() == Path("2026-07-05")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == "2") == [
        "2026-07-03",
        "2026-07-04",
        "2026-07-05",
    ]


def test_the_day_is_the_local_one(tmp_path: Path) -> None:
    late = datetime(2026, 7, 3, 23, 30, tzinfo=UTC)
    stamp = Stamp(late, late, "champion 14", "Invented Trust", False, "Europe/London")
    assert run(tmp_path, RANKED.assign(as_of=pd.Timestamp(late)), stamp).folder.name == "2026-07-04"


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    old = os.umask(0)
    try:
        run(folder)
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in [folder, *folder.glob("**/*")] if p.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.glob("**/*") if p.is_file()} == {0o600}


MISFITS: dict[str, tuple[pd.DataFrame, str]] = {
    "a risk is missing": (RANKED.assign(risk=[0.2, float("nan"), 0.1, 0.1]), "probability, and 1 of 3"),
    "a risk is over one": (RANKED.assign(risk=1.5), "probability, and 3 of 3"),
    "a person twice": (pd.concat([RANKED, RANKED.iloc[:1]]), "ranked once in a team"),
    "a rank twice": (RANKED.assign(rank=1), "rank may be given once"),
    "an unknown team": (RANKED.assign(team_id=["north", "north", "north", "east"]), "in teams, and 1 of 4"),
    "another day": (RANKED.assign(as_of=pd.Timestamp(AS_OF + timedelta(hours=1))), "as of 2026-07-03T05:00"),
    "an unknown means": (RANKED.assign(last_seen_by="owl"), "null or one of face_to_face, .* and 3 of 3"),
    "an unknown change": (RANKED.assign(change="better"), "change must be one of new, rising"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    ranked, message = MISFITS[name]
    with pytest.raises(PublishError, match=message):
        run(tmp_path / "lists", ranked)
    assert not (tmp_path / "lists").exists()


def test_two_identities_for_a_person_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="one identity, and 1 of 4") as refused:
        publish(RANKED, pd.concat([IDENTITIES, IDENTITIES.iloc[:1]]), TEAMS, STAMP, tmp_path)
    assert "Okafor" not in str(refused.value)


def test_an_nhs_number_twice_in_a_team_is_refused(tmp_path: Path) -> None:
    same = IDENTITIES.assign(nhs_number=["9990000018", " 9990000018", "9990000220"])
    with pytest.raises(PublishError, match="NHS number may be listed once in a team, and 1 of 3") as refused:
        publish(RANKED, same, TEAMS, STAMP, tmp_path)
    assert "0018" not in str(refused.value)
    apart = RANKED.assign(listed=[True, False, False, True])
    assert publish(apart, same, TEAMS, STAMP, tmp_path).listed == 2


@pytest.mark.parametrize("number", [None, "", "not known"])
def test_those_without_a_usable_nhs_number_are_not_taken_for_one_another(tmp_path: Path, number: str | None) -> None:
    assert publish(RANKED, IDENTITIES.assign(nhs_number=number), TEAMS, STAMP, tmp_path).listed == 3


def test_a_person_without_identity_keeps_the_place(tmp_path: Path) -> None:
    publish(RANKED, IDENTITIES.iloc[:0], TEAMS, STAMP, tmp_path)
    names = [person["name"] for person in rows_of(tmp_path, "north")]
    assert names == [f"Name not held: person {id_}" for id_ in ("0000000000000001", "fffffffffffffffe")]
    assert json.loads((tmp_path / LATEST / MANIFEST).read_text("utf-8"))["without_nhs_number"] == 3


def test_a_person_of_whom_a_local_number_alone_is_held_is_shown_by_that(tmp_path: Path) -> None:
    nameless = IDENTITIES.assign(family_name=None, given_name=None, nhs_number=None, local_id=["RYX:1", None, "RYX:3"])
    publish(RANKED, nameless, TEAMS, STAMP, tmp_path)
    names = [person["name"] for person in rows_of(tmp_path, "north")]
    assert names == ["Name not held: local number RYX:1", "Name not held: person fffffffffffffffe"]


def test_a_disk_that_fails_leaves_the_lists_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(run(tmp_path).folder)
    calls = iter(range(100))

    def full(_: int) -> None:
        if next(calls) == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(PublishError, match="No space left on device"):
            run(tmp_path, *on(1))
    assert contents(tmp_path / LATEST) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".versions", "2026-07-03", LATEST]
    assert len(list((tmp_path / ".versions").iterdir())) == 1


def test_what_does_not_read_back_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(target: Path, content: bytes) -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content[:-1] if target.name == "list.csv" else content)

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.publish._write_file", lossy)
        with pytest.raises(PublishError, match=r"must read back whole, and north/list\.csv"):
            run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".versions"]


def test_a_page_that_loses_a_person_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.folders.list_page", lambda *_args, **_named: "<p>empty</p>")
    with pytest.raises(PublishError, match="north, south did not"):
        run(tmp_path)
    assert not (tmp_path / LATEST).exists()


def test_other_processes_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = ("xlsx", "pdf", "fhir")
    alone = run(tmp_path / "alone", other_forms=every)
    monkeypatch.setattr("pipelines.folders.SHARED_FROM", 1)
    shared = run(tmp_path / "shared", other_forms=every, workers=2)
    assert shared.digest == alone.digest
    assert contents(shared.folder) == contents(alone.folder)


def test_a_folder_that_fails_in_another_process_stops_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.folders.SHARED_FROM", 1)
    with pytest.raises(RemoteError):
        run(tmp_path, other_forms=("no such form",), workers=2)
    assert not (tmp_path / LATEST).exists()


def test_folders_are_made_where_other_processes_do_not_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of memory as a rule: the lists are late then, and not left out."""
    alone = run(tmp_path / "alone")
    monkeypatch.setattr("pipelines.folders.SHARED_FROM", 1)
    dead = started(2)
    with pytest.raises(BrokenProcessPool):
        dead.submit(os._exit, 1).result()
    processes = lru_cache(lambda _workers: dead)
    monkeypatch.setattr("pipelines.folders._processes", processes)
    expect(1, 2)
    assert run(tmp_path / "shared", workers=2).digest == alone.digest


@pytest.mark.parametrize("manifest", [None, b"", b"{", b"[]", b"{}", b'{"listed": null}', b'{"listed": 7}'])
def test_what_the_newest_lists_do_not_say_stops_nothing(tmp_path: Path, manifest: bytes | None) -> None:
    if manifest is not None:
        (tmp_path / LATEST).mkdir()
        (tmp_path / LATEST / MANIFEST).write_bytes(manifest)
    assert last_listed(tmp_path) == (7 if manifest and b"7" in manifest else 0)


def test_a_second_publication_waits_for_the_first(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    second = threading.Thread(target=run, args=(tmp_path,))
    second.start()
    second.join(0.3)
    waiting = second.is_alive() and not (tmp_path / LATEST).exists()
    os.close(handle)
    second.join()
    assert waiting
    assert (tmp_path / LATEST / "index.html").is_file()


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    run(tmp_path)
    left = tmp_path / ".versions" / "2026-07-04.killed" / "north"
    left.mkdir(parents=True)
    (left / "list.csv").write_text("half", "utf-8")
    run(tmp_path)
    assert not left.parent.exists()


HOSTILE_IDS = (
    "../../x",
    "..",
    ".",
    "",
    "a/b",
    "a-b",
    "a b",
    "/etc/passwd",
    "x" * 400,
    "x" * 401,
    "é",
    "CON\0",
    "A",
    "a~1",
)


def test_hostile_team_ids_stay_inside_and_apart(tmp_path: Path) -> None:
    teams = pd.DataFrame({"team_id": HOSTILE_IDS, "name": HOSTILE_IDS, "caseload": 5, "capacity": 5})
    ranked = ranking(*(row(team, n, 1) for n, team in enumerate(HOSTILE_IDS)))
    published = publish(ranked, IDENTITIES, teams, STAMP, tmp_path / "lists")
    assert [path.name for path in tmp_path.iterdir()] == ["lists"]
    folders = [path for path in published.folder.iterdir() if path.is_dir()]
    assert len(folders) == len(HOSTILE_IDS)
    assert {path.resolve().parent.name[:10] for path in folders} == {"2026-07-03"}
    index = (published.folder / "index.html").read_text("utf-8")
    for link in re.findall(r'href="([^"#]+)"', index):
        assert (published.folder / link).is_file()


@given(st.text(max_size=80), st.text(max_size=80))
def test_slugs_are_one_safe_name_each(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_~-]{0,63}", slug(one))
    assert (slug(one) == slug(other)) == (one == other)


def test_formulas_in_cells_are_disarmed(tmp_path: Path) -> None:
    ranked = RANKED.assign(reason_1="=1+1", reason_2="@SUM(A1)", reason_3='-2,"x"\r\n=3')
    identities = IDENTITIES.assign(family_name="+cmd", given_name="")
    publish(ranked, identities, TEAMS, STAMP, tmp_path)
    first = rows_of(tmp_path, "north")[0]
    assert first["name"] == "'+CMD"
    assert [first[f"reason_{n}"] for n in (1, 2, 3)] == ["'=1+1", "'@SUM(A1)", '\'-2,"x" =3']


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="must carry a time zone"):
        Stamp(AS_OF.replace(tzinfo=None), AS_OF, "1", "Invented Trust", True, "Europe/London")


def test_lists_are_in_order_of_rank() -> None:
    shuffled = RANKED[RANKED["team_id"] == "north"].iloc[::-1]
    assert [person.rank for person in people(shuffled, IDENTITIES, {}, STAMP)] == [1, 2]
