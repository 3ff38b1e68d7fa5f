"""How often the gates speak where nothing is wrong: a quarter of a simulated trust whose feeds never fail and whose
teams stay as they are.

`python benchmarks/quiet_quarter.py --workspace FOLDER` plays five weeks for the histories to form, then 91 days, and
prints what `minusnine gates --from --to` says of those. It goes on where it was broken off.
"""

import argparse
from datetime import timedelta
from pathlib import Path

import yaml

from features.errors import MinusNineError
from pipelines import steps
from pipelines.cli_operations import show_tally
from pipelines.config import load_config
from pipelines.console import err
from pipelines.worlds import play_on

CONFIGS = Path(__file__).parents[1] / "configs"
HISTORY_DAYS, FORMING_DAYS, QUARTER = 150, 35, 91
START = "2025-04-10"
"""So that the quarter holds Christmas and a change of the clocks."""
EASY_GATE = {"least_admissions": 1, "gain_over_rules": -1, "tolerated_loss": 100}
WIDE = {"expected_over_observed": [0.1, 10], "calibration_slope": [0.01, 10]}


def service(workspace: Path, places: int, teams: int, seed: int) -> Path:
    """A configuration file for the quarter, in the workspace's parent."""
    raw = yaml.safe_load((CONFIGS / "simulated.yaml").read_text(encoding="utf-8"))
    days = HISTORY_DAYS + FORMING_DAYS + QUARTER
    raw["simulator"] = {
        **{"world": str(CONFIGS / "worlds" / "small.yaml"), "places": places, "teams": teams, "seed": seed},
        **{"days": days, "daily_drops": FORMING_DAYS + QUARTER, "start": START, "truth_days": 1},
        "practice": {"merger_at": None},
        "faults": {"feed_stop_days": 0, "outage_days": 0, "vital_signs_stop_days": 0},
    }
    raw["periods"] = {"history_days": HISTORY_DAYS, "calibration_days": 20, "test_days": 20, "landmark_every": 3}
    raw["training"] = {"seeds": [1], "most_trees": 40, "least_admissions": 10, "least_calibration_admissions": 2}
    raw["promotion"] = EASY_GATE | WIDE
    raw["buckets"] = 2
    raw["features"] = str(CONFIGS / raw["features"])
    for source in raw["sources"].values():
        source["mapping"] = str(CONFIGS / source["mapping"])
    raw["workspace"] = str(workspace)
    path = workspace.with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--workspace", type=Path, required=True)
    options.add_argument("--places", type=int, default=1000)
    options.add_argument("--teams", type=int, default=12)
    options.add_argument("--seed", type=int, default=9)
    given = options.parse_args()
    config = load_config(service(given.workspace.absolute(), given.places, given.teams, given.seed))
    play_on(config, err.print)
    last = steps.simulated_last_day(config)
    show_tally(steps.gate_reports(config, last - timedelta(days=QUARTER - 1), last))


if __name__ == "__main__":
    try:
        main()
    except MinusNineError as error:
        raise SystemExit(str(error)) from None
