"""A model as data: trees, coefficients, calibration, contract and lineage, all in text, with a hash of each file.

There is no pickle: a bundle is read by the installed code, and refuses a table with another contract.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ContractError, NotReadyError, nearest
from features.table import KEYS, Contract
from models import boosting
from models.calibration import Calibration
from models.curve import Tilt
from models.logistic import Logistic
from models.settings import ENSEMBLE, LIGHTGBM, LOGISTIC, WITHIN

FORMAT = 1
MANIFEST, CURVE = "bundle.json", "curve.json"


@dataclass(frozen=True)
class Bundle:
    """A trained model and everything needed to use it and to know where it came from.

    boosters: LightGBM models as text, one a seed. lead: which of `MODELS` scores by default.
    calibration: by model. log_share: ln of the share of negatives trained on, added to every logit. tilt: how the risk
    is spread over the nine days; None where that was not trained. lineage: values that go into JSON; `training.train`
    says which.
    """

    boosters: tuple[str, ...]
    logistic: Logistic
    calibration: Mapping[str, Calibration]
    contract: Contract
    lineage: Mapping[str, Any]
    lead: str
    log_share: float = 0.0
    threads: int = 1
    tilt: Tilt | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every file of the bundle; two bundles that share it are the same model."""
        return sha256(self._files()[MANIFEST].encode()).hexdigest()

    def logits(self, frame: pd.DataFrame, model: str | None = None) -> npt.NDArray[np.float64]:
        """Scores before recalibration, corrected for the sampling of negatives."""
        chosen = self._model(model)
        if chosen == ENSEMBLE:
            return (self.logits(frame, LIGHTGBM) + self.logits(frame, LOGISTIC)) / 2
        if chosen == LOGISTIC:
            return self.logistic.logits(frame) + self.log_share
        return boosting.logits(self.boosters, frame, self.contract, self.threads) + self.log_share

    def score(self, frame: pd.DataFrame, model: str | None = None) -> pd.DataFrame:
        """person_id, as_of, score (the logit that ranks) and risk (calibrated, 0-1), in the order of `frame`.

        `frame` is a feature table; ContractError where its columns are not the ones trained on.
        """
        self.contract.check(frame)
        logits = self.logits(frame, model)
        return frame[list(KEYS)].assign(score=logits, risk=self.calibration[self._model(model)].risk(logits))

    def curve(self, frame: pd.DataFrame, model: str | None = None) -> pd.DataFrame:
        """person_id, as_of and within_1 .. within_9, the risk (0-1) of an emergency admission within so many days, in
        the order of `frame`. It never falls from one day to the next, and within_9 is the risk that `score` gives.

        NotReadyError where the model was trained without `curve`.
        """
        if self.tilt is None:
            message = (
                "A curve needs a model that was trained with `training.curve`; this one was not. Set it, and retrain."
            )
            raise NotReadyError(message)
        scored, calibration = self.score(frame, model), self.calibration[self._model(model)]
        within = scored["risk"].to_numpy()[:, None] * self.tilt.shares(frame, calibration.line(scored["score"]))
        return pd.concat([frame[list(KEYS)], pd.DataFrame(within, columns=list(WITHIN), index=frame.index)], axis=1)

    def save(self, folder: Path) -> None:
        """Write the bundle as `folder`: aside first, then renamed. Saving the same bundle again changes nothing;
        ContractError where the folder holds anything else."""
        files = self._files()
        if folder.exists():
            manifest = folder / MANIFEST
            if manifest.is_file() and manifest.read_text("utf-8") == files[MANIFEST]:
                return
            message = f"A bundle must be saved to a new folder; {folder} holds something else. Choose another name."
            raise ContractError(message)
        aside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for name, text in files.items():
            (aside / name).write_text(text, encoding="utf-8", newline="\n")
        aside.rename(folder)

    def _model(self, model: str | None) -> str:
        chosen = model or self.lead
        if chosen not in self.calibration:
            message = (
                f"A bundle's models are {', '.join(sorted(self.calibration))}; found '{chosen}'. Name one of them."
            )
            raise ContractError(message)
        return chosen

    def _files(self) -> dict[str, str]:
        files = {f"model_{i}.txt": text for i, text in enumerate(self.boosters, start=1)}
        files["logistic.json"] = _json(self.logistic.to_dict())
        files["calibration.json"] = _json({name: fitted.to_dict() for name, fitted in self.calibration.items()})
        if self.tilt is not None:
            files[CURVE] = _json(self.tilt.to_dict())
        files["contract.json"] = self.contract.to_json()
        files["lineage.json"] = _json(self.lineage)
        hashes = {name: sha256(text.encode()).hexdigest() for name, text in files.items()}
        settings = {"lead": self.lead, "log_share": self.log_share, "threads": self.threads}
        files[MANIFEST] = _json({"format": FORMAT, **settings, "files": hashes})
        return files


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def load(folder: Path) -> Bundle:
    """The bundle saved in `folder`. NotReadyError where there is none; ContractError where its format is not this one's
    or any file is not the one that was saved."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        message = f"A model must be in {folder}; found no {MANIFEST} there. Train one, or name another folder."
        raise NotReadyError(message)
    head = json.loads(manifest.read_text("utf-8"))
    if head.get("format") != FORMAT:
        message = f"{manifest} must have format {FORMAT}; found {head.get('format')}. Retrain with this version."
        raise ContractError(message)
    texts = {name: _checked(folder / name, digest) for name, digest in head["files"].items()}
    models = sorted((name for name in texts if name.startswith("model_")), key=lambda name: (len(name), name))
    return Bundle(
        boosters=tuple(texts[name] for name in models),
        logistic=Logistic.from_dict(json.loads(texts["logistic.json"])),
        calibration={name: Calibration(**raw) for name, raw in json.loads(texts["calibration.json"]).items()},
        contract=Contract.from_json(texts["contract.json"]),
        lineage=json.loads(texts["lineage.json"]),
        lead=head["lead"],
        log_share=head["log_share"],
        threads=head["threads"],
        tilt=Tilt.from_dict(json.loads(texts[CURVE])) if CURVE in texts else None,
    )


def _checked(path: Path, digest: str) -> str:
    found = path.read_bytes() if path.is_file() else b""
    if sha256(found).hexdigest() != digest:
        message = f"{path} must be the file that was saved with its bundle; its hash differs. Restore it, or retrain."
        raise ContractError(message)
    return found.decode("utf-8")


@dataclass(frozen=True)
class RiskModel:
    """What MLflow's pyfunc calls."""

    bundle: Bundle

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Calibrated risk (0-1) of each row; `frame` holds the contract's features in any order, keys or not."""
        contract = self.bundle.contract
        missing = [name for name in contract.names if name not in frame.columns]
        if missing:
            message = (
                f"The feature table must have the {len(contract.names)} features of the model; {len(missing)} are "
                f"missing, first '{missing[0]}', {nearest(missing[0], map(str, frame.columns))} Add them."
            )
            raise ContractError(message)
        return self.bundle.calibration[self.bundle.lead].risk(self.bundle.logits(frame))

    def get_raw_model(self) -> Bundle:
        """What MLflow's `PyFuncModel.get_raw_model` answers: the bundle, with the curve and the other models."""
        return self.bundle


def _load_pyfunc(data_path: str) -> RiskModel:
    """MLflow's entry: `loader_module="models.bundle"` with a saved bundle as `data_path`."""
    return RiskModel(load(Path(data_path)))
