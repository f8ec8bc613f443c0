"""Runs on Dask's workers: the same records, and what survives when a part of it dies."""

import dataclasses
import shutil
import subprocess
import threading
import zlib
from concurrent.futures import wait
from contextlib import ExitStack

import engine_functions
import pytest
import yaml
from distributed import Client, LocalCluster, Security
from projects import (
    MODULES,
    PLAN,
    REPOSITORY,
    kernels_in,
    mvlib,
    task_of,
    toy_project,
    wait_for,
    without_times,
    workers_in,
)

from mvlib.records import load_records, plan_runs, provenance
from mvlib.records.provenance import available_cores
from mvlib.run import RunLostError, run_all
from mvlib.run.dask import (
    CORES,
    DaskEngine,
    cards_of_worker,
    checked_answer,
    is_open,
    share_of_cores,
    taking,
)
from mvlib.run.process import execute
from mvlib.run.saving import lost

SECONDS = 90


@pytest.fixture(scope="module", autouse=True)
def _environment(tmp_path_factory):
    """Let workers find mvlib and these tests' functions, and no data but what ships."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", MODULES)
        patch.setenv("MVLIB_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MVLIB_OFFLINE", "1")
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        yield


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Give a project run by two workers with a copy of it, of which one was killed midway."""
    root = toy_project(tmp_path_factory.mktemp("project"), PLAN)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, copy)
    killed = []

    def kill_a_worker():
        wait_for((copy / "began").exists, "the first notebook to begin")
        run = workers_in(copy)[0]
        killed.extend([run, *run.children(recursive=True)])
        run.parent().kill()

    options = {"allowed_failures": 1, "dashboard": False}
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, env={"MVLIB_ROOT": str(copy)},
            dashboard_address=None, scheduler_kwargs=options, silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        engine = DaskEngine(client)
        wait_for(lambda: engine.slots() == 2, "both workers")
        killer = threading.Thread(target=kill_a_worker)
        killer.start()
        summary = run_all(plan_runs(root=root), root=root, engine=engine)
        killer.join()
        yield root, copy, engine, summary, killed


def submit(engine, function, task):
    engine._function = execute if function is None else getattr(engine_functions, function)
    return engine.submit(task)


def test_a_killed_worker_costs_no_run_and_the_records_are_those_of_local_processes(
    disturbed, tmp_path
):
    root, copy, _, summary, killed = disturbed
    assert len(killed) > 1
    assert [outcome.word for outcome in summary.outcomes] == ["ran", "ran"]
    local = toy_project(tmp_path / "local", PLAN)
    run_all(plan_runs(root=local), jobs=2, root=local)
    expected = list(map(without_times, load_records(root=local)))
    assert list(map(without_times, load_records(root=root))) == expected
    for record in load_records(root=root):
        assert record["threads"] == max(1, available_cores() // 2)
        assert str(copy) not in (root / record["executed"]).read_text()
    # Nothing is written to the project of the workers, and the killed one leaves no kernel.
    assert not (copy / "runs").exists()
    wait_for(lambda: not any(p.is_running() for p in killed), "the killed worker's kernel")


def test_a_run_that_takes_its_workers_down_fails_with_the_count(disturbed):
    root, _, engine, *_ = disturbed
    future = submit(engine, "kill_worker", task_of(root))
    with pytest.raises(RunLostError, match="died 2 times in turn"):
        future.result(SECONDS)
    wait_for(lambda: engine.slots() == 2, "the workers to be back")


def test_a_killed_process_is_told_from_a_killed_worker(disturbed):
    root, _, engine, *_ = disturbed
    outcome = submit(engine, "vanish", task_of(root)).result(SECONDS)
    assert outcome["status"] == "failed"
    assert outcome["error"].startswith("worker ")
    assert "its process was killed (SIGKILL), perhaps for want" in outcome["error"]


@pytest.mark.parametrize("differing", ["notebook", "mvlib"])
def test_other_sources_are_refused_with_the_name_of_the_worker(
    disturbed, monkeypatch, differing
):
    root, copy, engine, *_ = disturbed
    task = task_of(root)
    notebook = copy / task["notebook"]
    before = notebook.read_text()
    if differing == "notebook":
        notebook.write_text(before.replace("recorder.finish()", "recorder.finish() "))
    else:
        theirs = provenance.checksums(provenance.stamps()) | {"ops/kmeans.py": "0" * 64}
        monkeypatch.setattr(provenance, "checksums", lambda _: theirs)
    try:
        outcome = submit(engine, "look_around", task).result(SECONDS)
    finally:
        notebook.write_text(before)
    assert outcome["status"] == "failed"
    assert outcome["error"].startswith("worker ")
    name = "notebooks/toy/good.ipynb" if differing == "notebook" else "mvlib/ops/kmeans.py"
    assert f"has other sources than the runner: {name}" in outcome["error"]


def test_other_versions_are_refused_and_listed(disturbed, monkeypatch):
    root, _, engine, *_ = disturbed
    others = {"python": "3.2.1", "mvlib": "0", "torch": "0.1"}
    monkeypatch.setattr("mvlib.records.provenance.versions", lambda: others)
    outcome = submit(engine, "look_around", task_of(root)).result(SECONDS)
    assert "has other versions than the runner: python 3." in outcome["error"]
    assert "in place of 3.2.1, torch " in outcome["error"]


def test_data_that_the_worker_cannot_have_are_no_failure(disturbed):
    root, _, engine, *_ = disturbed
    task = task_of(root, datasets=("handwritten", "scene-15"))
    outcome = submit(engine, "look_around", task).result(SECONDS)
    assert "data not at hand" in outcome["cannot"]
    assert outcome["cannot"].startswith("worker ")


def test_a_cancelled_run_ends_on_its_worker(disturbed):
    root, copy, engine, *_ = disturbed
    wait_for(lambda: not workers_in(copy), "other runs to end")
    (copy / "began").unlink(missing_ok=True)
    slow = dataclasses.replace(plan_runs(root=root)[0], notebook="notebooks/toy/slow.ipynb")
    future = submit(engine, None, task_of(root, notebook=slow.notebook))
    wait_for(lambda: kernels_in(copy), "the run's kernel to start")
    future.cancel()
    wait_for(lambda: not workers_in(copy), "the run to end")
    wait_for(lambda: not kernels_in(copy), "its kernel to end")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ("no status", "its worker's answer has a int as status"),
        ("gigabytes", "the executed notebook came back cut, or above 268,435,456 bytes"),
    ],
)
def test_what_is_no_outcome_is_the_runs_failure_in_one_line(disturbed, odd, reason):
    root, _, engine, *_ = disturbed
    task = task_of(root)
    task["parameters"]["odd"] = odd
    with pytest.raises(RunLostError) as error:
        submit(engine, "answer_oddly", task).result(SECONDS)
    assert str(error.value) == reason


