"""A simulated world: its size, its calendar, its seed, and the parameters it is made of."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from features.errors import ConfigError
from features.plain_yaml import load_yaml
from pipelines.simulator.parameters import (
    ContactTerms,
    CourseTerms,
    DelayTerms,
    Faults,
    InterventionTerms,
    PeopleTerms,
    PracticeTerms,
    Rate,
    Reading,
    ReadingsTaken,
    Section,
    ServiceTerms,
)

CUT_HOUR = 6
"""Extracts are cut at this hour of the local day; the simulated day also runs from this hour to the next."""

HORIZON_DAYS = 9
FILTER_DAYS = 75
"""How long before the first written truth the filter begins to watch."""

Provider = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,6}$")]


class SimulatorConfig(Section):
    """One world. `places`: caseload places kept filled, spread unevenly over the teams. `days`: length of the recorded
    history; the last drop is cut `days` days after `start`. `daily_drops`: how many of the last days come as one drop
    a day, the rest being one history load. `truth_days`: how many of the last cuts have their exact risks written."""

    places: Annotated[int, Field(ge=50, le=100_000)]
    days: Annotated[int, Field(ge=60, le=4000)]
    teams: Annotated[int, Field(ge=10, le=40)]
    daily_drops: Annotated[int, Field(ge=0, le=400)]
    truth_days: Annotated[int, Field(ge=1, le=400)]
    start: date
    seed: Annotated[int, Field(ge=0)]
    provider: Provider = "ZZ1"
    hospital: Provider = "ZZ2"
    course: CourseTerms
    people: PeopleTerms
    readings: dict[str, Reading]
    confusion: Rate
    wound_worse: Rate
    readings_taken: ReadingsTaken
    contacts: ContactTerms
    services: ServiceTerms
    practice: PracticeTerms
    delays: DelayTerms
    faults: Faults
    interventions: InterventionTerms

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
        return max(0, self.first_truth_day - FILTER_DAYS)

    @property
    def first_truth_day(self) -> int:
        return max(1, self.days - self.truth_days + 1)


def load_world(path: Path, changes: Mapping[str, Any] | None = None) -> SimulatorConfig:
    """The world that a YAML file describes, over the parameters it names, with `changes` over both. ConfigError names
    the file, the place and what must hold there."""
    world = _read(path)
    if "parameters" not in world:
        message = f"{path} must name the file of its parameters as 'parameters'; it does not."
        raise ConfigError(message)
    raw = _over(_over(_read(path.parent / str(world.pop("parameters"))), world), changes or {})
    try:
        return SimulatorConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{path}: {place or 'the world'}: {first['msg']}. The keys and their units are in its parameters."
        raise ConfigError(message) from None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        message = (
            f"A simulated world must be described by a file; {path} is not one. The examples are in configs/worlds/."
        )
        raise ConfigError(message)
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} must be YAML in UTF-8; {str(error).splitlines()[0]}."
        raise ConfigError(message) from None
    if not isinstance(raw, dict):
        message = f"{path} must hold keys and values; it does not."
        raise ConfigError(message)
    return raw


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the keys of `above` over it, section by section."""
    joined = dict(below)
    for key, value in above.items():
        held = joined.get(key)
        joined[key] = _over(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return joined
