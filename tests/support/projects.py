"""Small projects for tests of the runner, their commands and processes, and what stands in."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mvlib.records import load_records, plan_runs, provenance, save_record
from mvlib.run import run_all
from mvlib.run.runner import _Batch
from mvlib.run.saving import lost, make_record
from mvlib.run.state import Standing, run_key

REPOSITORY = Path(__file__).resolve().parents[2]
# For processes that need mvlib and these helpers.
MODULES = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])
PATIENCE = 240
# Before the repository, on the module path of the commands that tests start.
MORE_PATHS = []
GIT = {"git_commit": None, "git_dirty": None}
# Times, and what a failure in between changes.
CHANGING = {
    "started", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "threads", "sequence",
}  # fmt: skip
HEADER = 'paper = "toy"\ntitle = "Toy"\nmethod = "Toy"\n'
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
COUNTED = """
import time
scores = dict(acc=0.5 + x / 1000, nmi=0.4, ari=0.3, purity=0.6)
recorder = Recorder("toy", "good", profile=profile, device="cpu")
recorder.add("Toy", "handwritten", seed=x, parameters={"x": x},
             metrics={"last": scores}, seconds=0.1)
with open("ran", "a") as stream:
    stream.write(f"{x}\\n")
time.sleep(seconds)
recorder.finish()
"""


def experiment(name, size="", profile="quick", notebook=None, more="", **sizes):
    """Return an experiment of a plan, in TOML: of one profile, or of those that `sizes` has."""
    notebook = notebook or f"notebooks/toy/{name}.ipynb"
    lines = [f"{each} = {{ {words} }}" for each, words in (sizes or {profile: size}).items()]
    head = f'name = "{name}"\ntitle = "{name}"\nnotebook = "{notebook}"\n{more}\n'
    return "\n[[experiment]]\n" + head + "\n".join(lines) + "\n"


PLAN = HEADER + experiment(
    "good", 'grid = { x = [1, 2] }, seeds = [3], datasets = ["handwritten"], minutes = 0.1'
)
TROUBLE = (
    experiment("bad")
    + experiment("slow", "limit_minutes = 0.1")
    + experiment("table", more='after = ["good", "bad"]')
)
STUB = "notebooks/toy.ipynb"


def stub_plan(full="seeds = [5, 15], expand_seeds = true"):
    """Return a plan of a method, of some size in full, and of a table that reads it."""
    sizes = {"quick": "seeds = [5]", "reduced": "seeds = [5, 15]", "full": full}
    table = experiment("table", notebook=STUB, more='after = ["method"]')
    return HEADER + experiment("method", notebook=STUB, **sizes) + table


def notebook_of(parameters, *codes, prose="# A page"):
    """Return a notebook of a page's head, a cell of parameters, and one for each code."""
    sources = enumerate((parameters, *codes))
    # The ids are random otherwise.
    code = [new_code_cell(each.strip(), id=f"cell-{number}") for number, each in sources]
    code[0].metadata["tags"] = ["parameters"]
    head = new_markdown_cell(prose, id="prose")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return new_notebook(cells=[head, *code], metadata=metadata)


def write_notebook(path, code, parameters='profile = "quick"'):
    """Write a notebook of parameters, imports and `code`."""
    imports = "import os\nfrom mvlib.records import Recorder"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook_of(parameters, imports, code)), encoding="utf-8")


