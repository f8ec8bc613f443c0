"""What one run may use of a worker's machine: how many threads, and which card."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from mvlib._validation import check_number
from mvlib.experiments.provenance import available_cores

CORES = "MVLIB_CORES"


def share_of_cores(own_slots: int, slots_on_host: int) -> int:
    """Return how many threads a run gets.

    Parameters
    ----------
    own_slots : int
        Runs at a time of this worker.
    slots_on_host : int
        Runs at a time of all workers on this machine.

    Returns
    -------
    int
        The cores that this process may use, shared out among the runs of all workers of the
        machine. `MVLIB_CORES` says how many of them this worker has to itself, as one in a
        queue's job has.

    Raises
    ------
    ValueError
        If `MVLIB_CORES` is no count.
    """
    cores = available_cores()
    if text := os.environ.get(CORES):
        given = check_number(CORES, int(text) if text.isdigit() else text, low=1, integer=True)
        return max(1, min(given, cores) // own_slots)
    return max(1, cores // max(slots_on_host, own_slots))


class Cards:
    """The GPUs of a worker, handed out one a run.

    Parameters
    ----------
    count : int
        How many runs on a GPU the worker takes at a time: its resource `GPU`.
    environment : mapping of str to str
        The worker's; its `CUDA_VISIBLE_DEVICES` names its cards, by default those from 0 to
        count - 1. With fewer cards than `count`, runs share them evenly.

    Raises
    ------
    ValueError
        If there is no card to hand out.
    """

    def __init__(self, count: int, environment: Mapping[str, str]) -> None:
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        names = [str(card) for card in range(count)] if visible is None else visible.split(",")
        self._used = {name.strip(): 0 for name in names if name.strip()}
        if not self._used:
            raise ValueError(
                f"CUDA_VISIBLE_DEVICES={visible!r} leaves no card, and the worker declares "
                f"GPU={count}: expected the cards that it may use, or no such resource"
            )
        self._lock = threading.Lock()

    def take(self) -> str:
        """Return the card that the fewest runs use; give it back with `give`."""
        with self._lock:
            card = min(self._used, key=self._used.__getitem__)
            self._used[card] += 1
            return card

    def give(self, card: str) -> None:
        """Take a card back."""
        with self._lock:
            self._used[card] -= 1
