"""The evidence that only a simulated trust can give. This module alone reads the simulator's truth; nothing that makes
a model or a list imports it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import NotReadyError
from features.schema import TABLES
from features.states import without_learned
from features.table import KEYS
from features.windows import cut
from models.bundle import Bundle, load
from models.evaluation import Evaluation
from models.gate import Line
from models.proof import against_truth, proof
from models.resampling import Resampling
from models.splits import TEST
from pipelines import tracking
from pipelines.building import Dataset
from pipelines.config import RunConfig
from pipelines.evidence import gate_table, with_interval, write_evidence
from pipelines.judging import judge, judged_rows, refuse_seen, rows_for
from pipelines.learning import with_states
from pipelines.pages import Section, report_page
from pipelines.service import Service
from pipelines.store import Buckets, History
from pipelines.training import fitted

Tell = Callable[[str], None]
BOUNDS = {
    "p9": "oracle",
    "p9_filter": "filter",
    "p9_in_time": "filter in time",
    "p9_recorded": "filter of the records",
}
"""What the truth has of each row: the risk from the true state; from every record at once and people's lasting traits;
from those records in time and the traits; from the records in time alone."""
ORACLE, CEILING, IN_TIME, RECORDED = BOUNDS.values()
MEASURES = ("auroc", "average_precision", "ppv", "expected_over_observed", "calibration_slope")
BEGINNING = datetime(1900, 1, 1).astimezone()


@dataclass(frozen=True)
class Proof:
    """Where it was written, the lines, and the figures of one clock beside two: build, measure, value, low, high."""

    page: Path
    lines: tuple[Line, ...]
    one_clock: pd.DataFrame


def prove(service: Service, tell: Tell) -> Proof:
    """The champion beside oracle and filter on the test days whose truth is known, and a build with one clock: what it
    would have promised, and what it delivers. NotReadyError where the trust is not a simulated one with its truth."""
    champion = tracking.champion(service.workspace)
    bundle = load(champion.bundle)
    service = service.for_model(bundle)
    service.catalogue.contract.require(bundle.contract, "champion")
    as_of = datetime.fromisoformat(bundle.lineage["as_of"])
    true = truth(service)
    tell("building features")
    data = with_truth(rows_for(service, as_of, tell, parts=(TEST,)), true)
    refuse_seen(bundle, data)
    tell("judging")
    judged, lines = held(bundle, data, true, service)
    name = f"{champion.bundle.name}-simulated"
    folder = write_evidence(judged, bundle, service, name).page.parent
    one_clock = clocks(service, bundle, data, judged, as_of, tell)
    one_clock.to_csv(folder / "one-clock.csv", index=False)
    page = folder / "simulated.html"
    page.write_text(_page(lines, one_clock, service), encoding="utf-8")
    return Proof(page, lines, one_clock)


def truth(service: Service, named: Mapping[str, str] = BOUNDS) -> pd.DataFrame:
    """person_id, as_of and a column, by its new name, for each of `named` that the simulator wrote."""
    days = _table(service, "days").rename(columns=dict(named))
    cuts = {day: cut(day, service.config.cut, service.config.zone) for day in days["date"].unique()}
    known = _known(days, service).assign(as_of=lambda rows: rows["date"].map(cuts))
    known = known.astype({"as_of": "datetime64[us, UTC]"})
    return known[[*KEYS, *(name for name in named.values() if name in known)]].drop_duplicates(list(KEYS))


def true_admissions(service: Service) -> pd.DataFrame:
    """person_id, as_of of every emergency admission, reported or not: the cut before it."""
    found = _known(_table(service, "admissions"), service)
    begins = service.config.cut
    days = (found["admitted_at"] - pd.Timedelta(hours=begins.hour, minutes=begins.minute)).dt.date
    cuts = {day: cut(day, begins, service.config.zone) for day in days.unique()}
    return found[["person_id"]].assign(as_of=days.map(cuts).astype("datetime64[us, UTC]")).drop_duplicates()


def _table(service: Service, name: str) -> pd.DataFrame:
    path = service.workspace.extracts / "truth" / f"{name}.parquet"
    if not service.config.simulated or not path.is_file():
        message = f"Simulated evidence needs a simulated trust with its truth; there is none in {path.parent}."
        raise NotReadyError(message)
    return pd.read_parquet(path)


def _known(rows: pd.DataFrame, service: Service) -> pd.DataFrame:
    """Rows of the truth by the pseudonyms of their people; those whom no extract has named are left out."""
    links = service.identities.links().to_pandas()
    person = dict(zip(links["alias"].str.rsplit(":", n=1).str[-1], links["person_id"], strict=True))
    known = rows[rows["local_patient_id"].isin(person)]  # first, since a null would make floats of the pseudonyms
    return known.assign(person_id=known["local_patient_id"].map(person).astype("int64"))


def with_truth(data: Dataset, true: pd.DataFrame) -> Dataset:
    """The rows whose truth is known: who was really on a caseload at the cut."""
    known = data.frame[list(KEYS)].merge(true[list(KEYS)].assign(known=True), on=list(KEYS), how="left")["known"]
    rows = known.eq(True).to_numpy()
    frame, labels = (part[rows].reset_index(drop=True) for part in (data.frame, data.labels))
    return replace(data, frame=frame, labels=labels, parts=data.parts[rows].reset_index(drop=True))


def held(bundle: Bundle, data: Dataset, true: pd.DataFrame, service: Service) -> tuple[Evaluation, tuple[Line, ...]]:
    """The bundle's evaluation beside the bounds, and every floor and the ceiling."""
    frame, labels = judged_rows(data)
    beside = frame[list(KEYS)].merge(true, on=list(KEYS), how="left", validate="1:1")
    judged = judge(bundle, data, service, beside)
    usable = (labels["state"] == "usable").to_numpy()
    risk = bundle.score(frame)["risk"]
    truly = against_truth(risk[usable], beside.loc[usable, ORACLE], frame.loc[usable, "person_id"], Resampling())
    return judged, proof(judged, truly, CEILING, bound_of(true))


