"""The national opt-out: who is on the file is on no list, by number only, and such a day comes out again."""

import os
from datetime import timedelta

import pandas as pd
import pytest

from features.errors import ConfigError, SourceError, StaleFeedError
from pipelines import steps
from pipelines.config import AccessConfig, OptOutConfig
from pipelines.judging import rows_for
from pipelines.opting_out import is_nhs_number
from pipelines.service import Service
from pipelines.workspace import pseudonyms


def quiet(_said):
    """Progress that nobody reads."""


def opting(config, path, **settings):
    return config.model_copy(update={"access": AccessConfig(opt_out=OptOutConfig(path=path, **settings))})


@pytest.fixture
def cut(copied):
    return steps.as_of_day(copied, steps.simulated_last_day(copied))


@pytest.fixture
def ranked(copied, cut):
    """The lists without opt-outs, with the NHS number of each."""
    found = steps.score(copied, cut, quiet).ranked
    return found.merge(Service(copied).identities.people()[["person_id", "nhs_number"]], on="person_id")


def written(path, numbers, heading="NHS Number\n", at=None):
    path.write_text(heading + "".join(f"{number[:3]} {number[3:]},\n" for number in numbers), encoding="utf-8")
    if at is not None:
        os.utime(path, (at.timestamp(),) * 2)
    return path


def listed_numbers(ranked, count):
    first = ranked[ranked["listed"]].drop_duplicates("person_id").dropna(subset="nhs_number")
    assert len(first) >= count
    return list(first["nhs_number"].head(count))


def test_people_on_the_file_are_on_no_list_and_the_day_comes_out_again(copied, cut, ranked, tmp_path):
    numbers = listed_numbers(ranked, 12)
    config = opting(copied, written(tmp_path / "opted-out.csv", [*numbers, "9990000000"]), most_share=0.1)
    day = steps.daily(config, cut, cut, quiet)
    run = pd.read_parquet(config.workspace / "runs" / cut.date().isoformat() / "1" / "ranked.parquet")
    gone = set(pseudonyms([f"nhs:{number}" for number in numbers], Service(config).workspace.key()))
    assert gone <= set(ranked["person_id"])
    assert set(run["person_id"]) == set(ranked["person_id"]) - gone
    everything = "".join(path.read_text("utf-8") for path in day.published.folder.rglob("*.*"))
    assert not [number for number in numbers if number in everything or f"{number[:3]} {number[3:6]}" in everything]
    index = (day.published.folder / "index.html").read_text("utf-8")
    assert '<tr><th scope="row">National opt-out</th><td class="number">12</td></tr>' in index
    assert "opt-out" not in "".join(
        path.read_text("utf-8").lower() for path in day.published.folder.glob("*/list.html")
    )
    (again,) = steps.replay(copied, cut.date(), cut.date(), quiet)
    assert (again.difference, again.rows) == ("", len(run))


def test_the_answer_of_the_national_check_names_those_who_may_stay(copied, cut, ranked, tmp_path):
    numbers = set(ranked["nhs_number"].dropna()) - set(listed_numbers(ranked, 12))
    answer = written(tmp_path / "answer.dat", sorted(numbers), heading="")
    scored = steps.score(opting(copied, answer, holds="not_opted_out"), cut, quiet)
    stays = ranked["nhs_number"].isna() | ranked["nhs_number"].isin(numbers)
    assert set(scored.ranked["person_id"]) == set(ranked.loc[stays, "person_id"])
    assert scored.unlisted["national opt-out"] == 12
    with pytest.raises(ConfigError, match=r"may leave out at most 30% .* leaves out more"):
        steps.score(opting(copied, answer), cut, quiet)


def test_few_are_told_as_few_wherever_a_count_is_told(copied, cut, ranked, tmp_path):
    config = opting(copied, written(tmp_path / "few.txt", listed_numbers(ranked, 3)))
    day = steps.daily(config, cut, cut, quiet)
    for name in ("index.html", "manifest.json", "run.json"):
        assert "fewer than 10" in (day.published.folder / name).read_text("utf-8")
    (again,) = steps.replay(config, cut.date(), cut.date(), quiet)
    assert again.difference == ""


def test_a_replay_finds_that_a_person_was_lost_beside_those_who_opted_out(copied, cut, ranked, tmp_path):
    config = opting(copied, written(tmp_path / "out.txt", listed_numbers(ranked, 12)))
    steps.daily(config, cut, cut, quiet)
    path = config.workspace / "runs" / cut.date().isoformat() / "1" / "ranked.parquet"
    run = pd.read_parquet(path)
    alone = ~run["team_id"].isin(run.loc[run["person_id"].duplicated(keep=False), "team_id"])
    last = run[alone].sort_values("rank").iloc[-1] if alone.any() else run.drop_duplicates("person_id").iloc[-1]
    run[run["person_id"] != last["person_id"]].to_parquet(path, index=False)
    (again,) = steps.replay(config, cut.date(), cut.date(), quiet)
    assert again.difference


def test_an_old_file_holds_the_lists_back_or_is_told(copied, cut, ranked, tmp_path):
    path = written(tmp_path / "old.txt", listed_numbers(ranked, 3), at=cut - timedelta(days=9))
    with pytest.raises(StaleFeedError, match="opt-out file is 9 days old, and 7 is the limit"):
        steps.score(opting(copied, path), cut, quiet)
    assert (
        "The opt-out file is 9 days old"
        in steps.score(opting(copied, path, when_stale="warn"), cut, quiet).stamp.notes[0]
    )
    assert not steps.score(opting(copied, path, stale_after_days=9), cut, quiet).stamp.notes


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "readable text; No such file"), (b"\xff\xfe\x00", "not text in UTF-8"), (b"NHS Number\n", "holds none")],
)
def test_a_file_that_is_missing_or_says_nothing_stops_the_lists(copied, cut, tmp_path, content, says):
    path = tmp_path / "opt-outs.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        steps.score(opting(copied, path), cut, quiet)


def test_training_leaves_them_out_where_it_is_said_to(copied, cut, ranked, tmp_path):
    numbers = listed_numbers(ranked, 12)
    path = written(tmp_path / "out.txt", numbers)
    gone = set(pseudonyms([f"nhs:{number}" for number in numbers], Service(copied).workspace.key()))
    of_lists = rows_for(Service(opting(copied, path)), cut, quiet)
    of_both = rows_for(Service(opting(copied, path, applies=("lists", "training"))), cut, quiet)
    assert gone & set(of_lists.frame["person_id"])
    assert not gone & {*of_both.frame["person_id"], *of_both.learned}
    assert of_both.exclusions["reason"].eq("national opt-out").any()


def test_what_an_nhs_number_is():
    assert [is_nhs_number(text) for text in ("9990000018", "9990000019", "999000001", "0000000000", "x990000018")] == [
        True,
        *[False] * 4,
    ]
