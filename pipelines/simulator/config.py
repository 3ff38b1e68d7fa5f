"""What a simulated trust is made of: its size, its calendar, its seed and what goes wrong with its records."""

from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CUT_HOUR = 6
"""Extracts are cut at this hour of the local day; the simulated day also runs from this hour to the next."""

HORIZON_DAYS = 9
FILTER_DAYS = 60
"""How long before the first written truth the filter begins to watch."""

Rate = Annotated[float, Field(ge=0, le=1)]
Provider = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,6}$")]


class Faults(BaseModel):
    """What goes wrong. Each is a rate (a share of the rows it can befall) or a number of teams or days; 0 is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attendance_missing: Annotated[float, Field(ge=0, le=0.3)] = 0.08
    """Share of contacts without attendance status; one team never leaves it out, two do so three times as often."""
    mechanism_missing: Rate = 0.05
    contact_id_reused: Rate = 0.0135
    """Contacts that carry the identifier of a contact of another referral; neither has activities."""
    referral_id_reused: Rate = 0.002
    """Referrals that carry the identifier of another person's closed referral."""
    team_id_missing: Rate = 0.10
    """Second service rows (specialist or urgent team) without a team."""
    lower_case_practice: Rate = 0.19
    zero_padding: Rate = 0.06
    """Codes padded where others are not (attendance 05) and bare where others are padded (mechanism 1)."""
    code_missing: Rate = 0.04
    """Observations with a value and no code."""
    unit_unresolvable: Rate = 0.10
    """Share of given units that are no unit."""
    duplicate_rows: Rate = 0.01
    duration_zero: Rate = 0.03
    duration_999: Rate = 0.005
    liaison_call: Rate = 0.25
    """Emergency admissions with a call dated the day before and recorded one to three days after."""
    untraced: Rate = 0.01
    """People first registered without their NHS number, which is traced two to sixty days later."""
    news_stop_days: Annotated[int, Field(ge=0)] = 60
    """Length of the spell in which one team records no NEWS."""
    outage_days: Annotated[int, Field(ge=0)] = 4
    """Length of the outage in which one team's visits leave no outcome."""
    no_access_as_cancelled: Annotated[int, Field(ge=0)] = 1
    """Number of teams that code no access as cancelled by the provider."""

    @staticmethod
    def none() -> "Faults":
        return Faults.model_validate(dict.fromkeys(Faults.model_fields, 0))


class SimulatorConfig(BaseModel):
    """One trust.

    places: caseload places kept filled, spread unevenly over the teams. days: length of the recorded history; the
    last drop is cut `days` days after `start`. daily_drops: how many of the last days come as one drop a day, the
    rest being one history load. truth_days: how many of the last cuts have their exact risks written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: Annotated[int, Field(ge=50, le=100_000)] = 4000
    days: Annotated[int, Field(ge=60, le=4000)] = 560
    teams: Annotated[int, Field(ge=10, le=40)] = 12
    daily_drops: Annotated[int, Field(ge=0, le=60)] = 5
    start: date = date(2024, 7, 1)
    seed: Annotated[int, Field(ge=0)] = 9
    truth_days: Annotated[int, Field(ge=1, le=400)] = 60
    provider: Provider = "ZZ1"
    hospital: Provider = "ZZ2"
    faults: Faults = Faults()

    @property
    def last_day(self) -> date:
        """The day of the last drop, for which the list is made."""
        return self.date_of(self.days)

    def date_of(self, number: int) -> date:
        """The date of a simulated day."""
        return self.start + timedelta(days=number)

    @property
    def first_cut(self) -> int:
        """Days from `start` to the cut of the history load."""
        return self.days - self.daily_drops

    @property
    def first_noted_cut(self) -> int:
        """The cut from which the journal notes who is where; the filter starts there."""
        return max(1, self.first_truth_day - FILTER_DAYS)

    @property
    def first_truth_day(self) -> int:
        return max(1, self.days - self.truth_days + 1)
