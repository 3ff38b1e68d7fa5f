"""The command line: one sentence and an exit code, never a traceback."""

import re
import shutil
from datetime import timedelta

import pandas as pd
import pytest
import yaml

from features.errors import ConfigError, ContractError
from models.gate import Line
from pipelines import cli, steps
from pipelines.feeds import feed_ages
from pipelines.proving import Proof
from pipelines.service import Service


def run(monkeypatch, capsys, *words):
    """Exit code, what was printed, and what was complained of."""
    monkeypatch.setattr("sys.argv", ["minusnine", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


def changed(small_config, tmp_path, **changes):
    """The small trust's configuration with other values, and a workspace of its own."""
    raw = yaml.safe_load(small_config.read_text()) | {"workspace": str(tmp_path / "workspace")} | changes
    for name in ("features", "sources", "worlds"):
        (tmp_path / name).symlink_to(small_config.parent / name)
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_a_wrong_configuration_is_one_sentence(monkeypatch, capsys, tmp_path):
    path = tmp_path / "service.yaml"
    path.write_text("trust: T\nfeatures: f\nsources: {}\nworksapce: x\n")
    code, _, complaint = run(monkeypatch, capsys, "ingest", "--config", path)
    assert code == 2
    assert "did you mean 'workspace'?" in complaint
    assert "Traceback" not in complaint


def test_scoring_before_training_says_what_to_do(monkeypatch, capsys, small_config, tmp_path):
    path = changed(small_config, tmp_path)
    (tmp_path / "workspace" / "extracts").mkdir(parents=True)
    code, _, complaint = run(monkeypatch, capsys, "evaluate", "--config", path)
    assert code == 5
    assert "Run `minusnine train` first" in complaint


@pytest.mark.parametrize("failed", [(), ("slope on true",)])
def test_a_line_that_does_not_hold_against_the_truth_is_named(monkeypatch, capsys, small_config, tmp_path, failed):
    lines = tuple(Line(name, name not in failed, "0.8") for name in ("no leak", "slope on true"))
    one_clock = pd.DataFrame(columns=["build", "measure", "value", "low", "high"])
    monkeypatch.setattr(steps, "prove", lambda _config, _tell: Proof(tmp_path / "page.html", lines, one_clock))
    code, shown, complaint = run(monkeypatch, capsys, "prove", "--config", small_config)
    assert code == len(failed)
    assert ("FAIL  slope on true: 0.8" in shown) == bool(failed)
    assert ("1 of 2 did not: slope on true." in complaint) == bool(failed)
    assert "no leak" not in complaint


@pytest.mark.parametrize(
    ("words", "said"), [((), "needs a challenger"), (("--back",), "model 1 was the first. It stands.")]
)
def test_promoting_or_going_back_where_there_is_nothing_to_is_one_sentence(
    monkeypatch, capsys, small_config, trained, words, said
):
    code, _, complaint = run(monkeypatch, capsys, "promote", "--config", small_config, "--by", "A. Lead", *words)
    assert code == 5
    assert said in complaint


def test_a_patients_number_is_no_name_of_who_decides(monkeypatch, capsys, small_config, trained):
    code, _, complaint = run(monkeypatch, capsys, "promote", "--config", small_config, "--by", "for 999-000-0018")
    assert code == 2
    assert "--by must name who decides" in complaint
    assert "999" not in complaint


def test_a_source_that_is_not_there_is_named(monkeypatch, capsys, small_config, tmp_path):
    code, _, complaint = run(monkeypatch, capsys, "ingest", "--config", changed(small_config, tmp_path))
    assert code == 3
    assert "Source 'index-history'" in complaint


def test_a_day_that_is_no_day(monkeypatch, capsys, small_config, tmp_path):
    path = changed(small_config, tmp_path)
    code, _, complaint = run(monkeypatch, capsys, "daily", "--config", path, "--as-of", "tomorrow")
    assert code == 2
    assert "--as-of must be a day" in complaint


def test_a_cut_that_has_not_come_yet_gets_no_list(monkeypatch, capsys, small_config, trained):
    code, _, complaint = run(monkeypatch, capsys, "daily", "--config", small_config, "--as-of", "2100-01-01")
    assert code == 2
    assert "must not lie ahead" in complaint
    assert not (trained.workspace / "lists" / "2100-01-01").exists()


def test_a_history_is_not_added_to_with_another_key(monkeypatch, copied):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    key = copied.workspace / "identity" / "pseudonym.key"
    key.rename(key.with_suffix(".lost"))
    with pytest.raises(ConfigError, match="must be the one that the history was made with"):
        steps.score(copied, as_of, lambda _said: None)
    assert not key.exists(), "a lost key must not be replaced by a new one"
    monkeypatch.setenv("MINUSNINE_KEY", "another")
    with pytest.raises(ConfigError, match="must be the one that the history was made with"):
        steps.score(copied, as_of, lambda _said: None)


def test_an_extract_with_nothing_in_it_does_not_make_a_feed_fresh(copied):
    last = steps.as_of_day(copied, steps.simulated_last_day(copied))
    drops = copied.workspace / "extracts" / "daily" / "csds"
    newest, tomorrow = max(drops.iterdir()), last + timedelta(days=1)
    empty = drops / tomorrow.date().isoformat()
    empty.mkdir()
    for file in newest.iterdir():
        lines = file.read_text().splitlines(keepends=True)
        header = lines[1].replace(last.date().isoformat(), tomorrow.date().isoformat()) if file.stem == "CYP000" else ""
        (empty / file.name).write_text(lines[0] + header)
    raw = copied.sources["community"].model_copy(update={"path": drops})
    config = copied.model_copy(update={"sources": {"community": raw}})
    steps.ingest(config, tomorrow, lambda _said: None)
    assert feed_ages(Service(config), tomorrow)["community"] == 24


def test_a_model_refuses_a_catalogue_that_means_something_else(copied, tmp_path, small_config):
    for name in ("features", "sources", "worlds"):
        shutil.copytree(small_config.parent / name, tmp_path / "configs" / name)
    catalogue = tmp_path / "configs" / "features" / "community.yaml"
    catalogue.write_text(catalogue.read_text().replace("code = 'news2'", "code = 'pain'"))
    config = copied.model_copy(update={"folder": tmp_path / "configs"})
    with pytest.raises(ContractError, match="they mean different things"):
        steps.score(config, steps.as_of_day(config, steps.simulated_last_day(config)), lambda _said: None)


def test_the_doctor_finds_nothing_wrong_with_a_trained_service(monkeypatch, capsys, small_config, trained):
    code, said, _ = run(monkeypatch, capsys, "doctor", "--config", small_config)
    assert code == 0, said
    assert "LOOK" not in said
    assert "champion: model 1" in said


def test_the_doctor_says_what_is_missing(monkeypatch, capsys, small_config, tmp_path):
    code, said, _ = run(monkeypatch, capsys, "doctor", "--config", changed(small_config, tmp_path))
    assert code == 1
    assert re.search(r"LOOK +Source 'community' must be a file or folder", said)
    assert re.search(r"LOOK +Scoring needs a champion", said)
    assert "simple rules for a first model to beat" in said


def test_the_doctor_says_that_a_first_model_would_have_nothing_to_beat(monkeypatch, capsys, small_config, tmp_path):
    _, said, _ = run(monkeypatch, capsys, "doctor", "--config", changed(small_config, tmp_path, rules={}))
    assert re.search(r"LOOK +a first model has to beat a simple rule, and there is none", said)


def test_the_doctor_sees_that_the_catalogue_is_not_the_models(monkeypatch, capsys, small_config, trained, tmp_path):
    raw = yaml.safe_load(small_config.read_text())
    (tmp_path / "sources").symlink_to(small_config.parent / "sources")
    text = (small_config.parent / "features" / "community.yaml").read_text()
    (tmp_path / "less.yaml").write_text(text.replace("- {mean: waterlow, days: 365}", ""))
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(raw | {"features": "less.yaml"}, sort_keys=False))
    code, said, _ = run(monkeypatch, capsys, "doctor", "--config", path)
    assert code == 1
    assert "was trained on other features" in said
