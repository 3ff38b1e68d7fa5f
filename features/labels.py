"""Emergency admission in the nine days ahead, read once it can be known."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from features.frames import query
from features.schema import EMERGENCY_METHODS
from features.windows import HORIZON_DAYS, window_starts

LAG_QUANTILE = 0.95
SETTLED_DAYS = 30
"""After so many days hardly any admission is still to be told."""


class OutcomeRules(BaseModel):
    """What an emergency admission is.

    emergency_methods: methods of admission that make one. transfer_methods: methods that continue a stay which ended
    less than a day before, rather than begin one. patient_classes: classes that are stays in hospital.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    emergency_methods: tuple[str, ...] = EMERGENCY_METHODS
    transfer_methods: tuple[str, ...] = ("2B", "81")
    patient_classes: tuple[str, ...] = ("1", "5")
    lag_quantile: float = Field(default=LAG_QUANTILE, gt=0, lt=1)


def inpatient_spells(
    stays: pa.Table, matured_at: datetime, rules: OutcomeRules, believed_stay_days: int
) -> pd.DataFrame:
    """Continuous inpatient spells as known at `matured_at`: person_id, admitted_at, discharged_at, emergency,
    known_from (when the spell was first known of). An open stay is taken to last `believed_stay_days`.

    A stay that begins while another lasts continues it; so does a transfer within a day of its end. A spell is an
    emergency if the stay that begins it is.
    """
    sql = f"""
        with first_known as (select row_id, min(known_from) as known_first from stays group by row_id),
        matured as (
            select s.person_id, s.row_id, s.admitted_at, s.method, f.known_first,
                   coalesce(s.discharged_at, s.admitted_at + to_days({believed_stay_days})) as until
            from stays s join first_known f using (row_id), moment m
            where s.known_from <= m.matured_at and (s.known_to is null or m.matured_at < s.known_to)
              and coalesce(s.patient_class, '1') in ({_listed(rules.patient_classes)})
        ), before as (
            select *, max(until) over (
                partition by person_id order by admitted_at, until, row_id
                rows between unbounded preceding and 1 preceding) as until_before
            from matured
        ), parts as (
            select *, coalesce(
                admitted_at < until_before
                or (method in ({_listed(rules.transfer_methods)})
                    and epoch_us(admitted_at) <= epoch_us(until_before) + 86400000000), false) as continues
            from before
        ), spells as (
            select *, sum((not continues)::int) over (
                partition by person_id order by admitted_at, until, row_id) as spell
            from parts
        )
        select person_id, min(admitted_at) as admitted_at,
               max(until) as discharged_at,
               coalesce(bool_or(not continues and method in ({_listed(rules.emergency_methods)})), false) as emergency,
               min(known_first) as known_from
        from spells group by person_id, spell order by person_id, admitted_at"""
    frame: pd.DataFrame = query(sql, stays=stays, moment=_moment(matured_at)).to_pandas()
    return frame


def deaths_known(people: pa.Table, stays: pa.Table, matured_at: datetime) -> pd.DataFrame:
    """person_id, died_at of everyone known at `matured_at` to have died, at home or in hospital."""
    sql = """
        with known as (
            select person_id, died_at from people, moment m
            where known_from <= m.matured_at and (known_to is null or m.matured_at < known_to)
            union all
            select person_id, discharged_at as died_at from stays, moment m
            where discharge_method = '4'
              and known_from <= m.matured_at and (known_to is null or m.matured_at < known_to)
        )
        select person_id, min(died_at) as died_at from known where died_at is not null
        group by person_id order by person_id"""
    frame: pd.DataFrame = query(sql, people=people, stays=stays, moment=_moment(matured_at)).to_pandas()
    return frame


def _moment(matured_at: datetime) -> pd.DataFrame:
    return pd.DataFrame({"matured_at": pd.Series([matured_at], dtype="datetime64[us, UTC]")})


def known_since(people: pa.Table) -> pd.DataFrame:
    """person_id, known_since: when anything was first known of a person."""
    frame: pd.DataFrame = people.select(["person_id", "known_from"]).to_pandas()
    return frame.groupby("person_id", as_index=False).min().rename(columns={"known_from": "known_since"})


def admission_lag_days(spells: pd.DataFrame, since: pd.DataFrame, rules: OutcomeRules) -> float:
    """The measured lag (days) within which `rules.lag_quantile` of emergency admissions became known; 0 without any.

    since: as `known_since`. What is told of a newcomer's past was not late, so it is left out; so are the latest
    admissions, of which only the ones told early are in. Where nothing else is known, they count.
    """
    mine = spells[spells["emergency"]].merge(since, on="person_id", how="left")
    settled = mine[mine["admitted_at"] < mine["known_from"].max() - pd.Timedelta(days=SETTLED_DAYS)]
    watched = settled[settled["known_since"] <= settled["admitted_at"]]
    mine = next((part for part in (watched, settled) if len(part)), mine)
    lags = (mine["known_from"] - mine["admitted_at"]).dt.total_seconds().to_numpy() / 86400
    return float(np.quantile(lags, rules.lag_quantile)) if len(lags) else 0.0


