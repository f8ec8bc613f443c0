"""Local processes: one a run, each of which can die alone."""

import os
import signal
import time
from pathlib import Path

import pytest
from runner_projects import wait_for

from mvlib.experiments.executor import LocalProcesses, RunLostError


def work(task):
    """Do in a process of its own what the task says."""
    with open(task["file"], "a") as stream:
        stream.write(f"{os.getpid()}\n")
    if "raise" in task:
        raise ValueError(task["raise"])
    if "wait" in task:
        while not Path(task["wait"]).exists():
            time.sleep(0.05)
    if task.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    # What the terminal's Ctrl-C would reach: a group of our own, interrupts as ever.
    return os.getpid(), os.getsid(0), signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def pids(path):
    return list(map(int, path.read_text().split())) if path.exists() else []


@pytest.fixture
def executor():
    executor = LocalProcesses(2)
    yield executor
    executor.shutdown(wait=False, cancel_futures=True)


def test_a_killed_process_is_tried_once_more_and_takes_no_other_along(executor, tmp_path):
    go = tmp_path / "go"
    other = executor.submit(work, {"file": str(tmp_path / "other"), "wait": str(go)})
    dying = executor.submit(work, {"file": str(tmp_path / "dying"), "dies": True})
    with pytest.raises(RunLostError, match=r"its process was killed \(SIGKILL\)"):
        dying.result(timeout=60)
    assert len(set(pids(tmp_path / "dying"))) == 2
    assert not other.done()
    go.touch()
    pid, session, interruptible = other.result(timeout=60)
    assert pids(tmp_path / "other") == [pid]
    assert session == pid != os.getpid()
    # A shell that puts the tests in the background has them ignore interrupts.
    assert interruptible == (signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)


def test_a_run_that_was_killed_by_accident_is_done_after_all(executor, tmp_path):
    go, file = tmp_path / "go", tmp_path / "file"
    future = executor.submit(work, {"file": str(file), "wait": str(go)})
    wait_for(lambda: pids(file), "the process to begin")
    os.kill(pids(file)[0], signal.SIGKILL)
    go.touch()
    assert future.result(timeout=60)[0] == pids(file)[1]


def test_what_a_run_raises_comes_back_and_stopping_stops(tmp_path):
    executor = LocalProcesses(2)
    assert (executor.remote, executor.slots()) == (False, 2)
    raising = executor.submit(work, {"file": str(tmp_path / "a"), "raise": "no such view"})
    with pytest.raises(ValueError, match="no such view"):
        raising.result(timeout=60)
    file = tmp_path / "file"
    endless = executor.submit(work, {"file": str(file), "wait": str(tmp_path / "never")})
    wait_for(lambda: pids(file), "the process to begin")
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RunLostError):
        endless.result(timeout=60)
    assert len(pids(file)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids(file)[0], 0)
