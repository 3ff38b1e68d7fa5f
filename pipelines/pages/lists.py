"""A team's list, as a page and as a spreadsheet, and the page that leads to every team's list."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from models.ranking import in_words
from models.sections import HIGH, LEAVING, LISTED, NEWLY, POORLY, RISING
from pipelines.pages import words
from pipelines.pages.others import Other
from pipelines.pages.people import Person
from pipelines.pages.render import render
from pipelines.pages.stamp import Stamp
from pipelines.pages.strip import MARKS
from pipelines.pages.teams import Team

CSV_COLUMNS = (
    "rank",
    "nhs_number",
    "name",
    "risk",
    "risk_in_words",
    "change",
    "reason_1",
    "reason_2",
    "reason_3",
    "last_seen",
    "days_on_caseload",
    "as_of",
    "data_as_of",
    "model_version",
    "also_with",
    "age",
    "previous_risk",
    "days_on_list",
    "last_seen_by",
    "section",
    "in_the_hands_of",
)
FORM_WORDS = {
    "list.xlsx": "Open this list as a workbook",
    "list.pdf": "Open this list for printing",
    "list.fhir.json": "This list as FHIR",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet would take for the start of a formula, full-width forms included."""


@dataclass(frozen=True)
class Board:
    """What a page has on a board that answers it, and not in a file: markup `above` all else, `beside` each person and,
    on the person's own page, what the team answered `before`; and where that page is. All but the first by person_id.
    """

    above: Markup = Markup("")
    beside: Mapping[int, Markup] = field(default_factory=dict)
    before: Mapping[int, Markup] = field(default_factory=dict)
    pages: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A section of a list as the template reads it; without a title where the ranking tells of no sections."""

    key: str
    people: tuple[Any, ...]
    title: str = ""
    says: str = ""
    heading: str = ""


SAYS = {
    RISING: "Not on the last list, or with a risk that has risen by a quarter or more since.",
    HIGH: "On the last list too, and still among the highest.",
    NEWLY: "Home from hospital, or referred to this team, in the last few days. A risk that has risen since is above.",
    LEAVING: "On the last list and not on this one. Nothing is asked of you here.",
    POORLY: "Not listed. Little has been recorded of them lately, so their risk may be higher than it looks.",
}
HEADINGS = {LEAVING: "Why not on this list", POORLY: "What is known"}


def csv_text(people: Iterable[Person], stamp: Stamp) -> str:
    """The list as CSV (RFC 4180): a byte order mark, so that Excel reads it as UTF-8, and CRLF line ends."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_harmless(cell) for cell in _cells(person, stamp)] for person in people)
    return "\ufeff" + text.getvalue()


def list_page(
    team: Team,
    people: Sequence[Person],
    stamp: Stamp,
    board: Board | None = None,
    others: Sequence[Other] = (),
    pages: Mapping[int, str] | None = None,
    files: Iterable[str] = (),
) -> str:
    """The page a team reads at 08:00, on a tablet or on paper; or on a board.

    others: who left the list, and who is poorly observed. pages: where each person's own page is, by person_id. files:
    the list's other forms, which lie beside the page.
    """
    footer = f"{team.name}, {stamp.as_of_words}, data to {stamp.data_words}, model {stamp.model_version}"
    return render(
        "list.html",
        footer=footer,
        simulated=stamp.simulated,
        sends=board is not None,
        board=board or Board(),
        team=team,
        ours="these teams" if team.members else "this team",
        people=people,
        parted=parted(people),
        others=_beside(others),
        pages=(board.pages if board else pages) or {},
        stamp=stamp,
        files=[(name, FORM_WORDS[name]) for name in files],
        purpose=words.PURPOSE,
        not_for=words.NOT_FOR,
        bands=words.BAND_WORDS,
        marks=list(MARKS.items()),
        excluded=[(reason, count) for reason, count in team.excluded if count],
    )


def parted(people: Sequence[Person]) -> list[Part]:
    """The sections that hold somebody; one without a title where nobody's section is known."""
    if not all(person.section for person in people):
        return [Part("", tuple(people))]
    of = {key: tuple(person for person in people if person.section == key) for key in LISTED}
    return [Part(key, found, words.SECTIONS[key], SAYS[key]) for key, found in of.items() if found]


def _beside(others: Sequence[Other]) -> list[Part]:
    of = {key: tuple(other for other in others if other.section == key) for key in HEADINGS}
    return [Part(key, found, words.SECTIONS[key], SAYS[key], HEADINGS[key]) for key, found in of.items() if found]


def held_page(team: Team, stamp: Stamp) -> str:
    """What stands where a team's list is held back and there is no earlier one; the stamp's notes say why."""
    footer = f"{team.name}, {stamp.as_of_words}, no list"
    return render("held.html", footer=footer, simulated=stamp.simulated, team=team, stamp=stamp)


def index_page(
    lists: Mapping[Team, Sequence[Person]],
    stamp: Stamp,
    unlisted: Mapping[str, int | str] | None = None,
    withheld: Mapping[str, str] | None = None,
) -> str:
    """Every team of the day: counts, the highest risk, who was not considered, and who (`unlisted`, people
    by reason) no team's list can show. withheld: by team_id, what to say of a list that is held back. It names no
    person."""
    reasons = list(dict.fromkeys(reason for team in lists for reason, _ in team.excluded))
    rows = [(team, len(people), _highest(team, people), dict(team.excluded)) for team, people in lists.items()]
    footer = f"{stamp.trust}, all teams, {stamp.as_of_words}, model {stamp.model_version}"
    return render(
        "index.html",
        footer=footer,
        simulated=stamp.simulated,
        rows=rows,
        reasons=reasons,
        withheld=withheld or {},
        stamp=stamp,
        unlisted=[(reason, _counted(count)) for reason, count in sorted((unlisted or {}).items()) if count],
    )


def _counted(count: int | str) -> str:
    return count if isinstance(count, str) else f"{count:,}"


def _highest(team: Team, people: Sequence[Person]) -> str:
    if team.begins:
        return f"lists begin on {team.begins}"
    return in_words(max(person.risk for person in people)) if people else "nobody listed"


def _cells(person: Person, stamp: Stamp) -> tuple[str, ...]:
    reasons = (*person.reasons, "", "", "")[:3]
    return (
        str(person.rank),
        person.nhs_number,
        person.name,
        f"{person.risk:.4f}",
        person.risk_in_words,
        person.change,
        *reasons,
        person.last_seen or stamp.not_seen,
        _whole(person.days_on_caseload),
        stamp.as_of_words,
        stamp.data_words,
        stamp.model_version,
        ", ".join(person.also_with),
        person.age,
        f"{person.previous_risk:.4f}" if math.isfinite(person.previous_risk) else "",
        _whole(person.days_on_list),
        person.last_seen_by.replace("_", " "),
        person.section_words,
        ", ".join(person.in_hands),
    )


def _whole(number: float) -> str:
    return f"{math.floor(number)}" if math.isfinite(number) else ""


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(FORMULA) else cell
