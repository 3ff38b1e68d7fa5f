"""What is remembered of an archive, and that a file which has changed is always read again."""

import os
from pathlib import Path

import pytest

from features.sources.mapping import load_mapping
from features.sources.raw import fingerprint
from pipelines import fingerprints
from pipelines.fingerprints import Fingerprints

PATH = Path("configs/sources/identity.yaml")
MAPPING = load_mapping(PATH.read_text(encoding="utf-8"), str(PATH))


@pytest.fixture
def extract(tmp_path):
    folder = tmp_path / "2026-01-05"
    folder.mkdir()
    (folder / "INDEX.csv").write_text("LocalPatientID\n1\n", encoding="utf-8")
    return folder


@pytest.fixture
def read(monkeypatch):
    """The extracts that were read, in order."""
    monkeypatch.setattr(fingerprints, "SETTLED_SECONDS", -60.0)
    seen = []
    monkeypatch.setattr(fingerprints, "fingerprint", lambda path, *how: seen.append(path) or fingerprint(path, *how))
    return seen


def asked(memory, extract, zone="Europe/London"):
    remembered = Fingerprints(memory)
    found = dict(remembered.of([extract], MAPPING, zone))
    remembered.keep()
    assert found == {extract: fingerprint(extract, MAPPING, zone)}


def test_an_extract_that_nobody_touched_is_read_once(tmp_path, extract, read):
    for _ in range(3):
        asked(tmp_path / "memory.json", extract)
    assert read == [extract]
    asked(tmp_path / "memory.json", extract, zone="UTC")
    assert read == [extract] * 2


def test_other_bytes_of_the_same_length_and_time_are_noticed(tmp_path, extract, read):
    asked(tmp_path / "memory.json", extract)
    file = extract / "INDEX.csv"
    before = file.stat()
    file.write_text("LocalPatientID\n2\n", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    asked(tmp_path / "memory.json", extract)
    assert read == [extract] * 2


def test_a_file_that_is_added_or_goes_is_noticed(tmp_path, extract, read):
    asked(tmp_path / "memory.json", extract)
    (extract / "INDEX2.csv").write_text("LocalPatientID\n3\n", encoding="utf-8")
    asked(tmp_path / "memory.json", extract)
    (extract / "INDEX2.csv").unlink()
    asked(tmp_path / "memory.json", extract)
    assert read == [extract] * 3


def test_a_file_that_has_only_just_changed_is_not_trusted(tmp_path, extract, read, monkeypatch):
    monkeypatch.setattr(fingerprints, "SETTLED_SECONDS", 3600.0)
    asked(tmp_path / "memory.json", extract)
    asked(tmp_path / "memory.json", extract)
    assert read == [extract] * 2


def test_a_damaged_memory_is_no_memory(tmp_path, extract, read):
    (tmp_path / "memory.json").write_text("{", encoding="utf-8")
    asked(tmp_path / "memory.json", extract)
    asked(tmp_path / "memory.json", extract)
    assert read == [extract]
