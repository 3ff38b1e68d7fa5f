"""A trust that does not exist: what its community teams, wards and emergency departments would have recorded, with
the faults that real records have, and the truth behind it."""

from pipelines.simulator.config import SimulatorConfig, load_world
from pipelines.simulator.parameters import Faults
from pipelines.simulator.writing import Summary, simulate

__all__ = ["Faults", "SimulatorConfig", "Summary", "load_world", "simulate"]
