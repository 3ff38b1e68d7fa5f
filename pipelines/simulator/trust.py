"""The whole simulated trust: one world and the records made of it."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from pipelines.simulator import faults as f
from pipelines.simulator.activities import Activities, make_activities, observed_frailty
from pipelines.simulator.columns import chain
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.contacts import Contacts, make_contacts
from pipelines.simulator.hospital import Attendances, Stays, make_attendances, make_stays
from pipelines.simulator.journal import Journal, keep_journal
from pipelines.simulator.names import nhs_numbers
from pipelines.simulator.people import Floats, Ints, People, Teams, draw_teams
from pipelines.simulator.referrals import Deaths, Referrals, make_deaths, make_main, make_urgent, urgent_episodes


@dataclass(frozen=True)
class Trust:
    """Everything by number: people, their referrals (`Referrals`), contacts, activities and hospital records."""

    config: SimulatorConfig
    teams: Teams
    journal: Journal
    people: People
    nhs_number: Ints
    traced: Ints
    frailty_score: Floats
    deaths: Deaths
    referrals: Referrals
    referral_number: Ints
    contacts: Contacts
    unspoilt: Contacts
    """The same contacts before their particulars were spoilt."""
    activities: Activities
    stays: Stays
    attendances: Attendances
    rows: np.random.SeedSequence
    """For what is drawn row by row when the files are laid out."""


@dataclass(frozen=True)
class Streams:
    """One stream of randomness for each part, so that no part's draws move another's."""

    teams: np.random.SeedSequence
    world: np.random.SeedSequence
    contacts: np.random.SeedSequence
    hospital: np.random.SeedSequence
    emergency: np.random.SeedSequence
    referrals: np.random.SeedSequence
    activities: np.random.SeedSequence
    people: np.random.SeedSequence
    stop: np.random.SeedSequence
    liaison: np.random.SeedSequence
    outage: np.random.SeedSequence
    status: np.random.SeedSequence
    mechanism: np.random.SeedSequence
    durations: np.random.SeedSequence
    contact_numbers: np.random.SeedSequence
    referral_numbers: np.random.SeedSequence
    traced: np.random.SeedSequence
    rows: np.random.SeedSequence


def streams_of(seed: int) -> Streams:
    return Streams(*np.random.SeedSequence(seed).spawn(len(fields(Streams))))


def build_trust(config: SimulatorConfig, progress: Callable[[float], None]) -> Trust:
    streams = streams_of(config.seed)
    teams = draw_teams(_rng(streams.teams), config)
    stopped = f.stopped_team(config, teams, _rng(streams.stop))
    journal = keep_journal(config, teams, stopped, streams.world, progress)
    stays = make_stays(journal, config.start, _rng(streams.hospital))
    attendances = make_attendances(journal, stays, config.start, _rng(streams.emergency))
    episodes = urgent_episodes(journal, config.seed)
    referral_rng = _rng(streams.referrals)
    deaths = make_deaths(journal, stays, config.start, referral_rng)
    main = make_main(journal, deaths, config.start, referral_rng)
    urgent = make_urgent(episodes, journal.people.team, teams, config.start, referral_rng)
    referrals = chain([main, urgent])
    contacts = make_contacts(journal, episodes, urgent.team, teams, config.start, _rng(streams.contacts))
    contacts = f.add_liaison_calls(contacts, stays, main, teams, config.faults, _rng(streams.liaison))
    contacts = f.lose_outcomes(contacts, config, teams, _rng(streams.outage))
    activities = make_activities(contacts, journal.people, config.faults, _rng(streams.activities))
    people_rng = _rng(streams.people)
    return Trust(
        config=config,
        teams=teams,
        journal=journal,
        people=journal.people,
        nhs_number=nhs_numbers(people_rng, len(journal.people)),
        traced=f.traced_from(main, len(journal.people), config.start, config.faults, _rng(streams.traced)),
        frailty_score=observed_frailty(journal.people, people_rng),
        deaths=deaths,
        referrals=referrals,
        referral_number=f.reuse_referral_numbers(referrals, config.faults, _rng(streams.referral_numbers)),
        contacts=_spoil(contacts, activities, teams, config, streams),
        unspoilt=contacts,
        activities=activities,
        stays=stays,
        attendances=attendances,
        rows=streams.rows,
    )


def _spoil(
    contacts: Contacts, activities: Activities, teams: Teams, config: SimulatorConfig, streams: Streams
) -> Contacts:
    faults = config.faults
    contacts = f.spoil_status(contacts, teams, faults, _rng(streams.status))
    contacts = f.spoil_mechanism(contacts, faults, _rng(streams.mechanism))
    contacts = f.spoil_durations(contacts, faults, _rng(streams.durations))
    parents = np.unique(activities.contact)
    return f.reuse_contact_numbers(contacts, parents, faults, _rng(streams.contact_numbers))


def _rng(sequence: np.random.SeedSequence) -> np.random.Generator:
    return np.random.default_rng(sequence)
