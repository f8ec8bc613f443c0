"""Kernels for the tests of the notebooks, forked from one process with the imports."""

import contextlib
import os
from pathlib import Path

from mvlib.experiments.warm_imports import warm_kernels
from mvlib.experiments.warm_kernels import use_warm_kernels

HERE = Path(__file__).parent


def pytest_configure(config):
    """Start it once; the processes that share out the tests inherit its address."""
    threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    until_the_end = contextlib.ExitStack()
    until_the_end.enter_context(warm_kernels(sorted(HERE.glob("*/*.ipynb")), threads))
    config.add_cleanup(until_the_end.close)
    use_warm_kernels()
