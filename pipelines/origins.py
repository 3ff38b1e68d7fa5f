"""Where a day's ranking came from: enough to make it again, and to say what was different where it comes out otherwise.

Everything here goes into the run's `run.json`: hashes, versions, counts and settings, nothing about a person.
"""

import platform
from collections.abc import Sequence
from datetime import UTC
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from models.bundle import Bundle
from pipelines.config import ServiceConfig
from pipelines.fingerprints import digest_of
from pipelines.runs import Run
from pipelines.service import Service
from pipelines.tracking import Registered

PACKAGES = ("minus-nine", "lightgbm", "scikit-learn", "numpy", "pandas", "pyarrow", "numba", "duckdb", "deltalake")
SETTINGS = {"zone", "cut", "caseload", "lists", "outcome", "roll_out"}
"""The sections of the configuration that a ranking is made by."""


def origin(
    service: Service, champion: Registered, bundle: Bundle, earlier: Sequence[Run], frame: pd.DataFrame
) -> dict[str, Any]:
    """model, catalogue, config, history, inputs, previous, features and packages, as JSON.

    inputs: the extracts that no run in `earlier` had, with the SHA-256 of each one's bytes, mapping and time zone.
    earlier: the runs whose rankings it is compared with. features: a digest of the feature table.
    """
    ledger = service.history.ledger()
    seen = max((int(run.told["history"]["batches"]) for run in earlier), default=0)
    return {
        "model": {
            "version": champion.version,
            "bundle": champion.bundle.name,
            "fingerprint": bundle.fingerprint,
            "contract": bundle.contract.fingerprint,
        },
        "catalogue": sha256(service.catalogue_text.encode()).hexdigest(),
        "config": settings(service.config),
        "history": {"batches": len(ledger), "digest": digest_of(ledger["fingerprint"])},
        "inputs": [_extract(row) for row in ledger[ledger["batch"] > seen].itertuples()],
        "previous": [[run.day, run.version] for run in earlier],
        "features": digest_of_rows(frame),
        "packages": packages(),
    }


def settings(config: ServiceConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", include=SETTINGS)


def packages() -> dict[str, str]:
    """The versions of Python, of this software and of the libraries that can change a figure."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def digest_of_rows(frame: pd.DataFrame) -> str:
    """SHA-256 of a frame's rows, whatever their order and that of its columns."""
    rows = pd.util.hash_pandas_object(frame[sorted(frame.columns)], index=False).to_numpy()
    return sha256(np.sort(rows).tobytes()).hexdigest()


def _extract(row: Any) -> dict[str, Any]:
    received = row.received_at.to_pydatetime().astimezone(UTC)
    return {
        "source": row.source,
        "extract": row.name,
        "sha256": row.fingerprint,
        "received_at": received.isoformat(),
        "rows": int(row.rows),
    }
