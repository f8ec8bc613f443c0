"""What tests let an engine's workers execute in the place of notebooks."""

import os
import signal
import time
from pathlib import Path

from mvlib.experiments.outcomes import lost
from mvlib.experiments.plan import PlannedRun


def look_around(task):
    """Say what a run sees of its machine."""
    seen = {
        "cards": os.environ["CUDA_VISIBLE_DEVICES"],
        "root": task["root"],
        "threads": task["threads"],
        "worker": task["worker"],
    }
    return {**lost(PlannedRun(**task["run"]), ""), "status": "ok", "payload": seen}


def kill_worker(_):
    """Take the worker down from within a run."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def vanish(_):
    """End as a process does that the system kills for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def linger(_):
    """Take ever so long."""
    time.sleep(600)


def meet(task):
    """Wait until as many runs are there as are to meet, then say what `look_around` does."""
    place, count = Path(task["parameters"]["place"]), task["parameters"]["count"]
    (place / str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(list(place.iterdir())) < count and time.monotonic() < end:
        time.sleep(0.05)
    return look_around(task)
