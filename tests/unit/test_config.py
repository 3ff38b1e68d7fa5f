"""The configuration file: what it may say, and the sentence when it says something else."""

from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from features.errors import ConfigError
from pipelines import steps
from pipelines.config import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
LEAST = "trust: T\nfeatures: f.yaml\nsources: {}\n"


def loaded(tmp_path, text):
    path = tmp_path / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


SERVICES = sorted(path for path in CONFIGS.glob("*.yaml") if path.name != "prefect.yaml")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_configuration_that_is_shipped_loads(path):
    assert load_config(path).trust


def test_times_of_day_need_no_quotes(tmp_path):
    config = loaded(tmp_path, LEAST + "cut: 10:30\nlists: {good_until: 6:45}\n")
    assert (config.cut, config.lists.good_until) == (time(10, 30), time(6, 45))


def test_a_trust_of_simulated_people_need_not_have_been_drawn_here(tmp_path):
    drawn_elsewhere = loaded(tmp_path, LEAST + "simulated: true\n")
    assert steps.due_cut(drawn_elsewhere, datetime(2026, 1, 12, 9, tzinfo=UTC)) == datetime(2026, 1, 12, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "place", "clause"),
    [
        (LEAST + "worksapce: x\n", "worksapce", "did you mean 'workspace'?"),
        (LEAST + "lists: {shaer: 0.1}\n", "lists.shaer", "did you mean 'share'?"),
        (LEAST + "training: {seedz: [1]}\n", "training.seedz", "did you mean 'seeds'?"),
        (
            "trust: T\nfeatures: f\nsources: {a: {mapping: m, path: p, known_form: receipt}}\n",
            "sources.a.known_form",
            "'known_from'",
        ),
        (LEAST + "rules: {r: [{feature: x, wieght: 2}]}\n", "rules.r.0.wieght", "did you mean 'weight'?"),
        (LEAST + "cut: 6\n", "cut", "must be a time of day, like 06:00"),
        (LEAST + "lists: {good_until: 600}\n", "lists.good_until", "must be a time of day, like 06:00"),
        (LEAST + "lists: {share: 2}\n", "lists.share", "less than or equal to 1"),
        ("features: f\nsources: {}\n", "trust", "Field required"),
        (
            LEAST + "rules: {champion: [{feature: x}]}\n",
            "rules",
            "'champion' is what the evidence calls something else",
        ),
        (LEAST + "promotion: {tolerated_los: 0.1}\n", "promotion.tolerated_los", "did you mean 'tolerated_loss'?"),
        (LEAST + "promotion: {calibration_slope: [2, 1]}\n", "promotion", "the lowest and the highest value allowed"),
        (LEAST + "tuning: {trials: 50}\n", "tuning.trials", "less than or equal to 20"),
        (LEAST + "run: {wokers: 4}\n", "run.wokers", "did you mean 'workers'?"),
        (LEAST + "run: {by: dusk}\n", "run.by", "'threads', 'processes' or 'dask'"),
        (
            LEAST + "run: {by: dask}\n",
            "run",
            "must come with its scheduler's address, such as tcp://host:8786; found none",
        ),
        (LEAST + "run: {by: dask, address: host}\n", "run", "such as tcp://host:8786; found host"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file_its_place_and_the_nearest_right_word(
    tmp_path, text, place, clause
):
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text)
    assert "service.yaml" in str(error.value)
    assert f"'{place}'" in str(error.value)
    assert clause in str(error.value)


@pytest.mark.parametrize("text", ["", "just words", "a: [1", "- a list", "trust: 2026-13-45"])
def test_what_is_no_configuration_is_refused_in_a_sentence(tmp_path, text):
    with pytest.raises(ConfigError, match=r"service\.yaml"):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="must name a file"):
        load_config(tmp_path / "nothing.yaml")
