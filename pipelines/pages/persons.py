"""A person's own page, beside a team's list."""

import hashlib

from pipelines.pages import words
from pipelines.pages.courses import WIDTH, Course
from pipelines.pages.lists import Board
from pipelines.pages.people import Person
from pipelines.pages.render import render
from pipelines.pages.stamp import Stamp
from pipelines.pages.strip import MARKS
from pipelines.pages.teams import Team

FOLDER = "people"
OPEN_FACTS = 20
"""Contacts shown at once; the earlier ones of the 90 days can be opened."""


def page_path(person: Person, team: Team, stamp: Stamp) -> str:
    """Where the page lies beside the team's list: a name that tells nothing of the person and is another each day."""
    told = f"{person.person_id} {team.team_id} {stamp.as_of.isoformat()}"
    return f"{FOLDER}/{hashlib.sha256(told.encode()).hexdigest()[:24]}.html"


def person_page(team: Team, person: Person, course: Course, stamp: Stamp, board: Board | None = None) -> str:
    """What was known of a listed person at the cut, and of when each fact was known; on a board, its answers too."""
    footer = f"{team.name}, {stamp.as_of_words}, data to {stamp.data_words}, model {stamp.model_version}"
    return render(
        "person.html",
        footer=footer,
        simulated=stamp.simulated,
        sends=board is not None,
        board=board or Board(),
        team=team,
        ours="these teams" if team.members else "this team",
        back="" if board else "../list.html",
        person=person,
        course=course,
        stamp=stamp,
        width=WIDTH,
        open_facts=OPEN_FACTS,
        marks=list(MARKS.items()),
        days=[words.ago(back) for back in range(len(course.days))],
    )
