"""What `run_all` starts, through a stand-in for the processes."""

import shutil
import subprocess

import pytest
from projects import Stub, make_stub_project, run_with, words, write

from mvlib.records import load_records, plan_runs
from mvlib.run import RunLostError
from mvlib.run.state import git_state, state_of


@pytest.fixture
def project(tmp_path):
    return make_stub_project(tmp_path)


def run(root, profile="full", stub=None, **options):
    return run_with(root, stub or Stub(), profile, **options)


@pytest.mark.parametrize(("profile", "count"), [("reduced", 1), ("full", 2)])
def test_committed_records_of_earlier_sources_stay_and_run_again_when_asked(
    project, profile, count
):
    assert words(run(project, profile)) == ["ran"] * count
    (path,) = (project / "data" / "results").rglob("*.jsonl")
    folder = "data/results/reduced" if profile == "reduced" else "data/results"
    assert path == project / folder / "toy.jsonl"
    # No executed notebook is at hand, as in a fresh clone: the committed record counts.
    shutil.rmtree(project / "runs")
    assert words(run(project, profile)) == ["recorded"] * count
    write(project, "x = 2")
    before = load_records(root=project)
    planned = plan_runs(profile, root=project)[0]
    assert state_of(planned, before, project).word == "earlier version"
    summary = run(project, profile)
    assert (words(summary), summary.exit_code) == (["earlier version"] * count, 0)
    assert load_records(root=project) == before
    assert words(run(project, profile, Stub(0.6), rerun_earlier=True)) == ["ran"] * count
    assert len(load_records(root=project)) == 2 * count
    assert words(run(project, profile)) == ["recorded"] * count


def accuracies(root, profile):
    records = load_records("toy", profile, root)
    return [record["results"][0]["metrics"]["last"]["acc"] for record in records]


@pytest.mark.parametrize(("profile", "count"), [("quick", 2), ("reduced", 1), ("full", 2)])
def test_again_repeats_what_is_recorded_and_replaces_the_records(project, profile, count):
    run(project, profile)
    before = load_records(root=project)
    assert words(run(project, profile)) == ["recorded"] * count
    stub = Stub(0.6)
    assert words(run(project, profile, stub, again=True)) == ["ran"] * count
    assert len(stub.tasks) == count
    assert accuracies(project, profile) == [0.6] * count
    if profile != "quick":
        # A quick run that reads records has a new key once they change.
        assert [r["key"] for r in load_records(root=project)] == [r["key"] for r in before]
    assert words(run(project, profile)) == ["recorded"] * count


def test_again_keeps_the_records_of_earlier_sources(project):
    run(project)
    write(project, "x = 2")
    assert words(run(project, stub=Stub(0.6), again=True)) == ["ran", "ran"]
    assert words(run(project, stub=Stub(0.7), again=True)) == ["ran", "ran"]
    assert sorted(accuracies(project, "full")) == [0.5, 0.5, 0.7, 0.7]


@pytest.mark.parametrize("profile", ["reduced", "full"])
def test_a_repeat_that_fails_costs_no_committed_result(project, profile):
    run(project, profile)
    before = load_records(root=project)
    summary = run(
        project, profile, Stub(error=RunLostError("its process was killed")), again=True
    )
    assert set(words(summary)) == {"failed"}
    records = load_records(root=project)
    assert [record for record in records if record["status"] == "ok"] == before
    assert set(words(run(project, profile))) == {"recorded"}


def test_full_records_of_other_package_versions_count(project, monkeypatch):
    versions = {"python": "3.10.1", "mvlib": "0.0.1", "torch": "1.0"}
    with monkeypatch.context() as other_machine:
        other_machine.setattr("mvlib.records.provenance.versions", lambda: versions)
        run(project)
    assert words(run(project)) == ["recorded", "recorded"]


def test_a_quick_run_is_repeated_when_its_executed_notebook_is_gone(project):
    runs = plan_runs("quick", root=project)
    assert words(run(project, "quick")) == ["ran", "ran"]
    assert words(run(project, "quick")) == ["recorded", "recorded"]
    (project / runs[0].executed).unlink()
    assert state_of(runs[0], load_records(root=project), project).word == "to run"
    assert words(run(project, "quick")) == ["ran", "recorded"]


def test_what_reads_records_runs_again_when_they_change(project):
    run(project, "quick")
    assert words(run(project, "quick")) == ["recorded", "recorded"]
    run(project, "full")
    assert words(run(project, "quick")) == ["recorded", "ran"]


def test_the_device_is_passed_but_is_no_part_of_the_record(project):
    stub = Stub()
    run(project, stub=stub, device="cuda:1", limit_minutes=3)
    assert stub.tasks[0]["parameters"]["device"] == "cuda:1"
    assert stub.tasks[0]["limit_seconds"] == 180
    assert all("device" not in r["parameters"] for r in load_records(root=project))
    assert words(run(project, device="cpu")) == ["recorded", "recorded"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"error": RunLostError("its process was killed")}, "killed"), ({"acc": 50.0}, "50.0")],
)
def test_a_lost_process_and_results_out_of_range_are_failed_runs(project, options, said):
    summary = run(project, stub=Stub(**options))
    assert words(summary) == ["failed", "failed"]
    assert summary.exit_code == 1
    record = load_records(root=project)[0]
    assert said in record["error"]
    assert record["results"] == []
    assert words(run(project)) == ["ran", "ran"]


def test_ctrl_c_is_told_and_ends_with_130(project):
    summary = run(project, stub=Stub(error=KeyboardInterrupt()))
    assert summary.exit_code == 130
    assert words(summary) == ["interrupted", "interrupted"]
    assert load_records(root=project) == []


def test_git_state_is_null_outside_a_checkout_of_its_own(project):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(
            ["git", "-C", str(project), *identity, *arguments], check=True, capture_output=True
        )

    assert git_state(project) == {"git_commit": None, "git_dirty": None}
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    state = git_state(project)
    assert len(state["git_commit"]) == 40
    assert state["git_dirty"] is False
    assert git_state(project / "notebooks") == {"git_commit": None, "git_dirty": None}
    records = project / "data" / "results" / "reduced" / "smart.jsonl"
    records.parent.mkdir(parents=True)
    records.touch()
    assert git_state(project)["git_dirty"] is False
    (project / "new").touch()
    assert git_state(project)["git_dirty"] is True
