"""What a run leaves: the results in its executed notebook, its sources, and its record."""

from __future__ import annotations

import errno
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mvlib.files import replacing, shorten
from mvlib.records import provenance
from mvlib.records.keys import data_checksums, record_key, run_key
from mvlib.records.plan import PlannedRun
from mvlib.records.provenance import save_sources
from mvlib.records.recorder import RESULTS_MIME
from mvlib.records.store import Record, check_record, records_path, save_record, writing_records
from mvlib.records.versions import versions_of

# Whatever is saved next would meet these again.
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_OF_RUN = ("paper", "experiment", "notebook", "profile")
_PROBE = bytes(1 << 16)
# What a terminal obeys: sequences (CSI, OSC and their like), then any other control character.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[P^_\]X]|[\x90\x9d-\x9f])[^\x07\x1b\x9c]*"
    r"(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[^\S \n\t]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TAIL_LINES = 30
_LONGEST_LINE = 1000


def check_folders(runs: Iterable[PlannedRun], root: Path) -> None:
    """Check that what the runs leave can be written."""
    folder = root / "runs"
    try:
        _probe(folder)
        for paper, profile in dict.fromkeys((run.paper, run.profile) for run in runs):
            folder = records_path(paper, profile, root).parent
            with writing_records(paper, profile, root):
                _probe(folder)
    except OSError as error:
        raise OSError(
            f"the results folder {folder} cannot be written to "
            f"({error.strerror or error}): nothing was started"
        ) from error


def _probe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(_PROBE)


def nothing_can_be_saved(error: BaseException) -> bool:
    """Return whether an error says that the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in _LASTING


def failed_path(run: PlannedRun) -> str:
    """Return where a notebook that failed is kept, from the project's root."""
    return f"runs/failed/{run.profile}-{run.paper}-{Path(run.executed).name}"


def lost(run: PlannedRun, reason: str) -> dict[str, Any]:
    """Return the outcome of a run whose process could not say how it went."""
    return {
        "status": "failed", "error": reason, "payload": None, "executed": run.notebook,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_bytes": 0,
    }  # fmt: skip


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
    outcome = dict(said)
    payload = outcome.pop("payload", None) or {}
    record = {
        **{name: getattr(run, name) for name in ("cell", *_OF_RUN)},
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
        full = _with_versions(record, run, key)
        check_record(full)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        failed = {"status": "failed", "error": str(error), "results": []}
        return _with_versions(record | failed, run, key)
    return full


def _with_versions(record: Record, run: PlannedRun, key: str) -> Record:
    versions = versions_of(record["results"], run.method)
    return {**record, "key": record_key(key, versions), "method_versions": versions}


def results_in(notebook: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `Recorder.finish` left in the executed notebook of a run."""
    found = [
        output["data"][RESULTS_MIME]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if RESULTS_MIME in output.get("data", {})
    ]
    if not found:
        raise ValueError(
            "the notebook ended without results: expected its last cell to call "
            "Recorder.finish()"
        )
    if not isinstance(found[-1], dict) or not isinstance(found[-1].get("results"), list):
        raise ValueError(
            "the notebook's results are not what Recorder.finish() writes: expected nothing "
            f"else under {RESULTS_MIME}"
        )
    for name in ("paper", "experiment", "profile"):
        if (given := found[-1].get(name)) != run[name]:
            raise ValueError(
                f"the notebook's results are of {name} {shorten(repr(given))}: expected "
                f"{run[name]!r}; look at what it passes to Recorder"
            )
    # One that reads records has none of its own.
    if not found[-1]["results"] and not run.get("after"):
        raise ValueError("the notebook recorded no result: expected a call of Recorder.add()")
    return found[-1]


def plain_error(text: str, root: Path) -> str:
    """Return the end of an error's text: no colours, no controls, no places of this machine."""
    text = _CONTROLS.sub("?", _SEQUENCES.sub("", text.replace("\r\n", "\n")))
    places = {
        str(root): ".",
        sys.prefix: "<python>",
        sys.base_prefix: "<python>",
        tempfile.gettempdir(): "<temporary>",
        str(Path.home()): "~",
    }
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            text = text.replace(place, places[place])
    lines = text.strip().splitlines()[-_TAIL_LINES:]
    return "\n".join(line[:_LONGEST_LINE] for line in lines) or "no message"
