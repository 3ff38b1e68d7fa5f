"""What goes wrong with the records.

Every fault draws chances of its own, so switching one leaves the world as it was: states, stays and risks. The one
exception is the stop of vital signs, because teams act on what they measure.
"""

from dataclasses import replace

import numpy as np

from pipelines.simulator import vocabulary as v
from pipelines.simulator.calendar import DAY, HOUR, NONE
from pipelines.simulator.chance import Facts, Flags, Floats, Ints, facts
from pipelines.simulator.columns import chain, take
from pipelines.simulator.config import CUT_HOUR
from pipelines.simulator.contacts import Contacts, number_of
from pipelines.simulator.places import World
from pipelines.simulator.records import Records
from pipelines.simulator.referrals import Referrals
from pipelines.simulator.sheet import Sheet, stamp

CORRECTED_DURATIONS = 0.4
ABLE_TO_TAKE = 0.115
"""About the share of contacts that can be given another's identifier: every other call or note."""
LEAST_SHARE, MOST_SHARE = 0.22, 1.70
"""Between teams, attendance is left out at so many times the mean rate."""


def spoilt_contacts(records: Records) -> Contacts:
    """All contacts as the files will tell them, with those that never were."""
    parts = [records.contacts, _liaison_calls(records), _errors(records)]
    contacts = lose_outcomes(chain(parts), records.world)
    own = facts(records.world.config.seed, "contact fault", contacts.number)
    contacts = _spoil_durations(_spoil_status(contacts, own, records.world), own, records.world)
    missing = own.happens("mechanism", records.world.config.faults.mechanism_missing)
    contacts = replace(contacts, mechanism=np.where(missing, -1, contacts.mechanism))
    return _reuse_numbers(contacts, own, records.world)


