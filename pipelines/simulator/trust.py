"""The whole simulated trust: what is on record, with what went wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.simulator.activities import Activities, with_units
from pipelines.simulator.chance import Ints
from pipelines.simulator.config import SimulatorConfig
from pipelines.simulator.contacts import Contacts
from pipelines.simulator.faults import reused_referral_numbers, spoilt_contacts
from pipelines.simulator.journal import Life, live_through
from pipelines.simulator.names import nhs_numbers
from pipelines.simulator.records import Records, make_records
from pipelines.simulator.registrations import Registrations, make_registrations


@dataclass(frozen=True)
class Trust:
    """`records` are as they should be; the rest is as the files tell it."""

    records: Records
    registrations: Registrations
    nhs_number: Ints
    """By person."""
    referral_number: Ints
    contacts: Contacts
    activities: Activities


def build_trust(config: SimulatorConfig, progress: Callable[[float], None]) -> Trust:
    return trust_of(live_through(config, progress))


def numbers_of(life: Life) -> Ints:
    """The NHS number of everybody ever referred."""
    return nhs_numbers(np.random.default_rng(life.world.config.seed), len(life.people))


def trust_of(life: Life) -> Trust:
    """What is on record of a world lived through so far."""
    records = make_records(life)
    world, people = records.world, records.people
    return Trust(
        records=records,
        registrations=make_registrations(world, records.referrals, len(people)),
        nhs_number=numbers_of(life),
        referral_number=reused_referral_numbers(records.referrals, world),
        contacts=spoilt_contacts(records),
        activities=with_units(world, records.contacts, records.activities),
    )
