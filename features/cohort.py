"""Who is on which team's caseload at a cut, as known then, and why others are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from features.frames import connect, to_frame
from features.windows import window_starts

ON_CASELOAD = "on the caseload"
NO_ACTIVITY, OPTED_OUT = "no recent activity", "national opt-out"
EXCLUSIONS = ("no team named", "service not scored", "under age", "died", "in hospital", NO_ACTIVITY, OPTED_OUT)
"""Why a person with an open referral is not on the caseload, in the order in which the reasons are looked for."""


@dataclass(frozen=True)
class OptedOut:
    """Who stays off every caseload by their own wish: the people named or, where it `keeps`, everyone but them."""

    people: npt.NDArray[np.int64]
    keeps: bool = False


NOBODY = OptedOut(np.zeros(0, np.int64))


class CaseloadRules(BaseModel):
    """The risk set: open referral, recent activity, adult, alive, not an inpatient, all as known at the cut.

    active_days: a contact that was held, or a referral received, within so many days is recent activity.
    least_age: years; people whose birth date is not known are kept. leave_out_team_types: national two-digit types
    whose referrals put nobody on a list. believed_stay_days: an open spell that began longer ago than this is taken
    for one whose discharge was never sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    active_days: int = Field(default=90, ge=1)
    least_age: int = Field(default=18, ge=0)
    leave_out_team_types: tuple[str, ...] = ()
    believed_stay_days: int = Field(default=180, ge=1)