def test_a_worker_cannot_say_of_which_paper_or_commit_a_run_is(disturbed):
    root, _, engine, *_ = disturbed
    task = task_of(root)
    task["parameters"]["odd"] = "another paper"
    outcome = submit(engine, "answer_oddly", task).result(SECONDS)
    assert not {"paper", "git_commit"} & set(outcome)
    assert {"status", "threads", "versions"} <= set(outcome)


def test_an_answer_that_is_no_mapping_or_holds_a_damaged_notebook_is_told():
    for answer in (None, [1], "ok"):
        kind = type(answer).__name__
        with pytest.raises(RunLostError, match=f"worker answered a {kind}, not an outcome"):
            checked_answer(answer)
    whole = lost(plan_runs(root=REPOSITORY)[0], "")
    for content in (b"torn", zlib.compress(b"x" * 1000)[:-3]):
        with pytest.raises(RunLostError, match="came back (damaged|cut)"):
            checked_answer(whole | {"executed_content": content})
    packed = whole | {"executed_content": zlib.compress(b"x")}
    assert checked_answer(packed)["executed_content"] == b"x"


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "http://a:1", "tcp://a", "tcp://a b:1"])
def test_what_is_no_address_is_told_in_one_line(tmp_path, address):
    root = toy_project(tmp_path / "project", PLAN)
    code, _, err = mvlib(root, "run", "--scheduler", address)
    assert code == 2
    assert err == (
        f"mvlib: scheduler={address!r} is no address: expected tcp://HOST:PORT or "
        "tls://HOST:PORT\n"
    )


