"""The whole runner on a full disk, on a read-only one, interrupted, and beside another."""

import signal
import time

import pytest
from projects import (
    SmallDisk,
    complaints,
    good_project,
    mvlib,
    processes_in,
    rerun,
    start,
    wait_for,
    work_of,
)

from mvlib.records.store import latest_records, load_records

CLOCK = '''
"""A clock that is a year behind once a file says so."""
import datetime, os, time, warnings
warnings.filterwarnings("ignore", message="datetime.datetime size changed")
now, step = time.time, 365 * 86400
def behind():
    return step * os.path.exists(os.environ["STEPPED_BACK"])
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now() - behind(), tz)
time.time = lambda: now() - behind()
datetime.datetime = Shifted
'''


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Give the records of four runs that nothing went wrong in."""
    return rerun(good_project(tmp_path_factory.mktemp("undisturbed"), count=4, seconds=3))


@pytest.fixture
def project(tmp_path):
    return good_project(tmp_path, count=4, seconds=3)


def ran(root):
    """Return which notebooks have begun, in their order."""
    path = root / "ran"
    return path.read_text().split() if path.exists() else []


@pytest.mark.fault("two runners started on the same folder at once")
def test_two_runners_execute_each_run_once(project, undisturbed, fault):
    both = [start(project, "run", "--jobs", "2") for _ in range(2)]
    for runner in both:
        _, err = runner.communicate(timeout=240)
        assert (runner.returncode, complaints(err)) == (0, "")
    assert sorted(ran(project)) == ["1", "2", "3", "4"]
    assert work_of(load_records(root=project)) == undisturbed
    fault("Each of the 4 notebooks was executed once, by the one or the other; no record lost.")


@pytest.mark.fault("Ctrl-C once")
def test_the_first_interrupt_lets_what_runs_finish(project, undisturbed, fault):
    runner = start(project, "run", "--jobs", "1")
    wait_for(lambda: ran(project), "the first notebook to begin")
    runner.send_signal(signal.SIGINT)
    out, err = runner.communicate(timeout=240)
    assert runner.returncode == 130
    assert "Ctrl-C again" in complaints(err)
    assert out.count("interrupted") == 3
    (record,) = load_records(root=project)
    assert (record["status"], len(ran(project))) == ("ok", 1)
    assert processes_in(project) == []
    assert rerun(project) == undisturbed
    fault("What ran was finished and recorded, nothing more was started; a rerun did the rest.")


@pytest.mark.fault("Ctrl-C twice")
def test_the_second_interrupt_stops_what_runs(project, undisturbed, fault):
    runner = start(project, "run", "--jobs", "1")
    wait_for(lambda: ran(project), "the first notebook to begin")
    runner.send_signal(signal.SIGINT)
    time.sleep(0.5)
    begun = time.monotonic()
    runner.send_signal(signal.SIGINT)
    out, err = runner.communicate(timeout=240)
    seconds = time.monotonic() - begun
    assert runner.returncode == 130
    complaints(err)
    assert out.count("interrupted") == 4
    assert load_records(root=project) == []
    wait_for(lambda: not processes_in(project), "its kernel to end", 10)
    assert rerun(project) == undisturbed
    fault(
        f"Everything had stopped {seconds:.1f} s later, nothing was recorded; a rerun did all."
    )


@pytest.mark.fault("a disk that fills up while notebooks run, so that no record can be written")
def test_a_disk_too_full_for_records_ends_the_command_and_a_rerun_does_the_rest(
    project, undisturbed, fault
):
    with SmallDisk(project / "runs" / "records") as disk:
        runner = start(project, "run", "--jobs", "1")
        wait_for(lambda: ran(project), "the first notebook to begin")
        disk.fill()
        out, err = runner.communicate(timeout=240)
        assert runner.returncode == 1
        complaints(err)
        assert "No space left" in out
        assert len(ran(project)) == 1
        assert load_records(root=project) == []
        code, out, err = mvlib(project, "run")
        assert code != 0
        assert "nothing was started" in out + complaints(err)
        assert len(ran(project)) == 1
        disk.empty()
        assert rerun(project) == undisturbed
    fault(
        "The command ended with the reason and started nothing more, nor did the next one; "
        "once there was room, a rerun recorded all."
    )


@pytest.mark.fault("a disk that is too full for executed notebooks")
def test_a_disk_too_full_for_a_notebook_fails_its_run_with_the_reason(
    project, undisturbed, fault
):
    with SmallDisk(project / "runs" / "quick") as disk:
        disk.fill()
        code, out, err = mvlib(project, "run", "--jobs", "2")
        assert code == 1
        complaints(err)
        assert "could not be written: No space left on device" in out
        records = load_records(root=project)
        assert {record["status"] for record in records} == {"failed"}
        assert [p.name for p in disk.path.rglob("*") if p.is_file()] == ["ballast"]
        disk.empty()
        assert rerun(project) == undisturbed
    fault(
        "The runs were recorded as failed with that reason, no half notebook was left; once "
        "there was room, a rerun recorded all."
    )


@pytest.mark.fault("a results folder that is read-only")
def test_a_read_only_folder_is_told_before_anything_starts(project, undisturbed, fault):
    with SmallDisk(project / "runs") as disk:
        disk.set_writable(False)
        code, out, err = mvlib(project, "run")
        assert code != 0
        assert "cannot be written to" in out + complaints(err)
        assert ran(project) == []
        disk.set_writable(True)
        assert rerun(project) == undisturbed
    fault("The command named the folder and started nothing; once it was writable, all ran.")


@pytest.mark.fault("a clock that steps back a year while a notebook runs")
def test_a_clock_that_steps_back_changes_no_duration_and_hides_no_new_result(
    tmp_path, fault, monkeypatch
):
    root = good_project(tmp_path / "project", count=1, profile="full", seconds=3)
    assert mvlib(root, "run", "--profile", "full")[0] == 0
    notebook = root / "notebooks" / "toy" / "good.ipynb"
    notebook.write_text(notebook.read_text().replace("acc=0.5", "acc=0.7"))
    (root / "ran").unlink()
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv("STEPPED_BACK", str(root / "ran"))
    monkeypatch.setattr("projects.MORE_PATHS", [str(tmp_path / "clock")])
    code, _, err = mvlib(root, "run", "--profile", "full", "--rerun-earlier")
    assert (code, complaints(err)) == (0, "")
    old, new = sorted(load_records(root=root), key=lambda record: record.get("sequence", 1))
    assert 3 < new["wall_seconds"] < 100
    assert latest_records([new, old]) == latest_records([old, new]) == [new]
    assert new["results"][0]["metrics"]["last"]["acc"] == pytest.approx(0.701)
    fault(
        "Its duration was right, no limit was hit, and the new record counts, not the old one."
    )
