"""Days without lists made up for, in order: each from what was known at its cut, with the model that stood by then."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from features.errors import BlockedError, ContractError, NotReadyError
from models.bundle import Bundle, load
from pipelines import releasing, tracking
from pipelines.daily import local_day, score
from pipelines.service import Service
from pipelines.tracking import Registered

Tell = Callable[[str], None]
MADE, STOOD, LEFT_OUT = "made", "stood", "left out"


@dataclass(frozen=True)
class Filled:
    """A day: `MADE`, `STOOD` already, or `LEFT_OUT`, since no list could have been made on it either; and why."""

    day: str
    what: str
    why: str = ""


def backfill(service: Service, cuts: Sequence[datetime], now: datetime, tell: Tell) -> Iterator[Filled]:
    """Make the lists of each cut, in order, where none stand. Those that stand are left as they are."""
    for as_of in cuts:
        yield _fill(service, as_of, now, tell)


def _fill(service: Service, as_of: datetime, now: datetime, tell: Tell) -> Filled:
    day = local_day(service.config, as_of)
    if releasing.standing(service, as_of) is not None:
        return Filled(day, STOOD)
    tell(day)
    try:
        champion, bundle = champion_by(service, as_of)
        then = _with_catalogue_of(service, bundle)
        releasing.publish(then, score(then, as_of, _nobody, champion), now)
    except (BlockedError, NotReadyError, ContractError) as error:
        return Filled(day, LEFT_OUT, str(error))
    return Filled(day, MADE)


def champion_by(service: Service, as_of: datetime) -> tuple[Registered, Bundle]:
    """The newest of the champion and those before it that was trained on nothing later than the cut; NotReadyError
    where there is none: a model that has seen the days after a cut must not rank for it."""
    found = tracking.champion(service.workspace)
    while True:
        bundle = load(found.bundle)
        if datetime.fromisoformat(bundle.lineage["as_of"]) <= as_of:
            return found, bundle
        try:
            found = tracking.before(service.workspace, found)
        except NotReadyError:
            message = (
                f"A list for {as_of:%d-%b-%Y} needs a champion trained by then; every one was trained on later days. "
                "There was no list to be made."
            )
            raise NotReadyError(message) from None


def _with_catalogue_of(service: Service, bundle: Bundle) -> Service:
    """The service, with the model's own catalogue where today's means other features."""
    today = service.for_model(bundle)
    same = bundle.contract.fingerprint == today.catalogue.contract.fingerprint
    return today if same else replace(service, own_catalogue=str(bundle.lineage["catalogue"]))


def _nobody(_said: str) -> None:
    """Progress within a day is not told."""
