"""The newest extracts of each source, held against those before them: rows, rejects, empty cells, new codes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from features.daysoff import counts_as
from models.usual import Limits, around, chance, usual
from pipelines.accounts import Account
from pipelines.gates.config import GateRule, GatesConfig
from pipelines.gates.outcome import CODES, FEW, NULLS, PASSED, REJECTS, ROWS, UNKNOWN, Outcome, held, judged

Shares = Callable[[Account], Mapping[str, tuple[float, int]]]
"""By subject, a share (0-1) of an extract's rows and how many rows they are."""
FULL_SHARE = 0.5
"""A column that is mostly empty as a rule is not let go empty for good: of what is filled, so much may go missing."""


@dataclass(frozen=True)
class _Past:
    """An extract, and those of its source of the `weeks` before it, one for each day, in order."""

    new: Account
    day: date
    earlier: tuple[tuple[date, Account], ...]


def extract_outcomes(accounts: Sequence[Account], since: datetime, config: GatesConfig, zone: str) -> Iterator[Outcome]:
    """What the gates say of each extract received after `since`, the last delivered of each day. accounts: of all
    extracts known at the cut, in the order in which they were received."""
    novel = new_codes(accounts)
    for past in _judged(accounts, since, config, zone):
        yield from _rows(past, config)
        for gate, rule, shares in (
            (REJECTS, config.rejects, _rejects),
            (NULLS, config.nulls, _nulls),
            (CODES, config.codes, lambda account: novel[id(account)]),
        ):
            yield from _shares(gate, rule, past, shares, config)


def _judged(accounts: Sequence[Account], since: datetime, config: GatesConfig, zone: str) -> Iterator[_Past]:
    by_source: dict[str, dict[date, Account]] = {}
    for account in accounts:
        by_source.setdefault(account.source, {})[account.day(zone)] = account
    for days in by_source.values():
        ordered = sorted(days.items())
        for day, new in ordered:
            if new.received_at > since:
                first = day - timedelta(weeks=config.weeks)
                yield _Past(new, day, tuple(one for one in ordered if first <= one[0] < day))


def _rows(past: _Past, config: GatesConfig) -> Iterator[Outcome]:
    """Rows of each file against the same weekday. Too many are less of a danger than too few, and may be twice as far
    off; after a longer pause than usual there may be as much more."""
    rule, kind = config.rows, counts_as(past.day, config.days_off)
    if rule.level == "off":
        return
    like = [account for day, account in past.earlier if counts_as(day, config.days_off) == kind]
    if len(like) < config.least:
        yield Outcome(ROWS, past.new.source, rule.level, UNKNOWN)
        return
    stretch = _stretch(past, kind, config)
    for file in sorted({*past.new.files, *(file for account in like for file in account.files)}):
        counts = [float(_rows_in(account, file)) for account in like]
        value, found = float(_rows_in(past.new, file)), usual(counts)
        assert found is not None, "there are extracts to count in"
        floor = max(rule.floor * found.centre, config.least_rows)
        low, high = around(found, rule.times, floor).low, around(found, rule.times, 2 * floor).high
        yield held(ROWS, f"{past.new.source} {file}", rule, value, found.centre, Limits(low, high * stretch))


def _rows_in(account: Account, file: str) -> int:
    return int(account.files.get(file, {}).get("rows", 0))


def _stretch(past: _Past, kind: int, config: GatesConfig) -> float:
    """How many times the usual number of days have passed since the extract before; 1 at least."""
    days = [day for day, _ in past.earlier]
    pauses = {later: (later - before).days for before, later in zip(days, [*days[1:], past.day], strict=True)}
    alike = [pause for day, pause in pauses.items() if day != past.day and counts_as(day, config.days_off) == kind]
    found = usual(alike)
    return max(1.0, pauses[past.day] / found.centre) if found else 1.0


def _shares(gate: str, rule: GateRule, past: _Past, shares: Shares, config: GatesConfig) -> Iterator[Outcome]:
    """Shares of rows, each against those of earlier extracts; too high is what is looked for. Of a file's columns those
    that fail are told one by one, and of the others the one that is nearest to its limit."""
    if rule.level == "off":
        return
    mine, source = shares(past.new), past.new.source
    earlier = [shares(account) for _, account in past.earlier]
    if len(earlier) < config.least_days:
        yield Outcome(gate, source, rule.level, UNKNOWN)
        return
    found: dict[str, list[Outcome]] = {}
    for name, (value, among) in mine.items():
        before = [one[name][0] for one in earlier if name in one and one[name][1] >= config.least_rows]
        found.setdefault(name.split(" ")[0], []).append(
            _share(gate, f"{source} {name}", rule, (value, among), before, config)
        )
    for outcomes in found.values():
        yield from _worth_telling(outcomes)


def _share(
    gate: str, subject: str, rule: GateRule, share: tuple[float, int], before: Sequence[float], config: GatesConfig
) -> Outcome:
    value, among = share
    if among < config.least_rows:
        return Outcome(gate, subject, rule.level, FEW, value)
    centre = usual(before)
    filled = 1 - centre.centre if centre else 1.0
    by_chance = chance(centre.centre, among) if centre else 0.0
    floor = max(min(rule.floor, FULL_SHARE * filled) if gate == NULLS else rule.floor, by_chance)
    return judged(gate, subject, rule, value, before, config.least_days, floor=floor, sides=(False, True))


def _worth_telling(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    told = list(outcomes)
    yield from (one for one in told if one.failed)
    others = sorted((one for one in told if not one.failed), key=lambda one: (one.state == PASSED, one.nearness))
    yield from others[-1:]


def _rejects(account: Account) -> Mapping[str, tuple[float, int]]:
    return {file: (told["rejected"] / max(told["rows"], 1), told["rows"]) for file, told in account.files.items()}


def _nulls(account: Account) -> Mapping[str, tuple[float, int]]:
    return {
        f"{file} {column}": (empty / max(rows, 1), rows)
        for file, columns in account.columns.items()
        for column, (rows, empty) in columns.items()
    }


def new_codes(accounts: Sequence[Account]) -> dict[int, dict[str, tuple[float, int]]]:
    """By `id` of an account and by column: the share of its rows whose code no account before it has, or that the
    mapping does not know; columns that nothing came of before are left out."""
    known: dict[str, set[str]] = {}
    found: dict[int, dict[str, tuple[float, int]]] = {}
    for account in accounts:
        mine = found.setdefault(id(account), {})
        for column, told in account.codes.items():
            met = known.setdefault(column, set())
            fresh = sum(count for code, count in told["codes"].items() if code not in met) if met else 0
            mine[column] = ((fresh + told["unknown"]) / max(told["rows"], 1), told["rows"])
            met.update(told["codes"])
    return found
