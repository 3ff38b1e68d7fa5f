"""What a team does on a day: planned and unscheduled visits, calls, notes; and what it makes of them when they are
written up."""

import numpy as np

from pipelines.simulator import places as p
from pipelines.simulator import rates
from pipelines.simulator import vocabulary as v
from pipelines.simulator.chance import Flags, Ints
from pipelines.simulator.course import NOTHING, Day
from pipelines.simulator.diary import enter
from pipelines.simulator.places import PENDING, RING, Journal, Places, World
from pipelines.simulator.readings import news2
from pipelines.simulator.teams import short_of_staff, vital_sign_shares


def contact_people(world: World, places: Places, journal: Journal, day: Day, present: Flags, what: Ints) -> None:
    """Today's contacts. `present`: at home and on the caseload; `what` happened to each place today."""
    slot = day.number % RING
    due = places.booked[:, slot] >= 0
    here = np.flatnonzero(present)
    chances = world.of("contact", places.who.soul[here], day.number)
    state, team = places.state[here], places.who.team[here]
    eager = rates.eagerness(world, places.who.eagerness[here], day.number)
    alarmed = _visit(world, places, journal, day, np.flatnonzero(due & present))
    _miss(world, places, journal, day, np.flatnonzero(due & ~present), what)
    places.booked[:, slot] = -1
    called = here[chances.happens("calls", rates.at_least_one(rates.calls(world, eager, team, state)))]
    _record(places, journal, day, called, v.CALL)
    _record(places, journal, day, here[chances.happens("note", world.config.contacts.notes)], v.NOTE)
    onward = here[chances.happens("onward", rates.onward(world, state))]
    journal.onward.add(person=places.person[onward], day=day.number)
    asked = here[chances.happens("unscheduled", rates.at_least_one(rates.unscheduled(world, eager, team, state)))]
    _open_urgent(world, places, journal, day, asked)
    also = _see(world, places, journal, day, asked, v.UNSCHEDULED, service=places.urgent[asked])
    open_to = rates.recognisable(places)[here]
    known = here[open_to & chances.happens("recognised", rates.recognised(world, state))]
    journal.recognised.add(person=places.person[known], day=day.number)
    _write_up(world, places, day, asked, np.concatenate([alarmed, also]), known)


def _visit(world: World, places: Places, journal: Journal, day: Day, due: Ints) -> Ints:
    """Booked visits to people at home. The places whose vital signs alarm."""
    team, state = places.who.team[due], places.state[due]
    chances = world.of("visit", places.who.soul[due], day.number)
    chance = [rates.no_access(world, team, state), rates.patient_cancels(world, state)]
    edges = np.cumsum([*chance, np.full(len(due), rates.provider_cancels(world, day.number))], axis=0)
    status = np.select(
        list(chances.uniform("status") < edges), (v.NO_ACCESS, v.PATIENT_CANCELLED, v.PROVIDER_CANCELLED), v.ATTENDED
    )
    short = short_of_staff(world.config, team, day.number, day.shock)
    put_off = (status == v.ATTENDED) & short & chances.happens("postponed", world.config.practice.postponed)
    status = np.where(put_off, v.PROVIDER_CANCELLED, status)
    missed = status != v.ATTENDED
    booked = places.booked[due, day.number % RING]
    service = places.booked_by[due, day.number % RING]
    _record(
        places,
        journal,
        day,
        due[missed],
        v.VISIT,
        status=status[missed],
        booked=booked[missed],
        service=service[missed],
    )
    alarmed = _see(
        world,
        places,
        journal,
        day,
        due[~missed],
        v.VISIT,
        booked=booked[~missed],
        service=service[~missed],
    )
    enter(places, due[put_off], day.number, chances.whole("until", 1, 4)[put_off])
    return alarmed


def _see(
    world: World,
    places: Places,
    journal: Journal,
    day: Day,
    seen: Ints,
    kind: int,
    service: Ints,
    booked: Ints | int = -1,
) -> Ints:
    """Record visits that took place, some with vital signs; the places whose score alarms."""
    people, team = places.who, places.who.team[seen]
    share = vital_sign_shares(world.config, world.teams, world.changes, day.number)[team]
    more = world.config.practice.vital_signs_unscheduled if kind == v.UNSCHEDULED else 0.0
    chances = world.of(v.KINDS[kind], people.soul[seen], day.number)
    measured = chances.happens("vital signs", np.where(share > 0, share + more, 0.0))
    taken = seen[measured]
    signs = world.vital_signs.draw(chances[measured], people.usual[taken], places.state[taken])
    columns = {f"v{rank}": np.rint(10 * column) for rank, column in enumerate(signs.T)}
    number = np.full(len(seen), -1)
    number[measured] = journal.vital_signs.add(**columns)
    _record(places, journal, day, seen, kind, booked=booked, service=service, signs=number)
    return taken[news2(signs, people.lung_disease[taken]) >= world.config.contacts.alarm_score]


