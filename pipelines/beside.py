"""What the pages show beside a ranking: the risk on the nine mornings before, what happened, what moved, who left.

Each of the nine mornings is worked out anew, from what was known at its own cut, with the model that ranks today: so
there is a course on a service's first day, and the same again in a replay. It is not what was published then, where
another model stood.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.build import Part, build_part
from features.catalogue import Catalogue
from features.cohort import caseload, left_out
from features.frames import rows_of
from features.labels import deaths_known
from models.bundle import Bundle
from models.explanation import Sentence, pulls
from pipelines.building import finished, index_of, looked_at, mornings_before
from pipelines.config import ServiceConfig
from pipelines.grouping import grouped
from pipelines.happenings import COLUMNS, happenings
from pipelines.mapping import Mapper, map_buckets
from pipelines.store import History

AT_ONCE = 1000
"""People, or so: with few in each bucket most of the work is to ask, so that several buckets are worked on together."""
PULLED = ["person_id", "family", "share", "said"]
Row = Mapping[Any, Any]
People = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Beside:
    """What was known, at a cut, of the people on a list or just off one.

    happened: as `happenings` gives it. mornings: person_id, days_before (1 to 9), risk; no row where the person was on
    no caseload. pulled: person_id, family, title, share and share_before (logit, today and a day ago; the latter null
    where the person was on no caseload), said and said_before. left (as `cohort.left_out`, by list) and deaths (as
    `labels.deaths_known`) are of those no longer listed. merged: pseudonyms that turned out to be someone else's.
    judged: mornings and pulled, for which the model is asked meanwhile.
    """

    happened: pd.DataFrame
    left: pd.DataFrame
    deaths: pd.DataFrame
    merged: People
    judged: Future[tuple[pd.DataFrame, pd.DataFrame]]

    @property
    def mornings(self) -> pd.DataFrame:
        return self.judged.result()[0]

    @property
    def pulled(self) -> pd.DataFrame:
        return self.judged.result()[1]


def beside(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    bundle: Bundle,
    as_of: datetime,
    people: tuple[People, People],
    of_teams: pd.DataFrame,
    today: Future[tuple[pd.DataFrame, pd.DataFrame]],
    apart: Executor,
    sentence: Sentence,
    over: Mapper,
) -> Beside:
    """people: those listed, and those no longer so. of_teams: as `Snapshot` has it. today: last of what it gives, the
    `pulls` of those listed. apart: one thread, in which the model is asked, since no booster may explain twice at the
    same time.
    """
    listed, gone = people
    work = partial(_of_buckets, history, config, catalogue, as_of, listed, gone)
    together = _together(history.buckets, len(listed) + len(gone), config.run.workers)
    parts, happened, left, deaths, merged = zip(*map_buckets(over, work, together), strict=True)
    before = finished(parts, catalogue, of_teams)
    return Beside(
        pd.concat(happened, ignore_index=True),
        pd.concat(left, ignore_index=True),
        pd.concat(deaths, ignore_index=True),
        np.concatenate(merged),
        apart.submit(_judged, bundle, before, today, as_of, config.zone, sentence, catalogue),
    )


def _judged(
    bundle: Bundle,
    before: pd.DataFrame,
    today: Future[tuple[pd.DataFrame, pd.DataFrame]],
    as_of: datetime,
    zone: str,
    sentence: Sentence,
    catalogue: Catalogue,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    yesterday = before[before["as_of"] == mornings_before(as_of, zone)[0]]
    pulled = _pulled(bundle, today.result()[-1], yesterday, sentence, catalogue)
    return _mornings(bundle, before, as_of, zone), pulled


def _together(buckets: int, people: int, workers: int) -> list[list[int]]:
    """The buckets that are worked on together, of so many people in all."""
    number = min(buckets, max(workers, ceil(people / AT_ONCE)))
    return [list(range(first, buckets, number)) for first in range(number)]


def _of_buckets(
    history: History,
    config: ServiceConfig,
    catalogue: Catalogue,
    as_of: datetime,
    listed: People,
    gone: People,
    buckets: list[int],
) -> tuple[Part, pd.DataFrame, pd.DataFrame, pd.DataFrame, People]:
    """Some buckets' share of a `Beside`; the features of the mornings before are finished once all are known."""
    cuts = mornings_before(as_of, config.zone)
    theirs = looked_at(history, config, catalogue, as_of, cuts, buckets, COLUMNS, np.concatenate([listed, gone]))
    mine = _of(theirs, listed)
    members, _ = caseload(mine, cuts, config.caseload, config.zone)
    part = build_part(mine, index_of(members), catalogue, config.zone, [])
    off = _of(theirs, gone)
    left = left_out(grouped(off, config.lists), as_of, config.caseload, config.zone)
    happened = happenings(theirs, as_of, catalogue, config.outcome, config.caseload, config.zone)
    people = theirs["people"].filter(pc.is_valid(theirs["people"]["merged_into"]))
    return part, happened, left, deaths_known(off["people"], off["stays"], as_of), people["person_id"].to_numpy()


