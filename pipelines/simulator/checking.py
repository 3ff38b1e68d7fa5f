"""Whether a simulated world keeps its promises: its risks against lives lived through, its filters against what
happened, its rates against what is known of real ones."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.simulator import course as c
from pipelines.simulator import vocabulary as v
from pipelines.simulator.activities import vital_signs_of
from pipelines.simulator.chance import Floats, facts
from pipelines.simulator.columns import take
from pipelines.simulator.config import HORIZON_DAYS
from pipelines.simulator.people import traits_of
from pipelines.simulator.places import World
from pipelines.simulator.readings import news2
from pipelines.simulator.records import Records
from pipelines.simulator.truth import days_table, outcomes

COPIES = 20_000
MOST_ERRORS = 3.5
"""Standard errors within which two figures agree."""
MOST_OFF = 0.1
"""Share by which the filter of the records, an approximation, may be off beyond chance."""
RISKS = {
    "p9": "from the true state",
    "p9_filter": "filter, all records",
    "p9_in_time": "filter, records in time",
    "p9_recorded": "filter of the records alone",
}


@dataclass(frozen=True)
class Check:
    """One figure: what was found, what was expected (a range, or a figure with a standard error), and by what."""

    what: str
    found: float
    least: float
    most: float
    source: str

    @property
    def well(self) -> bool:
        return self.least <= self.found <= self.most


@dataclass(frozen=True)
class Checked:
    """A world's checks, and the days of its truth with the outcome and the person's number."""

    checks: list[Check]
    days: pd.DataFrame


def check_world(records: Records) -> Checked:
    """`records` of a world that was lived through to its end."""
    days = _days(records)
    checks = [*exact_risks(records), *agreements(days), *_rates(records, days), *_practice(records)]
    return Checked(checks, days)


def _days(records: Records) -> pd.DataFrame:
    days: pd.DataFrame = days_table(records).to_pandas()
    days["person"] = days["local_patient_id"].str[1:].astype(int)
    start = pd.Timestamp(records.world.config.start)
    days["number"] = (pd.to_datetime(days["date"]) - start).dt.days
    days["happened"] = outcomes(records, days["person"].to_numpy(), days["number"].to_numpy())
    return days


def exact_risks(records: Records) -> list[Check]:
    """The exact risk of one person in each state against `COPIES` lives of nine days, as the greatest difference."""
    world = records.world
    one = take(traits_of(world.config, world.course, records.people), np.zeros(1, dtype=np.int64))
    window = [world.day(number) for number in range(HORIZON_DAYS)]
    expected = c.risk(world.course, one, window, np.ones((1, HORIZON_DAYS)))[0]
    lived = np.array([_share_admitted(world, one, state, window) for state in range(len(world.course))])
    errors = np.abs(lived - expected) / np.sqrt(expected * (1 - expected) / COPIES)
    what = f"exact risk against {COPIES:,} lives from each state: greatest difference, in standard errors"
    return [Check(what, float(errors.max()), 0, MOST_ERRORS, "must agree")]


def _share_admitted(world: World, one: c.Traits, state: int, window: list[c.Day]) -> float:
    course, everyone = world.course, take(one, np.zeros(COPIES, dtype=np.int64))
    now, back, gone = np.full(COPIES, state), np.zeros(COPIES, dtype=np.int64), np.zeros(COPIES, dtype=bool)
    admitted = np.zeros(COPIES, dtype=bool)
    for day in window:
        chances = facts(
            world.config.seed, "check", np.arange(COPIES), np.full(COPIES, HORIZON_DAYS * state + day.number)
        )
        home = (back <= day.number) & ~gone
        now = np.where(home, c.move(course, chances, now, everyone, day), now)
        what = np.where(home, c.happen(course, chances, now, everyone, day, np.ones(COPIES)), c.NOTHING)
        admitted |= what == c.EMERGENCY
        gone |= np.isin(what, (c.EMERGENCY, c.DEATH))
        away = np.flatnonzero(what == c.ELECTIVE)
        back[away] = day.number + 1 + c.elective_nights(world.config.course, chances[away])
    return float(admitted.mean())


def clustered(days: pd.DataFrame, difference: pd.Series) -> float:
    """A sum of differences in standard errors clustered by person."""
    total, error = _summed(days, difference)
    return total / error


def _summed(days: pd.DataFrame, difference: pd.Series) -> tuple[float, float]:
    by_person = difference.groupby(days["person"]).sum()
    return float(by_person.sum()), max(float(np.sqrt((by_person**2).sum())), 1e-12)


def _off(days: pd.DataFrame, risk: str) -> float:
    """By how much a risk is off the true one beyond chance, as a share of it."""
    total, error = _summed(days, days["p9"] - days[risk])
    return max(0.0, abs(total) - MOST_ERRORS * error) / float(days[risk].sum())


def agreements(days: pd.DataFrame) -> list[Check]:
    checks = []
    for risk, name in RISKS.items():
        z = clustered(days, days["happened"] - days[risk])
        checks.append(
            Check(f"mean risk {name}, against outcomes, in clustered standard errors", z, -2, 2, "must agree")
        )
    for risk in ("p9_filter", "p9_in_time"):
        bands = days.groupby(pd.qcut(days[risk], 10), observed=True)
        worst = max(abs(clustered(band, band["p9"] - band[risk])) for _, band in bands)
        what = f"{RISKS[risk]}: greatest difference from the true risk in tenths, in clustered standard errors"
        checks.append(Check(what, worst, 0, MOST_ERRORS, "must agree"))
    tenths = days.groupby(pd.qcut(days["p9_recorded"], 10), observed=True)
    worst = max(_off(tenth, "p9_recorded") for _, tenth in tenths)
    what = f"{RISKS['p9_recorded']}: greatest difference from the true risk in tenths beyond chance, as a share"
    checks.append(Check(what, worst, 0, MOST_OFF, "approximate"))
    aurocs = [auroc(days["happened"].to_numpy(), days[risk].to_numpy()) for risk in RISKS]
    spans = ((0.85, 0.90), (0.76, 0.85), (0.75, 0.82), (0.74, 0.81))
    for name, found, (least, most) in zip(RISKS.values(), aurocs, spans, strict=True):
        checks.append(Check(f"AUROC of the risk {name}", found, least, most, "chosen difficulty"))
    return checks


def auroc(happened: Floats, risk: Floats) -> float:
    """Not a number where everything or nothing happened."""
    ranks = pd.Series(risk).rank().to_numpy()
    positive = happened == 1
    count = int(positive.sum())
    below = ranks[positive].sum() - count * (count + 1) / 2
    return float(below / (count * (len(risk) - count))) if 0 < count < len(risk) else float("nan")


def _rates(records: Records, days: pd.DataFrame) -> list[Check]:
    world, people, happened = records.world, records.people, days["happened"]
    nursing = days["team_id"].isin(
        [n for n, t in zip(world.teams.names, world.teams.type, strict=True) if t == v.NURSING]
    )
    care_home = pd.Series(people.care_home[days["person"]], index=days.index)
    home = days["state"].str.startswith("newly_home")
    rows = (
        ("nine-day rate, everybody", happened.mean(), 0.008, 0.03, "triangulated in docs/world.md: 1-2%"),
        ("nine-day rate, district nursing", happened[nursing].mean(), 0.008, 0.03, "triangulated: 0.8-3.0%"),
        ("nine-day rate, care homes", happened[care_home].mean(), 0.008, 0.035, "[1]: 0.70 a year, 1.7%"),
        (
            "newly home, times the rate of the others",
            happened[home].mean() / happened[~home].mean(),
            1.3,
            6,
            "raised after discharge",
        ),
        *_hospital(records),
    )
    return [Check(what, float(found), least, most, source) for what, found, least, most, source in rows]


def _hospital(records: Records) -> list[tuple[str, float, float, float, str]]:
    log, config = records.journal.stays, records.world.config
    nights = log["nights"][log["emergency"] == 1]
    years = config.places * records.journal.cuts["day"].max() / 365
    return [
        ("emergency stays that end within the day", float((nights == 0).mean()), 0.25, 0.35, "usual practice"),
        ("mean nights of the others", float(nights[nights > 0].mean()), 8, 10, "usual practice"),
        ("deaths a place and year", len(records.journal.deaths) / years, 0.10, 0.30, "usual practice: 15-25%"),
        ("emergency admissions a place and year", len(nights) / years, 0.3, 1.0, "[1]: 0.7 in care homes"),
    ]


def _practice(records: Records) -> list[Check]:
    contacts = records.contacts
    status = contacts.status[(contacts.kind == v.VISIT) & (contacts.status != v.PLANNED)]
    signs = contacts.signs[contacts.signs >= 0]
    whose = contacts.person[contacts.signs >= 0]
    score = news2(vital_signs_of(records.journal, signs), records.people.lung_disease[whose])
    late = (contacts.recorded_at - contacts.start)[contacts.seen] / 86_400
    provider = status == v.PROVIDER_CANCELLED
    rows = (
        ("planned visits without access", (status == v.NO_ACCESS).mean(), 0.01, 0.05, "usual practice: 1-3%"),
        (
            "planned visits the person cancels",
            (status == v.PATIENT_CANCELLED).mean(),
            0.02,
            0.06,
            "usual practice: 3-6%",
        ),
        ("planned visits the service cancels", provider.mean(), 0.03, 0.12, "usual practice: 3-10%"),
        ("median NEWS2", np.median(score), 1, 3, "[4]: 2 in care homes"),
        ("NEWS2 of 5 and more", (score >= 5).mean(), 0.05, 0.20, "[4]: 12% in care homes"),
        ("median days until a visit is on record", np.median(late), 0, 0.5, "usual practice: hours"),
        ("visits on record after more than 2 days", (late > 2).mean(), 0.05, 0.25, "assumed, with a real tail"),
    )
    return [Check(what, float(found), least, most, source) for what, found, least, most, source in rows]
