"""Hidden states by adding up every way that they could have gone: slow, plain, and independent of the compiled pass."""

import math
from itertools import product

from naive_features import DAY, back

HERE, ADMITTED, IN_HOSPITAL, HOME = "here", "admitted", "in hospital", "home"


class Day:
    """What a day is, and what was recorded on it: `counts` and `marks` by place, `readings` as (place, value,
    variance)."""

    def __init__(self, kind=HERE):
        self.kind, self.counts, self.readings = kind, [], []
        self.chances, self.marked = set(), set()

    def likely(self, state, numbers, heard):
        if self.kind == ADMITTED:
            return numbers.hazard[state]
        if self.kind == IN_HOSPITAL:
            return 1.0
        found = 1 - numbers.hazard[state]
        for place, rates in enumerate(numbers.counts):
            found *= math.exp(-rates[state] * heard(place)) * rates[state] ** self.counts.count(place)
        for place, shares in enumerate(numbers.marks):
            if place in self.chances | self.marked:
                found *= shares[state] if place in self.marked else 1 - shares[state]
        for place, value, variance in self.readings:
            found *= math.exp(-((value - numbers.readings[place][state]) ** 2) / (2 * variance))
        return found


def ways(days, numbers, heard):
    """Every sequence of states over these days, and how likely it is together with what was recorded. heard: of a count
    and a day's age in days, what its rates are to be taken times."""
    states = range(len(numbers.hazard))
    for path in product(states, repeat=len(days)):
        chance = 1.0
        for place, (state, day) in enumerate(zip(path, days, strict=True)):
            before = days[place - 1].kind if place else None
            if day.kind == HOME:
                chance *= numbers.home[state]
            elif place == 0:
                chance *= numbers.initial[state]
            elif IN_HOSPITAL in (day.kind, before):
                chance *= state == path[place - 1]
            else:
                chance *= numbers.transitions[path[place - 1]][state]
            age = len(days) - 1 - place
            chance *= day.likely(state, numbers, lambda count, age=age: heard(count, age))
        yield path, chance


def risk_ahead(belief, numbers, days):
    """The chance of an admission within so many days, one day after the other."""
    well = list(belief)
    for _ in range(days):
        stayed = [share * (1 - hazard) for share, hazard in zip(well, numbers.hazard, strict=True)]
        well = [sum(stayed[a] * numbers.transitions[a][b] for a in range(len(stayed))) for b in range(len(stayed))]
    return 1 - sum(well)


def start(first, days):
    """The day of the first record, or that of the last coming home before it; all days where there is no record."""
    homes = [place for place, day in enumerate(days[:first]) if day.kind == HOME]
    return homes[-1] if homes and first < len(days) else first


