"""An evaluation as files: a page for people, tidy tables and metrics.json for machines."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from models.bundle import Bundle
from models.evaluation import Evaluation
from models.figures import figures
from models.gate import Line
from pipelines.pages import evaluation_page
from pipelines.service import Service

CAPTIONS = {
    "overall": "Model and rules, with 95% intervals clustered by person",
    "lead_time": "Share of admissions listed on each of the nine days before",
    "notice": "Share of admissions listed at least so many days before",
    "subgroups": "By group, at list size (numbers below 10 are not shown)",
    "known": "What the list adds to whom an urgent team had already taken on",
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
TIDY: Sequence[str] = (
    "overall",
    "differences",
    "unseen",
    "subgroups",
    "known",
    "overlap",
    "lead_time",
    "notice",
    "episodes",
    "calibration",
    "calibration_listed",
    "decisions",
)
SHOWN_MEASURES = ("auroc", "average_precision", "ppv", "recall", "lift", "expected_over_observed", "calibration_slope")


@dataclass(frozen=True)
class Evidence:
    """Where an evaluation was written, and its headline figures (measure -> value) for the leading model."""

    page: Path
    metrics: dict[str, float]


def write_evidence(
    judged: Evaluation, bundle: Bundle, service: Service, name: str, lines: Sequence[Line] = ()
) -> Evidence:
    """The evaluation as a page, tables and metrics.json under `evaluation/<name>`."""
    folder = service.workspace.evaluation / name
    folder.mkdir(parents=True, exist_ok=True)
    for key in TIDY:
        getattr(judged, key).to_csv(folder / f"{key}.csv", index=False)
    drawings = {key: _svg(figure) for key, figure in figures(judged).items()}
    for key, svg in drawings.items():
        (folder / f"{key}.svg").write_text(svg, encoding="utf-8")
    metrics = headline(judged)
    (folder / "metrics.json").write_text(json.dumps(_figures_of(judged), indent=1, sort_keys=True) + "\n")
    page = folder / "report.html"
    text = evaluation_page(
        {CAPTIONS[key]: frame for key, frame in shown(judged).items()},
        {FIGURES[key]: drawings[key] for key in FIGURES},
        _header(bundle, judged, service, name),
        simulated=service.config.simulated,
    )
    page.write_text(text, encoding="utf-8")
    return Evidence(page, metrics)


def shown(judged: Evaluation) -> dict[str, pd.DataFrame]:
    """The tables as people read them: a row a model, a figure with its interval in one cell."""
    overall = judged.overall.assign(shown=_with_interval(judged.overall))
    lead_time = judged.lead_time.assign(shown=_with_interval(judged.lead_time, "share"))
    notice = judged.notice.assign(shown=_with_interval(judged.notice, "share"))
    notices = {n: f"{n} day or more" if n == 1 else f"{n} days or more" for n in sorted(notice["days_before"].unique())}
    return {
        "overall": _wide(overall, "measure", {name: name.replace("_", " ") for name in SHOWN_MEASURES}),
        "lead_time": _wide(lead_time, "days_before", {n: f"day -{n}" for n in range(9, 0, -1)}),
        "notice": _wide(notice, "days_before", notices),
        "subgroups": judged.subgroups,
        "known": judged.known,
        "episodes": judged.episodes,
        "calibration": judged.calibration,
        "counts": pd.DataFrame(
            [(name.replace("_", " "), number) for name, number in judged.counts.items()], columns=["what", "number"]
        ),
    }


def _with_interval(frame: pd.DataFrame, column: str = "value") -> list[str]:
    rows = zip(frame[column], frame["low"], frame["high"], strict=True)
    return [f"{value:.3f} ({low:.3f} to {high:.3f})" if pd.notna(value) else "" for value, low, high in rows]


def _wide(tidy: pd.DataFrame, across: str, names: dict[Any, str]) -> pd.DataFrame:
    wide = tidy.pivot_table(index="model", columns=across, values="shown", aggfunc="first", sort=False)
    return wide.reindex(columns=list(names)).rename(columns=names).fillna("").reset_index()


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
