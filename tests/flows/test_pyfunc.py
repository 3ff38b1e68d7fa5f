"""The registered model in a process that has MLflow and our package, and neither a workspace nor a configuration."""

from models.bundle import load
from pipelines import steps, tracking
from pipelines.building import snapshot
from pipelines.service import Service

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


def test_the_model_scores_in_a_clean_process_with_mlflow_and_our_package_only(trained, in_a_clean_process):
    service = Service(trained)
    as_of = steps.as_of_day(trained, steps.simulated_last_day(trained))
    with service.workers() as over:
        frame = snapshot(service.history, trained, service.catalogue, as_of, over).frame.head(50)
    answer = in_a_clean_process(trained, CLEAN, frame.drop(columns=["person_id", "as_of"]))
    champion = load(tracking.champion(service.workspace).bundle)
    assert answer["risk"].tolist() == champion.score(frame)["risk"].tolist()
