"""What a run's executor is asked to do, and the data fetched for it beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.state import CANNOT


def make_task(
    run: PlannedRun,
    key: str,
    root: Path,
    known_parameters: Collection[str],
    device: str,
    threads: int,
    limit_minutes: float | None,
) -> dict[str, Any]:
    """Return the task of a run, as `RunExecutor.submit` takes it: plain values, no paths.

    Parameters
    ----------
    run : PlannedRun
        The run.
    key : str
        Its key.
    root : Path
        The project.
    known_parameters : collection of str
        The parameters that the notebook has; the device is passed if it is among them.
    device : str
        As the caller wants it.
    threads : int
        Of the numerical libraries, on this machine.
    limit_minutes : float or None
        In place of the plan's.
    """
    parameters = dict(run.parameters)
    if "device" in known_parameters:
        parameters["device"] = device
    return {
        "root": str(root),
        "name": run.name,
        "paper": run.paper,
        "experiment": run.experiment,
        "profile": run.profile,
        "notebook": run.notebook,
        "executed": run.executed,
        "failed": failed_path(run),
        "parameters": parameters,
        "datasets": list(run.datasets),
        "minutes": run.minutes,
        "key": key,
        "run": asdict(run),
        "device": device,
        "threads": threads,
        "limit_seconds": 60 * (limit_minutes or run.limit_minutes),
        "limit_memory_gb": run.limit_memory_gb,
        "may_be_empty": bool(run.after),
    }


def failed_path(run: PlannedRun) -> str:
    """Return where a notebook that failed is kept, from the project's root."""
    return f"runs/failed/{run.profile}-{run.paper}-{Path(run.executed).name}"


def fetching_problems(runs: Iterable[PlannedRun]) -> Iterator[tuple[PlannedRun, str, str]]:
    """Fetch the data of runs, each set once; yield the runs whose data cannot be fetched.

    Yields
    ------
    PlannedRun, str, str
        The run, the word of its outcome and the reason.
    """
    problems: dict[str, tuple[str, str] | None] = {}
    for run in runs:
        for name in run.datasets:
            if name not in problems:
                problems[name] = _fetching_problem(name)
            if (problem := problems[name]) is not None:
                yield run, *problem
                break


def _fetching_problem(name: str) -> tuple[str, str] | None:
    from mvlib import data

    try:
        data.fetch(name)
    except FileNotFoundError as error:
        return CANNOT, str(error)
    except (OSError, ValueError) as error:
        return "failed", str(error)
    return None
