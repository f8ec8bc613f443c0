"""Where each planned run stands: recorded, to run, or impossible here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mvlib._validation import check_choice
from mvlib.experiments.keys import CURRENT, EARLIER, run_key, staleness
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.recorder import COMMITTED_PROFILES
from mvlib.experiments.records import Record
from mvlib.experiments.schemas import quick_jsonschema

RECORDED = "recorded"
TO_RUN = "to run"
CANNOT = "cannot"
_MISSING = "not at hand"


@dataclass(frozen=True)
class State:
    """Where a planned run stands.

    Attributes
    ----------
    word : {"recorded", "earlier version", "to run", "cannot"}
        "earlier version": a reduced or full run recorded by sources that have changed since.
    reason : str or None
        Why it cannot run.
    key : str or None
        Its key, where it is to run.
    """

    word: str
    reason: str | None = None
    key: str | None = None


def state_of(
    run: PlannedRun,
    records: Iterable[Record],
    root: Path,
    rerun_earlier: bool = False,
    again: bool = False,
    data_elsewhere: bool = False,
) -> State:
    """Return where a run stands.

    A quick run is recorded if its key has a record and its executed notebook is there, for
    the book shows it. A reduced or full run is recorded if today's sources would do the
    same work: the committed records of another machine, with other versions of packages,
    count.

    Parameters
    ----------
    run : PlannedRun
        The run.
    records : iterable of dict
        Those at hand.
    root : Path
        The project.
    rerun_earlier : bool, default=False
        Whether what an earlier version recorded is to run again.
    again : bool, default=False
        Whether what is recorded is to run again, too.
    data_elsewhere : bool, default=False
        Whether the run would read its data on another machine, which knows whether they are
        at hand.
    """
    mine = [r for r in records if r["cell"] == run.cell and r["status"] == "ok" and not again]
    if run.profile in COMMITTED_PROFILES and mine:
        if any(staleness(record, root) == CURRENT for record in mine):
            return State(RECORDED)
        if not rerun_earlier:
            return State(EARLIER)
    missing = None if data_elsewhere else why_not_at_hand(run.datasets)
    if reason := run.cannot or missing:
        return State(CANNOT, reason)
    key = run_key(run, root)
    if any(record["key"] == key for record in mine) and (root / run.executed).is_file():
        return State(RECORDED)
    return State(TO_RUN, key=key)


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
    """Return the word for one data set; its files are hashed, so look once a folder."""
    from mvlib import data

    if data.is_at_hand(name):
        return "at hand"
    linked = all(file.url and file.sha256 for file in data.describe(name).files)
    return "to be fetched" if linked else _MISSING


def check_parameters(runs: Iterable[PlannedRun], root: Path) -> dict[str, set[str]]:
    """Check the plan's parameters against those of the notebooks.

    Returns
    -------
    dict of str to set of str
        Notebook to the names of its parameters.

    Raises
    ------
    ValueError
        If a notebook has no cell tagged `parameters`, or the plan passes one that it does
        not have; the nearest name is given.
    """
    quick_jsonschema()
    import papermill

    known: dict[str, set[str]] = {}
    for run in runs:
        if run.notebook not in known:
            try:
                names = papermill.inspect_notebook(str(root / run.notebook))
            except ValueError as error:
                raise ValueError(f"{run.notebook} cannot be inspected: {error}") from error
            known[run.notebook] = set(names)
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

    top = git("rev-parse", "--show-toplevel")
    commit = git("rev-parse", "HEAD") if top and Path(top).resolve() == root else None
    if commit is None:
        return {"git_commit": None, "git_dirty": None}
    # The records that the run before left are no change of what this one runs.
    changes = git("status", "--porcelain", "--", ".", ":(exclude)data/results")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}
