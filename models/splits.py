"""Forward-in-time splits, and thinning by a keyed hash: what a model may learn from, and what judges it.

A row's outcome is settled nine days and the admission lag after its `as_of`, so between one block and the next lies an
embargo at least that long; without it, the same admission would be learnt from and judged by.
"""

from datetime import datetime
from hashlib import sha256
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ConfigError, ContractError
from features.windows import HORIZON_DAYS, shift_days

TRAIN, CALIBRATE, TEST, EMBARGO = "train", "calibrate", "test", "embargo"
BLOCKS = (TRAIN, CALIBRATE, TEST)

MIX_1, MIX_2, STEP = (np.uint64(n) for n in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))


def temporal_split(
    rows: pd.DataFrame,
    *,
    test_from: datetime,
    calibration_days: int,
    embargo_days: int,
    lag_days: float = 0.0,
    zone: str = "Europe/London",
) -> pd.Series:
    """Each row's part, on the index of `rows` (person_id, as_of): train, calibrate, test in time order, by whole cuts.

    Calibration ends `embargo_days` before `test_from` and training as long before calibration begins; rows between the
    blocks are 'embargo' and are used for nothing. `lag_days` is the measured lag with which admissions become known.
    Raises ConfigError where the embargo is shorter than the horizon and the lag together.
    """
    _check_embargo(embargo_days, lag_days)
    calibrate_to = shift_days(test_from, -embargo_days, zone)
    calibrate_from = shift_days(calibrate_to, -calibration_days, zone)
    train_to = shift_days(calibrate_from, -embargo_days, zone)
    at = rows["as_of"]
    parts = pd.Series(EMBARGO, index=rows.index, name="part", dtype=object)
    parts[at < train_to] = TRAIN
    parts[(at >= calibrate_from) & (at < calibrate_to)] = CALIBRATE
    parts[at >= test_from] = TEST
    return parts


def given_split(
    rows: pd.DataFrame,
    given: pd.Series,
    *,
    calibration_days: int,
    embargo_days: int,
    lag_days: float = 0.0,
    zone: str = "Europe/London",
) -> pd.Series:
    """Parts for a split that somebody else made: `given` says train, calibrate, test or embargo on the index of `rows`.

    Where it has no 'calibrate', the last `calibration_days` of its training time become the calibration block, with an
    embargo before them. Rows of an earlier block that reach into the embargo before a later one become 'embargo'.
    Raises ContractError where the blocks are not whole cuts in time order: a random split tells nothing about use.
    """
    _check_embargo(embargo_days, lag_days)
    parts = given.reindex(rows.index).astype(object).where(lambda part: part.notna(), EMBARGO).rename("part")
    unknown = sorted(set(parts) - {*BLOCKS, EMBARGO})
    if unknown:
        message = (
            f"A given split must say {', '.join(BLOCKS)} or {EMBARGO}; found {len(unknown)} other words. Rename them."
        )
        raise ContractError(message)
    at = rows["as_of"]
    _check_order(parts, at)
    if not (parts == CALIBRATE).any():
        ends = at[parts == TEST].min() if (parts == TEST).any() else None
        parts = _carve_calibration(parts, at, ends, calibration_days, embargo_days, zone)
    for earlier, later in ((TRAIN, CALIBRATE), (TRAIN, TEST), (CALIBRATE, TEST)):
        if (parts == later).any():
            limit = shift_days(at[parts == later].min().to_pydatetime(), -embargo_days, zone)
            parts[(parts == earlier) & (at >= limit)] = EMBARGO
    return parts


def _carve_calibration(
    parts: pd.Series, at: pd.Series, test_from: pd.Timestamp | None, days: int, embargo_days: int, zone: str
) -> pd.Series:
    """Take the last `days` of training time that lie clear of the test block as the calibration block."""
    training = parts == TRAIN
    if test_from is not None:
        training &= at < shift_days(test_from.to_pydatetime(), -embargo_days, zone)
    if not training.any():
        return parts
    start = shift_days(at[training].max().to_pydatetime(), 1 - days, zone)
    return parts.mask(training & (at >= start), CALIBRATE)


def _check_embargo(embargo_days: int, lag_days: float) -> None:
    least = HORIZON_DAYS + ceil(lag_days)
    if embargo_days < least:
        message = (
            f"The embargo between blocks must be at least {least} days (horizon {HORIZON_DAYS} and admission lag "
            f"{lag_days:g}); found {embargo_days}. Lengthen embargo_days."
        )
        raise ConfigError(message)


def _check_order(parts: pd.Series, at: pd.Series) -> None:
    spans = [(name, at[parts == name]) for name in BLOCKS if (parts == name).any()]
    for (earlier, before), (later, after) in zip(spans, spans[1:], strict=False):
        if before.max() >= after.min():
            message = (
                f"A split must go forward in time, whole cuts at a time; found '{earlier}' rows at or after the first "
                f"'{later}' row. Split by as_of, not at random or by person."
            )
            raise ContractError(message)


def keyed_uniform(person_id: pd.Series, as_of: pd.Series, key: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each (person_id, as_of): the same on every run and machine, another for another `key`.

    The mixing is splitmix64, which spreads well but hides nothing:
    for thinning, never for pseudonyms.
    """
    digest = sha256(key.encode()).digest()
    first, second = (np.uint64(int.from_bytes(digest[i : i + 8], "big")) for i in (0, 8))
    person = person_id.to_numpy(np.int64).astype(np.uint64)
    moment = as_of.dt.as_unit("us").astype("int64").to_numpy().astype(np.uint64)
    mixed = _mix(_mix(person ^ first) + (moment ^ second))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = value + STEP
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


def keyed_share(person_id: pd.Series, as_of: pd.Series, key: str, share: float) -> npt.NDArray[np.bool_]:
    """Which rows belong to a keyed sample of `share` (0-1); a larger share contains every smaller one."""
    return keyed_uniform(person_id, as_of, key) < share
