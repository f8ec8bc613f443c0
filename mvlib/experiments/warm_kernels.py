"""Kernels that start at once: forked from a process that has the imports behind it.

Importing torch, scikit-learn and pandas costs each notebook some seconds; a page of the
quick profile takes not many more. Only Linux forks safely here; elsewhere kernels start as
ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from itertools import chain
from multiprocessing import connection
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

import mvlib
from mvlib.experiments.keys import code_cells
from mvlib.experiments.own_sources import python_path
from mvlib.experiments.sources import imported_packages

VARIABLE = "MVLIB_WARM_KERNELS"
# What is slow to import, by package. Not the inline backend: it looks for the kernel's shell.
_SLOW = {
    # The second comes with the first optimizer.
    "torch": ["torch", "torch._dynamo"],
    "scipy": ["scipy.stats"],
    "sklearn": ["sklearn.cluster"],
    "pandas": ["pandas"],
    "matplotlib": [
        "matplotlib.figure", "matplotlib.projections", "matplotlib.backend_bases",
        "matplotlib.image", "matplotlib.pyplot",
    ],
    "seaborn": ["seaborn"],
    "PIL": ["PIL.Image"],
}  # fmt: skip
_KERNEL = ["ipykernel.kernelapp", "ipykernel.ipkernel"]
_NAME = "mvlib-warm"
_LAUNCHER = ["-m", "ipykernel_launcher"]
# The C library of Linux reads them when a process starts; forked ones inherit what it read.
# Without them large arrays go back to the system when they are freed, and the next ones fault
# every page in anew: half of the time of a convolutional network on a processor.
_KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
_SECONDS_TO_END = 1
_LIVE: dict[int, WarmProcess] = {}
_ENDED: list[dict[str, float]] = []


@contextlib.contextmanager
def warm_kernels(notebooks: Iterable[Path], threads: int) -> Iterator[None]:
    """Let the kernels that this process and its children start be forked from a warm one.

    Parameters
    ----------
    notebooks : iterable of Path
        What the kernels are for. What two of them import is imported once.
    threads : int
        Of the numerical libraries in each kernel; they read it when they are imported.

    Yields
    ------
    None
        Until the end, after which no such kernel is left.
    """
    wanted = sys.platform == "linux" and VARIABLE not in os.environ
    modules = _shared_imports(notebooks) if wanted else iter(())
    if (first := next(modules, None)) is None:
        yield
        return
    folder = tempfile.mkdtemp(prefix="mvlib-", dir="/tmp")
    path = f"{folder}/warm"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        handle = listener.fileno()
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "mvlib.experiments.warm_server", str(handle)],
            env=_server_environment(threads),
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=[handle],
            # A terminal's Ctrl-C is for the runner, also while the imports go on.
            start_new_session=True,
        )
    os.environ[VARIABLE] = path
    try:
        # That it is gone, each kernel's start says.
        with contextlib.suppress(BrokenPipeError):
            # It imports the first while the notebooks are still searched for others.
            for module in chain([first], modules, _KERNEL, [""]):
                print(module, file=server.stdin, flush=True)
        yield
    finally:
        del os.environ[VARIABLE]
        with contextlib.suppress(BrokenPipeError):
            server.stdin.close()
        try:
            server.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            # Still at its imports, hence without a kernel.
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def use_warm_kernels() -> None:
    """Make Jupyter's clients in this process take warm kernels where there are any."""
    if VARIABLE not in os.environ:
        return
    group = KernelProvisionerFactory.GROUP_NAME
    entry = EntryPoint(_NAME, f"{__name__}:{WarmProvisioner.__name__}", group)
    KernelProvisionerFactory.provisioners[_NAME] = entry
    os.environ[KernelProvisionerFactory.default_provisioner_name_env] = _NAME


def live_warm_kernels() -> list[int]:
    """Return the process ids of those that this process has started and not seen end."""
    return list(_LIVE)


def kill_warm_kernels() -> None:
    """Kill those that this process has started."""
    for process in list(_LIVE.values()):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)


def warm_usage() -> dict[str, float]:
    """Return `cpu_seconds`, and the largest `peak_memory_bytes`, of this process's kernels."""
    return {
        "cpu_seconds": sum(usage["cpu_seconds"] for usage in _ENDED),
        "peak_memory_bytes": max((usage["peak_memory_bytes"] for usage in _ENDED), default=0),
    }


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel by asking the warm process for one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch a kernel; one that is not Python's own starts as ever."""
        if cmd[1:3] != _LAUNCHER:
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = kwargs.get("cwd") or os.getcwd()
        self.process = WarmProcess(cmd[3:], self.cwd, kwargs.get("env") or dict(os.environ))
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel; a warm one is gone when this returns."""
        process = self.process
        await super().kill(restart)
        # Jupyter looks whether it is gone, and next a tenth of a second later.
        if isinstance(process, WarmProcess):
            process.wait()


class WarmProcess:
    """A forked kernel, with the methods of `subprocess.Popen` that provisioners call."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ[VARIABLE])
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
        }
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        self.received = b""
        self.returncode: int | None = None
        self.pid = self._answer(block=True)["pid"]
        _LIVE[self.pid] = self

    def poll(self) -> int | None:
        """Return how the kernel ended, or None."""
        if self.returncode is None and (ending := self._answer(block=False)) is not None:
            self.returncode = ending.pop("returncode")
            _ENDED.append(ending)
            _LIVE.pop(self.pid, None)
            self.socket.close()
        return self.returncode

    def wait(self) -> int:
        """Wait for the kernel's end."""
        while self.poll() is None:
            connection.wait([self.socket])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)

    def _answer(self, block: bool) -> dict[str, Any] | None:
        self.socket.setblocking(block)
        while b"\n" not in self.received:
            try:
                piece = self.socket.recv(4096)
            except BlockingIOError:
                return None
            except OSError:
                piece = b""
            if not piece:
                if self.received or block:
                    raise RuntimeError("the process that forks kernels is gone")
                return {"returncode": -signal.SIGKILL, "cpu_seconds": 0, "peak_memory_bytes": 0}
            self.received += piece
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line)


def _shared_imports(notebooks: Iterable[Path]) -> Iterator[str]:
    """Give what is slow to import, each as soon as a second notebook is seen to need it."""
    counts: Counter[str] = Counter()
    for notebook in notebooks:
        try:
            packages = imported_packages(code_cells(notebook)[0], Path(mvlib.__file__).parent)
        # That it is no notebook, or holds no Python, is said where its run is judged.
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        counts.update(packages)
        for package, modules in _SLOW.items():
            if package in packages and counts[package] == 2:
                yield from modules


def _server_environment(threads: int) -> dict[str, str]:
    given = _KEEP_FREED_MEMORY | os.environ
    return given | {
        "PYTHONPATH": python_path(),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        # Matplotlib reads it once, when it is imported.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
