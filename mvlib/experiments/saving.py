"""Keeping what a run left: its executed notebook and its record, or a word on why not."""

from __future__ import annotations

import errno
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mvlib._files import replacing
from mvlib.experiments import provenance
from mvlib.experiments.keys import run_key
from mvlib.experiments.outcomes import make_record
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.records import Record, records_path, save_record
from mvlib.experiments.tasks import failed_path

# Whatever is saved next would meet these again.
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PROBE = bytes(1 << 16)


def check_folders(runs: Iterable[PlannedRun], root: Path) -> None:
    """Check that what the runs leave can be written.

    Raises
    ------
    OSError
        Naming the folder, if one is read-only or full.
    """
    folders = [root / "runs"]
    folders += [records_path(run.paper, run.profile, root).parent for run in runs]
    for folder in dict.fromkeys(folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(_PROBE)
        except OSError as error:
            raise OSError(
                f"the results folder {folder} cannot be written to "
                f"({error.strerror or error}): nothing was started"
            ) from error


def nothing_can_be_saved(error: BaseException) -> bool:
    """Return whether an error says that the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in _LASTING


def save_outcome(
    run: PlannedRun,
    key: str,
    outcome: Mapping[str, Any],
    device: str,
    threads: int,
    git: Mapping[str, Any],
    root: Path,
) -> Record:
    """Save a run's executed notebook, where it came along, and its record; return that.

    Raises
    ------
    OSError, ValueError
        If one of them cannot be saved; neither is half written.
    """
    outcome = dict(outcome)
    content = outcome.pop("executed_content", None)
    if content is not None:
        _save_notebook(run, outcome["executed"], content, root)
    if (versions := outcome.get("versions")) is not None:
        key = _key_elsewhere(run, key, versions, root)
    record = make_record(run, key, outcome, device, threads, git)
    save_record(record, root)
    return record


def _save_notebook(run: PlannedRun, name: str, content: bytes, root: Path) -> None:
    places = (run.executed, failed_path(run))
    if name not in places:
        raise ValueError(f"executed={name!r}: expected one of {', '.join(places)}")
    try:
        notebook = zlib.decompress(content)
    except zlib.error as error:
        raise ValueError(f"the executed notebook came back damaged: {error}") from error
    with replacing(root / name) as temporary:
        temporary.write_bytes(notebook)


def _key_elsewhere(run: PlannedRun, key: str, versions: Mapping[str, str], root: Path) -> str:
    """Return the run's key with the packages' versions of the machine that ran it."""
    if versions == provenance.versions() or run_key(run, root) != key:
        # Sources that have changed meanwhile are not what ran.
        return key
    return run_key(run, root, versions)
