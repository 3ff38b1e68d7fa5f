"""The training and evaluation steps: history -> dataset -> bundle -> evidence -> challenger."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.windows import HORIZON_DAYS
from models.bundle import Bundle, load
from models.splits import TEST
from models.training import train as fit
from models.tuning import Trial, tune
from pipelines.building import Dataset
from pipelines.evidence import Evidence, write_evidence
from pipelines.judging import judge, refuse_seen, rows_for
from pipelines.learning import with_states
from pipelines.service import Service

if TYPE_CHECKING:
    from pipelines.promotion import Decision

Tell = Callable[[str], None]
FIRST = "the training, as no champion stood"


@dataclass(frozen=True)
class Trained:
    """A registered model and its evidence. decision: the gate's, where no champion stood; None leaves it to people."""

    version: str
    bundle: Path
    lead: str
    evidence: Evidence
    decision: "Decision | None"


def train(service: Service, as_of: datetime, tell: Tell) -> Trained:
    """Train on what was known at `as_of`, judge on the latest outcomes, register as challenger; where no champion
    stands, put it to the gate at once."""
    from pipelines import promotion, tracking  # MLflow takes seconds to import: only those who log wait for it

    service = with_states(service, as_of, tell)
    tell("building features")
    data = rows_for(service, as_of, tell)
    bundle, trials = fitted(service, data, as_of, tell)
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
        trials=trials,
    )
    first = tracking.holder(service.workspace, tracking.CHAMPION) is None
    decision = promotion.decide(service, registered, bundle, judged, None, FIRST) if first else None
    return Trained(registered.version, folder, bundle.lead, evidence, decision)


def fitted(service: Service, data: Dataset, as_of: datetime, tell: Tell) -> tuple[Bundle, tuple[Trial, ...]]:
    """A bundle from the dataset, with its lineage, and the settings that were tried for it."""
    contract, config = service.catalogue.contract, service.config.training
    rows = (data.frame, data.labels, data.parts, contract)
    if service.config.tuning.trials:
        tell(f"trying {service.config.tuning.trials} settings")
    embargo = HORIZON_DAYS + ceil(data.lag_days)
    config, trials = tune(*rows, config, service.config.tuning, embargo_days=embargo, zone=service.config.zone)
    tell(f"training on {int((data.parts == 'train').sum()):,} rows")
    bundle = fit(*rows, config)
    return replace(bundle, lineage=_lineage(service, data, bundle, as_of) | {"trials": len(trials)}), trials


def evaluate_champion(service: Service, tell: Tell) -> Evidence:
    """Judge the champion again on the test period of its training."""
    from pipelines import tracking

    champion = tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    service = service.for_model(bundle)
    tell("building features")
    data = rows_for(service, datetime.fromisoformat(bundle.lineage["as_of"]), tell, parts=(TEST,))
    service.catalogue.contract.require(bundle.contract, "champion")
    refuse_seen(bundle, data)
    tell("evaluating")
    return write_evidence(judge(bundle, data, service), bundle, service, champion.bundle.name)


def _digest(data: Dataset, with_days: bool) -> str:
    """SHA-256 over the features, labels and parts of every row; `with_days`, over the days of admissions too."""
    digest, learned = sha256(), ["label", "state", *(["admitted_day"] if with_days else [])]
    for frame in (data.frame, data.labels[learned], data.parts.to_frame()):
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _lineage(service: Service, data: Dataset, bundle: Bundle, as_of: datetime) -> dict[str, Any]:
    """What the model came from: enough to build it again and to see that it is the same."""
    ledger = service.history.ledger()
    batches = "\n".join(f"{row.source} {row.fingerprint}" for row in ledger.itertuples())
    excluded = data.labels.loc[(data.parts == "train").to_numpy(), "state"].value_counts()
    opt_out = service.config.access.opt_out
    left_out = opt_out.path is not None and "training" in opt_out.applies
    return dict(bundle.lineage) | {
        "as_of": as_of.astimezone(UTC).isoformat(),
        "zone": service.config.zone,
        "periods": service.config.periods.model_dump(mode="json"),
        "caseload": service.config.caseload.model_dump(mode="json"),
        "outcome": service.config.outcome.model_dump(mode="json"),
        "catalogue": service.catalogue_text,
        "rows": _digest(data, service.config.training.curve),
        "batches": sha256(batches.encode()).hexdigest(),
        "admission_lag_days": round(data.lag_days, 3),
        "training_states": {str(state): int(n) for state, n in sorted(excluded.items())},
        **({"opt_out": opt_out.holds} if left_out else {}),
    }
