"""Keeping what a run left: its executed notebook, its sources, and its record."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mvlib.files import replacing
from mvlib.records import provenance
from mvlib.records.keys import data_checksums, record_key, run_key
from mvlib.records.plan import PlannedRun
from mvlib.records.provenance import save_sources
from mvlib.records.store import (
    Record,
    check_record,
    records_path,
    save_record,
    writing_records,
)
from mvlib.records.versions import versions_of

# Whatever is saved next would meet these again.
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PROBE = bytes(1 << 16)


def check_folders(runs: Iterable[PlannedRun], root: Path) -> None:
    """Check that what the runs leave can be written."""
    files = dict.fromkeys((run.paper, run.profile) for run in runs)
    for folder in dict.fromkeys(
        [root / "runs", *(records_path(*f, root).parent for f in files)]
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(_PROBE)
            for paper, profile in files:
                if records_path(paper, profile, root).parent == folder:
                    with writing_records(paper, profile, root):
                        pass
        except OSError as error:
            raise OSError(
                f"the results folder {folder} cannot be written to "
                f"({error.strerror or error}): nothing was started"
            ) from error


def nothing_can_be_saved(error: BaseException) -> bool:
    """Return whether an error says that the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in _LASTING


def failed_path(run: PlannedRun) -> str:
    """Return where a notebook that failed is kept, from the project's root."""
    return f"runs/failed/{run.profile}-{run.paper}-{Path(run.executed).name}"


def lost(run: PlannedRun, reason: str) -> dict[str, Any]:
    """Return the outcome of a run whose process could not say how it went."""
    return {
        "status": "failed",
        "error": reason,
        "payload": None,
        "executed": run.notebook,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 0.0,
        "cpu_seconds": 0.0,
        "peak_memory_bytes": 0,
    }


def save_outcome(
    run: PlannedRun,
    key: str,
    outcome: Mapping[str, Any],
    device: str,
    threads: int,
    git: Mapping[str, Any],
    root: Path,
) -> Record:
    """Save a run's executed notebook, where there is one, and its record; return that."""
    outcome = dict(outcome)
    content, sources = outcome.pop("executed_content", None), outcome.pop("sources", {})
    if content is not None:
        if (name := outcome["executed"]) not in (run.executed, failed_path(run)):
            raise ValueError(f"executed={name!r}: expected a place below runs/")
        try:
            with replacing(root / name) as temporary:
                temporary.write_bytes(content)
            if name == run.executed:
                save_sources(name, sources, root)
        except OSError as error:
            reason = f"the executed notebook could not be written: {error.strerror}"
            outcome |= {"status": "failed", "payload": None, "executed": run.notebook}
            outcome["error"] = outcome.get("error") or reason
    versions = outcome.get("versions", provenance.versions())
    # Sources that have changed meanwhile are not what ran.
    if versions != provenance.versions() and run_key(run, root) == key:
        key = run_key(run, root, versions)
    record = make_record(run, key, outcome, device, threads, git)
    save_record(record, root)
    return record


def make_record(
    run: PlannedRun,
    key: str,
    said: Mapping[str, Any],
    device: str,
    threads: int,
    git: Mapping[str, Any],
) -> Record:
    """Return the record of a run from what its process said of it."""
    outcome = {name: value for name, value in said.items() if name != "payload"}
    payload = said.get("payload") or {}
    record = {
        "cell": run.cell,
        "paper": run.paper,
        "experiment": run.experiment,
        "notebook": run.notebook,
        "profile": run.profile,
        "parameters": dict(run.parameters),
        "datasets": data_checksums(run.datasets),
        "results": payload.get("results", []),
        "device": payload.get("device", device),
        "threads": threads,
        "gpu_peak_memory_bytes": payload.get("gpu_peak_memory_bytes"),
        "versions": provenance.versions(),
        **git,
        **outcome,
    }
    try:
        check_record(_with_versions(record, run, key))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        record |= {"status": "failed", "error": str(error), "results": []}
    return _with_versions(record, run, key)


def _with_versions(record: Record, run: PlannedRun, key: str) -> Record:
    versions = versions_of(record["results"], run.method)
    return {**record, "key": record_key(key, versions), "method_versions": versions}
