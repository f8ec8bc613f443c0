"""What attacks on the runner and its records have broken once, done again for real."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from distributed import LocalCluster
from projects import (
    GIT,
    MODULES,
    PLAN,
    REPOSITORY,
    Stub,
    mvlib,
    processes_in,
    run_beside,
    save_many,
    start,
    toy_project,
    wait_for,
    write_notebook,
)

from mvlib.records import load_records, plan_runs, save_record
from mvlib.records.published import load_published
from mvlib.report.word_lists import given_texts
from mvlib.run import process
from mvlib.run.saving import lost, make_record

ONE = PLAN.replace("x = [1, 2]", "x = [1]")
FULL = ONE.replace("quick = {", "full = {")
PARAMETERS = 'profile = "quick"\ndevice = "auto"\nx = 0\nseeds = [0]'
SAVE = (
    "import sys\nfrom pathlib import Path\nfrom projects import save_many\n"
    "save_many(Path(sys.argv[1]), int(sys.argv[2]))\n"
)
LEAVING = """
import subprocess, sys
cleared = {k: v for k, v in os.environ.items() if k != "MVLIB_RUN"}
code = "import time; time.sleep(600)"
pids = [
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env=env).pid
    for env in (None, cleared)
]
with open("left", "w") as stream:
    print(*pids, file=stream)
