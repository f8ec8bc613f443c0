"""Which run executes where: at a caller's executor, or in processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from mvlib.experiments.executor import LocalProcesses, RunExecutor
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.worker import execute


class Places:
    """The caller's executor, if any, and local processes for what it is not for.

    What reads records runs on this machine, where they are.

    Parameters
    ----------
    given : RunExecutor or None
        The caller's.
    jobs : int
        How many local processes at a time.

    Attributes
    ----------
    elsewhere : bool
        Whether runs go to other machines.
    slots : int
        How many can be in flight there, else here, as of the last call of `room`.
    """

    def __init__(self, given: RunExecutor | None, jobs: int) -> None:
        self.elsewhere = given is not None and given.remote
        self.slots = jobs
        self._given = given
        self._jobs = jobs
        self._own: LocalProcesses | None = None

    def is_remote(self, run: PlannedRun) -> bool:
        """Return whether the run executes on another machine."""
        return self.elsewhere and not run.after

    def room(self, in_flight: Iterable[PlannedRun]) -> dict[bool, int]:
        """Return how many more runs can be in flight elsewhere (True) and here (False)."""
        remote = list(map(self.is_remote, in_flight))
        slots = {where: max(1, self._at(where).slots()) for where in {self.elsewhere, False}}
        self.slots = slots[self.elsewhere]
        return {where: slots[where] - remote.count(where) for where in slots}

    def submit(self, run: PlannedRun, task: dict[str, Any]) -> Future:
        """Start a run; what its executor raises, the future raises."""
        try:
            return self._at(self.is_remote(run)).submit(execute, task)
        except Exception as error:
            future: Future = Future()
            future.set_exception(error)
            return future

    def shut_down(self, in_flight: Iterable[Future], stop: bool) -> None:
        """End the local processes; with `stop` what is in flight too, wherever it is."""
        if stop and self._given is not None:
            for future in in_flight:
                future.cancel()
        if self._own is not None:
            self._own.shutdown(wait=not stop, cancel_futures=True)

    def _at(self, remote: bool) -> RunExecutor:
        if self._given is not None and self._given.remote == remote:
            return self._given
        if self._own is None:
            self._own = LocalProcesses(self._jobs)
        return self._own
