"""Whether the model still tells what it told, judged where no list can have changed what came.

A list that works prevents what it warned of, so among people who were shown every figure gets worse with nothing
wrong. What is judged here are therefore person-days of people whom no list had shown in the weeks before, and what came
of them until the next morning's list: an admission in that time no list can have prevented. In days when nothing was
known to be wrong (the reference) it is learned how the nine-day risk and that outcome go together; after them, sums of
y - p tell whether they still do. Limits come from the reference by bootstrap over its people and days.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from features.table import KEYS
from features.windows import shift_days
from models.calibration import fit_line, newton_parts, newton_step
from models.resampling import Resampling

Floats = npt.NDArray[np.float64]

MORE, FEWER, RANKING = "more", "fewer", "ranking"
SIDES = (MORE, FEWER, RANKING)
"""More admissions than the risks say; fewer; and risks that part the admitted from the others less than they did."""
RATIO, SLOPE = 1.5, 0.5
"""What each side is made to notice: so many times more, or fewer; a slope on the risk that has fallen to this."""
LEAST_ADMISSIONS = 20
"""Of the reference, unexposed: with fewer there is nothing to hold the present against."""
BLOCK_DAYS, DAYS_OF_YEAR, NEWS_DAYS = 7, 365, 28
TINY = 1e-9
CURVATURE = ["v0", "v1", "v2"]
SUMS = ["observed", "expected", "score", *CURVATURE]


@dataclass(frozen=True)
class Reference:
    """The line from the logit of the nine-day risk to the chance of an admission before the next list; the middle of
    the logits; `SUMS` by day; their moves under each draw of people; each side's limit and its rate of false alarms in
    a year."""

    line: tuple[float, float]
    middle: float
    limits: dict[str, float]
    rate: float
    rows: int
    admissions: int
    first: pd.Timestamp
    last: pd.Timestamp


def exposed(rows: pd.DataFrame, shown: pd.DataFrame, days: int) -> npt.NDArray[np.bool_]:
    """Which rows (person_id, as_of) are of people on a list of the same morning, or of one fewer than `days` before.

    shown: person_id, as_of of everyone on any list.
    """
    keyed = rows[list(KEYS)].reset_index(drop=True)
    keyed["row"] = np.arange(len(keyed))
    lists = shown[list(KEYS)].drop_duplicates().assign(list_at=lambda of: of["as_of"])
    if lists.empty:
        return np.zeros(len(rows), bool)
    joined = pd.merge_asof(keyed.sort_values("as_of"), lists.sort_values("as_of"), on="as_of", by="person_id")
    since = (joined["as_of"] - joined["list_at"]).dt.total_seconds() / 86_400
    found = np.zeros(len(rows), bool)
    found[joined["row"].to_numpy()] = (since.round() < days).to_numpy()
    return found


def before_next_list(rows: pd.DataFrame, zone: str) -> npt.NDArray[np.bool_]:
    """Which rows (as_of, label, admitted_at) had their admission before the next morning's cut."""
    cuts = rows["as_of"].drop_duplicates()
    following = {moment: shift_days(moment.to_pydatetime(), 1, zone) for moment in cuts}
    return np.asarray((rows["label"] == 1) & (rows["admitted_at"] < rows["as_of"].map(following)))


def reference(rows: pd.DataFrame, rate: float, draws: Resampling) -> Reference | None:
    """What the unexposed person-days of the reference say, and limits that a year in which nothing changes passes with
    the chance `rate`; None with fewer than `LEAST_ADMISSIONS`.

    rows: person_id, as_of, risk and soon (admitted before the next list), of usable rows of people who were not shown.
    """
    soon = rows["soon"].to_numpy(np.float64)
    if soon.sum() < LEAST_ADMISSIONS:
        return None
    raw = _logits(rows["risk"])
    middle = float(raw.mean())
    score = raw - middle
    line = fit_line(score, soon, start=(float(logit(soon.mean())), 1.0), moderation=1.0)
    sums = _by_day(rows["as_of"], soon, score, line)
    parts = newton_parts(np.array(line), score, soon)
    moved = [newton_step(one, line[1], 1.0) for one in draws.sums(parts, rows["person_id"])]
    limits = _limits(sums, np.array(moved), rate, draws.seed)
    days = rows["as_of"]
    return Reference(line, middle, limits, rate, len(rows), int(soon.sum()), days.min(), days.max())


