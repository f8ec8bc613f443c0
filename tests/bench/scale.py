"""What methods cost as rows grow, on synthetic features; records by the thousand.

CPU time of one thread; memory is the peak of a process of its own. What is larger than the
largest size measured is told as extrapolated, by the exponent between the two largest.
"""

import json
import sys
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_ntk import ours as ntk
from bench_ntk import problem
from support.resources_used import in_a_fresh_process, used_by
from support.toy_records import make_record

from mvlib import CAE, SMART, TAC
from mvlib.records import load_records, store

IMAGENET, N_CLASSES = 1_281_167, 10
RECORDS = 100_000


def words(n_words, n_features=256):
    return np.random.default_rng(1).standard_normal((n_words, n_features), dtype=np.float32)


def cae(n):
    Z, Ws, _ = problem(n, 1)
    nouns = np.concatenate([Ws[0], words(4000)])
    model = CAE(N_CLASSES, device="cpu", random_state=0)
    return lambda: model.fit(Z, {"nouns": nouns, "captions": nouns[::2]})


def tac(n):
    Z, Ws, _ = problem(n, 1)
    model = TAC(N_CLASSES, device="cpu", random_state=0)
    return lambda: model.fit(Z, np.concatenate([Ws[0], words(8000)]))


def subspace(n):
    Z, Ws, _ = problem(n, 3)
    return lambda: ntk(Z, Ws)


def smart(n):
    """One epoch of narrow layers: what grows with n is not the width of the network."""
    rng = np.random.default_rng(0)
    Xs = [rng.random((n, 64), dtype=np.float32) for _ in range(2)]
    settings = {"hidden_dims": (128,), "epochs": 1, "device": "cpu", "random_state": 0}
    return lambda: SMART(N_CLASSES, **settings).fit(Xs, aligned=np.arange(n) < n // 2)


TASKS = {"CAE": cae, "TAC": tac, "NTK": subspace, "SMART": smart}
SIZES = {
    "CAE": (5000, 20_000, 50_000),
    "TAC": (5000, 20_000, 50_000),
    "NTK": (5000, 20_000, 50_000),
    "SMART": (5000, 50_000, 200_000),
}
# Microseconds of CPU time a row, at the largest size.
TARGETS = {"CAE": "<= 250"}


@pytest.mark.parametrize("method", TASKS)
def test_cost_against_the_number_of_rows(benchmark, report_ratio, method):
    sizes = SIZES[method]
    used = [in_a_fresh_process(__file__, [method, n]) for n in sizes[:-1]]
    largest = (__file__, [method, sizes[-1]])
    used.append(benchmark.pedantic(in_a_fresh_process, args=largest, rounds=1))
    for n, found in zip(sizes, used, strict=True):
        target = TARGETS.get(method, "none") if n == sizes[-1] else "none"
        report_ratio(
            f"{method}, n={n:,}: CPU microseconds a row", 1e6 * found["seconds"] / n, target
        )
    steps = log(sizes[-1] / sizes[-2])
    exponent = log(used[-1]["seconds"] / used[-2]["seconds"]) / steps
    report_ratio(f"{method}: exponent of n, {sizes[-2]:,} to {sizes[-1]:,}", exponent, "none")
    report_ratio(
        f"{method}, n={sizes[-1]:,}: peak memory, GB",
        used[-1]["total_megabytes"] / 1024,
        "<= 16",
    )
    times = IMAGENET / sizes[-1]
    hours = used[-1]["seconds"] / 3600 * times**exponent
    report_ratio(f"{method}, n={IMAGENET:,}, extrapolated: CPU hours", hours, "none")


def test_a_dry_run_beside_a_hundred_thousand_records(benchmark, report_ratio, tmp_path):
    path = tmp_path / "data" / "results" / "toy.jsonl"
    path.parent.mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    with path.open("w") as lines:
        for number in range(RECORDS):
            record = make_record(cell=f"{number:016x}", key=f"{number:064x}")
            lines.write(json.dumps(record, sort_keys=True) + "\n")
    assert len(load_records(root=tmp_path)) == RECORDS
    store._check.cache_clear()
    cells = {f"{number:016x}" for number in range(700)}
    _, used = benchmark.pedantic(
        used_by, args=(lambda: load_records(root=tmp_path, cells=cells),), rounds=1
    )
    report_ratio("100,000 records: CPU s to read those of 700 runs", used["seconds"], "<= 2")
    _, used = used_by(lambda: load_records(root=tmp_path))
    report_ratio("100,000 records: CPU s to read all", used["seconds"], "none")


def measure(method, n):
    TASKS[method](1500)()
    fit = TASKS[method](n)
    return used_by(fit)[1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
