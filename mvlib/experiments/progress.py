"""What each runner at work says of itself, for `mvlib status --watch` to read."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mvlib._files import write_text
from mvlib._reading import check_list, check_table, check_text, read_json
from mvlib._validation import check_number
from mvlib.experiments.outcomes import Outcome
from mvlib.experiments.plan import PlannedRun

_DONE = ("ran", "recorded", "earlier version")
_MOST_SLOTS = 10**6
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Flight:
    """A run in flight, its key, and when it began.

    `monotonic` is right whatever is done to the clock, on this machine until it is booted;
    `epoch` (s since 1970) is for other machines.
    """

    run: PlannedRun
    key: str
    monotonic: float = field(default_factory=time.monotonic)
    epoch: float = field(default_factory=time.time)


class Progress:
    """A runner's file, `runs/state/<host>-<process>.json`, and the lock that says it lives.

    Trouble with the file is no trouble for the runs: it is left out then.

    Parameters
    ----------
    root : Path
        The project.
    """

    def __init__(self, root: Path) -> None:
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
        self._path = _folder(root) / f"{host}-{os.getpid()}.json"
        self._lock = FileLock(self._path.with_suffix(".lock"), timeout=1)
        self._told: tuple[Any, ...] | None = None

    def __enter__(self) -> Progress:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock.is_locked:
            _remove(self._path)
            self._lock.release()

    def tell(
        self,
        flights: Iterable[Flight],
        waiting: Iterable[PlannedRun],
        outcomes: Mapping[str, Outcome],
        slots: int,
    ) -> None:
        """Write down where the runs stand, if that has changed.

        Parameters
        ----------
        flights : iterable of Flight
            Those in flight.
        waiting : iterable of PlannedRun
            Those that wait, for room or for another runner.
        outcomes : mapping of str to Outcome
            By cell, of those that have ended.
        slots : int
            How many can be in flight.
        """
        flights, waiting = list(flights), list(waiting)
        news = ([flight.run.cell for flight in flights], len(waiting), len(outcomes), slots)
        if news == self._told or not self._lock.is_locked:
            return
        self._told = news
        ran = [o for o in outcomes.values() if o.word == "ran" and o.seconds is not None]
        runs = [*(flight.run for flight in flights), *waiting]
        state = {
            "clock": _clock(),
            "slots": slots,
            "profiles": sorted(
                {run.profile for run in runs} | {o.run.profile for o in outcomes.values()}
            ),
            "running": [
                {
                    "cell": flight.run.cell,
                    "name": flight.run.name,
                    "minutes": flight.run.minutes,
                    "monotonic": flight.monotonic,
                    "epoch": flight.epoch,
                }
                for flight in flights
            ],
            "waiting": {run.cell: run.minutes for run in waiting},
            "ended": {cell: outcome.word for cell, outcome in outcomes.items()},
            "took_seconds": sum(outcome.seconds for outcome in ran),
            "expected_seconds": sum(60 * outcome.run.minutes for outcome in ran),
        }
        with contextlib.suppress(OSError):
            write_text(self._path, json.dumps(state))


@dataclass(frozen=True)
class Running:
    """A run in flight: its name, and how long it has run and was expected to."""

    name: str
    seconds: float
    minutes: float


@dataclass
class Work:
    """What the runners at work have done, do and will do, taken together.

    Attributes
    ----------
    running : dict of str to Running
        By cell.
    waiting : dict of str to float
        Expected minutes by cell.
    ended : dict of str to str
        The outcome's word by cell.
    profiles : set of str
        Of their runs.
    slots : int
        How many can be in flight.
    took_seconds, expected_seconds : float
        Of those that ran: in truth, and as the plan expected.
    """

    running: dict[str, Running] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    profiles: set[str] = field(default_factory=set)
    slots: int = 0
    took_seconds: float = 0.0
    expected_seconds: float = 0.0

    def counts(self) -> dict[str, int]:
        """Return how many are done, running, waiting and failed."""
        words = Counter(self.ended.values())
        return {
            "done": sum(words[word] for word in _DONE),
            "running": len(self.running),
            "waiting": len(self.waiting),
            "failed": words["failed"],
        }

    def seconds_left(self) -> float:
        """Return an estimate: the plan's expectation, scaled as it was wrong so far."""
        scale = 1.0
        if self.took_seconds and self.expected_seconds:
            scale = self.took_seconds / self.expected_seconds
        ends = [max(0.0, 60 * r.minutes * scale - r.seconds) for r in self.running.values()]
        ends += [0.0] * (self.slots - len(ends))
        heapq.heapify(ends)
        for minutes in sorted(self.waiting.values(), reverse=True):
            heapq.heapreplace(ends, ends[0] + 60 * minutes * scale)
        return max(ends, default=0.0)


