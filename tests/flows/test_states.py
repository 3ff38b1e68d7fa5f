"""Hidden states from training to list: what they are learned from, where the numbers are kept, who uses them."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from features.cohort import OptedOut
from features.errors import ContractError, NotReadyError
from features.frames import micros
from features.states import learned_in, without_learned
from models.bundle import load
from models.splits import CALIBRATE, TRAIN
from pipelines import given, learning, runs, steps, tracking
from pipelines.config import TaskConfig
from pipelines.judging import rows_for
from pipelines.replay import replay
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def champion(trained):
    return load(tracking.champion(Service(trained).workspace).bundle)


@pytest.fixture(scope="module")
def as_of(champion):
    return datetime.fromisoformat(champion.lineage["as_of"])


@pytest.fixture
def looked_at(monkeypatch):
    """The people and the days whose records are learned from, as they are asked for."""
    asked = {"people": [], "edges": []}  # two buckets are worked on at a time

    def past(tables, found, catalogue, people, since):
        asked["people"].append(people)
        return whole(tables, found, catalogue, people, since)

    def sequences(known, edges, at):
        asked["edges"].append(edges)
        return days(known, edges, at)

    whole, days = learning.past, learning.sequences
    monkeypatch.setattr(learning, "past", past)
    monkeypatch.setattr(learning, "sequences", sequences)
    return asked


def test_a_model_keeps_what_its_states_have_learned_and_is_scored_with_it(trained, champion):
    service, text = Service(trained), champion.lineage["catalogue"]
    assert learned_in(text)
    assert without_learned(text).rstrip() == service.catalogue_text.rstrip()
    assert service.catalogue.contract.fingerprint != champion.contract.fingerprint
    assert service.for_model(champion).catalogue.contract.fingerprint == champion.contract.fingerprint
    assert service.for_model(champion).for_model(champion).catalogue_text == text.rstrip() + "\n"


def test_learning_again_gives_the_same_numbers(trained, champion, as_of):
    again = learning.with_states(Service(trained), as_of, quiet)
    assert again.catalogue_text == champion.lineage["catalogue"]
    assert learning.with_states(again, as_of, quiet) is again, "what has learned does not learn again"


def test_only_people_and_days_of_the_training_block_are_learned_from(trained, as_of, looked_at):
    service = Service(trained)
    data = rows_for(service, as_of, quiet)
    learning.with_states(service, as_of, quiet)
    people, edges = np.concatenate(looked_at["people"]), looked_at["edges"][0]
    train = data.frame.loc[(data.parts == TRAIN).to_numpy(), "person_id"]
    assert sorted(people) == sorted(train.unique())
    later = data.frame.loc[(data.parts == CALIBRATE).to_numpy(), "as_of"]
    assert edges[-1] == micros(later).min()


def test_who_opted_out_of_training_is_not_learned_from(trained, as_of, looked_at, monkeypatch):
    service = Service(trained)
    train = rows_for(service, as_of, quiet, parts=(TRAIN,)).frame["person_id"].unique()
    checked = learning.opting_out.checked(service, as_of, "training")
    out = replace(checked, people=OptedOut(train[::2]))
    monkeypatch.setattr(learning.opting_out, "checked", lambda *_: out)
    learning.with_states(service, as_of, quiet)
    assert set(np.concatenate(looked_at["people"])) == set(train[1::2])


def test_no_more_people_and_days_than_are_needed(trained, as_of, looked_at, monkeypatch):
    monkeypatch.setattr(learning, "MOST_PEOPLE", 100)
    monkeypatch.setattr(learning, "MOST_DAYS", 60)
    learning.with_states(Service(trained), as_of, quiet)
    assert [len(people) for people in looked_at["people"]] == [50, 50]
    assert [len(edges) for edges in looked_at["edges"]] == [61, 61]


def test_a_service_with_too_few_admissions_trains_without_states(trained, as_of, monkeypatch):
    monkeypatch.setattr("models.states.LEAST_ADMISSIONS", 10**6)
    service = learning.with_states(Service(trained), as_of, quiet)
    assert service.catalogue.learned is None
    data = rows_for(service, as_of, quiet, parts=(CALIBRATE,))
    assert data.frame["log_odds_emergency_within_9d"].isna().all()
    assert data.frame["evidence_call"].isna().all()


@pytest.mark.parametrize("history_days", [45, 80])
def test_a_history_too_short_to_train_on_is_told_by_the_training(trained, as_of, history_days):
    """With no training block, or next to none, there is nothing to learn from, and one sentence says so."""
    periods = trained.periods.model_copy(update={"history_days": history_days})
    short = trained.model_copy(update={"periods": periods})
    assert learning.with_states(Service(short), as_of, quiet).catalogue.learned is None
    with pytest.raises(NotReadyError, match="must hold at least"):
        steps.train(short, as_of, quiet)


def test_a_task_given_as_tables_is_learned_from_its_training_rows(trained, as_of, looked_at, monkeypatch):
    data = rows_for(Service(trained), as_of, quiet)
    index = data.frame[["person_id", "as_of"]].assign(team_id=None)
    parts = index.drop(columns="team_id").assign(part=data.parts.to_numpy())
    monkeypatch.setattr(given, "_table", lambda _service, _spec, kind: {"index": index, "assignment": parts}[kind])
    task = TaskConfig.model_construct(index=None, outcomes=None, assignment=True)
    service = Service(trained.model_copy(update={"task": task}))
    assert learning.with_states(service, as_of, quiet).catalogue.learned is not None
    train = (data.parts == TRAIN).to_numpy()
    assert set(np.concatenate(looked_at["people"])) == set(index.loc[train, "person_id"])
    assert looked_at["edges"][0][-1] == micros(index.loc[~train, "as_of"]).min()


def test_a_day_is_made_and_made_again_with_the_numbers_of_its_model(copied, champion):
    as_of = steps.as_of_day(copied, steps.simulated_last_day(copied))
    made = steps.daily(copied, as_of, as_of, quiet)
    service = Service(copied)
    run = runs.standing(service.workspace, made.published.folder.name)
    assert run.catalogue() == champion.lineage["catalogue"]
    proved = replay(service, run.day, quiet)
    assert proved.rows > 100
    assert not proved.difference
    assert "the catalogue" not in proved.changed


def test_other_numbers_than_the_models_are_refused(trained, champion, as_of):
    text = str(champion.lineage["catalogue"])
    hazard = champion.lineage["catalogue"].partition('"hazard":[')[2].partition(",")[0]
    other = Service(trained, own_catalogue=text.replace(f'"hazard":[{hazard}', f'"hazard":[{float(hazard) * 2}'))
    assert other.for_model(champion) is other, "a catalogue that has learned keeps its own"
    with pytest.raises(ContractError, match="mean different things"):
        other.catalogue.contract.require(champion.contract, "champion")
