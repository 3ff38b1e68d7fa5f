"""The service's configuration: one YAML file, read whole, unknown keys refused."""

import os
import re
from datetime import datetime, time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import available_timezones

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from features.cohort import CaseloadRules
from features.errors import ConfigError, nearest
from features.labels import OutcomeRules
from features.plain_yaml import TimeOfDay, load_yaml
from features.sources.task import FrameSpec
from models.ranking import Capacities
from models.roll_out import RollOutConfig
from models.sections import SectionRules
from models.settings import MODELS, GateConfig, TrainConfig, TuneConfig
from pipelines.gates.config import AlertsConfig, GatesConfig

DATA_VARIABLE = "MINUSNINE_DATA"
RESERVED = {*MODELS, "champion", "everyone", "oracle", "filter", "filter in time", "filter of the records"}
"""What models and bounds are called beside the rules."""


IN_HANDS: dict[str, tuple[str, ...]] = {"urgent response": ("49", "51"), "end of life care": ("14", "47")}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceConfig(_Section):
    """One feed. path: a folder of extracts (one sub-folder or file each), one extract, or a file.

    known_from: 'recorded' believes each row's own recorded time (a history load); 'receipt' holds that nothing was
    known before the extract arrived (a daily feed). zone: where the feed's clock hangs, if not the service's.
    received_at: when its one extract arrived, whatever the mapping finds out. Where neither says, the newest
    modification time of its files does.
    late_after_hours: how old the feed's newest extract may be at a cut. If it is older no lists are made, unless
    `when_late` is 'warn': then they say so. Null for what is not a feed, as a history load.
    """

    mapping: Path
    path: Path
    known_from: Literal["recorded", "receipt"] = "receipt"
    zone: str = ""
    received_at: datetime | None = None
    optional: bool = False
    late_after_hours: float | None = Field(default=None, gt=0)
    when_late: Literal["block", "warn"] = "block"


class TaskConfig(_Section):
    """Index rows, outcomes and train/test assignment given as tables in place of the built-in ones."""

    index: FrameSpec
    outcomes: FrameSpec
    assignment: FrameSpec | None = None
    outcome_words: str = "admission"


class PeriodConfig(_Section):
    """Which cuts are trained on and judged on, counted back from the cut at which training is done.

    history_days: how far back training cuts go. landmark_every: each person is looked at on one training cut in so
    many. calibration_days, test_days: the lengths of the two later blocks, both daily. An embargo of nine days and the
    measured admission lag lies between blocks. origins: of a backtest, each `test_days` before the next.
    """

    history_days: int = Field(default=540, ge=30)
    landmark_every: int = Field(default=7, ge=1)
    calibration_days: int = Field(default=60, ge=7)
    test_days: int = Field(default=60, ge=7)
    calibration_every: int = Field(default=2, ge=1)
    test_every: int = Field(default=1, ge=1)
    origins: int = Field(default=3, ge=1, le=24)


class RuleTermConfig(_Section):
    """`weight` points where the feature is at least `at_least`; without it, `weight` times its value."""

    feature: str
    weight: float = 1.0
    at_least: float | None = None


class ListsConfig(_Section):
    """How many people a team can look at in a day: `share` of its caseload, at least `least`, or set by team.

    good_until: the wall-clock time of the next morning from which a list is out of date. group_by: whose lists there
    are, each team's or each general practice's (by its code). groups: teams, or practices, that share one list, by the
    list's name; whoever is in no group keeps a list of its own. by_team goes by that name too. in_hands: by the words
    that the page says, the team types (two digits) or teams with whom an open referral means that someone is seen to.
    """

    share: float = Field(default=0.05, gt=0, le=1)
    least: int = Field(default=5, ge=1)
    by_team: dict[str, PositiveInt] = Field(default_factory=dict)
    team_names: dict[str, str] = Field(default_factory=dict)
    good_until: TimeOfDay = time(8, 0)
    group_by: Literal["team", "practice"] = "team"
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    in_hands: dict[str, tuple[str, ...]] = IN_HANDS
    sections: SectionRules = SectionRules()

    @field_validator("group_by", mode="before")
    @classmethod
    def _no_locality(cls, group_by: object) -> object:
        if group_by in ("locality", "neighbourhood"):
            message = (
                f"the history holds no {group_by} of a person; name each as a group of practices (group_by: practice, "
                "groups: {North: [E82001, E82002]}) or of teams (group_by: team)"
            )
            raise ValueError(message)
        return group_by

    @model_validator(mode="after")
    def _groups_named_apart(self) -> "ListsConfig":
        taken = sorted(set(self.groups) & {*self.team_names, *(one for units in self.groups.values() for one in units)})
        if taken:
            message = f"a group needs a name that is no team's or practice's; '{taken[0]}' is one"
            raise ValueError(message)
        return self

    @property
    def capacities(self) -> Capacities:
        return Capacities(self.share, self.least, self.by_team)


