"""The kernel of a run: its limits of time and memory, and its end."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mvlib.experiments.memory import memory_of

if TYPE_CHECKING:
    import psutil

GIGABYTE = 10**9
_SECONDS_BETWEEN_LOOKS = 0.5
# A look goes through all processes of the machine: it may cost 2 % of the time at most.
_PAUSES_A_LOOK = 50
# Of 1000: a system without memory then kills the kernel, not the runner.
_KILL_ME_FIRST = 800


class KernelWatch:
    """Kills this process's kernels once they are past a limit; a context manager.

    Parameters
    ----------
    limit_seconds : float
        By a clock that nobody sets.
    limit_bytes : float
        Of memory, for the kernel and what it has started, together.

    Attributes
    ----------
    reason : str or None
        Why they were killed.
    """

    def __init__(self, limit_seconds: float, limit_bytes: float) -> None:
        self.limit_seconds = limit_seconds
        self.limit_bytes = limit_bytes
        self.reason: str | None = None
        self._ended = threading.Event()
        self._seen: set[int] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> KernelWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        end = time.monotonic() + self.limit_seconds
        pause = _SECONDS_BETWEEN_LOOKS
        while not self._ended.wait(min(pause, max(0, end - time.monotonic()))):
            begun = time.thread_time()
            # One that was just about to start when the others were killed goes, too.
            self.reason = self.reason or self._over(end)
            if self.reason is not None:
                kill_kernels()
                self._ended.wait(_SECONDS_BETWEEN_LOOKS)
            cost = time.thread_time() - begun
            pause = max(_SECONDS_BETWEEN_LOOKS, _PAUSES_A_LOOK * cost)

    def _over(self, end: float) -> str | None:
        if time.monotonic() >= end:
            return f"stopped after its limit of {self.limit_seconds / 60:.3g} minutes"
        processes = kernel_processes()
        for process in processes:
            if process.pid not in self._seen:
                self._seen.add(process.pid)
                _offer_to_the_system(process.pid)
        if memory_of(processes, self.limit_bytes) > self.limit_bytes:
            return f"its kernel took more than {self.limit_bytes / GIGABYTE:.3g} GB of memory"
        return None


def kernel_processes() -> list[psutil.Process]:
    """Return the kernels that this process has started, and what they have started."""
    import psutil

    from mvlib.experiments.warm_kernels import live_warm_kernels

    found = psutil.Process().children(recursive=True)
    for pid in live_warm_kernels():
        with contextlib.suppress(psutil.NoSuchProcess):
            kernel = psutil.Process(pid)
            found += [kernel, *kernel.children(recursive=True)]
    return found


def kill_kernels() -> None:
    """Kill the kernels that this process has started, and what they have started."""
    import psutil

    for process in kernel_processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _offer_to_the_system(pid: int) -> None:
    # Only Linux has it, and a kernel may have ended.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(f"{_KILL_ME_FIRST}", encoding="ascii")
