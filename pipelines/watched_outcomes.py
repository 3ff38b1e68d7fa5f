"""What came of the published mornings, once it is known, and whether the model still tells what it told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from features.table import KEYS
from models import decay
from models.bundle import Bundle, load
from models.decay import Reference
from models.drift import places
from models.listings import scored_rows, settled_places
from models.over_time import in_use
from models.resampling import Resampling
from models.splits import TEST
from pipelines import tracking
from pipelines.judging import judged_rows, means_the_same, rows_for
from pipelines.outcomes import ranked_days, shown_people
from pipelines.service import Service

Tell = Callable[[str], None]
DRAWS, CHANCES = Resampling(), Resampling(400)
"""How intervals are drawn, and limits."""
UNSETTLED = "No published morning of the standing model is settled yet, so nothing can be said of it."


@dataclass(frozen=True)
class Outcomes:
    """by_month, by_period: as `over_time.in_use`, with periods by the day on which they end. known: what the model is
    held against; None where there is nothing, and `why` says what is lacking. sums: as `decay.watched`; alarms: as
    `decay.alarmed`. mornings, settled: how many are published, and how many of them are settled. model: its name."""

    by_month: pd.DataFrame
    by_period: pd.DataFrame
    known: Reference | None
    why: str
    sums: pd.DataFrame
    alarms: Mapping[str, pd.Timestamp]
    mornings: int
    settled: int
    model: str


def outcomes(service: Service, edges: list[datetime], tell: Tell) -> Outcomes:
    """What came of the mornings published between the edges, as known at the last."""
    tell("looking at what came of the lists")
    rows = ranked_days(service, edges[-1], edges[0])
    settled = rows[rows["state"] != "immature"].reset_index(drop=True)
    shown = shown_people(service, edges[-1])
    settled["exposed"] = decay.exposed(settled, shown, service.config.monitoring.exposure_days)
    champion = tracking.holder(service.workspace, tracking.CHAMPION)
    bundle = load(champion.bundle) if champion else None
    mine = settled[settled["model_version"] == (bundle.fingerprint if bundle else "")]
    known, why = (None, UNSETTLED) if bundle is None or mine.empty else reference(service, bundle, shown, tell)
    sums = decay.watched(_unexposed(mine, service.config.zone), known) if known else pd.DataFrame()
    return Outcomes(
        by_month=in_use(settled, settled["day"].str[:7], DRAWS),
        by_period=in_use(settled, _ends(settled, edges, service.config.zone), DRAWS),
        known=known,
        why=why,
        sums=sums,
        alarms=decay.alarmed(sums, known) if known else {},
        mornings=rows["day"].nunique(),
        settled=settled["day"].nunique(),
        model=f"{champion.version} ({bundle.fingerprint[:12]})" if champion and bundle else "none",
    )


def reference(service: Service, bundle: Bundle, shown: pd.DataFrame, tell: Tell) -> tuple[Reference | None, str]:
    """What the model is held against: the days that it was judged on when it was made, of those whom its lists would
    have shown no more than of those whom other lists did; else None, and why not."""
    config = service.config
    theirs = replace(
        service,
        own_catalogue=bundle.lineage["catalogue"],
        config=config.model_copy(update={"periods": type(config.periods)(**bundle.lineage["periods"])}),
    )
    if not means_the_same(theirs, bundle):
        return None, "This version of the software makes other features of the model's own catalogue: retrain."
    tell("building the days that the model was judged on")
    data = rows_for(theirs, datetime.fromisoformat(bundle.lineage["as_of"]), tell, parts=(TEST,))
    frame, labels = judged_rows(data)
    rows, names = scored_rows(bundle.score(frame), labels, None, bundle.lead, service.workspace.key())
    held = settled_places(rows, data.memberships, names, config.lists.capacities)
    lists = pd.concat([shown, held.loc[held["listed"], list(KEYS)]], ignore_index=True)
    held["exposed"] = decay.exposed(held, lists, config.monitoring.exposure_days)
    known = decay.reference(_unexposed(held, config.zone), config.monitoring.false_decay_alarms_a_year, CHANCES)
    why = f"The days that the model was judged on have fewer than {decay.LEAST_ADMISSIONS} admissions of the unlisted."
    return known, "" if known else why


def _unexposed(rows: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Usable rows of people not shown, once each, with `soon`."""
    mine = rows[(rows["state"] == "usable") & ~rows["exposed"]].drop_duplicates(list(KEYS)).reset_index(drop=True)
    return mine.assign(soon=decay.before_next_list(mine, zone))


def _ends(rows: pd.DataFrame, edges: list[datetime], zone: str) -> pd.Series:
    """The day, as 2026-01-12, on which each row's period ends."""
    days = np.array([edge.astimezone(ZoneInfo(zone)).date().isoformat() for edge in edges[1:]])
    return pd.Series(days[places(rows["as_of"], edges)], index=rows.index, dtype=object)
