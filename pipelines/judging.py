"""A model held against later days: the rows it is judged on, and what it is judged beside."""

from collections.abc import Callable
from datetime import datetime

import pandas as pd

from features.errors import ConfigError, ContractError
from features.windows import HORIZON_DAYS
from models.bundle import Bundle
from models.evaluation import Evaluation, evaluate
from models.rules import RuleTerm, rule_scores
from models.splits import TEST
from pipelines import opting_out
from pipelines.building import Dataset, dataset
from pipelines.config import ServiceConfig
from pipelines.given import given_dataset
from pipelines.service import Service
from pipelines.traits import traits

Tell = Callable[[str], None]


def rows_for(
    service: Service, as_of: datetime, tell: Tell, parts: tuple[str, ...] = (), least_lag_days: float = 0.0
) -> Dataset:
    """The dataset of the built-in task, or of the one given as tables in the configuration, which has no lag."""
    if service.config.task is not None:
        return given_dataset(service, service.config.task, tell)
    mine = (service.history, service.config, service.catalogue)
    people = opting_out.checked(service, as_of, "training").people
    with service.workers() as over:
        return dataset(*mine, as_of, over, tell, parts, least_lag_days, people)


def refuse_seen(bundle: Bundle, data: Dataset) -> None:
    """ContractError where the test rows are days that the model learned from, or lie too close to them."""
    first = data.frame.loc[(data.parts == TEST).to_numpy(), "as_of"].min()
    learned = pd.Timestamp(bundle.lineage["blocks"]["calibrate"]["last_as_of"])
    if first < learned + pd.Timedelta(days=HORIZON_DAYS):
        message = (
            f"A model must be judged on days after those it learned from, which end {learned:%d-%b-%Y}; the test "
            f"period of this configuration begins {first:%d-%b-%Y}. Restore the periods of its training, or retrain."
        )
        raise ContractError(message)


def judged_rows(data: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and labels of the test block."""
    test = (data.parts == TEST).to_numpy()
    return data.frame[test].reset_index(drop=True), data.labels[test].reset_index(drop=True)


def judge(
    bundle: Bundle, data: Dataset, service: Service, beside: pd.DataFrame | None = None, against: str | None = None
) -> Evaluation:
    """The bundle's leading model on the test rows, beside its other models, the rules, and `beside` (person_id, as_of
    and a column of scores a model). against: which of those is compared group by group."""
    frame, labels = judged_rows(data)
    others = {model: bundle.score(frame, model)["score"] for model in bundle.calibration if model != bundle.lead}
    comparators = rule_scores(frame, rule_terms(service.config)).assign(**others)
    if beside is not None:
        comparators = comparators.merge(beside, on=["person_id", "as_of"], how="left", validate="1:1")
    return evaluate(
        bundle.score(frame),
        labels,
        data.memberships,
        comparators,
        capacities=service.config.lists.capacities,
        key=service.workspace.key(),
        lead=bundle.lead,
        traits=traits(service, frame, data.learned),
        against=against,
        curve=bundle.curve(frame) if bundle.tilt is not None else None,
    )


def means_the_same(service: Service, bundle: Bundle) -> bool:
    """Whether this version of the software still reads the bundle's own catalogue as it was meant."""
    try:
        return service.catalogue.contract.fingerprint == bundle.contract.fingerprint
    except ConfigError:
        return False


def rule_terms(config: ServiceConfig) -> dict[str, list[RuleTerm]]:
    return {
        name: [(term.feature, term.weight, term.at_least) for term in terms] for name, terms in config.rules.items()
    }
