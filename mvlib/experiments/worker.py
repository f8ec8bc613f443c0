"""What a run's own process does: execute one notebook and say how it went."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mvlib._files import replacing
from mvlib.experiments.executed import plain_error, results_in
from mvlib.experiments.kernel_watch import GIGABYTE, KernelWatch, kill_kernels
from mvlib.experiments.memory import memory_bytes
from mvlib.experiments.own_sources import python_path
from mvlib.experiments.schemas import quick_jsonschema

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SECONDS_BETWEEN_LOOKS = 0.5
_SHARE_OF_MEMORY = 0.9
# A socket's path has at most 107 characters, and Jupyter adds some fifty.
_LONGEST_FOLDER = 45


def execute(task: dict[str, Any]) -> dict[str, Any]:
    """Execute a notebook and keep it under `runs/`.

    Parameters
    ----------
    task : dict
        `root`, `paper`, `experiment`, `profile`, `notebook`, `executed`, `failed` (paths
        from the root), `parameters`, `threads`, `limit_seconds`, `may_be_empty` (whether
        the notebook may leave no results); optionally `limit_memory_gb` (of its kernel, in
        10^9 bytes; without it, 90 % of what the machine or the cgroup has).

    Returns
    -------
    dict
        `status`, `error`, `payload` (what the notebook's Recorder handed over, or None),
        `executed`, `started`, `wall_seconds`, `cpu_seconds`, `peak_memory_bytes`.
    """
    # A terminal's Ctrl-C is for the runner, which then stops this process.
    if hasattr(os, "setsid"):
        with contextlib.suppress(PermissionError):
            os.setsid()
    # What concerns the reader is in the notebook; the terminal is the runner's.
    warnings.simplefilter("ignore")
    logging.disable()
    root = Path(task["root"])
    started, begun = datetime.now(UTC), time.perf_counter()
    with _short_folder() as folder:
        _stop_with_runner(folder)
        _set_environment(task, root, folder)
        written = folder / "executed.ipynb"
        error = _execute(task, written)
        payload = None
        if error is None:
            try:
                payload = _payload(task, written)
            except ValueError as reason:
                error = str(reason)
        kept = task["executed"] if error is None else task["failed"]
        if problem := _keep(written, root / kept, task["notebook"], kept):
            kept = task["notebook"]
            error, payload = error or problem, None
    return {
        "status": "ok" if error is None else "failed",
        "error": None if error is None else plain_error(error, root),
        "payload": payload,
        "executed": kept,
        "started": started.isoformat(timespec="seconds"),
        "wall_seconds": round(time.perf_counter() - begun, 3),
        **_children_usage(),
    }


def _execute(task: dict[str, Any], written: Path) -> str | None:
    """Run the notebook; return None or why it failed."""
    quick_jsonschema()
    import papermill

    from mvlib.experiments.notebook_client import DeadKernelError, execute_notebook
    from mvlib.experiments.warm_kernels import use_warm_kernels

    use_warm_kernels()

    # A folder of our own: Jupyter's names for sockets are the same for every kernel of one.
    sockets = written.parent / "kernel"
    with KernelWatch(task["limit_seconds"], _memory_limit(task)) as watch:
        try:
            execute_notebook(task["notebook"], written, task["parameters"], sockets)
        except papermill.PapermillExecutionError as error:
            trace = "\n".join(error.traceback)
            message = f"{error.ename}: {error.evalue}"
            failure = trace if error.ename in trace else f"{trace}\n{message}"
        except DeadKernelError as error:
            failure = str(error)
        except Exception as error:
            # Whatever stops a run is that run's failure, not the runner's.
            failure = f"{type(error).__name__}: {error}"
        else:
            failure = None
    return watch.reason or failure


def _memory_limit(task: dict[str, Any]) -> float:
    given = task.get("limit_memory_gb")
    return _SHARE_OF_MEMORY * memory_bytes() if given is None else given * GIGABYTE


def _payload(task: dict[str, Any], written: Path) -> dict[str, Any]:
    import nbformat

    payload = results_in(nbformat.read(written, as_version=4), task)
    if not payload["results"] and not task["may_be_empty"]:
        raise ValueError("the notebook recorded no result: expected a call of Recorder.add()")
    return payload


def _keep(written: Path, target: Path, notebook: str, kept: str) -> str | None:
    """Put the executed notebook where it stays; return None or why it is not there."""
    import nbformat

    try:
        content = nbformat.read(written, as_version=4)
    except (OSError, ValueError):
        # It ended before it was written, or while it was.
        return "the notebook ended before it was written"
    # papermill notes where it wrote, which was not where the notebook stays.
    content.metadata.get("papermill", {}).update(input_path=notebook, output_path=kept)
    try:
        with replacing(target) as temporary:
            nbformat.write(content, temporary)
    except OSError as error:
        return f"the executed notebook could not be written: {error.strerror}"
    return None


def _set_environment(task: dict[str, Any], root: Path, folder: Path) -> None:
    os.chdir(root)
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(task["threads"])))
    # Threads that wait for others must not take the core that those need.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(folder)
    os.environ["MVLIB_ROOT"] = str(root)
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    # The notebook must use the very sources that are in the run's key.
    os.environ["PYTHONPATH"] = python_path()


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    place = tempfile.gettempdir()
    if len(place) > _LONGEST_FOLDER and Path("/tmp").is_dir():
        place = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="mvlib-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop_with_runner(folder: Path) -> None:
    """Stop this process and the kernel when the runner says so or is gone."""
    # The runner, though this process may be forked from another one.
    runner = multiprocessing.parent_process()
    expected = os.getppid()

    def stop(*_: object) -> None:
        kill_kernels()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    def watch() -> None:
        while os.getppid() == expected if runner is None else runner.is_alive():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        stop()

    # Another engine's worker may not be in its main thread; then it is watched only.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()


def _children_usage() -> dict[str, Any]:
    """Return what the kernel, which has ended, used."""
    try:
        import resource
    except ImportError:
        # Windows does not tell.
        return {"cpu_seconds": 0.0, "peak_memory_bytes": 0}
    from mvlib.experiments.warm_kernels import warm_usage

    usage, warm = resource.getrusage(resource.RUSAGE_CHILDREN), warm_usage()
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime + warm["cpu_seconds"], 3),
        "peak_memory_bytes": max(int(usage.ru_maxrss) * unit, warm["peak_memory_bytes"]),
    }
