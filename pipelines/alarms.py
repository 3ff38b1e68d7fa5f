"""What is news, in words: what, since when, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from models.decay import FEWER, MORE, RANKING
from models.watching import CODES, DELAY, EMPTY, FEATURES, VOLUME
from pipelines.pages import words
from pipelines.watched_inputs import Inputs
from pipelines.watched_outcomes import Outcomes

DATA, MODEL = "data", "model"
NEWS, PAST_DAYS = 4, 366
"""Periods within which an alarm that has passed is still news, and days within which it is told of at all."""
NAMED = 4
"""Codes or features named in a sentence; the tables name them all."""
SIDES = {
    MORE: "More admissions than the risks say",
    FEWER: "Fewer admissions than the risks say",
    RANKING: "Risks that tell people apart less well",
}
HAPPENED = {"died": "No longer told of", "new": "New", "more": "More frequent", "less": "Less frequent"}
DO = {
    VOLUME: "Ask whoever sends it whether extracts are whole, and look at what was rejected (folder quality).",
    DELAY: "Ask whoever sends it why it comes later. Until then lists rest on less, and risks come out too low.",
    EMPTY: "Ask whoever sends it whether the field was moved, renamed or stopped; correct the mapping.",
    CODES: "Find out whether the code was replaced. If so put the new one into the mapping or catalogue, and retrain.",
    FEATURES: "Look at the alarms about rows and codes of the same time first; if there are none, at practice.",
    MORE: "People may be missed. Rule out the alarms about the data, then train a challenger and put it to the gate.",
    FEWER: "Lists are no worse in order, but risks promise too much. Train a challenger and put it to the gate.",
    RANKING: "Lists miss more than they did. Rule out the alarms about the data, then train a challenger.",
}


@dataclass(frozen=True)
class Alarm:
    """level: 'data' (look at the feed) or 'model' (a person decides). check: a key of `DO`. since, until: the days on
    which its first period began and its last ended."""

    level: str
    check: str
    what: str
    since: str
    until: str
    news: bool

    @property
    def do(self) -> str:
        return DO[self.check]


def alarms(inputs: Inputs, outcomes: Outcomes, zone: str) -> list[Alarm]:
    """Everything of the last year, what is news first, the newest first."""
    found = [*_of_model(outcomes, inputs.ends[-1], zone), *_of_data(inputs, zone)]
    return sorted(found, key=lambda one: (one.news, one.level == MODEL, one.since), reverse=True)


def _of_model(outcomes: Outcomes, end: datetime, zone: str) -> Iterator[Alarm]:
    for side, since in outcomes.alarms.items():
        mine = outcomes.sums[outcomes.sums["as_of"] >= since]
        observed, expected = mine["observed"].sum(), mine["expected"].sum()
        what = f"{SIDES[side]}, among people whom no list had shown"
        if side != RANKING:
            what += f": {observed / expected:.2f} for each one expected"
        yield Alarm(MODEL, side, f"{what}.", _day(since.to_pydatetime(), zone), _day(end, zone), news=True)


def _of_data(inputs: Inputs, zone: str) -> Iterator[Alarm]:
    """One alarm for what happened to many codes of a column, or to many features, at once."""
    ends, told = inputs.ends, inputs.found.alarms
    oldest = len(ends) - PAST_DAYS / max((ends[1] - ends[0]).days, 1) if len(ends) > 1 else 0
    for _, mine in told[told["last"] >= oldest].groupby(_together(told), sort=False):
        mine = mine.sort_values("deviation", key=abs, ascending=False)
        one = mine.iloc[0]
        first, last = int(mine["first"].min()), int(mine["last"].max())
        what = _SAYS[str(one["check"])](mine, inputs.together)
        news = last >= len(ends) - NEWS
        yield Alarm(DATA, str(one["check"]), what, _day(ends[max(first - 1, 0)], zone), _day(ends[last], zone), news)


def _together(told: pd.DataFrame) -> list[pd.Series]:
    """What makes several rows one alarm."""
    alone = ~told["check"].isin([CODES, FEATURES])
    column = told["column"].where(told["check"] != FEATURES, "")
    number = pd.Series(range(len(told)), index=told.index).where(alone, -1)
    return [told[name] for name in ("check", "source", "table", "kind", "first")] + [column, number]


def _volume(rows: pd.DataFrame, _: Mapping[int, Sequence[str]]) -> str:
    one = rows.iloc[0]
    return f"{one['value']:,.0f} rows of {one['table']} came from '{one['source']}', usually {one['usual']:,.0f}."


def _delay(rows: pd.DataFrame, _: Mapping[int, Sequence[str]]) -> str:
    one = rows.iloc[0]
    share = f"{one['value']:.0%} of {one['table']} from '{one['source']}' came {one['column']}"
    return f"{share}, usually {one['usual']:.0%}."


def _empty(rows: pd.DataFrame, _: Mapping[int, Sequence[str]]) -> str:
    one = rows.iloc[0]
    return (
        f"'{one['column']}' of {one['table']} from '{one['source']}' was empty in {one['value']:.0%}, usually in "
        f"{one['usual']:.0%}."
    )


def _codes(rows: pd.DataFrame, together: Mapping[int, Sequence[str]]) -> str:
    one = rows.iloc[0]
    died = [name for place in rows.index for name in together.get(int(str(place)), ())]
    names = list(dict.fromkeys([*rows["code"], *died]))
    where = f"'{one['column']}' of {one['table']} from '{one['source']}'"
    kind = "died" if died else str(one["kind"])
    share = f"{one['code']}: {one['value']:.1%} of rows, usually {one['usual']:.1%}"
    return f"{HAPPENED[kind]} in {where}: {_listed(names, 'code')}. {share}."


def _features(rows: pd.DataFrame, _: Mapping[int, Sequence[str]]) -> str:
    one = rows.iloc[0]
    return (
        f"{_listed(list(rows['column']), 'feature')}: people are spread otherwise than before (index "
        f"{one['value']:.3f}, usually {one['usual']:.3f})."
    )


_SAYS = {VOLUME: _volume, DELAY: _delay, EMPTY: _empty, CODES: _codes, FEATURES: _features}


def _listed(names: Sequence[str], noun: str) -> str:
    """A number of things with the first few by name."""
    named = ", ".join(f"'{name}'" for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{words.count(len(names), noun)} ({named}{more})"


def _day(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()