def test_with_tls_only_holders_of_the_keys_are_let_in(tmp_path):
    certificate = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    subprocess.run(
        ["openssl", *certificate, "-subj", "/CN=mvlib", "-keyout", "key.pem", "-out", "ca.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    mine = {"cert": str(tmp_path / "ca.pem"), "key": str(tmp_path / "key.pem")}
    roles = dict.fromkeys(("scheduler", "worker", "client"), mine)
    keys = {"ca-file": mine["cert"], **roles}
    (tmp_path / "dask").mkdir()
    settings = {"distributed": {"comm": {"require-encryption": True, "tls": keys}}}
    (tmp_path / "dask" / "tls.yaml").write_text(yaml.safe_dump(settings))
    root = toy_project(tmp_path / "project", PLAN.replace("x = [1, 2]", "x = [1]"))
    files = {"tls_ca_file": mine["cert"]}
    for role in roles:
        files |= {f"tls_{role}_cert": mine["cert"], f"tls_{role}_key": mine["key"]}
    with LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=None,
        env={"MVLIB_ROOT": str(root)}, silence_logs=50, protocol="tls://",
        security=Security(require_encryption=True, **files),
    ) as cluster, pytest.MonkeyPatch.context() as patch:  # fmt: skip
        assert cluster.scheduler_address.startswith("tls://")
        code, _, err = mvlib(root, "run", "--scheduler", cluster.scheduler_address)
        assert code == 2
        assert "keys that fit" in err
        patch.setenv("DASK_CONFIG", str(tmp_path / "dask"))
        code, _, err = mvlib(root, "run", "--scheduler", cluster.scheduler_address)
    assert (code, err) == (0, "")
    assert [record["status"] for record in load_records(root=root)] == ["ok"]


def test_the_books_configuration_of_a_queue_is_understood(monkeypatch):
    import dask
    from dask_jobqueue import SLURMCluster

    folder = REPOSITORY / "book" / "clusters"
    settings = yaml.safe_load((folder / "jobqueue.yaml").read_text(encoding="utf-8"))
    # The network of whoever reads this is not that of the example.
    settings["jobqueue"]["slurm"]["interface"] = "lo"
    with dask.config.set(dask.config.merge(dask.config.config, settings)):
        cluster = SLURMCluster(scheduler_options={"dashboard": False})
        script = cluster.job_script()
        cluster.close()
    for line in (
        "#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "export MVLIB_ROOT=", f"export {CORES}=8",
        "--resources GPU=1", "--memory-limit 0",
    ):  # fmt: skip
        assert line in script
    compile((folder / "start_queue.py").read_text(encoding="utf-8"), "start_queue.py", "exec")


def test_an_address_is_open_where_others_reach_it_unencrypted():
    assert all(map(is_open, ("tcp://10.0.0.5:1", "tcp://[2001:db8::5]:1", "tcp://node5:1")))
    closed = ("tls://10.0.0.5:1", "tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1")
    assert not any(map(is_open, (*closed, "inproc://10.0.0.5/12/1")))


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Give a project and an engine with a worker of two cards beside one without."""
    from distributed import Scheduler, SpecCluster, Worker

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    root = toy_project(tmp_path / "project", PLAN)
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
        yield root, DaskEngine(client)


def test_runs_on_a_gpu_go_where_cards_are_and_get_one_each(mixed, tmp_path):
    root, engine = mixed
    assert engine.slots() == 3
    place = tmp_path / "place"
    place.mkdir()
    task = task_of(root, "auto")
    # Both stay until they are let go, however long this process is kept waiting.
    task["parameters"] |= {"place": str(place), "count": 3}
    on_cards = [submit(engine, "meet", task) for _ in range(2)]
    third = submit(engine, "look_around", task_of(root, "cuda"))
    # The third waits for a card, and keeps no other run from its slot.
    assert engine.slots() == 4
    (place / "let go").touch()
    on_processor = submit(engine, "look_around", task_of(root, "cpu"))
    wait([*on_cards, third, on_processor], SECONDS)
    seen = [future.result()["payload"] for future in (*on_cards, third)]
    assert sorted(each["cards"] for each in seen[:2]) == ["3", "5"]
    assert seen[2]["cards"] in ("3", "5")
    assert all(each["worker"].startswith("worker cards ") for each in seen)
    assert on_processor.result()["payload"]["cards"] == ""


def test_a_card_by_its_number_or_without_any_worker_that_has_one_cannot_be_had(
    mixed, monkeypatch
):
    root, engine = mixed
    outcome = submit(engine, "look_around", task_of(root, "cuda:1")).result(SECONDS)
    assert "names a card of one machine" in outcome["cannot"]
    monkeypatch.setattr("mvlib.run.dask._cards_of", lambda _: 0)
    outcome = submit(engine, "look_around", task_of(root, "cuda")).result(SECONDS)
    assert "no worker declares the resource GPU" in outcome["cannot"]


def test_cards_are_shared_evenly_and_given_back():
    cards = cards_of_worker(4, {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"})
    with ExitStack() as held:
        taken = [held.enter_context(taking(cards)) for _ in range(3)]
        assert taken[0] == taken[2] != taken[1]
        with taking(cards) as fourth:
            assert fourth == taken[1]
    assert set(cards.values()) == {0}
    assert cards_of_worker(2, {}) == {"0": 0, "1": 0}
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES='' leaves no card"):
        cards_of_worker(1, {"CUDA_VISIBLE_DEVICES": ""})


def test_cores_are_shared_out_among_the_slots_of_a_machine(monkeypatch):
    monkeypatch.setattr("mvlib.records.provenance.available_cores", lambda: 12)
    assert share_of_cores(1, 3) == 4
    assert share_of_cores(2, 1) == 6
    assert share_of_cores(1, 100) == 1
    monkeypatch.setenv(CORES, "8")
    assert share_of_cores(2, 6) == 4
    monkeypatch.setenv(CORES, "many")
    with pytest.raises(ValueError, match="MVLIB_CORES='many'"):
        share_of_cores(1, 1)
