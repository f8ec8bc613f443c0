"""A record of a toy run, to change as a test needs."""

from copy import deepcopy

SCORES = {"acc": 0.9, "nmi": 0.8, "ari": 0.7, "purity": 0.9}
RECORD = {
    "key": "a" * 64, "cell": "1" * 16, "paper": "toy", "experiment": "method",
    "notebook": "notebooks/toy/method.ipynb", "profile": "full",
    "parameters": {
        "profile": "full", "dataset": "wiki", "aligned_ratio": 0.5, "seeds": [5],
    },
    "datasets": {"wiki": "b" * 64},
    "results": [
        {"method": "SMART", "dataset": "wiki", "seed": 5, "parameters": {"epochs": 3},
         "metrics": {"last": SCORES}, "seconds": 1.5}
    ],
    "wall_seconds": 2.0, "cpu_seconds": 1.0, "peak_memory_bytes": 10,
    "gpu_peak_memory_bytes": None, "device": "cpu", "threads": 1,
    "versions": {"python": "3.11.7", "mvlib": "0.1.0"}, "git_commit": None, "git_dirty": None,
    "started": "2026-01-01T00:00:00+00:00", "status": "ok", "error": None,
    "executed": "runs/full/toy/method--1.ipynb",
}  # fmt: skip


def make_record(**changes):
    """Return the record with some entries changed; a failed one has an error and no results."""
    record = deepcopy(RECORD) | changes
    if record["status"] == "failed":
        record |= {"results": [], "error": record["error"] or "it broke"}
    return record
