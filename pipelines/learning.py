"""Before a training: the numbers of the catalogue's hidden states, learned from the people and days it trains on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.cohort import NOBODY, OptedOut, caseload
from features.events import streams
from features.filtering import Sequences, past, sequences
from features.frames import micros
from features.windows import shift_days
from models.splits import CALIBRATE, TRAIN
from models.states import learn
from pipelines import opting_out
from pipelines.building import WARM_UP_DAYS, looked_at, training_cuts
from pipelines.config import ServiceConfig
from pipelines.given import trained_on
from pipelines.mapping import map_buckets
from pipelines.service import Service
from pipelines.store import History

Tell = Callable[[str], None]
MOST_PEOPLE, MOST_DAYS = 10_000, 800
"""People and days learned from, at most (the latest days): a few hundred numbers need no more, and it takes time."""


@dataclass(frozen=True)
class Learners:
    """Whose days are learned from: those on a caseload at one of `cuts`, without those `opted_out`, or `people` where
    they are given. until: the day before which; known_by: in the versions of then, or the last ones."""

    cuts: Sequence[datetime]
    until: datetime
    known_by: datetime | None
    opted_out: OptedOut
    people: npt.NDArray[np.int64] | None = None


def with_states(service: Service, as_of: datetime, tell: Tell, least_lag_days: float = 0.0) -> Service:
    """The service with the learned numbers of its catalogue's states for a training at `as_of`: from the people and
    days of the training block, as known then. Unchanged where the catalogue has no states, or has learned; and where
    there is nothing to train on (which the training says), or too few admissions to learn from: the features of states
    are then null."""
    catalogue = service.catalogue
    if catalogue.states is None or catalogue.learned is not None:
        return service
    tell("learning states")
    whose = _learners(service, as_of, least_lag_days)
    if whose is None:
        return service
    with service.workers() as over:
        work = partial(_of_bucket, service.history, service.config, catalogue, whose)
        parts = map_buckets(over, work, range(service.history.buckets))
    learned = learn(parts, catalogue.states, tell)
    return service if learned is None else service.with_learned(learned.model_dump_json())


def _learners(service: Service, as_of: datetime, least_lag_days: float) -> Learners | None:
    """None where there is no training block, or nothing after it."""
    if service.config.task is not None:
        people, cuts, until = trained_on(service, service.config.task)
        return Learners(cuts, until, None, NOBODY, people) if until is not None else None
    opted_out = opting_out.checked(service, as_of, "training").people
    with service.workers() as over:
        blocks = training_cuts(service.history, service.config, as_of, over, least_lag_days)
    if not blocks[TRAIN] or not blocks[CALIBRATE]:
        return None
    return Learners(blocks[TRAIN], blocks[CALIBRATE][0], as_of, opted_out)


def _of_bucket(
    history: History, config: ServiceConfig, catalogue: Catalogue, whose: Learners, bucket: int
) -> Sequences:
    tables = looked_at(history, config, catalogue, whose.known_by, whose.cuts, bucket)
    if whose.people is None:
        members, _ = caseload(
            tables, whose.cuts, config.caseload, config.zone, config.periods.landmark_every, whose.opted_out
        )
        people = np.unique(members["person_id"].to_numpy(np.int64))
    else:
        people = whose.people[whose.people % history.buckets == bucket]
    days = min((whose.until - min(whose.cuts)).days + WARM_UP_DAYS, MOST_DAYS)
    edges = micros(pd.Series([shift_days(whose.until, -back, config.zone) for back in range(days, -1, -1)]))
    drawn = people[: ceil(MOST_PEOPLE / history.buckets)]  # in the order of keyed pseudonyms, so as if by lot
    known = past(tables, streams(tables, catalogue), catalogue, drawn, int(edges[0]))
    return sequences(known, edges, _latest(whose.known_by))


def _latest(known_by: datetime | None) -> int:
    """The moment whose versions are meant; without one, a moment after all of them."""
    return int(micros(pd.Series([known_by]))[0]) if known_by is not None else np.iinfo(np.int64).max - 1
