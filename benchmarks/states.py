"""What a model that learns states of its own would add to the features: a hidden Markov model of what teams record.

    python benchmarks/states.py [--workspace workspace] [--states 12] [--rounds 20] [--seeds 1 2]

After `make demo`. States, and what each shows, are learned by expectation maximisation from the days before the
calibration block; nobody tells it which states there are. Counts are Poisson, marks (no access, confusion, a worsening
wound) yes or no, readings normal about the person's own usual; each state has its chance of an emergency admission.
At each cut its risk in nine days, from what was on record by then, is one more feature of the shipped training. The
rankings are judged by the true risks of the test days, so without chance.

An experiment, simpler than a product may be: it looks at last versions alone, each from when that was known, own usual
readings are made of those, and who was on a caseload is taken from how it turned out.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from states_model import (  # noqa: E402
    ADMITTED,
    BACK,
    COUNT,
    HERE,
    HOME,
    IN_HOSPITAL,
    MARK,
    OLDEST,
    READING,
    Model,
    Past,
    believed,
    learned,
)

from features.frames import connect, micros, to_frame  # noqa: E402
from features.table import FeatureInfo, make_contract  # noqa: E402
from models.bundle import load  # noqa: E402
from models.training import train  # noqa: E402
from pipelines import proving, tracking  # noqa: E402
from pipelines.building import Dataset  # noqa: E402
from pipelines.config import load_config  # noqa: E402
from pipelines.judging import rows_for  # noqa: E402
from pipelines.service import Service  # noqa: E402

CONFIG = Path(__file__).resolve().parents[1] / "configs/simulated.yaml"
DAY = 86_400_000_000
"""In microseconds."""
COUNTS = ("unscheduled", "call", "onward_referral", "attendance")
MARKS = ("no_access", "confusion", "wound_worse")
LIMITS = {
    "respiratory_rate": (4, 70),
    "oxygen_saturation": (50, 100),
    "systolic": (50, 280),
    "pulse": (25, 220),
    "temperature": (30, 43),
    "pain": (0, 10),
    "weight": (20, 300),
    "waterlow": (0, 64),
    "minutes": (2, 5),
}
"""Readings and the values taken for true; minutes of visits as logarithms."""


ENDS = {"referrals": ("received_at", "closed_at"), "stays": ("admitted_at", "discharged_at")}
MORE = {"referrals": "", "stays": ", method in ('21', '22', '23', '24', '25', '28', '2A', '2B', '2D') as emergency"}
"""Of what lasts: its two ends, and what more is asked of it."""


def past(service: Service, cut_hour: int, last: int) -> Past:
    """Everything until the day `last` (a cut, in days since 1970)."""
    tables = service.history.read()

    def told(columns: str, table: str) -> pd.DataFrame:
        with connect({"rows": tables[table]}) as connection:
            return to_frame(connection.sql(f"select person_id, {columns} from rows where known_to is null"))

    def day(column: str) -> str:
        return f"floor((epoch_us({column}) - {cut_hour * DAY // 24}) / {DAY})"

    seen, known = f"{day('known_from')} as known", "coalesce(seen, status = 'unknown')"
    contacts = told(
        f"{day('occurred_at')} as day, {seen}, {known} as held, status::varchar as status, medium::varchar as medium, "
        "coalesce(unscheduled, false) as asked, ln(nullif(duration_minutes, 0)) as value",
        "contacts",
    )
    noted = told(f"{day('occurred_at')} as day, {seen}, code::varchar as code, value", "observations").dropna(
        subset="day"
    )
    attended = told(f"{day('arrived_at')} as day, {seen}, admitted", "attendances")
    spans = [f"{day(a)} as since, coalesce({day(b)}, 99999) as until, {seen}" for a, b in ENDS.values()]
    referrals, stays = (told(span + more, name) for span, (name, more) in zip(spans, MORE.items(), strict=True))
    records = pd.concat(_records(contacts[contacts["status"] != "planned"], noted, attended))
    return _laid_out(records, referrals, stays, last)


def _records(contacts: pd.DataFrame, noted: pd.DataFrame, attended: pd.DataFrame) -> list[pd.DataFrame]:
    phone, once = contacts["medium"] == "telephone", ["person_id", "day"]
    visits = contacts[contacts["held"] & ~phone]
    planned = contacts[~contacts["asked"] & ~phone]
    planned = planned[planned["held"] | planned["status"].isin(["no_access", "patient_cancelled"])]
    vital = noted[noted["code"] == "respiratory_rate"].drop_duplicates(once)
    found = [
        _of(visits[visits["asked"]], COUNT, 0, 1.0),
        _of(contacts[contacts["held"] & phone], COUNT, 1, 1.0),
        _of(noted[noted["code"] == COUNTS[2]], COUNT, 2, 1.0),
        _of(attended[~attended["admitted"].fillna(False).astype(bool)], COUNT, 3, 1.0),
        _of(planned, MARK, 0, (~planned["held"]).astype(float)),
        _of(vital, MARK, 1, _also(vital, noted[noted["code"] == MARKS[1]])),
        _of(daily := visits.drop_duplicates(once), MARK, 2, _also(daily, noted[noted["code"] == MARKS[2]])),
    ]
    for channel, (code, limits) in enumerate(LIMITS.items()):
        rows = visits if code == "minutes" else noted[noted["code"] == code]
        rows = rows[rows["value"].between(*limits)]
        found.append(_of(rows, READING, channel, rows["value"]))
    return found


def _of(rows: pd.DataFrame, what: int, channel: int, value: Any) -> pd.DataFrame:
    return rows[["person_id", "day", "known"]].assign(what=what, channel=channel, value=value)


def _also(rows: pd.DataFrame, marked: pd.DataFrame) -> np.ndarray:
    keys = pd.MultiIndex.from_frame(marked[["person_id", "day"]])
    return pd.MultiIndex.from_frame(rows[["person_id", "day"]]).isin(keys).astype(float)


def _laid_out(records: pd.DataFrame, referrals: pd.DataFrame, stays: pd.DataFrame, last: int) -> Past:
    people, first = np.unique(referrals["person_id"]), int(records["day"].quantile(0.001))
    length = last - first + 1
    records, referrals, stays = (
        rows[rows["person_id"].isin(people)].assign(person=lambda found: np.searchsorted(people, found["person_id"]))
        for rows in (records, referrals, stays.sort_values("since"))
    )
    days, begin = np.zeros((len(people), length), np.int8), np.full(len(people), length)
    for person, since, until in referrals[["person", "since", "until"]].to_numpy(np.int64):
        since = max(since - first, 0)
        days[person, since : max(until - first, 0)] = HERE
        begin[person] = min(begin[person], since)
    known = stays[["person", "since", "until", "known", "emergency"]].to_numpy(np.int64) - [0, first, first, first, 0]
    for person, since, until, _, emergency in known:
        _put_stay(days[person], since, until, emergency)
    records = records.assign(day=records["day"] - first, known=records["known"] - first)
    records = records[records["day"].between(0, length - 1)].sort_values(["person", "day", "what", "channel"])
    records = _against_usual(records.reset_index(drop=True))
    of = np.searchsorted(records["person"], np.arange(len(people) + 1))
    known = known[np.lexsort((known[:, 1], known[:, 0]))]
    whole = [records[name].to_numpy(np.int64) for name in ("day", "known", "what", "channel")]
    values = [records[name].to_numpy(np.float64) for name in ("value", "variance")]
    columns = tuple(np.ascontiguousarray(column) for column in known.T[1:])
    stays_of = np.searchsorted(known[:, 0], np.arange(len(people) + 1))
    return Past(people, first, days, begin, (*whole, *values), of, columns, stays_of, _heard(records))


def _put_stay(days: np.ndarray, since: int, until: int, emergency: int) -> None:
    if since >= len(days) or until < 0:
        return
    if since >= 0:
        days[since] = ADMITTED if emergency and days[since] == HERE else IN_HOSPITAL
    days[max(since, -1) + 1 : until] = IN_HOSPITAL
    if emergency and since < until < len(days) and days[until] == HERE:
        days[until] = HOME


def _against_usual(records: pd.DataFrame) -> pd.DataFrame:
    """Readings less what could be believed of the person's own usual by the readings before, in units of the noise."""
    value, variance = records["value"].to_numpy(np.float64).copy(), np.ones(len(records))
    for channel in range(len(LIMITS)):
        rows = np.flatnonzero((records["what"] == READING) & (records["channel"] == channel))
        by = records.iloc[rows].groupby("person")["value"]
        number, mean = by.transform("size").to_numpy(), by.transform("mean").to_numpy()
        often, read = number > 3, value[rows]
        noise = ((read - mean)[often] ** 2).sum() / (1 - 1 / number[often]).sum()
        spread = max(by.mean().var() - noise * (1 / by.size()).mean(), 0.1 * noise)
        before, total = by.cumcount().to_numpy(), by.cumsum().to_numpy() - read
        certainty = 1 / spread + before / noise
        usual, around = (by.mean().mean() / spread + total / noise) / certainty, noise + 1 / certainty
        most = 3 * np.sqrt(around)
        value[rows], variance[rows] = np.clip(read - usual, -most, most) / np.sqrt(noise), around / noise
    return records.assign(value=value, variance=variance)


