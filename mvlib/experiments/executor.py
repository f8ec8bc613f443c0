"""Where runs execute: the interface, and processes of this machine behind it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from mvlib.experiments.warm_workers import in_environment, worker_context

_SECONDS_TO_END = 5


class RunLostError(RuntimeError):
    """A run's process or machine is gone; the text, recorded as the reason, says how."""


class EngineLost(RuntimeError):
    """The engine behind an executor is gone: no fault of its runs, which are to be repeated."""


class RunExecutor(Protocol):
    """Where runs execute: what `run_all` asks of an engine.

    Attributes
    ----------
    remote : bool
        Whether runs execute on other machines, perhaps with their own copy of the project.
        Data are looked for there then, not here.
    """

    remote: bool

    def slots(self) -> int:
        """Return how many runs can be in flight now, at least 1; it may change."""

    def submit(
        self, function: Callable[[dict[str, Any]], dict[str, Any]], task: dict[str, Any]
    ) -> Future:
        """Start a run; what goes wrong here or in the future is the reason it failed.

        `task` is what `mvlib.experiments.worker.execute` takes and `name`, `minutes`
        (expected), `datasets`, `key`, `run` (the `PlannedRun` as a dict) and `device`. The
        outcome is what `execute` returns and optionally `threads`, `versions`,
        `executed_content` (the executed notebook, compressed by zlib, where it is not in the
        project yet) and `cannot` (why the data are not at hand there).
        """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End, as in `concurrent.futures`; without `wait`, stop what still runs."""


class LocalProcesses:
    """A fresh process for each run, at most `jobs` of them at a time.

    A process that is killed, as for want of memory, takes no other run along; its run is
    tried once more.

    Parameters
    ----------
    jobs : int
        How many runs at a time.
    """

    remote = False

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="run")
        self._lock = threading.Lock()
        self._processes: set[BaseProcess] = set()
        self._ending = False

    def slots(self) -> int:
        """Return `jobs`."""
        return self._jobs

    def submit(
        self, function: Callable[[dict[str, Any]], dict[str, Any]], task: dict[str, Any]
    ) -> Future:
        """Call `function`, which can be pickled, with `task` in a process of its own."""
        return self._threads.submit(self._try, function, task)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; without `wait`, stop what still runs instead of waiting for it."""
        if not wait:
            with self._lock:
                self._ending = True
                processes = list(self._processes)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(_SECONDS_TO_END)
                if process.is_alive():
                    process.kill()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _try(self, function: Callable[..., Any], task: dict[str, Any]) -> Any:
        try:
            return self._call(function, task)
        except RunLostError:
            if self._ending:
                raise
        try:
            return self._call(function, task)
        except RunLostError as error:
            raise RunLostError(f"{error}; it was the second try") from None

    def _call(self, function: Callable[..., Any], task: dict[str, Any]) -> Any:
        with _interrupts_held_back():
            context = worker_context()
        receiver, sender = context.Pipe(duplex=False)
        answer = (dict(os.environ), _answer, sender, function, task)
        process = context.Process(target=in_environment, args=answer)
        with self._lock:
            if self._ending:
                raise RunLostError("stopped")
            with sender, _interrupts_held_back():
                process.start()
            self._processes.add(process)
        try:
            with receiver:
                good, value = receiver.recv()
        except (EOFError, OSError):
            process.join()
            raise RunLostError(f"its process {_how_it_ended(process.exitcode)}") from None
        finally:
            process.join()
            with self._lock:
                self._processes.discard(process)
        if good:
            return value
        raise value


def _answer(sender: Connection, function: Callable[..., Any], task: dict[str, Any]) -> None:
    """Be the process: send what `function` returns or raises."""
    if hasattr(signal, "pthread_sigmask"):
        # A terminal's Ctrl-C is for the runner; one that is pending already goes nowhere.
        with contextlib.suppress(PermissionError):
            os.setsid()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, handler)
    try:
        answer = (True, function(task))
    except Exception as error:
        answer = (False, error)
    try:
        sender.send(answer)
    except OSError:
        # The runner was killed: nobody waits for an answer.
        return
    except Exception as error:
        # Some exceptions cannot be pickled; their text can.
        sender.send((False, RuntimeError(f"{answer[1]!r} cannot be sent: {error}")))


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let a process that starts here not be stopped by a Ctrl-C before it can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It starts with the first process otherwise, and lets signals through after that.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        killed = f"was killed ({signal.Signals(-code).name})"
        return f"{killed}, perhaps for want of memory" if -code == signal.SIGKILL else killed
    return f"ended without an answer (exit status {code})"
