"""Running what is planned and not yet recorded, each run in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from filelock import Timeout
from tqdm import tqdm

from mvlib.check import check_number
from mvlib.files import project_root
from mvlib.records import provenance
from mvlib.records.keys import code_cells, code_digest
from mvlib.records.plan import PlannedRun
from mvlib.records.store import locked, records_path
from mvlib.run.process import Engine, EngineLost, LocalEngine, RunLostError
from mvlib.run.saving import (
    check_folders,
    failed_path,
    lost,
    nothing_can_be_saved,
    plain_error,
    save_outcome,
)
from mvlib.run.state import (
    CANNOT,
    RECORDED,
    TO_RUN,
    Outcome,
    Standing,
    Summary,
    check_parameters,
    git_state,
)

_DEFAULT_JOBS = 4
_MOST_JOBS = 10_000
_SECONDS_BETWEEN_LOOKS = 1.0
_LOCKS = ".running"


def run_all(
    runs: Sequence[PlannedRun],
    jobs: int | None = None,
    device: str = "auto",
    root: Path | None = None,
    rerun_earlier: bool = False,
    again: bool = False,
    limit_minutes: float | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Run what has no record yet, and record each run as soon as it ends."""
    if jobs is None:
        jobs = min(provenance.available_cores(), _DEFAULT_JOBS)
    check_number("jobs", jobs, low=1, high=_MOST_JOBS, integer=True)
    if limit_minutes is not None:
        check_number("limit_minutes", limit_minutes, low=0, open_low=True)
    root = (root or project_root()).resolve()
    batch = _Batch(jobs, device, root, Standing(root, rerun_earlier, again), engine)
    batch.settle_recorded(runs)
    if batch.waiting:
        known = check_parameters(batch.waiting, root)
        check_folders(batch.waiting, root)
        batch.work(known, limit_minutes)
    word = "interrupted" if batch.interrupted else "not started"
    ended = [
        batch.outcomes.get(run.cell, Outcome(run, word, reason=batch.halted)) for run in runs
    ]
    return Summary(ended, batch.interrupted)


