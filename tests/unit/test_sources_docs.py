"""The worked example in docs/sources.md does what the page says it does."""

import re
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path

import pytest

from features.sources.mapping import Cell, Collapse, Lookup, Mapping, RawTable, Receipt, Spec, load_mapping
from features.sources.read import read_batch

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")


def ids(identities: Sequence[str]) -> list[int]:
    return [int(md5(name.encode(), usedforsecurity=False).hexdigest()[:15], 16) for name in identities]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_worked_example(tmp_path: Path) -> None:
    folder = tmp_path / "2026-01-07"
    folder.mkdir()
    for name, text in zip(("visits.csv", "readings.csv"), blocks("csv"), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    mapping = load_mapping(blocks("yaml")[0], "north.yaml")
    batch = read_batch(folder, mapping, source="north", pseudonym=ids, zone="Europe/London", known_from="receipt")
    contacts = batch.tables["contacts"].to_pandas().sort_values("occurred_at")
    assert contacts["status"].tolist() == ["attended", "no_access", "attended"]
    assert contacts["duration_minutes"].isna().tolist() == [False, True, False]
    assert contacts["person_id"].tolist() == ids(["nhs:9990000018", "nhs:9990000018", "local:NORTH:500777"])
    weights = [row["value"] for row in batch.tables["observations"].to_pylist() if row["code"] == "weight"]
    assert sorted(weights) == [71.5, pytest.approx(72.57, abs=0.01)]
    lost = batch.account[batch.account["outcome"] == "rejected"]
    assert dict(zip(lost["file"], lost["reason"], strict=True)) == {
        "visits.csv": "required value missing: occurred_at",
        "readings.csv": "parent not in this submission",
    }
    assert sorted(batch.identities["local_id"].to_pylist()) == ["NORTH:500123", "NORTH:500777"]


@pytest.mark.parametrize(
    "part", [Mapping, RawTable, Receipt, Lookup, Collapse, Spec, Cell], ids=lambda part: part.__name__
)
def test_every_word_a_mapping_may_use_is_on_the_page(part: type[Mapping]) -> None:
    words = {field.alias or name for name, field in part.model_fields.items()} - {"name", "about"}
    assert {word for word in words if f"`{word}" not in PAGE and f"{word}`" not in PAGE} == set()
