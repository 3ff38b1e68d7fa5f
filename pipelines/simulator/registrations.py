"""Under which local numbers people are known. Some are registered without their NHS number; some are registered again
when another service takes them on, which comes out when the number is traced."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulator.calendar import DAY, NONE
from pipelines.simulator.chance import Ints, facts
from pipelines.simulator.places import World
from pipelines.simulator.referrals import SERVICE_NUMBERS, Referrals

SECOND_NUMBERS = 5_000_000
"""The first local number of a second registration; the people's own count from 0."""


@dataclass(frozen=True)
class Registrations:
    """The first are the people's own, in their order; then the second ones. `of_referral`: under which one each
    referral runs. `traced`: when the NHS number was found, NONE where it was there from the start."""

    person: Ints
    number: Ints
    recorded: Ints
    traced: Ints
    of_referral: Ints

    def __len__(self) -> int:
        return len(self.person)


def make_registrations(world: World, referrals: Referrals, people: int) -> Registrations:
    faults, seed = world.config.faults, world.config.seed
    services = np.arange(people, len(referrals))
    again = services[
        facts(seed, "registered twice", referrals.number[services]).happens("again", faults.registered_twice)
    ]
    own = facts(seed, "traced", np.arange(people))
    untraced = own.happens("untraced", faults.untraced) & (referrals.recorded[:people] >= world.epoch_day * DAY)
    traced = np.where(untraced, referrals.recorded[:people] + own.whole("days", 2, 61) * DAY, NONE)
    second = facts(seed, "traced again", referrals.number[again])
    found = referrals.recorded[again] + second.whole("days", 2, 61) * DAY
    of_referral = referrals.person.copy()
    of_referral[again] = people + np.arange(len(again))
    return Registrations(
        person=np.concatenate([np.arange(people), referrals.person[again]]),
        number=np.concatenate([np.arange(people), SECOND_NUMBERS + referrals.number[again] - SERVICE_NUMBERS]),
        recorded=np.concatenate([referrals.recorded[:people], referrals.recorded[again]]),
        traced=np.concatenate([traced, found]),
        of_referral=of_referral,
    )
