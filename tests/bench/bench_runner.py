"""What the runner and commands that only look cost, in CPU seconds of all their processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from mvlib.records.plan import plan_runs
from mvlib.records.store import load_records, save_record
from mvlib.run.state import state_of

if sys.platform != "linux":
    pytest.skip("it counts processes as Linux does", allow_module_level=True)

RUNS = 6
BOOK = Path(__file__).resolve().parents[2]
# The exit status of bad input is 2.
WRONG_FOLDER = """
import sys
from mvlib.cli import main
sys.exit(main(["cluster", "no/such/folder"]) != 2)
"""
PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "empty"
title = "Empty"
notebook = "notebooks/toy/empty.ipynb"
quick = {{ grid = {{ x = {numbers} }}, minutes = 0.1 }}
"""
RECORD = """
from mvlib.records import Recorder
recorder = Recorder("toy", "empty", profile, "cpu")
recorder.add("Toy", "wiki", measures={"one": 1.0})
recorder.finish()
"""
# Whatever it starts and what that leaves behind is its own to wait for, hence in its count.
COUNTED = """
import contextlib, ctypes, os, resource, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
with contextlib.suppress(ChildProcessError):
    while True:
        os.wait()
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime)
"""


def make_project(root, code, runs):
    (root / "notebooks" / "toy").mkdir(parents=True)
    (root / "_config.yml").write_text("title: Toy\n")
    plan = PLAN.format(numbers=list(range(runs)))
    (root / "notebooks/toy/plan.toml").write_text(plan)
    cells = [nbformat.v4.new_code_cell(source) for source in ('profile = "quick"\nx = 0', code)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python"
    }  # fmt: skip
    nbformat.write(notebook, root / "notebooks/toy/empty.ipynb")
    return root


def counted(root, *arguments):
    """Return the CPU seconds of a Python process and of all that comes of it."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, *map(str, arguments)],
        cwd=root, capture_output=True, text=True, check=True,
        env=os.environ | {"MVLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return float(done.stdout)


def cost_of_runs(folder, code):
    """Return the seconds of a call with one run, and of each that comes on top."""
    found = {}
    for runs in (1, RUNS):
        root = make_project(folder / f"{runs}", code, runs)
        found[runs] = counted(root, "-m", "mvlib", "run", "--jobs", "1")
        assert [r["status"] for r in load_records(root=root)] == ["ok"] * runs
    return found[1], (found[RUNS] - found[1]) / (RUNS - 1)


def processor_seconds(work, times):
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


@pytest.mark.parametrize(
    ("name", "code", "most"), [("no torch", "", 2), ("torch imported", "import torch", 4)]
)
def test_an_empty_run(benchmark, report_ratio, tmp_path, name, code, most):
    alone, among = benchmark.pedantic(
        cost_of_runs, args=(tmp_path, f"{code}\n{RECORD}"), rounds=1
    )
    report_ratio(f"CPU s of an empty run, {name}", among, f"<= {most}")
    report_ratio(f"CPU s of a call with one empty run, {name}", alone, "none")
    kernels = [r["cpu_seconds"] for r in load_records(root=tmp_path / f"{RUNS}")]
    report_ratio(
        f"... of an empty run, the kernel's, {name}", sorted(kernels)[RUNS // 2], "none"
    )


def test_the_shares_of_an_empty_run(benchmark, report_ratio, tmp_path):
    root = make_project(tmp_path / "shares", RECORD, RUNS)
    counted(root, "-m", "mvlib", "run", "--jobs", "1")
    records = load_records(root=root)
    run = plan_runs("quick", root=root)[0]
    state_of(run, records, root)
    seconds = processor_seconds(lambda: state_of(run, records, root), times=20)
    report_ratio("... judging where it stands, twice", 2 * seconds, "none")
    seconds = benchmark.pedantic(
        processor_seconds, args=(lambda: save_record(records[0], root), 20), rounds=1
    )
    report_ratio("... saving its record", seconds, "none")


@pytest.mark.parametrize(
    ("name", "arguments", "most"),
    [
        ("mvlib cluster, a folder that is not there", ("-c", WRONG_FOLDER), 0.3),
        ("mvlib status, of this book", ("-m", "mvlib", "status"), 0.5),
        ("mvlib run --dry-run, of this book", ("-m", "mvlib", "run", "--dry-run"), 0.5),
    ],
)
def test_commands_that_only_look(benchmark, report_ratio, name, arguments, most):
    counted(BOOK, *arguments)
    seconds = benchmark.pedantic(counted, args=(BOOK, *arguments), rounds=1)
    report_ratio(f"CPU s of {name}", seconds, f"<= {most}")
