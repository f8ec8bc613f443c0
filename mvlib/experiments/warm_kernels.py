"""Kernels that start at once: forked from the process that `warm_imports` starts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from importlib.metadata import EntryPoint
from multiprocessing import connection
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

# Where that process listens.
VARIABLE = "MVLIB_WARM_KERNELS"
_NAME = "mvlib-warm"
_LAUNCHER = ["-m", "ipykernel_launcher"]
_LIVE: dict[int, WarmProcess] = {}
_ENDED: list[dict[str, float]] = []


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
