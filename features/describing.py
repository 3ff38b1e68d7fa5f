"""The catalogue in words: what each feature is, for people who read the catalogue rather than the code."""

from dataclasses import dataclass

from features.catalogue import Catalogue
from features.states import EVIDENCE, LOG_ODDS
from features.table import FeatureInfo
from features.vocabulary import AGGREGATES, PERSONAL

FORMS = {"days_since": ":ago", "decayed_excess": ":side", "log_odds": ":chance"}
DIRECTION_WORDS = {1: "more is more risk", -1: "more is less risk", 0: "not claimed"}


@dataclass(frozen=True)
class Description:
    """One feature in words. empty: its value when nothing happened. placeholder: how a sentence would quote it."""

    name: str
    family: str
    says: str
    window: str
    direction: str
    empty: str
    placeholder: str


def describe(catalogue: Catalogue) -> list[Description]:
    """Every feature, in the order of the contract."""
    return [
        Description(
            info.name,
            catalogue.families[info.family].title,
            in_words(catalogue, info),
            _window(catalogue, info),
            DIRECTION_WORDS[info.direction],
            "unknown" if info.empty is None else f"{info.empty:g}",
            f"{{{info.name}{FORMS.get(info.aggregate, '')}}}",
        )
        for info in catalogue.infos()
    ]


def in_words(catalogue: Catalogue, info: FeatureInfo) -> str:
    """What the feature is, with its events as a nurse calls them."""
    if info.aggregate == "person":
        return PERSONAL[info.of]
    words = {name: event.words or name.replace("_", " ") for name, event in catalogue.events.items()}
    named = {key: words.get(getattr(info, key), "") for key in ("of", "among", "until")}
    lengths = {"days": info.days, "against": info.against, "half_life": info.half_life, "within": info.within}
    return AGGREGATES[info.aggregate].says.format(**lengths, **named)


def _window(catalogue: Catalogue, info: FeatureInfo) -> str:
    if info.aggregate in ("person", "open"):
        return "at the cut"
    if catalogue.states is not None and info.aggregate in (LOG_ODDS, EVIDENCE):
        spec = catalogue.states
        return f"{spec.days if info.aggregate == LOG_ODDS else spec.evidence_days} days, against {spec.usual_days}"
    length = f"half-life {info.half_life} days" if info.half_life else f"{info.days} days"
    return length + (f", against {info.against}" if info.against else "")