class FormsConfig(_Section):
    """In which forms lists are written beside page and spreadsheet; the URL of a database that shows the newest ones as
    a table ($NAME in it comes from the environment; none without one); and whether each day is written for
    commissioners too, by pseudonym and with small numbers hidden."""

    files: tuple[Literal["xlsx", "pdf", "fhir"], ...] = ("xlsx", "pdf", "fhir")
    database: str = ""
    commissioner: bool = False


class ExposureConfig(_Section):
    """url: of the database that logs who was on which list ($NAME in it comes from the environment); by default SQLite
    in the workspace. keep_days: how long, before `minusnine exposure prune` may remove it; null for ever."""

    url: str = ""
    keep_days: PositiveInt | None = None


class MonitoringConfig(_Section):
    """What `minusnine monitor` looks at. period_days: the length of a period. history_days: how far back periods go.
    exposure_days: how long having been on a list may change what comes of someone. false_alarms_a_year: how many
    periods of a year in which nothing changes may hold a false alarm about the data; false_decay_alarms_a_year: the
    chance of a false alarm about the model in such a year.
    """

    period_days: int = Field(default=7, ge=1, le=91)
    history_days: int = Field(default=800, ge=90)
    exposure_days: int = Field(default=14, ge=1)
    false_alarms_a_year: float = Field(default=1.0, gt=0, le=26)
    false_decay_alarms_a_year: float = Field(default=0.1, gt=0, lt=1)


class DatabasesConfig(_Section):
    """Where Prefect (`postgresql+asyncpg://...`) and MLflow (`postgresql+psycopg://...`) keep their records; by default
    SQLite in the workspace. $NAME in them comes from the environment: a password need not stand in a file."""

    prefect: str = ""
    mlflow: str = ""


class EvidenceConfig(_Section):
    """urgent_team_types: national two-digit types of teams that answer a crisis; whom such a team has taken on, the
    teams knew of, and the evidence says what a list is worth without them."""

    urgent_team_types: tuple[str, ...] = ("49", "51")


class OptOutConfig(_Section):
    """The national data opt-out, by a file of NHS numbers, one in the first cell of each line; without a path there is
    none. holds: who is in it, 'opted_out' or, as the national check answers, 'not_opted_out'. applies: to 'lists', and
    to 'training', the rows that models are trained and judged on.

    stale_after_days: how old the file may be at a cut (by its modification time). If it is older nothing is made of
    what it applies to, unless `when_stale` is 'warn'. most_share: of the people on caseloads; a file that leaves out
    more is taken for a wrong one.
    """

    path: Path | None = None
    holds: Literal["opted_out", "not_opted_out"] = "opted_out"
    applies: tuple[Literal["lists", "training"], ...] = ("lists",)
    stale_after_days: PositiveInt = 7
    when_stale: Literal["block", "warn"] = "block"
    most_share: float = Field(default=0.3, gt=0, le=1)


class AccessConfig(_Section):
    """key_file: where the pseudonym key is, readable by its owner alone; by default in the workspace."""

    key_file: Path | None = None
    opt_out: OptOutConfig = OptOutConfig()


class ProxyConfig(_Section):
    """Sign-in by a proxy that has signed people in already, as with an NHS identity provider (docs/board.md).

    user_header: names the account. secret_header: must carry what the environment variable MINUSNINE_BOARD_SECRET
    holds. addresses: of the proxy, single or as networks. sign_out: where the proxy ends its own session.
    """

    user_header: str = "X-Forwarded-Email"
    secret_header: str = "X-Minusnine-Proxy"
    addresses: tuple[IPvAnyNetwork, ...] = (IPv4Network("127.0.0.1/32"),)
    sign_out: str = ""


class BoardConfig(_Section):
    """The page on which teams read and answer their lists (`minusnine board`).

    sign_in: with accounts of its own, or by a proxy. hosts: names under which it may be asked for. idle_minutes,
    session_hours: how long somebody stays signed in without doing anything, and at all. days: how far back lists are
    shown. sign_ins, answers: how many a minute are taken from one address, and of one account.
    """

    sign_in: Literal["accounts", "proxy"] = "accounts"
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")
    idle_minutes: PositiveInt = 60
    session_hours: PositiveInt = 12
    days: PositiveInt = 14
    sign_ins: PositiveInt = 240
    answers: PositiveInt = 60
    proxy: ProxyConfig = ProxyConfig()


class RunConfig(_Section):
    """Who works on the person buckets: threads of this process, a pool of processes on this machine, or the workers of
    the Dask cluster whose scheduler is at `address`.

    workers: how many threads or processes; a cluster brings its own. Pages of many people are always made by so many
    processes of the machine that publishes. patience: after so many seconds with no answer from the scheduler, or with
    no worker left, a run on a cluster is given up.
    """

    by: Literal["threads", "processes", "dask"] = "threads"
    workers: int = Field(default=2, ge=1)
    address: str = ""
    patience: float = Field(default=60, gt=0)

    @model_validator(mode="after")
    def _cluster_has_an_address(self) -> "RunConfig":
        if self.by == "dask" and not re.fullmatch(r"(tcp|tls)://.+:\d+", self.address):
            found = self.address or "none"
            message = f"by: dask must come with its scheduler's address, such as tcp://host:8786; found {found}"
            raise ValueError(message)
        return self


