"""What was watched as files: a page that says first what is news, tables, and metrics.json for machines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from models import watch_figures
from models.decay import SIDES as DECAY_SIDES
from models.drift import RECENT, places
from models.over_time import WHOLE
from models.settings import SMALLEST
from models.watching import CHECKS, VOLUME
from pipelines.alarms import DATA, MODEL, SIDES, Alarm
from pipelines.config import ServiceConfig
from pipelines.evidence import as_svg, with_interval
from pipelines.pages import Section, report_page, words
from pipelines.watched_inputs import Inputs
from pipelines.watched_outcomes import Outcomes

Point = tuple[str, datetime, float]
PAGE = "report.html"
SHOWN_PERIODS, FARTHEST, IN_SHORT = 53, 15, 8
MEASURES = {
    "expected_over_observed": "expected over observed",
    "auroc": "AUROC",
    "ppv": "PPV",
    "recall": "share of admissions listed",
}
EXPOSURE = (
    "A list that works prevents what it warns of: among people who were shown, fewer are admitted than the risks say, "
    "with nothing wrong. So the model is judged by people whom no list had shown in the {days} days before, on what "
    "came of them until the next morning's list."
)


def files(inputs: Inputs, outcomes: Outcomes, told: Sequence[Alarm], config: ServiceConfig) -> dict[str, str]:
    """Every file by name."""
    ends = [end.astimezone(ZoneInfo(config.zone)).date().isoformat() for end in inputs.ends]
    series = inputs.found.series.assign(period=[ends[place] for place in inputs.found.series["period"]])
    recent = series[series["period"] >= ends[max(0, len(ends) - SHOWN_PERIODS)]]
    tables = {
        "alarms": alarm_table(told, for_people=False),
        "series": recent.round(6),
        "lags": inputs.lags.assign(period=[ends[place] for place in inputs.lags["period"]]),
        "months": outcomes.by_month.round(6),
        "periods": outcomes.by_period.round(6),
        "decay": _by_period(outcomes, inputs, ends).round(6),
    }
    found = {f"{name}.csv": table.to_csv(index=False, lineterminator="\n") for name, table in tables.items()}
    found["metrics.json"] = json.dumps(_metrics(told, inputs, ends[-1]), indent=1, sort_keys=True) + "\n"
    return found | {PAGE: page(inputs, outcomes, told, config, ends)}


def page(inputs: Inputs, outcomes: Outcomes, told: Sequence[Alarm], config: ServiceConfig, ends: Sequence[str]) -> str:
    length = words.count(config.monitoring.period_days, "day")
    header = {
        "Trust": config.trust,
        "Looked at": f"{_plain(ends[0])} to {_plain(ends[-1])}, in periods of {length}",
        "Model": outcomes.model,
    }
    return report_page(
        "What has changed",
        "What came in and what came of the lists, held against this service's own past.",
        header,
        [
            _alarms(told),
            _model(outcomes, config),
            _lists(outcomes),
            *_came_in(inputs, ends),
            _fine_print(inputs, config),
        ],
        in_short=in_short(told, outcomes),
        simulated=config.simulated,
    )


def in_short(told: Sequence[Alarm], outcomes: Outcomes) -> list[str]:
    news = [one for one in told if one.news]
    counts = [sum(one.level == level for one in news) for level in (DATA, MODEL)]
    first = f"{words.count(len(news), 'alarm')}: {counts[0]} about the data, {counts[1]} about the model."
    said = [f"Since {_plain(one.since)}: {one.what} {one.do}" for one in news[:IN_SHORT]]
    said += [f"The other {len(news) - IN_SHORT} are in the table below."] if len(news) > IN_SHORT else []
    return [first if news else "No alarm.", *said, _of_the_model(outcomes)]


def _of_the_model(outcomes: Outcomes) -> str:
    if outcomes.known is None:
        return f"The model is not judged yet. {outcomes.why}"
    if outcomes.alarms:
        return "Nothing is retrained or promoted because of this page: that is for a person to decide."
    return "The model shows no sign of decay among people whom no list had shown."


def alarm_table(told: Sequence[Alarm], for_people: bool = True) -> pd.DataFrame:
    """about, check, since, until, what, what_to_do, news."""
    day = _plain if for_people else str
    rows = [
        (one.level, one.check, day(one.since), day(one.until), one.what, one.do, "yes" if one.news else "no")
        for one in told
    ]
    columns = ["about", "check", "since", "until", "what", "what_to_do", "news"]
    return pd.DataFrame(rows, columns=columns)


def _alarms(told: Sequence[Alarm]) -> Section:
    table = alarm_table(told)
    now = table.loc[table["news"] == "yes", ["about", "since", "what", "what_to_do"]]
    past = table.loc[table["news"] == "no", ["since", "until", "what"]]
    return Section("Alarms", tables={"News": now, "Earlier, within the year": past})


def _model(outcomes: Outcomes, config: ServiceConfig) -> Section:
    says = [EXPOSURE.format(days=config.monitoring.exposure_days)]
    known = outcomes.known
    if known is None:
        return Section("Does the model still tell what it told", (*says, f"It is not judged yet. {outcomes.why}"))
    rate = config.monitoring.false_decay_alarms_a_year
    says.append(
        f"It is held against {words.count(known.rows, 'person-day')} with {words.count(known.admissions, 'admission')} "
        f"from {_plain(known.first.date().isoformat())} to {_plain(known.last.date().isoformat())}, on which it was "
        f"judged when it was made. In a year in which nothing changes the chance of any alarm here is {rate:.0%}."
    )
    drawn = watch_figures.sums(outcomes.sums, known.limits, SIDES) if len(outcomes.sums) else None
    figures = {"Sums of what was observed less what was expected; beyond 1 is an alarm": as_svg(drawn)} if drawn else {}
    return Section("Does the model still tell what it told", tuple(says), figures)


def _lists(outcomes: Outcomes) -> Section:
    months = outcomes.by_month
    says = f"{words.count(outcomes.mornings, 'morning')} published in this time, {outcomes.settled} of them settled."
    if months.empty:
        return Section(
            "What came of the lists",
            (
                says,
                f"A figure needs {SMALLEST} people admitted.",
            ),
        )
    shown = months.assign(shown=with_interval(months, places=3))
    measures = shown[shown["measure"].isin(MEASURES)].replace({"measure": MEASURES})
    days = {f"listed_day_{day}": f"day -{day}" for day in range(9, 0, -1)}
    early = shown[shown["measure"].isin(days)].replace({"measure": days})
    tables = {"Month by month": _wide(measures, ["period", "people"], list(MEASURES.values()))}
    tables["Share of admissions on a list, by days before"] = _wide(early, ["period"], list(days.values()))
    figures = {"Month by month": as_svg(watch_figures.in_use(months))}
    note = "Shown: on a list in the weeks before. Their admissions are those that lists did not prevent."
    return Section("What came of the lists", (says, note), figures, tables)


def _wide(frame: pd.DataFrame, index: list[str], columns: list[str]) -> pd.DataFrame:
    wide = frame.pivot_table(index=index, columns="measure", values="shown", aggfunc="first")
    return wide.reindex(columns=columns).astype(object).fillna("").reset_index()


def _came_in(inputs: Inputs, ends: Sequence[str]) -> list[Section]:
    series = inputs.found.series
    recent = series[series["period"] >= len(ends) - SHOWN_PERIODS]
    volumes = recent[recent["check"] == VOLUME]
    odd = volumes[volumes["deviation"].abs() > volumes["limit"]]
    marked = {(str(source), str(table)): set(of["period"]) for (source, table), of in odd.groupby(["source", "table"])}
    judged = recent[np.isfinite(recent["limit"]) & recent["deviation"].notna()]
    figures = {"Rows by period, beside what was usual": as_svg(watch_figures.volumes(volumes, ends, marked))}
    if len(judged):
        figures["How far from usual"] = as_svg(watch_figures.deviations(judged, ends))
    lags = inputs.lags[inputs.lags.groupby(["source", "table"])["period"].transform("max") == inputs.lags["period"]]
    lags = lags.assign(period=[_plain(ends[place]) for place in lags["period"]]).rename(columns={"period": "period_to"})
    says = "How late things came: the days by which half, 90% and 95% of what was told in the last period had come."
    return [
        Section("What came in", (), figures),
        Section("How late", (says,), tables={"In the last period": lags}),
        Section("Farthest from usual", tables={"In the last period, alarm or not": _farthest(judged, len(ends) - 1)}),
    ]


def _farthest(judged: pd.DataFrame, last: int) -> pd.DataFrame:
    now = judged[judged["period"] == last]
    now = now.assign(of_limit=now["deviation"].abs() / now["limit"]).sort_values("of_limit", ascending=False)
    names = ["check", "source", "table", "column", "code", "value", "usual", "of_limit"]
    return now[names].head(FARTHEST).reset_index(drop=True)


def _fine_print(inputs: Inputs, config: ServiceConfig) -> Section:
    series = inputs.found.series
    last = series[series["period"] == series["period"].max()].groupby("check")["limit"].max()
    rows = [(check, inputs.found.watched.get(check, 0), last.get(check, float("nan"))) for check in CHECKS]
    table = pd.DataFrame(rows, columns=["check", "figures", "limit"]).replace([np.inf], np.nan)
    says = (
        f"Where nothing changes, {config.monitoring.false_alarms_a_year:g} of the periods in a year may show a false "
        "alarm about the data, all kinds and figures together.",
        f"A period is held against the {RECENT} before it and against the same season a year before, and is news where "
        "it is unlike both. The limit is for the greatest deviation of a kind in a period, from the periods before. A "
        "dash: the past is too short for one.",
        f"Codes and figures that rest on fewer than {SMALLEST} people are not shown.",
    )
    return Section("For statisticians", says, tables={"What is watched": table})


def _by_period(outcomes: Outcomes, inputs: Inputs, ends: Sequence[str]) -> pd.DataFrame:
    """Observed and expected admissions by period (few are not told), and each side's sum over its limit at its end."""
    columns = ["period", "observed", "expected", *DECAY_SIDES]
    known, sums = outcomes.known, outcomes.sums
    if known is None or sums.empty:
        return pd.DataFrame(columns=columns)
    before = inputs.ends[0] - (inputs.ends[1] - inputs.ends[0])
    grouped = sums.groupby(np.array(ends)[places(sums["as_of"], [before, *inputs.ends])])
    counts = grouped[["observed", "expected"]].sum()
    counts["observed"] = counts["observed"].mask(counts["observed"] < SMALLEST)
    found = counts.join(grouped[list(DECAY_SIDES)].last() / pd.Series(known.limits))
    return found.rename_axis("period").reset_index()[columns]


