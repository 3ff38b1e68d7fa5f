"""A team's list, as a page and as a spreadsheet, and the page that leads to every team's list."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from models.ranking import in_words
from pipelines.pages import words
from pipelines.pages.people import Person
from pipelines.pages.render import render
from pipelines.pages.stamp import Stamp
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
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet would take for the start of a formula, full-width forms included."""


@dataclass(frozen=True)
class Board:
    """What a page has on a board that answers it, and not in a file: markup `above` all else, and `beside` each person,
    by person_id."""

    above: Markup = Markup("")
    beside: Mapping[int, Markup] = field(default_factory=dict)


def csv_text(people: Iterable[Person], stamp: Stamp) -> str:
    """The list as CSV (RFC 4180): a byte order mark, so that Excel reads it as UTF-8, and CRLF line ends."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_harmless(cell) for cell in _cells(person, stamp)] for person in people)
    return "\ufeff" + text.getvalue()


def list_page(team: Team, people: Sequence[Person], stamp: Stamp, board: Board | None = None) -> str:
    """The page a team reads at 08:00, on a tablet or on paper; or on a board."""
    footer = f"{team.name}, {stamp.as_of_words}, data to {stamp.data_words}, model {stamp.model_version}"
    return render(
        "list.html",
        footer=footer,
        simulated=stamp.simulated,
        sends=board is not None,
        board=board or Board(),
        team=team,
        people=people,
        stamp=stamp,
        bands=words.BAND_WORDS,
        excluded=[(reason, count) for reason, count in team.excluded if count],
    )


def index_page(
    lists: Mapping[Team, Sequence[Person]], stamp: Stamp, unlisted: Mapping[str, int | str] | None = None
) -> str:
    """Every team of the day: counts, the highest risk, who was not considered, and who (`unlisted`, people
    by reason) no team's list can show. It names no person."""
    reasons = list(dict.fromkeys(reason for team in lists for reason, _ in team.excluded))
    rows = [(team, len(people), _highest(team, people), dict(team.excluded)) for team, people in lists.items()]
    footer = f"{stamp.trust}, all teams, {stamp.as_of_words}, model {stamp.model_version}"
    return render(
        "index.html",
        footer=footer,
        simulated=stamp.simulated,
        rows=rows,
        reasons=reasons,
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
    )


def _whole(number: float) -> str:
    return f"{math.floor(number)}" if math.isfinite(number) else ""


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(FORMULA) else cell
