"""A Dask cluster of processes of this machine, each of which can be killed."""

import json
import os
import shutil
import subprocess
import sys

import psutil
from projects import REPOSITORY, processes_in, wait_for


class KillableCluster:
    """A scheduler and workers of one thread each, which work in a project."""

    def __init__(self, root, scratch, workers):
        scratch.mkdir(parents=True, exist_ok=True)
        self.root, self.scratch = root, scratch
        self.workers = []
        told = scratch / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told)]
        self.scheduler = self._begin("dask_scheduler", *options)
        try:
            wait_for(told.exists, "the scheduler")
            self.address = json.loads(told.read_text())["address"]
            for _ in range(workers):
                self.add_worker()
        except BaseException:
            self.end()
            raise

    def _begin(self, program, *arguments):
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.scratch)}
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
            cwd=self.root, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def add_worker(self):
        """Start one more."""
        options = (self.address, "--nthreads", "1", "--no-nanny")
        self.workers.append(self._begin("dask_worker", *options))

    def scheduler_bytes(self):
        """Return the memory that the scheduler's process holds."""
        return psutil.Process(self.scheduler.pid).memory_info().rss

    def end(self):
        """Kill what is left."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        wait_for(lambda: not processes_in(self.root, "ipykernel_launcher"), "the kernels' end")
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
