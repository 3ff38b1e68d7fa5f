"""What the tests of flows share: one Prefect server, and a process that has nothing but MLflow and our package."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from pipelines import tracking
from pipelines.service import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """A Prefect server of the tests' own: the folder of its database, which is what is searched for identities."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            database = Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).split("///", 1)[1])
            assert database.is_file(), "the search must have something to search"
            yield database.parent


@pytest.fixture
def flows(prefect_home):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipelines import flows

        yield flows


@pytest.fixture
def in_a_clean_process(tmp_path):
    """(configuration, code, rows) -> what the code makes of the champion's folder in MLflow and of the rows; it is run
    with their paths and the path of its answer, and neither a workspace nor a configuration."""
    return lambda config, code, rows: _in_a_clean_process(config, code, rows, tmp_path)


def _in_a_clean_process(config, code, rows, folder):
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(tracking.tracking_uri(Service(config).workspace))
        uri = f"models:/{tracking.MODEL}@{tracking.CHAMPION}"
        model = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder / "model"))
    given, answer = folder / "rows.parquet", folder / "answer.parquet"
    rows.to_parquet(given)
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
    line = [sys.executable, "-c", code, model, given, answer]
    run = subprocess.run(line, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return pd.read_parquet(answer)
