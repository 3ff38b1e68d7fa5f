"""What a use case leaves behind in the process that it runs in."""

import gc
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from features.errors import MinusNineError
from pipelines import ingesting, steps
from pipelines.config import load_config

CONFIG = Path(__file__).parents[2] / "configs" / "simulated.yaml"


def test_a_day_that_fails_leaves_pythons_ways_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(CONFIG).model_copy(update={"workspace": tmp_path / "workspace"})
    before, within = (sys.getswitchinterval(), gc.get_threshold()), []

    def failing(*_given: object) -> None:
        within.append((sys.getswitchinterval(), gc.get_threshold()))
        message = "nothing can be read"
        raise MinusNineError(message)

    monkeypatch.setattr(ingesting, "ingest", failing)
    as_of = steps.as_of_day(config, steps.simulated_last_day(config))
    with pytest.raises(MinusNineError, match="nothing can be read"):
        steps.daily(config, as_of, as_of + timedelta(hours=1), lambda _said: None)
    assert within != [before]
    assert len(within) == 1
    assert (sys.getswitchinterval(), gc.get_threshold()) == before
