"""What the trust and the hospital know, before anything goes wrong with it."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator.activities import Activities, make_activities, observed_frailty
from pipelines.simulator.chance import Floats, Ints
from pipelines.simulator.contacts import Contacts, contact_rows, make_contacts
from pipelines.simulator.hospital import Attendances, Stays, make_attendances, make_stays
from pipelines.simulator.journal import Life
from pipelines.simulator.people import People
from pipelines.simulator.places import Journal, World
from pipelines.simulator.referrals import Deaths, Referrals, make_deaths, make_referrals


@dataclass(frozen=True)
class Records:
    """Everything by number: people, their referrals, contacts, activities and hospital records. `acted`: the simulated
    day on which each contact came about, which never falls."""

    world: World
    journal: Journal
    people: People
    stays: Stays
    attendances: Attendances
    deaths: Deaths
    referrals: Referrals
    contacts: Contacts
    acted: Ints
    activities: Activities
    frailty_score: Floats
    """Found on referral, by person; not a number where nobody asked."""

    def contacts_of(self, day: int) -> Ints:
        """The contacts that came about on a day."""
        return np.arange(*np.searchsorted(self.acted, (day, day + 1)))

    def activities_of(self, contacts: Ints) -> Ints:
        """The activities of some consecutive contacts."""
        if len(contacts) == 0:
            return contacts
        return np.arange(*np.searchsorted(self.activities.contact, (contacts[0], contacts[-1] + 1)))


def make_records(life: Life) -> Records:
    world, journal, people = life.world, life.journal, life.people
    stays = make_stays(world, journal, people)
    deaths = make_deaths(world, journal, people, stays)
    referrals = make_referrals(world, journal, people, deaths)
    rows = contact_rows(life)
    contacts = make_contacts(world, rows, people, referrals)
    return Records(
        world=world,
        journal=journal,
        people=people,
        stays=stays,
        attendances=make_attendances(world, journal, people, stays),
        deaths=deaths,
        referrals=referrals,
        contacts=contacts,
        acted=rows["acted"],
        activities=make_activities(world, journal, people, contacts, rows["day"]),
        frailty_score=observed_frailty(world, people),
    )
