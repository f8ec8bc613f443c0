"""Killing a runner and a scheduler: nothing goes on in their stead, and nothing is recorded."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from projects import (
    PATIENCE,
    REPOSITORY,
    processes_in,
    start,
    toy_project,
    wait_for,
)

from mvlib.records import load_records

LONG = """
paper = "toy"
title = "Toy"
method = "Toy"

[[experiment]]
name = "slow"
title = "Takes long"
notebook = "notebooks/toy/slow.ipynb"
quick = {}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Give a project, a scheduler in its own process and a worker that works in the project."""
    root = toy_project(tmp_path_factory.mktemp("project"), LONG)
    scratch = tmp_path_factory.mktemp("scratch")
    told = scratch / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(scratch)}

    def begin(program, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
            cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    scheduler = begin(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told)
    )
    worker = None
    try:
        wait_for(told.exists, "the scheduler")
        address = json.loads(told.read_text())["address"]
        worker = begin("dask_worker", address, "--nthreads", "1", "--no-nanny")
        yield root, scratch, address, scheduler, psutil.Process(worker.pid)
    finally:
        for process in filter(None, (worker, scheduler)):
            process.kill()
            process.wait()


def start_long_run(cluster):
    root, _, address, _, worker = cluster
    runner = start(root, "run", "--scheduler", address)

    def kernel():
        # The run's process has a kernel once it has a child.
        return [c for c in worker.children(recursive=True) if c.ppid() != worker.pid]

    wait_for(lambda: kernel() or runner.poll() is not None, "the kernel")
    assert runner.poll() is None, runner.communicate()
    return runner, worker.children(recursive=True)


def nothing_left(cluster, ran):
    root, scratch = cluster[:2]
    return (
        not any(process.is_running() for process in ran)
        and not [p for p in processes_in(root) if "ipykernel_launcher" in p.cmdline()]
        and not list(scratch.glob("mvlib-*"))
    )


def test_a_killed_runner_leaves_no_kernel_on_its_workers(cluster):
    runner, ran = start_long_run(cluster)
    runner.kill()
    runner.communicate()
    wait_for(lambda: nothing_left(cluster, ran), "the runner's runs to end on the worker")
    assert cluster[4].is_running()
    assert load_records(root=cluster[0]) == []


def test_runs_that_a_killed_scheduler_takes_along_are_repeated_and_not_recorded(cluster):
    root, _, address, scheduler, worker = cluster
    runner, ran = start_long_run(cluster)
    scheduler.kill()
    scheduler.wait()
    out, err = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 1
    assert f"interrupted toy/slow: the Dask scheduler at {address} is gone" in out
    assert "Traceback" not in err
    assert load_records(root=root) == []
    wait_for(lambda: nothing_left(cluster, ran), "the run to end on the worker")
    wait_for(lambda: worker.status() == psutil.STATUS_ZOMBIE, "the worker's end")
