"""Whether the curve of the nine days says when: as many admitted by each day as it says, and what it knows beyond the
risk that it ends in."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.table import KEYS
from models import metrics
from models.metrics import TINY, Floats
from models.resampling import Resampling, divided, percentile_interval
from models.settings import WITHIN

SOON = 3
"""Days within which a team can hardly do more than visit: the curve is judged there too."""
EVERYONE, LISTED = "everyone", "listed"


def with_curve(rows: pd.DataFrame, labels: pd.DataFrame, curve: pd.DataFrame | None) -> pd.DataFrame:
    """`rows` with `WITHIN` and admitted_day, null without an admission; as they are without a curve."""
    if curve is None:
        return rows
    keys = list(KEYS)
    joined = rows.merge(curve, on=keys, how="left", validate="1:1")
    return joined.merge(labels[[*keys, "admitted_day"]], on=keys, how="left", validate="1:1")


def by_day(usable: pd.DataFrame, listed: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """who, day (1 .. 9), rows, expected and observed (shares of rows admitted within so many days; low and high of the
    observed), expected_over_observed with _low and _high. usable, listed: as `with_curve` gives them; empty where it
    has no curve to give."""
    if not _curved(usable):
        return pd.DataFrame()
    ratios = [f"expected_over_observed{end}" for end in ("", "_low", "_high")]
    columns = ["who", "day", "rows", "expected", "observed", "low", "high", *ratios]
    found = [(who, *row) for who, rows in ((EVERYONE, usable), (LISTED, listed)) for row in _days(rows, resampling)]
    return pd.DataFrame(found, columns=columns)


def _curved(rows: pd.DataFrame) -> bool:
    return WITHIN[0] in rows.columns


def _days(rows: pd.DataFrame, resampling: Resampling) -> Iterator[tuple[float, ...]]:
    days = range(1, len(WITHIN) + 1)
    hits = np.column_stack([_admitted(rows, day) for day in days]).astype(np.float64)
    parts = np.column_stack([hits, rows[list(WITHIN)].to_numpy(np.float64), np.ones(len(rows))])
    sums, drawn = parts.sum(axis=0), resampling.sums(parts, rows["person_id"])
    for day in days:
        hit, expected = day - 1, day - 1 + len(days)
        observed = percentile_interval(divided(drawn[:, hit], drawn[:, -1]))
        ratio = percentile_interval(divided(drawn[:, expected], drawn[:, hit]))
        shares = (float(divided(sums[of], sums[-1])) for of in (expected, hit))
        over = float(divided(sums[expected], sums[hit]))
        yield (day, len(rows), *shares, observed.low, observed.high, over, ratio.low, ratio.high)


def _admitted(rows: pd.DataFrame, day: int) -> npt.NDArray[np.bool_]:
    """Whether within so many days."""
    return (rows["admitted_day"] <= day).fillna(False).to_numpy(bool)


def timing(usable: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """measure, curve, even (the same risk spread evenly over the nine days), difference, low, high, on the same
    resamples. usable: as `with_curve` gives it; empty where it has no curve to give.

    day_log_loss: the mean of -log of what was given to the day of the admission, or to none; less is better.
    auroc_3_days: how admissions within three days are ranked, by the curve and, which even spreading amounts to, by the
    risk.
    """
    if not _curved(usable):
        return pd.DataFrame()
    people, soon = usable["person_id"], _admitted(usable, SOON)
    losses, even_losses = _losses(usable)
    gained = resampling.rate(losses - even_losses, people)
    ranked = metrics.discrimination_of(soon, usable[WITHIN[SOON - 1]])
    by_risk = metrics.discrimination_of(soon, usable["risk"])
    interval = percentile_interval(
        resampling.draw(lambda weights: ranked(weights).auroc - by_risk(weights).auroc, people)
    )
    mine, theirs = ranked(None).auroc, by_risk(None).auroc
    rows = [
        ("day_log_loss", float(losses.mean()), float(even_losses.mean()), *gained),
        (f"auroc_{SOON}_days", mine, theirs, mine - theirs, interval.low, interval.high),
    ]
    return pd.DataFrame(rows, columns=["measure", "curve", "even", "difference", "low", "high"])


def _losses(usable: pd.DataFrame) -> tuple[Floats, Floats]:
    """Each row's -log of what the curve gave to what happened, and the same with the risk spread evenly."""
    reached = usable[list(WITHIN)].to_numpy(np.float64)
    each = np.column_stack([np.diff(reached, axis=1, prepend=0.0), 1 - reached[:, -1]])
    even = np.column_stack([np.repeat(reached[:, -1:] / len(WITHIN), len(WITHIN), axis=1), each[:, -1]])
    happened = usable["admitted_day"].fillna(len(WITHIN) + 1).to_numpy(np.int64) - 1
    given = (shares[np.arange(len(usable)), happened] for shares in (each, even))
    losses, even_losses = (-np.log(np.maximum(shares, TINY)) for shares in given)
    return losses, even_losses
