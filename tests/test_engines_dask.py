"""Runs on Dask's workers: the same records, and what survives when a part of it dies."""

import dataclasses
import os
import shutil
import threading
from concurrent.futures import wait
from pathlib import Path

import engine_functions
import psutil
import pytest
from runner_projects import PLAN, make_project, processes_in, wait_for
from test_experiments_runner import without_times

from mvlib.engines import DaskExecutor, start_cluster
from mvlib.engines.dask_executor import is_open
from mvlib.engines.shares import CORES, Cards, share_of_cores
from mvlib.experiments import load_records, plan_runs, run_all, run_key
from mvlib.experiments.executor import RunLostError
from mvlib.experiments.provenance import available_cores
from mvlib.experiments.tasks import make_task

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS = 90


@pytest.fixture(scope="module", autouse=True)
def _environment(tmp_path_factory):
    """Let workers find mvlib and these tests' functions, and no data but what ships."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}")
        patch.setenv("MVLIB_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MVLIB_OFFLINE", "1")
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        yield


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Give a project run by two workers with a copy of it, of which one was killed midway."""
    root = make_project(tmp_path_factory.mktemp("project"), PLAN)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, copy)
    described = root.parent / "cluster.yml"
    described.write_text(
        f"kind: local\nworkers: 2\nfolder: {copy}\ndeaths: 1\ndashboard: 127.0.0.1:0\n"
    )
    killed = []

    def kill_a_worker():
        wait_for((copy / "began").exists, "the first notebook to begin")
        run = run_processes(copy)[0]
        killed.extend([run, *run.children(recursive=True)])
        run.parent().kill()

    with start_cluster(described) as executor:
        wait_for(lambda: executor.slots() == 2, "both workers")
        killer = threading.Thread(target=kill_a_worker)
        killer.start()
        summary = run_all(plan_runs(root=root), root=root, executor=executor)
        killer.join()
        yield root, copy, executor, summary, killed


def run_processes(root):
    found = []
    for process in processes_in(root):
        try:
            if "mvlib.engines.run_process" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def task_of(root, device="cpu", **changes):
    run = dataclasses.replace(plan_runs(root=root)[0], **changes)
    return make_task(run, run_key(run, root), root, {"device"}, device, 1, None)


def submit(executor, function, task):
    return executor.submit(getattr(engine_functions, function), task)


