"""Two runners on one folder share the work: nothing runs twice, nothing is lost."""

import threading

import pytest
from runner_projects import (
    NOTEBOOK_LIMIT,
    PLAN,
    STUB_PLAN,
    Stub,
    make_project,
    make_stub_project,
    processes_in,
    start,
    start_python,
    wait_for,
)

from mvlib.experiments import load_records, plan_runs, run_all
from mvlib.experiments.claims import Claims

SEEDS = STUB_PLAN.replace("seeds = [5, 15]\nexpand", "seeds = [1, 2, 3, 4]\nexpand")


@pytest.fixture
def project(tmp_path):
    return make_stub_project(tmp_path, SEEDS)


def run_beside(root, stub, summaries, **options):
    """Run the full profile in a thread, as another runner would."""

    def work():
        runs = plan_runs("full", root=root)
        summaries.append(run_all(runs, jobs=1, root=root, executor=stub, **options))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def words(summary):
    return [outcome.word for outcome in summary.outcomes]


def seeds(*stubs):
    return sorted(task["parameters"]["seeds"] for stub in stubs for task in stub.tasks)


@pytest.mark.parametrize("again", [False, True])
def test_two_runners_at_once_run_everything_once(project, capsys, again):
    if again:
        run_all(plan_runs("full", root=project), jobs=1, root=project, executor=Stub())
    meeting = threading.Barrier(2)

    class Meeting(Stub):
        def submit(self, function, task):
            if not self.tasks:
                # Each has claimed a run before either goes on.
                meeting.wait(NOTEBOOK_LIMIT)
            return super().submit(function, task)

    stubs = [Meeting(acc=acc, seconds=0.3, wall_seconds=acc) for acc in (0.6, 0.7)]
    summaries = []
    threads = [run_beside(project, stub, summaries, again=again) for stub in stubs]
    for thread in threads:
        thread.join(NOTEBOOK_LIMIT)
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
    runs = plan_runs("full", root=project)
    summary = run_all(runs, jobs=1, root=project, executor=second)
    first.join(NOTEBOOK_LIMIT)
    assert summary.outcomes[0].word == "failed"
    assert summary.outcomes[0].reason == "no such view"
    assert seeds(failing, second) == [[1], [2], [3], [4]]


def test_a_run_whose_runner_gave_up_is_taken_over(project):
    (run, *_) = plan_runs("full", root=project)
    other = Claims(project)
    assert other.take(run.cell)
    assert not Claims(project).take(run.cell)
    threading.Timer(0.5, other.drop_all).start()
    stub = Stub()
    assert words(run_all([run], jobs=1, root=project, executor=stub)) == ["ran"]
    assert len(stub.tasks) == 1


def test_a_claim_ends_with_its_process_however_it_ends(project):
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mvlib.experiments.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1]))\n"
        "print(claims.take('cell'), flush=True)\n"
        "time.sleep(600)\n"
    )
    holder, taken = start_python(code, project)
    assert taken == "True"
    mine = Claims(project)
    assert not mine.take("cell")
    holder.kill()
    holder.communicate()
    assert mine.take("cell")


def test_two_commands_at_once_and_a_watch_over_them(tmp_path):
    root = make_project(tmp_path / "shared", PLAN)
    notebook = root / "notebooks" / "toy" / "good.ipynb"
    counted = 'open(\\"count\\", \\"a\\").write(f\\"{x}\\\\n\\")\\n'
    notebook.write_text(notebook.read_text().replace("time.sleep", counted + "time.sleep"))
    first = start(root, "run", "--jobs", "1")
    wait_for(lambda: list((root / "runs" / "state").glob("*.json")), "the first runner")
    second, watch = start(root, "run", "--jobs", "1"), start(root, "status", "--watch")
    outs = [process.communicate(timeout=NOTEBOOK_LIMIT) for process in (first, second, watch)]
    assert [process.returncode for process in (first, second, watch)] == [0, 0, 0]
    assert sorted((root / "count").read_text().split()) == ["1", "2"]
    assert sorted(r["parameters"]["x"] for r in load_records(root=root)) == [1, 2]
    assert outs[0][0].count("ran ") + outs[1][0].count("ran ") == 4
    *lines, last = outs[2][0].splitlines()
    assert last.startswith("no runner is at work any more")
    assert any(" running, " in line and line.endswith(" left") for line in lines)
    assert list((root / "runs" / "state").iterdir()) == []
    assert processes_in(root) == []
