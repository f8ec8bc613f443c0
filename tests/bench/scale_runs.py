"""Ten thousand runs on the workers of a Dask scheduler: is one lost, does it grow slow?

The engine alone, filled as the runner fills it: each run answers at once in the place of a
notebook, and nothing is recorded.
"""

import time
from concurrent.futures import FIRST_COMPLETED, wait

import engine_functions
from distributed import Client, LocalCluster
from projects import MODULES, PLAN, task_of, toy_project

from mvlib.run.dask import DaskEngine

RUNS, TENTH = 10_000, 1000


def test_ten_thousand_runs(benchmark, report_ratio, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", MODULES)
    monkeypatch.setenv("MVLIB_ROOT", str(tmp_path))
    task = task_of(toy_project(tmp_path, PLAN))
    answered, times = set(), [time.monotonic()]

    def run_all():
        flying = {}
        waiting = list(range(RUNS))
        while waiting or flying:
            while waiting and len(flying) < engine.slots():
                number = waiting.pop()
                given = task | {"parameters": task["parameters"] | {"number": number}}
                flying[engine.submit(given)] = number
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                assert future.result()["payload"]["number"] == flying[future]
                answered.add(flying.pop(future))
                times.append(time.monotonic())

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        engine = DaskEngine(client, engine_functions.echo)
        benchmark.pedantic(run_all, rounds=1)
        # What is released leaves the scheduler a moment later.
        time.sleep(1)
        kept = len(cluster.scheduler.tasks)
    # In the first the workers import what they need.
    second, last = times[2 * TENTH] - times[TENTH], times[-1] - times[-1 - TENTH]
    report_ratio("10,000 runs, two workers: not answered", RUNS - len(answered), "<= 0")
    report_ratio("10,000 runs, two workers: kept by the scheduler", kept, "<= 0")
    report_ratio("10,000 runs, two workers: ms a run", (times[-1] - times[0]) / 10, "none")
    report_ratio("10,000 runs, two workers: last tenth / second", last / second, "<= 1.25")
