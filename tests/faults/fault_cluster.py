"""Dask's workers and scheduler killed at random moments, and many runs through few workers."""

import random
import time

import psutil
import pytest
from fault_cluster_stand_in import KillableCluster
from projects import (
    complaints,
    experiment,
    good_project,
    make_project,
    mvlib,
    rerun,
    start,
    wait_for,
    work_of,
)

from mvlib.records.store import load_records

SEED = 20_261_122
TIMES = 4
AN_HOUR = 3600
# What a process's allocator keeps varies by some megabytes.
MOST_GROWTH_MB = 20
SMART = """
import numpy as np
from mvlib import SMART, data
from mvlib.tasks.views import record_final
data_set = data.load("handwritten")
views = [view[::5] for view in data.min_max_scale(data_set.Xs)]
problem = data.partially_align(views, data_set.y[::5], aligned_ratio, 20)
recorder = Recorder("toy", "smart", profile, "cpu")
for seed in seeds:
    model = SMART(
        data_set.n_clusters, hidden_dims=(64, 64), epochs=epochs, batch_size=200,
        learning_rate=2e-3, device="cpu", random_state=seed,
    )
    model.fit(problem.Xs, aligned=problem.aligned)
    record_final(recorder, "SMART", data_set.name, model, problem, {"epochs": epochs})
recorder.finish()
"""
SMART_PARAMETERS = 'profile = "quick"\naligned_ratio = 1.0\nseeds = [1]\nepochs = 1'
RATIOS, SEEDS = [0.1, 0.3, 0.5, 1.0], list(range(5, 155, 10))


def smart_project(root, ratios, seeds):
    """Make a project of real runs, one a ratio and seed; its title says what is cut."""
    size = (
        f"grid = {{ aligned_ratio = {ratios} }}, seeds = {seeds}, expand_seeds = true, "
        'datasets = ["handwritten"], parameters = { epochs = 3 }'
    )
    plan = experiment("smart", size, "full").replace(
        'title = "smart"',
        'title = "SMART on every fifth row of HandWritten, three epochs: tests the engine"',
    )
    return make_project(root, plan, {"smart": (SMART, SMART_PARAMETERS)})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Give the records of two local runs that nothing went wrong in."""
    return rerun(good_project(tmp_path_factory.mktemp("undisturbed"), seconds=3))


def run_of(worker):
    """Return whether a worker has a run's kernel, or None if it is gone."""
    try:
        below = psutil.Process(worker.pid).children(recursive=True)
        return any("ipykernel_launcher" in " ".join(child.cmdline()) for child in below)
    except psutil.Error:
        return None


@pytest.mark.fault("kill -9 of a Dask worker, at a random moment of a run")
def test_a_run_whose_dask_worker_is_killed_is_done_by_another(undisturbed, tmp_path, fault):
    moments = random.Random(f"{SEED} dask worker")
    for number in range(TIMES):
        root = good_project(tmp_path / f"{number}", seconds=3)
        with KillableCluster(root, tmp_path / "scratch", 2) as cluster:
            runner = start(root, "run", "--scheduler", cluster.address)
            busy = wait_for(lambda: [w for w in cluster.workers if run_of(w)], "a kernel")
            time.sleep(moments.uniform(0, 3))
            moments.choice(busy).kill()
            assert runner.poll() is None
            _, err = runner.communicate(timeout=240)
            complaints(err)
            assert runner.returncode == 0
        assert work_of(load_records(root=root)) == undisturbed
    fault("The other worker repeated the run each time; no second command was needed.", TIMES)


