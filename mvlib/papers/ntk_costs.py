"""What the ways to diffuse and cut cost, on features made up for the purpose."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mvlib.check import check_number
from mvlib.methods.ntk_spectral import NTKSpectralClustering
from mvlib.metrics import adjusted_rand_index, clustering_scores
from mvlib.records.recorder import Recorder

WAYS = {
    "full": {"solver": "full"},
    "subspace": {"solver": "subspace"},
    "features": {"solver": "features", "fusion": "mean"},
}
DIM, NOUNS_A_CLUSTER, NOUN_NOISE, PROMPT_NOISE = 128, 10, 0.6, 0.2
PERIOD = 0.005


def made_up_features(
    n_samples: int, n_clusters: int, n_prompts: int, noise: float, random_state: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return features of images and nouns around common centres."""
    check_number("n_samples", n_samples, low=n_clusters, integer=True)
    rng = np.random.default_rng(random_state)

    def around(centres: np.ndarray, length: float) -> np.ndarray:
        found = rng.standard_normal(centres.shape, dtype=np.float32)
        found *= length / DIM**0.5
        found += centres
        return found

    centres = rng.standard_normal((n_clusters, DIM), dtype=np.float32) / DIM**0.5
    y = rng.integers(n_clusters, size=n_samples)
    nouns = around(np.repeat(centres, NOUNS_A_CLUSTER, axis=0), NOUN_NOISE)
    banks = [around(nouns, PROMPT_NOISE) for _ in range(n_prompts)]
    return around(centres[y], noise), y, banks


def watched(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what some work gives, its seconds, and its peak of resident memory."""
    import psutil

    process = psutil.Process()
    _hand_back()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not done.wait(PERIOD):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
    finally:
        done.set()
        watcher.join()
    return result, seconds, max(peak[0], 1) / 1e6


def _hand_back() -> None:
    """Give freed memory back to the system, so that it is not taken for held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def record_costs(
    recorder: Recorder,
    sizes: dict[str, Sequence[int]],
    n_clusters: int,
    n_prompts: int,
    noise: float,
    random_state: int,
    device: str = "auto",
) -> None:
    """Fit each way on features of several sizes, and record what it costs."""
    full: dict[int, np.ndarray] = {}
    for name, counts in sizes.items():
        for count in counts:
            made = made_up_features(count, n_clusters, n_prompts, noise, random_state)
            images, y, banks = made
            # The filter of nouns is no part of what is compared.
            settings = {"top": None, "device": device, "random_state": random_state}
            model = NTKSpectralClustering(n_clusters, **settings, **WAYS[name])
            _, seconds, memory = watched(lambda model=model, i=images, b=banks: model.fit(i, b))
            measures = {"seconds": seconds, "memory_mb": memory}
            if name == "full":
                full[count] = model.labels_
            if count in full:
                measures["agreement"] = adjusted_rand_index(full[count], model.labels_)
            recorder.add(
                name,
                "made up",
                seed=random_state,
                parameters={"n_samples": count},
                metrics={"last": clustering_scores(y, model.labels_)},
                seconds=seconds,
                measures=measures,
            )