def make_project(root, plan, notebooks):
    """Make a project of a plan and notebooks: name to code, or to code and parameters."""
    for folder in ("data", "notebooks/toy"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text("title: Toy\n")
    (root / "notebooks" / "toy" / "plan.toml").write_text(HEADER + plan.removeprefix(HEADER))
    for name, code in notebooks.items():
        code = (code,) if isinstance(code, str) else code
        write_notebook(root / "notebooks" / "toy" / f"{name}.ipynb", *code)
    return root


def toy_project(root, plan):
    """Make a project of a good notebook, and of one that raises, lasts or reads the others."""
    device = 'profile = "quick"\ndevice = "auto"'
    good = f"{device}\nx = 0\nseeds = [0]"
    notebooks = {"good": (GOOD, good), "bad": (BAD, device), "slow": (SLOW, device)}
    return make_project(root, plan, notebooks | {"table": TABLE})


def task_of(root, device="cpu", **changes):
    """Return what the runner hands to an engine for the first run of a project."""
    run = dataclasses.replace(plan_runs(root=root)[0], **changes)
    batch = _Batch(1, device, root, Standing(root, False, False), None)
    batch.known, batch.limit_minutes = {run.notebook: {"device"}}, None
    return batch._task(run, run_key(run, root), provenance.stamps())


def good_project(root, count=2, profile="quick", seconds=0.5):
    """Make a project of `count` runs in which nothing is wrong."""
    parameters = 'profile = "quick"\nx = 0\nseconds = 0.5'
    size = (
        f"grid = {{ x = {list(range(1, count + 1))} }}, parameters = {{ seconds = {seconds} }}"
    )
    return make_project(
        root, experiment("good", size, profile), {"good": (COUNTED, parameters)}
    )


def make_stub_project(root, plan=None, code="x = 1"):
    """Make a project whose runs a `Stub` stands in for."""
    make_project(root, plan or stub_plan(), {})
    write(root, code)
    return root


def write(root, code, parameters="profile = 'quick'\nseeds = [1]\ndevice = 'auto'"):
    """Write the notebook of a stub's project."""
    (root / STUB).write_text(json.dumps(notebook_of(parameters, code)))


def start(root, *arguments, log=None, **options):
    """Start `mvlib` in a project; what it says goes to pipes, or to a file."""
    paths = os.pathsep.join([*MORE_PATHS, str(REPOSITORY)])
    environment = os.environ | {"MVLIB_ROOT": str(root), "PYTHONPATH": paths}
    target = subprocess.PIPE if log is None else log.open("w")
    return subprocess.Popen(
        [sys.executable, "-m", "mvlib", *arguments],
        cwd=root, env=environment, text=True, start_new_session=True,
        stdout=target, stderr=target,
        # Tests that a shell has put in the background inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


def mvlib(root, *arguments):
    """Run `mvlib` to its end; return its exit code, and what it printed and complained."""
    process = start(root, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def start_python(code, folder):
    """Start a process of Python that can import mvlib; return it and the line it says first."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    return process, process.stdout.readline().strip()


def wait_for(condition, what, seconds=PATIENCE):
    """Wait until a condition is met; return what it gives."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def processes_in(root, *words):
    """Return the processes of a project whose command line holds one of `words`, or all."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            mine = process.environ().get("MVLIB_ROOT") == str(root)
        except psutil.Error:
            continue
        if mine and process.pid != os.getpid() and (not words or any(w in line for w in words)):
            found.append(process)
    return found


def kernels_in(root):
    """Return the kernels of a project."""
    return processes_in(root, "ipykernel_launcher")


def workers_in(root):
    """Return the processes that a project's runs have of their own."""
    return processes_in(root, "mvlib.run.client")


def without_times(record):
    """Return what of a record an undisturbed run must equal."""
    return {name: value for name, value in record.items() if name not in CHANGING}


def work_of(records):
    """Return what of records undisturbed runs must equal, in one order."""
    return sorted(map(without_times, records), key=lambda row: row["key"])


def rerun(root):
    """Run what is left of a project, without a complaint; return the records' work."""
    code, _, err = mvlib(root, "run", "--jobs", "2")
    assert (code, err) == (0, "")
    return work_of(load_records(root=root))


def complaints(err):
    """Assert that a command has shown no traceback; return its complaints."""
    assert "Traceback" not in err, err[-2000:]
    return err


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


def run_with(root, stub, profile="full", **options):
    """Run what a stub's project plans, through the stub."""
    runs = plan_runs(profile, root=root)
    return run_all(runs, jobs=1, root=root, engine=stub, **options)


def run_beside(root, stub, summaries, **options):
    """Run the full profile in a thread, as another runner would."""
    given = {"root": root, "stub": stub, **options}
    thread = threading.Thread(target=lambda: summaries.append(run_with(**given)))
    thread.start()
    return thread


def words(summary):
    """Return how each run of a summary ended, in a word."""
    return [outcome.word for outcome in summary.outcomes]


def save_many(root, first, count=40):
    """Save records of runs of their own, as one of several processes."""
    (plan,) = plan_runs("full", root=root)
    for number in range(first, first + count):
        run = type(plan)(**{**plan.__dict__, "parameters": {"x": number}})
        save_record(make_record(run, "0" * 64, lost(run, "toy"), "cpu", 1, GIT), root)


class SmallDisk:
    """A file system in memory, of a few megabytes; skips the test where it cannot be had."""

    def __init__(self, path, megabytes=2):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))

    def _mount(self, *arguments):
        if sys.platform != "linux" or shutil.which("mount") is None:
            pytest.skip("could not be tried here: there is no mount")
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"could not be tried here: {done.stderr.strip()[:100]}")

    def fill(self):
        """Leave no room."""
        with (self.path / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 16, 1):
                try:
                    while ballast.write(b"x" * size):
                        continue
                except OSError:
                    continue

    def empty(self):
        """Make room again."""
        (self.path / "ballast").unlink()

    def set_writable(self, writable):
        """Allow writing, or forbid it even to root."""
        self._mount("-o", f"remount,{'rw' if writable else 'ro'}", str(self.path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.path)], check=False)
