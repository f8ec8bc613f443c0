"""Have a process that is started from here import this very mvlib."""

from __future__ import annotations

import os
from pathlib import Path

import mvlib


def python_path() -> str:
    """Return `PYTHONPATH` with the folder of this mvlib first, whatever else is installed."""
    ours = str(Path(mvlib.__file__).resolve().parents[1])
    theirs = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(dict.fromkeys([ours, *theirs]))
