"""Runs of this machine: a process group each, which can die alone."""

import os
import threading
import time

import pytest
from projects import (
    PLAN,
    REPOSITORY,
    mvlib,
    processes_in,
    start,
    toy_project,
    wait_for,
    write_notebook,
)

from mvlib.records import load_records
from mvlib.run.process import LocalEngine, RunLostError

ONE = PLAN.replace("x = [1, 2]", "x = [1]")


def lost(times):
    """Return what executes a task, is lost the first `times`, and keeps how often it began."""
    begun = []

    def execute(task, wanted):
        begun.append(task)
        if len(begun) <= times:
            raise RunLostError("its process was killed (SIGKILL)")
        return {"status": "ok"}

    return execute, begun


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_run_that_is_lost_once_is_done_after_all_and_twice_is_given_up(times):
    execute, begun = lost(times)
    engine = LocalEngine(2, execute)
    assert (engine.remote, engine.slots()) == (False, 2)
    future = engine.submit({})
    if times < 2:
        assert future.result(60) == {"status": "ok"}
    else:
        with pytest.raises(RunLostError, match=r"killed \(SIGKILL\); it was the second try"):
            future.result(60)
    assert len(begun) == min(times + 1, 2)
    engine.shutdown(stop=False)


def test_what_a_run_raises_comes_back_and_stopping_stops_without_a_second_try():
    begun = threading.Event()

    def execute(task, wanted):
        if "raise" in task:
            raise ValueError(task["raise"])
        begun.set()
        while wanted():
            time.sleep(0.01)
        raise RunLostError("stopped")

    engine = LocalEngine(2, execute)
    with pytest.raises(ValueError, match="no such view"):
        engine.submit({"raise": "no such view"}).result(60)
    endless = engine.submit({})
    assert begun.wait(60)
    engine.shutdown(stop=True)
    with pytest.raises(RunLostError, match="stopped$"):
        endless.result(60)


def test_a_killed_process_is_tried_once_more_and_leaves_no_kernel(tmp_path):
    root = toy_project(tmp_path / "project", ONE)
    runner = start(root, "run", "--jobs", "1")
    wait_for((root / "began").exists, "the notebook to begin")
    for process in processes_in(root):
        if "mvlib.run.client" in process.cmdline():
            session = os.getsid(process.pid)
            assert session == process.pid != os.getsid(runner.pid)
            process.kill()
    out, err = runner.communicate(timeout=90)
    assert (runner.returncode, err) == (0, "")
    assert [record["status"] for record in load_records(root=root)] == ["ok"]
    assert processes_in(root) == []


def test_a_notebook_that_kills_its_runs_process_fails_at_the_second_try(tmp_path):
    root = toy_project(tmp_path / "project", ONE)
    code = "import signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(600)"
    more = 'profile = "quick"\nx = 0\nseeds = [0]'
    write_notebook(root / "notebooks" / "toy" / "good.ipynb", code, more)
    assert mvlib(root, "run", "--jobs", "1")[0] == 1
    (record,) = load_records(root=root)
    assert record["error"] == (
        "its process was killed (SIGKILL), perhaps for want of memory; it was the second try"
    )
    assert processes_in(root) == []


def test_another_mvlib_in_the_projects_folder_is_not_taken(tmp_path):
    root = toy_project(tmp_path / "project", ONE)
    (root / "mvlib").mkdir()
    (root / "mvlib" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    environment = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(REPOSITORY)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        code, _, err = mvlib(root, "run", "--jobs", "1")
    assert (code, err) == (0, "")
