"""An evaluation as files: a page for people, tidy tables, a model card and metrics.json for machines."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from models.bundle import Bundle
from models.evaluation import Evaluation
from models.figures import figures
from models.gate import Line
from models.settings import SMALLEST
from pipelines.facts import counted, facts, in_short, is_small, model_card, outcome_words, tripod
from pipelines.pages import Section, report_page
from pipelines.service import Service

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
    "precision_recall",
)
OF_A_CURVE = ("by_day", "timing")
"""Written only where the model has a curve of the nine days."""
LIST_COLUMNS = {"ppv": "PPV", "recall": "share listed", "lift": "lift", "nne": "NNE"}
RANKING_COLUMNS = {"auroc": "AUROC", "average_precision": "average precision"}
PERCENTAGES = {"ppv", "recall"}
NOTICES = {1: "1 day or more", 2: "2 days or more", 3: "3 days or more", 5: "5 days or more"}


@dataclass(frozen=True)
class Evidence:
    """Where an evaluation was written, and its headline figures (measure -> value) for the leading model."""

    page: Path
    metrics: dict[str, float]


def write_evidence(
    judged: Evaluation, bundle: Bundle, service: Service, name: str, lines: tuple[Line, ...] = ()
) -> Evidence:
    """The evaluation as a page, tables, model card and metrics.json under `evaluation/<name>`. lines: the gate's."""
    folder = service.workspace.evaluation / name
    folder.mkdir(parents=True, exist_ok=True)
    told = facts(judged, bundle, service.config)
    drawings = {key: as_svg(figure) for key, figure in figures(judged).items()}
    tables = [*TIDY, *(OF_A_CURVE if len(judged.by_day) else ())]
    files = {f"{key}.csv": getattr(judged, key).to_csv(index=False) for key in tables}
    files |= {f"{key}.svg": svg for key, svg in drawings.items()}
    files["tripod-ai.csv"] = tripod(told).to_csv(index=False)
    files["model-card.md"] = model_card(told)
    files["metrics.json"] = json.dumps(_figures_of(judged), indent=1, sort_keys=True) + "\n"
    files["report.html"] = report_page(
        "How good the lists are",
        "Measured on days after those the model learned from, at the length of list each team can look at.",
        _header(judged, service, told),
        sections(judged, drawings, told, lines),
        in_short=in_short(judged, service.config, lines),
        simulated=service.config.simulated,
    )
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return Evidence(folder / "report.html", headline(judged))


def sections(
    judged: Evaluation, drawings: dict[str, str], told: dict[str, str], lines: tuple[Line, ...]
) -> list[Section]:
    """The report's parts, what a clinical lead needs first."""
    return [
        *_for_everyone(judged, drawings),
        *_for_whom_and_how(judged),
        *_for_statisticians(judged, drawings),
        *([Section("The gate", tables={"Line by line": gate_table(lines)})] if lines else []),
        Section("TRIPOD+AI", ("Items shortened; what a run cannot know is for the trust to state.",), {}, _items(told)),
    ]


def _for_everyone(judged: Evaluation, drawings: dict[str, str]) -> list[Section]:
    lead_time = judged.lead_time.assign(shown=_with_percent(judged.lead_time, "share"))
    notice = judged.notice.assign(shown=_with_percent(judged.notice, "share"))
    by_day = _wide(lead_time, "days_before", {n: f"day -{n}" for n in range(9, 0, -1)})
    return [
        Section(
            "How early",
            ("Of people on a caseload who were then admitted: the share on their team's list on each day before.",),
            {"Share of admissions on their team's list on each of the nine days before": drawings["lead_time"]},
            {"On each day": by_day, "At least once, so long before": _wide(notice, "days_before", NOTICES)},
        ),
        Section(
            "Against what a nurse could count",
            ("Each rule fills lists of the same length. NNE: people to look at for each who will be admitted.",),
            tables={"At each team's capacity": _measures(judged, LIST_COLUMNS), "Ranking": _ranking(judged)},
        ),
        Section(
            "Do the risks mean what they say",
            ("On the line, as many are admitted as the risk says. The list is made of the right-hand end.",),
            {"Risk against what happened": drawings["calibration"]},
            {"Of those listed, by fifths of risk": _curve(judged.calibration_listed)},
        ),
        *_when(judged, drawings),
    ]


