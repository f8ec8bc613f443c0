"""Where a project's notebooks, records and shipped data are."""

from __future__ import annotations

import os
from pathlib import Path

_MARKS = ("_config.yml", "notebooks")


def project_root() -> Path:
    """Return the root of the reproduction book that the caller works in.

    It is `MVLIB_ROOT` if set, else the nearest folder at or above the current one that
    holds `_config.yml` and `notebooks`, else the checkout that mvlib is installed from.

    Raises
    ------
    ValueError
        If there is none: mvlib was installed without its book.
    """
    if root := os.environ.get("MVLIB_ROOT"):
        return Path(root).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if all((folder / mark).exists() for mark in _MARKS):
            return folder
    raise ValueError(
        f"no reproduction book at or above {here}: expected a folder that holds "
        f"{' and '.join(_MARKS)}; set MVLIB_ROOT or change into a checkout"
    )


def embedded_data() -> Path:
    """Return the folder of the data sets that ship with mvlib."""
    installed = Path(__file__).parent / "data" / "embedded"
    checkout = Path(__file__).resolve().parents[1] / "data" / "embedded"
    return installed if installed.is_dir() else checkout


def python_path() -> str:
    """Return `PYTHONPATH` with the folder of this mvlib first, whatever else is installed."""
    ours = str(Path(__file__).resolve().parents[1])
    theirs = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(dict.fromkeys([ours, *theirs]))
