"""What tests let an engine's workers execute in the place of notebooks."""

import os
import signal
import time

from mvlib.experiments.outcomes import lost
from mvlib.experiments.plan import PlannedRun


def look_around(task):
    """Say what a run sees of its machine."""
    time.sleep(task["parameters"].get("seconds", 0))
    seen = {
        "cards": os.environ["CUDA_VISIBLE_DEVICES"], "root": task["root"],
        "asked": task["threads"], "worker": task["worker"], "pid": os.getpid(),
    }  # fmt: skip
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
