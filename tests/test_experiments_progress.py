"""What runners at work say of themselves, and what a watch over them shows."""

import json
import os
import threading
import time
from types import SimpleNamespace

import pytest
from runner_projects import Stub, make_stub_project, start_python, wait_for

from mvlib.cli.watch import watch
from mvlib.experiments import plan_runs, run_all
from mvlib.experiments.outcomes import Outcome
from mvlib.experiments.plan import PlannedRun
from mvlib.experiments.progress import Flight, Progress, Running, Work, work_at


def planned(name, minutes=1.0, profile="full"):
    return PlannedRun("toy", name, "A run", "notebooks/toy.ipynb", profile, minutes=minutes)


def test_a_runner_says_what_runs_waits_and_has_ended(tmp_path):
    ended = [planned("a", 2), planned("b"), planned("c")]
    outcomes = {
        ended[0].cell: Outcome(ended[0], "ran", 60.0),
        ended[1].cell: Outcome(ended[1], "failed", 3.0, "why"),
        ended[2].cell: Outcome(ended[2], "recorded"),
    }
    flight = Flight(planned("d", 5), "key", monotonic=time.monotonic() - 30)
    assert work_at(tmp_path) is None
    with Progress(tmp_path) as progress:
        progress.tell([flight], [planned("e", 4)], outcomes, 2)
        work = work_at(tmp_path)
        assert work.counts() == {"done": 2, "running": 1, "waiting": 1, "failed": 1}
        (running,) = work.running.values()
        assert (running.name, running.minutes) == ("toy/d", 5)
        assert 30 <= running.seconds < 60
        assert (work.took_seconds, work.expected_seconds) == (60, 120)
        assert work_at(tmp_path, "full") is not None
        assert work_at(tmp_path, "quick") is None
    assert work_at(tmp_path) is None
    assert list((tmp_path / "runs" / "state").iterdir()) == []


def test_elapsed_time_does_not_follow_the_clock_on_this_machine(tmp_path, monkeypatch):
    with Progress(tmp_path) as progress:
        progress.tell([Flight(planned("a"), "key")], [], {}, 1)
        monkeypatch.setattr("mvlib.experiments.progress.time.time", lambda: 0.0)
        (running,) = work_at(tmp_path).running.values()
        assert 0 <= running.seconds < 30
        # Another machine has only the clock; one that was put back gives no negative time.
        monkeypatch.setattr("mvlib.experiments.progress._clock", lambda: "another boot")
        (running,) = work_at(tmp_path).running.values()
        assert running.seconds == 0


def test_the_file_is_written_only_when_something_has_changed(tmp_path):
    with Progress(tmp_path) as progress:
        progress.tell([], [planned("a")], {}, 1)
        (path,) = (tmp_path / "runs" / "state").glob("*.json")
        path.unlink()
        progress.tell([], [planned("a")], {}, 1)
        assert not path.exists()
        progress.tell([], [], {}, 1)
        assert json.loads(path.read_text())["waiting"] == {}


def test_a_killed_runners_file_is_recognised_and_removed(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mvlib.experiments.progress import Progress\n"
        "with Progress(Path(sys.argv[1])) as progress:\n"
        "    progress.tell([], [], {}, 1)\n"
        "    print('told', flush=True)\n"
        "    time.sleep(600)\n"
    )
    runner, said = start_python(code, tmp_path)
    assert said == "told"
    assert work_at(tmp_path) is not None
    runner.kill()
    runner.communicate()
    assert len(list((tmp_path / "runs" / "state").iterdir())) == 2
    assert work_at(tmp_path) is None
    assert list((tmp_path / "runs" / "state").iterdir()) == []


