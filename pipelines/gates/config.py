"""The settings of the gates and of the alerts."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Level = Literal["block", "warn", "off"]


class GateRule(BaseModel):
    """level: block, and nothing is published; warn, and the pages and an alert say so; off. A value may lie `times` the
    spread of its own history from what is usual, and `floor` in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level
    times: float = Field(ge=0, allow_inf_nan=False)
    floor: float = Field(ge=0, allow_inf_nan=False)


class GatesConfig(BaseModel):
    """weeks: how far back a history goes. least: values of the same weekday without which a gate says 'not enough
    history'; least_days: the same where every day counts. least_rows: fewer are not judged by their shares, and so many
    more or fewer rows than usual are nothing. least_people: so many more or fewer people at high risk are nothing.
    team_contacts: a team is not held back before so many contacts that it
    would usually have recorded are missing. days_off: on top of England's bank holidays.
    feed_gap: where a feed left out more than its `late_after_hours` and went on, unless what it left out came later.

    The unit of a floor: hours of feed_age and team_feed; a share (0-1) of what is usual of
    rows (and twice that above it) and risk; a share of
    rows of rejects, nulls and codes; a share of yesterday's places of overlap. team_feed at 'block' holds back that
    team alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weeks: int = Field(default=8, ge=1, le=52)
    least: PositiveInt = 4
    least_days: PositiveInt = 10
    least_rows: PositiveInt = 50
    least_people: PositiveInt = 20
    team_contacts: PositiveInt = 12
    days_off: tuple[date, ...] = ()
    feed_gap: Level = "warn"
    feed_age: GateRule = GateRule(level="warn", times=4, floor=12)
    team_feed: GateRule = GateRule(level="block", times=4, floor=20)
    rows: GateRule = GateRule(level="block", times=4, floor=0.4)
    rejects: GateRule = GateRule(level="block", times=6, floor=0.1)
    nulls: GateRule = GateRule(level="block", times=6, floor=0.2)
    codes: GateRule = GateRule(level="warn", times=6, floor=0.1)
    risk: GateRule = GateRule(level="block", times=6, floor=0.5)
    overlap: GateRule = GateRule(level="block", times=6, floor=0.3)

    @model_validator(mode="before")
    @classmethod
    def _rest_as_usual(cls, given: Any) -> Any:
        """What a rule leaves out is as by default."""
        if not isinstance(given, Mapping):
            return given
        rules = {name: f.default for name, f in cls.model_fields.items() if isinstance(f.default, GateRule)}
        return {
            name: {**rules[name].model_dump(), **value} if name in rules and isinstance(value, Mapping) else value
            for name, value in given.items()
        }


class AlertsConfig(BaseModel):
    """url: where alerts are posted to as JSON ($NAME in it comes from the environment); nowhere without one. timeout:
    seconds a try may take. tries: how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    timeout: float = Field(default=5, gt=0, le=60)
    tries: int = Field(default=3, ge=1, le=10)
