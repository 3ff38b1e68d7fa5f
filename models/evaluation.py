"""The evidence for a model, judged where it is used: at each team's capacity, by admission, and with intervals
clustered by person, beside rules that a nurse could apply."""

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import precision_recall_curve

from features.errors import ContractError, NotReadyError
from features.table import KEYS
from features.windows import HORIZON_DAYS
from models import metrics
from models.metrics import Floats
from models.ranking import Capacities, tie_order

ROW_MEASURES = ("auroc", "average_precision")
RISK_MEASURES = ("log_loss", "brier", "expected_over_observed", "calibration_intercept", "calibration_slope")
LIST_MEASURES = ("ppv", "recall", "lift", "nne")
SETTLED = ("usable", "already_admitted")
NOTICE_DAYS = (1, 2, 3, 5)
EPISODE_GAP_DAYS = 3
THRESHOLDS = tuple(percent / 100 for percent in range(1, 11))
RISK_EDGES = np.append(0.0, np.geomspace(1e-4, 1.0, 25))
CURVE_POINTS = 200

Measures = tuple[tuple[str, ...], Callable[[Floats | None], list[float]]]


@dataclass(frozen=True)
class Evaluation:
    """Tidy frames; low and high are 95% intervals from a bootstrap over people.

    A place's outcome is settled where its row is 'usable' or 'already_admitted'. Someone who was in hospital already
    took a place and could not be a hit: such places count in the denominator of ppv, nne and lift (whose base is the
    rate of all settled rows). Recall is of the usable rows' admissions; discrimination, calibration, decisions and
    risks are of usable rows alone.

    overall: model, measure, value, low, high. differences: the same, for the lead minus the model.
    teams (the lead's): team_id; rows, people, admissions of usable rows; listed (settled places), hits, ppv, low, high,
    recall; expected and observed admissions of usable rows.
    lead_time: model, days_before (1 .. 9), admissions (of people on a caseload that day), listed, share, low, high.
    notice: model, days_before, admissions (all), listed on at least one day so long before or longer, share, low, high.
    episodes: model, lists, people, episodes (runs on one list, gaps of up to 3 days bridged), new_per_list, mean_days,
    ppv (episodes with an admission to follow). calibration: rows, predicted, observed, low, high, by tenths of risk.
    decisions: threshold, net_benefit, treat_all (true positives per row). risks: low, high, rows, positives.
    precision_recall: model, recall, precision. counts: numbers by name; rows, people and admissions of usable rows;
    settled places listed, and those of them already admitted; and the rows that were already admitted, immature or
    unlabelled, of which the last two are left out of every measure.
    """

    lead: str
    overall: pd.DataFrame
    differences: pd.DataFrame
    teams: pd.DataFrame
    lead_time: pd.DataFrame
    notice: pd.DataFrame
    episodes: pd.DataFrame
    calibration: pd.DataFrame
    decisions: pd.DataFrame
    risks: pd.DataFrame
    precision_recall: pd.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    draws: int = 200
    seed: int = 0

    def draw(self, measured: Callable[[Floats | None], npt.ArrayLike], people: npt.ArrayLike) -> Floats:
        return metrics.clustered_draws(measured, people, self.draws, self.seed)

    def rate(self, hits: npt.ArrayLike, people: npt.ArrayLike) -> tuple[float, float, float]:
        """The mean of `hits` and its interval."""
        hit = np.asarray(hits, dtype=np.float64)
        if not len(hit):
            return (float("nan"),) * 3
        draws = self.draw(lambda w: _mean(hit, w), people)
        interval = metrics.percentile_interval(draws)
        return float(hit.mean()), interval.low, interval.high


def _mean(values: Floats, weights: Floats | None) -> float:
    weight = np.ones_like(values) if weights is None else weights
    return float(weight @ values / weight.sum()) if weight.sum() else float("nan")


def evaluate(
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    memberships: pd.DataFrame,
    comparators: pd.DataFrame | None = None,
    *,
    capacities: Capacities,
    key: bytes,
    lead: str = "model",
    resampling: Resampling | None = None,
) -> Evaluation:
    """Judge `scores` (person_id, as_of, score, risk), called `lead`, on every cut that they cover.

    labels: person_id, as_of, label, admitted_at, state, and died where known. memberships: the caseloads; everyone on
    them who is scored competes for a place, and a place is a hit, or not, once its outcome is settled. comparators:
    person_id, as_of and one column of scores a rule or model, for the same rows. key: breaks ties as the lists do.
    NotReadyError where no usable row has an admission, or all have.
    """
    draws = resampling or Resampling()
    rows, names = _rows(scores, labels, comparators, lead, key)
    listing = _listings(rows, memberships, names, capacities)
    usable, places = rows[rows["state"] == "usable"], _settled(listing)
    _check_outcomes(usable)
    overall, differences = _overall(usable, places, names, draws)
    days = _admission_days(places, names)
    return Evaluation(
        lead=lead,
        overall=overall,
        differences=differences,
        teams=_teams(places, draws),
        lead_time=_lead_time(days, names, draws),
        notice=_notice(days, names, draws),
        episodes=_episodes(places, names),
        calibration=_calibration(usable, draws),
        decisions=_decisions(usable),
        risks=_risks(usable),
        precision_recall=_precision_recall(usable, names),
        counts=_counts(rows, places, usable),
    )


