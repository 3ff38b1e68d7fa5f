"""The training and evaluation steps: history -> dataset -> bundle -> evidence -> champion."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import ContractError
from features.windows import HORIZON_DAYS
from models.bundle import LIGHTGBM, LOGISTIC, Bundle, load
from models.evaluation import Evaluation, evaluate
from models.ranking import Capacities
from models.rules import RuleTerm, rule_scores
from models.splits import TEST
from models.training import train as fit
from pipelines.building import Dataset, dataset
from pipelines.config import ServiceConfig
from pipelines.evidence import Evidence, write_evidence
from pipelines.given import given_dataset
from pipelines.service import Service

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """A registered champion and its evidence."""

    version: str
    bundle: Path
    lead: str
    evidence: Evidence


def train(service: Service, as_of: datetime, tell: Tell) -> Trained:
    """Train on what was known at `as_of`, judge on the latest outcomes, register as champion."""
    from pipelines import tracking  # MLflow takes seconds to import: only those who log wait for it

    tell("building features")
    data = rows_for(service, as_of, tell)
    tell(f"training on {int((data.parts == 'train').sum()):,} rows")
    bundle = fit(data.frame, data.labels, data.parts, service.catalogue.contract, service.config.training)
    bundle = replace(bundle, lineage=_lineage(service, data, bundle, as_of))
    name = f"{as_of:%Y-%m-%d}-{bundle.fingerprint[:12]}"
    folder = service.workspace.models / name
    if not folder.exists():
        bundle.save(folder)
    tell("evaluating")
    judged = judge(bundle, data, service)
    evidence = write_evidence(judged, bundle, service, name)
    tell("registering")
    registered = tracking.log_training(
        service.workspace,
        folder,
        lineage=bundle.lineage,
        rows=data.frame[["person_id", "as_of"]].assign(label=data.labels["label"].to_numpy()),
        metrics=evidence.metrics,
        folder_of_reports=evidence.page.parent,
        name=name,
    )
    return Trained(registered.version, folder, bundle.lead, evidence)


def evaluate_champion(service: Service, tell: Tell) -> Evidence:
    """Judge the champion again on the test period of its training."""
    from pipelines import tracking

    champion = tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    tell("building features")
    data = rows_for(service, datetime.fromisoformat(bundle.lineage["as_of"]), tell, parts=(TEST,))
    service.catalogue.contract.require(bundle.contract, "champion")
    _refuse_seen(bundle, data)
    tell("evaluating")
    return write_evidence(judge(bundle, data, service), bundle, service, champion.bundle.name)


def _refuse_seen(bundle: Bundle, data: Dataset) -> None:
    """A model must not be judged on days that it learned from, or that lie too close to them."""
    first = data.frame.loc[(data.parts == TEST).to_numpy(), "as_of"].min()
    learned = pd.Timestamp(bundle.lineage["blocks"]["calibrate"]["last_as_of"])
    if first < learned + pd.Timedelta(days=HORIZON_DAYS):
        message = (
            f"A model must be judged on days after those it learned from, which end {learned:%d-%b-%Y}; the test "
            f"period of this configuration begins {first:%d-%b-%Y}. Restore the periods of its training, or retrain."
        )
        raise ContractError(message)


def rows_for(service: Service, as_of: datetime, tell: Tell, parts: tuple[str, ...] = ()) -> Dataset:
    """The dataset of the built-in task, or of the one given as tables in the configuration."""
    if service.config.task is not None:
        return given_dataset(service, service.config.task, tell)
    with service.workers() as over:
        return dataset(service.history, service.config, service.catalogue, as_of, over, tell, parts)


def judge(bundle: Bundle, data: Dataset, service: Service) -> Evaluation:
    """The bundle's leading model on the test rows, beside the other model and the rules."""
    test = (data.parts == TEST).to_numpy()
    frame, labels = data.frame[test].reset_index(drop=True), data.labels[test].reset_index(drop=True)
    other = LOGISTIC if bundle.lead == LIGHTGBM else LIGHTGBM
    beside = rule_scores(frame, rule_terms(service.config)).assign(**{other: bundle.score(frame, other)["score"]})
    return evaluate(
        bundle.score(frame),
        labels,
        data.memberships,
        beside,
        capacities=capacities(service.config),
        key=service.workspace.key(),
        lead=bundle.lead,
    )


def capacities(config: ServiceConfig) -> Capacities:
    return Capacities(config.lists.share, config.lists.least, config.lists.by_team)


def rule_terms(config: ServiceConfig) -> dict[str, list[RuleTerm]]:
    return {
        name: [(term.feature, term.weight, term.at_least) for term in terms] for name, terms in config.rules.items()
    }


def _digest(data: Dataset) -> str:
    """SHA-256 over the features, labels and parts of every row."""
    digest = sha256()
    for frame in (data.frame, data.labels[["label", "state"]], data.parts.to_frame()):
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _lineage(service: Service, data: Dataset, bundle: Bundle, as_of: datetime) -> dict[str, Any]:
    """What the model came from: enough to build it again and to see that it is the same."""
    ledger = service.history.ledger()
    batches = "\n".join(f"{row.source} {row.fingerprint}" for row in ledger.itertuples())
    excluded = data.labels.loc[(data.parts == "train").to_numpy(), "state"].value_counts()
    return dict(bundle.lineage) | {
        "as_of": as_of.astimezone(UTC).isoformat(),
        "zone": service.config.zone,
        "periods": service.config.periods.model_dump(mode="json"),
        "caseload": service.config.caseload.model_dump(mode="json"),
        "outcome": service.config.outcome.model_dump(mode="json"),
        "rows": _digest(data),
        "batches": sha256(batches.encode()).hexdigest(),
        "admission_lag_days": round(data.lag_days, 3),
        "training_states": {str(state): int(n) for state, n in sorted(excluded.items())},
    }
