"""How much memory there is, and how much processes take of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

# In a container the machine's memory is not all ours: version 2 of cgroups, and version 1.
_CGROUP_FILES = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_bytes() -> int:
    """Return the memory of this machine, or of the cgroup where that has less."""
    import psutil

    found = [psutil.virtual_memory().total]
    for name in _CGROUP_FILES:
        # "max", or no file, where there is no such limit.
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(name).read_text(encoding="ascii")))
    return min(size for size in found if size > 0)


def memory_of(processes: Iterable[psutil.Process], at_most: float) -> int:
    """Return the memory, in bytes, that processes hold together.

    Pages that several of them hold are counted once each, unless even so the sum is not above
    `at_most`: what they share takes longer to find out.

    Parameters
    ----------
    processes : iterable of psutil.Process
        Those that have ended count nothing.
    at_most : float
        Bytes, from where on it must be exact.
    """
    processes = list(processes)
    held = sum(_held(process, "memory_info", "rss") for process in processes)
    if held <= at_most:
        return held
    exact = sum(_held(process, "memory_full_info", "pss") for process in processes)
    return exact or held


def _held(process: psutil.Process, method: str, field: str) -> int:
    import psutil

    try:
        return getattr(getattr(process, method)(), field, 0)
    except psutil.Error:
        return 0
