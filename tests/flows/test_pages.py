"""A list's page and its people's pages, from a trained trust: the same course from whichever day it is worked out."""

import csv
import io
import re
import shutil
from datetime import timedelta

import pandas as pd
import pytest

from models.sections import LISTED
from pipelines import runs, steps
from pipelines.daily import mark_stale
from pipelines.listing import COLUMNS, MORNINGS
from pipelines.pages import people, told_beside
from pipelines.pages.words import SECTIONS
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def days(trained, tmp_path_factory):
    """The lists of the trust's last two days, in a workspace of their own."""
    root = tmp_path_factory.mktemp("pages") / "workspace"
    shutil.copytree(trained.workspace, root, symlinks=True)
    config = trained.model_copy(update={"workspace": root})
    last = steps.simulated_last_day(config)
    cuts = [steps.as_of_day(config, last - timedelta(days=back)) for back in (1, 0)]
    for as_of in cuts:
        scored = steps.score(config, as_of, quiet)
        steps.publish(config, scored, as_of)
    return config, cuts, scored


def run_of(config, as_of):
    run = runs.standing(Service(config).workspace, as_of.date().isoformat())
    assert run is not None
    return run


def test_the_mornings_before_are_what_was_published_then(days):
    config, (before, as_of), _ = days
    today, yesterday = (run_of(config, cut).ranked() for cut in (as_of, before))
    listed = today[today["listed"]]
    then = yesterday.drop_duplicates("person_id").set_index("person_id")["risk"]
    both = listed[listed["person_id"].isin(then.index)]
    assert len(both) > 20
    assert (both["risk_1d"] == both["person_id"].map(then)).all()
    assert listed.loc[~listed["person_id"].isin(then.index), "risk_1d"].isna().all()
    older = yesterday[yesterday["listed"]].drop_duplicates("person_id").set_index("person_id")
    twice = listed[listed["person_id"].isin(older.index)]
    for place, name in enumerate(MORNINGS[1:], 1):
        was = twice["person_id"].map(older[MORNINGS[place - 1]])
        assert ((twice[name] == was) | (twice[name].isna() & was.isna())).all()


def test_a_replay_gives_the_same_columns(days):
    config, cuts, _ = days
    again = steps.replay(config, cuts[0].date(), cuts[1].date(), quiet)
    assert [one.difference for one in again] == ["", ""]
    assert set(COLUMNS) < set(run_of(config, cuts[1]).ranked().columns)


def test_everyone_listed_is_in_one_section_and_has_a_page(days):
    config, (_, as_of), scored = days
    run = run_of(config, as_of)
    folder = Service(config).workspace.lists / as_of.date().isoformat()
    names = Service(config).identities.people().set_index("person_id")
    for team, rows in run.ranked().groupby("team_id"):
        listed = rows[rows["listed"]]
        page = (folder / str(team) / "list.html").read_text("utf-8")
        links = re.findall(r'href="(people/[0-9a-f]{24}\.html)"', page)
        assert len(set(links)) == len(links) == len(listed)
        assert {path.name for path in (folder / str(team)).glob("people/*")} == {link[7:] for link in links}
        assert set(listed["section"]) <= set(LISTED)
        table = csv.DictReader(io.StringIO((folder / str(team) / "list.csv").read_text("utf-8-sig"), newline=""))
        assert sorted(row["section"] for row in table) == sorted(SECTIONS[key] for key in listed["section"])
        by_rank = {row.rank: row.person_id for row in listed.itertuples()}
        for rank, link in zip(re.findall(r'class="rank">(\d+)', page), links, strict=True):
            text = (folder / str(team) / link).read_text("utf-8")
            assert names.loc[by_rank[int(rank)], "family_name"].upper() in text
    assert len(scored.ranked[scored.ranked["listed"]]) == len(list(folder.glob("*/people/*.html")))


def test_what_is_kept_makes_the_same_pages_again(days):
    config, (_, as_of), scored = days
    run, who = run_of(config, as_of), Service(config).identities.people()
    kept = told_beside(run.ranked(), run.beside(), who, scored.stamp)
    made = told_beside(scored.ranked, scored.beside, who, scored.stamp)
    assert kept.people
    assert kept.others == made.others
    assert kept.courses(kept.people) == made.courses(made.people)
    team, rows = next(iter(run.ranked().groupby("team_id")))
    mine = scored.ranked[scored.ranked["team_id"] == team]
    assert repr(people(rows, who, {}, scored.stamp)) == repr(people(mine, who, {}, scored.stamp))


def test_nothing_is_told_that_was_not_known(days):
    config, (_, as_of), _ = days
    beside = run_of(config, as_of).beside()
    happened, cut = beside["happened"], pd.Timestamp(as_of)
    assert (happened["known_from"] <= cut).all()
    assert (happened.loc[happened["what"] != "planned", "happened_at"] < cut).all()
    assert set(happened["kind"]) == {"contact", "reading", "record", "stay", "attendance", "referral"}


def test_who_left_is_told_apart_from_who_is_listed(days):
    config, (_, as_of), _ = days
    run = run_of(config, as_of)
    ranked, leaving = run.ranked(), run.beside()["leaving"]
    listed = set(zip(*(ranked.loc[ranked["listed"], key] for key in ("team_id", "person_id")), strict=True))
    off = set(zip(leaving["team_id"], leaving["person_id"], strict=True))
    assert off
    assert not off & listed
    folder = Service(config).workspace.lists / as_of.date().isoformat()
    told = sum(page.read_text("utf-8").count('<tr class="other">') for page in folder.glob("*/list.html"))
    assert told == len(off) + int((ranked["section"] == "poorly_observed").sum())


def test_when_a_day_fails_each_persons_page_says_so_too(days):
    config, (_, as_of), _ = days
    assert mark_stale(Service(config), as_of + timedelta(days=1), "the wards' feed is late.")
    pages = list((Service(config).workspace.lists / "latest").glob("*/people/*.html"))
    assert pages
    for page in pages:
        assert "could not be made: the wards&#39; feed is late." in page.read_text("utf-8")


def test_teams_that_share_a_list_have_each_person_once(days, tmp_path):
    config, (_, as_of), _ = days
    shutil.copytree(config.workspace, tmp_path / "workspace", symlinks=True)
    teams = sorted(config.lists.team_names)[:3]
    lists = config.lists.model_copy(update={"groups": {"Hub": tuple(teams)}, "by_team": {"Hub": 4}})
    shared = config.model_copy(update={"workspace": tmp_path / "workspace", "lists": lists})
    scored = steps.score(shared, as_of, quiet)
    hub = scored.ranked[scored.ranked["team_id"] == "Hub"]
    assert hub["person_id"].is_unique
    assert int(hub["listed"].sum()) == 4
    assert not set(teams) & set(scored.ranked["team_id"])
    day = steps.publish(shared, scored, as_of, replacing=True)
    page = (day.published.folder / "Hub" / "list.html").read_text("utf-8")
    assert "One list for" in page
    assert page.count("Held by") == 4
    assert config.lists.team_names[teams[0]] in page
