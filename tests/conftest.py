"""What tests share, and the rule that every test has one kind."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from drawn import london, parsed, rows_of

from features.history import empty_history
from features.schema import TABLES, history_schema

KINDS = {"unit", "spec", "generative", "oracle", "golden", "flows", "browser"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = item.path.relative_to(Path(__file__).parent).parts[0]
        assert kind in KINDS, f"{item.nodeid} must lie in one of tests/{{{','.join(sorted(KINDS))}}}"


@pytest.fixture
def history() -> Callable[..., dict[str, pa.Table]]:
    """history(contacts="person_id | occurred_at | ...") -> the six tables; what a table leaves out is null, row_id is
    the line's number and known_from 2000-01-01."""

    def make(**drawn: str) -> dict[str, pa.Table]:
        tables = empty_history()
        for name, text in drawn.items():
            table = TABLES[name]
            types = {field.name: "id" for field in history_schema(table)}
            types |= {"known_from": "time", "known_to": "time"} | {c.name: c.type for c in table.columns}
            rows = []
            for number, row in enumerate(rows_of(text)):
                cells = {key: parsed(value, types[key]) for key, value in row.items()}
                rows.append({"row_id": number, "known_from": london("2000-01-01 00:00"), **cells})
            tables[name] = pa.Table.from_pylist(rows, schema=history_schema(table))
        return tables

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, named by MINUSNINE_DATA; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MINUSNINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets (MINUSNINE_DATA or {folder})")
    return folder
