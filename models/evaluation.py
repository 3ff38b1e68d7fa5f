"""The evidence for a model, judged where it is used: at each team's capacity, by admission, and with intervals
clustered by person, beside rules that a nurse could apply."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import precision_recall_curve

from features.errors import NotReadyError
from models import admissions, by_day, metrics
from models.listings import admissions as count_admissions
from models.listings import listed, overlap, scored_rows, settled_places
from models.metrics import Floats
from models.ranking import Capacities
from models.resampling import Resampling, divided, percentile_interval
from models.subgroups import NEVER_SEEN, TRAINING, contrasts, net_of_known, subgroups, with_traits

ROW_MEASURES = ("auroc", "average_precision")
RISK_MEASURES = ("log_loss", "brier", "expected_over_observed", "calibration_intercept", "calibration_slope")
LIST_MEASURES = ("ppv", "recall", "lift", "nne")
THRESHOLDS = tuple(percent / 100 for percent in range(1, 11))
EVERYONE = "everyone"
RISK_EDGES = np.append(0.0, np.geomspace(1e-4, 1.0, 25))
CURVE_POINTS = 200
TENTHS, FIFTHS = 10, 5

Drawn = tuple[float, Floats]
"""A figure and its resamples."""


@dataclass(frozen=True)
class Evaluation:
    """Tidy frames; low and high are 95% intervals from a bootstrap over people.

    A place's outcome is settled where its row is 'usable' or 'already_admitted'. Someone who was in hospital already
    took a place and could not be a hit: such places count in the denominator of ppv, nne and lift (whose base is the
    rate of all settled rows). Recall is of the usable rows' admissions; discrimination, calibration, decisions and
    risks are of usable rows alone.

    overall: model, measure, value, low, high. differences: the same, for the lead minus the model. unseen: as overall,
    the lead's among people never seen in training; empty where that is not known or none of them was admitted.
    subgroups, known, contrasts: as `models.subgroups` says; contrasts is empty unless asked for. overlap: model, share.
    lead_time, notice, episodes: as `models.admissions` says.
    calibration: rows, predicted, observed, low, high, by tenths of risk; calibration_listed: by fifths of those listed.
    decisions: model, threshold, net_benefit (true positives per row), low, high; 'everyone' acts on all. risks: low,
    high, rows, positives. precision_recall: model, recall, precision. by_day, timing: as `models.by_day` says of the
    lead's curve; empty where it has none. counts: numbers by name; rows, people and admissions of usable rows; settled
    places listed, and those of them already admitted; and the rows that were already admitted, immature or unlabelled,
    of which the last two are left out of every measure.
    """

    lead: str
    overall: pd.DataFrame
    differences: pd.DataFrame
    unseen: pd.DataFrame
    subgroups: pd.DataFrame
    known: pd.DataFrame
    contrasts: pd.DataFrame
    overlap: pd.DataFrame
    lead_time: pd.DataFrame
    notice: pd.DataFrame
    episodes: pd.DataFrame
    calibration: pd.DataFrame
    calibration_listed: pd.DataFrame
    decisions: pd.DataFrame
    risks: pd.DataFrame
    precision_recall: pd.DataFrame
    by_day: pd.DataFrame
    timing: pd.DataFrame
    counts: dict[str, int]
    first_cut: pd.Timestamp
    last_cut: pd.Timestamp

    def figure(self, measure: str, model: str | None = None) -> tuple[float, float, float]:
        """The value, low and high of a measure of the lead, or of another model; NaN where it has none."""
        return _figure(self.overall, model or self.lead, measure)

    def gain(self, model: str, measure: str) -> tuple[float, float, float]:
        """By how much the lead's measure is above the model's: value, low, high."""
        return _figure(self.differences, model, measure)


def _figure(frame: pd.DataFrame, model: str, measure: str) -> tuple[float, float, float]:
    found = frame[(frame["model"] == model) & (frame["measure"] == measure)]
    nothing = float("nan")
    return tuple(found[["value", "low", "high"]].iloc[0]) if len(found) else (nothing, nothing, nothing)


def evaluate(
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    memberships: pd.DataFrame,
    comparators: pd.DataFrame | None = None,
    *,
    capacities: Capacities,
    key: bytes,
    lead: str = "model",
    traits: pd.DataFrame | None = None,
    against: str | None = None,
    curve: pd.DataFrame | None = None,
    resampling: Resampling | None = None,
) -> Evaluation:
    """Judge `scores` (person_id, as_of, score, risk), called `lead`, on every cut that they cover.

    labels: person_id, as_of, label, admitted_at, state, and died where known. memberships: the caseloads; everyone on
    them who is scored competes for a place, and a place is a hit, or not, once its outcome is settled. comparators:
    person_id, as_of and one column of scores a rule or model, for the same rows. key: breaks ties as the lists do.
    traits: person_id, as_of, `known` (an urgent team had taken the person on) and a column of words for each group;
    of a group named 'training', those 'never seen in training' are judged on their own too. against: the comparator
    that `contrasts` are with. curve: the lead's, as `Bundle.curve` gives it; labels then say admitted_day.
    NotReadyError where no usable row has an admission, or all have.
    """
    draws = resampling or Resampling()
    rows, names = scored_rows(scores, labels, comparators, lead, key)
    rows, groups = with_traits(rows, traits)
    rows = by_day.with_curve(rows, labels, curve)
    places = settled_places(rows, memberships, names, capacities)
    usable = rows[rows["state"] == "usable"]
    _check_outcomes(usable)
    overall, differences = _overall(usable, places, names, draws)
    days = admissions.admission_days(places, names)
    groups = [*groups, "team_id"]
    shown = places[places["listed"] & (places["state"] == "usable")]
    return Evaluation(
        lead=lead,
        overall=overall,
        differences=differences,
        unseen=_unseen(usable, places, lead, draws),
        subgroups=subgroups(places, groups, draws),
        known=net_of_known(places, draws),
        contrasts=contrasts(places, groups, against, draws) if against else pd.DataFrame(),
        overlap=overlap(places, names),
        lead_time=admissions.lead_time(days, names, draws),
        notice=admissions.notice(days, names, draws),
        episodes=admissions.episodes(places, names, draws),
        calibration=_calibration(usable, TENTHS, draws),
        calibration_listed=_calibration(shown, FIFTHS, draws),
        decisions=_decisions(usable, names, draws),
        risks=_risks(usable),
        precision_recall=_precision_recall(usable, names),
        by_day=by_day.by_day(usable, shown, draws),
        timing=by_day.timing(usable, draws),
        counts=_counts(rows, places, usable),
        first_cut=rows["as_of"].min(),
        last_cut=rows["as_of"].max(),
    )


def _check_outcomes(usable: pd.DataFrame) -> None:
    positives = int((usable["label"] == 1).sum())
    if not 0 < positives < len(usable):
        message = (
            f"The rows to judge by must hold people who were admitted and people who were not; found {positives} of "
            f"{len(usable)} usable rows. Choose a longer test period, or wait for outcomes to mature."
        )
        raise NotReadyError(message)


def _overall(
    usable: pd.DataFrame, places: pd.DataFrame, names: dict[str, str], resampling: Resampling
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every measure of every model, and the lead's differences from the others on the same resamples."""
    values, differences, lead = [], [], next(iter(names))
    drawn: dict[tuple[str, str], Drawn] = {}
    for model, column in names.items():
        measured = _discrimination(usable, column, resampling)
        if model == lead:
            measured |= _risk_measures(usable, resampling)
        measured |= _list_measures(places, model, resampling)
        drawn |= {(model, measure): found for measure, found in measured.items()}
    for (model, measure), (value, draws) in drawn.items():
        values.append((model, measure, value, *_bounds(draws)))
        if model != lead:
            best, best_draws = drawn[lead, measure]
            differences.append((model, measure, best - value, *_bounds(best_draws - draws)))
    columns = ["model", "measure", "value", "low", "high"]
    return pd.DataFrame(values, columns=columns), pd.DataFrame(differences, columns=columns)


