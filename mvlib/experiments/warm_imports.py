"""Starting the process that kernels are forked from, and telling it what to import.

Importing torch, scikit-learn and pandas costs each notebook some seconds; a page of the
quick profile takes not many more. Only Linux forks safely here; elsewhere kernels start as
ever.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import mvlib
from mvlib.experiments.keys import code_cells
from mvlib.experiments.own_sources import python_path
from mvlib.experiments.sources import imported_packages
from mvlib.experiments.warm_kernels import VARIABLE

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
# The C library of Linux reads them when a process starts; forked ones inherit what it read.
# Without them large arrays go back to the system when they are freed, and the next ones fault
# every page in anew: half of the time of a convolutional network on a processor.
_KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
_SECONDS_TO_END = 1


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
