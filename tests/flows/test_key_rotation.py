"""A new pseudonym key for a whole workspace: the same people with the same ranks, all of it or nothing."""

import shutil
import signal
import sqlite3
from datetime import timedelta

import pandas as pd
import pytest
from mishaps import ended, in_another_process, rotation_killed_at

from features.errors import ConfigError, NotReadyError
from models.roll_out import BandConfig, RollOutConfig
from pipelines import steps
from pipelines.config import AccessConfig
from pipelines.service import Service
from pipelines.workspace import write_private

BOUNDARIES = [
    ("pipelines.rotation:read_under", "after", 2),
    ("pipelines.rotation:_exposures", "before", 1),
    ("pipelines.staging:_settle", "before", 1),
    ("pipelines.staging:_put", "after", 3),
    ("pipelines.staging:_settle", "after", 2),
]
"""Where the rotation is killed; from the third on it has been decided."""


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    """The small trust with two days published, the second with places given by lot, and sources of its own."""
    root = tmp_path_factory.mktemp("published") / "workspace"
    shutil.copytree(trained.workspace, root, symlinks=True, ignore=shutil.ignore_patterns("evaluation", "truth"))
    config = trained.model_copy(update={"workspace": root})
    last = steps.as_of_day(config, steps.simulated_last_day(config))
    steps.daily(config, last - timedelta(days=1), last, quiet)
    steps.daily(by_lot(config), last, last, quiet)
    return config, last


def by_lot(config):
    band = BandConfig(share=0.5, spare_risk=0.9)
    return config.model_copy(update={"roll_out": RollOutConfig(band=band)})


@pytest.fixture
def mine(published, tmp_path):
    config, last = published
    shutil.copytree(config.workspace, tmp_path / "workspace", symlinks=True)
    return config.model_copy(update={"workspace": tmp_path / "workspace"}), last


def named(config):
    """What the workspace says of whom, people by their NHS or local number."""
    service = Service(config)
    people = service.identities.people().set_index("person_id")
    who = people["nhs_number"].fillna(people["local_id"])
    frames = {"exposures": service.exposures.listed(), "weighted": service.exposures.weighted()}
    for path in sorted(service.workspace.runs.glob("*/*/ranked.parquet")):
        frames[str(path.relative_to(service.workspace.runs))] = pd.read_parquet(path)
    told = {}
    for name, frame in frames.items():
        keys = [column for column in ("as_of", "team_id", "rank") if column in frame]
        rows = frame.assign(person_id=frame["person_id"].map(who)).sort_values(keys, ignore_index=True)
        assert rows["person_id"].notna().all()
        told[name] = rows
    tables = service.history.read()
    history = {
        name: table.to_pandas().assign(person_id=lambda rows: rows["person_id"].map(who))
        for name, table in tables.items()
    }
    told["history"] = pd.concat([rows.groupby("person_id").size() for rows in history.values()], axis=1).sort_index()
    return told


def pseudonyms_in(config):
    """Every pseudonym that a former one could be found by, wherever it is kept."""
    service = Service(config)
    found = set(service.identities.people()["person_id"])
    for path in [
        *service.workspace.root.glob("runs/*/*/ranked.parquet"),
        *service.workspace.mlflow.glob("artifacts/**/list.parquet"),
    ]:
        found |= set(pd.read_parquet(path)["person_id"])
    for table in service.history.read().values():
        found |= set(table["person_id"].to_pylist())
    return found | set(service.exposures.weighted()["person_id"])


def same(before, after):
    assert before.keys() == after.keys()
    for name, frame in before.items():
        pd.testing.assert_frame_equal(frame, after[name], obj=name)


