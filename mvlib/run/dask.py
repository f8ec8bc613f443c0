"""Runs on the workers of a Dask scheduler, behind the runner's interface of executors."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, KilledWorker
from distributed import Future as DaskFuture
from distributed.client import FutureCancelledError

from mvlib._validation import check_number
from mvlib.engines.on_worker import RunsEndWithTasks, run_task
from mvlib.experiments import provenance
from mvlib.experiments.executor import EngineLost, RunLostError
from mvlib.experiments.outcomes import lost
from mvlib.experiments.plan import PlannedRun

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_KEEP = 1.0
_SECONDS_TO_ANSWER = 10
_CLOSED = ("tls", "wss", "inproc")


def is_open(address: str) -> bool:
    """Return whether a Dask address is reached over a network without TLS.

    Parameters
    ----------
    address : str
        Such as `tcp://10.0.0.5:8786`.

    Returns
    -------
    bool
        True for a machine's name other than `localhost`, which is not looked up.
    """
    parts = urlsplit(address)
    if parts.scheme in _CLOSED or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        # The name of a machine.
        return True


class DaskExecutor:
    """One run a worker slot, a slot being a thread of a worker.

    A run is repeated elsewhere when its worker dies, as often as the scheduler allows
    (`distributed.scheduler.allowed-failures`); then it fails.

    Parameters
    ----------
    client : distributed.Client
        Connected, not asynchronous. It stays the caller's to close.
    expected_slots : int, default=0
        Slots that there will be once all workers have come; as many runs are put in
        flight, for a cluster that grows with what waits.
    expects_gpus : bool, default=False
        Whether workers that declare `GPU` are still to come.

    Attributes
    ----------
    remote : bool
        True.
    dashboard_link : str
        The address of Dask's dashboard.
    open_address : str or None
        The scheduler's address, if it takes connections from elsewhere without TLS.
    """

    remote = True

    def __init__(
        self, client: Client, expected_slots: int = 0, expects_gpus: bool = False
    ) -> None:
        self.client = client
        self.expected_slots = check_number(
            "expected_slots", expected_slots, low=0, integer=True
        )
        self.expects_gpus = expects_gpus
        self.dashboard_link = client.dashboard_link
        self._address = client.scheduler.address
        self.open_address = self._address if is_open(self._address) else None
        self._lost = False
        # In flight, and whether it wants a card.
        self._flying: dict[Future, bool] = {}
        self._seen: dict[str, Any] = {}
        self._seen_at = float("-inf")
        client.register_plugin(RunsEndWithTasks())

    def slots(self) -> int:
        """Return the sum of the workers' threads, at least 1.

        Runs that wait for a card keep no other run from its slot: they count on top.
        """
        workers = self._workers()
        threads = sum(worker["nthreads"] for worker in workers.values())
        waiting = max(0, sum(list(self._flying.values())) - _cards(workers))
        return max(1, threads, self.expected_slots) + waiting

    def submit(
        self, function: Callable[[dict[str, Any]], dict[str, Any]], task: dict[str, Any]
    ) -> Future:
        """Run a task on a worker, the longest first.

        Parameters
        ----------
        function : callable
            What executes the task there, in a process of its own: of a module, not nested.
        task : dict
            As the runner makes it.

        Returns
        -------
        concurrent.futures.Future
            Of the outcome. `RunLostError` if its workers died too often, `EngineLost` if
            the scheduler is gone; cancelling it ends the run on its worker. A GPU that no
            worker has, or a card by its number, is what the run `cannot` have.

        Raises
        ------
        EngineLost
            If the scheduler is gone.

        Notes
        -----
        With `device="auto"`, notebooks that know the parameter go to workers that declare
        `GPU` where there are such, else they run on a processor. With "cuda" they want one
        in any case, with "cpu" never.
        """
        self._check_alive()
        workers = self._workers()
        try:
            gpu = self._wants_card(task, workers)
        except ValueError as error:
            future: Future = Future()
            future.set_result({**lost(PlannedRun(**task["run"]), ""), "cannot": str(error)})
            return future
        hosts: dict[str, int] = {}
        for worker in workers.values():
            hosts[worker["host"]] = hosts.get(worker["host"], 0) + worker["nthreads"]
        sent = {
            **task,
            "function": f"{function.__module__}:{function.__qualname__}",
            "gpu": gpu,
            "versions": provenance.versions(),
            "slots": hosts,
        }
        run = self.client.submit(
            run_task,
            sent,
            pure=False,
            priority=task["minutes"],
            resources={"GPU": 1} if gpu else None,
        )
        future = asyncio.run_coroutine_threadsafe(
            self._outcome(run), self.client.loop.asyncio_loop
        )
        self._flying[future] = gpu
        future.add_done_callback(self._flying.pop)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End what is in flight: wait for it, or stop it on its workers.

        The client, and the scheduler, stay.
        """
        flying = list(self._flying)
        if cancel_futures or not wait:
            for future in flying:
                future.cancel()
        if wait:
            concurrent.futures.wait(flying)

    async def _outcome(self, run: DaskFuture) -> dict[str, Any]:
        answer = asyncio.ensure_future(run.result())
        try:
            while not (await asyncio.wait({answer}, timeout=_SECONDS_BETWEEN_LOOKS))[0]:
                self._check_alive()
            return answer.result()
        except KilledWorker as error:
            times = error.allowed_failures + 1
            raise RunLostError(
                f"the workers that ran it died {times} times in turn: perhaps it wants more "
                f"memory than they have. The last was {error.last_worker.address}"
            ) from None
        except FutureCancelledError:
            self._lost = True
            raise self._loss() from None
        finally:
            answer.cancel()
            run.release()

    def _check_alive(self) -> None:
        self._lost = self._lost or self.client.status != "running"
        if self._lost:
            raise self._loss()

    def _loss(self) -> EngineLost:
        return EngineLost(
            f"the Dask scheduler at {self._address} is gone, and the runs in flight with it: "
            "start it again and repeat the command; what was recorded stays"
        )

    def _wants_card(self, task: dict[str, Any], workers: dict[str, Any]) -> bool:
        device = task["device"]
        if "device" not in task["parameters"] or device == "cpu":
            return False
        if device not in ("auto", "cuda"):
            raise ValueError(
                f"device={device!r} names a card of one machine: expected 'auto', 'cpu', or "
                "'cuda', for which each run gets a card of its worker"
            )
        there = self.expects_gpus or bool(_cards(workers))
        if device == "cuda" and workers and not there:
            raise ValueError(
                "device='cuda': no worker declares the resource GPU: expected one started "
                "with --resources \"GPU=1\", or device='auto'"
            )
        return there or device == "cuda"

    def _workers(self) -> dict[str, Any]:
        """Return the workers as the scheduler knows them, or as it last did."""
        if time.monotonic() - self._seen_at > _SECONDS_TO_KEEP and not self._lost:
            with contextlib.suppress(OSError, TimeoutError, AttributeError):
                self._seen = self.client.sync(
                    self.client.scheduler.identity,
                    n_workers=-1,
                    callback_timeout=_SECONDS_TO_ANSWER,
                )["workers"]
            self._seen_at = time.monotonic()
        return self._seen


def _cards(workers: dict[str, Any]) -> int:
    return sum(int(worker["resources"].get("GPU", 0)) for worker in workers.values())
