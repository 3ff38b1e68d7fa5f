"""What operations see: the state of the lists, exit codes, and progress and errors as JSON lines."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from features import errors
from features.errors import MinusNineError, StaleFeedError
from pipelines import cli, steps
from pipelines.console import write_json
from pipelines.publish import PublishError
from pipelines.status import EXIT_CODES

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def quiet(_said):
    """Progress that nobody reads."""


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["minusnine", *map(str, words)])
    try:
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    finally:
        write_json(False)
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


def test_the_state_of_the_lists_from_morning_to_morning(copied):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    assert steps.status(copied, as_of).state == "none"
    steps.daily(copied, as_of, as_of, quiet)
    fresh = steps.status(copied, as_of)
    assert (fresh.state, fresh.exit_code) == ("fresh", 0)
    assert any(sentence.startswith("The feed 'community' is ") for sentence in fresh.says)
    tomorrow = as_of + timedelta(days=1)
    assert steps.status(copied, tomorrow).state == "awaited"
    assert steps.status(copied, tomorrow + timedelta(hours=1, minutes=59)).state == "awaited"
    stale = steps.status(copied, tomorrow + timedelta(hours=2))
    assert (stale.state, stale.exit_code) == ("stale", 20)
    assert "out of date since" in stale.says[0]
    late = as_of + timedelta(days=3)
    with pytest.raises(StaleFeedError):
        steps.daily(copied, late, late, quiet)
    blocked = steps.status(copied, late)
    assert (blocked.state, blocked.exit_code) == ("blocked", 21)
    assert "could not be made: The feed 'community' is late" in blocked.says[0]


def test_every_page_says_for_which_morning_it_was_made_and_until_when_it_is_good(copied):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    day = steps.daily(copied, as_of, as_of, quiet)
    pages = list(day.published.folder.rglob("*.html"))
    assert len(pages) > 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "Made for the morning of <strong>Wednesday 17-Dec-2025</strong>" in text
        assert "From <strong>Thursday 18-Dec-2025, 08:00</strong> it is out of date" in text
    manifest = json.loads((copied.workspace / "lists" / "latest" / "manifest.json").read_text())
    assert manifest["stamp"]["valid_until"] == "2025-12-18T08:00:00+00:00"


def test_the_record_of_a_run_tells_what_it_was_made_of_and_names_nobody(copied):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    day = steps.daily(copied, as_of, as_of, quiet)
    beside = (day.published.folder / "run.json").read_text()
    assert beside == (copied.workspace / "runs" / as_of.date().isoformat() / "1" / "run.json").read_text()
    told = json.loads(beside)
    assert set(told["seconds"]) == {"ingesting", "scoring", "writing"}
    assert {"community", "hospital"} == set(told["feeds"])
    assert len(told["inputs"]) == told["history"]["batches"]
    assert all(re.fullmatch("[0-9a-f]{64}", one["sha256"]) for one in told["inputs"])
    assert {"lightgbm", "pandas", "python"} <= set(told["packages"])
    assert told["metrics"]["listed"] == day.published.listed
    ranked = cli_ranked(copied, as_of)
    assert not any(str(person) in beside for person in ranked["person_id"])


def cli_ranked(config, as_of):
    from pipelines import runs
    from pipelines.service import Service

    return runs.standing(Service(config).workspace, as_of.date().isoformat()).ranked()


def test_the_commands_tell_what_they_found_and_exit_by_it(monkeypatch, capsys, copied, small_config):
    words = ("--config", small_config, "--workspace", copied.workspace)
    assert run(monkeypatch, capsys, "status", *words)[0] == 5
    assert run(monkeypatch, capsys, "daily", *words)[0] == 0
    code, said, _ = run(monkeypatch, capsys, "daily", *words)
    assert code == 0
    assert "stood already; nothing was changed" in said.replace("\n", " ")
    code, said, _ = run(monkeypatch, capsys, "status", *words)
    assert (code, said.split()[0]) == (0, "fresh")
    assert run(monkeypatch, capsys, "status", "--at", "2026-02-01T09:00", *words)[0] == EXIT_CODES["stale"]
    code, said, _ = run(monkeypatch, capsys, "replay", *words)
    assert code == 0
    assert re.search(r"version 1: equal in all \d+ rows", said)
    code, _, complaint = run(monkeypatch, capsys, "exposure", "prune", *words)
    assert code == 2
    assert "exposure.keep_days must say" in complaint
    code, _, complaint = run(monkeypatch, capsys, "backfill", *words)
    assert code == 2
    assert "--from must name the first day" in complaint


def test_progress_and_errors_as_json_lines(monkeypatch, capsys, copied, small_config):
    words = ("--config", small_config, "--workspace", copied.workspace)
    code, _, told = run(monkeypatch, capsys, "--log", "json", "daily", *words)
    assert code == 0
    lines = [json.loads(line) for line in told.splitlines()]
    assert [lines[0]["says"], lines[-1]["says"]] == ["begun", "done"]
    assert {"at", "level", "says", "step", "seconds"} == set(lines[1])
    code, _, told = run(monkeypatch, capsys, "--log", "json", "daily", "--as-of", "2100-01-01", *words)
    error = json.loads(told.splitlines()[-1])
    assert (error["level"], error["exit_code"], code) == ("error", 2, 2)
    assert run(monkeypatch, capsys, "--log", "loud", "status", *words)[0] == 2


def test_each_kind_of_failure_has_an_exit_code_of_its_own_and_is_documented():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MinusNineError)]
    codes = [kind.exit_code for kind in (*kinds, PublishError)]
    assert len(set(codes)) == len(codes)
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", OPERATIONS.read_text(encoding="utf-8"), re.M)}
    assert documented == {0, *codes, *EXIT_CODES.values(), cli.UNFORESEEN}
