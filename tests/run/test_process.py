"""The limits of a run: memory and time of all that it has started."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from mvlib.run.process import Group, RunLostError, _run, memory_bytes, memory_of
from mvlib.run.saving import plain_error

HUNGRY = """
import subprocess, sys, time
block = bytearray(b"x") * 200_000_000
if len(sys.argv) == 1:
    below = subprocess.Popen([sys.executable, __file__, "below"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def group(tmp_path):
    """Give a group of a process that takes 200 MB, and one below it that takes as much again.

    The leader of the group, a third process, is the run's own, and is not counted.
    """
    script = tmp_path / "hungry.py"
    script.write_text(HUNGRY)
    leader = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True)\n"
        "child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", leader, str(script)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"MVLIB_RUN": "mine"},
    ) as process:  # fmt: skip
        for _ in range(2):
            assert process.stdout.readline() == "ready\n"
        group = Group(process, "mine")
        yield group
        group.kill()
        process.wait()


def test_memory_is_that_of_all_processes_below(group):
    assert len(group.members()) == 2
    held = memory_of(group.members(), 1e12)
    assert 4e8 < held < 6e8
    assert memory_of(group.members(), 0) <= held
    assert 1e8 < memory_bytes() < 1e15


def test_others_are_no_members(group):
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"MVLIB_RUN": "other"}
    ) as other:
        assert psutil.Process() not in group.members()
        assert other.pid not in [process.pid for process in group.members()]
        other.communicate(b"\n")


def test_a_group_over_its_memory_is_killed_whatever_the_session(group):
    members = group.members()
    reason = group.watch(60, 3e8, lambda: True)
    assert reason == "its kernel took more than 0.3 GB of memory"
    assert not any(map(is_alive, members))


def test_a_group_within_its_limits_is_left_alone_until_nobody_wants_it(group):
    end = time.monotonic() + 2
    assert group.watch(60, 2e9, lambda: time.monotonic() < end) is None
    assert all(map(is_alive, group.members()))
    assert len(group.members()) == 2
    assert group.child.poll() is None
    group.kill()
    assert not any(map(is_alive, group.members()))
    # The leader is killed, or has just ended by itself, with nothing left to wait for.
    assert group.child.wait(20) <= 0


def test_the_limit_of_time_is_that_and_does_not_follow_a_clock_that_is_set(group, monkeypatch):
    stepped = time.time() - 86400
    monkeypatch.setattr("time.time", lambda: stepped)
    begun = time.monotonic()
    assert group.watch(0.6, 1e12, lambda: True) == "stopped after its limit of 0.01 minutes"
    assert 0.6 <= time.monotonic() - begun < 20
    assert not any(map(is_alive, group.members()))


def test_a_run_is_stopped_at_its_limit_of_time_and_not_a_second_later(monkeypatch, tmp_path):
    now = iter([0.0, 59.5, 59.5, 60.5, *[60.5] * 9])
    clock = SimpleNamespace(monotonic=lambda: next(now), thread_time=lambda: 0.0)
    monkeypatch.setattr("mvlib.run.process.time", clock)
    looks = iter([True] * 4)

    class Child:
        pid = 0

        def wait(self, seconds):
            raise subprocess.TimeoutExpired("child", seconds)

    group = Group(Child(), "mark")
    monkeypatch.setattr(group, "members", list)
    reason = group.watch(60, 1e12, lambda: next(looks, False))
    assert reason == "stopped after its limit of 1 minutes"


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.mark.parametrize(("limit", "most"), [(None, 0.9e10), (2.5, 2.5e9)])
def test_without_a_limit_of_its_own_a_run_may_take_90_percent(
    tmp_path, monkeypatch, limit, most
):
    asked = []
    monkeypatch.setattr("mvlib.run.process.memory_bytes", lambda: 10**10)
    monkeypatch.setattr(Group, "watch", lambda _, *limits: asked.append(limits[:2]))
    monkeypatch.setattr("mvlib.run.process._COMMAND", [sys.executable, "-c", ""])
    task = {"limit_memory_gb": limit, "limit_seconds": 7, "threads": 1}
    with pytest.raises(RunLostError, match="without a word|was killed"):
        _run(task, tmp_path, tmp_path, lambda: True)
    assert asked == [(7, most)]


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m", "\x1b]0;title\x07red", "\x1b]8;;http://a\x1b\\red",
        "\x1bPq#0\x1b\\red", "\x9b31mred", "\x9d0;t\x9cred", "\x1bcred", "\x1b(0red",
        "\x1b[?25lred",
    ],
)  # fmt: skip
def test_a_terminal_has_nothing_to_obey_in_an_error(tmp_path, text):
    assert plain_error(text, tmp_path) == "red"


def test_an_error_is_cut_and_shows_no_controls_half_characters_or_places(tmp_path):
    assert plain_error("a\x08b\rc\ud800d\x1b", tmp_path) == "a?b?c?d?"
    assert plain_error("tab\there\r\nline", tmp_path) == "tab\there\nline"
    assert len(plain_error("x" * 10**6, tmp_path)) == 1000
    text = f"\x1b[0;31mOSError\x1b[0m in {tmp_path}/notebooks/a.ipynb"
    assert plain_error(text, tmp_path) == "OSError in ./notebooks/a.ipynb"
