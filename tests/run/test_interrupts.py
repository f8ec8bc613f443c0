"""Ctrl-C: once to finish what runs, twice to stop it."""

import os
import signal
import threading

import pytest
from projects import (
    PATIENCE,
    PLAN,
    Stub,
    make_stub_project,
    processes_in,
    start,
    toy_project,
    wait_for,
)

from mvlib.records import load_records, plan_runs
from mvlib.run import run_all
from mvlib.run.runner import finishing_first


@pytest.fixture(autouse=True)
def _interrupts_as_in_a_terminal():
    # Tests that a shell has put in the background inherit that interrupts are ignored.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, former) is signal.default_int_handler


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_interrupt_is_noted_and_the_second_raises(capfd):
    with finishing_first(lambda: 2) as noted:
        interrupt()
        assert noted.asked
        assert "finishing 2 runs; Ctrl-C again stops them" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_with_nothing_in_flight_the_first_interrupt_raises():
    with finishing_first(lambda: 0) as noted:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert not noted.asked


def test_where_interrupts_are_ignored_and_in_threads_nothing_changes():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with finishing_first(lambda: 1) as noted:
        interrupt()
        assert not noted.asked
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handlers = []

    def look():
        with finishing_first(lambda: 1):
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_one_interrupt_finishes_and_records_what_runs_and_starts_no_more(tmp_path):
    root = make_stub_project(tmp_path)
    runs = plan_runs("full", root=root)

    class Started(Stub):
        def submit(self, task):
            future = super().submit(task)
            threading.Timer(0.3, interrupt).start()
            return future

    summary = run_all(runs, jobs=1, root=root, engine=Started(seconds=1))
    assert [outcome.word for outcome in summary.outcomes] == ["ran", "interrupted"]
    assert summary.exit_code == 130
    assert len(load_records(root=root)) == 1


def test_ctrl_c_in_a_terminal_finishes_a_run_that_has_just_started(tmp_path):
    root = toy_project(tmp_path / "once", PLAN)
    runner = start(root, "run", "--jobs", "1")
    locks = root / "runs" / "records"
    wait_for(lambda: list(locks.rglob("*.lock")), "the first run to start")
    wait_for(lambda: len(processes_in(root)) > 1, "its process to start")
    # As a terminal does: to the whole group.
    os.killpg(runner.pid, signal.SIGINT)
    out, err = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 130
    assert err == "finishing 1 run; Ctrl-C again stops them\n"
    assert (out.count("ran  "), out.count("interrupted")) == (2, 1)
    assert len(load_records(root=root)) == 1
    assert processes_in(root) == []
