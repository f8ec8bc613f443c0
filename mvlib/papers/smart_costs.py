"""What SMART costs in time and memory, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from mvlib.check import check_number

NOISE = 0.1
HIDDEN_DIMS = (512, 512, 512)


def smart_costs(
    dataset: str,
    sizes: Sequence[int],
    aligned_ratio: float,
    ways: Sequence[Mapping[str, Any]],
    random_state: int,
    device: str = "auto",
) -> list[list[dict[str, float]]]:
    """Return what SMART costs on a data set resampled to several sizes, in several ways."""
    for size in sizes:
        check_number("sizes", size, low=2, integer=True)
    if not len(sizes) or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes={list(sizes)!r}: expected some, each larger than the last")
    task = (dataset, list(sizes), aligned_ratio, list(map(dict, ways)), random_state, device)
    if _forks_safely():
        return _measure_all(*task)
    return _elsewhere("spawn", _measure_all, *task)


def _forks_safely() -> bool:
    """Return whether a fork of this process loses neither numerical threads nor a GPU."""
    import torch

    single = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return sys.platform == "linux" and single


def _elsewhere(start: str, function: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _measure_all(
    dataset: str, sizes: list[int], aligned_ratio: float, ways: list[dict[str, Any]], *rest: Any
) -> list[list[dict[str, float]]]:
    start = "spawn"
    if sys.platform == "linux":
        # Processes are forked from this one, which imports once and computes nothing here.
        import torch._dynamo  # noqa: F401

        import mvlib.methods.smart.estimator  # noqa: F401

        start = "fork"
    found = []
    for way in ways:
        largest = way.pop("largest", max(sizes))
        some = [size for size in sizes if size <= largest]
        found.append(_elsewhere(start, _measure, dataset, some, aligned_ratio, way, *rest))
    return found


def resampled(
    Xs: list[np.ndarray], n_samples: int, random_state: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return rows drawn with repetition, with noise, and which rows they were."""
    rng = np.random.default_rng(random_state)
    rows = rng.integers(len(Xs[0]), size=n_samples)
    views = []
    for X in Xs:
        noise = rng.standard_normal((n_samples, X.shape[1]), dtype=np.float32)
        views.append((X[rows] + NOISE * X.std() * noise).astype(np.float32))
    return views, rows


def _measure(
    dataset: str,
    sizes: list[int],
    aligned_ratio: float,
    settings: dict[str, Any],
    random_state: int,
    device: str,
) -> list[dict[str, float]]:
    import psutil

    from mvlib import SMART, data

    digits = data.load(dataset)
    views = data.min_max_scale(digits.Xs)
    common = {"hidden_dims": HIDDEN_DIMS, "random_state": random_state, "device": device}

    def fit(n_samples: int, epochs: int) -> float:
        Xs, rows = resampled(views, n_samples, random_state)
        problem = data.partially_align(Xs, digits.y[rows], aligned_ratio)
        given = {k: n_samples if value is None else value for k, value in settings.items()}
        model = SMART(digits.n_clusters, **common, **given, epochs=epochs)
        start = time.perf_counter()
        model.fit(problem.Xs, aligned=problem.aligned)
        return time.perf_counter() - start

    # The first step of an optimizer loads parts of torch: seconds that are no row's.
    fit(200, 1)
    before = psutil.Process().memory_info().rss
    found = []
    for size in sizes:
        first, three = fit(size, 1), fit(size, 3)
        training = (three - first) / 2
        found.append(
            {
                "seconds_training": max(training, 1e-3),
                "seconds_features": max(first - training, 1e-3),
                "memory_mb": max(_peak_memory() - before, 0) / 1e6,
            }
        )
    return found


def _peak_memory() -> int:
    import resource

    # macOS counts in bytes, Linux in units of 1024.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
