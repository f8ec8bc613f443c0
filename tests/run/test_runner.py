"""Runs: what they record, what survives a crash, and what is not repeated."""

import json
import signal
import time

import pytest
from projects import (
    PATIENCE,
    PLAN,
    TROUBLE,
    mvlib,
    processes_in,
    start,
    toy_project,
    wait_for,
    without_times,
)

from mvlib.records.store import check_record, load_records


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Give a project whose runs, good and bad, have all ended once."""
    root = toy_project(tmp_path_factory.mktemp("project"), PLAN + TROUBLE)
    return root, *mvlib(root, "run", "--jobs", "2")


def by_experiment(root, name):
    return [record for record in load_records(root=root) if record["experiment"] == name]


def test_runs_leave_records_that_obey_the_schema_and_nothing_else(project):
    root = project[0]
    good = sorted(by_experiment(root, "good"), key=lambda record: record["parameters"]["x"])
    for record in load_records(root=root):
        check_record(record)
    assert [record["results"][0]["metrics"]["last"]["acc"] for record in good] == [0.6, 0.7]
    assert good[0]["parameters"] == {"profile": "quick", "x": 1, "seeds": [3]}
    assert good[0]["device"] == "cpu"
    assert list(good[0]["datasets"]) == ["handwritten"]
    assert good[0]["cpu_seconds"] > 0.02
    assert good[0]["peak_memory_bytes"] > 10**7
    assert (root / good[0]["executed"]).is_file()
    (slow,) = by_experiment(root, "slow")
    assert "limit of 0.1 minutes" in slow["error"]
    # What reads records runs after them.
    (table,) = by_experiment(root, "table")
    assert table["status"] == "ok"
    assert "[1, 2]" in (root / table["executed"]).read_text()
    assert processes_in(root) == []
    assert [path for path in root.rglob(".*") if path.is_file()] == []
    code, out, _ = mvlib(root, "status", "--profile", "quick")
    words = {line.split()[0].split("/")[1]: line for line in out.splitlines()[1:]}
    assert (code, " recorded " in words["good"], " failed " in words["bad"]) == (0, True, True)


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


def test_killing_and_interrupting_lose_only_the_runs_in_flight(project, tmp_path):
    root = toy_project(tmp_path / "killed", PLAN)
    records = root / "runs" / "records" / "toy.jsonl"
    began = root / "began"

    first = start(root, "run", "--jobs", "1")
    wait_for(began.exists, "the first notebook to begin")
    first.send_signal(signal.SIGINT)
    assert "finishing 1 run; Ctrl-C again stops them" in first.stderr.readline()
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 130
    assert processes_in(root) == []
    assert out.count("interrupted") == 2
    assert load_records(root=root) == []

    second = start(root, "run", "--jobs", "1")
    wait_for(records.exists, "the first record")
    began.unlink()
    wait_for(began.exists, "the second notebook to begin")
    second.kill()
    second.communicate(timeout=PATIENCE)
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
