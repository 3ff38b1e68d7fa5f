"""A whole day in every form: the same people in each, and nobody's identity where it must not be."""

import csv
import io
import json
from contextlib import closing
from datetime import timedelta

import pandas as pd
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from sqlalchemy import create_engine

from features.errors import StaleFeedError
from pipelines import steps
from pipelines.forms import FILES
from pipelines.service import Service


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture
def all_forms(copied):
    more = {"files": tuple(FILES), "database": f"sqlite:///{copied.workspace / 'lists.sqlite'}", "commissioner": True}
    return copied.model_copy(update={"forms": copied.forms.model_copy(update=more)})


def spreadsheet(folder):
    return list(csv.DictReader(io.StringIO((folder / "list.csv").read_bytes().decode("utf-8-sig"), newline="")))


def read(url, sql):
    engine = create_engine(url)
    with closing(engine.raw_connection()) as connection:
        found = pd.read_sql(sql, connection.driver_connection)
    engine.dispose()
    return found


def test_every_form_holds_the_same_people(all_forms):
    as_of = steps.as_of_day(all_forms, steps.simulated_last_day(all_forms))
    folder = steps.daily(all_forms, as_of, as_of, quiet).published.folder
    shown = read(all_forms.forms.database, "select * from lists")
    teams = [path.parent for path in folder.glob("*/list.csv")]
    assert len(shown) == sum(len(spreadsheet(team)) for team in teams) > 20
    for team in teams:
        numbers = [row["nhs_number"] for row in spreadsheet(team)]
        sheet = load_workbook(team / "list.xlsx")["List"]
        assert [sheet.cell(row, 2).value or "" for row in range(6, 6 + len(numbers))] == numbers
        entries = json.loads((team / "list.fhir.json").read_bytes())["entry"][1:]
        values = [entry["resource"]["subject"]["identifier"]["value"] for entry in entries]
        assert [value for value, number in zip(values, numbers, strict=True) if number] == [
            number.replace(" ", "") for number in numbers if number
        ]
        printed = "".join(page.extract_text() for page in PdfReader(team / "list.pdf").pages)
        assert all(number in " ".join(printed.split()) for number in numbers)
    names = set(shown["name"].dropna()) | set(shown["nhs_number"].dropna())
    told = "".join(path.read_text("utf-8") for path in (all_forms.workspace / "commissioner").rglob("*.*"))
    assert not [name for name in names if name in told]
    assert {row["team_id"] for row in csv.DictReader(told.splitlines()) if row["team_id"]}
    assert steps.replay(all_forms, as_of.date(), as_of.date(), quiet)[0].difference == ""


def test_a_day_that_cannot_be_made_marks_the_table_too(all_forms):
    as_of = steps.as_of_day(all_forms, steps.simulated_last_day(all_forms))
    steps.daily(all_forms, as_of, as_of, quiet)
    late = as_of + timedelta(days=3)
    with pytest.raises(StaleFeedError):
        steps.daily(all_forms, late, late, quiet)
    state = read(all_forms.forms.database, "select * from list_state")
    assert state["day"].tolist() == [as_of.date().isoformat()]
    assert "is late" in state["notes"][0]
    assert Service(all_forms).workspace.commissioner.is_dir()
