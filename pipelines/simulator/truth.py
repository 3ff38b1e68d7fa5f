"""What really happened and how likely it was: for judging models, never for making them."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from pipelines.simulator import course as c
from pipelines.simulator.calendar import NONE
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.config import HORIZON_DAYS
from pipelines.simulator.filter import Cut, beliefs
from pipelines.simulator.hospital import METHODS
from pipelines.simulator.journal import spared
from pipelines.simulator.people import traits_of
from pipelines.simulator.places import World
from pipelines.simulator.records import Records
from pipelines.simulator.sheet import identifier
from pipelines.simulator.teams import NEVER


def write_truth(records: Records, folder: Path) -> None:
    """days: who was on the caseload at each of the last cuts, in which state, with which risk (`days_table`). people
    and teams: their traits. admissions: emergency ones from the first day on, to the end of the horizon after the last
    cut, also those that no file has. exposures, prevented: what lists and help did. Times are local; people go by
    local id."""
    folder.mkdir(parents=True)
    for name, table in (
        ("days", days_table(records)),
        ("people", _people_table(records)),
        ("teams", _teams_table(records.world)),
        ("admissions", _admissions_table(records)),
        ("exposures", _exposures_table(records)),
        ("prevented", _prevented_table(records)),
    ):
        pq.write_table(table, folder / f"{name}.parquet")


def days_table(records: Records) -> pa.Table:
    """local_patient_id, date, team_id, state, hazard (chance of an emergency admission on the day), p9 (in nine days,
    from the true state), p9_filter (the same from the best that could be known of the state had everything been
    written up at once), p9_in_time (from what was), p9_recorded (from what was, with the person's lasting traits
    inferred from the records instead of told), p9_untreated (from the true state, had nobody helped)."""
    config = records.world.config
    # One thread: small matrices gain nothing by more, and the sums come out the same everywhere.
    with threadpool_limits(1):
        cuts, ids = beliefs(records, config.first_truth_day, config.days), local_ids(np.arange(len(records.people)))
        return pa.concat_tables([_of_cut(records, cut, ids) for cut in cuts])


def _of_cut(records: Records, cut: Cut, ids: pa.Array) -> pa.Table:
    world, config = records.world, records.world.config
    days = [world.day(number) for number in range(cut.number, cut.number + HORIZON_DAYS)]
    helped = np.stack([spared(world, cut.helped, day.number) for day in days], axis=1)
    nobody = np.ones_like(helped)
    risk = c.risk(world.course, cut.told, days, helped)
    untreated = c.risk(world.course, cut.told, days, nobody) if (helped < 1).any() else risk
    recorded = c.risk(world.course, cut.inferred, days, helped)
    at = (np.arange(len(cut.person)), cut.state)
    team = world.changes.team_on(records.people.team[cut.person], cut.number)
    return pa.table(
        {
            "local_patient_id": ids.take(pa.array(cut.person)),
            "date": pa.array([config.date_of(cut.number)]).take(pa.array(np.zeros(len(cut.person), dtype=np.int64))),
            "team_id": pa.array(world.teams.names).take(pa.array(team)),
            "state": pa.array(world.course.names).take(pa.array(cut.state)),
            "hazard": c.emergency(world.course, cut.told, days[0])[at] * helped[:, 0],
            "p9": risk[at],
            "p9_filter": (cut.all_records * risk).sum(axis=1),
            "p9_in_time": (cut.in_time * risk).sum(axis=1),
            "p9_recorded": (cut.recorded * recorded).sum(axis=1),
            "p9_untreated": untreated[at],
        }
    )


def _people_table(records: Records) -> pa.Table:
    people, world = records.people, records.world
    traits = traits_of(world.config, world.course, people)
    onset = {f"onset_{name}": traits.onset[:, rank] for rank, name in enumerate(world.course.illnesses)}
    return pa.table(
        {
            "local_patient_id": local_ids(np.arange(len(people))),
            "team_id": pa.array(world.teams.names).take(pa.array(people.team)),
            "frailty": people.frailty,
            "conditions": people.conditions,
            "care_home": people.care_home,
            "emergency_factor": traits.emergency,
            "eagerness": people.eagerness,
            "visit_rate": people.visit_rate,
            **onset,
        }
    )


def _teams_table(world: World) -> pa.Table:
    teams, changes = world.teams, world.changes
    effects = ("unscheduled", "calls", "no_access", "weekend", "vital_signs", "delay")
    number = np.arange(len(teams.type))
    merger = np.where(number == changes.merged, changes.merger, -1)
    template = np.where(number == changes.templated, changes.template, -1)
    columns = {"team_id": pa.array(teams.names), "team_type": pa.array(teams.type), "home": pa.array(teams.home)}
    columns |= {"merged_on": _dates(world.config.start, merger), "template_on": _dates(world.config.start, template)}
    return pa.table(columns | {name: pa.array(getattr(teams, name)) for name in effects})


def _admissions_table(records: Records) -> pa.Table:
    stays = records.stays
    chosen = np.flatnonzero(stays.emergency & (stays.admitted >= records.world.epoch_day * 86_400))
    known = np.where(stays.reported, stays.opened_at, NONE)[chosen]
    return pa.table(
        {
            "local_patient_id": local_ids(stays.person[chosen]),
            "admitted_at": pa.array(stays.admitted[chosen]).cast(pa.timestamp("s")),
            "known_at": pa.array(known, mask=known == NONE).cast(pa.timestamp("s")),
            "discharged_at": pa.array(stays.discharged[chosen]).cast(pa.timestamp("s")),
            "method": pa.array(METHODS).take(pa.array(stays.method[chosen])),
            "reported": stays.reported[chosen],
        }
    )


def _exposures_table(records: Records) -> pa.Table:
    """Who was on a list on which day, at which place of which team's list, and whether the team acted."""
    log, world = records.journal.exposures, records.world
    return pa.table(
        {
            "local_patient_id": local_ids(log["person"]),
            "date": _dates(world.config.start, log["day"]),
            "team_id": pa.array(world.teams.names).take(pa.array(log["team"])),
            "rank": log["rank"],
            "acted": log["acted"] == 1,
        }
    )


def _prevented_table(records: Records) -> pa.Table:
    """Emergency admissions that help averted, by the day on which they would have been."""
    log = records.journal.prevented
    dates = _dates(records.world.config.start, log["day"])
    return pa.table({"local_patient_id": local_ids(log["person"]), "date": dates})


def local_ids(person: Ints) -> pa.Array:
    field = identifier("P", 7, person)
    return field.render(field.values)


def _dates(start: date, number: Ints) -> pa.Array:
    """The dates of simulated days; null for negative ones, and for the day that never comes."""
    days, place = np.unique(number, return_inverse=True)
    dates = pa.array([start + timedelta(days=int(day)) if 0 <= day < NEVER else None for day in days], pa.date32())
    return dates.take(pa.array(place))


def outcomes(records: Records, person: Ints, number: Ints) -> Floats:
    """1 where a person had an emergency admission, reported or not, in the nine days from a simulated day's cut."""
    log = records.journal.stays
    emergency = log["emergency"] == 1
    span = 1 << 20
    keys = np.sort(log["person"][emergency] * span + log["day"][emergency])
    first, last = (np.searchsorted(keys, person * span + number + shift) for shift in (0, HORIZON_DAYS))
    return (last > first).astype(np.float64)
