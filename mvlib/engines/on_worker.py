"""What happens on a Dask worker: one run, in a process of its own that ends with its task."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Reschedule, Worker, WorkerPlugin, get_worker

from mvlib.engines.run_process import EXECUTED, OUTCOME
from mvlib.engines.shares import Cards, share_of_cores
from mvlib.experiments.outcomes import lost
from mvlib.experiments.own_sources import python_path
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.warm_kernels import VARIABLE

_COMMAND = [sys.executable, "-P", "-m", "mvlib.engines.run_process"]
_SECONDS_TO_END = 6
_ENDS_BY_ITSELF = ("memory", "error", "rescheduled", "long-running")
_LIVE: dict[str, _Live] = {}
_LOCK = threading.Lock()
_CARDS: dict[str, Cards] = {}


class RunsEndWithTasks(WorkerPlugin):
    """Ends a run's process when its task is cancelled, or the worker closes."""

    name = "mvlib-runs-end-with-tasks"
    # A second runner on the same scheduler must not take the first one's down with it.
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """Note whose runs these are."""
        self.worker = worker.id

    def transition(self, key: str, start: str, finish: str, **_: Any) -> None:
        """End a run whose task is wanted no more."""
        if start in ("executing", "long-running") and finish not in _ENDS_BY_ITSELF:
            _end(live for live in _lives() if live.key == key)

    def teardown(self, worker: Worker) -> None:
        """End the runs of a worker that closes."""
        _end(live for live in _lives() if live.worker == worker.id)


def dask_setup(_: Worker) -> None:
    """Let a local worker, which loads this module, outlive a Ctrl-C in the terminal.

    That is for the runner, which then lets the runs end, or stops them.
    """
    with contextlib.suppress(AttributeError, PermissionError):
        os.setsid()


class _Live:
    """A run that is under way here, from before its process starts."""

    def __init__(self, key: str, worker: str) -> None:
        self.key, self.worker = key, worker
        self.ended = threading.Event()
        self.child: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """Let the process end; it does so by itself once its standard input has."""
        self.ended.set()
        if (child := self.child) is not None and child.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                child.stdin.close()
            timer = threading.Timer(_SECONDS_TO_END, _kill_all, [child])
            timer.daemon = True
            timer.start()


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task in a process of its own; this is what workers are sent.

    Parameters
    ----------
    task : dict
        As the runner makes it, with `function` ("module:name", what executes it), `gpu`
        (whether it wants a card), `versions` (the runner's) and `slots` (by host, the runs
        at a time of its workers).

    Returns
    -------
    dict
        As the function returns it, with `threads`, `versions` and, where there is an
        executed notebook, `executed_content`, its bytes compressed with zlib.
    """
    worker = get_worker()
    live = _Live(worker.get_current_task(), worker.id)
    with _LOCK:
        _LIVE[live.key] = live
    try:
        with _card(worker, task["gpu"]) as card, _folder() as folder:
            return _run(live, worker, task, card, folder)
    finally:
        with _LOCK:
            del _LIVE[live.key]


def _run(
    live: _Live, worker: Worker, task: dict[str, Any], card: str, folder: Path
) -> dict[str, Any]:
    own = worker.state.nthreads
    host = worker.address.rpartition("://")[2].rpartition(":")[0]
    threads = share_of_cores(own, task["slots"].get(host, own))
    named = f"worker {worker.name} ({worker.address})"
    sent = {**task, "outgoing": str(folder), "worker": named, "threads": threads}
    with open(folder / "stderr", "wb") as errors:
        child = subprocess.Popen(
            _COMMAND,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(card),
            start_new_session=True,
        )
    live.child = child
    with contextlib.suppress(OSError, ValueError):
        child.stdin.write(json.dumps(sent).encode() + b"\n")
    if live.ended.is_set():
        # It was cancelled while the process started.
        live.end()
    child.wait()
    child.stdin.close()
    if live.ended.is_set():
        # Nobody waits for it, or else somebody wants it anew.
        raise Reschedule
    try:
        outcome = json.loads((folder / OUTCOME).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return lost(PlannedRun(**task["run"]), _why_ended(child.returncode, named, folder))
    if (notebook := folder / EXECUTED).is_file():
        outcome["executed_content"] = zlib.compress(notebook.read_bytes())
    return outcome


def _why_ended(code: int, worker: str, folder: Path) -> str:
    if code == -signal.SIGKILL:
        return f"its process on {worker} was killed, perhaps for want of memory"
    told = (folder / "stderr").read_text(encoding="utf-8", errors="replace").strip()
    reason = told.splitlines()[-1] if told else "without a word"
    return f"its process on {worker} ended with status {code}: {reason}"


def _environment(card: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return kept | {"PYTHONPATH": python_path(), "CUDA_VISIBLE_DEVICES": card}


@contextlib.contextmanager
def _card(worker: Worker, wanted: bool) -> Iterator[str]:
    """Yield the card of a run, or "" for one that wants none."""
    if not wanted:
        yield ""
        return
    with _LOCK:
        if worker.id not in _CARDS:
            count = int(worker.state.total_resources["GPU"])
            _CARDS[worker.id] = Cards(count, os.environ)
        cards = _CARDS[worker.id]
    card = cards.take()
    try:
        yield card
    finally:
        cards.give(card)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mvlib-run-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lives() -> list[_Live]:
    with _LOCK:
        return list(_LIVE.values())


def _end(lives: Iterator[_Live]) -> None:
    for live in lives:
        live.end()


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(child.pid)
        for each in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
