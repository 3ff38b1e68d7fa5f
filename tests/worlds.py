"""Simulated worlds for tests: the shipped small one with other sizes, and pieces of it."""

from pathlib import Path
from typing import Any

from pipelines.simulator import Faults, SimulatorConfig, load_world

SMALL_WORLD = Path(__file__).parents[1] / "configs" / "worlds" / "small.yaml"


def small_world(**changes: Any) -> SimulatorConfig:
    """The shipped small world with some settings changed."""
    return load_world(SMALL_WORLD, changes)


def without_faults(config: SimulatorConfig) -> SimulatorConfig:
    return config.model_copy(update={"faults": Faults.none()})
