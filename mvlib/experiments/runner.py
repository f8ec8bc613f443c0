"""Running what is planned and not yet recorded, each run in its own process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tqdm import tqdm

from mvlib._paths import project_root
from mvlib._validation import check_number
from mvlib.experiments import provenance
from mvlib.experiments.executed import plain_error, refresh_prose
from mvlib.experiments.executor import LocalProcesses
from mvlib.experiments.outcomes import Outcome, Summary, lost, make_record
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.records import load_records, save_record
from mvlib.experiments.state import (
    CANNOT,
    RECORDED,
    TO_RUN,
    State,
    check_parameters,
    git_state,
    state_of,
)

_MOST_JOBS = 4


def run_all(
    runs: Sequence[PlannedRun],
    jobs: int | None = None,
    device: str = "auto",
    root: Path | None = None,
    rerun_earlier: bool = False,
    again: bool = False,
    limit_minutes: float | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Run what has no record yet, and record each run as soon as it ends.

    Parameters
    ----------
    runs : sequence of PlannedRun
        As `plan_runs` gives them.
    jobs : int, optional
        How many at a time; by default one a core, at most four. The cores are shared out:
        each run gets cores // jobs threads.
    device : str, default="auto"
        Passed to the notebooks that have a parameter of that name.
    root : Path, optional
        The project; the one that the caller works in by default.
    rerun_earlier : bool, default=False
        Whether committed runs that an earlier version recorded run again.
    again : bool, default=False
        Whether all of them run, recorded or not.
    limit_minutes : float, optional
        Stop a run, as failed, after that; by default what the plan says.
    executor : concurrent.futures.Executor, optional
        Where they run; processes of this machine by default.

    Returns
    -------
    Summary
        On Ctrl-C, what has ended is recorded, the rest is stopped.

    Raises
    ------
    ValueError
        If a plan's parameter is not one of its notebook's, or a notebook is missing.
        Nothing has started then.
    """
    if jobs is None:
        jobs = min(provenance.available_cores(), _MOST_JOBS)
    check_number("jobs", jobs, low=1, integer=True)
    if limit_minutes is not None:
        check_number("limit_minutes", limit_minutes, low=0, open_low=True)
    root = (root or project_root()).resolve()
    batch = _Batch(runs, jobs, device, root, rerun_earlier, again, limit_minutes)
    batch.settle_recorded()
    if batch.waiting:
        batch.known = check_parameters(batch.waiting, root)
        batch.work(executor)
    ended = [batch.outcomes[run.cell] for run in runs if run.cell in batch.outcomes]
    return Summary(ended, batch.interrupted)


