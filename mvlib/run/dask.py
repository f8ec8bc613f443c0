"""Runs on the workers of a Dask scheduler: the engine for more than one machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, KilledWorker, Reschedule, Security, Worker, get_worker
from distributed import Future as DaskFuture
from distributed.client import FutureCancelledError
from distributed.core import Status, rpc

from mvlib.check import check_number
from mvlib.files import project_root
from mvlib.records import provenance
from mvlib.records.keys import run_key
from mvlib.records.plan import PlannedRun
from mvlib.records.store import locked
from mvlib.run.process import EngineLost, RunLostError, execute
from mvlib.run.saving import lost

CORES = "MVLIB_CORES"
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:\d{1,5}")
_CLOSED = ("tls", "wss", "inproc")
_SECONDS_TO_ANSWER = 10
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_KEEP = 1.0
# As filelock has it.
_NO_END = -1
_WANTED = ("executing", "long-running")
# Of an executed notebook, unpacked.
_MOST_BYTES = 1 << 28
_ANSWER = {
    "status": str, "error": str | None, "payload": dict | None, "executed": str,
    "executed_content": bytes | None, "sources": dict, "started": str,
    "wall_seconds": int | float, "cpu_seconds": int | float, "peak_memory_bytes": int,
    "threads": int, "versions": dict, "cannot": str | None,
}  # fmt: skip
_LOCK = threading.Lock()
_CARDS: dict[str, dict[str, int]] = {}


@contextlib.contextmanager
def connect(address: str) -> Iterator[DaskEngine]:
    """Reach a scheduler that runs; keys and certificates are those of Dask's configuration."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"scheduler={address!r} is no address: expected tcp://HOST:PORT or tls://HOST:PORT"
        )
    with contextlib.ExitStack() as stack:
        # What Dask's own log says of the runs is in their records.
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable()
        _check_answers(address)
        client = Client(address, timeout=_SECONDS_TO_ANSWER, set_as_default=False)
        yield DaskEngine(stack.enter_context(client))


