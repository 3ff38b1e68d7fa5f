"""What really happened and how likely it was: for judging models, never for making them."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.simulator import world
from pipelines.simulator.calendar import DAY, EPOCH, days_of
from pipelines.simulator.columns import take
from pipelines.simulator.config import HORIZON_DAYS
from pipelines.simulator.filter import beliefs, make_cuts
from pipelines.simulator.hospital import METHODS
from pipelines.simulator.patients import local_id
from pipelines.simulator.people import Floats, Ints
from pipelines.simulator.trust import Trust

STATES = ("stable", "mild", "marked", "post_acute")


def write_truth(trust: Trust, folder: Path) -> None:
    """days: who was on the caseload at each of the last cuts, in which state, with which risk
    (`days_table`). people and teams: their traits. admissions: emergency ones
    from the first day on, to the end of the horizon after the last cut. Times are local; people go by local id."""
    folder.mkdir(parents=True)
    for name, table in (
        ("days", days_table(trust)),
        ("people", _people_table(trust)),
        ("teams", _teams_table(trust)),
        ("admissions", _admissions_table(trust)),
    ):
        pq.write_table(table, folder / f"{name}.parquet")


def days_table(trust: Trust) -> pa.Table:
    """local_patient_id, date, team_id, state, hazard (chance of an emergency admission on the day), p9 (in nine days,
    from the true state) and p9_filter (the same from the best that could be known of the state)."""
    cuts = make_cuts(trust)
    belief = beliefs(trust, cuts)
    wanted = np.flatnonzero(cuts.day >= trust.config.first_truth_day)
    person, state = cuts.person[wanted], cuts.state[wanted]
    hazard, risk = _by_state(trust, person, cuts.day[wanted])
    at = np.arange(len(wanted))
    return pa.table(
        {
            "local_patient_id": _ids(person),
            "date": _dates(trust.config.start, cuts.day[wanted]),
            "team_id": pa.array(trust.teams.names).take(pa.array(trust.people.team[person])),
            "state": pa.array(STATES).take(pa.array(state)),
            "hazard": hazard[at, state],
            "p9": risk[at, state],
            "p9_filter": (belief[wanted] * risk).sum(axis=1),
        }
    )


def _by_state(trust: Trust, person: Ints, number: Ints) -> tuple[Floats, Floats]:
    """The day's hazard and the nine days' risk of each row, for each state the person might be in."""
    hazard, risk = np.zeros((len(person), 4)), np.zeros((len(person), 4))
    traits = world.traits_of(trust.people)
    for day in np.unique(number):
        rows = np.flatnonzero(number == day)
        own = take(traits, person[rows])
        window = days_of(trust.config.start, int(day), int(day) + HORIZON_DAYS)
        hazard[rows] = world.emergency(own, window[0])
        risk[rows] = world.risk(own, window)
    return hazard, risk


def _people_table(trust: Trust) -> pa.Table:
    people, traits = trust.people, world.traits_of(trust.people)
    return pa.table(
        {
            "local_patient_id": _ids(np.arange(len(people))),
            "nhs_number": pa.array(trust.nhs_number).cast(pa.string()),
            "team_id": pa.array(trust.teams.names).take(pa.array(people.team)),
            "frailty": people.frailty,
            "conditions": people.conditions,
            "emergency_factor": traits.emergency,
            "eagerness": people.eagerness,
            "visit_rate": people.visit_rate,
            "usual_news": people.news,
        }
    )


def _teams_table(trust: Trust) -> pa.Table:
    teams = trust.teams
    effects = ("unscheduled", "calls", "no_access", "weekend", "news", "delay")
    columns = {"team_id": pa.array(teams.names), "team_type": pa.array(teams.type), "home": pa.array(teams.home)}
    return pa.table(columns | {name: pa.array(getattr(teams, name)) for name in effects})


def _admissions_table(trust: Trust) -> pa.Table:
    stays = trust.stays
    begun = (trust.config.start - EPOCH).days * DAY
    chosen = np.flatnonzero(stays.emergency & (stays.admitted >= begun))
    return pa.table(
        {
            "local_patient_id": _ids(stays.person[chosen]),
            "admitted_at": pa.array(stays.admitted[chosen]).cast(pa.timestamp("s")),
            "known_at": pa.array(stays.opened_at[chosen]).cast(pa.timestamp("s")),
            "discharged_at": pa.array(stays.discharged[chosen]).cast(pa.timestamp("s")),
            "method": pa.array(METHODS).take(pa.array(stays.method[chosen])),
        }
    )


def _ids(person: Ints) -> pa.Array:
    field = local_id(person)
    return field.render(field.values)


def _dates(start: date, number: Ints) -> pa.Array:
    return pa.array([start + timedelta(days=int(day)) for day in np.unique(number)]).take(
        pa.array(np.unique(number, return_inverse=True)[1])
    )