def _liaison_calls(records: Records) -> Contacts:
    """Calls from the ward, dated the day before an emergency admission and recorded one to three days after it."""
    stays, referrals, world = records.stays, records.referrals, records.world
    own = facts(world.config.seed, "liaison", stays.number)
    before = (stays.admitted // DAY - 1) * DAY + own.whole("minute", 9 * HOUR, 17 * HOUR)
    called = stays.emergency & stays.reported & own.happens("calls", world.config.faults.liaison_call)
    chosen = np.flatnonzero(called & _open_at(referrals, stays.person, before, stays.admitted))
    person, start = stays.person[chosen], before[chosen]
    count = len(person)
    return Contacts(
        person=person,
        referral=person,
        team=world.changes.team_on(referrals.team[person], start // DAY - world.epoch_day),
        kind=np.full(count, v.LIAISON),
        state=np.zeros(count, dtype=np.int64),
        start=start,
        status=np.full(count, v.ATTENDED),
        duration=np.full(count, 10),
        first_duration=np.full(count, 10),
        mechanism=np.full(count, v.TELEPHONE),
        location=np.full(count, -1),
        proxy=np.ones(count, dtype=bool),
        signs=np.full(count, -1),
        cancelled=np.full(count, -1),
        planned_at=np.full(count, NONE),
        recorded_at=stays.admitted[chosen] + own.whole("late", 1, 4)[chosen] * DAY,
        corrected_at=np.full(count, NONE),
        deleted_at=np.full(count, NONE),
        number=number_of(person, start // DAY - world.epoch_day, np.full(count, v.LIAISON)),
    )


def _open_at(referrals: Referrals, person: Ints, first: Ints, last: Ints) -> Flags:
    """Whether each person's main referral was open from one moment to another."""
    closed = referrals.closed[person]
    return np.asarray((referrals.recorded[person] < first) & ((closed == NONE) | (closed > last)))


def _errors(records: Records) -> Contacts:
    """Visits entered on another person's referral as well, and deleted some days later."""
    world, contacts = records.world, records.contacts
    own = facts(world.config.seed, "error", contacts.number)
    other = own.whole("other", 0, np.maximum(contacts.person, 1))
    wrong = contacts.seen & (contacts.kind == v.VISIT) & own.happens("wrong", world.config.faults.recorded_in_error)
    wrong &= _open_at(records.referrals, other, contacts.start, contacts.recorded_at) & (other != contacts.person)
    chosen = np.flatnonzero(wrong)
    entered = take(contacts, chosen)
    return replace(
        entered,
        person=other[chosen],
        referral=other[chosen],
        kind=np.full(len(chosen), v.ERROR),
        signs=np.full(len(chosen), -1),
        planned_at=np.full(len(chosen), NONE),
        corrected_at=np.full(len(chosen), NONE),
        deleted_at=entered.recorded_at + own.whole("found", 1, 11)[chosen] * DAY,
        number=number_of(entered.person, entered.day_from(world.epoch_day), np.full(len(chosen), v.ERROR)),
    )


def lose_outcomes(contacts: Contacts, world: World) -> Contacts:
    """An outage: what one team did in those days was never written up; what was planned stays planned."""
    day, outage = contacts.day_from(world.epoch_day), world.changes.outage
    lost = (contacts.team == world.changes.lost) & (day >= outage.start) & (day < outage.stop)
    return replace(
        contacts,
        recorded_at=np.where(lost, NONE, contacts.recorded_at),
        corrected_at=np.where(lost, NONE, contacts.corrected_at),
        deleted_at=np.where(lost, NONE, contacts.deleted_at),
    )


def _missing_rates(world: World) -> Floats:
    """By team, the share of contacts without attendance; one team never leaves it out."""
    own = facts(world.config.seed, "attendance", np.arange(len(world.teams.type)))
    rate = world.config.faults.attendance_missing * (LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * own.uniform("share"))
    rate[np.argmin(own.uniform("careful"))] = 0
    return rate


def _spoil_status(contacts: Contacts, own: Facts, world: World) -> Contacts:
    """Leave out attendance, and in some teams code no access as cancelled by the provider."""
    order = np.argsort(facts(world.config.seed, "mixes up", np.arange(len(world.teams.type))).uniform("order"))
    mixers = order[: world.config.faults.no_access_as_cancelled]
    mixed = np.isin(contacts.team, mixers) & (contacts.status == v.NO_ACCESS)
    missing = own.happens("attendance", _missing_rates(world)[contacts.team]) & (contacts.status != v.PLANNED)
    return replace(
        contacts,
        status=np.select([missing, mixed], [-1, v.PROVIDER_CANCELLED], contacts.status),
        cancelled=np.where(mixed, contacts.start // DAY, contacts.cancelled),
    )


def _spoil_durations(contacts: Contacts, own: Facts, world: World) -> Contacts:
    """Zero and 999 minutes; some are put right up to three weeks later."""
    faults, draw = world.config.faults, own.uniform("duration")
    held = (contacts.duration >= 0) & (contacts.recorded_at != NONE) & (contacts.kind != v.ERROR)
    zero, huge = held & (draw < faults.duration_zero), held & (draw >= 1 - faults.duration_999)
    wrong = np.select([zero, huge], [0, 999], -1)
    corrected = (wrong >= 0) & own.happens("put right", CORRECTED_DURATIONS)
    kept = (wrong >= 0) & ~corrected
    later = contacts.recorded_at + own.whole("days", 2, 21) * DAY
    return replace(
        contacts,
        first_duration=np.where(wrong >= 0, wrong, contacts.first_duration),
        duration=np.where(kept, wrong, contacts.duration),
        corrected_at=np.select([corrected, kept], [later, NONE], contacts.corrected_at),
    )


def _reuse_numbers(contacts: Contacts, own: Facts, world: World) -> Contacts:
    """Give some contacts the identifier of an earlier contact of another referral. Only calls and notes take part: they
    have no activities, and an activity names its contact by identifier alone."""
    able = np.flatnonzero(np.isin(contacts.kind, (v.CALL, v.NOTE)))
    rank = np.arange(len(able))
    share = min(1.0, world.config.faults.contact_id_reused / ABLE_TO_TAKE)
    takers = rank[(rank % 2 == 1) & own[able].happens("reused", share)]
    givers = 2 * own[able[takers]].whole("giver", 0, np.maximum(takers // 2, 1))
    _, once = np.unique(givers, return_index=True)
    takers, givers = able[takers[once]], able[givers[once]]
    apart = contacts.referral[takers] != contacts.referral[givers]
    number = contacts.number.copy()
    number[takers[apart]] = contacts.number[givers[apart]]
    return replace(contacts, number=number)


def reused_referral_numbers(referrals: Referrals, world: World) -> Ints:
    """The printed number of each referral: some have that of another person's referral closed before they came."""
    own = facts(world.config.seed, "referral fault", referrals.number)
    takers = np.flatnonzero(own.happens("reused", world.config.faults.referral_id_reused))
    closed = np.flatnonzero(referrals.closed_recorded != NONE)
    closed = closed[np.argsort(referrals.closed_recorded[closed], kind="stable")]
    takers = takers[np.argsort(referrals.received[takers], kind="stable")]
    number = referrals.number.copy()
    earlier = np.searchsorted(referrals.closed_recorded[closed], referrals.received[takers])
    takers, earlier = takers[earlier > 0], earlier[earlier > 0]
    if len(takers) == 0:
        return number
    givers = closed[own[takers].whole("giver", 0, earlier)]
    fit = (referrals.person[givers] != referrals.person[takers]) & ~np.isin(givers, takers)
    _, once = np.unique(givers, return_index=True)
    fit &= np.isin(np.arange(len(takers)), once)
    number[takers[fit]] = referrals.number[givers[fit]]
    return number


def duplicate_rows(sheet: Sheet, world: World) -> Sheet:
    """Write some rows twice."""
    own = facts(world.config.seed, sheet.name, sheet.key, sheet.recorded)
    again = np.flatnonzero(own.happens("twice", world.config.faults.duplicate_rows))
    return sheet.take(np.concatenate([np.arange(len(sheet)), again])) if len(again) else sheet


def stop_feed(sheet: Sheet, world: World) -> Sheet:
    """What the community feed would have brought during its stop comes at its end, in the same order."""
    stop = world.changes.feed_stop
    first, last = ((world.epoch_day + day) * DAY + CUT_HOUR * HOUR for day in (stop.start, stop.stop))
    if first == last:
        return sheet
    within = (sheet.recorded >= first) & (sheet.recorded < last)
    pressed = last - HOUR + (sheet.recorded - first) * HOUR // (last - first)
    recorded = np.where(within, pressed, sheet.recorded)
    return replace(sheet, recorded=recorded, fields={**sheet.fields, "Recorded_DateTime": stamp(recorded)})


def flagged(own: Facts, what: str, rate: float) -> Ints:
    """1 for the share `rate` of facts, else 0."""
    return own.happens(what, rate).astype(np.int64)
