"""A kernel's limits of memory and time, and what is kept of what a cell prints."""

import subprocess
import sys
import time

import psutil
import pytest

from mvlib.experiments import plan_runs
from mvlib.experiments.executed import plain_error
from mvlib.experiments.kernel_watch import KernelWatch, kernel_processes
from mvlib.experiments.memory import memory_bytes, memory_of
from mvlib.experiments.notebook_client import PrintedText, shorten

PLAN = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "method"
title = "Method"
notebook = "notebooks/toy.ipynb"
"""


HUNGRY = """
import subprocess, sys, time
block = bytearray(b"x") * 200_000_000
if len(sys.argv) == 1:
    below = subprocess.Popen([sys.executable, __file__, "below"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def child(tmp_path):
    """Start a process that takes 200 MB, and one below it that takes as much again."""
    script = tmp_path / "hungry.py"
    script.write_text(HUNGRY)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            assert process.stdout.readline() == "ready\n"
        yield process
        for each in kernel_processes():
            each.kill()


def test_memory_is_that_of_all_processes_below(child):
    held = memory_of(kernel_processes(), 1e12)
    assert 4e8 < held < 6e8
    assert memory_of(kernel_processes(), 0) <= held
    assert 1e8 < memory_bytes() < 1e15


def test_a_process_over_its_memory_is_killed_with_what_it_has_started(child):
    parent = psutil.Process(child.pid)
    (below,) = parent.children()
    with KernelWatch(60, 3e8) as watch:
        child.wait(20)
    assert watch.reason == "its kernel took more than 0.3 GB of memory"
    assert not parent.is_running()
    assert not below.is_running() or below.status() == psutil.STATUS_ZOMBIE


def test_a_process_within_its_limits_is_left_alone(child):
    with KernelWatch(60, 2e9) as watch:
        time.sleep(1.2)
    assert watch.reason is None
    assert child.poll() is None


def test_the_limit_of_time_does_not_follow_a_clock_that_is_set(child, monkeypatch):
    stepped = time.time() - 86400
    monkeypatch.setattr("time.time", lambda: stepped)
    with KernelWatch(0.6, 1e12) as watch:
        child.wait(20)
    assert watch.reason == "stopped after its limit of 0.01 minutes"


def test_little_text_is_kept_as_it_comes():
    printed = PrintedText(most=1000)
    assert [printed.take("stdout", text) for text in ("a", "bc")] == ["a", "bc"]
    assert printed.outputs() == []


@pytest.mark.parametrize("piece", [1, 7, 333, 5000])
def test_of_much_text_the_beginning_and_the_end_are_kept_and_the_rest_is_counted(piece):
    printed = PrintedText(most=2000)
    whole = "".join(f"{line:09d}\n" for line in range(2000))
    pieces = [whole[start : start + piece] for start in range(0, len(whole), piece)]
    beginning = "".join(printed.take("stdout", text) for text in pieces)
    (end,) = printed.outputs()
    note, _, last = end["text"].strip().partition("]\n")
    left_out = int(note.split()[0].removeprefix("[").replace(",", ""))
    assert whole.startswith(beginning)
    assert whole.endswith(f"{last}\n")
    assert len(beginning) + left_out + len(last) + 1 == len(whole)
    assert len(beginning) <= 1000
    assert len(last) <= 1000
    assert last


def test_both_streams_are_kept_in_their_order_and_clearing_forgets_both():
    printed = PrintedText(most=1000)
    printed.take("stdout", "x" * 600)
    printed.take("stderr", "y")
    printed.take("stdout", "z")
    found = [(output["name"], output["text"][-1]) for output in printed.outputs()]
    assert found == [("stdout", "x"), ("stderr", "y"), ("stdout", "z")]
    printed.clear()
    assert printed.outputs() == []
    assert printed.take("stdout", "new") == "new"


def test_long_texts_of_a_message_are_cut_and_its_other_data_are_not():
    data = {"text/plain": "a" * 5000, "text/html": "short", "application/x": "b" * 5000}
    content = {"data": dict(data), "evalue": "c" * 5000, "traceback": ["d" * 5000, "e"]}
    shorten(content, most=1000)
    assert content["data"]["text/plain"].startswith("a" * 500)
    assert "4,000 characters left out" in content["data"]["text/plain"]
    assert {**content["data"], "text/plain": ""} == {**data, "text/plain": ""}
    assert len(content["evalue"]) < 1200
    assert [len(line) < 1200 for line in content["traceback"]] == [True, True]


def test_an_error_of_one_endless_line_is_cut(tmp_path):
    assert len(plain_error("x" * 10**6, tmp_path)) == 1000


@pytest.mark.parametrize(
    ("size", "limit"), [("", None), ("limit_memory_gb = 1.5", 1.5), ("limit_memory_gb = 2", 2)]
)
def test_the_plan_says_how_much_memory_a_run_may_take(tmp_path, size, limit):
    (tmp_path / "data" / "plans").mkdir(parents=True)
    (tmp_path / "data" / "plans" / "toy.toml").write_text(f"{PLAN}quick = {{ {size} }}\n")
    (run,) = plan_runs("quick", root=tmp_path)
    assert run.limit_memory_gb == limit


@pytest.mark.parametrize("entry", ["limit_memory_gb", "limit_minutes"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "'much'", "true"])
def test_a_limit_that_is_no_positive_number_is_refused(tmp_path, entry, value):
    (tmp_path / "data" / "plans").mkdir(parents=True)
    plan = f"{PLAN}quick = {{ {entry} = {value} }}\n"
    (tmp_path / "data" / "plans" / "toy.toml").write_text(plan)
    with pytest.raises(ValueError, match=entry):
        plan_runs("quick", root=tmp_path)
