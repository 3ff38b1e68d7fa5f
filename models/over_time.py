"""A model in use, month by month, beside the truth where a simulator tells it: what lists that are acted on do to the
figures of the model that made them, and to a model that learns from those months."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.table import KEYS
from models.admissions import admission_days, lead_time
from models.bundle import Bundle
from models.listings import SETTLED, listed
from models.metrics import auroc, top_of_groups
from models.ranking import tie_order
from models.resampling import Resampling, clustered_interval
from models.settings import SMALLEST

WHOLE = "all"
"""The month of the figures of all months together."""
EVERYONE, SHOWN, UNSHOWN = "everyone", "shown", "not shown"
PER = 1000
TOP_SHARE = 0.05
Figure = tuple[float, float, float]
"""A value and its 95% interval, clustered by person."""


def by_month(rows: pd.DataFrame, draws: Resampling) -> pd.DataFrame:
    """month (of `WHOLE` or as 2026-01), measure, value, low, high.

    rows: a place on a caseload and cut each: person_id, as_of, team_id, day (ISO, local), risk, listed, label and state
    (as `features.labels.label`), p9, p9_untreated (null where the truth does not know them) and admitted (an emergency
    admission, reported or not, before the next cut; null where the truth does not know).

    auroc, expected_over_observed: of usable rows. ppv: of settled places listed. expected_over_true, _untreated: risk
    over the true one as it was, and had nobody helped. listed_true, listed_untreated: the mean of these among those
    listed. listed_helped: the share of those listed whom an action was helping already at the cut. admissions:
    emergency admissions for each thousand days on the caseload.
    """
    months = {WHOLE: rows} | {str(name): of for name, of in rows.groupby(rows["day"].str[:7], sort=True)}
    found = [(name, measure, *figure) for name, of in months.items() for measure, figure in _figures(of, draws).items()]
    return pd.DataFrame(found, columns=["month", "measure", "value", "low", "high"])


def in_use(rows: pd.DataFrame, periods: pd.Series, draws: Resampling) -> pd.DataFrame:
    """period (of `WHOLE` or as in `periods`), people (everyone, shown, not shown), measure, value, low, high: what the
    published lists were worth, of rows whose outcomes are settled. What rests on few people admitted is left out.

    rows: as `by_month` without the truth, with admitted_at, and with exposed (shown on a list not long before).
    auroc and expected_over_observed of each group of people; of everyone, ppv, recall, and listed_day_1 .. 9, the share
    of admissions on a list so many days before.
    """
    named = {WHOLE: rows} | {str(name): of for name, of in rows.groupby(periods, sort=True)}
    found = [
        (name, people, measure, *figure)
        for name, of in named.items()
        for people, part in {EVERYONE: of, SHOWN: of[of["exposed"]], UNSHOWN: of[~of["exposed"]]}.items()
        for measure, figure in _in_use(part, people, draws).items()
        if not np.isnan(figure[0])
    ]
    return pd.DataFrame(found, columns=["period", "people", "measure", "value", "low", "high"])


def _in_use(rows: pd.DataFrame, people: str, draws: Resampling) -> dict[str, Figure]:
    hits = rows[(rows["label"] == 1) & (rows["state"] == "usable")]
    if hits["person_id"].nunique() < SMALLEST:
        return {}
    observed = _observed(rows, rows.drop_duplicates(["person_id", "as_of"]), draws)
    if people != EVERYONE:
        return {name: figure for name, figure in observed.items() if name != "ppv"}
    days = admission_days(hits.rename(columns={"listed": listed(EVERYONE)}), {EVERYONE: ""})
    early = lead_time(days, {EVERYONE: ""}, draws)
    columns = (early[name].astype(float) for name in ("share", "low", "high"))
    figures = zip(*columns, strict=True)
    shares = {f"listed_day_{day}": figure for day, figure in zip(early["days_before"], figures, strict=True)}
    return observed | {"recall": draws.rate(hits["listed"], hits["person_id"])} | shares


def _figures(rows: pd.DataFrame, draws: Resampling) -> dict[str, Figure]:
    people = rows.drop_duplicates(["person_id", "as_of"])
    true = people[people["p9"].notna()]
    return _observed(rows, people, draws) | _true(rows, true, draws)


def _observed(rows: pd.DataFrame, people: pd.DataFrame, draws: Resampling) -> dict[str, Figure]:
    usable = people[people["state"] == "usable"]
    places = rows[rows["listed"] & rows["state"].isin(SETTLED)]
    hits = (places["label"] == 1) & (places["state"] == "usable")
    return {
        "auroc": ranked(usable["label"], usable["risk"], usable["person_id"], draws),
        "ppv": draws.rate(hits, places["person_id"]),
        "expected_over_observed": draws.ratio(usable["risk"], usable["label"], usable["person_id"]),
    }


def _true(rows: pd.DataFrame, true: pd.DataFrame, draws: Resampling) -> dict[str, Figure]:
    listed = rows[rows["listed"] & rows["p9"].notna()]
    helped = listed["p9"] < listed["p9_untreated"]
    value, low, high = draws.rate(true["admitted"].astype(float), true["person_id"])
    return {
        "expected_over_true": draws.ratio(true["risk"], true["p9"], true["person_id"]),
        "expected_over_untreated": draws.ratio(true["risk"], true["p9_untreated"], true["person_id"]),
        "listed_true": draws.rate(listed["p9"], listed["person_id"]),
        "listed_untreated": draws.rate(listed["p9_untreated"], listed["person_id"]),
        "listed_helped": draws.rate(helped, listed["person_id"]),
        "admissions": (PER * value, PER * low, PER * high),
    }


def ranked(labels: npt.ArrayLike, risks: npt.ArrayLike, people: npt.ArrayLike, draws: Resampling) -> Figure:
    """AUROC; NaN where all labels are alike."""
    label, risk = np.asarray(labels, dtype=np.float64), np.asarray(risks, dtype=np.float64)
    if len(label) == 0 or label.min() == label.max():
        return float("nan"), float("nan"), float("nan")
    interval = clustered_interval(lambda weights: auroc(label, risk, weights), people, draws.draws, draws.seed)
    return auroc(label, risk), interval.low, interval.high


def beside(
    bundles: Mapping[str, Bundle], frame: pd.DataFrame, known: pd.DataFrame, key: bytes, draws: Resampling
) -> pd.DataFrame:
    """model, measure, value, low, high of several models on the same rows.

    frame: features of usable rows; known: their label and p9_untreated, row for row. key: breaks ties.

    auroc; and of the `TOP_SHARE` of each cut that the model puts highest: top_ppv, top_untreated (mean true risk had
    nobody helped), top_predicted (mean of the model's own risks) and top_over_untreated, the one over the other.
    """
    rows = frame[list(KEYS)].assign(label=known["label"].to_numpy(), p9_untreated=known["p9_untreated"].to_numpy())
    found = [
        (name, measure, *figure)
        for name, bundle in bundles.items()
        for measure, figure in _at_the_top(bundle.score(frame), rows, key, draws).items()
    ]
    return pd.DataFrame(found, columns=["model", "measure", "value", "low", "high"])


def _at_the_top(scored: pd.DataFrame, rows: pd.DataFrame, key: bytes, draws: Resampling) -> dict[str, Figure]:
    cuts = rows.groupby("as_of")
    room = np.ceil(TOP_SHARE * cuts["person_id"].transform("size").to_numpy())
    chosen = top_of_groups(cuts.ngroup(), scored["score"], tie_order(rows, key), room)
    top, risk = rows[chosen], scored["risk"].to_numpy()
    return {
        "auroc": ranked(rows["label"], risk, rows["person_id"], draws),
        "top_ppv": draws.rate(top["label"], top["person_id"]),
        "top_untreated": draws.rate(top["p9_untreated"], top["person_id"]),
        "top_predicted": draws.rate(risk[chosen], top["person_id"]),
        "top_over_untreated": draws.ratio(risk[chosen], top["p9_untreated"], top["person_id"]),
    }
