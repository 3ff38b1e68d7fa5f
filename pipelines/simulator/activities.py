"""What was measured, found or done on visits."""

from dataclasses import dataclass, replace

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.columns import chain, take
from pipelines.simulator.contacts import Contacts
from pipelines.simulator.people import LEVELS, READINGS, VITAL, People
from pipelines.simulator.places import Journal, World
from pipelines.simulator.readings import make_gauges, news2

KINDS = (
    *READINGS[:VITAL],
    "news2",
    "pain",
    "weight",
    "weighed",
    "waterlow",
    "frailty",
    "confusion",
    "wound_worse",
    "plain",
)
NEWS2, PAIN, WEIGHT, WEIGHED, WATERLOW, FRAILTY, CONFUSION, WOUND, PLAIN = range(VITAL, len(KINDS))
"""The first are the vital signs. WEIGHT is a coded observation, WEIGHED the weight file's row."""
OBSERVED = (*range(VITAL), NEWS2, PAIN, WEIGHT)
FOUND = (CONFUSION, WOUND)
NUMBERS = 16
"""Activity numbers that belong to one contact."""
CODED_WEIGHT = 0.3
"""Share of weights that come as coded observations."""

FRAILTY_SCORES = np.array([3, 5, 6, 7])
"""Clinical Frailty Scale by frailty level."""
WRONG_SCORE, MISSING_SCORE = 0.3, 0.2
"""Shares of the scores on referral."""

UNITS = ("/min", "%", "mm[Hg]", "Cel", "{score}", "kg", "g", "[lb_av]", *v.NO_UNITS)
UNIT_OF = {0: 0, 1: 1, 2: 2, 3: 0, 4: 3, NEWS2: 4, PAIN: 4, WEIGHT: 5}
UNIT_VALUES = np.array([1.0, 1000.0, 2.20462])
UNIT_SHARES = (0.9, 0.04, 0.06)
FIRST_NO_UNIT = 8


@dataclass(frozen=True)
class Activities:
    """One entry an activity. contact: its place in `Contacts`; kind: index into `KINDS`; coded: false where the code
    was left out; new_code: written under the code that came later; unit: index into `UNITS`, -1 for none."""

    contact: Ints
    kind: Ints
    value: Floats
    coded: Flags
    new_code: Flags
    unit: Ints

    def __len__(self) -> int:
        return len(self.contact)


def observed_frailty(world: World, people: People) -> Floats:
    """The score on referral: wrong by a level for some, missing for others."""
    own = facts(world.config.seed, "frailty", people.soul)
    wrong = np.where(own.happens("wrong", WRONG_SCORE), 2 * own.whole("way", 0, 2) - 1, 0)
    score = FRAILTY_SCORES[np.clip(people.frailty + wrong, 0, 3)].astype(np.float64)
    return np.where(own.happens("missing", MISSING_SCORE), np.nan, score)


def score_shares() -> Floats:
    """The chance of each score on referral that is not missing (columns), by frailty level (rows)."""
    shares = (1 - WRONG_SCORE) * np.eye(len(LEVELS))
    for way in (-1, 1):
        np.add.at(shares, (LEVELS, np.clip(LEVELS + way, 0, 3)), WRONG_SCORE / 2)
    return shares


def make_activities(world: World, journal: Journal, people: People, contacts: Contacts, day: Ints) -> Activities:
    """`day`: of each contact."""
    seen = np.flatnonzero(contacts.seen)
    row = take(contacts, seen)
    own = facts(world.config.seed, "measured", people.soul[row.person], day[seen], row.kind)
    parts = _vital_signs(world, journal, people, contacts, seen, day)
    parts += _others(world, people, row, own, seen)
    plain = own.happens("plain", world.config.contacts.plain_activities)
    parts.append(_of(seen[plain], PLAIN, np.full(int(plain.sum()), np.nan)))
    joined = chain(parts)
    ordered = take(joined, np.argsort(joined.contact * NUMBERS + joined.kind, kind="stable"))
    late_code = (ordered.kind == PAIN) & (day[ordered.contact] >= world.changes.pain_code)
    return replace(ordered, new_code=late_code)


