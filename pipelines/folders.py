"""What a team's folder of a publication holds: its page, spreadsheet, other forms, and a page for each person listed.

Teams are independent of one another, so that the folders of many people are shared out over processes of this machine.
Never over a cluster: these files name people.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial

from features.errors import WorkersError
from pipelines.forms import FILES, MODULES, forms
from pipelines.mapping import by_processes, map_buckets, started
from pipelines.memory import let_go
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


def expect(listed: int, workers: int) -> None:
    """Start the processes of a day on which about so many people will be listed, so that they are ready in time."""
    if _worth_while(listed, workers):
        with suppress(BrokenProcessPool, OSError):  # `folders` does without them
            for _ in range(workers):
                _processes(workers).submit(forms, tuple(FILES))


def folders(wanted: Sequence[FolderOf], workers: int) -> list[dict[str, bytes]]:
    """The files of each team's folder by their paths in it, made by so many processes where that is worth while; by
    this one, which takes longer, where they do not start or live."""
    if not _worth_while(sum(len(one.listed) for one in wanted), workers):
        return [files_of(one) for one in wanted]
    let_go()
    try:
        return map_buckets(partial(by_processes, _processes(workers)), files_of, wanted)
    except (WorkersError, OSError):
        return [files_of(one) for one in wanted]
    finally:
        _processes(workers).shutdown()
        _processes.cache_clear()


def _worth_while(listed: int, workers: int) -> bool:
    return workers > 1 and listed >= SHARED_FROM


@lru_cache(maxsize=1)
def _processes(workers: int) -> ProcessPoolExecutor:
    return started(workers, (__name__, *MODULES))


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