class ServiceConfig(_Section):
    """Everything a run needs. Paths to mappings and the catalogue are relative to the configuration file, others to the
    current folder; in them `{workspace}` stands for the workspace and `{data}` for the folder of data sets that the
    environment variable MINUSNINE_DATA names (default ../shared/data)."""

    trust: str
    workspace: Path = Path("workspace")
    zone: str = "Europe/London"
    cut: TimeOfDay = time(6, 0)
    simulated: bool = False
    buckets: int = Field(default=8, ge=1, le=256)
    run: RunConfig = RunConfig()
    features: Path
    sources: dict[str, SourceConfig]
    caseload: CaseloadRules = CaseloadRules()
    outcome: OutcomeRules = OutcomeRules()
    task: TaskConfig | None = None
    periods: PeriodConfig = PeriodConfig()
    training: TrainConfig = TrainConfig()
    tuning: TuneConfig = TuneConfig()
    promotion: GateConfig = GateConfig()
    lists: ListsConfig = ListsConfig()
    forms: FormsConfig = FormsConfig()
    roll_out: RollOutConfig = RollOutConfig()
    exposure: ExposureConfig = ExposureConfig()
    access: AccessConfig = AccessConfig()
    gates: GatesConfig = GatesConfig()
    alerts: AlertsConfig = AlertsConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    databases: DatabasesConfig = DatabasesConfig()
    board: BoardConfig = BoardConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    rules: dict[str, list[RuleTermConfig]] = Field(default_factory=dict)
    simulator: dict[str, Any] = Field(default_factory=dict)
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            message = f"must be a time zone such as Europe/London; {nearest(zone, available_timezones())}"
            raise ValueError(message)
        return zone

    @field_validator("rules")
    @classmethod
    def _named_apart(cls, rules: dict[str, list[RuleTermConfig]]) -> dict[str, list[RuleTermConfig]]:
        taken = sorted(set(rules) & RESERVED)
        if taken:
            message = f"a rule needs a name of its own; '{taken[0]}' is what the evidence calls something else"
            raise ValueError(message)
        return rules

    def read(self, path: Path) -> str:
        """The text of a file named relative to the configuration file; ConfigError where there is none."""
        found = self.folder / path
        if not found.is_file():
            message = f"The configuration must name files that exist; {found} does not. Correct the path in it."
            raise ConfigError(message)
        return found.read_text(encoding="utf-8")


def load_config(path: Path, workspace: Path | None = None) -> ServiceConfig:
    """Read a configuration; ConfigError names the file, the place and the nearest right key.

    workspace: used in place of the file's own, where given.
    """
    if not path.is_file():
        message = f"--config must name a file; {path} is not one. The examples are in configs/."
        raise ConfigError(message)
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} must be YAML in UTF-8; {str(error).splitlines()[0]}."
        raise ConfigError(message) from error
    if not isinstance(raw, dict):
        message = f"{path} must hold keys and values; it holds {type(raw).__name__}."
        raise ConfigError(message)
    if workspace is not None:
        raw["workspace"] = str(workspace)
    places = {
        "{workspace}": str(raw.get("workspace", ServiceConfig.model_fields["workspace"].default)),
        "{data}": os.environ.get(DATA_VARIABLE, "../shared/data"),
    }
    filled = {key: _placed(raw[key], places) if key in ("sources", "task") else raw[key] for key in raw}
    try:
        return ServiceConfig.model_validate({**filled, "folder": path.parent})
    except ValidationError as error:
        raise ConfigError(_explained(error, path)) from error


def _placed(value: Any, places: dict[str, str]) -> Any:
    """`value` with every place in its texts filled in."""
    if isinstance(value, dict):
        return {key: _placed(inside, places) for key, inside in value.items()}
    if isinstance(value, list):
        return [_placed(inside, places) for inside in value]
    if isinstance(value, str):
        for place, path in places.items():
            value = value.replace(place, path)
    return value


def _explained(error: ValidationError, path: Path) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        clause = nearest(place[-1], _keys_at(place[:-1]))
        return f"{path}: '{'.'.join(place)}' is not a key that can be set; {clause}"
    return f"{path}: '{'.'.join(place) or 'the file'}': {first['msg'].removeprefix('Value error, ')}."


def _keys_at(place: list[str]) -> list[str]:
    """The keys that the section at `place` may have; parts that are names of the user's own are passed over."""
    section: type[BaseModel] = ServiceConfig
    for part in place:
        field = section.model_fields.get(part)
        section = _section_of(field.annotation) if field is not None else section
    return [key for key in section.model_fields if key != "folder"]


def _section_of(annotation: Any) -> type[BaseModel]:
    """The section within an annotation such as dict[str, list[Section]]; the whole where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    within = [_section_of(part) for part in get_args(annotation)]
    return next((section for section in within if section is not ServiceConfig), ServiceConfig)
