"""Claims on runs, so that two runners on one folder never do the same work at once."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


class Claims:
    """The runs that this runner has claimed; the system drops them if it is killed.

    Parameters
    ----------
    root : Path
        The project.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "runs" / "locks" / "claims"
        self._held: dict[str, FileLock] = {}

    def take(self, cell: str) -> bool:
        """Claim a run; return False, at once, if another runner has it.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / f"{cell}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self._held[cell] = lock
        return True

    def drop(self, cell: str) -> None:
        """Give a run back, if it was claimed: it is recorded, or was not started."""
        if cell in self._held:
            self._held.pop(cell).release()

    def drop_all(self) -> None:
        """Give all of them back."""
        for cell in list(self._held):
            self.drop(cell)