def test_a_killed_worker_costs_no_run_and_the_records_are_those_of_local_processes(
    disturbed, tmp_path
):
    root, copy, _, summary, killed = disturbed
    assert len(killed) > 1
    assert [outcome.word for outcome in summary.outcomes] == ["ran", "ran"]
    local = make_project(tmp_path / "local", PLAN)
    run_all(plan_runs(root=local), jobs=2, root=local)
    expected = list(map(without_times, load_records(root=local)))
    assert list(map(without_times, load_records(root=root))) == expected
    for record in load_records(root=root):
        assert record["threads"] == max(1, available_cores() // 2)
        here = (root / record["executed"]).read_text()
        assert str(copy) not in here
        assert '"output_path": "runs/quick/toy/good--x-' in here


def test_nothing_is_written_to_the_project_of_the_workers(disturbed):
    copy = disturbed[1]
    assert not (copy / "runs").exists()


def test_a_killed_worker_leaves_no_kernel(disturbed):
    killed = disturbed[4]
    wait_for(lambda: not any(p.is_running() for p in killed), "the killed worker's kernel")


def test_a_run_that_takes_its_workers_down_fails_with_the_count(disturbed):
    root, _, executor, *_ = disturbed
    future = submit(executor, "kill_worker", task_of(root))
    with pytest.raises(RunLostError, match="died 2 times in turn"):
        future.result(SECONDS)


def test_a_killed_process_is_told_from_a_killed_worker(disturbed):
    root, _, executor, *_ = disturbed
    outcome = submit(executor, "vanish", task_of(root)).result(SECONDS)
    assert outcome["status"] == "failed"
    assert "was killed, perhaps for want of memory" in outcome["error"]


def test_other_sources_are_refused_with_the_name_of_the_worker(disturbed):
    root, copy, executor, *_ = disturbed
    task = task_of(root)
    notebook = copy / task["notebook"]
    before = notebook.read_text()
    notebook.write_text(before.replace("recorder.finish()", "recorder.finish() "))
    try:
        outcome = submit(executor, "look_around", task).result(SECONDS)
    finally:
        notebook.write_text(before)
    assert outcome["status"] == "failed"
    assert outcome["error"].startswith("worker ")
    assert "has other sources than the runner: notebooks/toy/good.ipynb" in outcome["error"]


def test_other_versions_are_refused_and_listed(disturbed, monkeypatch):
    root, _, executor, *_ = disturbed
    others = {"python": "3.2.1", "mvlib": "0", "torch": "0.1"}
    monkeypatch.setattr("mvlib.experiments.provenance.versions", lambda: others)
    outcome = submit(executor, "look_around", task_of(root)).result(SECONDS)
    assert "has other versions than the runner: python 3." in outcome["error"]
    assert "in place of 3.2.1, torch " in outcome["error"]


def test_data_that_the_worker_cannot_have_are_no_failure(disturbed):
    root, _, executor, *_ = disturbed
    task = task_of(root, datasets=("handwritten", "scene-15"))
    outcome = submit(executor, "look_around", task).result(SECONDS)
    assert "data not at hand" in outcome["cannot"]
    assert outcome["cannot"].startswith("worker ")


def test_a_cancelled_run_ends_on_its_worker(disturbed):
    root, copy, executor, *_ = disturbed
    wait_for(lambda: not run_processes(copy), "other runs to end")
    future = submit(executor, "linger", task_of(root))
    wait_for(lambda: run_processes(copy), "the run to start")
    future.cancel()
    wait_for(lambda: not run_processes(copy), "the run to end")


def test_every_door_of_a_local_cluster_is_on_loopback(disturbed):
    copy = disturbed[1]
    doors = {
        connection.laddr.ip
        for process in [psutil.Process(), *processes_in(copy)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert doors == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://10.0.0.5:8786", True),
        ("tcp://[2001:db8::5]:8786", True),
        ("tcp://node5:8786", True),
        ("tls://10.0.0.5:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
        ("inproc://10.0.0.5/12/1", False),
    ],
)
def test_an_address_is_open_where_others_reach_it_unencrypted(address, expected):
    assert is_open(address) is expected


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Give a project and an executor with a worker of two cards beside one without."""
    from distributed import Client, Scheduler, SpecCluster, Worker

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    root = make_project(tmp_path / "project", PLAN)
    monkeypatch.setenv("MVLIB_ROOT", str(root))
    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0", "protocol": "inproc://"}
    workers = {
        "plain": {"cls": Worker, "options": {"nthreads": 1, "memory_limit": 0}},
        "cards": {
            "cls": Worker,
            "options": {"nthreads": 2, "memory_limit": 0, "resources": {"GPU": 2}},
        },
    }
    with (
        SpecCluster(workers, {"cls": Scheduler, "options": quiet}, silence_logs=50) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield root, DaskExecutor(client)


def test_runs_on_a_gpu_go_where_cards_are_and_get_one_each(mixed, tmp_path):
    root, executor = mixed
    assert executor.slots() == 3
    place = tmp_path / "place"
    place.mkdir()
    task = task_of(root, "auto")
    task["parameters"] |= {"place": str(place), "count": 2}
    on_cards = [submit(executor, "meet", task) for _ in range(2)]
    third = submit(executor, "look_around", task_of(root, "cuda"))
    # The third waits for a card, and keeps no other run from its slot.
    assert executor.slots() == 4
    on_processor = submit(executor, "look_around", task_of(root, "cpu"))
    wait([*on_cards, third, on_processor], SECONDS)
    seen = [future.result()["payload"] for future in (*on_cards, third)]
    assert sorted(each["cards"] for each in seen[:2]) == ["3", "5"]
    assert seen[2]["cards"] in ("3", "5")
    assert all(each["worker"].startswith("worker cards ") for each in seen)
    assert on_processor.result()["payload"]["cards"] == ""


def test_a_card_by_its_number_cannot_be_had(mixed):
    root, executor = mixed
    outcome = submit(executor, "look_around", task_of(root, "cuda:1")).result(SECONDS)
    assert "names a card of one machine" in outcome["cannot"]


def test_without_a_card_the_device_cuda_cannot_be_had(mixed, monkeypatch):
    root, executor = mixed
    monkeypatch.setattr("mvlib.engines.dask_executor._cards", lambda _: 0)
    outcome = submit(executor, "look_around", task_of(root, "cuda")).result(SECONDS)
    assert "no worker declares the resource GPU" in outcome["cannot"]


def test_cards_are_shared_evenly_and_given_back():
    cards = Cards(4, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"})
    taken = [cards.take() for _ in range(4)]
    assert sorted(taken) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    cards.give("GPU-b")
    assert cards.take() == "GPU-b"
    assert [Cards(2, {}).take() for _ in range(2)] == ["0", "0"]
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES='' leaves no card"):
        Cards(1, {"CUDA_VISIBLE_DEVICES": ""})


def test_cores_are_shared_out_among_the_slots_of_a_machine(monkeypatch):
    monkeypatch.setattr("mvlib.engines.shares.available_cores", lambda: 12)
    assert share_of_cores(1, 3) == 4
    assert share_of_cores(2, 1) == 6
    assert share_of_cores(1, 100) == 1
    monkeypatch.setenv(CORES, "8")
    assert share_of_cores(2, 6) == 4
    monkeypatch.setenv(CORES, "many")
    with pytest.raises(ValueError, match="MVLIB_CORES='many'"):
        share_of_cores(1, 1)