class DaskEngine:
    """One run a worker slot, a slot being a thread of a worker."""

    remote = True

    def __init__(
        self, client: Client, function: Callable[..., dict[str, Any]] = execute
    ) -> None:
        self.client = client
        self.dashboard_link = client.dashboard_link
        self._function = function
        self._address = client.scheduler.address
        # Only where it takes connections from elsewhere without TLS.
        self.open_address = self._address if is_open(self._address) else None
        self._lost = False
        # In flight, and whether it wants a card.
        self._flying: dict[Future, bool] = {}
        self._seen: dict[str, Any] = {}
        self._seen_at = float("-inf")

    def slots(self) -> int:
        """Return the sum of the workers' threads, at least 1."""
        workers = self._workers()
        threads = sum(worker["nthreads"] for worker in workers.values())
        waiting = max(0, sum(list(self._flying.values())) - _cards_of(workers))
        return max(1, threads) + waiting

    def submit(self, task: dict[str, Any]) -> Future:
        """Run a task on a worker, the longest first; cancelling the future ends it there."""
        self._check_alive()
        workers = self._workers()
        try:
            gpu = self._wants_card(task, workers)
        except ValueError as error:
            future: Future = Future()
            future.set_result({**lost(PlannedRun(**task["run"]), ""), "cannot": str(error)})
            return future
        hosts: Counter[str] = Counter()
        for worker in workers.values():
            hosts[worker["host"]] += worker["nthreads"]
        sent = {
            **task,
            "stamps": None,
            "gpu": gpu,
            "versions": provenance.versions(),
            "all_sources": provenance.checksums(provenance.stamps()),
            "slots": dict(hosts),
        }
        function = f"{self._function.__module__}:{self._function.__qualname__}"
        run = self.client.submit(
            _runs_there(),
            function,
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

    async def _outcome(self, run: DaskFuture) -> dict[str, Any]:
        answer = asyncio.ensure_future(run.result())
        try:
            while not (await asyncio.wait({answer}, timeout=_SECONDS_BETWEEN_LOOKS))[0]:
                self._check_alive()
            return checked_answer(answer.result())
        except KilledWorker as error:
            times = error.allowed_failures + 1
            raise RunLostError(
                f"the workers that ran it died {times} times in turn: perhaps it wants more "
                f"memory than they have. The last was {error.last_worker.address}"
            ) from None
        except FutureCancelledError:
            self._lost = True
            self._check_alive()
        finally:
            answer.cancel()
            run.release()

    def _check_alive(self) -> None:
        self._lost = self._lost or self.client.status != "running"
        if self._lost:
            raise EngineLost(
                f"the Dask scheduler at {self._address} is gone, and the runs in flight with "
                "it: start it again and repeat the command; what was recorded stays"
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
        there = bool(_cards_of(workers))
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


def is_open(address: str) -> bool:
    """Return whether a Dask address is reached over a network without TLS."""
    parts = urlsplit(address)
    if parts.scheme in _CLOSED or parts.hostname == "localhost":
        return False
    with contextlib.suppress(ValueError):
        return not ip_address(parts.hostname or "").is_loopback
    # The name of a machine.
    return True


def checked_answer(answer: Any) -> dict[str, Any]:
    """Return what a worker says of a run: only what an outcome has, its notebook unpacked."""
    if not isinstance(answer, dict):
        raise RunLostError(f"its worker answered a {type(answer).__name__}, not an outcome")
    outcome = {name: answer[name] for name in _ANSWER if name in answer}
    needed = lost(PlannedRun("", "", "", "", "quick"), "")
    for name in dict.fromkeys([*needed, *outcome]):
        if not isinstance(outcome.get(name), _ANSWER[name]):
            kind = type(outcome.get(name)).__name__
            raise RunLostError(f"its worker's answer has a {kind} as {name}")
    if (packed := outcome.get("executed_content")) is not None:
        unpacking = zlib.decompressobj()
        try:
            outcome["executed_content"] = unpacking.decompress(packed, _MOST_BYTES)
        except zlib.error as error:
            raise RunLostError(f"the executed notebook came back damaged: {error}") from None
        if not unpacking.eof:
            raise RunLostError(
                f"the executed notebook came back cut, or above {_MOST_BYTES:,} bytes"
            )
    return outcome


def _runs_there() -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Return what workers are sent: it travels by value, so that one without mvlib says so."""

    def run_there(function: str, task: dict[str, Any]) -> dict[str, Any]:
        from importlib import import_module

        return import_module("mvlib.run.dask").run_task(function, task)

    return run_there


def run_task(function: str, task: dict[str, Any]) -> dict[str, Any]:
    """Have a function, named as "module:name", run a task on a worker."""
    worker = get_worker()
    key, named = worker.get_current_task(), f"worker {worker.name} ({worker.address})"

    def wanted() -> bool:
        state = worker.state.tasks.get(key)
        alive = worker.status in (Status.running, Status.paused, Status.closing_gracefully)
        return alive and state is not None and state.state in _WANTED

    # From before they are looked at: what is changed from here on is seen.
    stamps = provenance.stamps()
    run, root, versions = PlannedRun(**task["run"]), project_root(), provenance.versions()
    if reason := _why_cannot(run.datasets):
        return {**lost(run, reason), "cannot": f"{named}: {reason}"}
    if reason := _why_other(run, task, root, versions):
        return {**lost(run, f"{named} {reason}"), "versions": versions}
    own, host = worker.state.nthreads, worker.address.rpartition("://")[2].rpartition(":")[0]
    threads = share_of_cores(own, task["slots"].get(host, own))
    with taking(_cards(worker) if task["gpu"] else {"": 0}) as card:
        environment = {"CUDA_VISIBLE_DEVICES": card}
        sent = {**task, "root": str(root), "stamps": stamps, "threads": threads}
        try:
            module, _, name = function.partition(":")
            run_here = getattr(import_module(module), name)
            outcome = run_here({**sent, "worker": named, "environment": environment}, wanted)
        except RunLostError as error:
            if not wanted():
                # Nobody waits for it, or else somebody wants it anew.
                raise Reschedule from None
            outcome = lost(run, f"{named}: {error}")
    if (content := outcome.get("executed_content")) is not None:
        outcome["executed_content"] = zlib.compress(content)
    return {**outcome, "threads": threads, "versions": versions}


def share_of_cores(own_slots: int, slots_on_host: int) -> int:
    """Return how many threads a run gets."""
    cores = provenance.available_cores()
    if text := os.environ.get(CORES):
        given = check_number(CORES, int(text) if text.isdigit() else text, low=1, integer=True)
        return max(1, min(given, cores) // own_slots)
    return max(1, cores // max(slots_on_host, own_slots))


def cards_of_worker(count: int, environment: Mapping[str, str]) -> dict[str, int]:
    """Return the GPUs of a worker that declares so many, each with how many runs use it."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(card) for card in range(count)] if visible is None else visible.split(",")
    cards = {name.strip(): 0 for name in names if name.strip()}
    if not cards:
        raise ValueError(
            f"CUDA_VISIBLE_DEVICES={visible!r} leaves no card, and the worker declares "
            f"GPU={count}: expected the cards that it may use, or no such resource"
        )
    return cards


@contextlib.contextmanager
def taking(cards: dict[str, int]) -> Iterator[str]:
    """Give the card that the fewest runs use; it is given back in the end."""
    with _LOCK:
        card = min(cards, key=cards.__getitem__)
        cards[card] += 1
    try:
        yield card
    finally:
        with _LOCK:
            cards[card] -= 1


def _cards(worker: Worker) -> dict[str, int]:
    with _LOCK:
        if worker.id not in _CARDS:
            count = int(worker.state.total_resources["GPU"])
            _CARDS[worker.id] = cards_of_worker(count, os.environ)
        return _CARDS[worker.id]


def _why_cannot(datasets: tuple[str, ...]) -> str | None:
    """Get the data, once a machine; return why they cannot be had, or None."""
    from mvlib import data

    for name in datasets:
        try:
            if not data.is_at_hand(name):
                with locked(data.data_folder() / f".{name}.lock", _NO_END):
                    data.fetch(name)
        except (OSError, ValueError) as error:
            return f"data not at hand: {error}"
    return None


def _why_other(
    run: PlannedRun, task: dict[str, Any], root: Path, versions: dict[str, str]
) -> str | None:
    """Return how this machine's project differs from the runner's, or None."""
    # A patch release of Python is no other Python.
    others = [
        f"{name} {versions.get(name)} in place of {task['versions'].get(name)}"
        for name in ("python", *provenance.PACKAGES)
        if _minor(name, versions) != _minor(name, task["versions"])
    ]
    if others:
        return f"has other versions than the runner: {', '.join(others)}"
    told = "has other sources than the runner: {}; bring its checkout to the runner's commit"
    theirs, mine = task["all_sources"], provenance.checksums(provenance.stamps())
    for name in {**theirs, **mine}:
        if theirs.get(name) != mine.get(name):
            return told.format(f"mvlib/{name}")
    try:
        same = run_key(run, root) == task["key"]
    except ValueError as error:
        return f"has other sources than the runner: {error}"
    return None if same else told.format(f"{run.notebook}, or the data's checksums")


def _minor(name: str, versions: dict[str, str]) -> str | None:
    version = versions.get(name)
    return ".".join(version.split(".")[:2]) if version and name == "python" else version


def _cards_of(workers: dict[str, Any]) -> int:
    return sum(int(worker["resources"].get("GPU", 0)) for worker in workers.values())


def _check_answers(address: str) -> None:
    """Check that a scheduler answers, before a client that retries by itself is made."""

    async def look() -> None:
        given = Security().get_connection_args("client")
        async with rpc(address, timeout=_SECONDS_TO_ANSWER, connection_args=given) as there:
            if (await there.identity(n_workers=0))["type"] != "Scheduler":
                raise ConnectionError("it is no scheduler")

    try:
        asyncio.run(asyncio.wait_for(look(), _SECONDS_TO_ANSWER))
    except Exception as error:
        # Whatever another service says, or does not say.
        raise ConnectionError(
            f"scheduler={address!r}: no Dask scheduler answers there (waited "
            f"{_SECONDS_TO_ANSWER} seconds at most): expected one, with the same protocol (tcp "
            "or tls) and keys that fit, from Dask's own configuration"
        ) from error