def caseload(
    tables: dict[str, pa.Table],
    cuts: Sequence[datetime],
    rules: CaseloadRules,
    zone: str,
    every: int = 1,
    opted_out: OptedOut = NOBODY,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Memberships and exclusions at each cut.

    every: where above 1, each person is looked at on one cut in `every`, which one following from their pseudonym.
    Returns memberships (person_id, as_of, team_id, days_on_caseload, last_seen, last_seen_by; the last two, moment and
    medium, null where the team has not seen the person within `active_days`), and exclusions (as_of, team_id, reason,
    people): for each team everyone with an open referral to it is counted once, under one of `EXCLUSIONS` or
    "on the caseload"; but those whom nothing else than `opted_out` leaves out once over all teams, under no team, since
    a team could tell who is missing.
    """
    moments = window_starts(cuts, [rules.active_days, rules.believed_stay_days], zone)
    moments["turn"] = range(len(moments))
    named = pa.table({"person_id": opted_out.people})
    with connect({**tables, "moments": moments, "named": named}) as connection:
        connection.execute(f"create temp table judged as {_judged_sql(rules, zone, every, opted_out.keeps)}")
        memberships = to_frame(connection.sql(MEMBERSHIPS_SQL))
        exclusions = to_frame(connection.sql(EXCLUSIONS_SQL))
    as_us = dict.fromkeys(("as_of", "last_seen"), "datetime64[us, UTC]")
    return memberships.astype(as_us), exclusions.astype({"as_of": as_us["as_of"]})


def left_out(tables: dict[str, pa.Table], as_of: datetime, rules: CaseloadRules, zone: str) -> pd.DataFrame:
    """person_id, team_id, reason: for everyone with an open referral, one of `EXCLUSIONS` or `ON_CASELOAD`; opt-outs
    are not looked at."""
    moments = window_starts([as_of], [rules.active_days, rules.believed_stay_days], zone).assign(turn=0)
    nobody = pa.table({"person_id": NOBODY.people})
    with connect({**tables, "moments": moments, "named": nobody}) as connection:
        reason = f"{[ON_CASELOAD, *EXCLUSIONS]!r}[reason + 1] as reason"
        judged = _judged_sql(rules, zone, 1, NOBODY.keeps)
        return to_frame(connection.sql(f"select person_id, team_id, {reason} from ({judged})"))


def observed(tables: dict[str, pa.Table], as_of: datetime, zone: str) -> pd.DataFrame:
    """person_id, held_30d, readings_30d: how many contacts any team held with each person, and how much was recorded of
    them, in the `OBSERVED_DAYS` before the cut. Who is not there had none."""
    moments = window_starts([as_of], [OBSERVED_DAYS], zone)
    held = "coalesce(c.seen, c.status = 'unknown')"
    recent = f"o.occurred_at >= t.start_{OBSERVED_DAYS} and o.occurred_at < t.as_of and {_in_force('o')}"
    with connect({**tables, "t": moments}) as connection:
        return to_frame(
            connection.sql(f"""
            select person_id, count(*) filter (what = 'held')::int as held_{OBSERVED_DAYS}d,
                   count(*) filter (what = 'reading')::int as readings_{OBSERVED_DAYS}d
            from (select c.person_id, 'held' as what from contacts c, t where {held} and {recent.replace("o.", "c.")}
                  union all select o.person_id, 'reading' from observations o, t where {recent})
            group by person_id order by person_id""")
        )


def _in_force(rows: str) -> str:
    return f"{rows}.known_from <= t.as_of and ({rows}.known_to is null or t.as_of < {rows}.known_to)"


OBSERVED_DAYS = 30
OBSERVATION_COLUMNS = ("occurred_at",)
"""What `observed` looks at in observations."""
CONTACT_COLUMNS = ("team_id", "occurred_at", "status", "seen", "medium")
"""What a caseload looks at in contacts."""
KNOWN_THEN = f"""people_then as (
            select distinct person_id, as_of, active_from, believed_from from open_referrals
        ),
        held as (
            select t.person_id, t.as_of, c.team_id, max(c.occurred_at) as last_contact,
                   max(c.occurred_at) filter (where c.seen) as last_seen,
                   arg_max(c.medium, c.occurred_at) filter (where c.seen) as last_seen_by
            from people_then t join contacts c
              on c.person_id = t.person_id and c.occurred_at >= t.active_from and c.occurred_at < t.as_of
             and {_in_force("c")}
             and coalesce(c.seen, c.status = 'unknown')
            group by t.person_id, t.as_of, c.team_id
        ),
        about as (
            select t.person_id, t.as_of,
                   arg_max(p.birth_date, p.known_from) as birth_date, min(p.died_at) as died_at
            from people_then t join people p
              on p.person_id = t.person_id and {_in_force("p")}
            group by t.person_id, t.as_of
        ),
        hospital_deaths as (
            select t.person_id, t.as_of, min(s.discharged_at) as died_at
            from people_then t join stays s
              on s.person_id = t.person_id and s.discharge_method = '4' and s.discharged_at < t.as_of
             and {_in_force("s")}
            group by t.person_id, t.as_of
        ),
        inpatients as (
            select distinct t.person_id, t.as_of from people_then t join stays s
              on s.person_id = t.person_id and s.admitted_at < t.as_of
             and (s.discharged_at > t.as_of or (s.discharged_at is null and s.admitted_at >= t.believed_from))
             and {_in_force("s")}
             and coalesce(s.patient_class, '1') in ('1', '5')
        ),
        busy as (select person_id, as_of, max(last_contact) as last_contact from held group by person_id, as_of)"""
"""What was known at the cut of the people with an open referral: who held contact, who they are, where they were."""


def _judged_sql(rules: CaseloadRules, zone: str, every: int, keeps: bool) -> str:
    """One row per (person, as_of, team) with an open referral, and the first reason to leave it out, if any."""
    left_out = ", ".join(f"'{kind}'" for kind in rules.leave_out_team_types) or "''"
    active, believed = f"start_{rules.active_days}", f"start_{rules.believed_stay_days}"
    return f"""
        with open_referrals as (
            select r.person_id, m.as_of, r.team_id, min(r.received_at) as since, max(r.received_at) as newest,
                   bool_and(coalesce(r.team_type in ({left_out}), false)) as left_out,
                   any_value(m.{active}) as active_from, any_value(m.{believed}) as believed_from
            from referrals r join moments m
              on r.known_from <= m.as_of and (r.known_to is null or m.as_of < r.known_to)
             and r.received_at < m.as_of and (r.closed_at is null or m.as_of < r.closed_at)
            where (m.turn + r.person_id % {every}) % {every} = 0
            group by r.person_id, m.as_of, r.team_id
        ),
        {KNOWN_THEN}
        select o.person_id, o.as_of, o.team_id, h.last_seen, h.last_seen_by,
               (epoch_us(o.as_of) - epoch_us(o.since)) / 86400e6 as days_on_caseload,
               case when o.team_id is null then 1
                    when o.left_out then 2
                    when a.birth_date + to_years({rules.least_age}) > (o.as_of at time zone '{zone}')::date then 3
                    when least(a.died_at, d.died_at) < o.as_of then 4
                    when i.person_id is not null then 5
                    when b.last_contact is null and o.newest < o.active_from then 6
                    when (o.person_id in (select person_id from named)) is distinct from {keeps} then 7
                    else 0 end as reason
        from open_referrals o
        left join held h using (person_id, as_of, team_id)
        left join about a using (person_id, as_of)
        left join hospital_deaths d using (person_id, as_of)
        left join inpatients i using (person_id, as_of)
        left join busy b using (person_id, as_of)"""


MEMBERSHIPS_SQL = """
    select person_id, as_of, team_id, days_on_caseload, last_seen, last_seen_by from judged
    where reason = 0 order by as_of, team_id, person_id"""

EXCLUSIONS_SQL = f"""
    select as_of, team as team_id, {[ON_CASELOAD, *EXCLUSIONS]!r}[number + 1] as reason,
           count(distinct person_id)::int as people
    from (
        select as_of, person_id, reason as number, case when reason < {len(EXCLUSIONS)} then team_id end as team
        from judged
    ) group by as_of, team, number order by as_of, team, number"""
