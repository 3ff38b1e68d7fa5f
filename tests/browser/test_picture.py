"""The picture of a list in docs/: drawn from simulated people only."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "picture.py"


@pytest.fixture(scope="module")
def picture() -> ModuleType:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the dev extra)")
    spec = importlib.util.spec_from_file_location("picture", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_real_people_are_never_drawn(
    picture: ModuleType, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(picture, "draw", lambda *_: pytest.fail("a real list was drawn"))
    page = tmp_path / "list.html"
    text = (published / "DN-North" / "list.html").read_text("utf-8")
    page.write_text(text.replace("SIMULATED PEOPLE", ""), "utf-8")
    assert picture.main([str(page)]) == 1
    assert "needs a list of simulated people" in capsys.readouterr().err


def test_the_named_list_is_drawn(picture: ModuleType, published: Path, monkeypatch: Any) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(picture, "draw", lambda page, target, chromium: drawn.extend((page, target)))
    monkeypatch.setattr(picture.shutil, "which", lambda _: "/usr/bin/chromium")
    page = published / "DN-North" / "list.html"
    assert picture.main([str(page)]) == 0
    assert drawn[:2] == [page, SCRIPT.parent / "list.png"]
    assert drawn[3:] == [SCRIPT.parent / "person.png"]
    assert drawn[2].parent == page.parent / "people"
