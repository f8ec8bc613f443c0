"""What tests let an engine's workers execute in the place of notebooks."""

import os
import signal
import threading
import time
from pathlib import Path

from mvlib.records.plan import PlannedRun
from mvlib.run.process import RunLostError
from mvlib.run.saving import lost


def look_around(task, _):
    """Say what a run sees of its machine."""
    seen = {
        "cards": task["environment"]["CUDA_VISIBLE_DEVICES"],
        "root": task["root"],
        "threads": task["threads"],
        "worker": task["worker"],
    }
    return {**lost(PlannedRun(**task["run"]), ""), "status": "ok", "payload": seen}


def echo(task, _):
    """Answer at once what the run was given."""
    return {**lost(PlannedRun(**task["run"]), ""), "payload": task["parameters"]}


def kill_worker(*_):
    """Take the worker down from within a run."""
    os.kill(os.getpid(), signal.SIGKILL)


def vanish(*_):
    """End as a process does that the system kills for want of memory."""
    raise RunLostError("its process was killed (SIGKILL), perhaps for want of memory")


def answer_oddly(task, _):
    """Answer what the task's parameter says, in the place of an outcome."""
    odd = {
        "another paper": {"paper": "other", "git_commit": "0" * 40},
        "no status": {"status": 3},
        "gigabytes": {"executed_content": bytes(3 << 28)},
    }[task["parameters"]["odd"]]
    return {**lost(PlannedRun(**task["run"]), ""), "status": "ok", "payload": {}, **odd}


def meet(task, _):
    """Wait until as many runs are there as are to meet, then say what `look_around` does."""
    place, count = Path(task["parameters"]["place"]), task["parameters"]["count"]
    # Workers of a test may be threads of one process.
    (place / f"{os.getpid()}-{threading.get_ident()}").touch()
    end = time.monotonic() + 60
    while len(list(place.iterdir())) < count and time.monotonic() < end:
        time.sleep(0.05)
    return look_around(task, _)