def watched(rows: pd.DataFrame, known: Reference) -> pd.DataFrame:
    """as_of, observed, expected and, for each side of `SIDES`, the sum so far, which begins again from 0; by day.

    rows: as `reference` takes them, of days after it.
    """
    score = _logits(rows["risk"]) - known.middle
    sums = _by_day(rows["as_of"], rows["soon"].to_numpy(np.float64), score, known.line)
    steps = _steps(sums[SUMS].to_numpy())
    found = {side: cusum(steps[:, place]) for place, side in enumerate(SIDES)}
    return sums[["as_of", "observed", "expected"]].assign(**found)


def cusum(steps: Floats) -> Floats:
    """The sum so far of steps, never below 0; steps x anything.

    Examples
    --------
    >>> cusum(np.array([-1.0, 2.0, -1.0, -3.0, 1.0])).tolist()
    [0.0, 2.0, 1.0, 0.0, 1.0]
    """
    total = np.cumsum(steps, axis=0)
    return np.asarray(total - np.minimum(np.minimum.accumulate(total, axis=0), 0.0))


def alarmed(sums: pd.DataFrame, known: Reference) -> dict[str, pd.Timestamp]:
    """The sides whose sum was beyond its limit in the last `NEWS_DAYS`, and the day from which it was growing."""
    found = {}
    for side in SIDES:
        values = sums[side].to_numpy()
        beyond = np.flatnonzero(values[-NEWS_DAYS:] > known.limits[side]) + max(0, len(values) - NEWS_DAYS)
        if len(beyond):
            quiet = np.flatnonzero(values[: beyond[-1]] == 0)
            found[side] = sums["as_of"].iloc[quiet[-1] + 1 if len(quiet) else 0]
    return found


def _logits(risks: pd.Series) -> Floats:
    return np.asarray(logit(np.clip(risks.to_numpy(np.float64), TINY, 1 - TINY)))


def _by_day(as_of: pd.Series, soon: Floats, score: Floats, line: tuple[float, float]) -> pd.DataFrame:
    """`SUMS` for each day, in order: admissions; their expected number; the sum of (y - p) x score, which falls where
    risks part less than they did; and how far all of these move with the line."""
    risk = expit(line[0] + line[1] * score)
    spread = risk * (1 - risk)
    columns = [soon, risk, (soon - risk) * score, spread, spread * score, spread * score * score]
    frame = pd.DataFrame(dict(zip(SUMS, columns, strict=True))).groupby(as_of.to_numpy()).sum()
    return frame.rename_axis("as_of").reset_index()


def _steps(sums: Floats) -> Floats:
    """What each day adds, on the scale of log-likelihood ratios: days x sides. sums: ... x `SUMS`."""
    observed, expected, score, _, _, curvature = np.moveaxis(sums, -1, 0)
    weight = np.log(RATIO)
    fall = SLOPE - 1
    more = weight * observed - (RATIO - 1) * expected
    fewer = -weight * observed + (1 - 1 / RATIO) * expected
    return np.stack([more, fewer, fall * score - fall**2 / 2 * curvature], axis=-1)


def _limits(sums: pd.DataFrame, moved: Floats, rate: float, seed: int) -> dict[str, float]:
    """Each side's greatest sum in a year made of the reference's days, judged by the line of other people drawn from
    it: the quantile that makes half of `rate` of all sides together, since a bootstrap of few admissions is too sure
    of itself: in drawn years without a change it let through about twice what it said."""
    days, chance = sums[SUMS].to_numpy(), np.random.default_rng(seed)
    highest = np.array([_year(days, move, chance).max(axis=0) for move in moved])
    return dict(zip(SIDES, np.quantile(highest, 1 - rate / 2 / len(SIDES), axis=0), strict=True))


def _year(days: Floats, move: Floats, chance: np.random.Generator) -> Floats:
    """The sums through a year of blocks of days, under a line that is moved."""
    length = min(BLOCK_DAYS, len(days))
    starts = chance.integers(len(days) - length + 1, size=DAYS_OF_YEAR // length + 1)
    year = days[(starts[:, None] + np.arange(length)).ravel()[:DAYS_OF_YEAR]].copy()
    observed_at, expected_at, score_at, v0, v1, v2 = range(len(SUMS))
    intercept, slope = -move
    year[:, score_at] -= year[:, v1] * intercept + year[:, v2] * slope
    year[:, expected_at] += year[:, v0] * intercept + year[:, v1] * slope
    return cusum(_steps(year))
