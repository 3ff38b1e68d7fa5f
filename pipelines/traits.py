"""Whom the rows of an evaluation are about, in groups: read from the history as it was known, never used by a model."""

from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.build import IN_FORCE
from features.frames import query
from features.windows import window_starts
from models.subgroups import NEVER_SEEN, TRAINING
from pipelines.mapping import map_buckets
from pipelines.service import Service
from pipelines.store import History

TABLES = ("people", "referrals", "contacts", "observations")
LOOK_BACK_DAYS = 30


def traits(service: Service, rows: pd.DataFrame, learned: npt.NDArray[np.int64]) -> pd.DataFrame:
    """person_id, as_of, known, and a column of words for each group (null where not recorded), for each row of `rows`.

    known: an urgent team had an open referral for the person at the cut, as known then. Age, and how much was recorded
    of the person in the 30 days before, are as at the cut; the other groups are as known last. training: whether the
    person is among `learned`, the people whose rows the model was made from.
    """
    history, keyed = service.history, rows[["person_id", "as_of"]]
    shares = [(bucket, keyed[keyed["person_id"] % history.buckets == bucket]) for bucket in range(history.buckets)]
    work = partial(_of_bucket, history, service.config.zone, service.config.evidence.urgent_team_types)
    with service.workers() as over:
        found = pd.concat(map_buckets(over, work, shares), ignore_index=True)
    seen = np.isin(found["person_id"].to_numpy(), learned)
    return found.assign(**{TRAINING: np.where(seen, "seen in training", NEVER_SEEN)})


def _of_bucket(history: History, zone: str, urgent: tuple[str, ...], share: tuple[int, pd.DataFrame]) -> pd.DataFrame:
    bucket, rows = share
    return _of_people(history.read(bucket, TABLES), rows, zone, urgent)


def _of_people(tables: dict[str, pa.Table], rows: pd.DataFrame, zone: str, urgent: tuple[str, ...]) -> pd.DataFrame:
    starts = window_starts(rows["as_of"], [LOOK_BACK_DAYS], zone)
    found: pd.DataFrame = query(_sql(zone, urgent), l=rows, starts=starts, **tables).to_pandas()
    return found.astype({"as_of": "datetime64[us, UTC]", "known": bool})


def _sql(zone: str, urgent: tuple[str, ...]) -> str:
    types = ", ".join(f"'{word}'" for word in urgent) or "null"
    recent = f"o.occurred_at >= s.start_{LOOK_BACK_DAYS} and o.occurred_at < l.as_of and {IN_FORCE}"
    return f"""
        with facts as (
            select person_id, arg_max(birth_date, known_from) as born, arg_max(sex, known_from) as sex,
                   upper(left(arg_max(ethnic_category, known_from), 1)) as ethnic,
                   arg_max(deprivation_decile, known_from) as decile, arg_max(care_home, known_from) as care_home
            from people group by person_id
        ), met as (
            select l.person_id, l.as_of, count(*) as times from l join starts s using (as_of)
            join contacts o on o.person_id = l.person_id and {recent} and coalesce(o.seen, o.status = 'unknown')
            group by l.person_id, l.as_of
        ), measured as (
            select distinct l.person_id, l.as_of, true as done from l join starts s using (as_of)
            join observations o on o.person_id = l.person_id and {recent} and o.value is not null
        ), urgent as (
            select distinct l.person_id, l.as_of, true as known from l
            join referrals o on o.person_id = l.person_id and o.received_at < l.as_of and {IN_FORCE}
             and (o.closed_at is null or l.as_of < o.closed_at) and o.team_type in ({types})
        ), aged as (
            select l.person_id, l.as_of, f.*,
                   date_sub('year', f.born, (l.as_of at time zone '{zone}')::date) as years
            from l left join facts f using (person_id)
        )
        select person_id, as_of, coalesce(known, false) as known,
               case when years < 65 then '18 to 64' when years < 75 then '65 to 74' when years < 85 then '75 to 84'
                    when years >= 85 then '85 and over' end as age,
               sex,
               case when ethnic in ('A', 'B', 'C') then 'White' when ethnic in ('D', 'E', 'F', 'G') then 'Mixed'
                    when ethnic in ('H', 'J', 'K', 'L') then 'Asian or Asian British'
                    when ethnic in ('M', 'N', 'P') then 'Black or Black British'
                    when ethnic in ('R', 'S') then 'Chinese or other' end as ethnic_group,
               case when decile <= 2 then 'fifth 1, most deprived' when decile <= 4 then 'fifth 2'
                    when decile <= 6 then 'fifth 3' when decile <= 8 then 'fifth 4'
                    when decile <= 10 then 'fifth 5, least deprived' end as deprivation,
               case when care_home then 'care home' when not care_home then 'own or other home' end as home,
               case when coalesce(times, 0) <= 3 then '0 to 3' when times <= 7 then '4 to 7' else '8 or more'
               end as contacts_in_30_days,
               case when done then 'some' else 'none' end as readings_in_30_days
        from aged left join met using (person_id, as_of) left join measured using (person_id, as_of)
        left join urgent using (person_id, as_of)
        order by as_of, person_id"""
