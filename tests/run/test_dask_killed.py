"""Killing a runner and a scheduler: nothing goes on in their stead, and nothing is recorded."""

import psutil
import pytest
from fault_cluster_stand_in import KillableCluster
from projects import PATIENCE, experiment, kernels_in, start, toy_project, wait_for

from mvlib.records import load_records


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Give a scheduler and a worker, each in its process, that work in a project."""
    root = toy_project(tmp_path_factory.mktemp("project"), experiment("slow", ""))
    with KillableCluster(root, tmp_path_factory.mktemp("scratch"), workers=1) as cluster:
        yield cluster


def start_long_run(cluster):
    runner = start(cluster.root, "run", "--scheduler", cluster.address)
    worker = psutil.Process(cluster.workers[0].pid)

    def kernel():
        # The run's process has a kernel once it has a child.
        return [c for c in worker.children(recursive=True) if c.ppid() != worker.pid]

    wait_for(lambda: kernel() or runner.poll() is not None, "the kernel")
    assert runner.poll() is None, runner.communicate()
    return runner, worker.children(recursive=True)


def nothing_left(cluster, ran):
    return (
        not any(process.is_running() for process in ran)
        and not kernels_in(cluster.root)
        and not list(cluster.scratch.glob(".mvlib-*"))
    )


def test_a_killed_runner_leaves_no_kernel_on_its_workers(cluster):
    runner, ran = start_long_run(cluster)
    runner.kill()
    runner.communicate()
    wait_for(lambda: nothing_left(cluster, ran), "the runner's runs to end on the worker")
    assert cluster.workers[0].poll() is None
    assert load_records(root=cluster.root) == []


def test_runs_that_a_killed_scheduler_takes_along_are_repeated_and_not_recorded(cluster):
    runner, ran = start_long_run(cluster)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    out, err = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 1
    assert f"interrupted toy/slow: the Dask scheduler at {cluster.address} is gone" in out
    assert "Traceback" not in err
    assert load_records(root=cluster.root) == []
    wait_for(lambda: nothing_left(cluster, ran), "the run to end on the worker")
    wait_for(lambda: cluster.workers[0].poll() is not None, "the worker's end")
