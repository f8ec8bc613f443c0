"""Where each planned run stands, recorded, to run or impossible here, and how it ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mvlib.check import check_choice
from mvlib.records.keys import (
    CURRENT,
    EARLIER,
    code_cells,
    parameter_values,
    record_key,
    run_key,
    staleness,
)
from mvlib.records.plan import PlannedRun
from mvlib.records.provenance import sources_are_those_of
from mvlib.records.recorder import COMMITTED_PROFILES
from mvlib.records.store import Record, latest_records, load_records
from mvlib.records.tables import no_public_link
from mvlib.records.versions import is_earlier

RECORDED = "recorded"
TO_RUN = "to run"
CANNOT = "cannot"
_MISSING = "not at hand"


@dataclass(frozen=True)
class Outcome:
    """Where a planned run stands, or how it ended."""

    run: PlannedRun
    word: str
    seconds: float | None = None
    reason: str | None = None
    key: str | None = None


def state_of(
    run: PlannedRun,
    records: Iterable[Record],
    root: Path,
    rerun_earlier: bool = False,
    again: bool = False,
    data_elsewhere: bool = False,
) -> Outcome:
    """Return where a run stands."""
    cell = run.cell
    mine = [r for r in records if r["cell"] == cell and r["status"] == "ok" and not again]
    committed = run.profile in COMMITTED_PROFILES
    if committed and mine:
        if any(staleness(record, root) == CURRENT for record in mine):
            return Outcome(run, RECORDED)
        if not rerun_earlier:
            return Outcome(run, EARLIER)
    missing = None if data_elsewhere else why_not_at_hand(run.datasets)
    if reason := run.cannot or missing:
        return Outcome(run, CANNOT, reason=reason)
    key = run_key(run, root)
    if (
        not committed
        and any(_is_of(record, key) for record in mine)
        and (root / run.executed).is_file()
        and sources_are_those_of(run.executed, root)
    ):
        return Outcome(run, RECORDED)
    return Outcome(run, TO_RUN, key=key)


class Standing:
    """Judges runs by the records there are, and by those that came since the start."""

    def __init__(self, root: Path, rerun_earlier: bool, again: bool) -> None:
        self._root, self._choices = root, (rerun_earlier, again)
        self._first = load_records(root=root)
        self._seen = set(map(_identity, self._first))

    def at_start(self, run: PlannedRun, data_elsewhere: bool) -> Outcome:
        """Return where a run stands before any starts."""
        return state_of(run, self._first, self._root, *self._choices, data_elsewhere)

    def now(self, run: PlannedRun, data_elsewhere: bool) -> Outcome:
        """Return where a run stands that this runner has locked."""
        records = load_records(run.paper, root=self._root, cells={run.cell})
        state = state_of(run, records, self._root, *self._choices, data_elsewhere)
        if state.word != TO_RUN:
            return state
        mine = [r for r in records if r["cell"] == run.cell and _is_of(r, state.key)]
        news = [record for record in mine if _identity(record) not in self._seen]
        if not news:
            return state
        (newest,) = latest_records(news)
        word = RECORDED if newest["status"] == "ok" else "failed"
        return Outcome(run, word, reason=newest["error"])


def _is_of(record: Record, key: str) -> bool:
    versions = record.get("method_versions", {})
    return record["key"] == record_key(key, versions) and not is_earlier(versions)


def _identity(record: Record) -> str:
    names = ("key", "sequence", "started", "wall_seconds", "status")
    return repr([record.get(name) for name in names])


def why_not_at_hand(datasets: Iterable[str]) -> str | None:
    """Return why the data can be neither read nor fetched, or None if they can."""
    for name in datasets:
        if data_at_hand([name]) == _MISSING:
            from mvlib import data

            return f"data not at hand: {data.describe(name).how_to_get}"
    return None


def data_at_hand(datasets: Iterable[str]) -> str:
    """Return "at hand", "to be fetched" or "not at hand"; "none" where none are read."""
    from mvlib import data

    folder = str(data.data_folder())
    words = ["none", *(_data_word(name, folder) for name in datasets)]
    return max(words, key=("none", "at hand", "to be fetched", _MISSING).index)


@lru_cache
def _data_word(name: str, folder: str) -> str:
    # Its files are hashed, so look once a folder.
    from mvlib import data

    if data.is_at_hand(name):
        return "at hand"
    return "to be fetched" if no_public_link(name) is None else _MISSING


def check_parameters(runs: Iterable[PlannedRun], root: Path) -> dict[str, set[str]]:
    """Check the plan's parameters against those of the notebooks; return these by notebook."""
    known: dict[str, set[str]] = {}
    for run in runs:
        if run.notebook not in known:
            known[run.notebook] = set(parameter_values(code_cells(root / run.notebook)[1]))
        if not known[run.notebook]:
            raise ValueError(f"{run.notebook} has no cell tagged 'parameters' that sets some")
        for name in run.parameters:
            check_choice(f"{run.notebook}: parameter", name, sorted(known[run.notebook]))
    return known


def git_state(root: Path) -> Mapping[str, str | bool | None]:
    """Return `git_commit` and `git_dirty`, both None where `root` is no git checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top, _, commit = (git("rev-parse", "--show-toplevel", "HEAD") or "").partition("\n")
    if not commit or Path(top).resolve() != root:
        return {"git_commit": None, "git_dirty": None}
    # The records that the run before left are no change of what this one runs.
    changes = git("status", "--porcelain", "--", ".", ":(exclude)data/results")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


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
        reasons = []
        for outcome in self.outcomes:
            run, seconds = outcome.run, outcome.seconds
            shown = "" if seconds is None else f"{seconds:.1f}"
            name = f"{run.paper}/{run.experiment}"
            rows.append((name, ", ".join(run.datasets) or "-", outcome.word, shown))
            if outcome.reason:
                last = outcome.reason.strip().splitlines()[-1]
                reasons.append(printable(f"{outcome.word} {run.name}: {last}"))
        return "\n".join(text_table(rows) + reasons)


def text_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows of text as aligned lines, in which a terminal has nothing to obey."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def printable(text: str) -> str:
    """Return text with a question mark for what a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
