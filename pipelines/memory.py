"""How a process that works on tables holds its memory. Nothing but speed hangs on it, so that each does what it can."""

import ctypes
from contextlib import suppress

import pyarrow as pa

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""As glibc's malloc.h numbers what can be set."""
KEPT, MAPPED_FROM = 256 << 20, 32 << 20


def hold_on() -> None:
    """From here on this process keeps the memory of what it no longer uses, up to `KEPT` bytes, but of pieces from
    `MAPPED_FROM` bytes: tables come and go, and to be given pages anew for each took up to a tenth of a day's processor
    time. Arrow takes its memory from the same store as everything else."""
    with suppress(OSError, AttributeError):  # glibc's alone
        system = ctypes.CDLL(None)
        system.mallopt(TRIM_THRESHOLD, KEPT)
        system.mallopt(MMAP_THRESHOLD, MAPPED_FROM)
        pa.set_memory_pool(pa.system_memory_pool())


def let_go() -> None:
    """What this process no longer uses goes back to the system, now that others need some."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
