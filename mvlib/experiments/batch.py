"""The runs of one call of `run_all`: what waits, what is in flight, what has ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from mvlib.experiments import provenance
from mvlib.experiments.executed import plain_error, refresh_prose
from mvlib.experiments.executor import LocalProcesses, RunExecutor, RunLostError
from mvlib.experiments.outcomes import Outcome, lost
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.records import load_records
from mvlib.experiments.saving import nothing_can_be_saved, save_outcome
from mvlib.experiments.state import RECORDED, TO_RUN, State, git_state, state_of
from mvlib.experiments.tasks import fetching_problem, make_task
from mvlib.experiments.worker import execute

_SECONDS_BETWEEN_LOOKS = 1.0


class Batch:
    """Starts runs while there is room, and records each as soon as it ends.

    The parameters are those of `run_all`. `known` are each notebook's parameters; it is to be
    set before `work`.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        jobs: int,
        device: str,
        root: Path,
        rerun_earlier: bool,
        again: bool,
        limit_minutes: float | None,
        executor: RunExecutor | None,
    ) -> None:
        self.runs = runs
        self.jobs = jobs
        self.device = device
        self.root = root
        self.rerun_earlier = rerun_earlier
        self.again = again
        self.limit_minutes = limit_minutes
        self.threads = max(1, provenance.available_cores() // jobs)
        self.given = executor
        self.elsewhere = executor is not None and executor.remote
        self.own: LocalProcesses | None = None
        self.waiting: list[PlannedRun] = []
        self.flying: dict[Future, tuple[PlannedRun, str]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.known: dict[str, set[str]] = {}
        self.interrupted = False
        self.unsaved: str | None = None

    def settle_recorded(self) -> None:
        """Settle the runs that need not start; the others wait."""
        records = load_records(root=self.root)
        states = [self._state(run, records) for run in self.runs]
        some = any(state.word == TO_RUN for state in states)
        for run, state in zip(self.runs, states, strict=True):
            # What reads records may have to run again once others have run.
            if state.word == TO_RUN or (some and run.after and state.word == RECORDED):
                self.waiting.append(run)
            else:
                self._settle(run, state)

    def work(self) -> None:
        """Run what waits."""
        self.git = git_state(self.root)
        with ExitStack() as stack:
            if self.given is None:
                self._warm(stack)
            self.bar = stack.enter_context(
                tqdm(total=len(self.waiting), unit="run", disable=None)
            )
            stack.callback(self._shut_down)
            try:
                self._fetch()
                while (self._start() or self.flying) and self.unsaved is None:
                    self._wait()
                while self.flying:
                    self._wait()
            except KeyboardInterrupt:
                self._interrupt()
        for run in self.waiting:
            self.outcomes.setdefault(run.cell, Outcome(run, "not started", None, self.unsaved))

    def _warm(self, stack: ExitStack) -> None:
        from mvlib.experiments.warm_kernels import warm_kernels

        notebooks = [self.root / run.notebook for run in self.waiting]
        stack.enter_context(warm_kernels(notebooks, self.threads))

    def _shut_down(self) -> None:
        if self.own is not None:
            self.own.shutdown(wait=not self.flying, cancel_futures=True)

    def _is_remote(self, run: PlannedRun) -> bool:
        return self.elsewhere and not run.after

    def _executor(self, run: PlannedRun) -> RunExecutor:
        if self.given is not None and (self._is_remote(run) or not self.elsewhere):
            return self.given
        if self.own is None:
            self.own = LocalProcesses(self.jobs)
        return self.own

    def _has_room(self, run: PlannedRun) -> bool:
        beside = sum(
            self._is_remote(run) == self._is_remote(o) for o, _ in self.flying.values()
        )
        return beside < self._executor(run).slots()

    def _state(self, run: PlannedRun, records: list) -> State:
        return state_of(
            run, records, self.root, self.rerun_earlier, self.again, self._is_remote(run)
        )

    def _settle(self, run: PlannedRun, state: State) -> None:
        if state.word == RECORDED and run.profile == "quick":
            # A project that is read-only keeps its old prose.
            with contextlib.suppress(OSError):
                refresh_prose(run, self.root)
        self.outcomes[run.cell] = Outcome(run, state.word, reason=state.reason)

    def _fetch(self) -> None:
        """Fetch data before the runs that read them here start, and once."""
        problems: dict[str, tuple[str, str] | None] = {}
        for run in list(self.waiting):
            for name in () if self._is_remote(run) else run.datasets:
                if name not in problems:
                    problems[name] = fetching_problem(name)
                if (problem := problems[name]) is not None:
                    self.waiting.remove(run)
                    self._end(run, problem[0], reason=problem[1])
                    break

    def _start(self) -> bool:
        """Put runs in flight while there is room; return whether one needed no start."""
        settled = False
        for run in self._ready():
            if not self._has_room(run):
                continue
            self.waiting.remove(run)
            try:
                records = load_records(run.paper, root=self.root)
                state = self._state(run, records)
            except (OSError, ValueError) as error:
                self._end(run, "failed", reason=str(error))
                settled = True
                continue
            if state.word == TO_RUN:
                self._submit(run, state.key)
                continue
            self._settle(run, state)
            self.bar.update()
            settled = True
        return settled

    def _ready(self) -> Iterator[PlannedRun]:
        for run in sorted(self.waiting, key=lambda run: -run.minutes):
            others = [*self.waiting, *(other for other, _ in self.flying.values())]
            before = {(other.paper, other.experiment) for other in others}
            if not any((run.paper, name) in before for name in run.after):
                yield run

    def _submit(self, run: PlannedRun, key: str) -> None:
        known = self.known[run.notebook]
        task = make_task(
            run, key, self.root, known, self.device, self.threads, self.limit_minutes
        )
        try:
            future = self._executor(run).submit(execute, task)
        except Exception as error:
            future = Future()
            future.set_exception(error)
        self.flying[future] = (run, key)
        flying = [run.experiment for run, _ in self.flying.values()]
        self.bar.set_description(", ".join(flying))

    def _wait(self) -> None:
        # The room may grow where machines come and go.
        patience = _SECONDS_BETWEEN_LOOKS if self.elsewhere and self.waiting else None
        if not self.flying:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        done, _ = wait(self.flying, timeout=patience, return_when=FIRST_COMPLETED)
        for future in done:
            self._collect(future)

    def _collect(self, future: Future) -> None:
        """Record a run that ended."""
        run, key = self.flying[future]
        try:
            outcome = future.result()
        except Exception as error:
            if nothing_can_be_saved(error):
                self.unsaved = str(error)
            outcome = lost(run, plain_error(_text(error), self.root))
        if (reason := outcome.get("cannot")) is not None:
            del self.flying[future]
            self._end(run, "cannot", reason=reason)
            return
        try:
            record = save_outcome(
                run, key, outcome, self.device, self.threads, self.git, self.root
            )
        except (OSError, ValueError) as error:
            if nothing_can_be_saved(error):
                self.unsaved = str(error)
            del self.flying[future]
            self._end(run, "failed", reason=f"could not be recorded: {error}")
            return
        del self.flying[future]
        word = "ran" if record["status"] == "ok" else "failed"
        self._end(run, word, record["wall_seconds"], record["error"])

    def _interrupt(self) -> None:
        """Record what has ended; note the rest as interrupted."""
        self.interrupted = True
        for future in [future for future in self.flying if future.done()]:
            self._collect(future)
        for run in self.runs:
            self.outcomes.setdefault(run.cell, Outcome(run, "interrupted"))

    def _end(
        self,
        run: PlannedRun,
        word: str,
        seconds: float | None = None,
        reason: str | None = None,
    ) -> None:
        self.outcomes[run.cell] = Outcome(run, word, seconds, reason)
        self.bar.update()
        took = "" if seconds is None else f"  {seconds:.1f} s"
        tqdm.write(f"{word:6} {run.name}{took}")


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, RunLostError) else f"{type(error).__name__}: {error}"
