"""Where runs stand while runners, this one and perhaps others, are at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.records import Record, latest_records, load_records
from mvlib.experiments.state import RECORDED, TO_RUN, State, state_of


class Standing:
    """Judges runs by the records there are, and by those that came since the start.

    Parameters
    ----------
    root : Path
        The project.
    rerun_earlier, again : bool
        As `state_of` takes them.
    """

    def __init__(self, root: Path, rerun_earlier: bool, again: bool) -> None:
        self._root = root
        self._choices = (rerun_earlier, again)
        self._seen: set[str] = set()

    def without_record(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Return the runs that no version has recorded, a quick look."""
        recorded = {record["cell"] for record in load_records(root=self._root)}
        return [run for run in runs if run.cell not in recorded]

    def at_start(
        self, runs: Sequence[PlannedRun], data_elsewhere: Sequence[bool]
    ) -> list[State]:
        """Return where each run stands before any starts."""
        records = load_records(root=self._root)
        self._seen = set(map(_identity, records))
        return [
            state_of(run, records, self._root, *self._choices, elsewhere)
            for run, elsewhere in zip(runs, data_elsewhere, strict=True)
        ]

    def now(self, run: PlannedRun, data_elsewhere: bool) -> State:
        """Return where a run stands that this runner has claimed.

        What another runner has done since the start is not done again, not even where it
        failed or where what is recorded is to be repeated.
        """
        records = load_records(run.paper, root=self._root)
        state = state_of(run, records, self._root, *self._choices, data_elsewhere)
        if state.word != TO_RUN:
            return state
        news = [
            record
            for record in records
            if (record["cell"], record["key"]) == (run.cell, state.key)
            and _identity(record) not in self._seen
        ]
        if not news:
            return state
        (newest,) = latest_records(news)
        word = RECORDED if newest["status"] == "ok" else "failed"
        return State(word, newest.get("error"))


def _identity(record: Record) -> str:
    """Return what no two records share, whatever else a file's line holds."""
    names = ("key", "sequence", "started", "wall_seconds", "status")
    return repr([record.get(name) for name in names])
