"""What a service may set of its models, and their names. It loads no library that learns: whoever only reads a
configuration does not wait for one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.windows import HORIZON_DAYS

LIGHTGBM, LOGISTIC, ENSEMBLE = "lightgbm", "logistic", "ensemble"
MODELS = (ENSEMBLE, LIGHTGBM, LOGISTIC)
"""The ensemble's score is the mean of the other two's."""
WITHIN = tuple(f"within_{day}" for day in range(1, HORIZON_DAYS + 1))
"""The columns of a curve: the risk of an admission within so many days."""
SMALLEST = 10
"""Counts of people or admissions below this, and what is made of them, are not shown."""

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class TrainConfig(BaseModel):
    """Everything that shapes a model apart from its rows.

    Negatives are sampled for speed only: above `sample_above_rows` training rows, all positives and a keyed share
    `negative_share` of the negatives are kept, and ln(negative_share) is added to every logit, which is exact. Below it
    every row is kept. `lead_from_admissions`: from so many distinct training admissions the ensemble leads; with fewer
    the logistic regression alone, since the trees then have little to add to it. `curve`: learn too on which of the
    nine days admissions fall.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=5)] = (1, 2, 3)
    negative_share: Share = 0.1
    sample_above_rows: Count = 300_000
    sampling_key: str = "negatives"
    leaves: Annotated[int, Field(ge=2, le=255)] = 15
    learning_rate: Share = 0.05
    most_trees: Count = 400
    patience: Count = 40
    least_leaf_rows: Count = 80
    feature_fraction: Share = 0.3
    bagging_fraction: Share = 0.7
    leaf_l2: Annotated[float, Field(ge=0)] = 10.0
    max_bin: Annotated[int, Field(ge=2, le=255)] = 63
    monotone: Literal["basic", "intermediate"] | None = "intermediate"
    threads: Count = 1
    logistic_l2: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (10.0, 100.0, 1000.0)
    lead_from_admissions: Annotated[int, Field(ge=0)] = 400
    curve: bool = False
    least_admissions: Count = 20
    least_calibration_admissions: Count = 5


class TuneConfig(BaseModel):
    """trials: how many settings are tried, the configured ones first; 0 leaves those as they are. Each is judged on
    `blocks` blocks of `block_days` at the end of the training time, fitted on what lies an embargo before each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: Annotated[int, Field(ge=0, le=20)] = 0
    blocks: Annotated[int, Field(ge=1, le=4)] = 2
    block_days: Annotated[int, Field(ge=7)] = 42
    seed: int = 1


class GateConfig(BaseModel):
    """The limits.

    least_admissions: in the test period; fewer can show nothing. tolerated_loss: the low end of the paired interval of
    PPV at capacity may lie below the champion's by this share of it, since an equal model that is newer is welcome and
    one that may be worse is not. gain_over_rules: with no champion, the same holds against the best simple rule, and
    PPV must be more than this above the rule's. expected_over_observed, calibration_slope: lowest and highest.
    subgroup_loss: a group is materially worse off where its recall at list size is below the champion's by more than
    this share of it and the interval of the difference leaves out 0. subgroup_admissions: groups with fewer are not
    compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_admissions: Annotated[int, Field(ge=1)] = 50
    gain_over_rules: Annotated[float, Field(ge=-1, le=1)] = 0.0
    tolerated_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    expected_over_observed: tuple[Annotated[float, Field(gt=0)], float] = (0.8, 1.25)
    calibration_slope: tuple[Annotated[float, Field(gt=0)], float] = (0.7, 1.4)
    subgroup_loss: Annotated[float, Field(ge=0, le=1)] = 0.25
    subgroup_admissions: Annotated[int, Field(ge=SMALLEST)] = 20

    @model_validator(mode="after")
    def _ordered(self) -> "GateConfig":
        for name in ("expected_over_observed", "calibration_slope"):
            low, high = getattr(self, name)
            if low >= high:
                message = f"{name} must be the lowest and the highest value allowed, in this order"
                raise ValueError(message)
        return self
