"""The registered model in a process that has MLflow and our package, and neither a workspace nor a configuration."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd

from pipelines import steps, tracking
from pipelines.service import Service

ROOT = Path(__file__).parents[2]
CLEAN = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
folder, rows, answer = sys.argv[1:]
frame = pd.read_parquet(rows)
frame["risk"] = mlflow.pyfunc.load_model(folder).predict(frame)
frame[["risk"]].to_parquet(answer)
assert not {"prefect", "pipelines", "deltalake"} & set(sys.modules), "it must need MLflow and our models only"
"""


def test_the_model_scores_in_a_clean_process_with_mlflow_and_our_package_only(trained, tmp_path):
    import mlflow

    from models.bundle import load
    from pipelines.building import snapshot

    service = Service(trained)
    as_of = steps.as_of_day(trained, steps.simulated_last_day(trained))
    with service.workers() as over:
        frame = snapshot(service.history, trained, service.catalogue, as_of, over).frame.head(50)
    champion = tracking.champion(service.workspace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(tracking.tracking_uri(service.workspace))
        uri = f"models:/{tracking.MODEL}@{tracking.CHAMPION}"
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(tmp_path / "model"))
    frame.drop(columns=["person_id", "as_of"]).to_parquet(tmp_path / "rows.parquet")
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CLEAN, folder, str(tmp_path / "rows.parquet"), str(tmp_path / "answer.parquet")],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answer = pd.read_parquet(tmp_path / "answer.parquet")["risk"]
    assert answer.tolist() == load(champion.bundle).score(frame)["risk"].tolist()
