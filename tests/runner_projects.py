"""Small projects for tests of the runner: real notebooks, and a stand-in for what runs them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import psutil

from mvlib.records import plan_runs, save_record
from mvlib.run.saving import lost, make_record

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOK_LIMIT = 90
GIT = {"git_commit": None, "git_dirty": None}

GOOD = """
import time
from pathlib import Path
Path("began").touch()
time.sleep(0.5)
scores = dict(acc=0.5 + x / 10, nmi=0.4, ari=0.3, purity=0.6)
recorder = Recorder("toy", "good", profile=profile, device="cpu")
recorder.add("Toy", "handwritten", seed=seeds[0], parameters={"x": x},
             metrics={"last": scores}, seconds=0.1)
recorder.finish()
"""
BAD = 'raise RuntimeError(f"a step failed in {os.getcwd()}")'
SLOW = "import time\ntime.sleep(600)"
TABLE = """
from mvlib.records import load_records
found = load_records("toy", "quick")
recorder = Recorder("toy", "table", profile=profile)
print(sorted(r["parameters"]["x"] for r in found if r["experiment"] == "good"))
recorder.finish()
"""
PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "good"
title = "Works"
notebook = "notebooks/toy/good.ipynb"
quick = { grid = { x = [1, 2] }, seeds = [3], datasets = ["handwritten"], minutes = 0.1 }
"""
TROUBLE = """
[[experiment]]
name = "bad"
title = "Raises"
notebook = "notebooks/toy/bad.ipynb"
quick = {}

[[experiment]]
name = "slow"
title = "Takes too long"
notebook = "notebooks/toy/slow.ipynb"
quick = { limit_minutes = 0.1 }

[[experiment]]
name = "table"
title = "Reads the others"
notebook = "notebooks/toy/table.ipynb"
after = ["good", "bad"]
quick = {}
"""


def write_notebook(path, code, parameters='profile = "quick"\ndevice = "auto"'):
    def cell(source, tags=()):
        return {
            "cell_type": "code", "id": f"cell-{abs(hash(source)) % 10**8}", "source": source,
            "metadata": {"tags": list(tags)}, "outputs": [], "execution_count": None,
        }  # fmt: skip

    imports = "import os\nfrom mvlib.records import Recorder"
    prose = {"cell_type": "markdown", "id": "prose", "metadata": {}, "source": "# A page"}
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [prose, cell(parameters, ["parameters"]), cell(imports), cell(code.strip())],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def make_project(root, plan):
    for folder in ("data", "notebooks/toy"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text("title: Toy\n")
    (root / "notebooks" / "toy" / "plan.toml").write_text(plan)
    notebooks = root / "notebooks" / "toy"
    more = 'profile = "quick"\ndevice = "auto"\nx = 0\nseeds = [0]'
    write_notebook(notebooks / "good.ipynb", GOOD, more)
    write_notebook(notebooks / "bad.ipynb", BAD)
    write_notebook(notebooks / "slow.ipynb", SLOW)
    write_notebook(notebooks / "table.ipynb", TABLE, 'profile = "quick"')
    return root


def start(root, *arguments, **options):
    environment = os.environ | {"MVLIB_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-m", "mvlib", *arguments],
        cwd=root, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Tests that a shell has put in the background inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


def mvlib(root, *arguments):
    process = start(root, *arguments)
    out, err = process.communicate(timeout=NOTEBOOK_LIMIT)
    return process.returncode, out, err


def without_times(record):
    changing = {
        "started", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "threads",
    }  # fmt: skip
    return {name: value for name, value in record.items() if name not in changing}


def start_python(code, folder):
    """Start a process of Python that can import mvlib; return it and the line it says first."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    return process, process.stdout.readline().strip()


def wait_for(condition, what):
    end = time.monotonic() + NOTEBOOK_LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def processes_in(root):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MVLIB_ROOT") == str(root):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


STUB_PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "method"
title = "Method"
notebook = "notebooks/toy.ipynb"

[experiment.quick]
seeds = [5]

[experiment.reduced]
seeds = [5, 15]

[experiment.full]
seeds = [5, 15]
expand_seeds = true

[[experiment]]
name = "table"
title = "Tables"
notebook = "notebooks/toy.ipynb"
after = ["method"]

[experiment.quick]
"""
PARAMETERS = "profile = 'quick'\nseeds = [1]\ndevice = 'auto'"


class Stub:
    """The interface of an engine: each run ends, after `seconds`, with a given accuracy.

    `more` goes into each outcome; `error` ends each run instead.
    """

    def __init__(self, acc=0.5, error=None, slots=1, remote=False, seconds=0, **more):
        self.acc, self.error, self.remote, self.seconds = acc, error, remote, seconds
        self.room, self.more, self.tasks = slots, more, []

    def slots(self):
        return self.room

    def submit(self, task):
        self.tasks.append(task)
        future = Future()
        if isinstance(self.error, KeyboardInterrupt):
            raise self.error
        if self.error is not None:
            future.set_exception(self.error)
            return future
        scores = dict.fromkeys(("acc", "nmi", "ari", "purity"), self.acc)
        result = {
            "method": "Toy", "dataset": "wiki", "seed": 5, "parameters": {},
            "metrics": {"last": scores}, "seconds": 1.0,
        }  # fmt: skip
        payload = {"results": [result], "device": "cpu", "gpu_peak_memory_bytes": None}
        outcome = {
            "status": "ok", "error": None, "payload": payload,
            "executed": task["executed"], "started": "2026-01-01T00:00:00+00:00",
            "executed_content": b'{"cells": []}', "sources": {},
            "wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_bytes": 1,
        } | self.more  # fmt: skip
        if self.seconds:
            threading.Timer(self.seconds, future.set_result, [outcome]).start()
        else:
            future.set_result(outcome)
        return future

    def shutdown(self, stop):
        raise AssertionError("the caller's engine is the caller's to end")


def make_stub_project(root, plan=STUB_PLAN, code="x = 1"):
    """Make a project whose runs a `Stub` stands in for."""
    for folder in ("data", "notebooks/toy"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "notebooks" / "toy" / "plan.toml").write_text(plan)
    write(root, code)
    return root


def write(root, code):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": text, "outputs": [],
         "execution_count": None, "metadata": {"tags": tags}}
        for i, (text, tags) in enumerate([(PARAMETERS, ["parameters"]), (code, [])])
    ]  # fmt: skip
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": cells,
    }
    (root / "notebooks" / "toy.ipynb").write_text(json.dumps(content))


def save_many(root, first, count=40):
    """Save records of runs of their own, as one of several processes."""
    (plan,) = plan_runs("full", root=root)
    for number in range(first, first + count):
        run = type(plan)(**{**plan.__dict__, "parameters": {"x": number}})
        save_record(make_record(run, "0" * 64, lost(run, "toy"), "cpu", 1, GIT), root)
