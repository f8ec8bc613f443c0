"""A process that has imported what is slow to import, and forks kernels from itself.

Run as a module by `warm_imports`. A client connects, asks for a kernel in one line of JSON
(`arguments`, `folder`, `environment`) and is told its process (`pid`), and at its end
`returncode`, `cpu_seconds` and `peak_memory_bytes`. A client that goes takes its kernel along.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from importlib import import_module
from typing import Any

_LONGEST_REQUEST = 1 << 20


def serve(listener: socket.socket) -> None:
    """Import what standard input names, then fork kernels for whoever connects until it ends.

    A line names a module; an empty line ends the names.
    """
    while name := sys.stdin.readline().strip():
        # A notebook that needs one of them says so itself.
        with contextlib.suppress(ImportError):
            import_module(name)
    # What is frozen is not visited, hence not copied, by a kernel's first collection.
    gc.freeze()
    _Server(listener).run()


class _Server:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.kernels: dict[int, socket.socket] = {}
        self.looks = selectors.DefaultSelector()
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # Ctrl-C is for the runner.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.looks.register(listener, selectors.EVENT_READ, "client")
        self.looks.register(sys.stdin, selectors.EVENT_READ, "end")
        self.looks.register(self.woken, selectors.EVENT_READ, "child")

    def run(self) -> None:
        while True:
            for key, _ in self.looks.select():
                if key.data == "end":
                    for pid in self.kernels:
                        _kill(pid)
                    return
                if key.data == "child":
                    os.read(self.woken, 4096)
                    self._bury()
                elif key.data == "client":
                    self._begin(self.listener.accept()[0])
                else:
                    # A client has no more to say: this is its end.
                    self.looks.unregister(key.fileobj)
                    _kill(key.data)

    def _begin(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            try:
                request = json.loads(lines.readline(_LONGEST_REQUEST))
            except ValueError:
                client.close()
                return
        pid = os.fork()
        if pid == 0:
            self._become(request)
        self.kernels[pid] = client
        self.looks.register(client, selectors.EVENT_READ, pid)
        _tell(client, {"pid": pid})

    def _become(self, request: dict[str, Any]) -> None:
        """Be the kernel; never return."""
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.looks.close()
            self.listener.close()
            for client in self.kernels.values():
                client.close()
            _run_kernel(request)
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _bury(self) -> None:
        for pid in list(self.kernels):
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if not found:
                continue
            client = self.kernels.pop(pid)
            with contextlib.suppress(KeyError):
                self.looks.unregister(client)
            ending = {
                "returncode": os.waitstatus_to_exitcode(status),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_memory_bytes": usage.ru_maxrss * 1024,
            }
            _tell(client, ending)
            client.close()


def _run_kernel(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    # By this a kernel knows that it is left alone.
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.chdir(request["folder"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    sys.argv = ["ipykernel_launcher", *request["arguments"]]
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(int(threads))
    from ipykernel import kernelapp

    kernelapp.launch_new_instance(request["arguments"])


def _tell(client: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(message).encode() + b"\n")


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    # No module has anything to settle, and some that torch imports complain at a usual end.
    os._exit(0)