def bound_of(true: pd.DataFrame) -> str | None:
    """What the floors are held against: the filter of the records; where an older truth does not tell of it, the one
    that is told people's traits as well; None where there is neither."""
    return next((name for name in (RECORDED, IN_TIME) if name in true), None)


def clocks(
    service: Service, bundle: Bundle, data: Dataset, judged: Evaluation, as_of: datetime, tell: Tell
) -> pd.DataFrame:
    """build, measure, value, low, high: the champion on two clocks, and a build that takes every record for known when
    it happened, judged by itself (what it promises) and on what was known each morning (what it delivers)."""
    tell("building with one clock")
    flat = with_states(_flat(service), as_of, _nobody)
    promised = rows_for(flat, as_of, _nobody)
    naive, _ = fitted(flat, promised, as_of, tell)
    tell("judging it")
    used = replace(service, own_catalogue=flat.catalogue_text)
    own = rows_for(used, as_of, _nobody, parts=(TEST,)).frame
    delivered = replace(data, frame=data.frame[list(KEYS)].merge(own, on=list(KEYS), how="left", validate="1:1"))
    builds = {
        "two clocks": judged,
        "one clock: promised": judge(naive, promised, flat),
        "one clock: delivered": judge(naive, delivered, used),
    }
    return pd.concat([_figures(build, found) for build, found in builds.items()], ignore_index=True)


def _nobody(_said: str) -> None:
    """Progress that is not told."""


def _flat(service: Service) -> "OneClockService":
    config = service.config.model_copy(update={"run": RunConfig()})  # a process would open the history as it is
    return OneClockService(config, own_catalogue=without_learned(service.catalogue_text))


class OneClockService(Service):
    """A service that reads its history as one clock would have it."""

    @cached_property
    def history(self) -> History:
        return OneClock(self.workspace.history, self.config.buckets)


class OneClock(History):
    """The history as one clock would have it: only last versions, each known from the moment it tells of."""

    def read(
        self,
        bucket: Buckets = None,
        names: Iterable[str] = TABLES,
        known_by: datetime | None = None,
        *_: Any,
        **__: Any,
    ) -> dict[str, pa.Table]:
        """Whole tables, whatever columns and period are asked for."""
        return {name: _on_one_clock(name, table) for name, table in super().read(bucket, names, known_by).items()}


def _on_one_clock(name: str, table: pa.Table) -> pa.Table:
    last = table.filter(pc.is_null(table["known_to"]))
    at, place = TABLES[name].at, last.schema.get_field_index("known_from")
    field = last.schema.field("known_from")
    told = pa.array([BEGINNING] * len(last), field.type) if at is None else pc.coalesce(last[at], last["known_from"])
    return last.set_column(place, field, told)


def _figures(build: str, judged: Evaluation) -> pd.DataFrame:
    rows = [(build, measure, *judged.figure(measure)) for measure in MEASURES]
    return pd.DataFrame(rows, columns=["build", "measure", "value", "low", "high"])


def _page(lines: tuple[Line, ...], one_clock: pd.DataFrame, service: Service) -> str:
    shown = one_clock.assign(shown=with_interval(one_clock), measure=one_clock["measure"].str.replace("_", " "))
    wide = shown.pivot_table(index="build", columns="measure", values="shown", aggfunc="first", sort=False)
    says = "A build with one clock takes each record for known when it happened. It judges itself by what it knew."
    return report_page(
        "Held against the truth",
        "What only a simulated trust can show: how near the model comes to the best there is, and that nothing leaks.",
        {"Trust": service.config.trust},
        [
            Section("Floors and ceiling", tables={"Line by line": gate_table(lines)}),
            Section("One clock and two", (says,), tables={"Promised and delivered": wide.reset_index()}),
        ],
        simulated=True,
    )
