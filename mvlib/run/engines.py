"""Where runs execute: the interface, and process groups of this machine behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol


class RunLostError(RuntimeError):
    """A run's process or machine is gone; the text, recorded as the reason, says how."""


class EngineLost(RuntimeError):
    """The engine is gone: no fault of its runs, which are to be repeated."""


class Engine(Protocol):
    """Where runs execute: what `run_all` asks of an engine."""

    remote: bool

    def slots(self) -> int:
        """Return how many runs can be in flight now, at least 1; it may change."""

    def submit(self, task: dict[str, Any]) -> Future:
        """Start a run; what goes wrong here or in the future is the reason it failed."""


class LocalEngine:
    """A process group for each run, at most `jobs` of them at a time, each with its thread."""

    remote = False

    def __init__(self, jobs: int, execute: Callable[..., dict[str, Any]]) -> None:
        self._jobs, self._execute = jobs, execute
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="run")
        self._ending = threading.Event()

    def slots(self) -> int:
        """Return `jobs`."""
        return self._jobs

    def submit(self, task: dict[str, Any]) -> Future:
        """Execute a task in a thread that waits for its process group."""
        return self._threads.submit(self._twice, task)

    def shutdown(self, stop: bool) -> None:
        """End; with `stop` what still runs, too."""
        if stop:
            self._ending.set()
        self._threads.shutdown(cancel_futures=stop)

    def _twice(self, task: dict[str, Any]) -> dict[str, Any]:
        def wanted() -> bool:
            return not self._ending.is_set()

        try:
            return self._execute(task, wanted)
        except RunLostError:
            if not wanted():
                raise
        try:
            return self._execute(task, wanted)
        except RunLostError as error:
            raise RunLostError(f"{error}; it was the second try") from None


# Its name until version 0.2.
RunExecutor = Engine
