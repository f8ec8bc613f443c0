"""Where runs execute: each in a process group here, watched and cleared away by a thread."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import psutil

from mvlib.files import python_path, quick_jsonschema, scratch_folder
from mvlib.records import provenance
from mvlib.records.keys import code_digest, code_in
from mvlib.run.saving import plain_error, results_in

GIGABYTE = 10**9
# What psutil and the system say of a process that has just ended, or is another user's.
_GONE = (psutil.Error, OSError)
# The names of `client`, which is imported only where it executes.
_GIVEN, _EXECUTED, _OUTCOME = "given.ipynb", "executed.ipynb", "outcome.json"
_MARK = "MVLIB_RUN"
_COMMAND = [sys.executable, "-P", "-m", "mvlib.run.client"]
_USAGE = ("cpu_seconds", "peak_memory_bytes")
_SECONDS_BETWEEN_LOOKS = 0.5
# A look goes through all processes of the machine: it may cost 2 % of the time at most.
_PAUSES_A_LOOK = 50
_SECONDS_TO_END = 20
_SHARE_OF_MEMORY = 0.9
# A socket's path has at most 107 characters, and Jupyter adds some ten to the folder's.
_LONGEST_FOLDER = 60
# In a container the machine's memory is not all ours: version 2 of cgroups, and version 1.
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ENVIRONMENT = {
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # Threads that wait for others must not take the core that those need.
    "OMP_WAIT_POLICY": "passive",
    # The C library of Linux reads these when a process starts. Without them large arrays go
    # back to the system when they are freed, and the next ones fault every page in anew: half
    # of the time of a convolutional network on a processor.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class RunLostError(RuntimeError):
    """A run's process or machine is gone; the text, recorded as the reason, says how."""


class EngineLost(RuntimeError):
    """The engine is gone: no fault of its runs, which are to be repeated."""


class Engine(Protocol):
    """Where runs execute: what `run_all` asks of an engine."""

    remote: bool

    def slots(self) -> int:
        """Return how many runs can be in flight now, at least 1; it may change."""

    def submit(self, task: dict[str, Any]) -> Future:
        """Start a run; what goes wrong here or in the future is the reason it failed."""


def execute(task: dict[str, Any], wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """Execute a notebook in a process group of its own, for as long as it is `wanted`."""
    root = Path(task["root"])
    before = task.get("stamps") or provenance.stamps()
    started, begun = datetime.now(UTC), time.monotonic()
    with run_folder() as folder:
        _give(task, root, folder)
        said = _run(task, root, folder, wanted)
        written = folder / _EXECUTED
        content = written.read_bytes() if written.exists() else None
    failure, payload = said["failure"], None
    if failure is None:
        try:
            _check_unchanged(said["sources"], before)
            payload = results_in(json.loads(content), task)
        except ValueError as error:
            failure = str(error)
    kept = task["executed"] if failure is None else task["failed"]
    return {
        "status": "ok" if failure is None else "failed",
        "error": None if failure is None else plain_error(failure, root),
        "payload": payload,
        "executed": task["notebook"] if content is None else kept,
        "executed_content": content,
        "sources": {name: checksum for name, (_, checksum) in said["sources"].items()},
        "started": started.isoformat(timespec="seconds"),
        "wall_seconds": round(time.monotonic() - begun, 3),
        **{name: said[name] for name in _USAGE},
    }


class LocalEngine:
    """A process group for each run, at most `jobs` of them at a time, each with its thread."""

    remote = False

    def __init__(self, jobs: int, function: Callable[..., dict[str, Any]] = execute) -> None:
        self._jobs, self._execute = jobs, function
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="run")
        self._ending = threading.Event()

    def slots(self) -> int:
        """Return `jobs`."""
        return self._jobs

    def submit(self, task: dict[str, Any]) -> Future:
        """Execute a task in a thread that waits for its process group."""
        return self._threads.submit(self._twice, task)

    def shutdown(self, stop: bool) -> None:
        """End; with `stop` what still runs, too."""
        if stop:
            self._ending.set()
        self._threads.shutdown(cancel_futures=stop)

    def _twice(self, task: dict[str, Any]) -> dict[str, Any]:
        def wanted() -> bool:
            return not self._ending.is_set()

        try:
            return self._execute(task, wanted)
        except RunLostError:
            if not wanted():
                raise
            try:
                return self._execute(task, wanted)
            except RunLostError as error:
                raise RunLostError(f"{error}; it was the second try") from None


def _give(task: dict[str, Any], root: Path, folder: Path) -> None:
    """Write the notebook with its parameters for the process to execute."""
    quick_jsonschema()
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    content = load_notebook_node(str(root / task["notebook"]))
    if code_digest(*code_in(content, task["notebook"])) != task["code"]:
        raise ValueError(
            f"{task['notebook']} has other code than when its run was planned: start it again"
        )
    given = parameterize_notebook(
        content, task["parameters"], kernel_name="python3", language="python"
    )
    nbformat.write(given, folder / _GIVEN)