class NaiveStates:
    """Of histories as `naive_features.Naive` has them, by the same `in_force` and `is_a`."""

    def __init__(self, naive, spec, numbers):
        self.naive, self.spec, self.numbers = naive, spec, numbers

    def course(self, person, as_of):
        """The days that are followed, none where there is no record in the look-back; and `heard` for `ways`."""
        edges = [back(as_of, age) for age in range(self.spec.days, -1, -1)]
        days = [Day(kind) for kind in self.kinds(person, as_of, edges)]
        records = self.records(person, as_of, back(as_of, self.spec.usual_days))
        first = self.spec.days
        for at, place, what, value in records:
            seen = self.against_usual(what, place, value)
            if at < edges[0]:
                continue
            number = next(n for n in range(self.spec.days) if edges[n] <= at < edges[n + 1])
            first, day = min(first, number), days[number]
            if what == "counts":
                day.counts.append(place)
            elif what == "marks":
                (day.marked if value else day.chances).add(place)
            else:
                day.readings.append((place, *seen))
        often = self.often(records, as_of) if records else []
        return days[start(first, days) :], lambda count, age: often[count] * self.numbers.heard[count][min(age, 30)]

    def log_odds(self, person, as_of, horizons):
        days, heard = self.course(person, as_of)
        if not days:
            return [math.nan] * len(horizons)
        belief = [0.0] * len(self.numbers.hazard)
        for path, chance in ways(days, self.numbers, heard):
            belief[path[-1]] += chance
        risks = [risk_ahead([share / sum(belief) for share in belief], self.numbers, ahead) for ahead in horizons]
        return [math.log(risk / (1 - risk)) for risk in risks]

    def evidence(self, person, as_of):
        """Of each of `spec.told`: the mean logarithm of how likely its records are, over the ways that end in an
        admission within nine days, less that over the ways that do not."""
        days, heard = self.course(person, as_of)
        if not days:
            return [math.nan] * len(self.spec.told)
        homes = [place for place, day in enumerate(days) if day.kind == HOME]
        since = max(len(days) - self.spec.evidence_days, *homes, 0)
        states = range(len(self.numbers.hazard))
        ahead = [risk_ahead([float(other == state) for other in states], self.numbers, 9) for state in states]
        means, totals = [[0.0] * len(self.spec.told), [0.0] * len(self.spec.told)], [0.0, 0.0]
        for path, chance in ways(days, self.numbers, heard):
            for side, weight in enumerate((chance * ahead[path[-1]], chance * (1 - ahead[path[-1]]))):
                totals[side] += weight
                for place in range(since, len(days)):
                    told = self.told(days[place], path[place], len(days) - 1 - place, heard, place in homes)
                    means[side] = [mean + weight * each for mean, each in zip(means[side], told, strict=True)]
        return [one / totals[0] - other / totals[1] for one, other in zip(*means, strict=True)]

    def told(self, day, state, age, heard, home):
        """Logarithms of how likely a day's records are, by `spec.told`, up to what does not depend on the state."""
        numbers = self.numbers
        counts, marks, readings = [0.0] * len(numbers.counts), [0.0] * len(numbers.marks), [0.0] * len(numbers.readings)
        if day.kind in (HERE, HOME):
            for place, rates in enumerate(numbers.counts):
                counts[place] = day.counts.count(place) * math.log(rates[state]) - heard(place, age) * rates[state]
            for place, shares in enumerate(numbers.marks):
                if place in day.chances | day.marked:
                    marks[place] = math.log(shares[state] if place in day.marked else 1 - shares[state])
            for place, value, variance in day.readings:
                readings[place] -= (value - numbers.readings[place][state]) ** 2 / (2 * variance)
        came = math.log(numbers.home[state] / numbers.initial[state]) if home else 0.0
        return [*counts, *marks, *readings, came]

    def often(self, records, as_of):
        """Of each of the counts, how often the person has them against everyone."""
        known = (as_of - records[0][0]) / DAY
        found = []
        for place, (rate, shape) in enumerate(self.numbers.pace):
            mine = sum(what == "counts" and place == of for _, of, what, _ in records)
            found.append((shape + mine) / (shape + rate * known))
        return found

    def records(self, person, as_of, since):
        """Moment, place, what, value; and nothing is usual yet."""
        self.before = [[] for _ in self.spec.readings]
        named = [("counts", n, name, 1) for n, name in enumerate(self.spec.counts)]
        for n, mark in enumerate(self.spec.marks):
            named += [("marks", n, mark.among, 0), ("marks", n, mark.of, 1)]
        named += [("readings", n, name, None) for n, name in enumerate(self.spec.readings)]
        found = []
        for what, place, event, worth in named:
            for table in ("contacts", "observations", "attendances"):
                for row in self.naive.in_force(table, as_of):
                    value = worth if worth is not None else row.get("value")
                    at = row.get("occurred_at") or row.get("arrived_at")
                    mine = row["person_id"] == person and self.naive.is_a(row, event) and since <= at < as_of
                    if mine and value is not None:
                        found.append((at, place, what, value))
        return sorted(found)

    def against_usual(self, what, place, value):
        if what != "readings":
            return value, 1.0
        mean, spread, noise = self.numbers.usual[place]
        known = self.before[place]
        certainty = 1 / spread + len(known) / noise
        usual, around = (mean / spread + sum(known) / noise) / certainty, noise + 1 / certainty
        known.append(value)
        most = 3 * math.sqrt(around)
        return max(-most, min(most, value - usual)) / math.sqrt(noise), around / noise

    def kinds(self, person, as_of, edges):
        """Of each day, by the stays in force, in the order in which they began."""
        kinds = [HERE] * (len(edges) - 1)
        stays = [row for row in self.naive.in_force("stays", as_of) if row["person_id"] == person]
        forever = max(edges).replace(year=9000)
        for stay in sorted(
            stays, key=lambda row: (row["admitted_at"], row["discharged_at"] or forever, self.urgent(row))
        ):
            admitted, discharged = stay["admitted_at"], stay["discharged_at"] or forever
            never_closed = discharged > as_of and admitted < edges[0]
            if admitted >= as_of or discharged < edges[0] or never_closed:
                continue
            since = sum(edge <= admitted for edge in edges) - 1
            until = min(sum(edge <= discharged for edge in edges) - 1, len(kinds))
            for day in range(max(since, 0), until):
                first = day == since and self.urgent(stay) and kinds[day] in (HERE, HOME)
                kinds[day] = ADMITTED if first else IN_HOSPITAL
            if self.urgent(stay) and until < len(kinds) and kinds[until] == HERE:
                kinds[until] = HOME
        return kinds

    def urgent(self, row):
        return self.naive.is_a(row, self.spec.admission)
