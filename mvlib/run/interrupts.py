"""Ctrl-C: once to finish what runs, twice to stop it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interrupt:
    """Whether Ctrl-C has `asked` for nothing more to start."""

    asked: bool = False


@contextmanager
def finishing_first(in_flight: Callable[[], int]) -> Iterator[Interrupt]:
    """Let the first Ctrl-C only be noted while something is in flight."""
    interrupt = Interrupt()

    def handle(number: int, frame: object) -> None:
        count = in_flight()
        if interrupt.asked or not count:
            raise KeyboardInterrupt
        interrupt.asked = True
        runs = "1 run" if count == 1 else f"{count} runs"
        start = "\n" if sys.stderr.isatty() else ""
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"{start}finishing {runs}; Ctrl-C again stops them\n".encode())

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(
        signal.SIGINT
    ) in (signal.SIG_IGN, None):
        yield interrupt
        return
    former = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, former)