def _bounds(draws: Floats) -> tuple[float, float]:
    interval = percentile_interval(draws)
    return interval.low, interval.high


def _discrimination(usable: pd.DataFrame, column: str, resampling: Resampling) -> dict[str, Drawn]:
    measured = metrics.discrimination_of(usable["label"], usable[column])
    draws = resampling.draw(lambda weights: astuple(measured(weights)), usable["person_id"])
    return _named(ROW_MEASURES, astuple(measured(None)), draws)


def _risk_measures(usable: pd.DataFrame, resampling: Resampling) -> dict[str, Drawn]:
    parts, line = metrics.risk_parts(usable["label"], usable["risk"])
    sums = resampling.sums(parts, usable["person_id"])
    draws = np.array([metrics.risk_figures(drawn, line) for drawn in sums])
    return _named(RISK_MEASURES, metrics.risk_figures(parts.sum(axis=0), line), draws)


def _list_measures(places: pd.DataFrame, model: str, resampling: Resampling) -> dict[str, Drawn]:
    parts = metrics.yield_parts(places["label"], places[listed(model)])
    draws = np.array([metrics.yield_figures(drawn) for drawn in resampling.sums(parts, places["person_id"])])
    return _named(LIST_MEASURES, metrics.yield_figures(parts.sum(axis=0)), draws)


