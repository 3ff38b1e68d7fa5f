"""What people read: pure functions from frames to text. Nothing here writes a file or knows what time it is."""

from pipelines.pages.lists import Board, csv_text, index_page, list_page
from pipelines.pages.people import Person, people
from pipelines.pages.render import part, render, with_notes
from pipelines.pages.reports import Section, quality_page, report_page
from pipelines.pages.stamp import Stamp
from pipelines.pages.teams import Team, team_views

__all__ = [
    "Board",
    "Person",
    "Section",
    "Stamp",
    "Team",
    "csv_text",
    "index_page",
    "list_page",
    "part",
    "people",
    "quality_page",
    "render",
    "report_page",
    "team_views",
    "with_notes",
]
