"""Why someone is on the list: contributions to the score, summed by family of features, the largest in words.

A contribution says what the score is associated with, not what caused anything. What hidden states add is told of the
families whose records they speak by, as these weigh (`features.beliefs.weigh_evidence`): nobody can act on a state.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ContractError
from features.states import EVIDENCE, LOG_ODDS
from features.table import KEYS
from models import boosting
from models.bundle import Bundle
from models.settings import ENSEMBLE, LIGHTGBM, LOGISTIC

Sentence = Callable[[str, Mapping[str, float]], str]
"""From a family and a row's features to the words that state its facts; empty where it has nothing to state."""

REASONS = 3
LEAST = 0.05
"""Contributions (logit) below this, an odds ratio of 1.05, are not worth a nurse's time as a reason."""
TOLERANCE = 1e-9


def family_contributions(bundle: Bundle, frame: pd.DataFrame, model: str | None = None) -> pd.DataFrame:
    """person_id, as_of, `base`, then a column for each family in the contract's order.

    Base and families add up to the row's score (logit); ContractError where they do not, to 1e-9.
    """
    bundle.contract.check(frame)
    chosen = model or bundle.lead
    base, shares = _shares(bundle, frame, chosen)
    shares = _states_told(bundle, frame, shares)
    _check_additive(base + sum(shares.values()), bundle.logits(frame, chosen))
    return pd.concat([frame[list(KEYS)].assign(base=base), pd.DataFrame(shares, index=frame.index)], axis=1)


def _shares(bundle: Bundle, frame: pd.DataFrame, model: str) -> tuple[npt.NDArray[np.float64], dict[str, np.ndarray]]:
    if model == ENSEMBLE:
        (base, mine), (other, theirs) = (_shares(bundle, frame, part) for part in (LIGHTGBM, LOGISTIC))
        return (base + other) / 2, {family: (share + theirs[family]) / 2 for family, share in mine.items()}
    return (_logistic_shares if model == LOGISTIC else _tree_shares)(bundle, frame)


def _tree_shares(bundle: Bundle, frame: pd.DataFrame) -> tuple[npt.NDArray[np.float64], dict[str, np.ndarray]]:
    values = boosting.contributions(bundle.boosters, frame, bundle.contract, bundle.threads)
    names = bundle.contract.names
    shares = _by_family(bundle, ((name, values[:, position]) for position, name in enumerate(names)), len(frame))
    return values[:, -1] + bundle.log_share, shares


def _logistic_shares(bundle: Bundle, frame: pd.DataFrame) -> tuple[npt.NDArray[np.float64], dict[str, np.ndarray]]:
    base = np.full(len(frame), bundle.logistic.intercept + bundle.log_share)
    return base, _by_family(bundle, bundle.logistic.parts(frame), len(frame))


def _by_family(bundle: Bundle, parts: Iterable[tuple[str, np.ndarray]], rows: int) -> dict[str, np.ndarray]:
    families = {feature.name: feature.family for feature in bundle.contract.features}
    shares = {family: np.zeros(rows) for family in families.values()}
    for name, part in parts:
        shares[families[name]] += part
    return shares


def _states_told(bundle: Bundle, frame: pd.DataFrame, shares: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The share of the family of log-odds by hidden states, given to the families whose evidence points the same way,
    in proportion to it; where none does, it stays."""
    features = bundle.contract.features
    own = next((feature.family for feature in features if feature.aggregate == LOG_ODDS), None)
    told = [feature for feature in features if feature.aggregate == EVIDENCE]
    if own is None or not told:
        return shares
    weights = {feature.family: np.zeros(len(frame)) for feature in told}
    for feature in told:
        weights[feature.family] += np.nan_to_num(frame[feature.name].to_numpy(np.float64))
    same = {family: np.maximum(weight * np.sign(shares[own]), 0.0) for family, weight in weights.items()}
    total = np.sum(list(same.values()), axis=0)
    given = {f: np.divide(w * shares[own], total, out=np.zeros(len(frame)), where=total > 0) for f, w in same.items()}
    kept = np.where(total > 0, 0.0, shares[own])
    return {family: (kept if family == own else share) + given.get(family, 0.0) for family, share in shares.items()}


def _check_additive(total: npt.NDArray[np.float64], logits: npt.NDArray[np.float64]) -> None:
    gap = float(np.abs(total - logits).max(initial=0.0))
    if gap > TOLERANCE:
        message = f"Contributions must add up to the score; they miss it by up to {gap:.3g}. Retrain the model."
        raise ContractError(message)


def reasons(
    bundle: Bundle, frame: pd.DataFrame, sentence: Sentence, contributions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The top three families that raise each row's score, as sentences with facts, in the order of `frame`.

    Columns: person_id, as_of, reason_1 .. 3 (sentences), family_1 .. 3, contribution_1 .. 3 (logit). Families without
    words are passed over; where fewer than three are left, the rest are empty strings and NaN. contributions: as
    `family_contributions` gives them of this frame, where they are known already.
    """
    contributions = family_contributions(bundle, frame) if contributions is None else contributions
    families, shares = list(contributions.columns[3:]), contributions.iloc[:, 3:].to_numpy()
    names, values = bundle.contract.names, boosting.matrix(frame, bundle.contract).tolist()
    facts = (dict(zip(names, row, strict=True)) for row in values)
    rows = [_told(families, row, fact, sentence) for row, fact in zip(shares, facts, strict=True)]
    columns = [f"{kind}_{place}" for place in range(1, REASONS + 1) for kind in ("reason", "family", "contribution")]
    told = pd.DataFrame(rows, columns=columns, index=frame.index)
    ordered = [f"{kind}_{n}" for kind in ("reason", "family", "contribution") for n in range(1, REASONS + 1)]
    return pd.concat([frame[list(KEYS)], told[ordered]], axis=1)


def pulls(
    bundle: Bundle, frame: pd.DataFrame, sentence: Sentence, contributions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """person_id, as_of, family, share (logit), said: what each family adds to each row's score, and what it states.
    contributions: as for `reasons`."""
    contributions = family_contributions(bundle, frame) if contributions is None else contributions
    long = contributions.drop(columns="base").melt(list(KEYS), var_name="family", value_name="share")
    names, values = bundle.contract.names, boosting.matrix(frame, bundle.contract).tolist()
    facts = [dict(zip(names, row, strict=True)) for row in values]
    families = contributions.columns[3:]
    return long.assign(said=[sentence(str(family), fact) for family in families for fact in facts])


def _told(families: list[str], shares: np.ndarray, facts: Mapping[str, float], sentence: Sentence) -> list[str | float]:
    """(sentence, family, contribution) three times over, flat."""
    told: list[str | float] = []
    for position in np.argsort(-shares, kind="stable"):
        if len(told) == 3 * REASONS or shares[position] < LEAST:
            break
        words = sentence(families[position], facts)
        if words:
            told += [words, families[position], float(shares[position])]
    blank: list[str | float] = ["", "", float("nan")]
    return told + blank * (REASONS - len(told) // 3)