"""
RECORDING = """
scores = dict(acc=0.5, nmi=0.4, ari=0.3, purity=0.6)
recorder = Recorder("toy", "good", profile=profile, device="cpu")
recorder.add("Toy", "handwritten", seed=1, metrics={"last": scores})
recorder.finish()
"""


def checkouts(folder, plan):
    """Return two checkouts and the third place whose results are theirs, by links."""
    shared = folder / "shared"
    shared.mkdir()
    roots = [toy_project(folder / name, plan) for name in ("first", "second")]
    for root in roots:
        (root / "data" / "results").symlink_to(shared)
    return roots, shared


@pytest.mark.fault("two checkouts that share their results by a link, and save at once")
def test_two_checkouts_that_share_their_results_lose_no_record(tmp_path, fault):
    roots, shared = checkouts(tmp_path, FULL)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVE, str(root), str(first)],
            env=os.environ | {"PYTHONPATH": MODULES},
        )
        for root, first in zip(roots, (0, 1000), strict=True)
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    found = {record["parameters"]["x"] for record in load_records(root=roots[0])}
    assert found == {*range(40), *range(1000, 1040)}
    assert [path.name for path in shared.iterdir()] == ["toy.jsonl"]
    fault("Of the 80 records of two processes all stand, and no lock or half file is left.")


@pytest.mark.fault("two checkouts that share their results, and run the same at once")
def test_two_checkouts_that_share_their_results_share_the_work(tmp_path, fault):
    roots, _ = checkouts(tmp_path, FULL.replace("x = [1]", "x = [1, 2, 3, 4]"))
    stubs = [Stub(seconds=0.3), Stub(seconds=0.3)]
    pairs = zip(roots, stubs, strict=True)
    for thread in [run_beside(root, stub, []) for root, stub in pairs]:
        thread.join(90)
    ran = sorted(task["parameters"]["x"] for stub in stubs for task in stub.tasks)
    assert ran == [1, 2, 3, 4]
    fault("Each of the 4 runs was executed by one of them.")


@pytest.mark.fault("a file of records that is a link")
def test_a_linked_record_file_stays_a_link(tmp_path, fault):
    root = toy_project(tmp_path / "project", FULL)
    (root / "data" / "results").mkdir()
    target = tmp_path / "elsewhere.jsonl"
    link = root / "data" / "results" / "toy.jsonl"
    link.symlink_to(target)
    save_many(root, 0, 2)
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 2
    fault("It stays one; the records are where it leads.")


@pytest.fixture
def own_mvlib(tmp_path, monkeypatch):
    """Give a copy of mvlib that may be edited, and have commands use it."""
    copy = tmp_path / "own"
    shutil.copytree(REPOSITORY / "data" / "embedded", copy / "data" / "embedded")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "mvlib", copy / "mvlib", ignore=ignored)
    monkeypatch.setattr("projects.REPOSITORY", copy)
    return copy / "mvlib"


@pytest.mark.fault("a file of mvlib that is edited while a notebook runs, and put back")
def test_mvlib_edited_while_a_run_is_on_makes_it_no_current_record(tmp_path, own_mvlib, fault):
    root = toy_project(tmp_path / "project", FULL)
    code = "Path('began').touch()\nwhile not Path('go').exists(): pass\n"
    code += "from mvlib.ops import contingency\n" + RECORDING
    notebook = root / "notebooks" / "toy" / "good.ipynb"
    write_notebook(notebook, f"from pathlib import Path\n{code}", PARAMETERS)
    runner = start(root, "run", "--profile", "full", "--jobs", "1")
    wait_for((root / "began").exists, "the notebook to begin")
    module = own_mvlib / "ops" / "contingency.py"
    before, times = module.read_bytes(), module.stat()
    module.write_bytes(before + b"\nCHANGED = True\n")
    module.write_bytes(before)
    # As careful as can be: even the time is that of before.
    os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "go").touch()
    out, _ = runner.communicate(timeout=90)
    assert runner.returncode == 1
    (record,) = load_records(root=root)
    assert record["status"] == "failed"
    assert (
        "mvlib/ops/contingency.py was changed before the notebook had loaded it"
        in record["error"]
    )
    assert "contingency" in out
    fault("The run is recorded as failed, and the file is named.")


def test_mvlib_edited_once_it_is_loaded_or_where_it_is_not_looked_at_costs_no_run(
    tmp_path, own_mvlib
):
    root = toy_project(tmp_path / "project", ONE)
    runner = start(root, "run", "--jobs", "1")
    wait_for((root / "began").exists, "the notebook to begin")
    for name in ("ops/sinkhorn.py", "records/recorder.py"):
        with (own_mvlib / name).open("a") as stream:
            stream.write("\nCHANGED = True\n")
    runner.communicate(timeout=90)
    assert [record["status"] for record in load_records(root=root)] == ["ok"]
    # But what ran is no more what is there.
    assert " to run " in mvlib(root, "status")[1]
    with (own_mvlib / "ops/sinkhorn.py").open("a") as stream:
        stream.write("\nCHANGED = 2\n")
    mvlib(root, "run", "--jobs", "1")
    assert " recorded " in mvlib(root, "status")[1]


@pytest.mark.fault("a notebook that is edited while it runs")
def test_a_record_is_of_the_notebook_that_ran_whatever_is_edited_meanwhile(tmp_path, fault):
    root = toy_project(tmp_path / "project", FULL)
    notebook = root / "notebooks" / "toy" / "good.ipynb"
    runner = start(root, "run", "--profile", "full", "--jobs", "1")
    wait_for((root / "began").exists, "the notebook to begin")
    notebook.write_text(notebook.read_text().replace("acc=0.5", "acc=0.7"))
    runner.communicate(timeout=90)
    (record,) = load_records(root=root)
    assert record["results"][0]["metrics"]["last"]["acc"] == 0.6
    out = mvlib(root, "status", "--profile", "full")[1]
    assert "earlier version" in out
    fault("The record is of what ran, and of an earlier version than the edited notebook.")


def test_a_notebook_edited_after_its_run_was_planned_is_not_executed(tmp_path):
    root = toy_project(tmp_path / "project", ONE)
    task = {"root": str(root), "notebook": "notebooks/toy/good.ipynb", "code": "0" * 64}
    with pytest.raises(ValueError, match="has other code than when its run was planned"):
        process.execute(task)


@pytest.mark.fault("a folder for temporary files with a name of more than 100 characters")
def test_a_long_folder_for_temporary_files_fails_no_run(tmp_path, monkeypatch, fault):
    root = toy_project(tmp_path / "project", ONE)
    long = tmp_path / ("temporary-" * 10)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    code, _, err = mvlib(root, "run", "--jobs", "1")
    assert (code, err) == (0, "")
    assert list(long.iterdir()) == []
    fault("The run is recorded.")


@pytest.mark.fault("standard input, output and error that are closed")
def test_closed_standard_streams_fail_no_run(tmp_path, fault):
    cases = ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-")
    for number, closed in enumerate(cases):
        with_streams_closed(toy_project(tmp_path / f"{number}", ONE), closed)
    fault("The run is recorded, whichever is closed.", times=len(cases))


def with_streams_closed(root, closed):
    environment = os.environ | {"MVLIB_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}
    command = f'exec "{sys.executable}" -m mvlib run --jobs 1 {closed}'
    done = subprocess.run(
        ["sh", "-c", command], cwd=root, env=environment, capture_output=True, timeout=90
    )
    assert done.returncode == 0
    assert [record["status"] for record in load_records(root=root)] == ["ok"]


@pytest.mark.fault("a reader of what is printed that goes away, as head does")
def test_a_reader_that_goes_away_loses_nothing_in_flight(tmp_path, fault):
    root = toy_project(tmp_path / "project", PLAN)
    runner = start(root, "run", "--jobs", "1")
    runner.stdout.readline()
    runner.stdout.close()
    assert runner.wait(90) == 0
    assert "Traceback" not in runner.stderr.read()
    assert [record["status"] for record in load_records(root=root)] == ["ok", "ok"]
    fault("Both runs are recorded, the one in flight and the one behind it.")


@pytest.mark.fault("a pipe, or a link to an endless device, in the place of a file")
def test_what_never_ends_is_refused_in_place_of_a_file(tmp_path, fault):
    places = ("record", "plan", "published", "words", "ledger")
    for place in places:
        for kind in ("pipe", "device"):
            refused(toy_project(tmp_path / f"{place}-{kind}", FULL), place, kind)
    fault("One line says that it is no regular file.", times=2 * len(places))


def refused(root, place, kind):
    paths = {
        "record": root / "data" / "results" / "toy.jsonl",
        "plan": root / "notebooks" / "toy" / "plan.toml",
        "published": root / "notebooks" / "toy" / "published.toml",
        "words": root / "words.txt",
        "ledger": root / "data" / "results" / "versions.json",
    }
    path = paths[place]
    if place == "ledger":
        (run,) = plan_runs("full", root=root)
        said = lost(run, "toy") | {"status": "ok", "error": None}
        save_record(make_record(run, "0" * 64, said, "cpu", 1, GIT), root)
        text = paths["record"].read_text()
        paths["record"].write_text(text.replace('"method_versions": {}, ', ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    if place == "published":
        with pytest.raises(ValueError, match="no regular file"):
            load_published("toy", root)
    elif place == "words":
        with pytest.raises(ValueError, match="no regular file"):
            given_texts(path, "words")
    else:
        code, _, err = mvlib(root, "status")
        assert (code, err.count("\n")) == (2, 1)
        assert "is no regular file: expected one" in err


@pytest.mark.fault("a record whose fields hold what a terminal obeys")
def test_a_records_fields_give_a_terminal_nothing_to_obey(tmp_path, fault):
    root = toy_project(tmp_path / "project", FULL)
    (run,) = plan_runs("full", root=root)
    record = make_record(run, "0" * 64, lost(run, "toy"), "\x1b]0;title\x07cpu\x9b2J", 1, GIT)
    save_record(record, root)
    out = mvlib(root, "status")[1]
    assert "?]0;title?cpu?2J" in out
    assert all(line.isprintable() for line in out.splitlines())
    fault("`mvlib status` shows it as question marks.")


@pytest.mark.fault("a lock that is a folder")
def test_a_lock_that_cannot_be_had_is_told_before_anything_starts(tmp_path, fault):
    for name in (".toy.jsonl.lock", ".running"):
        without_lock(toy_project(tmp_path / name.strip("."), ONE), name)
    fault("One line says so, and nothing starts.", times=2)


def without_lock(root, name):
    place = root / "runs" / "records" / name
    place.parent.mkdir(parents=True)
    if name == ".running":
        place.touch()
    else:
        place.mkdir()
    _, out, err = mvlib(root, "run", "--jobs", "1")
    assert not (root / "began").exists()
    assert ("cannot be written to" in err) or ("File exists" in out)
    assert "Traceback" not in err


@pytest.fixture
def temporary(tmp_path_factory):
    """Give a folder for temporary files whose name is short enough to be used."""
    return tmp_path_factory.mktemp("t")


@pytest.mark.fault("folders for temporary files that a killed runner has left")
def test_the_folders_of_a_killed_runner_are_removed_at_the_next_start(
    temporary, monkeypatch, fault
):
    monkeypatch.setattr(process.tempfile, "tempdir", str(temporary))
    left = temporary / ".mvlib-left"
    left.mkdir()
    for name in ("given.ipynb", "lock"):
        (left / name).touch()
    with process.run_folder() as held, process.run_folder() as other:
        assert not left.exists()
        assert {held, other} == set(temporary.iterdir())
    assert not list(temporary.iterdir())
    fault("They go when the next runner starts; those in use stay.")


def test_a_killed_run_leaves_no_folder_though_its_runner_is_killed_too(
    tmp_path, temporary, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(temporary))
    root = toy_project(tmp_path / "project", ONE)
    write_notebook(
        root / "notebooks" / "toy" / "good.ipynb",
        "open('began', 'w').close()\nimport time\ntime.sleep(600)",
        PARAMETERS,
    )
    runner = start(root, "run", "--jobs", "1")
    wait_for((root / "began").exists, "the notebook to begin")
    assert list(temporary.glob(".mvlib-*"))
    runner.kill()
    runner.communicate()
    wait_for(lambda: processes_in(root) == [], "what ran to end")
    wait_for(lambda: not list(temporary.glob(".mvlib-*")), "its folder to go")


@pytest.mark.fault("a machine without /proc, or without /dev/shm")
def test_without_proc_or_shared_memory_runs_are_recorded(tmp_path, fault):
    for place in ("/proc", "/dev/shm"):
        without(toy_project(tmp_path / place.replace("/", "-"), ONE), place)
    fault("The run is recorded; without /proc nobody watches its memory.", times=2)


def without(root, place):
    script = (
        f"mount -t tmpfs -o ro tmpfs {place} || exit 77\n"
        f'exec "{sys.executable}" -m mvlib run --jobs 1\n'
    )
    environment = os.environ | {"MVLIB_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=root, env=environment, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [record["status"] for record in load_records(root=root)] == ["ok"]


@pytest.mark.fault("a process that a notebook starts in a session of its own")
def test_what_a_notebook_starts_in_a_session_of_its_own_ends_with_its_run(tmp_path, fault):
    for ending in ("by itself", "killed"):
        root = toy_project(tmp_path / ending.replace(" ", "-"), ONE)
        tail = "1 / 0" if ending == "by itself" else "import time\ntime.sleep(600)"
        notebook = root / "notebooks" / "toy" / "good.ipynb"
        write_notebook(notebook, f"{LEAVING}\n{tail}", PARAMETERS)
        runner = start(root, "run", "--jobs", "1")
        left = root / "left"
        wait_for(lambda: left.exists() and left.read_text().endswith("\n"), "others to start")  # noqa: B023
        if ending == "killed":
            runner.kill()
        runner.communicate(timeout=90)
        pids = list(map(int, left.read_text().split()))
        assert len(pids) == 2
        wait_for(lambda: not any(map(psutil.pid_exists, pids)), "them to end")  # noqa: B023
    fault(
        "It ends with the run, though its environment is cleared, and though the runner is "
        "killed.",
        times=4,
    )


def listen(banner):
    """Listen on a port, and say `banner` to whoever connects; return the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = [listener]

    def serve():
        while True:
            kept.append(listener.accept()[0])
            kept[-1].sendall(banner)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


