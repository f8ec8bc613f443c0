"""Processes for runs that start at once: forked from one that has the imports behind it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.context import BaseContext
from typing import Any

from mvlib.experiments.own_sources import python_path

_IMPORTS = "mvlib.experiments.worker_imports"


def worker_context() -> BaseContext:
    """Return the way in which the processes of runs are to be started.

    On Linux they are forked from a process without threads that has imported what each
    needs; elsewhere each starts afresh.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_IMPORTS])
    with _own_sources_first():
        forkserver.ensure_running()
    return context


def in_environment(
    environment: Mapping[str, str], function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call `function` with today's environment, not that of the process forked from."""
    os.environ.clear()
    os.environ.update(environment)
    return function(*arguments)


@contextlib.contextmanager
def _own_sources_first() -> Iterator[None]:
    """Have a process that starts here import this mvlib, not one in the current folder."""
    before = dict(os.environ)
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["PYTHONPATH"] = python_path()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
