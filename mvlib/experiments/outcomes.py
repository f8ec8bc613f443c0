"""How runs ended: for people, as a summary; for the files, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mvlib.experiments import provenance
from mvlib.experiments.keys import data_checksums
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.records import Record, check_record


@dataclass(frozen=True)
class Outcome:
    """How one planned run ended.

    Attributes
    ----------
    run : PlannedRun
        The run.
    word : {"ran", "failed", "recorded", "earlier version", "cannot", "interrupted", \
"not started"}
        What became of it; "not started" where nothing more could be saved, or the engine was
        lost.
    seconds : float or None
        Wall time, where it ran.
    reason : str or None
        Why it failed or cannot run.
    """

    run: PlannedRun
    word: str
    seconds: float | None = None
    reason: str | None = None


@dataclass
class Summary:
    """How a call of `run_all` ended: `outcomes`, and whether it was `interrupted`."""

    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Return 130 after Ctrl-C, 1 if a run failed or was given up, else 0."""
        if self.interrupted:
            return 130
        given_up = ("failed", "interrupted", "not started")
        return int(any(outcome.word in given_up for outcome in self.outcomes))

    def table(self) -> str:
        """Return a table of what became of the runs, with the reasons below it."""
        rows = [("experiment", "dataset", "status", "seconds")]
        for outcome in self.outcomes:
            run, seconds = outcome.run, outcome.seconds
            shown = "" if seconds is None else f"{seconds:.1f}"
            name = f"{run.paper}/{run.experiment}"
            rows.append((name, ", ".join(run.datasets) or "-", outcome.word, shown))
        lines = text_table(rows)
        for outcome in self.outcomes:
            if outcome.reason:
                last = outcome.reason.strip().splitlines()[-1]
                lines.append(f"{outcome.word} {outcome.run.name}: {last}")
        return "\n".join(lines)


def text_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows of text as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def make_record(
    run: PlannedRun,
    key: str,
    said: Mapping[str, Any],
    device: str,
    threads: int,
    git: Mapping[str, Any],
) -> Record:
    """Return the record of a run from what its process said of it.

    What the process says of its `threads` and `versions` goes before what is so here.
    Results that do not obey the schema make it the record of a failure.
    """
    outcome = {name: value for name, value in said.items() if name != "payload"}
    payload = said.get("payload") or {}
    record = {
        "key": key,
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
        check_record(record)
    except ValueError as error:
        record |= {"status": "failed", "error": str(error), "results": []}
    return record


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
