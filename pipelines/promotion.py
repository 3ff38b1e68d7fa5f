"""Who is champion: through the gate, with the decision, its figures and who took it on record; and back again."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from features.errors import ConfigError, NotReadyError, RefusedError
from features.table import KEYS
from models.bundle import Bundle, load
from models.evaluation import Evaluation
from models.gate import Line, figures, gate
from models.splits import TEST
from pipelines import tracking
from pipelines.building import Dataset
from pipelines.evidence import Evidence, write_evidence
from pipelines.judging import judge, judged_rows, means_the_same, refuse_seen, rows_for
from pipelines.service import Service

Tell = Callable[[str], None]
STANDING = "champion"
"""What the present champion is called beside a challenger."""
LONGEST_NAME = 64
LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){8}")


@dataclass(frozen=True)
class Decision:
    """What was decided of model `version`, line by line, against the champion that stood (None: there was none)."""

    version: str
    standing: str | None
    promoted: bool
    lines: tuple[Line, ...]
    by: str
    evidence: Evidence

    def require(self) -> None:
        """RefusedError that says which lines failed, where it was not promoted."""
        if not self.promoted:
            failed = "; ".join(f"{line.name}: {line.says}" for line in self.lines if not line.passed)
            stands = f"model {self.standing} stays champion" if self.standing else "there is no champion"
            message = (
                f"Model {self.version} must pass every line of the gate; it failed {failed}. So {stands}. Its evidence "
                f"is {self.evidence.page}."
            )
            raise RefusedError(message)


def promote(service: Service, by: str, tell: Tell) -> Decision:
    """Put the challenger to the gate on the test days of its training, against the champion where there is one."""
    check_name(by)
    challenger = tracking.holder(service.workspace, tracking.CHALLENGER)
    if challenger is None:
        message = "Promotion needs a challenger in the model registry; there is none. Run `minusnine train` first."
        raise NotReadyError(message)
    bundle, standing = load(challenger.bundle), tracking.holder(service.workspace, tracking.CHAMPION)
    service = service.for_model(bundle)
    service.catalogue.contract.require(bundle.contract, "challenger")
    tell("building features")
    as_of = datetime.fromisoformat(bundle.lineage["as_of"])
    data = rows_for(service, as_of, tell, parts=(TEST,))
    refuse_seen(bundle, data)
    beside = None if standing is None else _scores_of(load(standing.bundle), data, service, as_of, tell)
    tell("judging")
    judged = judge(bundle, data, service, beside, None if beside is None else STANDING)
    return decide(service, challenger, bundle, judged, standing, by)


def decide(
    service: Service,
    challenger: tracking.Registered,
    bundle: Bundle,
    judged: Evaluation,
    standing: tracking.Registered | None,
    by: str,
) -> Decision:
    """The gate's answer, recorded first and then acted on.

    Where `judged` has no scores of a champion (none stands, or it can score nobody any more), rules must be beaten.
    """
    beside = STANDING if STANDING in set(judged.overall["model"]) else None
    contract = service.catalogue.contract.fingerprint
    lines = gate(judged, bundle, contract, service.config.promotion, list(service.config.rules), beside)
    name = challenger.bundle.name + (f"-against-{standing.version}" if standing else "")
    evidence = write_evidence(judged, bundle, service, name, lines)
    decision = Decision(
        challenger.version,
        standing.version if standing else None,
        all(one.passed for one in lines),
        lines,
        by,
        evidence,
    )
    tracking.log_decision(
        service.workspace,
        f"model {challenger.version} {'promoted' if decision.promoted else 'refused'}",
        parameters=_told(decision),
        metrics=figures(judged, beside),
        reports=evidence.page.parent,
    )
    if decision.promoted:
        tracking.make_champion(service.workspace, challenger, standing)
    return decision


def go_back(service: Service, by: str) -> tuple[str, str]:
    """Make the champion before this one champion again: the versions that was and that is champion now.

    NotReadyError where there was none before; ContractError where it could not score today.
    """
    check_name(by)
    standing = tracking.champion(service.workspace)
    former = tracking.before(service.workspace, standing)
    bundle = load(former.bundle)
    service.for_model(bundle).catalogue.contract.require(bundle.contract, "champion before this one")
    told = {"decision": "back", "model": former.version, "standing": standing.version, "by": by}
    tracking.log_decision(service.workspace, f"back to model {former.version}", parameters=told, metrics={})
    tracking.bring_back(service.workspace, former)
    return standing.version, former.version


def check_name(by: str) -> None:
    """ConfigError where who decides is no name: it goes on record, and a patient's number must not."""
    if not 0 < len(by.strip()) <= LONGEST_NAME or LONG_NUMBER.search(by):
        message = (
            f"--by must name who decides in up to {LONGEST_NAME} letters, without long numbers; it does not. "
            "Give a name or a role."
        )
        raise ConfigError(message)


def _told(decision: Decision) -> dict[str, str]:
    lines = {f"line.{one.name}": f"{'passed' if one.passed else 'failed'}: {one.says}" for one in decision.lines}
    return {
        "decision": "promoted" if decision.promoted else "refused",
        "model": decision.version,
        "standing": decision.standing or "none",
        "by": decision.by,
        **lines,
    }


def _scores_of(bundle: Bundle, data: Dataset, service: Service, as_of: datetime, tell: Tell) -> pd.DataFrame | None:
    """The champion's scores of the same rows, by the features it was trained on, whatever the catalogue says now; None
    where this version of the software makes something else of its catalogue, so that it can score nobody any more."""
    refuse_seen(bundle, data)
    frame, _ = judged_rows(data)
    if bundle.contract.fingerprint != service.catalogue.contract.fingerprint:
        theirs = replace(service, own_catalogue=bundle.lineage["catalogue"])
        if not means_the_same(theirs, bundle):
            return None
        tell("building the champion's features")
        own, _ = judged_rows(rows_for(theirs, as_of, tell, parts=(TEST,)))
        frame = frame[list(KEYS)].merge(own, on=list(KEYS), how="left", validate="1:1")
    return bundle.score(frame)[[*KEYS, "score"]].rename(columns={"score": STANDING})
