"""Running what is planned and not yet recorded, each run in its own process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvlib._paths import project_root
from mvlib._validation import check_number
from mvlib.experiments import provenance
from mvlib.experiments.batch import Batch
from mvlib.experiments.executor import RunExecutor
from mvlib.experiments.outcomes import Summary
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.saving import check_folders
from mvlib.experiments.state import check_parameters

_MOST_JOBS = 4


def run_all(
    runs: Sequence[PlannedRun],
    jobs: int | None = None,
    device: str = "auto",
    root: Path | None = None,
    rerun_earlier: bool = False,
    again: bool = False,
    limit_minutes: float | None = None,
    executor: RunExecutor | None = None,
) -> Summary:
    """Run what has no record yet, and record each run as soon as it ends.

    Those that are expected to take longest start first, `after` respected.

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
    executor : RunExecutor, optional
        Where they run; processes of this machine by default. What reads records runs on
        this machine in any case, for here they are.

    Returns
    -------
    Summary
        On Ctrl-C, what has ended is recorded, the rest is stopped.

    Raises
    ------
    ValueError
        If a plan's parameter is not one of its notebook's, or a notebook is missing.
        Nothing has started then.
    OSError
        If the results cannot be written. Nothing has started then.
    """
    if jobs is None:
        jobs = min(provenance.available_cores(), _MOST_JOBS)
    check_number("jobs", jobs, low=1, integer=True)
    if limit_minutes is not None:
        check_number("limit_minutes", limit_minutes, low=0, open_low=True)
    root = (root or project_root()).resolve()
    batch = Batch(runs, jobs, device, root, rerun_earlier, again, limit_minutes, executor)
    with batch.kernels:
        batch.settle_recorded()
        if batch.waiting:
            batch.known = check_parameters(batch.waiting, root)
            check_folders(batch.waiting, root)
            batch.work()
    ended = [batch.outcomes[run.cell] for run in runs if run.cell in batch.outcomes]
    return Summary(ended, batch.interrupted)