def label(
    index: pd.DataFrame,
    spells: pd.DataFrame,
    deaths: pd.DataFrame,
    merges: pd.DataFrame,
    *,
    matured_at: datetime,
    lag_days: float,
    zone: str,
) -> pd.DataFrame:
    """For each (person_id, as_of) of `index`, in its order: label, admitted_at, admitted_day, died, state.

    label: 1 if an emergency spell begins in [as_of, as_of + 9 d), else 0. admitted_at: its moment, else null.
    admitted_day: on which of the nine days, 1 .. 9, else null; day k is [as_of + (k - 1) d, as_of + k d) on the wall
    clock. died: died in the window without such an admission. state: 'usable'; 'already_admitted' (was in hospital at
    as_of, as is known now; never a hit); 'immature' (window plus lag not passed at `matured_at`: the label means
    nothing). deaths: person_id, died_at. merges: person_id, merged_into; outcomes are followed to whom a person turned
    out to be.
    """
    keyed = index[["person_id", "as_of"]].reset_index(drop=True)
    keyed["row"] = range(len(keyed))
    keyed["who"] = _followed(keyed["person_id"], merges)
    deaths = deaths.assign(person_id=_followed(deaths["person_id"], merges))
    ends = window_starts(keyed["as_of"], [-HORIZON_DAYS], zone).rename(columns={f"start_{-HORIZON_DAYS}": "until"})
    # Joined by order in time: a join on two inequalities would go through all pairs of a million rows.
    sql = """
        with emergencies as (select * from spells where emergency),
        begun as (select person_id, admitted_at,
                         max(discharged_at) over (partition by person_id order by admitted_at) as inside_until
                  from spells)
        select k.row, case when s.admitted_at < e.until then s.admitted_at end as admitted_at,
               coalesce(b.inside_until > k.as_of, false) as inside,
               case when d.died_at < e.until then d.died_at end as died_at
        from keyed k join ends e using (as_of)
        asof left join emergencies s on s.person_id = k.who and s.admitted_at >= k.as_of
        asof left join begun b on b.person_id = k.who and b.admitted_at < k.as_of
        asof left join deaths d on d.person_id = k.who and d.died_at >= k.as_of
        order by k.row"""
    found = query(sql, keyed=keyed, ends=ends, spells=spells, deaths=deaths).to_pandas()
    until = keyed[["as_of"]].merge(ends, on="as_of", how="left")["until"]
    immature = until + pd.Timedelta(days=lag_days) > pd.Timestamp(matured_at)
    labelled = keyed[["person_id", "as_of"]].assign(
        label=found["admitted_at"].notna().astype("int8"), admitted_at=found["admitted_at"]
    )
    labelled["admitted_day"] = _days(keyed["as_of"], found["admitted_at"], zone)
    labelled["died"] = found["died_at"].notna() & found["admitted_at"].isna()
    labelled["state"] = np.select([immature, found["inside"]], ["immature", "already_admitted"], "usable")
    return labelled


def _days(as_of: pd.Series, admitted_at: pd.Series, zone: str) -> pd.Series:
    """On which day of the wall clock from as_of, 1 the first, each admission falls; null without one."""
    admitted = admitted_at.dropna()
    cuts = as_of[admitted.index].to_frame("as_of")
    later = window_starts(cuts["as_of"], range(1 - HORIZON_DAYS, 0), zone)
    starts = cuts.merge(later, on="as_of", how="left").drop(columns="as_of").set_index(admitted.index)
    days = 1 + sum((admitted >= starts[day]).astype("Int8") for day in starts)
    return pd.Series(days, dtype="Int8").reindex(as_of.index)


def given_labels(index: pd.DataFrame, outcomes: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Labels from a table of outcomes (person_id, at) in place of the hospital's: columns as `label`'s, all usable."""
    spells = pd.DataFrame(
        {"person_id": outcomes["person_id"], "admitted_at": outcomes["at"], "discharged_at": outcomes["at"]}
    ).assign(emergency=True)
    nobody = pd.DataFrame({"person_id": [0], "died_at": pd.Series([pd.NaT], dtype="datetime64[us, UTC]")})
    never = pd.Timestamp("2262-01-01", tz="UTC").to_pydatetime()
    none = pd.DataFrame({"person_id": [], "merged_into": []}, dtype="int64")
    return label(index, spells, nobody, none, matured_at=never, lag_days=0, zone=zone)


def _followed(people: pd.Series, merges: pd.DataFrame) -> pd.Series:
    """Each person's last identity, following chains of merges (a cycle ends where it began)."""
    into = dict(zip(merges["person_id"], merges["merged_into"], strict=True))

    def last(person: int) -> int:
        seen = {person}
        while (then := into.get(person)) is not None and then not in seen:
            person = int(then)
            seen.add(person)
        return person

    return people.map({person: last(int(person)) for person in people.unique()}) if into else people


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
