"""The built table's contract: what each column is, and a fingerprint that a model checks before it scores."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import pandas as pd

from features.errors import ContractError

KEYS = ("person_id", "as_of")


@dataclass(frozen=True)
class FeatureInfo:
    """One feature column.

    aggregate: how it is made (count, days_since, mean, ...); of: the event it is made of, or the personal fact.
    days: look-back in days; 0 where the feature has none. direction: +1 where more can only mean more risk, -1 where
    more can only mean less, 0 where neither is claimed. empty: the value when there is nothing (null: unknown).
    among: for a share, the event it is a share of. until: for a run, the event that ends it. against: the longer
    look-back that a change or ratio is held against, in days. half_life: of what fades, in days. within: of a chance,
    in how many days ahead.
    """

    name: str
    family: str
    aggregate: str
    of: str
    days: int
    direction: int
    empty: float | None
    among: str = ""
    until: str = ""
    against: int = 0
    half_life: int = 0
    within: int = 0


@dataclass(frozen=True)
class Contract:
    """The ordered features of a table. Two tables with the same fingerprint mean the same thing column by column."""

    features: tuple[FeatureInfo, ...]
    fingerprint: str

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def check(self, frame: pd.DataFrame) -> None:
        """Raise ContractError unless `frame` has exactly the key columns and this contract's features, in order."""
        expected = [*KEYS, *self.names]
        if list(frame.columns) != expected:
            missing = [name for name in expected if name not in frame.columns]
            extra = [name for name in frame.columns if name not in expected]
            message = (
                f"The feature table must have the {len(self.features)} features of contract {self.fingerprint[:12]} in "
                f"order; missing {missing[:5] or 'none'}, unexpected {extra[:5] or 'none'}. Build the table with the "
                "catalogue that the model was trained on, or retrain."
            )
            raise ContractError(message)

    def require(self, other: "Contract", whose: str) -> None:
        """Raise ContractError unless `other` means the same by every feature."""
        if other.fingerprint != self.fingerprint:
            message = (
                f"The {whose} has contract {other.fingerprint[:12]}, the catalogue {self.fingerprint[:12]}: they mean "
                "different things by their features. Retrain, or restore the catalogue that it was trained with."
            )
            raise ContractError(message)

    def to_json(self) -> str:
        content = {"fingerprint": self.fingerprint, "features": [asdict(feature) for feature in self.features]}
        return json.dumps(content, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> "Contract":
        raw: Mapping[str, Any] = json.loads(text)
        return Contract(tuple(FeatureInfo(**feature) for feature in raw["features"]), raw["fingerprint"])


def make_contract(features: Iterable[FeatureInfo], definitions: str) -> Contract:
    """A contract whose fingerprint covers the features and `definitions`, the text of what their events are."""
    ordered = tuple(features)
    described = json.dumps([asdict(feature) for feature in ordered], sort_keys=True)
    return Contract(ordered, sha256(f"{described}\n{definitions}".encode()).hexdigest())
