"""Memory held and let go of: done where the system can, and nothing amiss where it cannot."""

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines import memory


@pytest.fixture(autouse=True)
def the_pool_as_it_was() -> Iterator[None]:
    pool = pa.default_memory_pool()
    yield
    pa.set_memory_pool(pool)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library other than glibc")
def test_what_is_no_longer_used_is_kept_until_it_is_let_go_of() -> None:
    memory.hold_on()
    memory.let_go()
    before = resident()
    pieces = [np.ones(1 << 20, np.int8) for _ in range(128)]
    full = resident()
    del pieces
    kept = resident()
    memory.let_go()
    assert full - before > 100 << 20
    assert full - kept < 20 << 20
    assert kept - resident() > 80 << 20
    assert pa.default_memory_pool().backend_name == "system"


@pytest.mark.parametrize("fault", [OSError, AttributeError])
def test_a_system_that_knows_nothing_of_it_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def none(*_: object) -> None:
        raise fault

    pool = pa.default_memory_pool().backend_name
    monkeypatch.setattr(ctypes, "CDLL", none)
    memory.hold_on()
    memory.let_go()
    assert pa.default_memory_pool().backend_name == pool