class _Batch:
    """One call's runs: those that wait, those in flight, those that ended."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        jobs: int,
        device: str,
        root: Path,
        rerun_earlier: bool,
        again: bool,
        limit_minutes: float | None,
    ) -> None:
        self.runs = runs
        self.jobs = jobs
        self.device = device
        self.root = root
        self.rerun_earlier = rerun_earlier
        self.again = again
        self.limit_minutes = limit_minutes
        self.threads = max(1, provenance.available_cores() // jobs)
        self.waiting: list[PlannedRun] = []
        self.flying: dict[Future, tuple[PlannedRun, str]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.retried: set[str] = set()
        self.known: dict[str, set[str]] = {}
        self.interrupted = False

    def settle_recorded(self) -> None:
        """Settle the runs that need not start; the others wait."""
        records = load_records(root=self.root)
        states = [
            state_of(run, records, self.root, self.rerun_earlier, self.again)
            for run in self.runs
        ]
        some = any(state.word == TO_RUN for state in states)
        for run, state in zip(self.runs, states, strict=True):
            # What reads records may have to run again once others have run.
            if state.word == TO_RUN or (some and run.after and state.word == RECORDED):
                self.waiting.append(run)
            else:
                self._settle(run, state)

    def work(self, executor: Executor | None) -> None:
        """Run what waits."""
        self.git = git_state(self.root)
        self.own = executor is None
        bar = tqdm(total=len(self.waiting), unit="run", disable=None)
        with self._warm() if self.own else nullcontext(), bar as self.bar:
            self.executor = executor or LocalProcesses(self.jobs)
            try:
                self._fetch()
                while self._start() or self.flying:
                    done, _ = wait(self.flying, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._collect(future)
            except KeyboardInterrupt:
                self._interrupt()
            finally:
                if self.own:
                    self.executor.shutdown(wait=not self.flying, cancel_futures=True)

    def _warm(self) -> AbstractContextManager[None]:

        from mvlib.experiments.warm_kernels import warm_kernels

        notebooks = [self.root / run.notebook for run in self.waiting]
        return warm_kernels(notebooks, self.threads)

    def _settle(self, run: PlannedRun, state: State) -> None:
        if state.word == RECORDED and run.profile == "quick":
            refresh_prose(run, self.root)
        self.outcomes[run.cell] = Outcome(run, state.word, reason=state.reason)

    def _fetch(self) -> None:
        """Fetch data before the runs that read them start, and once."""
        problems: dict[str, tuple[str, str] | None] = {}
        for run in list(self.waiting):
            for name in run.datasets:
                if name not in problems:
                    problems[name] = _fetching_problem(name)
                if (problem := problems[name]) is not None:
                    self.waiting.remove(run)
                    self._end(run, problem[0], reason=problem[1])
                    break

    def _start(self) -> bool:
        """Put runs in flight while there is room; return whether one needed no start."""
        settled = False
        for run in self._ready():
            if len(self.flying) >= self.jobs:
                break
            self.waiting.remove(run)
            records = load_records(run.paper, root=self.root)
            state = state_of(run, records, self.root, self.rerun_earlier, self.again)
            if state.word == TO_RUN:
                self._submit(run, state.key)
                continue
            self._settle(run, state)
            self.bar.update()
            settled = True
        return settled

    def _ready(self) -> Iterator[PlannedRun]:
        for run in list(self.waiting):
            others = [*self.waiting, *(other for other, _ in self.flying.values())]
            before = {(other.paper, other.experiment) for other in others}
            if not any((run.paper, name) in before for name in run.after):
                yield run

    def _submit(self, run: PlannedRun, key: str) -> None:
        from mvlib.experiments.worker import execute

        parameters = dict(run.parameters)
        if "device" in self.known[run.notebook]:
            parameters["device"] = self.device
        task = {
            "root": str(self.root),
            "paper": run.paper,
            "experiment": run.experiment,
            "profile": run.profile,
            "notebook": run.notebook,
            "executed": run.executed,
            "failed": f"runs/failed/{run.profile}-{run.paper}-{Path(run.executed).name}",
            "parameters": parameters,
            "threads": self.threads,
            "limit_seconds": 60 * (self.limit_minutes or run.limit_minutes),
            "may_be_empty": bool(run.after),
        }
        try:
            future = self.executor.submit(execute, task)
        except BrokenProcessPool:
            if not self.own:
                raise
            self.executor = LocalProcesses(self.jobs)
            future = self.executor.submit(execute, task)
        self.flying[future] = (run, key)
        flying = [run.experiment for run, _ in self.flying.values()]
        self.bar.set_description(", ".join(flying))

    def _collect(self, future: Future) -> None:
        """Record a run that ended."""
        run, key = self.flying[future]
        try:
            outcome = future.result()
        except BrokenProcessPool:
            if self.own and run.cell not in self.retried:
                # Another run's process may have taken the pool down: once more.
                self.retried.add(run.cell)
                del self.flying[future]
                self.waiting.insert(0, run)
                return
            outcome = lost(run, "its process was killed, perhaps for want of memory")
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            outcome = lost(run, plain_error(text, self.root))
        record = make_record(run, key, outcome, self.device, self.threads, self.git)
        save_record(record, self.root)
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


def _fetching_problem(name: str) -> tuple[str, str] | None:
    from mvlib import data

    try:
        data.fetch_all(name)
    except FileNotFoundError as error:
        return CANNOT, str(error)
    except (OSError, ValueError) as error:
        return "failed", str(error)
    return None
