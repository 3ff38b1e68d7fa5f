"""What happened to some people, as known at a cut: one row a fact, with when it happened and when it became known."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from features.frames import query
from features.windows import HORIZON_DAYS, shift_days

if TYPE_CHECKING:  # the pages are made of what happened, and need no catalogue
    from features.catalogue import Catalogue, Event
    from features.cohort import CaseloadRules
    from features.labels import OutcomeRules

CONTACT, READING, RECORD, STAY, ATTENDANCE, REFERRAL = (
    "contact",
    "reading",
    "record",
    "stay",
    "attendance",
    "referral",
)
HELD, PLANNED, EMERGENCY = "held", "planned", "emergency"
MARKED = {
    HELD: "seen",
    "unknown": "unknown",
    "no_access": "no_access",
    "patient_cancelled": "cancelled",
    "provider_cancelled": "cancelled",
    "late_not_seen": "no_access",
}
"""How each contact is marked; one that is planned is not."""
IN_FORCE = "o.known_from <= m.as_of and (o.known_to is null or m.as_of < o.known_to)"
COLUMNS = {
    "contacts": ("team_id", "occurred_at", "status", "seen", "medium", "unscheduled"),
    "observations": ("team_id", "occurred_at", "code", "value"),
    "attendances": ("arrived_at", "admitted"),
}
"""What this looks at in the tables of events, beside what the catalogue does."""
TIMELINE_DAYS, USUAL_DAYS, HOSPITAL_DAYS = 90, 180, 365
"""How far back contacts, records and referrals are told; readings, from which one's own usual is made; hospital use."""


def happenings(
    tables: dict[str, pa.Table],
    as_of: datetime,
    catalogue: "Catalogue",
    outcome: "OutcomeRules",
    rules: "CaseloadRules",
    zone: str,
) -> pd.DataFrame:
    """person_id, kind, what, happened_at, ended_at, known_from, value, team_id, medium, place, by person and time.

    kind contact: what is `HELD`, or else the contact's status; those planned reach nine days ahead. reading,
    record: what is how the catalogue calls an event that has a value, or none; place is where it stands there. stay:
    what is `EMERGENCY` or `PLANNED`, ended_at null while it lasts, as far as that is believed. attendance: what is
    admitted or empty. referral: what is the team type, ended_at null while it is open.
    """
    spans = {f"d{n}": n for n in (TIMELINE_DAYS, USUAL_DAYS, HOSPITAL_DAYS)}
    spans |= {"ahead": -HORIZON_DAYS, "believed_from": rules.believed_stay_days, "as_of": 0}
    begins = {name: [shift_days(as_of, -days, zone)] for name, days in spans.items()}
    moments = pd.DataFrame(begins).astype("datetime64[us, UTC]")
    parts = [_CONTACTS, *_observations(catalogue), _stays(outcome), _ATTENDANCES, _REFERRALS]
    sql = " union all ".join(f"({part} and {IN_FORCE})" for part in parts)
    order = "person_id, happened_at, kind, what, known_from, value, team_id, medium"
    found = query(f"select * from ({sql}) order by {order}", m=moments, **tables).to_pandas()
    times = ("happened_at", "ended_at", "known_from")
    return pd.DataFrame(found).astype(dict.fromkeys(times, "datetime64[us, UTC]"))


def unended(happening: Mapping[Any, Any]) -> bool:
    """Whether what lasts has not ended, as far as is known."""
    return bool(pd.isna(happening["ended_at"]))


_CONTACTS = f"""
    select o.person_id, '{CONTACT}' as kind,
           case when o.seen then '{HELD}' else o.status::varchar end as what,
           o.occurred_at as happened_at, null::timestamptz as ended_at, o.known_from, null::double as value,
           o.team_id::varchar as team_id, o.medium::varchar as medium, 0 as place
    from contacts o, m where o.occurred_at >= m.d90 and o.occurred_at < m.ahead
     and (o.occurred_at < m.as_of or o.status = 'planned')"""
_ATTENDANCES = f"""
    select o.person_id, '{ATTENDANCE}', case when o.admitted then 'admitted' else '' end, o.arrived_at, null,
           o.known_from, null, null, null, 0
    from attendances o, m where o.arrived_at >= m.d365 and o.arrived_at < m.as_of"""
_REFERRALS = f"""
    select o.person_id, '{REFERRAL}', coalesce(o.team_type, ''), o.received_at,
           case when o.closed_at <= m.as_of then o.closed_at end, o.known_from, null, o.team_id, null, 0
    from referrals o, m where o.received_at < m.as_of
     and (o.closed_at is null or o.closed_at >= m.d90)"""


def _stays(outcome: "OutcomeRules") -> str:
    methods, classes = (
        ", ".join(f"'{code}'" for code in codes) for codes in (outcome.emergency_methods, outcome.patient_classes)
    )
    return f"""
    select o.person_id, '{STAY}', case when o.method in ({methods}) then '{EMERGENCY}' else '{PLANNED}' end,
           o.admitted_at, case when o.discharged_at <= m.as_of then o.discharged_at end, o.known_from,
           null, null, null, 0
    from stays o, m where o.admitted_at < m.as_of and coalesce(o.discharged_at, m.as_of) >= m.d365
     and coalesce(o.patient_class, '1') in ({classes})
     and (o.discharged_at is not null or o.admitted_at >= m.believed_from)"""


def _observations(catalogue: "Catalogue") -> Iterator[str]:
    """What was recorded, and not what the catalogue makes of it on a scale of its own."""
    for place, (name, event) in enumerate(catalogue.events.items()):
        if event.table == "observations" and event.value in ("null", "value"):
            yield _observation(name, event, place)


def _observation(name: str, event: "Event", place: int) -> str:
    """Readings are the catalogue's events that have a value; records are rows without one, of those that have none."""
    reading, words = event.value != "null", (event.words or name).replace("'", "''")
    kind, days, known = (READING, USUAL_DAYS, "is not null") if reading else (RECORD, TIMELINE_DAYS, "is null")
    value = f"({event.value})" if reading else "o.value"
    return f"""
    select o.person_id, '{kind}', '{words}', o.occurred_at, null, o.known_from, {value}, o.team_id::varchar, null,
           {place}
    from observations o, m where ({event.where}) and {value} {known}
     and o.occurred_at >= m.d{days} and o.occurred_at < m.as_of"""
