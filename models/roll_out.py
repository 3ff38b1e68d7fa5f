"""Who, of those a list could show, is shown: everyone within capacity, unless a trust has chosen to learn what its
lists do. Teams may start one after another, and the last places of each list may be given by lot.

What was shown and what was withheld is then known apart, each with its chance, so that later figures can be weighted.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

NOT_STARTED, BY_LOT = "team not started", "by lot"
COLUMNS = ["chance", "withheld"]
Lots = npt.NDArray[np.uint64] | pd.Series


class BandConfig(BaseModel):
    """Places near the cut, given by lot.

    share: of a team's places, the last ones; 0 for none. reach: the lot is drawn among the ranks from the first of
    these places to `reach` times the capacity. period_days: someone's lot stays the same for so long. spare_risk:
    whoever is within capacity at this risk (0-1) or above is shown for certain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.0, ge=0, le=0.5)
    reach: float = Field(default=1.5, gt=1, le=3)
    period_days: int = Field(default=14, ge=1, le=92)
    spare_risk: float = Field(default=0.2, gt=0, le=1)


class RollOutConfig(BaseModel):
    """starts: for a team, the first day whose list it is shown; teams that are not named have started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    starts: Mapping[str, date] = Field(default_factory=dict)
    band: BandConfig = BandConfig()

    @property
    def shows_all(self) -> bool:
        """Whether every list shows everyone within its capacity, as if there were no roll-out."""
        return not self.starts and not self.band.share


@dataclass(frozen=True)
class RollOut:
    """The plan on one day, which is the cut's on the service's clock."""

    config: RollOutConfig
    day: date

    def waits(self, team_id: str) -> bool:
        start = self.config.starts.get(team_id)
        return start is not None and self.day < start


def shown(rows: pd.DataFrame, places: pd.Series, roll_out: RollOut, lot: Lots) -> pd.DataFrame:
    """`rows` with listed, chance (of being shown, 0-1) and withheld (why someone with a chance, or within the capacity
    of a team that waits, is not shown; else empty).

    rows: team_id, person_id, rank, risk. places: the capacity of each row's team. lot: each row's, as `lots`. A list
    is as long as ever: of the people who are in the lot as many are shown as places are left, each with the same
    chance.
    """
    waits = rows["team_id"].map({team: roll_out.waits(str(team)) for team in rows["team_id"].unique()}).astype(bool)
    band = roll_out.config.band
    within = rows["rank"] <= places
    first = places - np.floor(band.share * places)
    certain = within & ((rows["rank"] <= first) | (rows["risk"] >= band.spare_risk))
    in_lot = ~certain & ~waits & (rows["rank"] > first) & (rows["rank"] <= np.floor(band.reach * places))
    in_lot &= (band.share > 0) & (first < places)
    team = rows["team_id"]
    left = places.clip(upper=team.groupby(team).transform("size")) - certain.groupby(team).transform("sum")
    drawn = _order(rows, in_lot, lot) <= left
    chance = np.where(in_lot, np.minimum(left / in_lot.groupby(team).transform("sum").clip(lower=1), 1.0), within)
    listed = np.where(in_lot, drawn, within) & ~waits
    withheld = np.select([waits & within, in_lot & ~drawn], [NOT_STARTED, BY_LOT], "")
    return rows.assign(listed=listed, chance=np.where(waits, 0.0, chance), withheld=withheld)


def lots(rows: pd.DataFrame, roll_out: RollOut, key: bytes) -> npt.NDArray[np.uint64]:
    """Each person's lot in the period of the day, the same in every team: the first 8 bytes of HMAC-SHA256(key, "lot",
    person_id and the number of the period), the least shown first."""
    period = (roll_out.day.toordinal() // roll_out.config.band.period_days).to_bytes(8, "big")
    people = rows["person_id"].to_numpy(np.int64).astype(">i8").tobytes()
    digests = (hmac.digest(key, b"lot" + people[i : i + 8] + period, "sha256")[:8] for i in range(0, len(people), 8))
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _order(rows: pd.DataFrame, in_lot: pd.Series, lot: Lots) -> pd.Series:
    """The place of each row in its team's lot, from 1; infinite where it is in none."""
    drawn = pd.DataFrame({"team_id": rows["team_id"], "lot": lot, "rank": rows["rank"]})[in_lot]
    drawn = drawn.sort_values(["team_id", "lot", "rank"])
    return (drawn.groupby("team_id").cumcount() + 1).reindex(rows.index).fillna(np.inf)