def test_two_runners_work_is_taken_together(tmp_path):
    folder = tmp_path / "runs" / "state"
    first, second = planned("a").cell, planned("b").cell
    with Progress(tmp_path) as progress:
        progress.tell([Flight(planned("a"), "key")], [planned("b"), planned("c")], {}, 1)
        state = json.loads(next(folder.glob("*.json")).read_text())
        (other,) = state["running"]
        state["running"] = [other | {"cell": second, "name": "toy/b"}]
        state["waiting"] = {first: 1.0, planned("c").cell: 1.0}
        state["ended"] = {planned("d").cell: "ran"}
        with Progress(tmp_path / "other") as another:
            another.tell([], [], {}, 1)
            (made,) = (tmp_path / "other" / "runs" / "state").glob("*.json")
            made.write_text(json.dumps(state))
            # The second runner's file, and its lock, are seen in the first one's folder too.
            os.link(made, folder / "other-1.json")
            os.link(made.with_suffix(".lock"), folder / "other-1.lock")
            work = work_at(tmp_path)
    assert work.counts() == {"done": 1, "running": 2, "waiting": 1, "failed": 0}
    assert work.slots == 2


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (Work(), 0),
        (Work(running={"a": Running("a", 20, 1)}, slots=1), 40),
        # Longer than expected: about to end, as far as is known.
        (Work(running={"a": Running("a", 90, 1)}, slots=1), 0),
        (Work(waiting={"a": 3, "b": 2, "c": 1}, slots=2), 180),
        (Work(waiting={"a": 3, "b": 2, "c": 1}, slots=1), 360),
        (Work(running={"r": Running("r", 0, 4)}, waiting={"a": 3, "b": 2}, slots=2), 300),
        # What has ended took twice as long as expected.
        (Work(waiting={"a": 1}, slots=1, took_seconds=40, expected_seconds=20), 120),
        (Work({"a": Running("a", 30, 1)}, slots=1, took_seconds=4, expected_seconds=2), 90),
    ],
)  # fmt: skip
def test_time_left_is_what_the_slots_still_have_to_do(work, seconds):
    assert work.seconds_left() == pytest.approx(seconds)


def test_a_folder_that_cannot_be_written_is_no_trouble(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with Progress(tmp_path) as progress:
        progress.tell([], [], {}, 1)
    assert work_at(tmp_path) is None


def watched(root, stub, **options):
    runs = plan_runs("full", root=root)
    thread = threading.Thread(
        target=lambda: run_all(runs, jobs=1, root=root, executor=stub, **options)
    )
    thread.start()
    wait_for(lambda: work_at(root) is not None, "the runner to say something")
    assert watch(root, seconds=0.2) == 0
    thread.join()


def test_a_watch_prints_one_line_a_change_and_ends_with_the_runner(tmp_path, capsys):
    root = make_stub_project(tmp_path)
    watched(root, Stub(remote=True, seconds=1))
    lines = [
        line
        for line in capsys.readouterr().out.splitlines()
        if "runner" in line or "running" in line
    ]
    assert lines[0].startswith("0 done, 1 running, 1 waiting, 0 failed; about ")
    assert lines[1].startswith("1 done, 1 running, 0 waiting, 0 failed; about ")
    assert lines[-1] == "no runner is at work any more; `mvlib status` lists the runs"


def test_a_watch_in_a_terminal_draws_over_what_it_drew(tmp_path, capsys, monkeypatch):
    work = Work(running={"a": Running("toy/a", 3700, 70)}, waiting={"b": 1}, slots=1)
    looks = iter([work, work, None])
    monkeypatch.setattr("mvlib.cli.watch.work_at", lambda root, profile: next(looks))
    monkeypatch.setattr("mvlib.cli.watch.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    watch(tmp_path)
    out = capsys.readouterr().out
    drawn = (
        "0 done, 1 running, 1 waiting, 0 failed; about 9 min 20 s left\n"
        "toy/a  1 h 01 min  of about 1 h 10 min\n"
    )
    assert out.startswith(f"{drawn}\x1b[2F\x1b[J{drawn}no runner")