def say(text: str) -> None:
    """Print a line beside the bar, if anybody listens: nothing in flight is lost for that."""
    try:
        tqdm.write(text)
        sys.stdout.flush()
    except (OSError, ValueError):
        # As `mvlib run | head` leaves it. What is printed later goes nowhere, too.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Batch:
    """Starts runs while there is room, and records each as soon as it ends."""

    def __init__(
        self, jobs: int, device: str, root: Path, standing: Standing, given: Engine | None
    ) -> None:
        self.device, self.root, self.standing = device, root, standing
        self.threads = max(1, provenance.available_cores() // jobs)
        self.given, self.elsewhere = given, given is not None and given.remote
        self.here: Engine = LocalEngine(jobs) if given is None or given.remote else given
        self.locks = Locks(root)
        self.waiting: list[PlannedRun] = []
        # What is in flight, with its key.
        self.flying: dict[Future, tuple[PlannedRun, str]] = {}
        self.outcomes: dict[str, Outcome] = {}
        # What another runner has, of what could start.
        self.locked: set[str] = set()
        self.told_of_another = self.interrupted = False
        self.halted: str | None = None

    def settle_recorded(self, runs: Sequence[PlannedRun]) -> None:
        """Settle the runs that need not start; the others wait."""
        states = [self.standing.at_start(run, self._is_remote(run)) for run in runs]
        some = any(state.word == TO_RUN for state in states)
        for run, state in zip(runs, states, strict=True):
            # What reads records may have to run again once others have run.
            if state.word == TO_RUN or (some and run.after and state.word == RECORDED):
                self.waiting.append(run)
            else:
                self.outcomes[run.cell] = state

    def work(self, known: dict[str, set[str]], limit_minutes: float | None) -> None:
        """Run what waits; `known` are each notebook's parameters."""
        self.known, self.limit_minutes = known, limit_minutes
        self.git = git_state(self.root)
        with ExitStack() as stack:
            bar = tqdm(total=len(self.waiting), unit="run", disable=None)
            self.bar = stack.enter_context(bar)
            stack.callback(self.locks.drop)
            stack.callback(self._shut_down)
            self.interrupt = stack.enter_context(finishing_first(lambda: len(self.flying)))
            try:
                self._fetch()
                self._loop()
            except KeyboardInterrupt:
                self.interrupt.asked = True
                for future in [future for future in self.flying if future.done()]:
                    self._collect(future)
        self.interrupted = self.interrupt.asked

    def _loop(self) -> None:
        while self.waiting or self.flying:
            going_on = self.halted is None and not self.interrupt.asked
            settled = going_on and self._start()
            if self.locked and not self.told_of_another:
                self.told_of_another = True
                say(f"another runner has {_runs(len(self.locked))} of these; theirs will count")
            if self.flying:
                # Another runner's locks end, and machines come and go, without a word.
                look_again = self.waiting and (self.locked or self.elsewhere)
                timeout = _SECONDS_BETWEEN_LOOKS if look_again else None
                done, _ = wait(self.flying, timeout=timeout, return_when=FIRST_COMPLETED)
                for future in done:
                    self._collect(future)
            elif going_on and self.locked:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            elif not settled:
                return

    def _shut_down(self) -> None:
        stop = bool(self.flying) or self.interrupt.asked
        if stop and self.elsewhere:
            for future in self.flying:
                future.cancel()
        if self.here is not self.given:
            self.here.shutdown(stop)

    def _is_remote(self, run: PlannedRun) -> bool:
        return self.elsewhere and not run.after

    def _fetch(self) -> None:
        """Fetch the data of what runs here, each set once."""
        from mvlib import data

        here = [run for run in self.waiting if not self._is_remote(run)]
        for name in dict.fromkeys(name for run in here for name in run.datasets):
            wanting = [run for run in here if name in run.datasets and run in self.waiting]
            try:
                if wanting:
                    data.fetch(name)
            except (OSError, ValueError) as error:
                word = CANNOT if isinstance(error, FileNotFoundError) else "failed"
                for run in wanting:
                    self._end(Outcome(run, word, reason=str(error)))

    def _start(self) -> bool:
        """Put runs in flight while there is room; return whether one needed no start."""
        settled = False
        flying = [self._is_remote(run) for run, _ in self.flying.values()]
        room = {False: max(1, self.here.slots()) - flying.count(False)}
        if self.elsewhere:
            room[True] = max(1, self.given.slots()) - flying.count(True)
        self.locked.clear()
        for run in sorted(self.waiting, key=lambda run: -run.minutes):
            if self.interrupt.asked:
                break
            remote = self._is_remote(run)
            if room[remote] <= 0 or self._comes_later(run):
                continue
            # From before its key is known: what is changed from here on is seen.
            stamps = provenance.stamps()
            try:
                if not self.locks.take(run):
                    self.locked.add(run.cell)
                    continue
                # Only now: another runner may have recorded it, or what it reads.
                state = self.standing.now(run, remote)
                task = self._task(run, state.key, stamps) if state.word == TO_RUN else None
            except (OSError, ValueError) as error:
                self._end(Outcome(run, "failed", reason=str(error)))
                settled = True
                continue
            if task is not None:
                self._submit(run, state.key, task)
                room[remote] -= 1
                continue
            self._end(state, told=False)
            settled = True
        return settled

    def _comes_later(self, run: PlannedRun) -> bool:
        """Return whether what the run reads is still to come."""
        others = [*self.waiting, *(flying for flying, _ in self.flying.values())]
        return any(run.reads(other.paper, other.experiment) for other in others)

    def _task(
        self, run: PlannedRun, key: str, stamps: dict[str, provenance.Stamp | None]
    ) -> dict[str, Any]:
        """Return what `Engine.submit` takes: plain values, no paths but text."""
        parameters = dict(run.parameters)
        if "device" in self.known[run.notebook]:
            parameters["device"] = self.device
        return {
            **asdict(run),
            "root": str(self.root),
            "name": run.name,
            "executed": run.executed,
            "failed": failed_path(run),
            "parameters": parameters,
            "key": key,
            "code": code_digest(*code_cells(self.root / run.notebook)),
            "stamps": stamps,
            "run": asdict(run),
            "device": self.device,
            "threads": self.threads,
            "limit_seconds": 60 * (self.limit_minutes or run.limit_minutes),
        }

    def _submit(self, run: PlannedRun, key: str, task: dict[str, Any]) -> None:
        self.waiting.remove(run)
        try:
            engine = self.given if self._is_remote(run) else self.here
            future = engine.submit(task)
        except Exception as error:
            future = Future()
            future.set_exception(error)
        self.flying[future] = (run, key)
        self.bar.set_description(", ".join(run.experiment for run, _ in self.flying.values()))

    def _collect(self, future: Future) -> None:
        """Record a run that ended."""
        run, key = self.flying[future]
        try:
            outcome = future.result()
        except EngineLost as error:
            self.halted = str(error)
            del self.flying[future]
            self._end(Outcome(run, "interrupted", reason=self.halted))
            return
        except Exception as error:
            self._halt_if_full(error)
            outcome = lost(run, plain_error(_reason(error), self.root))
        word, seconds, reason = CANNOT, None, outcome.get("cannot")
        if reason is None:
            about = (self.device, self.threads, self.git, self.root)
            try:
                record = save_outcome(run, key, outcome, *about)
            except (OSError, ValueError) as error:
                self._halt_if_full(error)
                word, reason = "failed", f"could not be recorded: {error}"
            else:
                word = "ran" if record["status"] == "ok" else "failed"
                seconds, reason = record["wall_seconds"], record["error"]
        del self.flying[future]
        self._end(Outcome(run, word, seconds, reason))

    def _halt_if_full(self, error: Exception) -> None:
        if nothing_can_be_saved(error):
            self.halted = f"nothing more could be saved: {error}"

    def _end(self, outcome: Outcome, told: bool = True) -> None:
        run, took = outcome.run, ""
        if run in self.waiting:
            self.waiting.remove(run)
        self.locks.drop(run.cell)
        self.outcomes[run.cell] = outcome
        self.bar.update()
        if outcome.seconds is not None:
            took = f"  {outcome.seconds:.1f} s"
        if told:
            say(f"{outcome.word:6} {run.name}{took}")


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _reason(error: Exception) -> str:
    if nothing_can_be_saved(error):
        return f"could not be recorded: {error}"
    return str(error) if isinstance(error, RunLostError) else f"{type(error).__name__}: {error}"


class Locks:
    """The runs that this runner, of all checkouts, does; the system unlocks what is killed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[str, ExitStack] = {}

    def take(self, run: PlannedRun) -> bool:
        """Lock a run; return False, at once, if another runner has it."""
        folder = records_path(run.paper, run.profile, self._root).parent / _LOCKS
        lock = ExitStack()
        try:
            lock.enter_context(locked(folder / f"{run.cell}.lock", 0))
        except Timeout:
            return False
        self._held[run.cell] = lock
        return True

    def drop(self, *cells: str) -> None:
        """Give runs back, all if none is named: they are recorded, or were not started."""
        for cell in cells or list(self._held):
            self._held.pop(cell, ExitStack()).close()


@contextmanager
def finishing_first(in_flight: Callable[[], int]) -> Iterator[SimpleNamespace]:
    """Let the first Ctrl-C only be noted, as `asked`, while something is in flight."""
    interrupt = SimpleNamespace(asked=False)

    def handle(number: int, frame: object) -> None:
        count = in_flight()
        if interrupt.asked or not count:
            raise KeyboardInterrupt
        interrupt.asked = True
        start = "\n" if sys.stderr.isatty() else ""
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"{start}finishing {_runs(count)}; Ctrl-C again stops them\n".encode())

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(
        signal.SIGINT
    ) in (signal.SIG_IGN, None):
        yield interrupt
        return
    former = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, former)