def _miss(world: World, places: Places, journal: Journal, day: Day, due: Ints, what: Ints) -> None:
    """Booked visits to people in hospital or just gone: on the first day the team may find nobody in."""
    chances = world.of("visit", places.who.soul[due], day.number)
    surprised = (what[due] != NOTHING) & chances.happens("surprised", 0.4)
    status = np.where(surprised, v.NO_ACCESS, v.PROVIDER_CANCELLED)
    booked = places.booked[due, day.number % RING]
    service = places.booked_by[due, day.number % RING]
    _record(places, journal, day, due, v.VISIT, status=status, booked=booked, service=service)


def _record(
    places: Places,
    journal: Journal,
    day: Day,
    where: Ints,
    kind: int,
    *,
    status: Ints | int = v.ATTENDED,
    booked: Ints | int = -1,
    service: Ints | int = -1,
    signs: Ints | int = -1,
) -> None:
    person, state, number = places.person[where], places.state[where], day.number
    journal.contacts.add(
        person=person,
        day=number,
        kind=kind,
        state=state,
        booked=booked,
        acted=number,
        status=status,
        service=service,
        signs=signs,
    )


def _write_up(world: World, places: Places, day: Day, asked: Ints, alarmed: Ints, known: Ints) -> None:
    """Let the day's contacts have their consequences on the day when they are written up."""
    terms = world.config.contacts
    for where, factor in ((alarmed, terms.alarm_boost), (asked, terms.unscheduled_boost)):
        once = np.unique(where)
        slot = (day.number + _days_to_write(world, places, day.number, once)) % PENDING
        places.coming_boost[once, slot] *= factor
    share = world.config.services.hospital_at_home.share
    chosen = np.unique(alarmed)
    chosen = chosen[world.of("service", places.who.soul[chosen], day.number).happens("hospital at home", share)]
    for where, kind in ((chosen, p.HOSPITAL_AT_HOME), (known, p.END_OF_LIFE)):
        slot = (day.number + _days_to_write(world, places, day.number, where)) % PENDING
        places.coming_service[where, slot] = np.maximum(places.coming_service[where, slot], kind)


def _days_to_write(world: World, places: Places, number: int, where: Ints) -> Ints:
    eve = np.full(len(where), int(world.rests(number + 1)))
    return world.write_up.days(places.who.soul[where], np.full(len(where), number), places.who.team[where], eve)


def open_written_services(world: World, places: Places, journal: Journal, day: Day, present: Flags) -> None:
    """Apply what was written up today, and open the services that follow from it; end those whose time is over."""
    terms, slot = world.config.contacts, day.number % PENDING
    places.boost[:] = 1 + (places.boost - 1) * (1 - terms.boost_fades)
    places.boost[:] = np.minimum(places.boost * places.coming_boost[:, slot], terms.most_boost)
    over = places.service_ends == day.number
    places.service[over], places.service_kind[over] = -1, p.NO_SERVICE
    wanted = places.coming_service[:, slot]
    at_home = present & (wanted == p.HOSPITAL_AT_HOME) & (places.service_kind == p.NO_SERVICE)
    dying = present & (wanted == p.END_OF_LIFE) & rates.recognisable(places)
    open_service(world, places, journal, day.number, np.flatnonzero(at_home), p.HOSPITAL_AT_HOME)
    open_service(world, places, journal, day.number, np.flatnonzero(dying), p.END_OF_LIFE)
    places.coming_boost[:, slot], places.coming_service[:, slot] = 1.0, p.NO_SERVICE


def open_service(world: World, places: Places, journal: Journal, number: int, where: Ints, kind: int) -> None:
    """Refer people to a service, which visits from now on; who has end of life care keeps it."""
    where = where[places.service_kind[where] != p.END_OF_LIFE]
    terms = world.config.services
    days = (terms.urgent, terms.intermediate_care, terms.hospital_at_home, terms.end_of_life)[kind].days
    last = number + world.of("service", places.who.soul[where], number).whole("days", *days)
    places.service[where] = journal.services.add(person=places.person[where], kind=kind, first=number, last=last)
    places.service_kind[where], places.service_ends[where] = kind, last


def _open_urgent(world: World, places: Places, journal: Journal, day: Day, asked: Ints) -> None:
    """Some unscheduled visits are urgent response's, and open a referral to it unless one is open."""
    terms = world.config.services.urgent
    chances = world.of("urgent", places.who.soul[asked], day.number)
    fresh = (places.urgent_ends[asked] < day.number) & chances.happens("refers", terms.share)
    places.urgent[asked[places.urgent_ends[asked] < day.number]] = -1
    where, last = asked[fresh], day.number + chances.whole("days", *terms.days)[fresh]
    places.urgent[where] = journal.services.add(person=places.person[where], kind=p.URGENT, first=day.number, last=last)
    places.urgent_ends[where] = last
