"""The other forms of a list: they say what the page says, hold no more, cannot be made to act, and never look fresh."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from fhir.resources.R4B.bundle import Bundle
from openpyxl import load_workbook
from pypdf import PdfReader
from sqlalchemy import create_engine

from features.errors import StorageError
from pipelines.forms import FILES, forms
from pipelines.forms.fhir import NHS_NUMBER
from pipelines.listing_table import ListingTable
from pipelines.pages import Person, Stamp, Team
from pipelines.publish import LATEST, MANIFEST, Published, hold, publish

AS_OF = datetime(2026, 3, 24, 6, 0, tzinfo=UTC)
STAMP = Stamp(
    as_of=AS_OF,
    data_as_of=AS_OF - timedelta(hours=4),
    model_version="champion 14",
    trust="Invented Trust",
    simulated=True,
    zone="Europe/London",
    notes=("The hospital feed is late.",),
)
TEAM = Team("north", "North & nursing", 412, 21, (("Already in hospital", 9),))
HOSTILE = ('=HYPERLINK("http://x")', "@SUM(A1)", '#import "x"; $x$ *bold*', "<script>alert(1)</script>", "\\ _ ` {{ }}")


def person(rank: int, **changes: object) -> Person:
    usual = {
        "person_id": 70 + rank,
        "rank": rank,
        "nhs_number": "999 000 0018",
        "name": "OKAFOR, Ngozi",
        "born": "01-Jan-1940",
        "age": "86",
        "sex": "female",
        "risk": 0.125,
        "risk_in_words": "about 1 in 8",
        "band": 4,
        "change": "rising",
        "previous_risk": 0.1,
        "days_on_list": 2.0,
        "reasons": ("3 unscheduled visits in 7 days", "no observations for 41 days"),
        "last_seen": "23-Mar-2026 14:30",
        "last_seen_ago": "yesterday",
        "days_on_caseload": 43.0,
        "also_with": ("South nursing",),
        "last_seen_by": "telephone",
        "birth_date": date(1940, 1, 1),
        "last_seen_at": datetime(2026, 3, 23, 14, 30, tzinfo=UTC),
    }
    return Person(**(usual | changes))  # type: ignore[arg-type]


def nobody_knows(rank: int) -> Person:
    """Somebody of whom little is held."""
    nothing = {"nhs_number": "", "born": "", "age": "", "sex": "", "reasons": (), "last_seen": "", "also_with": ()}
    unknown = {"previous_risk": float("nan"), "days_on_caseload": float("nan"), "birth_date": None}
    return person(rank, name="Name not held", change="new", last_seen_at=None, last_seen_by="", **nothing, **unknown)


PEOPLE = [person(1), nobody_knows(2), *(person(n, name=text, reasons=(text,)) for n, text in enumerate(HOSTILE, 3))]


def made(name: str, people: list[Person] = PEOPLE, stamp: Stamp = STAMP) -> bytes:
    return forms([name])[FILES[name]](TEAM, people, stamp)


@pytest.mark.parametrize("name", FILES)
def test_the_same_list_gives_the_same_bytes(name: str) -> None:
    assert made(name) == made(name)
    assert made(name) != made(name, PEOPLE[:-1])
    assert made(name, [])


def test_a_workbook_is_typed_and_nothing_in_it_is_a_formula() -> None:
    book = load_workbook(io.BytesIO(made("xlsx")))
    sheet = book["List"]
    headings = [cell.value for cell in sheet[5]]
    first = dict(zip(headings, sheet[6], strict=True))
    assert [sheet.cell(row, 1).value for row in range(6, 6 + len(PEOPLE))] == [one.rank for one in PEOPLE]
    assert (first["NHS number"].value, first["NHS number"].data_type) == ("999 000 0018", "s")
    assert (first["Risk in nine days"].value, first["Risk in nine days"].number_format) == (0.125, "0.0%")
    assert first["Born"].value == datetime(1940, 1, 1)  # noqa: DTZ001
    assert first["Last seen"].value == datetime(2026, 3, 23, 14, 30)  # noqa: DTZ001
    assert dict(zip(headings, sheet[7], strict=True))["Risk before"].value is None
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    assert not any(cell.hyperlink for row in sheet.iter_rows() for cell in row)
    names = [dict(zip(headings, sheet[row], strict=True))["Name"].value for row in range(8, 8 + len(HOSTILE))]
    assert names == list(HOSTILE)


def test_a_workbook_can_be_filtered_and_printed() -> None:
    book = load_workbook(io.BytesIO(made("xlsx")))
    sheet = book["List"]
    assert sheet.auto_filter.ref == f"A5:T{5 + len(PEOPLE)}"
    assert sheet.freeze_panes == "D6"
    assert (sheet.print_title_rows, sheet.page_setup.orientation, sheet.page_setup.paperSize) == (
        "$5:$5",
        "landscape",
        9,
    )
    assert sheet.oddFooter.right.text == "Page &P of &N"
    assert "North && nursing" in sheet.oddFooter.left.text
    assert sheet["A3"].value == "SIMULATED PEOPLE: nobody on this list exists. The hospital feed is late."
    about = {row[0].value: row[1].value for row in book["About this list"].iter_rows()}
    assert about["Model"] == "champion 14"
    assert about["Out of date from"] == "Wednesday 25-Mar-2026, 08:00"
    assert about["Not considered: already in hospital"] == "9"


def test_a_moment_in_summer_time_is_on_the_services_clock() -> None:
    seen = person(1, last_seen_at=datetime(2026, 7, 1, 14, 30, tzinfo=UTC))
    sheet = load_workbook(io.BytesIO(made("xlsx", [seen])))["List"]
    assert sheet["O6"].value == datetime(2026, 7, 1, 15, 30)  # noqa: DTZ001


def test_a_document_shows_everybody_and_counts_its_pages() -> None:
    people = [person(n, name=f"PERSON{n}, Ada") for n in range(1, 31)]
    reader = PdfReader(io.BytesIO(made("pdf", people)))
    pages = [" ".join(page.extract_text().split()) for page in reader.pages]
    assert len(pages) > 2
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in text
        assert "SIMULATED PEOPLE" in text
        assert "24-Mar-2026 06:00" in text
    whole = " ".join(pages)
    assert all(whole.count(f"PERSON{n}, Ada") == 1 for n in range(1, 31))
    assert "The hospital feed is late." in whole
    assert "People who are not listed may still be at risk" in whole
    assert reader.metadata is not None
    assert reader.metadata.title == "North & nursing: list for Tuesday 24-Mar-2026"


def test_text_in_a_document_is_never_markup() -> None:
    text = " ".join(PdfReader(io.BytesIO(made("pdf"))).pages[0].extract_text().split())
    for hostile in HOSTILE:
        assert hostile in text


def test_fhir_says_who_how_likely_when_and_why() -> None:
    told = json.loads(made("fhir"))
    Bundle.model_validate(told)
    device, first, unknown, *_ = (entry["resource"] for entry in told["entry"])
    assert [entry["resource"]["resourceType"] for entry in told["entry"][1:]] == ["RiskAssessment"] * len(PEOPLE)
    assert first["subject"]["identifier"] == {"system": NHS_NUMBER, "value": "9990000018"}
    assert first["performer"]["reference"] == f"urn:uuid:{device['id']}"
    (prediction,) = first["prediction"]
    assert prediction["probabilityDecimal"] == 0.125
    assert prediction["whenPeriod"] == {"start": "2026-03-24T06:00:00+00:00", "end": "2026-04-02T06:00:00+01:00"}, (
        "nine days over the night on which clocks go forward"
    )
    assert prediction["rationale"].startswith("Is associated with: 3 unscheduled visits")
    assert first["occurrenceDateTime"] == "2026-03-24T02:00:00+00:00"
    assert "The hospital feed is late." in [note["text"] for note in first["note"]]
    assert unknown["subject"]["identifier"]["value"] == f"{72:016x}"
    assert "rationale" not in unknown["prediction"][0]
    assert len({entry["fullUrl"] for entry in told["entry"]}) == len(told["entry"])
    assert "OKAFOR" not in json.dumps(told), "names are not sent: the number says who it is"


RANKED = pd.DataFrame(
    {
        "team_id": ["north", "north"],
        "person_id": [1, 2],
        "as_of": [pd.Timestamp(AS_OF)] * 2,
        "rank": [1, 2],
        "risk": [0.25, 0.1],
        "listed": True,
        "change": ["new", "rising"],
        "previous_risk": [float("nan"), 0.05],
        "days_on_list": [1, 4],
        "also_with": "",
        "days_on_caseload": 40.0,
        "last_seen": pd.to_datetime([AS_OF - timedelta(days=2), None], utc=True),
        "last_seen_by": ["telephone", None],
        "reason_1": "3 unscheduled visits in 7 days",
        "reason_2": "",
        "reason_3": "",
        "age": [81.9, 70],
        "sex": "female",
    }
)
IDENTITIES = pd.DataFrame(
    {
        "person_id": [1, 2],
        "nhs_number": ["9990000018", None],
        "family_name": ["Okafor", "Lee"],
        "given_name": ["Ada", "Ben"],
        "birth_date": [date(1944, 8, 2), None],
    }
)
TEAMS = pd.DataFrame({"team_id": ["north"], "name": ["North"], "caseload": [40], "capacity": [2]})


def run(folder: Path, days: int = 0) -> Published:
    as_of = AS_OF + timedelta(days=days)
    stamp = Stamp(as_of, as_of, "champion 14", "Invented Trust", True, "Europe/London")
    ranked = RANKED.assign(as_of=pd.Timestamp(as_of))
    return publish(ranked, IDENTITIES, TEAMS, stamp, folder, other_forms=tuple(FILES))


def test_forms_are_published_with_the_page_that_leads_to_them(tmp_path: Path) -> None:
    folder = run(tmp_path).folder / "north"
    page = (folder / "list.html").read_text("utf-8")
    for name in FILES.values():
        assert f'href="{name}"' in page
        assert (folder / name).is_file()
    (folder / "list.pdf").chmod(0o600)
    assert not run(tmp_path).changed


def test_marked_lists_leave_out_the_forms_that_cannot_say_so(tmp_path: Path) -> None:
    run(tmp_path)
    assert hold(tmp_path, "The lists for 25-Mar-2026 could not be made.", "2026-03-25")
    latest = tmp_path / LATEST / "north"
    assert sorted(path.name for path in latest.iterdir()) == ["list.csv", "list.html"]
    assert not [name for name in FILES.values() if name in (latest / "list.html").read_text("utf-8")]
    assert (tmp_path / "2026-03-24" / "north" / "list.pdf").is_file()


def shown(url: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return pd.read_sql("select * from lists order by rank", connection), pd.read_sql(
                "select * from list_state", connection
            )
    finally:
        engine.dispose()


def test_the_newest_lists_stand_in_a_table(tmp_path: Path) -> None:
    table = ListingTable(url := f"sqlite:///{tmp_path}/lists.sqlite")
    later, earlier = run(tmp_path / "lists", 1).folder, run(tmp_path / "lists").folder
    for folder in (earlier, later, later, earlier):
        table.show(folder)
    lists, state = shown(url)
    assert state["day"].tolist() == ["2026-03-25"], "an earlier day must not take the place of a later one"
    assert state["listed"].tolist() == [2]
    assert lists["name"].tolist() == ["OKAFOR, Ada", "LEE, Ben"]
    assert lists["risk"].tolist() == [0.25, 0.1]
    assert lists["days_on_list"].tolist() == [1, 4]
    assert lists["nhs_number"].fillna("none").tolist() == ["999 000 0018", "none"]
    assert set(lists["valid_until"]) == set(state["valid_until"])


def test_the_table_says_that_its_lists_are_old(tmp_path: Path) -> None:
    table = ListingTable(url := f"sqlite:///{tmp_path}/lists.sqlite")
    table.show(run(tmp_path / "lists").folder)
    hold(tmp_path / "lists", "The lists for 25-Mar-2026 could not be made.", "2026-03-25")
    table.mark(tmp_path / "lists" / LATEST)
    assert shown(url)[1]["notes"].tolist() == ["The lists for 25-Mar-2026 could not be made."]


def test_without_a_database_nothing_is_asked_of_one(tmp_path: Path) -> None:
    ListingTable("").show(tmp_path / "not there")
    ListingTable("").mark(tmp_path / "not there")


def test_a_database_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    folder = run(tmp_path).folder
    assert (folder / MANIFEST).is_file()
    with pytest.raises(StorageError, match="The lists stand") as told:
        ListingTable(f"sqlite:///{tmp_path}/no/such/secret/lists.sqlite").show(folder)
    assert "secret" not in str(told.value)
