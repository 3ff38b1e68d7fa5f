"""MLflow at the rim: one run for each training, decision and published day, and the registry that says who is champion.

The store is SQLite, or a database by address, and a folder under the workspace. Nothing that identifies a person is
logged: people are pseudonyms, errors and parameters are counts and settings.
"""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from features.errors import NotReadyError
from models.tuning import Trial
from pipelines.databases import address, require
from pipelines.workspace import Workspace

SETTING = "databases.mlflow"
MODEL = "minus-nine"
CHAMPION, CHALLENGER = "champion", "challenger"
TRAINING, BACKTESTS, DECISIONS, DAYS = "training", "backtests", "decisions", "published days"
MONITORING = "monitoring"
BEFORE = "stood before"
"""The tag of a version that says which one it took the place of."""


EPOCH = date(1970, 1, 1).toordinal()
MOST_METRICS = 1000
"""What MLflow takes at once."""

Origin = tuple[Mapping[str, Any], Mapping[str, float]]
"""Of one origin of a backtest: the model's lineage and its figures."""


@dataclass(frozen=True)
class Registered:
    """A model in the registry and the folder its bundle was saved to."""

    version: str
    run_id: str
    bundle: Path


def tracking_uri(workspace: Workspace) -> str:
    if workspace.registry:
        return address(workspace.registry, SETTING)
    return f"sqlite:///{(workspace.mlflow / 'mlflow.db').resolve()}"


def _client(workspace: Workspace) -> MlflowClient:
    """The store; StorageError where its database does not answer: MLflow itself would go on trying for minutes."""
    uri = tracking_uri(workspace)
    require(uri, SETTING)
    mlflow.set_tracking_uri(uri)
    return MlflowClient(uri)


@contextmanager
def _run(workspace: Workspace, experiment: str, name: str) -> Iterator[Any]:
    """An MLflow run in this workspace's store."""
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    client = _client(workspace)
    if client.get_experiment_by_name(experiment) is None:
        client.create_experiment(experiment, artifact_location=(workspace.mlflow / "artifacts").resolve().as_uri())
    mlflow.set_experiment(experiment)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(run_name=name) as run:
            yield run


def log_training(
    workspace: Workspace,
    bundle: Path,
    *,
    lineage: Mapping[str, Any],
    rows: pd.DataFrame,
    metrics: Mapping[str, float],
    folder_of_reports: Path,
    name: str,
    trials: Sequence[Trial] = (),
) -> Registered:
    """Log a training with its bundle and reports, and register it as the challenger.

    rows: what was trained on (pseudonyms and labels); only its digest and shape are kept. trials: the settings that
    were tried, a nested run each.
    """
    with _run(workspace, TRAINING, name) as run:
        mlflow.log_params(_flat({key: lineage[key] for key in lineage if key not in ("libraries", "catalogue")}))
        mlflow.log_metrics(_finite(metrics))
        data = from_pandas(rows, name="training rows")
        mlflow.log_input(data, context="training")
        mlflow.log_artifacts(str(folder_of_reports), "evaluation")
        mlflow.log_dict(dict(lineage), "lineage.json")
        for number, trial in enumerate(trials):
            with mlflow.start_run(run_name=f"trial {number}", nested=True):
                mlflow.log_params(trial.settings)
                mlflow.log_metric("log_loss", trial.log_loss)
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module="models.bundle",
            data_path=str(bundle),
            pip_requirements=[f"minus-nine=={version('minus-nine')}"],
        )
        registered = _register(MlflowClient(), logged, bundle)
        return Registered(registered, run.info.run_id, bundle)


def _register(client: MlflowClient, logged: Any, bundle: Path) -> str:
    """A new version of the model, with the alias of the challenger."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    made = client.create_model_version(
        MODEL, logged.model_uri, run_id=logged.run_id, model_id=logged.model_id, tags={"bundle": bundle.name}
    )
    client.set_registered_model_alias(MODEL, CHALLENGER, made.version)
    return str(made.version)


def champion(workspace: Workspace) -> Registered:
    """The model with the alias `champion`; NotReadyError where there is none."""
    found = holder(workspace, CHAMPION)
    if found is None:
        raise NotReadyError(_no_champion(workspace))
    return found


def log_backtest(workspace: Workspace, name: str, origins: Mapping[str, Origin], reports: Path) -> str:
    """Log a backtest with its reports, and each of its origins as a nested run. Returns the run's id."""
    with _run(workspace, BACKTESTS, name) as run:
        mlflow.log_artifacts(str(reports), "evaluation")
        for origin, (lineage, metrics) in origins.items():
            with mlflow.start_run(run_name=origin, nested=True):
                mlflow.log_params(_flat({key: lineage[key] for key in ("as_of", "blocks", "rows", "contract")}))
                mlflow.log_metrics(_finite(metrics))
        return str(run.info.run_id)


ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says where there is no such model, and where the model has no such alias."""


def holder(workspace: Workspace, alias: str) -> Registered | None:
    """The model with `alias`; None where there is none. A registry that cannot be read is not one that is empty."""
    if not workspace.registry and not (workspace.mlflow / "mlflow.db").exists():
        return None
    client = _client(workspace)
    try:
        return _of_version(workspace, client.get_model_version_by_alias(MODEL, alias))
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None


def _of_version(workspace: Workspace, found: Any) -> Registered:
    return Registered(str(found.version), str(found.run_id), workspace.models / found.tags["bundle"])


def before(workspace: Workspace, registered: Registered) -> Registered:
    """The champion that `registered` took the place of; NotReadyError where there was none."""
    client = _client(workspace)
    version = client.get_model_version(MODEL, registered.version).tags.get(BEFORE)
    if version is None:
        message = f"Going back needs a champion before this one; model {registered.version} was the first. It stands."
        raise NotReadyError(message)
    return _of_version(workspace, client.get_model_version(MODEL, version))


def log_decision(
    workspace: Workspace,
    name: str,
    *,
    parameters: Mapping[str, str],
    metrics: Mapping[str, float],
    reports: Path | None = None,
) -> str:
    """Record a decision about who is champion, before anything comes of it. Returns the run's id."""
    with _run(workspace, DECISIONS, name) as run:
        mlflow.log_params({key: words[:6000] for key, words in parameters.items()})
        mlflow.log_metrics(_finite(metrics))
        if reports is not None:
            mlflow.log_artifacts(str(reports), "evaluation")
        return str(run.info.run_id)


