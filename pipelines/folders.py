"""What a team's folder of a publication holds: its page, spreadsheet, other forms, and a page for each person listed.

Teams are independent of one another, so that the folders of many people are shared out over processes of this machine.
Never over a cluster: these files name people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.config import RunConfig
from pipelines.forms import forms
from pipelines.mapping import map_buckets, opened
from pipelines.pages import Person, Stamp, Team, csv_text, list_page
from pipelines.pages.persons import ToldBeside, person_pages
from pipelines.withheld import PAGE_NAME

CSV_NAME = "list.csv"
SHARED_FROM = 300
"""With fewer people listed, the folders are made sooner than other processes have started."""


@dataclass(frozen=True)
class FolderOf:
    """A team whose folder is to be made. told: of its people alone. other_forms: some of `forms.FILES`."""

    team: Team
    listed: tuple[Person, ...]
    stamp: Stamp
    told: ToldBeside
    other_forms: tuple[str, ...]


def folders(wanted: Sequence[FolderOf], workers: int) -> list[dict[str, bytes]]:
    """The files of each team's folder by their paths in it, made by so many processes where that is worth while."""
    if workers == 1 or sum(len(one.listed) for one in wanted) < SHARED_FROM:
        return [files_of(one) for one in wanted]
    with opened(RunConfig(by="processes", workers=workers)) as over:
        return map_buckets(over, files_of, wanted)


def files_of(wanted: FolderOf) -> dict[str, bytes]:
    """The files of one team's folder."""
    team, listed, stamp, told = wanted.team, wanted.listed, wanted.stamp, wanted.told
    makers = forms(wanted.other_forms)
    pages = person_pages(team, listed, told, stamp)
    links = {person: path for person, (path, _) in pages.items()}
    page = list_page(team, listed, stamp, None, told.others.get(team.team_id, ()), links, makers)
    texts = {CSV_NAME: csv_text(listed, stamp), PAGE_NAME: page, **dict(pages.values())}
    made = {name: make(team, listed, stamp) for name, make in makers.items()}
    return {name: text.encode("utf-8") for name, text in texts.items()} | made
