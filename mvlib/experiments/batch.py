"""The runs of one call of `run_all`: what waits, what is in flight, what has ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from mvlib.experiments import provenance
from mvlib.experiments.claims import Claims
from mvlib.experiments.executed import plain_error, refresh_prose
from mvlib.experiments.executor import EngineLost, RunExecutor, RunLostError
from mvlib.experiments.interrupts import finishing_first
from mvlib.experiments.outcomes import Outcome, lost
from mvlib.experiments.places import Places
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.progress import Flight, Progress
from mvlib.experiments.saving import nothing_can_be_saved, save_outcome
from mvlib.experiments.standing import Standing
from mvlib.experiments.state import RECORDED, TO_RUN, State, git_state
from mvlib.experiments.tasks import fetching_problems, make_task

_SECONDS_BETWEEN_LOOKS = 1.0


class Batch:
    """Starts runs while there is room, and records each as soon as it ends.

    The parameters are those of `run_all`. `known` are each notebook's parameters; it is to be
    set before `work`. `kernels` is to be closed in the end.
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
        self.device = device
        self.root = root
        self.limit_minutes = limit_minutes
        self.threads = max(1, provenance.available_cores() // jobs)
        self.places = Places(executor, jobs)
        self.standing = Standing(root, rerun_earlier, again)
        self.warm = executor is None
        self.kernels = ExitStack()
        self.waiting: list[PlannedRun] = []
        self.flying: dict[Future, Flight] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.known: dict[str, set[str]] = {}
        self.claims = Claims(root)
        self.claimed: set[str] = set()
        self.told_of_another = False
        self.interrupted = False
        self.halted: str | None = None

    def settle_recorded(self) -> None:
        """Settle the runs that need not start; the others wait."""
        # Its imports take seconds, in which this process judges the runs.
        self._warm_up(self.standing.without_record(self.runs))
        remote = [self.places.is_remote(run) for run in self.runs]
        states = self.standing.at_start(self.runs, remote)
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
            self._warm_up(self.waiting)
            self.bar = stack.enter_context(
                tqdm(total=len(self.waiting), unit="run", disable=None)
            )
            self.progress = stack.enter_context(Progress(self.root))
            stack.callback(self.claims.drop_all)
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
        word = "interrupted" if self.interrupted else "not started"
        for run in self.runs:
            self.outcomes.setdefault(run.cell, Outcome(run, word, reason=self.halted))

    def _warm_up(self, runs: Sequence[PlannedRun]) -> None:
        """Have one process import what the runs' notebooks share, unless there is one."""
        if not self.warm or not runs:
            return
        from mvlib.experiments.warm_imports import warm_kernels

        notebooks = [self.root / run.notebook for run in runs]
        self.kernels.enter_context(warm_kernels(notebooks, self.threads))
        self.warm = False

    def _loop(self) -> None:
        while self.waiting or self.flying:
            going_on = self.halted is None and not self.interrupt.asked
            settled = going_on and self._start()
            self.progress.tell(
                self.flying.values(), self.waiting, self.outcomes, self.places.slots
            )
            if self.flying:
                self._wait()
            elif going_on and self.claimed:
                self._tell_of_another()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            elif not settled:
                return

    def _shut_down(self) -> None:
        stop = bool(self.flying) or self.interrupt.asked
        self.places.shut_down(self.flying, stop)

    def _settle(self, run: PlannedRun, state: State) -> None:
        if state.word == RECORDED and run.profile == "quick":
            # A project that is read-only keeps its old prose.
            with contextlib.suppress(OSError):
                refresh_prose(run, self.root)
        self.outcomes[run.cell] = Outcome(run, state.word, reason=state.reason)

    def _fetch(self) -> None:
        here = [run for run in self.waiting if not self.places.is_remote(run)]
        for run, word, reason in fetching_problems(here):
            self._end(run, word, reason=reason)

    def _start(self) -> bool:
        """Put runs in flight while there is room; return whether one needed no start."""
        settled = False
        room = self.places.room(flight.run for flight in self.flying.values())
        self.claimed.clear()
        for run in sorted(self.waiting, key=lambda run: -run.minutes):
            if self.interrupt.asked:
                break
            remote = self.places.is_remote(run)
            if room[remote] <= 0 or self._comes_later(run):
                continue
            try:
                if not self.claims.take(run.cell):
                    self.claimed.add(run.cell)
                    continue
                # Only now: another runner may have recorded it, or what it reads.
                state = self.standing.now(run, remote)
            except (OSError, ValueError) as error:
                self._end(run, "failed", reason=str(error))
                settled = True
                continue
            self.waiting.remove(run)
            if state.word == TO_RUN:
                self._submit(run, state.key)
                room[remote] -= 1
                continue
            self._settle(run, state)
            self.claims.drop(run.cell)
            self.bar.update()
            settled = True
        return settled

    def _comes_later(self, run: PlannedRun) -> bool:
        """Return whether what the run reads is still to come."""
        if not run.after:
            return False
        others = [*self.waiting, *(flight.run for flight in self.flying.values())]
        return any(o.paper == run.paper and o.experiment in run.after for o in others)

    def _submit(self, run: PlannedRun, key: str) -> None:
        known = self.known[run.notebook]
        task = make_task(
            run, key, self.root, known, self.device, self.threads, self.limit_minutes
        )
        future = self.places.submit(run, task)
        self.flying[future] = Flight(run, key)
        flying = [flight.run.experiment for flight in self.flying.values()]
        self.bar.set_description(", ".join(flying))

    def _wait(self) -> None:
        # Another runner's claims end, and machines come and go, without a word.
        look_again = self.waiting and (self.claimed or self.places.elsewhere)
        if self.claimed:
            self._tell_of_another()
        timeout = _SECONDS_BETWEEN_LOOKS if look_again else None
        done, _ = wait(self.flying, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            self._collect(future)

    def _tell_of_another(self) -> None:
        if not self.told_of_another:
            self.told_of_another = True
            runs = "1 run" if len(self.claimed) == 1 else f"{len(self.claimed)} runs"
            tqdm.write(f"another runner has {runs} of these; theirs will count")

    def _collect(self, future: Future) -> None:
        """Record a run that ended."""
        run, key = self.flying[future].run, self.flying[future].key
        try:
            outcome = future.result()
        except EngineLost as error:
            self.halted = str(error)
            del self.flying[future]
            self._end(run, "interrupted", reason=self.halted)
            return
        except Exception as error:
            self._note(error)
            outcome = lost(run, plain_error(_reason(error), self.root))
        word, seconds, reason = "cannot", None, outcome.get("cannot")
        if reason is None:
            try:
                record = save_outcome(
                    run, key, outcome, self.device, self.threads, self.git, self.root
                )
            except (OSError, ValueError) as error:
                self._note(error)
                word, reason = "failed", f"could not be recorded: {error}"
            else:
                word = "ran" if record["status"] == "ok" else "failed"
                seconds, reason = record["wall_seconds"], record["error"]
        del self.flying[future]
        self._end(run, word, seconds, reason)

    def _note(self, error: Exception) -> None:
        """Start nothing more once the disk is full."""
        if nothing_can_be_saved(error):
            self.halted = f"nothing more could be saved: {error}"

    def _end(
        self,
        run: PlannedRun,
        word: str,
        seconds: float | None = None,
        reason: str | None = None,
    ) -> None:
        if run in self.waiting:
            self.waiting.remove(run)
        self.claims.drop(run.cell)
        self.outcomes[run.cell] = Outcome(run, word, seconds, reason)
        self.bar.update()
        took = "" if seconds is None else f"  {seconds:.1f} s"
        tqdm.write(f"{word:6} {run.name}{took}")


def _reason(error: Exception) -> str:
    if nothing_can_be_saved(error):
        return f"could not be recorded: {error}"
    return str(error) if isinstance(error, RunLostError) else f"{type(error).__name__}: {error}"