@pytest.mark.fault("kill -9 of the Dask scheduler, at a random moment of a run")
def test_after_the_scheduler_is_killed_a_rerun_does_what_is_left(undisturbed, tmp_path, fault):
    moments = random.Random(f"{SEED} scheduler")
    recorded = kills = 0
    for number in range(4 * TIMES):
        if kills == TIMES:
            break
        root = good_project(tmp_path / f"{number}", seconds=3)
        with KillableCluster(root, tmp_path / "scratch", 1) as cluster:
            runner = start(root, "run", "--scheduler", cluster.address)
            wait_for(lambda: run_of(cluster.workers[0]), "a kernel")
            time.sleep(moments.uniform(0, 10))
            ended = runner.poll() is not None
            cluster.scheduler.kill()
            out, err = runner.communicate(timeout=240)
            if ended:
                continue
            kills += 1
            complaints(err)
            assert runner.returncode == 1
            assert "is gone" in out
        recorded += len(load_records(root=root))
        assert rerun(root) == undisturbed
    assert kills == TIMES, "the command had mostly ended before the scheduler was killed"
    fault(
        f"The command ended and said so; {recorded} of {2 * TIMES} runs were recorded before, "
        "a rerun did the rest, and all records equalled those of an undisturbed run.",
        TIMES,
    )


@pytest.mark.fault("60 runs of SMART through 3 Dask workers, one of them killed midway")
def test_sixty_real_runs_are_all_recorded_though_a_worker_is_killed(tmp_path, fault):
    root = smart_project(tmp_path / "project", RATIOS, SEEDS)
    with KillableCluster(root, tmp_path / "scratch", 3) as cluster:
        full = ("run", "--profile", "full", "--scheduler", cluster.address)
        runner = start(root, *full, log=tmp_path / "log")
        wait_for(lambda: len(load_records(root=root)) >= 20, "20 records", AN_HOUR)
        victim = cluster.workers[0]
        wait_for(lambda: run_of(victim), "a run of the first worker")
        victim.kill()
        before = len(load_records(root=root))
        assert runner.wait(timeout=AN_HOUR) == 0, (tmp_path / "log").read_text()[-2000:]
        complaints((tmp_path / "log").read_text())
    found = load_records(root=root)
    assert [record["status"] for record in found] == ["ok"] * 60
    few = smart_project(tmp_path / "few", RATIOS[::2], SEEDS[:3])
    code, _, err = mvlib(few, "run", "--profile", "full", "--jobs", "2")
    assert (code, err) == (0, "")
    local = work_of(load_records(root=few))
    cells = {record["cell"] for record in local}
    assert len(cells) == 6
    assert work_of(record for record in found if record["cell"] in cells) == local
    fault(
        f"All 60 were recorded, {before} before the worker was killed, with no second command; "
        "the 6 that were run again by local processes gave the same numbers to the last digit."
    )


@pytest.mark.fault("200 empty runs through 2 Dask workers")
def test_two_hundred_runs_are_all_recorded_and_the_scheduler_does_not_grow(tmp_path, fault):
    root = good_project(tmp_path / "project", count=200, seconds=0)
    held, ours = {}, {}
    with KillableCluster(root, tmp_path / "scratch", 2) as cluster:
        arguments = ("run", "--scheduler", cluster.address)
        runner = start(root, *arguments, log=tmp_path / "log")
        own = psutil.Process(runner.pid)
        for count in (50, 195):
            wait_for(lambda: len(load_records(root=root)) >= count, f"{count} runs", AN_HOUR)  # noqa: B023
            held[count] = cluster.scheduler_bytes() / 1e6
            ours[count] = own.memory_info().rss / 1e6
        assert runner.wait(timeout=AN_HOUR) == 0, (tmp_path / "log").read_text()[-2000:]
    found = load_records(root=root)
    assert [record["status"] for record in found] == ["ok"] * 200
    assert sorted(record["parameters"]["x"] for record in found) == list(range(1, 201))
    grown, more = held[195] - held[50], ours[195] - ours[50]
    assert grown < MOST_GROWTH_MB
    assert more < MOST_GROWTH_MB
    fault(
        f"All were recorded. Between the 50th and the 195th run the scheduler's process grew "
        f"from {held[50]:.0f} by {grown:.1f} MB, the runner's from {ours[50]:.0f} by "
        f"{more:.1f} MB; {MOST_GROWTH_MB} were allowed."
    )