def test_everyone_has_another_pseudonym_and_the_same_place_everywhere(mine):
    config, last = mine
    before, old = named(config), pseudonyms_in(config)
    key = Service(config).workspace.key()
    (config.workspace / ".staged" / "new" / "history").mkdir(parents=True)  # as a rotation leaves it that was killed
    done = steps.rotate_key(config, None, last, quiet)
    assert not done.outside
    assert Service(config).workspace.key() != key
    same(before, named(config))
    assert not old & pseudonyms_in(config)
    assert not [path for path in config.workspace.iterdir() if path.name in (".staged", ".replaced")]
    files = [path for path in config.workspace.rglob("*") if path.is_file() and path.suffix in {".sqlite", ".key"}]
    assert key not in b"".join(path.read_bytes() for path in files)
    days = last.date() - timedelta(days=1), last.date()
    assert [one.difference for one in steps.replay(config, *days, quiet)] == ["", ""]
    with (
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
        sqlite3.connect(config.workspace / "exposure" / "exposure.sqlite") as log,
    ):
        log.execute("update withheld set chance = 1")
    assert all(one.already for one in steps.ingest(config, last, quiet).ingested)
    again = steps.score(config, last, quiet).ranked.merge(Service(config).identities.people(), on="person_id")
    was = before[f"{last.date()}/1/ranked.parquet"].merge(
        again.assign(person_id=again["nhs_number"]), on=["team_id", "person_id"]
    )
    assert len(was) >= 0.9 * len(again)
    assert (was["score_x"] == was["score_y"]).all()
    lone = ~was.duplicated(["team_id", "score_x"], keep=False)
    assert (was["rank_x"] == was["rank_y"])[lone].all()


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda b: f"{b[1]} {b[0].split(':')[1]} {b[2]}")
def test_killed_at_a_boundary_it_is_as_before_or_complete(mine, boundary):
    config, last = mine
    before, old = named(config), pseudonyms_in(config)
    process = in_another_process(rotation_killed_at(boundary, config, last), config, last)
    assert ended(process) == -signal.SIGKILL
    same(before, named(config))
    now = pseudonyms_in(config)
    assert now == old or not now & old
    assert (now == old) == (boundary in BOUNDARIES[:2])


def test_a_key_from_outside_is_changed_there_too(mine, tmp_path, monkeypatch):
    config, last = mine
    former, new = tmp_path / "former", tmp_path / "new"
    shutil.move(config.workspace / "identity" / "pseudonym.key", former)
    write_private(new, b"n" * 32 + b"\n")
    kept = config.model_copy(update={"access": AccessConfig(key_file=former)})
    with pytest.raises(ConfigError, match="--to must name a file"):
        steps.rotate_key(kept, None, last, quiet)
    with pytest.raises(ConfigError, match="it is the same"):
        steps.rotate_key(kept, former, last, quiet)
    before = named(kept)
    assert steps.rotate_key(kept, new, last, quiet).outside
    with pytest.raises(ConfigError, match="must be the one that the history was made with"):
        Service(kept).workspace.key()
    moved = config.model_copy(update={"access": AccessConfig(key_file=new)})
    same(before, named(moved))
    assert Service(moved).workspace.key() == b"n" * 32


def test_an_extract_that_is_gone_or_says_something_else_leaves_all_as_it_was(mine, tmp_path):
    config, last = mine
    key = Service(config).workspace.key()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(config.sources["index"].path, elsewhere)
    shutil.rmtree(sorted(elsewhere.iterdir())[0])
    sources = config.sources | {"index": config.sources["index"].model_copy(update={"path": elsewhere})}
    with pytest.raises(NotReadyError, match=r"1 of \d+ are not there as they were"):
        steps.rotate_key(config.model_copy(update={"sources": sources}), None, last, quiet)
    assert Service(config).workspace.key() == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_get_at_is_refused(mine, mode):
    config, _last = mine
    path = config.workspace / "identity" / "pseudonym.key"
    path.chmod(mode)
    with pytest.raises(ConfigError, match="must be open to its owner alone"):
        Service(config).workspace.key()


def test_a_key_file_that_is_missing_or_short_is_refused(mine, tmp_path):
    config, _last = mine
    path = tmp_path / "key"
    kept = config.model_copy(update={"access": AccessConfig(key_file=path)})
    with pytest.raises(ConfigError, match="cannot be read"):
        Service(kept).workspace.key()
    write_private(path, b"short\n")
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        Service(kept).workspace.key()
