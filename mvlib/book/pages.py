"""The pages of what ran and of what failed, and the Markdown that pages are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mvlib.files import project_root
from mvlib.records import latest_records, load_faults, load_records, staleness
from mvlib.records.tables import inert

_TRACEBACK_LINES = 25
_PROFILES = {
    "quick": "Quick profile: small settings that `make reproduce` runs in minutes. Its records "
    "stay on the machine that made them.",
    "reduced": "Reduced profile: narrower networks and fewer epochs than the paper's, over "
    "more seeds, splits and settings than the full one can pay for. Its records are committed.",
    "full": "Full profile: the paper's settings. Its records are committed.",
}


def status_page(
    records: Iterable[dict[str, Any]] | None = None, root: str | Path | None = None
) -> str:
    """Return the page that says what ran, when, on what, how long and with how much memory."""
    root = Path(root or project_root())
    records = latest_records(load_records(root=root) if records is None else list(records))
    parts = [
        "# Status",
        "What ran, when, on what, and for how long? One line a run: the newest that "
        "succeeded, else the newest failure.",
    ]
    for profile, about in _PROFILES.items():
        runs = [record for record in records if record["profile"] == profile]
        runs.sort(key=_order)
        parts += [f"## {profile.capitalize()} profile", about]
        if not runs:
            parts.append(f"No run of the {profile} profile is recorded here.")
            continue
        header = [
            "experiment", "parameters", "device", "started (UTC)", "version", "status",
            "minutes", "memory, GB", "GPU memory, GB",
        ]  # fmt: skip
        rows = [[*_row(run), staleness(run, root), *_end(run)] for run in runs]
        done = sum(run["status"] == "ok" for run in runs)
        minutes = sum(run["wall_seconds"] for run in runs) / 60
        total = f"{done} of {len(runs)} runs succeeded, {minutes:.1f} minutes in all."
        parts += [table(header, rows, numeric=3), total]
    if tried := load_faults(root).values():
        verdicts = Counter(fault.verdict for fault in tried)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        parts += [
            "## Faults",
            f"What was broken on purpose, and what came of it: {counts}; the last on "
            f"{inert(max(fault.date for fault in tried))}. [Each with its result](faults.md).",
        ]
    parts += [
        "## What the words mean",
        "**current**: each method of the record has the version that it has in this checkout. "
        "**earlier version**: one of them has a higher version now, or the notebook or the "
        "data have changed since; for a quick run, also a module that it loaded. The numbers "
        "are kept and shown; nothing is repeated behind your back. Memory is the highest that "
        "one process of the run held at once.",
    ]
    return "\n\n".join(parts) + "\n"


def failures_page(
    records: Iterable[dict[str, Any]] | None = None, root: str | Path | None = None
) -> str:
    """Return the page of the runs that failed, with the end of each traceback."""
    root = Path(root or project_root())
    records = latest_records(load_records(root=root) if records is None else list(records))
    runs = [record for record in records if record["status"] == "failed"]
    parts = ["# Failures", "Which runs failed, and how?"]
    if not runs:
        parts.append("None: no recorded run has failed.")
    for run in sorted(runs, key=_order):
        _, parameters, device, started = _row(run)
        lines = str(run["error"] or "no message").splitlines()
        shown = [
            line for line in lines[-_TRACEBACK_LINES:] if not line.lstrip().startswith("````")
        ]
        cut = f" The last {_TRACEBACK_LINES} of {len(lines)} lines:"
        parts += [
            f"## {run['paper']}: {run['experiment']} ({run['profile']}, {run['key'][:8]})",
            f"{parameters}; started {started} UTC on {device}."
            + cut * (len(lines) > _TRACEBACK_LINES),
            "````text\n" + "\n".join(shown) + "\n````",
        ]
        if run.get("executed"):
            parts.append(f"The executed notebook, as far as it came: {code(run['executed'])}.")
    return "\n\n".join(parts) + "\n"


def _order(run: dict[str, Any]) -> tuple[str, ...]:
    return run["paper"], run["experiment"], describe_parameters(run), run["key"]


def _row(run: dict[str, Any]) -> list[str]:
    return [
        f"{run['paper']}: {run['experiment']}",
        describe_parameters(run),
        inert(run["device"]),
        run["started"][:16].replace("T", " "),
    ]


def _end(run: dict[str, Any]) -> list[str]:
    word = "ok" if run["status"] == "ok" else "[failed](failures.md)"
    memory = (run["peak_memory_bytes"], run["gpu_peak_memory_bytes"])
    shown = ["" if size is None else f"{size / 1e9:.2f}" for size in memory]
    return [word, f"{run['wall_seconds'] / 60:.1f}", *shown]


def table(header: list[str], rows: list[list[str]], numeric: int = 0) -> str:
    """Return a Markdown table, its last `numeric` columns set to the right."""
    marks = [":--"] * (len(header) - numeric) + ["--:"] * numeric
    lines = [
        [" ".join(str(value).replace("|", "\\|").splitlines()).strip() for value in line]
        for line in (header, marks, *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_parameters(run: dict[str, Any]) -> str:
    """Return the parameters that distinguish a run, the seeds by their number."""
    words = []
    for name, value in sorted(run["parameters"].items()):
        if name in ("profile", "device") or value is None:
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"{name.replace('_', ' ')} {shown}")
    return inert("; ".join(words)) or "the notebook's own"


def code(text: str) -> str:
    """Return text as Markdown code, whatever it holds."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"
