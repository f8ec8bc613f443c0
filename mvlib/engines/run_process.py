"""The process of one run on a worker's machine, started afresh for it.

Reads a task as one line of JSON from standard input, which then stays open: its end means
that the worker is gone, or wants the run no more. What came out goes to the folder that the
task names, as `outcome.json` and the executed notebook.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

OUTCOME = "outcome.json"
EXECUTED = "executed.ipynb"
_SECONDS_TO_END = 5


def main() -> None:
    """Run the task of standard input."""
    task = json.loads(sys.stdin.buffer.readline())
    folder = Path(task.pop("outgoing"))
    threading.Thread(target=_end_with_worker, args=[folder], daemon=True).start()
    with contextlib.suppress(FileNotFoundError):
        # Once the worker has taken the folder away, nobody waits for an outcome.
        (folder / OUTCOME).write_text(json.dumps(_run(task, folder)), encoding="utf-8")


def _run(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the outcome, its notebook left in `folder`."""
    from mvlib._paths import project_root
    from mvlib.experiments import provenance
    from mvlib.experiments.outcomes import lost
    from mvlib.experiments.plan import PlannedRun

    run = PlannedRun(**task["run"])
    root = project_root()
    if reason := _why_cannot(run.datasets):
        return {**lost(run, reason), "cannot": f"{task['worker']}: {reason}"}
    versions = provenance.versions()
    if reason := _why_other(run, task, root, versions):
        return {**lost(run, f"{task['worker']} {reason}"), "versions": versions}
    written, failed = str(folder / EXECUTED), str(folder / f"failed-{EXECUTED}")
    kept = {written: task["executed"], failed: task["failed"]}
    module, _, name = task["function"].partition(":")
    outcome = getattr(import_module(module), name)(
        {**task, "root": str(root), "executed": written, "failed": failed}
    )
    if (place := outcome["executed"]) in kept:
        outcome["executed"] = kept[place]
        _settle_notebook(Path(place), folder / EXECUTED, kept[place])
    return {**outcome, "threads": task["threads"], "versions": versions}


def _why_cannot(datasets: list[str]) -> str | None:
    """Get the data, once a machine; return why they cannot be had, or None."""
    if not datasets:
        return None
    from filelock import FileLock

    from mvlib import data

    for name in datasets:
        try:
            if data.is_at_hand(name):
                continue
            folder = data.data_folder()
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                data.fetch(name)
        except (OSError, ValueError) as error:
            return f"data not at hand: {error}"
    return None


def _why_other(
    run: Any, task: dict[str, Any], root: Path, versions: dict[str, str]
) -> str | None:
    """Return how this machine's project differs from the runner's, or None."""
    from mvlib.experiments.keys import run_key
    from mvlib.experiments.provenance import PACKAGES

    try:
        key = run_key(run, root)
    except ValueError as error:
        return f"has other sources than the runner: {error}"
    if key == task["key"]:
        return None
    # A patch release of Python is no other Python.
    others = [
        f"{name} {versions.get(name)} in place of {task['versions'].get(name)}"
        for name in ("python", *PACKAGES)
        if _minor(name, versions) != _minor(name, task["versions"])
    ]
    if others:
        return f"has other versions than the runner: {', '.join(others)}"
    return (
        f"has other sources than the runner: {run.notebook}, or what it reaches of mvlib or "
        "of the data's checksums, differs; bring its checkout to the runner's commit"
    )


def _minor(name: str, versions: dict[str, str]) -> str | None:
    version = versions.get(name)
    return ".".join(version.split(".")[:2]) if version and name == "python" else version


def _settle_notebook(place: Path, target: Path, kept: str) -> None:
    """Name the place where the runner keeps the notebook, not the one it passes through."""
    content = json.loads(place.read_text(encoding="utf-8"))
    if "papermill" in content.get("metadata", {}):
        content["metadata"]["papermill"]["output_path"] = kept
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _end_with_worker(folder: Path) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    # What runs the notebook then ends its kernel and removes what it wrote.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
