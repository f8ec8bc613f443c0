"""Runs: what they record, what survives a crash, and what is not repeated."""

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

from mvlib.experiments.plan import plan_runs
from mvlib.experiments.records import check_record, load_records

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOK_LIMIT = 90

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
from mvlib.experiments import load_records
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

    imports = "import os\nfrom mvlib.experiments import Recorder"
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
    (root / "data" / "plans").mkdir(parents=True)
    (root / "_config.yml").write_text("title: Toy\n")
    (root / "data" / "plans" / "toy.toml").write_text(plan)
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


def without_times(record):
    changing = {
        "started", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "threads",
    }  # fmt: skip
    return {name: value for name, value in record.items() if name not in changing}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Give a project whose runs, good and bad, have all ended once."""
    root = make_project(tmp_path_factory.mktemp("project"), PLAN + TROUBLE)
    return root, *mvlib(root, "run", "--jobs", "2")


def by_experiment(root, name):
    return [record for record in load_records(root=root) if record["experiment"] == name]


def test_a_run_leaves_a_record_that_obeys_the_schema(project):
    root = project[0]
    good = sorted(by_experiment(root, "good"), key=lambda record: record["parameters"]["x"])
    for record in load_records(root=root):
        check_record(record)
    assert [record["results"][0]["metrics"]["last"]["acc"] for record in good] == [0.6, 0.7]
    assert good[0]["parameters"] == {"profile": "quick", "x": 1, "seeds": [3]}
    assert good[0]["device"] == "cpu"
    assert list(good[0]["datasets"]) == ["handwritten"]
    assert good[0]["cpu_seconds"] > 0.2
    assert good[0]["peak_memory_bytes"] > 10**7
    assert (root / good[0]["executed"]).is_file()


def test_records_are_sorted_by_key(project):
    keys = [record["key"] for record in load_records("toy", "quick", root=project[0])]
    assert keys == sorted(keys)
    assert len(keys) == 5


def test_a_raising_notebook_fails_the_command_and_nothing_else(project):
    root, code, out, _ = project
    assert code == 1
    (record,) = by_experiment(root, "bad")
    assert record["status"] == "failed"
    assert "RuntimeError: a step failed" in record["error"]
    assert "\x1b" not in record["error"]
    assert str(root) not in json.dumps(record)
    kept = json.loads((root / record["executed"]).read_text())
    assert record["executed"].startswith("runs/failed/")
    assert any(
        o.get("ename") == "RuntimeError" for c in kept["cells"] for o in c.get("outputs", ())
    )
    assert [r["status"] for r in by_experiment(root, "good")] == ["ok", "ok"]
    assert "failed toy/bad: RuntimeError: a step failed" in out


def test_a_run_over_its_limit_is_stopped(project):
    (record,) = by_experiment(project[0], "slow")
    assert record["status"] == "failed"
    assert "limit of 0.1 minutes" in record["error"]
    assert record["wall_seconds"] < 60


def test_what_reads_records_runs_after_them(project):
    root = project[0]
    (record,) = by_experiment(root, "table")
    text = (root / record["executed"]).read_text()
    assert record["status"] == "ok"
    assert "[1, 2]" in text


def test_no_process_and_no_temporary_file_is_left(project):
    root = project[0]
    assert processes_in(root) == []
    assert [path for path in root.rglob(".*") if path.is_file()] == []


def test_a_second_call_repeats_nothing(project):
    root = project[0]
    before = {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*.ipynb")}
    records = (root / "runs" / "records" / "toy.jsonl").read_bytes()
    begun = time.perf_counter()
    code, out, err = mvlib(root, "run", "good", "table")
    seconds = time.perf_counter() - begun
    assert (code, err) == (0, "")
    assert out.count("recorded") == 3
    assert "ran" not in out.split()
    assert (root / "runs" / "records" / "toy.jsonl").read_bytes() == records
    assert before == {p: p.stat().st_mtime_ns for p in (root / "runs").rglob("*.ipynb")}
    assert seconds < 10


def test_status_tells_where_each_run_stands(project):
    code, out, _ = mvlib(project[0], "status", "--profile", "quick")
    words = {line.split()[0].split("/")[1]: line for line in out.splitlines()[1:]}
    assert code == 0
    assert " recorded " in words["good"]
    assert " failed " in words["bad"]


def test_new_prose_reaches_the_executed_notebook_without_a_run(project, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(project[0], root)
    source = root / "notebooks" / "toy" / "good.ipynb"
    source.write_text(source.read_text().replace("# A page", "# A better page"))
    code, out, _ = mvlib(root, "run", "good")
    assert code == 0
    assert out.count("recorded") == 2
    for run in plan_runs("quick", ["good"], root=root):
        executed = json.loads((root / run.executed).read_text())
        assert executed["cells"][0]["source"] == "# A better page"
        assert any(cell.get("outputs") for cell in executed["cells"])


def test_killing_and_interrupting_lose_only_the_runs_in_flight(project, tmp_path):
    root = make_project(tmp_path / "killed", PLAN)
    records = root / "runs" / "records" / "toy.jsonl"
    began = root / "began"

    first = start(root, "run", "--jobs", "1")
    wait_for(began.exists, "the first notebook to begin")
    first.send_signal(signal.SIGINT)
    assert "finishing 1 run; Ctrl-C again stops them" in first.stderr.readline()
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=NOTEBOOK_LIMIT)
    assert first.returncode == 130
    assert processes_in(root) == []
    assert out.count("interrupted") == 2
    assert load_records(root=root) == []

    second = start(root, "run", "--jobs", "1")
    wait_for(records.exists, "the first record")
    began.unlink()
    wait_for(began.exists, "the second notebook to begin")
    second.kill()
    second.communicate(timeout=NOTEBOOK_LIMIT)
    wait_for(lambda: processes_in(root) == [], "the killed runner's kernels to end")
    survived = load_records(root=root)
    assert len(survived) == 1

    code, out, _ = mvlib(root, "run", "--jobs", "1")
    assert code == 0
    assert "recorded" in out
    undisturbed = by_experiment(project[0], "good")
    rerun = load_records(root=root)
    assert survived[0] in rerun
    assert list(map(without_times, rerun)) == list(map(without_times, undisturbed))
