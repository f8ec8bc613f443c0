"""Where runs execute: local processes, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

_SECONDS_TO_END = 5


class LocalProcesses(ProcessPoolExecutor):
    """A fresh process for each run, at most `jobs` of them at a time.

    Any object with `submit` and `shutdown` as in `concurrent.futures.Executor` can stand in
    its place, such as the executor of a distributed engine.

    Parameters
    ----------
    jobs : int
        How many runs at a time.
    """

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(jobs, mp_context=context, max_tasks_per_child=1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; without `wait`, stop what still runs instead of waiting for it."""
        if not wait:
            workers = list((self._processes or {}).values())
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join(_SECONDS_TO_END)
                if worker.is_alive():
                    worker.kill()
            return
        super().shutdown(wait=True, cancel_futures=cancel_futures)
