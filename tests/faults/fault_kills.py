"""kill -9 at random moments: a rerun ends where an undisturbed run does."""

import json
import random
import time

import psutil
import pytest
from projects import (
    complaints,
    good_project,
    kernels_in,
    processes_in,
    rerun,
    start,
    wait_for,
    workers_in,
)

from mvlib.records.store import load_records

SEED = 20_261_122
TIMES = 4
FINDERS = {
    "runner": lambda root: processes_in(root, "-m mvlib run"),
    "worker": workers_in,
    "kernel": kernels_in,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Give the records of a run that nothing went wrong in, and the seconds that it took."""
    root = good_project(tmp_path_factory.mktemp("undisturbed"))
    begun = time.monotonic()
    return rerun(root), time.monotonic() - begun


def kill_one(root, kind, moments, seconds):
    """Run, kill a process at a random moment of its life; return the exit code, or None.

    None says that it had ended before.
    """
    runner = start(root, "run", "--jobs", "2")
    victim = moments.choice(wait_for(lambda: FINDERS[kind](root), f"a {kind}"))
    time.sleep(moments.uniform(0, seconds))
    try:
        victim.kill()
        psutil.Process(runner.pid)
    except psutil.NoSuchProcess:
        runner.communicate()
        return None
    _, err = runner.communicate(timeout=240)
    complaints(err)
    wait_for(lambda: not processes_in(root), "what the killed process had started to end", 60)
    return runner.returncode


# A kernel and its worker live for some of the time that the runner does; one that has ended
# before its moment came does not count.
@pytest.mark.parametrize(
    ("kind", "share"),
    [
        pytest.param(
            kind,
            share,
            marks=pytest.mark.fault(f"kill -9 of the {name}, at a random moment of a run"),
            id=kind,
        )
        for kind, name, share in [
            ("runner", "runner", 1),
            ("worker", "process of a local run", 0.4),
            ("kernel", "kernel of a run", 0.25),
        ]
    ],
)
def test_a_rerun_ends_where_an_undisturbed_run_does(undisturbed, tmp_path, fault, kind, share):
    records, seconds = undisturbed
    moments = random.Random(f"{SEED} {kind}")
    kills = done = recorded = 0
    while kills < TIMES:
        done += 1
        assert done < 4 * TIMES, f"the {kind} had always ended before it could be killed"
        root = good_project(tmp_path / f"{done}")
        code = kill_one(root, kind, moments, share * seconds)
        if code is None:
            continue
        kills += 1
        before = [record for record in load_records(root=root) if record["status"] == "ok"]
        recorded += len(before)
        assert rerun(root) == records
        found = load_records(root=root)
        assert all(record in found for record in before)
        for record in found:
            json.loads((root / record["executed"]).read_text())
    fault(
        f"{recorded} of {2 * kills} runs were recorded nonetheless; after a rerun the records "
        "equalled those of an undisturbed run each time.",
        times=kills,
    )