def _of(tables: Mapping[str, pa.Table], people: People) -> dict[str, pa.Table]:
    theirs = pa.array(people)
    return {name: table.filter(pc.is_in(table["person_id"], theirs)) for name, table in tables.items()}


def _mornings(bundle: Bundle, before: pd.DataFrame, as_of: datetime, zone: str) -> pd.DataFrame:
    if before.empty:
        return pd.DataFrame({"person_id": pd.Series(dtype="int64"), "days_before": 0, "risk": 0.0})
    days = {pd.Timestamp(cut): place for place, cut in enumerate(mornings_before(as_of, zone), 1)}
    scored = bundle.score(before)
    return scored.assign(days_before=scored["as_of"].map(days))[["person_id", "days_before", "risk"]]


def _pulled(
    bundle: Bundle, today: pd.DataFrame, yesterday: pd.DataFrame, sentence: Sentence, catalogue: Catalogue
) -> pd.DataFrame:
    """today: as `pulls`; yesterday: features."""
    titles = {name: family.title for name, family in catalogue.families.items()}
    then = _of_day(bundle, yesterday.reset_index(drop=True), sentence)
    both = today[PULLED].merge(then, on=["person_id", "family"], how="left", suffixes=("", "_before"))
    return both.assign(title=both["family"].map(titles))


def _of_day(bundle: Bundle, frame: pd.DataFrame, sentence: Sentence) -> pd.DataFrame:
    if frame.empty:
        none = pd.DataFrame(columns=PULLED)
        return none.astype({"person_id": "int64", "share": "float64"})
    return pulls(bundle, frame, sentence)[PULLED]


def moved(pulled: pd.DataFrame, least: float = 0.1) -> dict[int, str]:
    """For each person what moved the score most since the morning before, in words: up to two families that raised it
    and one that lowered it, by `least` (logit) or more."""
    by_person: dict[int, list[Row]] = defaultdict(list)
    for row in rows_of(pulled[["person_id", "title", "share", "share_before"]]):
        by_person[row["person_id"]].append(row)
    return {person: _moved(rows, least) for person, rows in by_person.items()}


def _moved(families: Sequence[Row], least: float) -> str:
    known = [row for row in families if not np.isnan(row["share_before"])]
    if not known:
        return "not on a caseload the day before"
    by = sorted((row["share"] - row["share_before"], _lower(str(row["title"]))) for row in known)
    up = [title for change, title in reversed(by) if change >= least][:2]
    down = [title for change, title in by if change <= -least][:1]
    told = [f"{word} {' and by '.join(titles)}" for word, titles in (("raised by", up), ("eased by", down)) if titles]
    return "; ".join(told) or "hardly moved"


def _lower(title: str) -> str:
    """A title within a sentence; one that begins with an abbreviation stays as it is."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]
