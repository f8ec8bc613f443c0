"""What cannot be saved, and what a remote engine says of a run besides its results."""

import errno
from types import SimpleNamespace

import pytest
from projects import HEADER, STUB, Stub, experiment, make_stub_project, stub_plan, words, write
from projects import run_with as run

from mvlib.cli import main
from mvlib.records import load_records, plan_runs
from mvlib.records.keys import record_key, run_key
from mvlib.records.provenance import versions
from mvlib.run import RunLostError
from mvlib.run.saving import check_folders

SIZE = "seeds = [1, 2, 3, 4], expand_seeds = true"
MANY = stub_plan(f"{SIZE}, minutes = 3")


@pytest.fixture
def project(tmp_path):
    return make_stub_project(tmp_path, MANY)


@pytest.fixture
def saves(monkeypatch):
    """Let chosen saves of records fail: `errors` maps their number, from 1, to an error."""
    from mvlib.run import saving

    real, told = saving.save_record, SimpleNamespace(count=0, errors={})

    def save(record, root):
        told.count += 1
        if told.count in told.errors:
            raise told.errors[told.count]
        real(record, root)

    monkeypatch.setattr(saving, "save_record", save)
    return told


def test_a_record_that_cannot_be_saved_fails_its_run_which_is_repeated(project, saves):
    saves.errors = {2: OSError(errno.EIO, "Input/output error")}
    summary = run(project, Stub())
    assert words(summary) == ["ran", "failed", "ran", "ran"]
    assert summary.outcomes[1].reason.startswith("could not be recorded: ")
    assert summary.exit_code == 1
    assert len(load_records(root=project)) == 3
    assert words(run(project, Stub())) == ["recorded", "ran", "recorded", "recorded"]


def test_a_full_disk_starts_nothing_more(project, saves):
    saves.errors = {2: OSError(errno.ENOSPC, "No space left on device")}
    stub = Stub()
    summary = run(project, stub)
    assert words(summary) == ["ran", "failed", "not started", "not started"]
    assert "No space left" in summary.table()
    assert len(stub.tasks) == 2
    assert summary.exit_code == 1
    assert not [path for path in project.rglob(".*") if path.is_file()]


def test_a_disk_full_for_a_notebook_is_told_as_such(project):
    summary = run(project, Stub(error=OSError(errno.ENOSPC, "No space left on device")))
    assert words(summary) == ["failed", *["not started"] * 3]
    assert "could not be recorded: [Errno 28]" in summary.outcomes[0].reason


def test_a_folder_that_cannot_be_written_is_one_line_and_nothing_starts(
    project, monkeypatch, capsys
):
    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("mvlib.run.saving.tempfile.TemporaryFile", read_only)
    monkeypatch.setenv("MVLIB_ROOT", str(project))
    assert main(["run", "method", "--profile", "full"]) == 2
    err = capsys.readouterr().err
    assert f"mvlib: the results folder {project / 'runs'} cannot be written to" in err
    assert err.count("\n") == 1
    monkeypatch.undo()
    check_folders(plan_runs("full", root=project), project)
    assert (project / "data" / "results").is_dir()
    assert list((project / "runs").iterdir()) == []
    (project / "data" / "results").rmdir()
    (project / "data" / "results").write_text("a file, not a folder")
    stub = Stub()
    with pytest.raises(OSError, match=r"data/results cannot be written to .*nothing was"):
        run(project, stub)
    assert stub.tasks == []


def test_what_a_remote_engine_says_of_a_run_is_in_its_record(project):
    there = versions() | {"torch": "1.2.3"}
    stub = Stub(remote=True, threads=7, versions=there, executed_content=b'{"cells": [1]}')
    assert set(words(run(project, stub))) == {"ran"}
    planned = plan_runs("full", root=project)
    for record in load_records(root=project):
        assert (record["threads"], record["versions"]) == (7, there)
    assert [(project / each.executed).read_text() for each in planned] == ['{"cells": [1]}'] * 4
    # The key is of the versions that made the result: it is no earlier version's work.
    keys = {record_key(run_key(each, project, there), {"Toy": 1}) for each in planned}
    assert {record["key"] for record in load_records(root=project)} == keys
    assert set(words(run(project, Stub()))) == {"recorded"}


