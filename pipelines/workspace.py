"""Where the state of a service lives: one folder, named in the configuration; nothing is written elsewhere."""

import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from features.errors import ConfigError

KEY_VARIABLE = "MINUSNINE_KEY"
KEY_CHECK = "key-check"
"""The file in a history that tells which key it was made with."""
LEAST_KEY = 32


@dataclass(frozen=True)
class Workspace:
    """The folders under `root`. key_file: where the pseudonym key is, if not in the identity folder. registry: the
    address of MLflow's database where it is not a file there; $NAME in it comes from the environment."""

    root: Path
    key_file: Path | None = None
    registry: str = ""

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def fingerprints(self) -> Path:
        return self.root / "fingerprints.json"

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
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def gates(self) -> Path:
        return self.root / "gates"

    @property
    def alerts(self) -> Path:
        return self.root / "alerts.jsonl"

    @property
    def exposure(self) -> Path:
        return self.root / "exposure"

    @property
    def commissioner(self) -> Path:
        return self.root / "commissioner"

    @property
    def board(self) -> Path:
        return self.root / "board"

    @property
    def quality(self) -> Path:
        return self.root / "quality"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation"

    @property
    def monitoring(self) -> Path:
        return self.root / "monitoring"

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
        """The secret that pseudonyms and tie-breaks are made with: `MINUSNINE_KEY` if set, else what is in `key_file`,
        else in a file made once.

        Whoever holds it can tell whose a pseudonym is. A history made with another key is refused: everyone would
        become a second person. ConfigError too where others than its owner may read the file.
        """
        made_with, path = self.history / KEY_CHECK, self.key_file or self.own_key
        if os.environ.get(KEY_VARIABLE):
            key = os.environ[KEY_VARIABLE].encode()
        elif path.exists() or self.key_file is not None:
            key = read_key(path)
        elif made_with.exists():
            raise ConfigError(_lost_key(path))
        else:
            self.identity.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = new_key()
            write_private(path, key)
        if not made_with.exists():
            self.history.mkdir(parents=True, exist_ok=True)
            write_private(made_with, key_check(key))
        elif made_with.read_bytes() != key_check(key):
            raise ConfigError(_lost_key(path))
        return key

    @property
    def own_key(self) -> Path:
        """Where the key is that the workspace makes for itself."""
        return self.identity / "pseudonym.key"


def new_key() -> bytes:
    return secrets.token_hex(32).encode()


def key_check(key: bytes) -> bytes:
    """What tells one key from another without giving it away."""
    return hmac.digest(key, b"minus nine", sha256).hex().encode()


def read_key(path: Path) -> bytes:
    """The key in a file that only its owner may read, without a line end after it; ConfigError otherwise."""
    try:
        with path.open("rb") as file:
            mode, key = os.fstat(file.fileno()).st_mode, file.read().rstrip(b"\r\n")
    except OSError as error:
        message = f"The pseudonym key must be in {path}; it cannot be read ({error.strerror}). Restore it."
        raise ConfigError(message) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"The pseudonym key in {path} must be open to its owner alone; others can get at it. chmod 600 it."
        raise ConfigError(message)
    if len(key) < LEAST_KEY:
        message = f"A pseudonym key must be at least {LEAST_KEY} bytes long; the one in {path} is {len(key)}."
        message = f"{message} `openssl rand -hex 32` makes one."
        raise ConfigError(message)
    return key


def _lost_key(path: Path) -> str:
    return (
        f"The pseudonym key must be the one that the history was made with; it is not the one in {path} or "
        f"{KEY_VARIABLE}. Restore the key, or begin with an empty workspace."
    )


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
