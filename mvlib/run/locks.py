"""Locks on runs, so that no two runners, of one checkout or of several, do the same work."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from mvlib.records.plan import PlannedRun
from mvlib.records.store import records_file

_FOLDER = ".running"


class Locks:
    """The runs that this runner has locked; the system unlocks them if it is killed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[str, FileLock] = {}

    def take(self, run: PlannedRun) -> bool:
        """Lock a run; return False, at once, if another runner has it."""
        folder = records_file(run.paper, run.profile, self._root).parent / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{run.cell}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self._held[run.cell] = lock
        return True

    def drop(self, run: PlannedRun) -> None:
        """Give a run back, if it was locked: it is recorded, or was not started."""
        if (lock := self._held.pop(run.cell, None)) is not None:
            _release(lock)

    def drop_all(self) -> None:
        """Give all of them back."""
        while self._held:
            _release(self._held.popitem()[1])


def _release(lock: FileLock) -> None:
    # Who waits for it sees that the file is gone, and makes a new one.
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