def _named(measures: Sequence[str], values: Sequence[float], draws: Floats) -> dict[str, Drawn]:
    return {measure: (values[i], draws[:, i]) for i, measure in enumerate(measures)}


def _unseen(usable: pd.DataFrame, places: pd.DataFrame, lead: str, resampling: Resampling) -> pd.DataFrame:
    if TRAINING in usable.columns:
        usable, places = (rows[rows[TRAINING] == NEVER_SEEN] for rows in (usable, places))
        if 0 < (usable["label"] == 1).sum() < len(usable):
            return _overall(usable, places, {lead: "score_0"}, resampling)[0]
    return pd.DataFrame(columns=["model", "measure", "value", "low", "high"])


def _calibration(rows: pd.DataFrame, bins: int, resampling: Resampling) -> pd.DataFrame:
    curve = metrics.calibration_curve(rows["label"], rows["risk"], bins)
    held = rows.groupby(metrics.risk_bins(rows["risk"], bins))
    rates = [resampling.rate(part["label"], part["person_id"]) for _, part in held]
    return curve.assign(low=[low for _, low, _ in rates], high=[high for _, _, high in rates])


def _decisions(usable: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    """A rule has no risk: it is given the best that any rising map of its score could give it on these very rows."""
    label, lead = usable["label"].to_numpy(np.float64), next(iter(names))
    risks = {EVERYONE: np.ones(len(usable)), lead: usable["risk"].to_numpy(np.float64)}
    for model, column in names.items():
        if model != lead:
            score = usable[column].to_numpy(np.float64)
            risks[model] = IsotonicRegression().fit(score, label).predict(score)
    rows = []
    for model, risk in risks.items():
        worth = np.column_stack([*(_worth(label, risk, threshold) for threshold in THRESHOLDS), np.ones(len(usable))])
        drawn = resampling.sums(worth, usable["person_id"])
        intervals = [percentile_interval(divided(drawn[:, i], drawn[:, -1])) for i in range(len(THRESHOLDS))]
        means = worth.mean(axis=0)
        rows += [(model, t, means[i], intervals[i].low, intervals[i].high) for i, t in enumerate(THRESHOLDS)]
    return pd.DataFrame(rows, columns=["model", "threshold", "net_benefit", "low", "high"])


def _worth(label: Floats, risk: Floats, threshold: float) -> Floats:
    """Each row's part of `metrics.net_benefit`."""
    return np.where(risk >= threshold, label - (1 - label) * threshold / (1 - threshold), 0.0)


def _risks(usable: pd.DataFrame) -> pd.DataFrame:
    rows, _ = np.histogram(usable["risk"], RISK_EDGES)
    positives, _ = np.histogram(usable.loc[usable["label"] == 1, "risk"], RISK_EDGES)
    return pd.DataFrame({"low": RISK_EDGES[:-1], "high": RISK_EDGES[1:], "rows": rows, "positives": positives})


def _precision_recall(usable: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Each model's curve at up to `CURVE_POINTS` points from a recall of 1%: before that, one row makes or mars it."""
    curves = []
    for model, column in names.items():
        precision, recall, _ = precision_recall_curve(usable["label"], usable[column], drop_intermediate=True)
        precision, recall = precision[::-1], recall[::-1]
        at = np.unique(np.searchsorted(recall, np.linspace(0.01, 1.0, CURVE_POINTS)))
        curves.append(pd.DataFrame({"model": model, "recall": recall[at], "precision": precision[at]}))
    return pd.concat(curves, ignore_index=True)


def _counts(rows: pd.DataFrame, places: pd.DataFrame, usable: pd.DataFrame) -> dict[str, int]:
    shown = places[places["listed"]]
    counts = {
        "cuts": rows["as_of"].nunique(),
        "teams": places["team_id"].nunique(),
        "lists": places["group"].nunique(),
        "rows": len(usable),
        "people": usable["person_id"].nunique(),
        "positives": (usable["label"] == 1).sum(),
        "admissions": count_admissions(usable),
        "listed": len(shown),
        "listed_people": shown["person_id"].nunique(),
        "deaths": _deaths(usable),
        "deaths_listed": _deaths(shown[shown["state"] == "usable"]),
        "already_admitted_listed": (shown["state"] == "already_admitted").sum(),
    }
    left_out = {state: (rows["state"] == state).sum() for state in ("already_admitted", "immature", "unlabelled")}
    return {name: int(number) for name, number in (counts | left_out).items()}


def _deaths(rows: pd.DataFrame) -> int:
    """People who died within the horizon of a row, without admission."""
    return int(rows.loc[rows["died"].eq(True), "person_id"].nunique())