def work_at(root: Path, profile: str | None = None) -> Work | None:
    """Return what the runners at work say, or None where none is; dead ones' files go.

    Parameters
    ----------
    root : Path
        The project.
    profile : {"quick", "reduced", "full"}, optional
        Only runners with runs of it; all by default.
    """
    states = [
        state for path in sorted(_folder(root).glob("[!.]*.json")) if (state := _read(path))
    ]
    if profile is not None:
        states = [state for state in states if profile in state["profiles"]]
    if not states:
        return None
    work = Work()
    for state in states:
        here = state["clock"] == _clock()
        for run in state["running"]:
            began = run["monotonic"] if here else run["epoch"]
            seconds = max(0.0, (time.monotonic() if here else time.time()) - began)
            work.running[run["cell"]] = Running(run["name"], seconds, run["minutes"])
        work.waiting |= state["waiting"]
        for cell, word in state["ended"].items():
            if work.ended.get(cell) not in _DONE:
                work.ended[cell] = word
        work.profiles |= set(state["profiles"])
        work.slots += state["slots"]
        work.took_seconds += state["took_seconds"]
        work.expected_seconds += state["expected_seconds"]
    # What one runner waits for, another may have in flight or behind it.
    work.ended = {cell: word for cell, word in work.ended.items() if cell not in work.running}
    begun = work.running.keys() | work.ended.keys()
    work.waiting = {cell: m for cell, m in work.waiting.items() if cell not in begun}
    return work


def _folder(root: Path) -> Path:
    return root / "runs" / "state"


def _clock() -> str:
    """Return what machines share if they share a monotonic clock: a boot."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def _read(path: Path) -> dict[str, Any] | None:
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except (Timeout, PermissionError):
        # Another's; whether somebody else's runner lives cannot be seen.
        with contextlib.suppress(OSError, ValueError):
            return _checked(read_json(path))
        return None
    _remove(path)
    lock.release()
    return None


def _checked(state: Any) -> dict[str, Any]:
    """Return what a runner has written; whatever else is there is a ValueError."""
    check_table("state", state)
    check_text("clock", state.get("clock"))
    check_list("profiles", state.get("profiles"), str)
    for name in ("slots", "took_seconds", "expected_seconds"):
        check_number(name, state.get(name), low=0)
    check_number("slots", state["slots"], integer=True, high=_MOST_SLOTS)
    for cell, minutes in check_table("waiting", state.get("waiting")).items():
        check_number(cell, minutes, low=0)
    for cell, word in check_table("ended", state.get("ended")).items():
        check_text(cell, word)
    for run in check_list("running", state.get("running"), dict):
        for name in ("cell", "name"):
            if not check_text(name, run.get(name)).isprintable():
                # It is shown on a terminal, which obeys what cannot be printed.
                raise ValueError(f"{name}={run[name]!r}: expected one line of text")
        for name in ("minutes", "monotonic", "epoch"):
            check_number(name, run.get(name), low=0)
    return state


def _remove(path: Path) -> None:
    for each in (path, path.with_suffix(".lock")):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)