def _run(
    task: dict[str, Any], root: Path, folder: Path, wanted: Callable[[], bool]
) -> dict[str, Any]:
    """Return what the run's process says, or why it was stopped."""
    mark = uuid4().hex
    given = task.get("limit_memory_gb")
    most = _SHARE_OF_MEMORY * memory_bytes() if given is None else given * GIGABYTE
    with open(folder / "stderr", "wb") as errors:
        child = subprocess.Popen(
            [*_COMMAND, str(folder)],
            cwd=root,
            env=_environment(task, root, folder, mark),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            # A terminal's Ctrl-C is for the runner.
            start_new_session=True,
        )
    group = Group(child, mark)
    try:
        reason = group.watch(task["limit_seconds"], most, wanted)
    finally:
        group.kill()
        child.stdin.close()
        child.wait()
    if not wanted():
        raise RunLostError("stopped")
    try:
        said = json.loads((folder / _OUTCOME).read_bytes())
    except (FileNotFoundError, ValueError):
        if reason is None:
            raise RunLostError(_how_it_ended(child.returncode, folder)) from None
        said = {"sources": {}, **dict.fromkeys(_USAGE, 0)}
    return said if reason is None else said | {"failure": reason}


class Group:
    """All that a run has started: what bears its mark or comes of that, in any session."""

    def __init__(self, child: subprocess.Popen, mark: str) -> None:
        self.child, self.mark = child, mark
        self._known: dict[psutil.Process, bool] = {}

    def members(self) -> list[psutil.Process]:
        """Return the processes that live, without the run's own one; none without /proc."""
        try:
            living = list(psutil.process_iter())
        except (*_GONE, IndexError):
            return []
        for process in living:
            if process not in self._known:
                self._known[process] = self._is_mine(process)
        self._known = {process: self._known[process] for process in living}
        return [process for process, mine in self._known.items() if mine]

    def _is_mine(self, process: psutil.Process) -> bool:
        if process.pid == self.child.pid:
            return False
        with contextlib.suppress(*_GONE):
            if process.environ().get(_MARK) == self.mark:
                return True
        with contextlib.suppress(*_GONE):
            return any(
                each.pid == self.child.pid or self._known.get(each)
                for each in process.parents()
            )
        return False

    def watch(self, seconds: float, most: float, wanted: Callable[[], bool]) -> str | None:
        """Wait for the process's end; return why it was stopped, or None."""
        end, pause, reason = time.monotonic() + seconds, _SECONDS_BETWEEN_LOOKS, None
        while reason is None and wanted():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(min(pause, max(0.0, end - time.monotonic())))
                return None
            begun = time.thread_time()
            if time.monotonic() >= end:
                reason = f"stopped after its limit of {seconds / 60:.3g} minutes"
            elif memory_of(self.members(), most) > most:
                reason = f"its kernel took more than {most / GIGABYTE:.3g} GB of memory"
            cost = time.thread_time() - begun
            pause = max(_SECONDS_BETWEEN_LOOKS, _PAUSES_A_LOOK * cost)
        if reason is not None:
            # Its own process still writes down how far the notebook came.
            self._kill_members()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(_SECONDS_TO_END)
        return reason

    def kill(self) -> None:
        """Kill everything."""
        self._kill_members()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self._kill_members()

    def _kill_members(self) -> None:
        # One that was just about to start another goes with it at the second look.
        for _ in range(_SECONDS_TO_END):
            living = [each for each in self.members() if _is_alive(each)]
            if not living:
                return
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)


def memory_bytes() -> int:
    """Return the memory of this machine, or of the cgroup where that has less."""
    found = []
    # "max", or no file, where there is no such limit.
    for name in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(name).read_text(encoding="ascii")))
    with contextlib.suppress(*_GONE):
        found.append(psutil.virtual_memory().total)
    return min((size for size in found if size > 0), default=sys.maxsize)


def memory_of(processes: list[psutil.Process], at_most: float) -> int:
    """Return the memory, in bytes, that processes hold together."""
    held = sum(_held(process, "memory_info", "rss") for process in processes)
    if held <= at_most:
        return held
    return sum(_held(process, "memory_full_info", "pss") for process in processes) or held


def run_folder() -> contextlib.AbstractContextManager[Path]:
    """Give a folder for a run, short enough for sockets, and remove those of killed runners."""
    place = tempfile.gettempdir()
    long = len(place) > _LONGEST_FOLDER and Path("/tmp").is_dir()
    return scratch_folder("/tmp" if long else place)


def _environment(task: dict[str, Any], root: Path, folder: Path, mark: str) -> dict[str, str]:
    return {
        **_ENVIRONMENT,
        **os.environ,
        **task.get("environment", {}),
        **dict.fromkeys(_THREADS, str(task["threads"])),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "MVLIB_ROOT": str(root),
        # The notebook must use the very sources that are looked at here.
        "PYTHONPATH": python_path(),
        _MARK: mark,
    }


def _check_unchanged(
    used: dict[str, tuple[list[int] | None, str]], before: dict[str, provenance.Stamp | None]
) -> None:
    """Refuse a file that was touched between the start and its loading."""
    for name, (stamp, _) in used.items():
        if list(before.get(name) or ()) != stamp:
            raise ValueError(
                f"mvlib/{name} was changed before the notebook had loaded it, so that nobody "
                "knows of which sources its numbers are: run it again"
            )


def _how_it_ended(code: int, folder: Path) -> str:
    if code < 0:
        killed = f"its process was killed ({signal.Signals(-code).name})"
        return f"{killed}, perhaps for want of memory" if -code == signal.SIGKILL else killed
    told = (folder / "stderr").read_text(encoding="utf-8", errors="replace").strip()
    reason = told.splitlines()[-1] if told else "without a word"
    return f"its process ended with exit status {code}: {reason}"


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(*_GONE):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _held(process: psutil.Process, method: str, field: str) -> int:
    with contextlib.suppress(*_GONE):
        return getattr(getattr(process, method)(), field, 0)
    return 0
