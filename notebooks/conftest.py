"""Kernels for the tests of the notebooks, forked from one process with the imports."""

import os
from pathlib import Path

from mvlib.experiments.warm_kernels import use_warm_kernels, warm_kernels

HERE = Path(__file__).parent


def pytest_configure(config):
    """Start it once; the processes that share out the tests inherit its address."""
    threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    kernels = warm_kernels(sorted(HERE.glob("*/*.ipynb")), threads)
    kernels.__enter__()
    config.add_cleanup(lambda: kernels.__exit__(None, None, None))
    use_warm_kernels()
