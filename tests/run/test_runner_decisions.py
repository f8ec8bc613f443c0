"""What `run_all` starts, through a stand-in for the processes."""

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


def test_full_records_of_earlier_sources_are_kept_and_not_repeated(project):
    assert words(run(project)) == ["ran", "ran"]
    assert words(run(project)) == ["recorded", "recorded"]
    write(project, "x = 2")
    before = load_records(root=project)
    summary = run(project)
    assert words(summary) == ["earlier version", "earlier version"]
    assert summary.exit_code == 0
    assert load_records(root=project) == before


def test_earlier_versions_run_again_when_asked_and_stay_beside_the_new(project):
    run(project)
    write(project, "x = 2")
    assert words(run(project, stub=Stub(0.6), rerun_earlier=True)) == ["ran", "ran"]
    assert len(load_records(root=project)) == 4
    assert words(run(project)) == ["recorded", "recorded"]


def test_reduced_records_are_treated_as_full_ones(project):
    assert words(run(project, "reduced")) == ["ran"]
    (path,) = (project / "data" / "results").rglob("*.jsonl")
    assert path == project / "data" / "results" / "reduced" / "toy.jsonl"
    # No executed notebook is at hand, as in a fresh clone: the committed record counts.
    assert words(run(project, "reduced")) == ["recorded"]
    write(project, "x = 2")
    (planned,) = plan_runs("reduced", root=project)
    assert state_of(planned, load_records(root=project), project).word == "earlier version"
    assert words(run(project, "reduced")) == ["earlier version"]
    assert words(run(project, "reduced", rerun_earlier=True)) == ["ran"]
    assert len(load_records(root=project)) == 2
    assert words(run(project, "reduced")) == ["recorded"]


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


def test_a_lost_process_is_a_failed_run(project):
    summary = run(project, stub=Stub(error=RunLostError("its process was killed")))
    assert words(summary) == ["failed", "failed"]
    assert summary.exit_code == 1
    assert "killed" in load_records(root=project)[0]["error"]
    assert words(run(project)) == ["ran", "ran"]


def test_results_out_of_range_are_a_failed_run(project):
    assert words(run(project, stub=Stub(acc=50.0))) == ["failed", "failed"]
    record = load_records(root=project)[0]
    assert "50.0" in record["error"]
    assert record["results"] == []


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
