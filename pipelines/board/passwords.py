"""Passwords as Argon2id hashes, few at a time: each takes 19 MiB and some 20 ms of a processor."""

from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from features.errors import ConfigError

SHORTEST, LONGEST = 12, 256
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_few = BoundedSemaphore(4)
_nobodys = _hasher.hash("a password that no account has")


def hashed(password: str) -> str:
    """ConfigError where the password is too short to be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"A password must have {SHORTEST} to {LONGEST} characters; it has {len(password)}. Choose another."
        raise ConfigError(message)
    with _few:
        return _hasher.hash(password)


def matches(kept: str, password: str) -> bool:
    """Whether it is the password of the hash; as slow where there is none, so that nobody learns which names there
    are."""
    with _few:
        try:
            return _hasher.verify(kept or _nobodys, password[:LONGEST]) and bool(kept)
        except (Argon2Error, InvalidHashError):
            return False