def _when(judged: Evaluation, drawings: dict[str, str]) -> list[Section]:
    """What a curve of the nine days is worth; nothing where the model has none."""
    if judged.by_day.empty:
        return []
    says = (
        "The curve says how much of each risk falls within so many days. It is held against the same risk spread "
        "evenly over the nine days, which ranks as the risk does: of the log loss less is better, of AUROC more."
    )
    caption = "Share admitted within so many days, as expected and as observed"
    return [
        Section(
            "When in the nine days",
            (says,),
            {"Within so many days": drawings["by_day"]},
            {caption: _day_by_day(judged.by_day), "Against the same risk spread evenly": _timing(judged.timing)},
        )
    ]


def _day_by_day(table: pd.DataFrame) -> pd.DataFrame:
    ends = table.filter(like="expected_over_observed").set_axis(["value", "low", "high"], axis=1)
    return pd.DataFrame(
        {
            "who": table["who"],
            "within days": table["day"],
            "expected": [f"{share:.2%}" for share in table["expected"]],
            "observed": _with_percent(table, "observed", places=2),
            "expected over observed": with_interval(ends, places=2),
        }
    )


def _timing(table: pd.DataFrame) -> pd.DataFrame:
    names = {"measure": table["measure"].str.replace("_", " ")}
    figures_of = {name: [f"{value:.4f}" for value in table[name]] for name in ("curve", "even")}
    return pd.DataFrame(names | figures_of | {"difference": with_interval(table, "difference", places=5)})


def _for_whom_and_how(judged: Evaluation) -> list[Section]:
    hidden = f"What rests on fewer than {SMALLEST} people or admissions is not shown."
    known = judged.known.assign(admitted=_with_percent(judged.known, "ppv")).drop(columns=["ppv", "low", "high"])
    episodes = judged.episodes.assign(ppv=_with_percent(judged.episodes, "ppv")).drop(columns=["low", "high"])
    episodes = episodes.rename(columns={"retention": "kept_next_day_share", "new_per_list": "new_names_a_day"})
    return [
        Section("For whom", (f"At list size, by group. {hidden}",), tables={"By group": _groups(judged.subgroups)}),
        Section(
            "What the lists are like to work with",
            ("A listing episode is a run of days on one list; gaps of up to three days do not end it.",),
            tables={"Listing episodes": episodes, "What the list adds to whom an urgent team had already": known},
        ),
    ]


def _for_statisticians(judged: Evaluation, drawings: dict[str, str]) -> list[Section]:
    says = (
        "Rules have no risk of their own: each is given the best that any rising map of its score could give it on "
        "these very rows, which flatters it."
    )
    counts = [(name.replace("_", " "), counted(name, count)) for name, count in judged.counts.items()]
    return [
        Section("What acting would be worth", (says,), {"Net benefit": drawings["decisions"]}),
        Section(
            "For statisticians",
            ("Intervals are from a Poisson bootstrap over people. The tables beside this page hold every figure.",),
            {
                "Precision and recall": drawings["precision_recall"],
                "How risk is spread": drawings["risk_distribution"],
            },
            {
                "The model's measures": _own(judged),
                "The model minus the others, on the same resamples": _gains(judged),
                "Risk against what happened, by tenths of risk": _curve(judged.calibration),
                "Who was counted": pd.DataFrame(counts, columns=["what", "number"]),
            },
        ),
    ]


def gate_table(lines: tuple[Line, ...]) -> pd.DataFrame:
    rows = [(line.name, "passed" if line.passed else "FAILED", line.says) for line in lines]
    return pd.DataFrame(rows, columns=["line", "answer", "figures"])


def _items(told: dict[str, str]) -> dict[str, pd.DataFrame]:
    return {"Reporting items": tripod(told)}


def _measures(judged: Evaluation, columns: dict[str, str]) -> pd.DataFrame:
    overall = judged.overall[judged.overall["measure"].isin(columns)]
    return _wide(overall.assign(shown=_by_measure(overall)), "measure", columns)


def _ranking(judged: Evaluation) -> pd.DataFrame:
    unseen = judged.unseen.assign(model=f"{judged.lead}, people never seen in training")
    overall = pd.concat([judged.overall, unseen]) if len(unseen) else judged.overall
    overall = overall[overall["measure"].isin(RANKING_COLUMNS)]
    return _wide(overall.assign(shown=with_interval(overall)), "measure", RANKING_COLUMNS)


