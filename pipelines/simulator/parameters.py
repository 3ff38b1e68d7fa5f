"""What the simulated world is made of, as `configs/worlds/parameters.yaml` gives it: units and sources stand there."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Rate = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Span = tuple[float, float]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signs(Section):
    """How far an illness at severity 1 moves what is seen: factors on counts, chances and odds, shifts of readings."""

    unscheduled: PositiveFloat
    calls: PositiveFloat
    onward: PositiveFloat
    attends: PositiveFloat
    no_access: PositiveFloat
    cancels: PositiveFloat
    minutes: float
    respiratory_rate: float
    oxygen_saturation: float
    systolic: float
    pulse: float
    temperature: float
    confusion: PositiveFloat
    pain: float
    weight: float
    waterlow: float
    wound_worse: PositiveFloat


class Stage(Section):
    days: Annotated[float, Field(ge=1)] | None
    """Mean; None where nothing but death ends it."""
    goes_on: Rate
    emergency: Rate
    death: Rate
    severity: Rate
    susceptible: Factor = 0.0
    """Factor on the onset of illnesses; 0 where there can be no second one."""


class Chain(Section):
    stages: Annotated[list[Stage], Field(min_length=1)]
    signs: Signs


class Illness(Chain):
    onset: Rate
    frailty: float
    season: Rate
    shock: Factor
    lasting: bool = False


class Well(Section):
    emergency: Rate
    death: Rate


class Condition(Section):
    illness: str
    present: Factor = Field(alias="with")
    absent: Factor = Field(alias="without")


class Drift(Section):
    """From a date on the emergency hazard is `factor` times what it was, and nothing that is recorded says so."""

    since: date | None = None
    factor: PositiveFloat = 1.0


class EmergencyTerms(Section):
    frailty: float
    conditions: float
    deprivation: float
    age: float
    winter: Rate
    weekday: Annotated[list[PositiveFloat], Field(min_length=7, max_length=7)]
    drift: Drift = Drift()


class HospitalTerms(Section):
    zero_night: Rate
    nights: PositiveFloat
    death: Annotated[list[Rate], Field(min_length=4, max_length=4)]


class CourseTerms(Section):
    stable: Well
    newly_home: Chain
    illnesses: dict[str, Illness]
    susceptibility: Factor
    conditions: dict[str, Condition]
    emergency: EmergencyTerms
    death_frailty: float
    elective: Rate
    elective_nights: list[Rate]
    hospital: HospitalTerms
    discharge: Rate
    moves_away: Rate
    settled: tuple[Rate, Rate, Rate]


class Ages(Section):
    mean: float
    spread: float
    least: float
    most: float


class PeopleTerms(Section):
    age: Ages
    children: Rate
    frailty: list[Rate]
    women: Rate
    from_hospital: Rate
    care_home: list[Rate]
    carer: Rate
    heart_failure: Rate
    lung_disease: Rate
    catheter: Rate
    wound: Rate
    other_conditions: list[Factor]
    eagerness: Factor
    visits_per_day: list[Rate]
    visit_shares: list[Rate]
    clinic: Rate
    prior_admissions: Factor


class Reading(Section):
    usual: float
    spread: Factor
    noise: PositiveFloat
    least: float
    most: float
    step: PositiveFloat


class ReadingsTaken(Section):
    pain: Rate
    weight: Rate
    waterlow: Rate
    frailty: Rate


class Minutes(Section):
    visit: PositiveFloat
    unscheduled: PositiveFloat
    call: PositiveFloat
    note: PositiveFloat


class ContactTerms(Section):
    unscheduled: Rate
    calls: Rate
    onward: Rate
    attends: Rate
    attends_frailty: float
    notes: Rate
    no_access: Rate
    patient_cancels: Rate
    provider_cancels: Rate
    rest_day_calls: Factor
    minutes: Minutes
    minutes_spread: PositiveFloat
    alarm_score: int
    alarm_boost: PositiveFloat
    unscheduled_boost: PositiveFloat
    boost_fades: Rate
    most_boost: PositiveFloat
    recognised: tuple[Rate, Rate]
    plain_activities: Rate


class Service(Section):
    share: Rate
    days: tuple[int, int]
    visits: Rate


class ServiceTerms(Section):
    urgent: Service
    intermediate_care: Service
    hospital_at_home: Service
    end_of_life: Service
    visited_by_service: Rate
    second_team_visits: Rate


class PracticeTerms(Section):
    size: Factor
    unscheduled: Factor
    calls: Factor
    no_access: Factor
    weekend: Span
    vital_signs: Span
    vital_signs_unscheduled: Rate
    delay: Span
    shortage: Rate
    shortage_in_shock: Factor
    postponed: Rate
    merger_at: Rate | None
    template_at: Rate | None
    template_more: Rate
    pain_code_dies_at: Rate | None
    shock_at: Rate | None
    shock_force: Factor
    shock_days: PositiveFloat


class DelayTerms(Section):
    same_day: Rate
    next_day: Rate
    rest_day_late: Factor
    late_scale: Factor
    most_days: Annotated[int, Field(ge=2, le=14)]
    reporting: Annotated[list[Count], Field(min_length=2)]
    admission_next_day: Rate
    admission_scale: Factor
    attendance_next_day: Rate
    death_scale: Factor
    back_dated: Rate


class Faults(Section):
    """What goes wrong. Each is a rate (a share of the rows it can befall) or a number of teams or days; 0 is off."""

    attendance_missing: Annotated[float, Field(ge=0, le=0.55)]
    mechanism_missing: Rate
    contact_id_reused: Rate
    referral_id_reused: Rate
    team_id_missing: Rate
    lower_case_practice: Rate
    zero_padding: Rate
    code_missing: Rate
    unit_missing: Rate
    unit_unresolvable: Rate
    duplicate_rows: Rate
    duration_zero: Rate
    duration_999: Rate
    recorded_in_error: Rate
    liaison_call: Rate
    out_of_area: Rate
    untraced: Rate
    registered_twice: Rate
    vital_signs_stop_days: Count
    outage_days: Count
    feed_stop_days: Count
    no_access_as_cancelled: Count

    @staticmethod
    def none() -> "Faults":
        return Faults.model_validate(dict.fromkeys(Faults.model_fields, 0))


class InterventionTerms(Section):
    by: Annotated[str, Field(pattern="^(nobody|rule)$")]
    from_day: Count
    listed: Rate
    reach: Rate
    effect: Rate
    lasts_days: Annotated[int, Field(ge=1)]
