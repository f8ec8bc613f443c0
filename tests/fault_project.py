"""A project whose notebooks are broken on purpose, and the means to break more of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE = 240
# Before the repository, on the module path of the commands that tests start.
MORE_PATHS = []
# Times, and what a failure in between changes.
CHANGING = {
    "started", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "threads", "sequence",
}  # fmt: skip
GOOD = """
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
GOOD_PARAMETERS = 'profile = "quick"\nx = 0\nseconds = 0.5'
PLAN = 'paper = "toy"\ntitle = "Toy"\nmethod = "Toy"\n'


def experiment(name, size, profile="quick"):
    """Return an experiment of a plan, in TOML."""
    return (
        f'\n[[experiment]]\nname = "{name}"\ntitle = "{name}"\n'
        f'notebook = "notebooks/toy/{name}.ipynb"\n{profile} = {{ {size} }}\n'
    )


def write_notebook(path, code, parameters='profile = "quick"'):
    """Write a notebook of three cells: parameters, imports and `code`."""

    def cell(number, source, tags=()):
        return {
            "cell_type": "code", "id": f"cell-{number}", "source": source.strip(),
            "metadata": {"tags": list(tags)}, "outputs": [], "execution_count": None,
        }  # fmt: skip

    imports = "import os\nfrom mvlib.records import Recorder"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "cells": [cell(0, parameters, ["parameters"]), cell(1, imports), cell(2, code)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def make_project(root, plan, notebooks):
    """Make a project of a plan and notebooks: name to code, or to code and parameters."""
    for folder in ("data", "notebooks/toy"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text("title: Toy\n")
    (root / "notebooks" / "toy" / "plan.toml").write_text(PLAN + plan)
    for name, code in notebooks.items():
        code = (code,) if isinstance(code, str) else code
        write_notebook(root / "notebooks" / "toy" / f"{name}.ipynb", *code)
    return root


def good_project(root, count=2, profile="quick", seconds=0.5):
    """Make a project of `count` runs in which nothing is wrong."""
    size = (
        f"grid = {{ x = {list(range(1, count + 1))} }}, parameters = {{ seconds = {seconds} }}"
    )
    return make_project(
        root, experiment("good", size, profile), {"good": (GOOD, GOOD_PARAMETERS)}
    )


def start(root, *arguments, log=None):
    """Start `mvlib` in a project; what it says goes to pipes, or to a file."""
    paths = os.pathsep.join([*MORE_PATHS, str(REPOSITORY)])
    environment = os.environ | {"MVLIB_ROOT": str(root), "PYTHONPATH": paths}
    target = subprocess.PIPE if log is None else log.open("w")
    return subprocess.Popen(
        [sys.executable, "-m", "mvlib", *arguments],
        cwd=root, env=environment, text=True, start_new_session=True,
        stdout=target, stderr=target,
        # Tests that a shell has put in the background inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def mvlib(root, *arguments):
    """Run `mvlib` to its end; return its exit code, and what it printed and complained."""
    process = start(root, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


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


def work_of(records):
    """Return what of records an undisturbed run must equal."""
    rows = [{k: v for k, v in record.items() if k not in CHANGING} for record in records]
    return sorted(rows, key=lambda row: row["key"])


def complaints(err):
    """Assert that a command has shown no traceback; return its complaints."""
    assert "Traceback" not in err, err[-2000:]
    return err


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
