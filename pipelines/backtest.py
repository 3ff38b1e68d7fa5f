"""The whole of training and judging repeated at earlier cuts, each with what was known then: does it hold over time?"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import ConfigError
from features.windows import shift_days
from models.evaluation import Evaluation
from pipelines import tracking
from pipelines.evidence import Evidence, with_interval, write_evidence
from pipelines.judging import judge, rows_for
from pipelines.learning import with_states
from pipelines.pages import Section, report_page
from pipelines.service import Service
from pipelines.training import fitted

Tell = Callable[[str], None]
MEASURES = ("auroc", "average_precision", "ppv", "recall", "expected_over_observed", "calibration_slope")
COLUMNS = ["origin", "people", "admissions", "measure", "value", "low", "high"]


@dataclass(frozen=True)
class Backtest:
    """Where it was written, and its figures: origin, people, admissions, measure, value, low, high."""

    page: Path
    figures: pd.DataFrame


def backtest(service: Service, as_of: datetime, origins: int, tell: Tell) -> Backtest:
    """Train and judge at `as_of` and at earlier cuts, `test_days` apart, so that no two test blocks share a day: for
    that, an earlier cut keeps at least the admission lag of the later ones.

    Each origin is logged as a nested run; no model is registered. ConfigError for a task given as tables, whose split
    is its author's.
    """
    if service.config.task is not None:
        message = "A backtest must choose its own cuts; the configuration's task gives them. Use the built-in task."
        raise ConfigError(message)
    folder = service.workspace.evaluation / f"backtest-{as_of:%Y-%m-%d}"
    logged: dict[str, tracking.Origin] = {}
    found, lag_days = [], 0.0
    for back in range(origins):
        cut = shift_days(as_of, -back * service.config.periods.test_days, service.config.zone)
        name = f"{cut:%Y-%m-%d}"
        lag_days, lineage, judged, evidence = _at_origin(service, cut, f"{folder.name}/{name}", lag_days, tell)
        logged[name] = (lineage, evidence.metrics)
        found.append(_figures(name, judged))
    figures = pd.concat(found, ignore_index=True)
    figures.to_csv(folder / "origins.csv", index=False)
    page = folder / "report.html"
    page.write_text(_page(figures, service), encoding="utf-8")
    tracking.log_backtest(service.workspace, folder.name, logged, folder)
    return Backtest(page, figures)


def _at_origin(
    service: Service, cut: datetime, name: str, least_lag_days: float, tell: Tell
) -> tuple[float, dict[str, Any], Evaluation, Evidence]:
    def told(words: str) -> None:
        tell(f"{cut:%d-%b-%Y}: {words}")

    service = with_states(service, cut, told, least_lag_days)
    data = rows_for(service, cut, told, least_lag_days=least_lag_days)
    bundle, _ = fitted(service, data, cut, told)
    judged = judge(bundle, data, service)
    return data.lag_days, dict(bundle.lineage), judged, write_evidence(judged, bundle, service, name)


def _figures(origin: str, judged: Evaluation) -> pd.DataFrame:
    mine = judged.overall[judged.overall["model"] == judged.lead]
    unseen = judged.unseen.assign(measure="unseen people: " + judged.unseen["measure"].astype(str))
    rows = pd.concat([mine, unseen]) if len(unseen) else mine
    wanted = {*MEASURES, "unseen people: auroc", "unseen people: ppv"}
    chosen = rows.loc[rows["measure"].isin(wanted), ["measure", "value", "low", "high"]]
    counts = judged.counts
    return chosen.assign(origin=origin, people=counts["people"], admissions=counts["admissions"])[COLUMNS]


def _page(figures: pd.DataFrame, service: Service) -> str:
    rows = figures.assign(shown=with_interval(figures), measure=figures["measure"].str.replace("_", " "))
    keys = ["origin", "people", "admissions"]
    table = rows.pivot_table(index=keys, columns="measure", values="shown", aggfunc="first", sort=False).reset_index()
    return report_page(
        "How it holds over time",
        "Training and judging repeated at earlier cuts, each with what was known then.",
        {"Trust": service.config.trust, "Origins": f"{figures['origin'].nunique()}"},
        [Section(tables={"At each origin": table.fillna("")})],
        simulated=service.config.simulated,
    )
