"""A day at the gates: blocked, let through with a note, and with one team held back; what is left behind each time."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from features.batch import ACCOUNT_COLUMNS, Batch
from features.errors import BlockedError, ConfigError
from pipelines import accounts, alerts, cli, ingesting, runs, steps
from pipelines.accounts import Account
from pipelines.console import write_json
from pipelines.gates import report, teams
from pipelines.gates.extracts import extract_outcomes
from pipelines.service import Service
from pipelines.store import Ingested
from pipelines.workspace import pseudonyms

DAYS = 60


def quiet(_said):
    """Progress that nobody reads."""


def drawn(as_of):
    """Two months of extracts, of which the newest has half the usual rows."""

    def of(back):
        moment = as_of - timedelta(days=back, minutes=30)
        files = {"CYP201.csv": {"rows": 200 if back == 0 else 400, "rejected": 0}}
        return Account("community", moment, moment, files, {}, {})

    return [of(back) for back in range(DAYS, -1, -1)]


def silent(team, since):
    """As `teams.team_outcomes`, where nothing more came of one team."""

    def outcomes(seen, *others):
        left = seen[(seen["team_id"] != team) | (seen["hour"] < pd.Timestamp(since))]
        return teams.team_outcomes(left, *others)

    return outcomes


@pytest.fixture
def morning(copied, monkeypatch):
    """The small trust with yesterday's lists, and a last extract of half the rows; its busiest team."""
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    yesterday = as_of - timedelta(days=1)
    steps.daily(copied, yesterday, yesterday, quiet)
    monkeypatch.setattr(report, "kept", lambda _folder, _ledger: drawn(as_of))
    ranked = runs.standing(Service(copied).workspace, yesterday.date().isoformat()).ranked()
    return copied, as_of, str(ranked["team_id"].value_counts().index[0])


def told_by(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["minusnine", *map(str, words)])
    try:
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    finally:
        write_json(False)
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


