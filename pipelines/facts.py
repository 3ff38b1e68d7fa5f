"""What a run can say of itself in words: the sentences that come first in a report, the model card, TRIPOD+AI."""

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from math import isnan
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from features.plain_yaml import load_yaml
from features.states import EVIDENCE, LOG_ODDS, learned_in
from features.windows import HORIZON_DAYS
from models.bundle import Bundle
from models.evaluation import Evaluation
from models.gate import Line
from models.settings import ENSEMBLE, LIGHTGBM, LOGISTIC, SMALLEST
from pipelines.config import ServiceConfig
from pipelines.pages.words import plain_date

TEMPLATES = Path(__file__).parent / "pages" / "templates"
NOTICE = 2
"""Days before an admission from which on a team can still do something."""
CURVE = " A curve says how much of the risk falls within 1, 2 .. 9 days; it ranks nobody."
OF_PEOPLE = ("people", "admissions", "listed_people", "deaths", "deaths_listed")
"""Counts of persons rather than of person-days."""


def percent(figure: tuple[float, float, float]) -> str:
    """A share with its interval: 7.4% (5.7% to 9.1%)."""
    value, low, high = figure
    return "not known" if isnan(value) else f"{value:.1%} ({low:.1%} to {high:.1%})"


def number(figure: tuple[float, float, float], places: int = 2) -> str:
    """A figure with its interval."""
    value, low, high = figure
    return "not known" if isnan(value) else f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def counted(name: str, count: int) -> str:
    """A count in words, small numbers of people hidden."""
    return f"fewer than {SMALLEST}" if is_small(name, count) else f"{count:,}"


def is_small(name: str, count: int) -> bool:
    """Whether a count is of so few people that it is not shown."""
    return name in OF_PEOPLE and 0 < count < SMALLEST


def outcome_words(config: ServiceConfig) -> str:
    return config.task.outcome_words if config.task else "emergency admission"


def best_rule(judged: Evaluation, config: ServiceConfig) -> str:
    """The simple rule with the highest PPV at capacity; empty where none is configured."""
    return max(config.rules, key=lambda rule: judged.figure("ppv", rule)[0], default="")


def in_short(judged: Evaluation, config: ServiceConfig, lines: tuple[Line, ...]) -> list[str]:
    """What a clinical lead has to know, in sentences; what is not defined is left out."""
    return [*_yield(judged, config), *_early(judged, config), *_meaning(judged), *_gate(lines)]


def _yield(judged: Evaluation, config: ServiceConfig) -> Iterator[str]:
    ppv, nne, lift = (judged.figure(measure) for measure in ("ppv", "nne", "lift"))
    yield (
        f"Of those listed, {percent(ppv)} had an {outcome_words(config)} within {HORIZON_DAYS} days: one in every "
        f"{nne[0]:.0f} people looked at, {lift[0]:.1f} times as many as among the whole caseload. Most people who are "
        "listed are not admitted."
    )
    rule = best_rule(judged, config)
    if rule:
        gain = [100 * points for points in judged.gain(rule, "ppv")]
        yield (
            f"The best simple rule ('{rule}') would reach {percent(judged.figure('ppv', rule))} with lists of the same "
            f"length; the model is {gain[0]:.1f} percentage points above it ({gain[1]:.1f} to {gain[2]:.1f})."
        )
    known = judged.known.set_index("who")
    share = float(known["share"]["already with an urgent team"])
    if share:
        rest = percent(tuple(known.loc["net of those", ["ppv", "low", "high"]]))
        yield f"An urgent team had already taken on {share:.0%} of those listed; of the rest {rest} were admitted."


def _early(judged: Evaluation, config: ServiceConfig) -> Iterator[str]:
    notice = judged.notice[judged.notice["days_before"] == NOTICE].set_index("model")
    rule = best_rule(judged, config)
    mine = percent(tuple(notice.loc[judged.lead, ["share", "low", "high"]]))
    theirs = f", by '{rule}' {percent(tuple(notice.loc[rule, ['share', 'low', 'high']]))}" if rule else ""
    yield (
        f"Of {judged.counts['admissions']:,} admissions, {mine} had been listed on at least one morning {NOTICE} days "
        f"or more before{theirs}. People who are not listed can be admitted too."
    )


def _meaning(judged: Evaluation) -> Iterator[str]:
    over, slope = judged.figure("expected_over_observed"), judged.figure("calibration_slope")
    yield (
        f"For every 100 admissions that came, the risks had promised {100 * over[0]:.0f} ({100 * over[1]:.0f} to "
        f"{100 * over[2]:.0f}); the calibration slope is {number(slope)}, where 1 is right."
    )
    if len(judged.unseen):
        unseen = judged.unseen.set_index("measure")
        there = number(tuple(unseen.loc["auroc", ["value", "low", "high"]]), 3)
        yield f"AUROC is {number(judged.figure('auroc'), 3)}; among people never seen in training it is {there}."


def _gate(lines: tuple[Line, ...]) -> Iterator[str]:
    failed = [f"{line.name} ({line.says})" for line in lines if not line.passed]
    if failed:
        yield f"It did not pass the gate: {'; '.join(failed)}."
    elif lines:
        yield f"It passed the gate on all {len(lines)} lines."