def _own(judged: Evaluation) -> pd.DataFrame:
    mine = judged.overall[judged.overall["model"] == judged.lead]
    table = pd.DataFrame({"measure": mine["measure"].str.replace("_", " "), "everyone": with_interval(mine)})
    if len(judged.unseen):
        unseen = dict(zip(judged.unseen["measure"], with_interval(judged.unseen), strict=True))
        table = table.assign(**{"never seen in training": mine["measure"].map(unseen)})
    return table.reset_index(drop=True)


def _gains(judged: Evaluation) -> pd.DataFrame:
    columns = RANKING_COLUMNS | {"ppv": "PPV", "recall": "share listed"}
    table = judged.differences[judged.differences["measure"].isin(columns)]
    return _wide(table.assign(shown=with_interval(table)), "measure", columns)


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    shown = table[["group", "value", "people", "admissions"]].assign(
        group=table["group"].str.removesuffix("_id").str.replace("_", " "),
        listed=[f"{share:.1%}" if pd.notna(share) else "" for share in table["listed_share"]],
    )
    for name, heading in {"ppv": "PPV", "recall": "share_of_admissions_listed"}.items():
        ends = table[[name, f"{name}_low", f"{name}_high"]].set_axis(["value", "low", "high"], axis=1)
        shown = shown.assign(**{heading: _with_percent(ends, "value")})
    ends = table.filter(like="expected_over_observed").set_axis(["value", "low", "high"], axis=1)
    return shown.assign(expected_over_observed=with_interval(ends, places=2)).replace("", "not shown")


def _curve(table: pd.DataFrame) -> pd.DataFrame:
    predicted = [f"{risk:.1%}" for risk in table["predicted"]]
    return pd.DataFrame({"rows": table["rows"], "predicted": predicted, "observed": _with_percent(table, "observed")})


def _by_measure(frame: pd.DataFrame) -> list[str]:
    shares, others = _with_percent(frame, "value"), with_interval(frame, places=1)
    flags = frame["measure"].isin(PERCENTAGES)
    return [share if flag else other for share, other, flag in zip(shares, others, flags, strict=True)]


def _with_percent(frame: pd.DataFrame, column: str, places: int = 1) -> list[str]:
    rows = zip(frame[column], frame["low"], frame["high"], strict=True)
    return [
        f"{value:.{places}%} ({low:.{places}%} to {high:.{places}%})" if pd.notna(value) else ""
        for value, low, high in rows
    ]


def with_interval(frame: pd.DataFrame, column: str = "value", places: int = 3) -> list[str]:
    """Each figure with its interval in one cell; empty where it is not known."""
    rows = zip(frame[column], frame["low"], frame["high"], strict=True)
    return [
        f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})" if pd.notna(value) else ""
        for value, low, high in rows
    ]


def _wide(tidy: pd.DataFrame, across: str, names: dict[Any, str]) -> pd.DataFrame:
    wide = tidy.pivot_table(index="model", columns=across, values="shown", aggfunc="first", sort=False)
    return wide.reindex(columns=list(names)).rename(columns=names).fillna("").reset_index()


def headline(judged: Evaluation) -> dict[str, float]:
    """The leading model's measures by name."""
    mine = judged.overall[judged.overall["model"] == judged.lead]
    return dict(zip(mine["measure"], mine["value"].astype(float), strict=True))


def _figures_of(judged: Evaluation) -> dict[str, Any]:
    """Everything measured, by model and measure, each with its interval; small numbers of people are null."""
    counts = {name: None if is_small(name, count) else count for name, count in judged.counts.items()}
    found: dict[str, Any] = {"lead": judged.lead, "counts": counts, "models": {}}
    for row in judged.overall.itertuples():
        figures_of = found["models"].setdefault(row.model, {})
        figures_of[row.measure] = {k: _finite(getattr(row, k)) for k in ("value", "low", "high")}
    if len(judged.timing):
        ends = ("curve", "even", "difference", "low", "high")
        found["timing"] = {
            row.measure: {k: _finite(getattr(row, k)) for k in ends} for row in judged.timing.itertuples()
        }
    return found


def _finite(value: float) -> float | None:
    return float(value) if pd.notna(value) else None


def as_svg(figure: Figure) -> str:
    """A drawing as a document; the same drawing gives the same bytes."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "minus nine"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _header(judged: Evaluation, service: Service, told: dict[str, str]) -> dict[str, str]:
    return {
        "Trust": service.config.trust,
        "Model": f"{told['name']} ({judged.lead} leads)",
        "Outcome": f"{outcome_words(service.config)} in the nine days ahead",
        "Judged on": f"{told['test_size']}, {told['test_period']}",
        "Length of list": told["capacity"],
    }