def test_a_morning_that_is_blocked_then_let_through_with_a_team_held_back(morning, monkeypatch, capsys, small_config):
    config, as_of, team = morning
    service, day = Service(config), as_of.date().isoformat()
    lists, yesterday = config.workspace / "lists", (as_of - timedelta(days=1)).date().isoformat()
    words = ("--config", small_config, "--workspace", config.workspace)

    code, said, complaint = told_by(monkeypatch, capsys, "daily", *words)
    assert code == BlockedError.exit_code
    why = "community CYP201.csv brought 200 rows; 400 rows are usual on such a day (from 240 rows to 720 rows)."
    assert why in complaint
    assert "rows (block): 1 failed" in said
    assert not (lists / day).exists()
    assert why in (lists / "latest" / "index.html").read_text()
    assert [(line["kind"], line["day"]) for line in alerts.told(service)] == [("blocked", day)]
    assert steps.status(config, as_of).state == "blocked"
    (looked,) = steps.gate_reports(config, as_of.date(), as_of.date())
    assert looked.blocked
    assert {"contract", "bundle", "late feed", "feed age", "rows"} <= {one.gate for one in looked.outcomes}
    assert {"passed", "failed"} <= {one.state for one in looked.outcomes}
    assert told_by(monkeypatch, capsys, "gates", *words)[0] == BlockedError.exit_code

    monkeypatch.setattr(report, "team_outcomes", silent(team, as_of - timedelta(days=5)))
    code, _, complaint = told_by(monkeypatch, capsys, "daily", "--warn-only", "row", *words)
    assert code == ConfigError.exit_code
    assert "--warn-only must name a gate; 'row' is none: did you mean 'rows'?" in complaint
    assert not (lists / day).exists()
    code, published, complaint = told_by(monkeypatch, capsys, "daily", "--warn-only", "rows", *words)
    assert (code, "rows (warn): 1 failed" in published) == (0, True)
    assert f"{report.UNUSUAL} {why}" in " ".join(complaint.split())
    assert runs.standing(service.workspace, day).told["notes"] == [f"{report.UNUSUAL} {why}"]
    pages = {path.parent.name: path.read_text() for path in (lists / day).glob("*/list.html")}
    assert len(pages) > 5
    assert all(why in page for name, page in pages.items() if name != team)
    banner = f"was held back: Nothing has been recorded for team {team}"
    assert [name for name, page in pages.items() if banner in page] == [team]
    assert banner in (lists / day / "index.html").read_text()
    with (lists / day / team / "list.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(yesterday[-2:] + "-Dec-2025" in row["as_of"] and banner in row["held_back"] for row in rows)

    shown = service.exposures.listed()
    shown = shown[shown["as_of"] == pd.Timestamp(as_of)]
    assert team not in set(shown["team_id"])
    assert len(shown) > 0
    assert f"lists with {len(shown)} people published" in published
    record = json.loads((lists / day / "run.json").read_text())
    assert list(record["withheld"]) == [team]
    assert {one["gate"] for one in record["gates"]} >= {"team feed", "risk", "overlap", "rows", "contract"}
    kinds = {line["kind"] for line in alerts.told(service)}
    assert kinds == {"blocked", "warning", "held back"}
    state = steps.status(config, as_of)
    assert (state.state, state.exit_code) == ("held back", 22)
    assert banner in " ".join(state.says)
    (again,) = steps.replay(config, as_of.date(), as_of.date(), quiet)
    assert again.difference == ""
    before = len(alerts.told(service))
    code, said, _ = told_by(monkeypatch, capsys, "daily", *words)
    assert (code, len(alerts.told(service))) == (0, before)
    assert "team feed (block)" in said
    code, said, _ = told_by(monkeypatch, capsys, "gates", "--from", yesterday, *words)
    assert (code, said.splitlines()[0]) == (0, "2 days: 0 blocked, 1 with a warning, 1 teams' days held back")


def test_ingestion_keeps_what_each_extract_was_like_and_no_cell_of_it(trained):
    service = Service(trained)
    ledger = service.history.ledger()
    found = accounts.kept(service.workspace.quality, ledger)
    assert len(found) == len(ledger)
    counted = pd.concat(pd.read_csv(path) for path in service.workspace.quality.glob("*/account.csv"))
    read = counted[counted["outcome"] != "note"]["rows"].sum()
    assert sum(file["rows"] for one in found for file in one.files.values()) == read
    nhs = [one for one in found if "CYP001.csv" in one.files][0].columns["CYP001.csv"]["NHSNumber"]
    assert nhs[0] > 0
    codes = next(one.codes for one in found if "contacts.status" in one.codes)["contacts.status"]["codes"]
    assert codes
    assert all(code.isdigit() for code in codes)


def test_what_a_refresh_deletes_is_in_the_account():
    rows = pd.DataFrame([("a.csv", "contacts", "kept", "", 5)], columns=list(ACCOUNT_COLUMNS))
    moment = pd.Timestamp("2026-01-05", tz="UTC").to_pydatetime()
    batch = Batch("community", "a", "f", moment, {}, None, rows, pd.DataFrame())
    done = Ingested("community", "a", {"contacts": 5}, outdated={"contacts": 2}, gone={"contacts": 3})
    counted = ingesting._counted(batch, done).account.set_index("reason")["rows"]
    assert (counted[ingesting.GONE], counted[ingesting.OUTDATED]) == (3, 2)


def spoilt(path, change):
    """A file of an extract with its rows changed; the header and then each row, as lists."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *change(header, rows)])


def with_cells(column, value, every=1):
    """Every so many rows with another value in a column."""

    def change(header, rows):
        at = header.index(column)
        return [[*row[:at], value, *row[at + 1 :]] if n % every == 0 else row for n, row in enumerate(rows)]

    return change


FAULTS = {
    "nothing": (lambda _header, rows: rows, set()),
    "half of it missing": (lambda _header, rows: rows[: len(rows) // 2], {"rows"}),
    "twice as long": (lambda _header, rows: rows + rows, {"rows", "rejects"}),
    "a column gone null": (with_cells("Contact_Time", ""), {"nulls"}),
    "a flood of new codes": (with_cells("AttendanceStatus", "Z9", 3), {"codes"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_real_extract_is_found_by_its_gate_and_a_sound_one_passes(trained, tmp_path, fault):
    service, (change, gates) = Service(trained), FAULTS[fault]
    newest = service.extracts("community")[-1]
    folder = tmp_path / newest.name
    shutil.copytree(newest, folder)
    spoilt(folder / "CYP201.csv", change)
    ledger = service.history.ledger()
    mine = ledger[(ledger["source"] == "community") & (ledger["name"] == newest.name)]
    (usual,) = accounts.kept(service.workspace.quality, mine)
    weeks = [usual.received_at - timedelta(days=back) for back in range(DAYS, 0, -1)]
    past = [replace(usual, received_at=moment, tells_until=moment) for moment in weeks]
    batch = ingesting.read_extract(service, "community", folder, quiet)
    accounts.keep(tmp_path, batch, lambda texts: pseudonyms(texts, service.workspace.key()))
    told = {"source": batch.source, "fingerprint": batch.fingerprint, "received_at": batch.received_at, "batch": 1}
    new = accounts.kept(tmp_path, pd.DataFrame([told]))
    found = list(extract_outcomes([*past, *new], weeks[-1], trained.gates, trained.zone))
    failed = {one.gate for one in found if one.failed}
    assert failed >= gates
    assert bool(failed) == bool(gates)
    assert {one.gate for one in found if one.state == "passed"} >= {"rows", "rejects", "nulls", "codes"} - gates