def _rows(
    scores: pd.DataFrame, labels: pd.DataFrame, comparators: pd.DataFrame | None, lead: str, key: bytes
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Scored rows in key order with their outcome, and the column that holds each model's score, the lead's first."""
    keys = list(KEYS)
    rows = scores[[*keys, "score", "risk"]].rename(columns={"score": "score_0"})
    names = {lead: "score_0"}
    if comparators is not None:
        names |= {name: f"score_{i}" for i, name in enumerate(comparators.columns.drop(keys), start=1)}
        rows = rows.merge(comparators.rename(columns=names), on=keys, how="left", validate="1:1")
    if rows[list(names.values())].isna().any(axis=None):
        message = "Every model and rule must score the same rows; some rows have no score. Score them all."
        raise ContractError(message)
    outcome = labels if "died" in labels.columns else labels.assign(died=False)
    rows = rows.merge(outcome[[*keys, "label", "admitted_at", "state", "died"]], on=keys, how="left", validate="1:1")
    rows["state"] = rows["state"].astype(object).where(rows["state"].notna(), "unlabelled")
    rows = rows.sort_values(["as_of", "person_id"], ignore_index=True)
    return rows.assign(tie=tie_order(rows, key)), names


def _listings(
    rows: pd.DataFrame, memberships: pd.DataFrame, names: dict[str, str], capacities: Capacities
) -> pd.DataFrame:
    """One row a team and person and cut: the person's row, and for each model whether the team's list holds them."""
    places = memberships[[*KEYS, "team_id"]].merge(rows, on=list(KEYS), how="inner")
    places = places.sort_values(["as_of", "team_id", "person_id"], ignore_index=True)
    grouped = places.groupby(["as_of", "team_id"], sort=False)
    group = grouped.ngroup().to_numpy()
    sizes = grouped.size().reset_index(name="n")
    room = np.array([capacities.of(t, n) for t, n in zip(sizes["team_id"], sizes["n"], strict=True)], dtype=np.int64)
    for model, column in names.items():
        listed = metrics.top_of_groups(group, places[column], places["tie"], room[group])
        places[_listed(model)] = listed
    return places.assign(group=group, listed=places[_listed(next(iter(names)))])


def _settled(listing: pd.DataFrame) -> pd.DataFrame:
    """Places whose outcome is known; the label is 1 for a hit, and an admission found to be past is none."""
    places = listing[listing["state"].isin(SETTLED)]
    return places.assign(label=((places["label"] == 1) & (places["state"] == "usable")).astype(np.int64))


def _listed(model: str) -> str:
    return f"listed: {model}"


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
    drawn: dict[tuple[str, str], tuple[float, Floats]] = {}
    for model, column in names.items():
        risk = usable["risk"] if model == lead else None
        by_row, by_list = _row_measures(usable, column, risk), _list_measures(places, model)
        for (measures, measured), frame in ((by_row, usable), (by_list, places)):
            draws = resampling.draw(measured, frame["person_id"])
            drawn |= {
                (model, m): (v, draws[:, i]) for i, (m, v) in enumerate(zip(measures, measured(None), strict=True))
            }
    for (model, measure), (value, draws) in drawn.items():
        values.append((model, measure, value, *_bounds(draws)))
        if model != lead:
            best, best_draws = drawn[lead, measure]
            differences.append((model, measure, best - value, *_bounds(best_draws - draws)))
    columns = ["model", "measure", "value", "low", "high"]
    return pd.DataFrame(values, columns=columns), pd.DataFrame(differences, columns=columns)


def _bounds(draws: Floats) -> tuple[float, float]:
    interval = metrics.percentile_interval(draws)
    return interval.low, interval.high


def _row_measures(usable: pd.DataFrame, column: str, risk: pd.Series | None) -> Measures:
    """Discrimination, and where there is a risk its calibration."""
    label, score = usable["label"].to_numpy(np.float64), usable[column].to_numpy(np.float64)
    told_apart = metrics.discrimination_of(label, score)
    if risk is None:
        return ROW_MEASURES, lambda weights: list(astuple(told_apart(weights)))
    risks = risk.to_numpy(np.float64)
    calibrated = metrics.calibration_of(label, risks)

    def measured(weights: Floats | None) -> list[float]:
        found = calibrated(weights)
        losses = [metrics.log_loss(label, risks, weights), metrics.brier(label, risks, weights)]
        return [*astuple(told_apart(weights)), *losses, *astuple(found)]

    return ROW_MEASURES + RISK_MEASURES, measured


def _list_measures(places: pd.DataFrame, model: str) -> Measures:
    yielded = metrics.listing_of(places["label"], places[_listed(model)])
    return LIST_MEASURES, lambda weights: list(astuple(yielded(weights)))


def _admissions(rows: pd.DataFrame) -> int:
    return len(rows.loc[rows["label"] == 1, ["person_id", "admitted_at"]].drop_duplicates())


def _teams(places: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    rows = []
    for team, held in places.groupby("team_id", sort=True):
        shown = held[held["listed"]]
        ppv, low, high = resampling.rate(shown["label"], shown["person_id"])
        usable = held[held["state"] == "usable"]
        hits, positives = int(shown["label"].sum()), int(usable["label"].sum())
        recall = hits / positives if positives else float("nan")
        sizes = (len(usable), usable["person_id"].nunique(), _admissions(usable), len(shown), hits)
        rows.append((team, *sizes, ppv, low, high, recall, float(usable["risk"].sum()), positives))
    columns = ["team_id", "rows", "people", "admissions", "listed", "hits", "ppv", "low", "high", "recall"]
    return pd.DataFrame(rows, columns=[*columns, "expected", "observed"])


def _admission_days(places: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """person_id, admitted_at, days_before, and for each model whether any team's list held the person that day.

    An admission within a day of the cut is 1 day before; the hour that a clock change adds stays with the last day.
    """
    rows = places[places["label"] == 1]
    ahead = (rows["admitted_at"] - rows["as_of"]).dt.total_seconds() // 86_400
    keyed = rows.assign(days_before=np.minimum(ahead + 1, HORIZON_DAYS).astype(np.int64))
    by_day = keyed.groupby(["person_id", "admitted_at", "days_before"])
    return by_day[[_listed(model) for model in names]].max().reset_index()


def _lead_time(days: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    rows = []
    for model in names:
        for day in range(1, HORIZON_DAYS + 1):
            held = days[days["days_before"] == day]
            listed = held[_listed(model)]
            rows.append((model, day, len(held), int(listed.sum()), *resampling.rate(listed, held["person_id"])))
    return pd.DataFrame(rows, columns=["model", "days_before", "admissions", "listed", "share", "low", "high"])


def _notice(days: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    rows = []
    for model in names:
        for least in NOTICE_DAYS:
            early = days[_listed(model)] & (days["days_before"] >= least)
            ever = early.groupby([days["person_id"], days["admitted_at"]]).max()
            share = resampling.rate(ever, ever.index.get_level_values("person_id"))
            rows.append((model, least, len(ever), int(ever.sum()), *share))
    return pd.DataFrame(rows, columns=["model", "days_before", "admissions", "listed", "share", "low", "high"])


def _episodes(places: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    places = places.sort_values(["team_id", "person_id", "as_of"])
    lists = places["group"].nunique()
    rows = []
    for model in names:
        shown = places[places[_listed(model)]]
        gap = shown.groupby(["team_id", "person_id"])["as_of"].diff().dt.total_seconds() / 86_400
        runs = shown.groupby((gap.isna() | (gap.round() > EPISODE_GAP_DAYS)).cumsum())
        lengths = (runs["as_of"].max() - runs["as_of"].min()).dt.total_seconds() / 86_400 + 1
        found = (len(lengths), len(lengths) / lists, float(lengths.mean()), float(runs["label"].max().mean()))
        rows.append((model, lists, shown["person_id"].nunique(), *found))
    return pd.DataFrame(rows, columns=["model", "lists", "people", "episodes", "new_per_list", "mean_days", "ppv"])


def _calibration(usable: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    curve = metrics.calibration_curve(usable["label"], usable["risk"])
    bins = usable.groupby(metrics.risk_bins(usable["risk"], 10))
    rates = [resampling.rate(held["label"], held["person_id"]) for _, held in bins]
    return curve.assign(low=[low for _, low, _ in rates], high=[high for _, _, high in rates])


def _decisions(usable: pd.DataFrame) -> pd.DataFrame:
    label, risk = usable["label"], usable["risk"]
    everyone = np.ones(len(usable))
    rows = [(t, metrics.net_benefit(label, risk, t), metrics.net_benefit(label, everyone, t)) for t in THRESHOLDS]
    return pd.DataFrame(rows, columns=["threshold", "net_benefit", "treat_all"])


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
        "admissions": _admissions(usable),
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
