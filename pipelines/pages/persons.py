"""What is told beside the lists: a page for each person listed, and who left a list or is poorly observed."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.pages import words
from pipelines.pages.courses import WIDTH, Course, courses
from pipelines.pages.lists import Board
from pipelines.pages.others import Other, others
from pipelines.pages.people import Person
from pipelines.pages.render import render
from pipelines.pages.stamp import Stamp
from pipelines.pages.strip import MARKS
from pipelines.pages.teams import Team

FOLDER = "people"
OPEN_FACTS = 20
"""Contacts shown at once; the earlier ones of the 90 days can be opened."""
Places = Mapping[int, npt.NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class ToldBeside:
    """others: by team, who is told of on its page without being listed. happened and pulled: as `courses` takes them;
    None where nothing is told."""

    stamp: Stamp
    others: Mapping[str, tuple[Other, ...]] = field(default_factory=dict)
    happened: pd.DataFrame | None = None
    pulled: pd.DataFrame | None = None

    def of(self, team: Team, listed: Iterable[Person]) -> "ToldBeside":
        """The same of one team's list alone."""
        mine = {team.team_id: self.others.get(team.team_id, ())}
        return ToldBeside(self.stamp, mine, *(self._rows(one.person_id for one in listed) or ()))

    @cached_property
    def people(self) -> frozenset[int]:
        """Who has a page."""
        return frozenset() if self.pulled is None else frozenset(self.pulled["person_id"].tolist())

    def courses(self, people: Iterable[int]) -> dict[int, Course]:
        """Of those of some people who have a page, by person_id."""
        rows = self._rows(self.people.intersection(people))
        return courses(*rows, self.stamp) if rows else {}

    def _rows(self, people: Iterable[int]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """`happened` and `pulled` of some people, in their order."""
        if self.happened is None or self.pulled is None:
            return None
        mine, (happened, pulled) = set(people), self._places
        return self.happened.take(_places_of(mine, happened)), self.pulled.take(_places_of(mine, pulled))

    @cached_property
    def _places(self) -> tuple[Any, ...]:
        """Of each person's rows: to look for every team's people anew would go through all rows for each."""
        told = (self.happened, self.pulled)
        return tuple(frame.groupby("person_id").indices for frame in told if frame is not None)


def _places_of(people: set[int], places: Places) -> npt.NDArray[np.int64]:
    found = [places[person] for person in people if person in places]
    return np.sort(np.concatenate([np.empty(0, np.int64), *found]))


def told_beside(
    ranked: pd.DataFrame, beside: Mapping[str, pd.DataFrame] | None, identities: pd.DataFrame, stamp: Stamp
) -> ToldBeside:
    """beside: as `daily.Ranking` and `Run.beside` have it; nothing is told where there is none."""
    if not beside:
        return ToldBeside(stamp)
    told = others(ranked, beside["leaving"], identities, stamp)
    return ToldBeside(stamp, told, beside["happened"], beside["pulled"])


def person_pages(team: Team, listed: Sequence[Person], told: ToldBeside, stamp: Stamp) -> dict[int, tuple[str, str]]:
    """For each person listed whose course is known, where the page lies beside the list, and the page."""
    known = told.courses(one.person_id for one in listed)
    return {
        one.person_id: (page_path(one, team, stamp), person_page(team, one, known[one.person_id], stamp))
        for one in listed
        if one.person_id in known
    }


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
