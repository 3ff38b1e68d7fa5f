"""The training and evaluation steps: history -> dataset -> bundle -> evidence -> champion."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from models.bundle import LIGHTGBM, LOGISTIC, Bundle, load
from models.evaluation import Evaluation, evaluate
from models.figures import figures
from models.ranking import Capacities
from models.rules import RuleTerm, rule_scores
from models.splits import TEST
from models.training import train as fit
from pipelines.building import Dataset, dataset
from pipelines.config import ServiceConfig
from pipelines.given import given_dataset
from pipelines.pages import evaluation_page
from pipelines.service import Service

Tell = Callable[[str], None]
CAPTIONS = {
    "overall": "Model and rules, with 95% intervals clustered by person",
    "lead_time": "Share of admissions listed on each of the nine days before",
    "notice": "Share of admissions listed at least so many days before",
    "teams": "By team",
    "episodes": "Listing episodes",
    "calibration": "Risk against what happened, by tenths of risk",
    "counts": "Who was counted",
}
FIGURES = {
    "lead_time": "Share of admissions on their team's list on each of the nine days before",
    "calibration": "Risk against what happened",
    "precision_recall": "Precision and recall",
    "risk_distribution": "How risk is spread",
}


@dataclass(frozen=True)
class Evidence:
    """Where an evaluation was written, and its headline figures (measure -> value) for the leading model."""

    page: Path
    metrics: dict[str, float]


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
    tell("evaluating")
    return write_evidence(judge(bundle, data, service), bundle, service, champion.bundle.name)


def rows_for(service: Service, as_of: datetime, tell: Tell, parts: tuple[str, ...] = ()) -> Dataset:
    """The dataset of the built-in task, or of the one given as tables in the configuration."""
    if service.config.task is not None:
        return given_dataset(service, service.config.task, tell)
    return dataset(service.history, service.config, service.catalogue, as_of, tell, parts)


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


def write_evidence(judged: Evaluation, bundle: Bundle, service: Service, name: str) -> Evidence:
    """The evaluation as a page, tables and metrics.json under `evaluation/<name>`."""
    folder = service.workspace.evaluation / name
    folder.mkdir(parents=True, exist_ok=True)
    tables = {key: getattr(judged, key) for key in CAPTIONS if key != "counts"}
    tables["counts"] = pd.DataFrame(sorted(judged.counts.items()), columns=["what", "number"])
    for key, frame in tables.items():
        frame.to_csv(folder / f"{key}.csv", index=False)
    drawings = {key: _svg(figure) for key, figure in figures(judged).items()}
    for key, svg in drawings.items():
        (folder / f"{key}.svg").write_text(svg, encoding="utf-8")
    metrics = headline(judged)
    (folder / "metrics.json").write_text(json.dumps(_figures_of(judged), indent=1, sort_keys=True) + "\n")
    page = folder / "report.html"
    text = evaluation_page(
        {CAPTIONS[key]: tables[key] for key in CAPTIONS},
        {FIGURES[key]: drawings[key] for key in FIGURES},
        _header(bundle, judged, service, name),
        simulated=service.config.simulated,
    )
    page.write_text(text, encoding="utf-8")
    return Evidence(page, metrics)


def headline(judged: Evaluation) -> dict[str, float]:
    """The leading model's measures by name."""
    mine = judged.overall[judged.overall["model"] == judged.lead]
    return dict(zip(mine["measure"], mine["value"].astype(float), strict=True))


def _figures_of(judged: Evaluation) -> dict[str, Any]:
    """Everything measured, by model and measure, each with its interval."""
    found: dict[str, Any] = {"lead": judged.lead, "counts": judged.counts, "models": {}}
    for row in judged.overall.itertuples():
        figures_of = found["models"].setdefault(row.model, {})
        figures_of[row.measure] = {k: _finite(getattr(row, k)) for k in ("value", "low", "high")}
    return found


def _finite(value: float) -> float | None:
    return float(value) if pd.notna(value) else None


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _header(bundle: Bundle, judged: Evaluation, service: Service, name: str) -> dict[str, str]:
    what = service.config.task.outcome_words if service.config.task else "emergency admission"
    counts = judged.counts
    return {
        "Trust": service.config.trust,
        "Model": f"{name} ({judged.lead} leads)",
        "Outcome": f"{what} in the nine days ahead",
        "Judged on": f"{counts['rows']:,} person-days of {counts['people']:,} people",
        "Admissions": f"{counts['admissions']:,}",
    }


def _lineage(service: Service, data: Dataset, bundle: Bundle, as_of: datetime) -> dict[str, Any]:
    """What the model came from: enough to build it again and to see that it is the same."""
    ledger = service.history.ledger()
    batches = "\n".join(f"{row.source} {row.fingerprint}" for row in ledger.itertuples())
    excluded = data.labels.loc[(data.parts == "train").to_numpy(), "state"].value_counts()
    return dict(bundle.lineage) | {
        "as_of": as_of.astimezone(UTC).isoformat(),
        "zone": service.config.zone,
        "batches": sha256(batches.encode()).hexdigest(),
        "admission_lag_days": round(data.lag_days, 3),
        "training_states": {str(state): int(n) for state, n in sorted(excluded.items())},
    }
