"""Two runners on one folder share the work: nothing runs twice, nothing is lost."""

import threading

import pytest
from projects import (
    PATIENCE,
    Stub,
    make_stub_project,
    run_beside,
    run_with,
    start_python,
    stub_plan,
    wait_for,
    words,
)

from mvlib.records import load_records, plan_runs
from mvlib.run import run_all
from mvlib.run.runner import Locks

SEEDS = stub_plan("seeds = [1, 2, 3, 4], expand_seeds = true")


@pytest.fixture
def project(tmp_path):
    return make_stub_project(tmp_path, SEEDS)


def seeds(*stubs):
    return sorted(task["parameters"]["seeds"] for stub in stubs for task in stub.tasks)


@pytest.mark.parametrize("again", [False, True])
def test_two_runners_at_once_run_everything_once(project, capsys, again):
    if again:
        run_with(project, Stub())
    meeting = threading.Barrier(2)

    class Meeting(Stub):
        def submit(self, task):
            if not self.tasks:
                # Each has claimed a run before either goes on.
                meeting.wait(PATIENCE)
            return super().submit(task)

    stubs = [Meeting(acc=acc, seconds=0.3, wall_seconds=acc) for acc in (0.6, 0.7)]
    summaries = []
    threads = [run_beside(project, stub, summaries, again=again) for stub in stubs]
    for thread in threads:
        thread.join(PATIENCE)
    assert seeds(*stubs) == [[1], [2], [3], [4]]
    assert all(stub.tasks for stub in stubs)
    for summary in summaries:
        assert set(words(summary)) == {"ran", "recorded"}
        assert summary.exit_code == 0
    assert sum(word == "ran" for summary in summaries for word in words(summary)) == 4
    assert len(load_records(root=project)) == 4
    assert "another runner has" in capsys.readouterr().out


def test_a_run_that_fails_for_one_runner_is_not_repeated_by_the_other(project):
    summaries = []
    failing = Stub(seconds=1, status="failed", payload=None)
    failing.more["error"] = "no such view"
    first = run_beside(project, failing, summaries)
    wait_for(lambda: failing.tasks, "the first runner's first run")
    second = Stub()
    summary = run_with(project, second)
    first.join(PATIENCE)
    assert summary.outcomes[0].word == "failed"
    assert summary.outcomes[0].reason == "no such view"
    assert seeds(failing, second) == [[1], [2], [3], [4]]


def test_a_run_whose_runner_gave_up_is_taken_over(project):
    (run, *_) = plan_runs("full", root=project)
    other = Locks(project)
    assert other.take(run)
    assert not Locks(project).take(run)
    threading.Timer(0.5, other.drop).start()
    stub = Stub()
    assert words(run_all([run], jobs=1, root=project, engine=stub)) == ["ran"]
    assert len(stub.tasks) == 1


def test_a_lock_ends_with_its_process_however_it_ends(project):
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mvlib.records import plan_runs\n"
        "from mvlib.run.runner import Locks\n"
        "root = Path(sys.argv[1])\n"
        "locks = Locks(root)\n"
        "print(locks.take(plan_runs('full', root=root)[0]), flush=True)\n"
        "time.sleep(600)\n"
    )
    (run, *_) = plan_runs("full", root=project)
    holder, taken = start_python(code, project)
    assert taken == "True"
    mine = Locks(project)
    assert not mine.take(run)
    holder.kill()
    holder.communicate()
    assert mine.take(run)