def make_champion(workspace: Workspace, chosen: Registered, standing: Registered | None) -> None:
    """Move the alias to `chosen`, which remembers whose place it took and is no challenger any more."""
    client = _client(workspace)
    if standing is not None:
        client.set_model_version_tag(MODEL, chosen.version, BEFORE, standing.version)
    client.set_registered_model_alias(MODEL, CHAMPION, chosen.version)
    challenger = holder(workspace, CHALLENGER)
    if challenger is not None and challenger.version == chosen.version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)


def bring_back(workspace: Workspace, former: Registered) -> None:
    """Move the alias back to `former`; whose place it took itself stays as it was."""
    _client(workspace).set_registered_model_alias(MODEL, CHAMPION, former.version)


def _no_champion(workspace: Workspace) -> str:
    found = holder(workspace, CHALLENGER)
    if found is None:
        next_step = "Run `minusnine train` first."
    else:
        next_step = (
            f"Model {found.version} is trained and has not passed the gate: `minusnine promote` says which line failed."
        )
    where = f"the database that {SETTING} names" if workspace.registry else workspace.mlflow
    return f"Scoring needs a champion in the model registry; {where} has none. {next_step}"


def log_day(
    workspace: Workspace,
    name: str,
    *,
    parameters: Mapping[str, str],
    metrics: Mapping[str, float],
    ranked: pd.DataFrame,
    manifest: str,
) -> str:
    """Log one published day: counts, feed ages, score distribution and the pseudonymised list. Returns the run's id.

    A publication (the same name and manifest) is not logged twice. What a run that was killed left of it is closed.
    """
    same = f"tags.manifest = '{parameters['manifest_digest']}' and tags.`mlflow.runName` = '{name}'"
    standing = _finished(_client(workspace), DAYS, same)
    if standing is not None:
        return standing
    with _run(workspace, DAYS, name) as run, tempfile.TemporaryDirectory(dir=workspace.root) as folder:
        mlflow.set_tag("manifest", parameters["manifest_digest"])
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(_finite(metrics))
        mlflow.log_text(manifest, "manifest.json")
        path = Path(folder) / "list.parquet"
        ranked.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))
        return str(run.info.run_id)


def log_monitoring(
    workspace: Workspace,
    name: str,
    *,
    parameters: Mapping[str, str],
    points: Sequence[tuple[str, datetime, float]],
) -> str:
    """Log figures over time (metric, end of the period, value), with the days since 1970 as steps. Returns the run's
    id. The same page (its digest) is not logged twice; what a run that was killed left of it is closed."""
    client = _client(workspace)
    standing = _finished(client, MONITORING, f"tags.page = '{parameters['digest']}'")
    if standing is not None:
        return standing
    with _run(workspace, MONITORING, name) as run:
        mlflow.set_tag("page", parameters["digest"])
        mlflow.log_params(dict(parameters))
        metrics = [
            Metric(metric, value, int(end.timestamp() * 1000), end.date().toordinal() - EPOCH)
            for metric, end, value in points
            if pd.notna(value)
        ]
        for first in range(0, len(metrics), MOST_METRICS):
            client.log_batch(run.info.run_id, metrics=metrics[first : first + MOST_METRICS])
        return str(run.info.run_id)


def _finished(client: MlflowClient, name: str, wanted: str) -> str | None:
    """The finished run of an experiment that is wanted, if there is one; what was killed of it is closed."""
    experiment = client.get_experiment_by_name(name)
    for standing in client.search_runs([experiment.experiment_id], wanted) if experiment is not None else ():
        if standing.info.status == "FINISHED":
            return str(standing.info.run_id)
        client.set_terminated(standing.info.run_id, "KILLED")
    return None


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if pd.notna(value)}


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names; MLflow keeps values of up to 6,000 characters."""
    flat: dict[str, str] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: json.dumps(value)[:6000]}
    return flat
