"""The features one figure, one row, one event at a time: slow, plain, and independent of the compiled pass."""

import math
from datetime import UTC, timedelta
from itertools import pairwise
from statistics import fmean
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
ZONE = "Europe/London"


class Naive:
    """Histories are lists of dicts with a `kind` each, which `is_a(row, event)` matches to events."""

    def __init__(self, histories, is_a, longest):
        self.histories, self.is_a, self.longest = histories, is_a, longest

    def in_force(self, table, as_of):
        return [
            r
            for r in self.histories[table]
            if r["known_from"] <= as_of and (r["known_to"] is None or as_of < r["known_to"])
        ]

    def held(self, event, days, person, as_of):
        start = back(as_of, days)
        rows = (r for table in self.histories for r in self.in_force(table, as_of))
        seen = (r for r in rows if r["person_id"] == person and self.is_a(r, event))
        return sorted((r for r in seen if start <= moment(r) < as_of), key=moment)

    def figure(self, person, as_of, info):
        if info.aggregate == "open":
            return len(self.open_referrals(person, as_of))
        if info.aggregate == "team_share":
            return self.team_share(person, as_of, info)
        mine = self.held(info.of, info.days, person, as_of)
        for among_these in (self.of_moments, self.of_two, self.of_values):
            found = among_these(info, mine, person, as_of)
            if found is not None:
                return found
        raise KeyError(info.aggregate)

    def of_moments(self, info, mine, _person, as_of):
        days = [(as_of - moment(r)) / DAY for r in mine]
        gaps = [one - other for one, other in pairwise(days)]
        return {
            "count": lambda: len(days),
            "distinct_days": lambda: len({r["occurred_at"].astimezone(ZoneInfo(ZONE)).date() for r in mine}),
            "days_since": lambda: days[-1] if days else math.nan,
            "days_since_first": lambda: days[0] if days else math.nan,
            "longest_gap": lambda: max(gaps, default=math.nan),
            "cadence": lambda: days[-1] / fmean(gaps) if any(gaps) else math.nan,
            "decayed": lambda: sum(0.5 ** (d / info.half_life) for d in days),
        }.get(info.aggregate, lambda: None)()

    def of_two(self, info, mine, person, as_of):
        def run():
            ends = [moment(r) for r in self.held(info.until, info.days, person, as_of)]
            return sum(all(moment(r) > end for end in ends) for r in mine)

        def share():
            among = self.held(info.among, info.days, person, as_of)
            return len(mine) / len(among) if among else math.nan

        def ratio():
            covered = max(self.covered(info.against, person, as_of), info.days)
            wide = self.held(info.of, info.against, person, as_of)
            return (len(mine) + 0.25) / (len(wide) * info.days / covered + 0.5)

        def rate():
            return len(mine) / max(self.covered(info.days, person, as_of), 1)

        return {"run": run, "share": share, "ratio": ratio, "rate": rate}.get(info.aggregate, lambda: None)()

    def of_values(self, info, mine, person, as_of):
        valued = [(moment(r), round(r["value"], 4)) for r in mine if r.get("value") is not None]
        if not valued:
            return 0 if info.aggregate in ("sum", "decayed_excess") else math.nan
        values = [value for _, value in valued]
        away = [(moment - as_of) / DAY for moment, _ in valued]

        def weighted():
            weights = [0.5 ** (-d / info.half_life) for d in away]
            return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

        def usual():
            wide = self.held(info.of, info.against, person, as_of)
            return fmean(round(r["value"], 4) for r in wide if r["value"] is not None)

        def excess():
            return sum(0.5 ** (-d / info.half_life) * (v - usual()) for d, v in zip(away, values, strict=True))

        return {
            "sum": lambda: sum(values),
            "mean": lambda: fmean(values),
            "min": lambda: min(values),
            "max": lambda: max(values),
            "first": lambda: min(valued)[1],
            "last": lambda: max(valued)[1],
            "slope": lambda: slope(away, values),
            "decayed_mean": weighted,
            "decayed_excess": excess,
            "change": lambda: max(valued)[1] - usual(),
        }[info.aggregate]()

    def covered(self, days, person, as_of):
        """Days of the window since anything was known of the person within the longest look-back."""
        start = back(as_of, self.longest)
        anything = [
            moment(r)
            for table in self.histories
            for r in self.in_force(table, as_of)
            if r["person_id"] == person and start <= moment(r) < as_of and self.is_a(r, "any")
        ]
        return (as_of - max(back(as_of, days), min(anything, default=as_of))) / DAY

    def open_referrals(self, person, as_of):
        return [
            r
            for r in self.in_force("referrals", as_of)
            if r["person_id"] == person
            and r["received_at"] < as_of
            and (r["closed_at"] is None or as_of < r["closed_at"])
        ]

    def team_share(self, person, as_of, info):
        teams = {r["team_id"] for r in self.open_referrals(person, as_of)} - {None}

        def day(row):
            return row["person_id"], row["team_id"], row["occurred_at"].astimezone(ZoneInfo(ZONE)).date()

        start = back(as_of, info.days)
        days = {day(r) for r in self.in_force("observations", as_of) if self.is_a(r, info.of)}
        visits = [
            day(r) in days
            for r in self.in_force("contacts", as_of)
            if r["team_id"] in teams and self.is_a(r, info.among) and start <= r["occurred_at"] < as_of
        ]
        return fmean(visits) if visits else math.nan


def moment(row):
    return row["received_at"] if "received_at" in row else row["occurred_at"]


def slope(x, y):
    if len(set(x)) < 2:
        return math.nan
    middle, level = fmean(x), fmean(y)
    across = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True))
    return across / sum((a - middle) ** 2 for a in x)


def back(as_of, days):
    return (as_of.astimezone(ZoneInfo(ZONE)) - timedelta(days=days)).astimezone(UTC)