def _heard(records: pd.DataFrame) -> np.ndarray:
    counted = records[records["what"] == COUNT]
    lag = (counted["known"] - counted["day"]).to_numpy()
    of = [lag[counted["channel"] == channel] for channel in range(len(COUNTS))]
    return np.array([[(mine <= age).mean() for age in range(OLDEST + 1)] for mine in of])


def risks(model: Model, known: Past, frame: pd.DataFrame, cut: np.ndarray) -> np.ndarray:
    """Risk in nine days of each row; of people without a referral on record the mean of the others'."""
    person = np.minimum(np.searchsorted(known.people, frame["person_id"]), len(known.people) - 1)
    there = known.people[person] == frame["person_id"].to_numpy()
    rest = known.days, known.begin, known.records, known.of, known.stays, known.stays_of, known.heard, model.tables
    risk = model.risk(believed(person, cut - known.first, *rest))
    return np.where(there, risk, risk[there].mean())


def judged(score: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """AUROC, average precision and PPV of the highest twentieth, in expectation under the true risks."""
    best = true[np.argsort(-score, kind="stable")]
    hits, others = np.cumsum(best), 1 - best
    auroc = float((others * (hits - best / 2)).sum() / (best.sum() * others.sum()))
    precision = float((best * hits / np.arange(1, len(best) + 1)).sum() / best.sum())
    return auroc, precision, float(best[: len(best) // 20].mean())


def with_states(service: Service, data: Dataset, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Scores of the shipped training with these features beside the catalogue's, or with none."""
    contract = service.catalogue.contract
    more = [FeatureInfo(name, "states", "risk", "states", BACK, 1, None) for name in columns]
    frame = pd.concat([data.frame, pd.DataFrame(columns, index=data.frame.index)], axis=1)
    wider = make_contract([*contract.features, *more], contract.fingerprint) if more else contract
    bundle = train(frame, data.labels, data.parts, wider, service.config.training)
    return bundle.score(frame)["risk"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--states", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    config = load_config(CONFIG).model_copy(update={"workspace": given.workspace})
    service = Service(config)
    bundle = load(tracking.champion(service.workspace).bundle)
    data = rows_for(service, datetime.fromisoformat(bundle.lineage["as_of"]), print)
    cut = micros(data.frame["as_of"]) // DAY
    known = past(service, config.cut.hour, int(cut.max()))
    until = int(cut[data.parts == "calibrate"].min()) - known.first
    models = [learned(known, until, given.states, given.rounds, seed) for seed in given.seeds]
    columns = {f"states_{n}": logit(risks(model, known, data.frame, cut)) for n, model in enumerate(models)}
    true = data.frame[["person_id", "as_of"]].merge(proving.truth(service), on=["person_id", "as_of"], how="left")
    rows = true["oracle"].notna().to_numpy() & (data.labels["state"] == "usable").to_numpy() & (data.parts == "test")
    scores = {name: true[name].to_numpy() for name in ("filter of the records", "filter in time")}
    scores |= {"the states alone, their mean": np.mean(list(columns.values()), axis=0)}
    scores |= {"shipped": with_states(service, data, {}), "with the states": with_states(service, data, columns)}
    found = {name: judged(score[rows], true["oracle"].to_numpy()[rows]) for name, score in scores.items()}
    table = pd.DataFrame.from_dict(found, orient="index", columns=["AUROC", "average precision", "PPV at 5%"])
    sys.stdout.write(f"{int(rows.sum()):,} person-days\n{table.round(4)}\n")


if __name__ == "__main__":
    main()
