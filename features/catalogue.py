"""The features as data: which rows of the history are which events, what is counted over which days, in which words.

A catalogue is YAML. `events` name rows of the history (a table, a condition on its columns, the moment and the value
taken); `families` hold features made of them, and the sentences a nurse would say of them. A feature's name is
derived: `{aggregate}_{event}_{days}d`. `features.vocabulary` has the aggregates and what each takes.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any, Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from features.errors import ConfigError, nearest
from features.frames import connect
from features.history import empty_history
from features.plain_yaml import load_yaml
from features.schema import ENDS, TABLES
from features.states import EVIDENCE, LOG_ODDS, Learned, States
from features.table import Contract, FeatureInfo, make_contract
from features.vocabulary import AGGREGATES, DIRECTIONS, FADED_AFTER, PERSONAL

DEFINITIONS = "1"
"""To be raised whenever the code changes what an aggregate or a personal fact means: models then refuse old tables."""
COMPARED = (
    r"\b{}\b\s*(?:(?:not\s+)?in\s*\(((?:\s*'[^']*'\s*,?)+)\)"
    r"|(?:==?|<>|!=|is\s+(?:not\s+)?distinct\s+from)\s*('[^']*'))"
)
"""How a condition compares a column with codes, in a list or singly."""
NEARLY_USUAL = 0.05
PLACEHOLDER = re.compile(r"\{(\w+)(?::([^}]*))?\}")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(_Data):
    """Rows of `table` that satisfy `where`, each at its column `at` (default: the table's own moment), worth `value`.

    words: what a nurse calls them, in the plural (default: the event's name).
    """

    table: Literal["referrals", "contacts", "observations", "stays", "attendances"]
    where: str = "true"
    at: str = ""
    value: str = "null"
    words: str = ""

    @property
    def moment(self) -> str:
        return self.at or str(TABLES[self.table].at)

    @property
    def told_by(self) -> set[str]:
        """The columns of its table that its condition and its value look at."""
        return set(re.findall(r"\w+", f"{self.where} {self.value}".lower())) & set(TABLES[self.table].names)


class Feature(_Data):
    """One line of a family: one aggregate of one event over one or more look-backs or half-lives (days)."""

    aggregate: str
    of: str
    days: tuple[int, ...] = ()
    half_life: tuple[int, ...] = ()
    within: tuple[int, ...] = ()
    against: int = 0
    among: str = ""
    until: str = ""
    direction: Literal["up", "down", "none"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        """`{count: visit, days: [7, 30]}` says aggregate and event in one."""
        words = [str(key) for key in raw if key not in cls.model_fields] if isinstance(raw, dict) else []
        if len(words) != 1 or words[0] not in (*AGGREGATES, "person"):
            odd = [word for word in words if word not in (*AGGREGATES, "person")]
            near = nearest(odd[0], (*AGGREGATES, "person")) if odd else f"known: {', '.join((*AGGREGATES, 'person'))}"
            message = f"a feature must name one aggregate; found {', '.join(words) or 'none'}; {near}"
            raise ValueError(message)
        rest = {key: value for key, value in raw.items() if key != words[0]}
        for key in ("days", "half_life", "within"):
            rest[key] = (rest[key],) if isinstance(rest.get(key), int) else rest.get(key, ())
        return {**rest, "aggregate": words[0], "of": raw[words[0]]}

    @model_validator(mode="after")
    def _takes(self) -> "Feature":
        wanted = AGGREGATES[self.aggregate].takes if self.aggregate != "person" else ()
        said = tuple(key for key in ("within", "days", "half_life", "against", "among", "until") if getattr(self, key))
        if set(said) != set(wanted):
            message = (
                f"{self.aggregate} must say {' and '.join(wanted) or 'no more'}; found {', '.join(said) or 'none'}"
            )
            raise ValueError(message)
        looked_back = [*self.days, *(FADED_AFTER * n for n in self.half_life)]
        if min([*looked_back, *self.within], default=1) < 1 or (self.against and self.against <= max(looked_back)):
            message = (
                f"{self.aggregate} of {self.of} must have days of 1 or more ({FADED_AFTER} for each of a half-life), "
                "and fewer of them than it has against"
            )
            raise ValueError(message)
        return self

    def infos(self, family: str) -> Iterator[FeatureInfo]:
        """The features that the line stands for, shortest name first in the order of its days or half-lives."""
        direction = DIRECTIONS[self.direction]
        if self.aggregate == "person":
            yield FeatureInfo(self.of, family, "person", self.of, 0, direction, None)
            return
        also = [f"{word}_{event}" for word, event in (("among", self.among), ("until", self.until)) if event]
        stem = "_".join((self.aggregate, self.of, *also))
        empty, extra = AGGREGATES[self.aggregate].empty, (self.among, self.until, self.against)
        against = f"_against_{self.against}d" if self.against else ""
        spans = [(f"_{n}d{against}", n, 0) for n in self.days] or [
            (f"_{n}d{against}", FADED_AFTER * n, n) for n in self.half_life
        ]
        for ahead in self.within or (0,):
            for suffix, days, half_life in spans or [("", 0, 0)]:
                name = f"{stem}_within_{ahead}d{suffix}" if ahead else stem + suffix
                yield FeatureInfo(
                    name, family, self.aggregate, self.of, days, direction, empty, *extra, half_life, ahead
                )


class Sentence(_Data):
    """`say` is used when every feature named in `when` is known and not zero; the first that fits is taken.

    known: features that must be known, zero or not. reassures: true where it says that nothing is the matter; it is
    then no reason for listing anyone.
    """

    say: str
    when: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    reassures: bool = False

    @property
    def names(self) -> set[str]:
        return {*self.when, *self.known, *(match[1] for match in PLACEHOLDER.finditer(self.say))}


class Family(_Data):
    title: str
    features: tuple[Feature, ...]
    sentences: tuple[Sentence, ...]


class Catalogue(_Data):
    """A validated catalogue; `contract` is that of the tables built with it. learned: the numbers of its `states`,
    which training finds and adds."""

    events: dict[str, Event]
    families: dict[str, Family]
    states: States | None = None
    learned: Learned | None = None

    @cached_property
    def contract(self) -> Contract:
        definitions = "\n".join(
            f"{name}: {event.model_dump_json(exclude={'words'})}" for name, event in sorted(self.events.items())
        )
        hidden = "".join(f"\n{part.model_dump_json()}" for part in (self.states, self.learned) if part is not None)
        return make_contract(self.infos(), f"{DEFINITIONS}\n{definitions}{hidden}")

    def infos(self) -> Iterator[FeatureInfo]:
        for name, family in self.families.items():
            for feature in family.features:
                yield from feature.infos(name)

    @property
    def longest(self) -> int:
        """The longest look-back, in days."""
        of_states = [self.states.days, self.states.usual_days] if self.states is not None else []
        return max([*(max(info.days, info.against) for info in self.infos()), *of_states], default=0)

    @property
    def of_teams(self) -> list[FeatureInfo]:
        """The features of teams rather than of people."""
        return [info for info in self.infos() if info.aggregate == "team_share"]

    @property
    def columns(self) -> dict[str, set[str]]:
        """For each table, which of its own columns the events look at."""
        looked: dict[str, set[str]] = {name: set() for name in TABLES}
        for event in self.events.values():
            looked[event.table] |= event.told_by | {event.moment}
        for info in self.of_teams:
            for name in (info.of, info.among):
                looked[self.events[name].table].add("team_id")
        return looked

    def sentence(self, family: str, row: Mapping[str, float], cut_share: float = 0.0) -> str:
        """What a nurse would say of this family as a reason, given the row's features; empty where it is none.

        cut_share: the share of the cut's own day that had passed, so that "yesterday" is the calendar's.
        """
        for sentence in self.families[family].sentences:
            known = all(_known(row[name]) for name in (*sentence.when, *sentence.known))
            if known and all(row[name] != 0 for name in sentence.when):
                return "" if sentence.reassures else fill(sentence.say, row, cut_share)
        return ""


@lru_cache(maxsize=16)
def load_catalogue(text: str, where: str) -> Catalogue:
    """Read a catalogue (the same text once), refusing with `where` and the place whatever it cannot mean."""
    try:
        catalogue = Catalogue.model_validate(load_yaml(text))
    except yaml.YAMLError as error:
        message = f"{where} must be YAML; {str(error).splitlines()[0]}."
        raise ConfigError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{where}: {place or 'the file'}: {first['msg'].removeprefix('Value error, ')}."
        raise ConfigError(message) from error
    _check_events(catalogue, where)
    _check_names(catalogue, where)
    _check_states(catalogue, where)
    return catalogue


def fill(template: str, row: Mapping[str, float], cut_share: float = 0.0) -> str:
    """Put values into `{name}`, `{name:noun}` (counted, in the plural where due), `{name:ago}` (days as words) and
    `{name:side}` (of what is 0 when all is as usual: above, at or below) and `{name:chance}` (of log-odds: 1 in so
    many)."""

    def word(match: re.Match[str]) -> str:
        value, form = row[match[1]], match[2] or ""
        if not _known(value):
            return "no record"
        if form == "chance":
            return f"1 in {1 + math.exp(-value):.0f}"
        if form == "side":
            return "at" if abs(value) < NEARLY_USUAL else "above" if value > 0 else "below"
        return _ago(value, cut_share) if form == "ago" else _counted(value, form)

    return PLACEHOLDER.sub(word, template)


def _known(value: float) -> bool:
    return not math.isnan(value)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def _counted(value: float, noun: str) -> str:
    number = _number(value)
    if not noun:
        return number
    return f"{number} {noun}" if number == "1" else f"{number} {_plural(noun)}"


def _plural(noun: str) -> str:
    """'visit with no answer' -> 'visits with no answer': the word before the first preposition takes the s."""
    head, *tail = re.split(r"(?= (?:with|to|from|by|for|at|of) )", noun, maxsplit=1)
    return head + "s" + "".join(tail)


def _ago(days: float, cut_share: float) -> str:
    """Calendar days: what lies less than `cut_share` back was today."""
    whole = math.ceil(days - cut_share) if days > cut_share else 0
    return {0: "today", 1: "yesterday"}.get(whole, f"{whole} days ago")


def _check_events(catalogue: Catalogue, where: str) -> None:
    """Bind every event's SQL against the history's own columns, so that a wrong word is found at load."""
    with connect(empty_history()) as connection:
        for name, event in catalogue.events.items():
            times = [column.name for column in TABLES[event.table].columns if column.type == "time"]
            _refuse_codes(event, f"{where}: events.{name}")
            _refuse_unknown([event.moment], times, f"{where}: events.{name}.at", f"moment of {event.table}")
            try:
                connection.sql(f"select {event.moment}, {event.value} from {event.table} where {event.where}")
            except duckdb.Error as error:
                columns = ", ".join(TABLES[event.table].names)
                message = (
                    f"{where}: events.{name}: its conditions must use columns of {event.table} ({columns}); "
                    f"{str(error).splitlines()[0]}"
                )
                raise ConfigError(message) from error


def _refuse_codes(event: Event, place: str) -> None:
    """Where a condition compares a column that has codes with literals, they are among them: a misspelt one would only
    ever be false."""
    for column in (column for column in TABLES[event.table].columns if column.codes):
        for listed, single in re.findall(COMPARED.format(column.name), event.where, re.IGNORECASE):
            words = re.findall(r"'([^']*)'", listed or single)
            _refuse_unknown(words, column.codes, f"{place}.where", f"code of {column.name}")


def _check_names(catalogue: Catalogue, where: str) -> None:
    for family_name, family in catalogue.families.items():
        place = f"{where}: families.{family_name}"
        for feature in family.features:
            known = PERSONAL if feature.aggregate == "person" else catalogue.events
            _refuse_unknown(filter(None, (feature.of, feature.among, feature.until)), known, place, "event")
            _refuse_tables(catalogue, feature, place)
    names = catalogue.contract.names
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        message = f"{where}: a feature must be listed once; found twice: {', '.join(sorted(doubled))}."
        raise ConfigError(message)
    for family_name, family in catalogue.families.items():
        for sentence in family.sentences:
            _refuse_unknown(sentence.names, names, f"{where}: families.{family_name}.sentences", "feature")


def _check_states(catalogue: Catalogue, where: str) -> None:
    """What hidden states are told of is there, and the features that they give are of the admission that they name."""
    spec, place = catalogue.states, f"{where}: states"
    asked = {info.of for info in catalogue.infos() if info.aggregate == LOG_ODDS}
    told = {info.of for info in catalogue.infos() if info.aggregate == EVIDENCE}
    if spec is None:
        if asked or told or catalogue.learned is not None:
            message = f"{place}: a catalogue with {LOG_ODDS} or learned numbers must say what they are of; it does not."
            raise ConfigError(message)
        return
    _refuse_unknown(spec.names, catalogue.events, place, "event")
    valueless = [name for name in spec.readings if catalogue.events[name].value == "null"]
    if valueless or catalogue.events[spec.admission].table != "stays":
        message = f"{place}: readings must be events with a value, and the admission one of stays; correct {place}."
        raise ConfigError(message)
    _refuse_unknown(asked, [spec.admission], place, "admission of the states")
    _refuse_unknown(told, spec.told, place, "event of the states")
    mixed = [name for name, family in catalogue.families.items() if _log_odds_among_others(family)]
    if mixed or len({info.family for info in catalogue.infos() if info.aggregate == LOG_ODDS}) > 1:
        message = (
            f"{place}: features of {LOG_ODDS} must have one family to themselves; move them, or the others, out of it."
        )
        raise ConfigError(message)
    if catalogue.learned is not None and not catalogue.learned.fits(spec):
        message = f"{where}: learned: the numbers must be of the states that the catalogue names; retrain."
        raise ConfigError(message)


def _log_odds_among_others(family: Family) -> bool:
    aggregates = {feature.aggregate for feature in family.features}
    return LOG_ODDS in aggregates and len(aggregates) > 1


def _refuse_tables(catalogue: Catalogue, feature: Feature, place: str) -> None:
    """Only referrals and stays end; only contacts and observations are some team's."""
    needed = {"open": tuple(ENDS), "team_share": ("contacts", "observations")}.get(feature.aggregate, ())
    for event in filter(None, (feature.of, feature.among)):
        if needed and catalogue.events[event].table not in needed:
            message = (
                f"{place}: {feature.aggregate} must be of an event in {' or '.join(needed)}; '{event}' is of "
                f"{catalogue.events[event].table}."
            )
            raise ConfigError(message)


def _refuse_unknown(words: Iterable[str], known: Iterable[str], place: str, kind: str) -> None:
    for word in words:
        if word not in known:
            message = f"{place}: '{word}' is not a known {kind}; {nearest(word, known)}"
            raise ConfigError(message)
