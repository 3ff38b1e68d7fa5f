"""What people read: pure functions from frames to text. Nothing here writes a file or knows what time it is."""

from pipelines.pages.courses import Course, courses
from pipelines.pages.lists import Board, csv_text, held_page, index_page, list_page
from pipelines.pages.others import Other, others
from pipelines.pages.people import Person, people, people_by_team
from pipelines.pages.persons import ToldBeside, page_path, person_page, person_pages, told_beside
from pipelines.pages.render import part, render, with_notes, without_forms
from pipelines.pages.reports import Section, quality_page, report_page
from pipelines.pages.stamp import Stamp
from pipelines.pages.teams import Team, team_views

__all__ = [
    "Board",
    "Other",
    "Course",
    "Other",
    "Person",
    "Section",
    "Stamp",
    "Team",
    "ToldBeside",
    "courses",
    "csv_text",
    "held_page",
    "index_page",
    "list_page",
    "others",
    "page_path",
    "part",
    "people",
    "people_by_team",
    "person_page",
    "person_pages",
    "quality_page",
    "render",
    "report_page",
    "team_views",
    "told_beside",
    "with_notes",
    "without_forms",
]
