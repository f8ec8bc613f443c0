"""Notebooks take turns in one kernel: torch is imported once, mvlib by each."""

from __future__ import annotations

from typing import ClassVar

import nbval.plugin

# Takes away what the notebook before left: its names, mvlib with all that its modules
# hold, figures and their settings, and which warnings were shown.
EMPTY = """
%reset_selective -f .
import gc, os, sys, matplotlib.pyplot
matplotlib.pyplot.close("all")
matplotlib.rcdefaults()
for name in [name for name in sys.modules if name.partition(".")[0] == "mvlib"]:
    del sys.modules[name]
for module in list(sys.modules.values()):
    vars(module).get("__warningregistry__", {{}}).clear()
gc.set_threshold(50_000, 50, 50)
gc.collect()
os.chdir({folder!r})
%reset_selective -f .
"""
# For these few lines; a kernel that takes longer is stuck in a cell.
SECONDS = 60


class KernelInTurns(nbval.plugin.RunningKernel):
    """The kernel of the notebook before, emptied; a new one if none is free or well."""

    free: ClassVar[list] = []

    def __init__(self, kernel_name: str, cwd: str, startup_timeout: int = 60) -> None:
        if not self.free:
            super().__init__(kernel_name, cwd, startup_timeout)
        else:
            self.km, self.kc = self.free.pop()
        try:
            reply = self.kc.execute(
                EMPTY.format(folder=cwd), reply=True, timeout=SECONDS
            )
            emptied = reply["content"]["status"] == "ok"
        except TimeoutError:
            emptied = False
        if not emptied:
            super().stop()
            super().__init__(kernel_name, cwd, startup_timeout)

    def stop(self) -> None:
        self.free.append((self.km, self.kc))
        del self.km


def pytest_sessionstart() -> None:
    nbval.plugin.RunningKernel = KernelInTurns


def pytest_sessionfinish() -> None:
    for manager, client in KernelInTurns.free:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
