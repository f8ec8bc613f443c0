"""What every run's process needs, imported once: in the process that they are forked from."""

from __future__ import annotations

import contextlib
import gc
import os
from importlib import import_module

from mvlib.experiments import schemas

_MODULES = (
    "mvlib.cli",
    "mvlib.experiments.worker",
    "mvlib.experiments.warm_kernels",
    "papermill",
    "psutil",
    # Looked for when a kernel is chosen.
    "ipykernel.kernelspec",
    "jupyter_client.asynchronous",
    "jupyter_client.ioloop",
)


def _import_all() -> None:
    # A terminal's Ctrl-C is for the runner, and for no process that is forked from here.
    with contextlib.suppress(PermissionError):
        os.setsid()
    schemas.quick_jsonschema()
    for name in _MODULES:
        import_module(name)
    import nbformat

    # The validator is compiled at its first use.
    nbformat.validate(nbformat.v4.new_notebook())
    # What is frozen is not visited, hence not copied, by a process's first collection.
    gc.freeze()


_import_all()