def points(inputs: Inputs, outcomes: Outcomes, zone: str) -> list[Point]:
    """metric, the end of the period, value: the figures of what came of the lists, the sums over their limits, and the
    greatest deviation of each kind over its limit."""
    by_day = {end.astimezone(ZoneInfo(zone)).date().isoformat(): end for end in inputs.ends}
    figures = outcomes.by_period[outcomes.by_period["period"] != WHOLE]
    names = figures["measure"] + "_" + figures["people"].str.replace(" ", "_")
    found = _points(names, figures["period"].map(by_day), figures["value"])
    decayed = _by_period(outcomes, inputs, list(by_day))
    for side in DECAY_SIDES:
        found += _points([f"decay_{side}"] * len(decayed), decayed["period"].map(by_day), decayed[side])
    series = inputs.found.series
    known = series[np.isfinite(series["limit"]) & series["deviation"].notna()]
    shares = known.assign(share=known["deviation"].abs() / known["limit"], check=known["check"].str.replace(" ", "_"))
    greatest = shares.groupby(["check", "period"], as_index=False)["share"].max()
    ends = [inputs.ends[place] for place in greatest["period"]]
    return found + _points("data_" + greatest["check"], ends, greatest["share"])


def _points(
    names: Iterable[str], ends: Iterable[datetime], values: Iterable[float]
) -> list[tuple[str, datetime, float]]:
    return list(zip(names, ends, values, strict=True))


def _metrics(told: Sequence[Alarm], inputs: Inputs, day: str) -> Mapping[str, object]:
    news = [one for one in told if one.news]
    counts = {level: sum(one.level == level for one in news) for level in (DATA, MODEL)}
    return {"day": day, "alarms": counts, "watched": dict(inputs.found.watched)}


def _plain(day: str) -> str:
    return words.plain_date(date.fromisoformat(day))
