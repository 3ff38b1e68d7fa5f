"""The gate that a challenger passes before it makes lists: figures against limits, each line with its own answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from models.bundle import Bundle
from models.settings import GateConfig
from models.splits import CALIBRATE, TRAIN

if TYPE_CHECKING:
    from models.evaluation import Evaluation

LINEAGE = ("as_of", "batches", "blocks", "catalogue", "config", "contract", "libraries", "rows")
"""What a model must say of where it came from, so that it can be built again."""


@dataclass(frozen=True)
class Line:
    """One thing that must hold, whether it does, and the figures in words."""

    name: str
    passed: bool
    says: str


def gate(
    judged: "Evaluation",
    bundle: Bundle,
    contract: str,
    config: GateConfig,
    rules: Collection[str],
    champion: str | None,
) -> tuple[Line, ...]:
    """Every line of the gate for the lead of `judged`.

    bundle: the challenger. contract: the fingerprint of the catalogue that will make features. rules: the comparators
    that are simple rules. champion: the comparator that is the present champion, with which `judged` has contrasts;
    None where there is none, and the best simple rule is what must be beaten.
    """
    better = _above_rules(judged, config, rules) if champion is None else _not_below(judged, config, champion)
    lines = [
        _lineage(bundle),
        _contract(bundle, contract),
        _admissions(judged, config),
        better,
        _within(judged, "expected_over_observed", config.expected_over_observed),
        _within(judged, "calibration_slope", config.calibration_slope),
    ]
    return (*lines, _groups(judged, config)) if champion is not None else tuple(lines)


def figures(judged: "Evaluation", champion: str | None) -> dict[str, float]:
    """What the decision rested on, by name; NaN where it is not defined."""
    found = {
        f"{measure}{end}": value
        for measure in ("ppv", "recall", "auroc", "expected_over_observed", "calibration_slope")
        for end, value in zip(("", "_low", "_high"), judged.figure(measure), strict=True)
    }
    found["test_admissions"] = judged.counts["admissions"]
    if champion is not None:
        ends = zip(("", "_low", "_high"), judged.gain(champion, "ppv"), strict=True)
        found |= {f"ppv_gain{end}": value for end, value in ends}
        found["list_overlap"] = _overlap(judged, champion)
    return found


def _lineage(bundle: Bundle) -> Line:
    missing = [name for name in LINEAGE if not bundle.lineage.get(name)]
    blocks: Mapping[str, Any] = bundle.lineage.get("blocks") or {}
    missing += [f"blocks.{part}" for part in (TRAIN, CALIBRATE) if part not in blocks]
    says = f"its lineage lacks {', '.join(missing)}" if missing else "it says what it was made from"
    return Line("lineage", not missing, says)


def _contract(bundle: Bundle, contract: str) -> Line:
    own, said = bundle.contract.fingerprint, bundle.lineage.get("contract")
    passed = own == contract == said
    differs = f"its contract is {own[:12]}, the catalogue's is {contract[:12]}, its lineage's {str(said)[:12]}"
    return Line("contract", passed, f"it was trained on the catalogue's contract {own[:12]}" if passed else differs)


def _admissions(judged: "Evaluation", config: GateConfig) -> Line:
    found = judged.counts["admissions"]
    says = f"{found:,} admissions in the test period, {config.least_admissions:,} needed"
    return Line("admissions", found >= config.least_admissions, says)


def _above_rules(judged: "Evaluation", config: GateConfig, rules: Collection[str]) -> Line:
    if not rules:
        return Line("yield", False, "no simple rule is configured that it could be held against")
    best = max(rules, key=lambda rule: _or_nothing(judged.figure("ppv", rule)[0]))
    gain, low, high = judged.gain(best, "ppv")
    least = -config.tolerated_loss * judged.figure("ppv", best)[0]
    says = (
        f"PPV at capacity {judged.figure('ppv')[0]:.4f}, above '{best}' by {gain:.4f} ({low:.4f} to {high:.4f}); it "
        f"must be above by more than {config.gain_over_rules:g}, the low end at least {least:.4f}"
    )
    return Line("yield", gain > config.gain_over_rules and low >= least, says)


def _not_below(judged: "Evaluation", config: GateConfig, champion: str) -> Line:
    gain, low, high = judged.gain(champion, "ppv")
    theirs = judged.figure("ppv", champion)[0]
    least = -config.tolerated_loss * theirs
    says = (
        f"PPV at capacity {judged.figure('ppv')[0]:.4f}, the champion's {theirs:.4f}; difference {gain:.4f} ({low:.4f} "
        f"to {high:.4f}), whose low end must be at least {least:.4f}; {_overlap(judged, champion):.0%} of its places "
        "are the champion's too"
    )
    return Line("yield", low >= least, says)


def _overlap(judged: "Evaluation", champion: str) -> float:
    return float(judged.overlap.set_index("model")["share"][champion])


def _within(judged: "Evaluation", measure: str, limits: tuple[float, float]) -> Line:
    value, low, high = judged.figure(measure)
    says = f"{value:.3f} ({low:.3f} to {high:.3f}), must be from {limits[0]:g} to {limits[1]:g}"
    return Line(measure.replace("_", " "), limits[0] <= value <= limits[1], says)


def _groups(judged: "Evaluation", config: GateConfig) -> Line:
    table = judged.contrasts[judged.contrasts["admissions"] >= config.subgroup_admissions]
    if table.empty:
        return Line("groups", True, f"not compared: no group has {config.subgroup_admissions} admissions")
    # A figure that is not defined counts as a loss.
    worse = table[~(table["high"] >= 0) & ~(table["difference"] >= -config.subgroup_loss * table["other"])]
    if worse.empty:
        return Line("groups", True, f"none of {len(table)} groups is materially worse off")
    told = (f"{row.group} '{row.value}': {row.lead:.2f}, the champion's {row.other:.2f}" for row in worse.itertuples())
    return Line("groups", False, "share of admissions listed is materially lower for " + "; ".join(told))


def _or_nothing(value: float) -> float:
    return -1.0 if isnan(value) else value