@pytest.mark.parametrize("executed", ["notebooks/toy.ipynb", "../out.ipynb"])
def test_an_odd_executed_notebook_is_not_saved(project, executed):
    before = (project / "notebooks" / "toy.ipynb").read_bytes()
    summary = run(project, Stub(remote=True, executed=executed))
    assert set(words(summary)) == {"failed"}
    assert "expected" in summary.outcomes[0].reason
    assert (project / "notebooks" / "toy.ipynb").read_bytes() == before
    assert not list(project.parent.glob("out*"))
    assert load_records(root=project) == []


def test_data_are_looked_for_where_the_run_executes(tmp_path, monkeypatch):
    project = make_stub_project(tmp_path, stub_plan(f'{SIZE}, datasets = ["deep-animal"]'))
    monkeypatch.setattr("mvlib.data.fetch", lambda name: pytest.fail("fetched here"))
    assert set(words(run(project, Stub()))) == {"cannot"}
    assert set(words(run(project, Stub(remote=True, cannot="none on worker 1")))) == {"cannot"}
    assert load_records(root=project) == []
    stub = Stub(remote=True)
    assert set(words(run(project, stub))) == {"ran"}
    task = stub.tasks[0]
    assert task["datasets"] == ("deep-animal",)
    assert task["name"] == "toy/method/seeds 1"
    assert task["run"]["notebook"] == "notebooks/toy.ipynb"
    keys = {record["key"] for record in load_records(root=project)}
    assert record_key(task["key"], {"Toy": 1}) in keys


def test_what_reads_records_runs_here_also_with_a_remote_engine(project, monkeypatch):
    here = Stub()
    monkeypatch.setattr(here, "shutdown", lambda stop: None)
    monkeypatch.setattr("mvlib.run.runner.LocalEngine", lambda jobs: here)
    remote = Stub(remote=True)
    assert words(run(project, remote, "quick")) == ["ran", "ran"]
    assert [task["experiment"] for task in remote.tasks] == ["method"]
    assert [task["experiment"] for task in here.tasks] == ["table"]


def test_what_an_engine_raises_at_once_is_the_reason_and_others_go_on(project):
    class Picky(Stub):
        def submit(self, task):
            if task["parameters"]["seeds"] == [2]:
                raise RunLostError("no worker is left that declares GPU")
            return super().submit(task)

    summary = run(project, Picky(remote=True))
    assert words(summary) == ["ran", "failed", "ran", "ran"]
    assert summary.outcomes[1].reason == "no worker is left that declares GPU"
    assert [r["error"] for r in load_records(root=project) if r["status"] == "failed"] == [
        "no worker is left that declares GPU"
    ]


def test_the_longest_runs_start_first_and_ties_keep_the_plans_order(tmp_path):
    sets = 'grid = { dataset = ["wiki", "handwritten"] }'
    sizes = {"method": SIZE, "table": f"{sets}, minutes = {{ default = 2, handwritten = 9 }}"}
    plan = HEADER
    for name, size in (sizes | {"long": "minutes = 5"}).items():
        plan += experiment(name, size, "full", STUB)
    project = make_stub_project(tmp_path, plan)
    write(project, "x = 1", "profile = ''\ndevice = ''\nseeds = [1]\ndataset = ''")
    stub = Stub(remote=True)
    run(project, stub)
    assert [(task["experiment"], task["minutes"]) for task in stub.tasks] == [
        ("table", 9), ("long", 5), ("table", 2), *[("method", 1)] * 4,
    ]  # fmt: skip
    assert [task["parameters"]["seeds"] for task in stub.tasks[3:]] == [[1], [2], [3], [4]]