def _of(contact: Ints, kind: int, value: Floats) -> Activities:
    count = len(contact)
    no, yes = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
    return Activities(contact, np.full(count, kind), value, yes, no, np.full(count, -1))


def _vital_signs(
    world: World, journal: Journal, people: People, contacts: Contacts, seen: Ints, day: Ints
) -> list[Activities]:
    """Five readings each, the total unless a new template leaves it out, and new confusion where there is any."""
    at = seen[contacts.signs[seen] >= 0]
    taken = vital_signs_of(journal, contacts.signs[at])
    parts = [_of(at, rank, taken[:, rank]) for rank in range(VITAL)]
    changes = world.changes
    totalled = ~((contacts.team[at] == changes.templated) & (day[at] >= changes.template))
    total = news2(taken, people.lung_disease[contacts.person[at]]).astype(np.float64)
    confused = at[taken[:, VITAL] == 1]
    return [*parts, _of(at[totalled], NEWS2, total[totalled]), _of(confused, CONFUSION, np.full(len(confused), np.nan))]


def vital_signs_of(journal: Journal, rows: Ints) -> Floats:
    """The readings of the journal's sets of vital signs, and a last column for new confusion."""
    return np.stack([journal.vital_signs.at(f"v{rank}", rows) for rank in range(VITAL + 1)], axis=1) / 10


def wound_chance(world: World) -> Floats:
    """Chance, by state, that a visit to a wound finds it worse."""
    return np.minimum(world.config.wound_worse * world.course.signs["wound_worse"], 0.9)


def _others(world: World, people: People, row: Contacts, own: Facts, seen: Ints) -> list[Activities]:
    gauges, shares = make_gauges(world.config, world.course), world.config.readings_taken
    coded = own.happens("coded weight", CODED_WEIGHT)
    weighed = own.happens("weight taken", shares.weight)
    chosen = {
        PAIN: own.happens("pain taken", shares.pain),
        WEIGHT: weighed & coded,
        WEIGHED: weighed & ~coded,
        WATERLOW: own.happens("waterlow taken", shares.waterlow),
    }
    parts = []
    for kind, which in chosen.items():
        gauge = gauges[READINGS.index("weight" if kind == WEIGHED else KINDS[kind])]
        usual = people.usual[row.person[which], READINGS.index(gauge.name)]
        parts.append(_of(seen[which], kind, gauge.draw(own[which], usual, row.state[which])))
    scored = own.happens("frailty taken", shares.frailty)
    scores = FRAILTY_SCORES[people.frailty[row.person[scored]]].astype(np.float64)
    worse = people.wound[row.person] & own.happens("wound worse", wound_chance(world)[row.state])
    return [*parts, _of(seen[scored], FRAILTY, scores), _of(seen[worse], WOUND, np.full(int(worse.sum()), np.nan))]


def with_units(world: World, contacts: Contacts, activities: Activities) -> Activities:
    """Give values their units, weights not always kilograms; leave out some units and codes and spoil some units."""
    faults, kind = world.config.faults, activities.kind
    own = facts(world.config.seed, "activity", contacts.number[activities.contact], kind)
    usual = np.array([UNIT_OF.get(number, -1) for number in range(len(KINDS))])[kind]
    mass = own.pick("mass", UNIT_SHARES)
    unit = np.where(kind == WEIGHT, usual + mass, usual)
    value = np.where(kind == WEIGHT, np.round(activities.value * UNIT_VALUES[mass], 1), activities.value)
    left_out = (kind != WEIGHT) & own.happens("unit left out", faults.unit_missing)
    nonsense = FIRST_NO_UNIT + own.whole("which", 0, len(v.NO_UNITS))
    spoilt = (unit >= 0) & own.happens("unit spoilt", faults.unit_unresolvable)
    unit = np.select([left_out, spoilt], [-1, nonsense], unit)
    coded = ~(np.isin(kind, OBSERVED) & own.happens("code left out", faults.code_missing))
    return Activities(activities.contact, kind, value, coded, activities.new_code, unit)