@pytest.mark.fault("--scheduler at a port that is silent, ssh's, or a web server's")
def test_a_port_that_is_no_schedulers_is_told_in_one_line_within_seconds(tmp_path, fault):
    root = toy_project(tmp_path / "project", PLAN)
    ssh, web = b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"
    banners = (b"", ssh, web, bytes(64))
    begun = time.monotonic()
    asked = [
        start(root, "run", "--scheduler", f"tcp://127.0.0.1:{listen(banner)}")
        for banner in banners
    ]
    for runner in asked:
        out, err = runner.communicate(timeout=60)
        assert (runner.returncode, out) == (2, "")
        assert "no Dask scheduler answers there" in err
        assert err.count("\n") == 1
    assert time.monotonic() - begun < 60
    assert not (root / "runs").exists()
    fault("One line says so, after ten seconds at most.", times=len(banners))


@pytest.mark.fault("a Dask worker without mvlib")
def test_a_worker_without_mvlib_is_the_runs_failure_in_one_line(tmp_path, fault):
    root = toy_project(tmp_path / "project", ONE)
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "sitecustomize.py").write_text("import sys\nsys.modules['mvlib'] = None\n")
    program = [sys.executable, "-m", "distributed.cli.dask_worker"]
    worker = [*program, "--no-nanny", "--no-dashboard"]
    with (
        LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster,
        subprocess.Popen(
            [*worker, cluster.scheduler_address],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(absent)},
            stderr=subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        code, out, err = mvlib(root, "run", "--scheduler", cluster.scheduler_address)
        process.kill()
    assert (code, err) == (1, "")
    (record,) = load_records(root=root)
    assert record["status"] == "failed"
    assert "mvlib" in out.strip().splitlines()[-1]
    assert len(record["error"].splitlines()) == 1
    fault(f"The run is recorded as failed: {record['error']}.")
