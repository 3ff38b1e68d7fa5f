"""Where the state of a service lives: one folder, named in the configuration; nothing is written elsewhere."""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

KEY_VARIABLE = "MINUSNINE_KEY"


@dataclass(frozen=True)
class Workspace:
    """The folders under `root`."""

    root: Path

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def identity(self) -> Path:
        return self.root / "identity"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def lists(self) -> Path:
        return self.root / "lists"

    @property
    def quality(self) -> Path:
        return self.root / "quality"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def extracts(self) -> Path:
        return self.root / "extracts"

    def key(self) -> bytes:
        """The secret that pseudonyms and tie-breaks are made with: `MINUSNINE_KEY` if set, else a file made once.

        Whoever holds it can tell whose a pseudonym is; without it the history cannot be added to.
        """
        if KEY_VARIABLE in os.environ:
            return os.environ[KEY_VARIABLE].encode()
        path = self.identity / "pseudonym.key"
        if not path.exists():
            self.identity.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, secrets.token_hex(32).encode())
        return path.read_bytes()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def pseudonyms(identities: Sequence[str], key: bytes) -> list[int]:
    """A positive 63-bit number for each identity, the same for the same identity and key, telling nothing else."""
    return [int.from_bytes(hmac.digest(key, text.encode(), sha256)[:8], "big") >> 1 for text in identities]