def facts(judged: Evaluation, bundle: Bundle, config: ServiceConfig) -> dict[str, str]:
    """Every fact that the model card and TRIPOD+AI are filled with."""
    lineage, counts = bundle.lineage, judged.counts
    training, calibration = lineage["blocks"]["train"], lineage["blocks"]["calibrate"]
    first, last = (_day(moment, config.zone) for moment in (judged.first_cut, judged.last_cut))
    rules = ", ".join(config.rules) or "none"
    return {
        "name": f"{pd.Timestamp(lineage['as_of']):%Y-%m-%d}-{bundle.fingerprint[:12]}",
        "trust": config.trust + (" (simulated people)" if config.simulated else ""),
        "outcome": outcome_words(config),
        "horizon": str(HORIZON_DAYS),
        "lead": _words(judged.lead, len(bundle.boosters)),
        "beside": ", ".join(
            _words(model, len(bundle.boosters)) for model in bundle.calibration if model != judged.lead
        ),
        "curve": CURVE if bundle.tilt is not None else "",
        "lead_from": f"{lineage['config']['lead_from_admissions']:,}",
        "as_of": _day(lineage["as_of"], config.zone),
        "train_period": f"{_day(training['first_as_of'], config.zone)} to {_day(training['last_as_of'], config.zone)}",
        "train_size": f"{training['rows']:,} person-days of {training['people']:,} people, "
        f"{training['admissions']:,} admissions",
        "calibration_period": f"{_day(calibration['first_as_of'], config.zone)} to "
        f"{_day(calibration['last_as_of'], config.zone)}",
        "calibration_size": f"{calibration['rows']:,} person-days, {calibration['admissions']:,} admissions",
        "test_period": f"{first} to {last}",
        "test_size": f"{counts['rows']:,} person-days of {counts['people']:,} people, {counts['admissions']:,} "
        "admissions",
        "ghosts": f"{counts['already_admitted']:,}",
        "immature": f"{counts['immature']:,}",
        "deaths": counted("deaths", counts["deaths"]),
        "teams": f"{counts['teams']:,}",
        "features": _features(bundle),
        "contract": bundle.contract.fingerprint[:12],
        "fingerprint": bundle.fingerprint[:12],
        "rows_digest": str(lineage["rows"])[:12],
        "trials": str(lineage.get("trials", 0)),
        "lag": f"{lineage['admission_lag_days']:g}",
        "libraries": ", ".join(f"{library} {number}" for library, number in sorted(lineage["libraries"].items())),
        "version": version("minus-nine"),
        "capacity": f"{config.lists.share:.0%} of the caseload, {config.lists.least} at least",
        "rules": rules,
        "caseload": _caseload(config),
        "missed": f"{1 - _listed_ever(judged):.0%}",
        "auroc": number(judged.figure("auroc"), 3),
        "average_precision": number(judged.figure("average_precision"), 3),
        "ppv": percent(judged.figure("ppv")),
        "recall": percent(judged.figure("recall")),
        "expected_over_observed": number(judged.figure("expected_over_observed")),
        "slope": number(judged.figure("calibration_slope")),
    }


def _features(bundle: Bundle) -> str:
    features = bundle.contract.features
    made = f"{len(features)} features in {len({feature.family for feature in features})} families"
    of_states = sum(feature.aggregate in (LOG_ODDS, EVIDENCE) for feature in features)
    if not learned_in(str(bundle.lineage["catalogue"])):
        return made
    return (
        f"{made}, {of_states} of them from hidden states (a hidden Markov model of what is recorded, learned from the "
        "people and days of the training rows)"
    )


def _words(model: str, seeds: int) -> str:
    trees = "LightGBM (boosted trees" + (f", the mean of {seeds} seeds)" if seeds > 1 else ")")
    both = f"The mean, in log-odds, of {trees} and a ridge logistic regression"
    return {LIGHTGBM: trees, LOGISTIC: "Ridge logistic regression", ENSEMBLE: both}[model]


def _caseload(config: ServiceConfig) -> str:
    if config.task is not None:
        return "the index rows that the task's author gives"
    rules = config.caseload
    return (
        f"open referral, active within {rules.active_days} days, aged {rules.least_age} or more, alive and not in "
        "hospital, as known at the cut"
    )


def _listed_ever(judged: Evaluation) -> float:
    notice = judged.notice[judged.notice["model"] == judged.lead]
    return float(notice.loc[notice["days_before"] == 1, "share"].iloc[0])


def _day(moment: datetime | pd.Timestamp | str, zone: str) -> str:
    return plain_date(pd.Timestamp(moment).tz_convert(ZoneInfo(zone)).date())


def model_card(told: dict[str, str]) -> str:
    """The model card, as Markdown."""
    return (TEMPLATES / "model-card.md").read_text("utf-8").format_map(told)


def tripod(told: dict[str, str]) -> pd.DataFrame:
    """The items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378, shortened): item, asks, answer. Where a run cannot
    know, the answer says who has to."""
    items = load_yaml((TEMPLATES / "tripod.yaml").read_text("utf-8"))
    rows = [(one["item"], one["asks"], one["answer"].format_map(told)) for one in items]
    return pd.DataFrame(rows, columns=["item", "asks", "answer"])
