"""k-means, transport plans and retrieval against faiss and POT; small copies; the image tower.

CPU time of one thread; memory is what a process of its own grows by at its peak.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import ot
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.resources_used import in_a_fresh_process, used_by

from mvlib import data, encoders
from mvlib.data.images import read_image
from mvlib.encoders.offline import _efficientnet_state
from mvlib.ops import blocked_kmeans, check_marginals, top_k, transport_plan
from mvlib.report.image_folder import _small_copy

N_POINTS, N_CLUSTERS, N_FEATURES, N_ITER = 100_000, 1000, 512, 10
N_ROWS, N_COLUMNS, SINKHORN_ITER = 60_000, 1000, 50
N_QUERIES, N_BANK, K = 80_000, 31_000, 10


def unit_vectors(n, n_features=N_FEATURES, n_groups=1500, seed=0):
    """Noisy groups of directions around a common one: like features of CLIP."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal(
        (n_groups, n_features), dtype=np.float32
    )
    X = rng.standard_normal((n, n_features), dtype=np.float32)
    for rows in np.array_split(np.arange(n), 50):
        X[rows] += 0.6 * centers[rng.integers(0, n_groups, len(rows))]
        X[rows] += centers[0]
        X[rows] /= np.linalg.norm(X[rows], axis=1, keepdims=True)
    return X


def points():
    return [unit_vectors(N_POINTS)]


def cost():
    return [1 - unit_vectors(N_ROWS, 64) @ unit_vectors(N_COLUMNS, 64, seed=1).T]


def faiss_kmeans(X, n_iter=N_ITER):
    found = faiss.Kmeans(
        N_FEATURES, N_CLUSTERS, niter=n_iter, seed=0, max_points_per_centroid=len(X)
    )
    found.train(X)
    distances, _ = found.index.search(X, 1)
    return float(distances.sum(dtype=np.float64))


def our_kmeans(X, precision, n_iter=N_ITER):
    return blocked_kmeans(
        X, N_CLUSTERS, max_iter=n_iter, tol=0, precision=precision, device="cpu", random_state=0
    ).inertia


def pot_plan(C, n_iter=SINKHORN_ITER):
    a, b = (np.full(n, 1 / n, np.float32) for n in C.shape)
    return ot.sinkhorn(a, b, C, 0.05, numItermax=n_iter, stopThr=0, warn=False)


def our_plan(C, n_iter=SINKHORN_ITER):
    return transport_plan(C, max_iter=n_iter, tol=0, marginal_tol=None, device="cpu").plan


def faiss_top_k(queries, bank):
    return faiss.knn(queries, bank, K, metric=faiss.METRIC_INNER_PRODUCT)[1]


def our_top_k(queries, bank):
    return top_k(queries, bank, K, precision="bfloat16", device="cpu")[1]


def queries_and_bank():
    return [unit_vectors(N_QUERIES), unit_vectors(N_BANK, seed=1)]


# What to make, and what to do with all of it, or for a warm start with its first rows.
TASKS = {
    "k-means, faiss": (points, lambda X: faiss_kmeans(X, 2)),
    "k-means, float32": (points, lambda X: our_kmeans(X, "float32", 2)),
    "k-means, bfloat16": (points, lambda X: our_kmeans(X, "bfloat16", 2)),
    "plan, POT": (cost, lambda C: pot_plan(C, 2)),
    "plan, mvlib": (cost, lambda C: our_plan(C, 2)),
    "top-k, faiss": (queries_and_bank, faiss_top_k),
    "top-k, mvlib": (queries_and_bank, our_top_k),
}


def measure(task):
    make, run = TASKS[task]
    arrays = make()
    run(*(array[:2000].copy() for array in arrays))
    return used_by(lambda: run(*arrays))[1]["megabytes"]


def megabytes(task):
    """Return the growth at the peak, in a fresh process."""
    return in_a_fresh_process(__file__, task)


def cpu_seconds(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


@pytest.fixture
def one_thread():
    n_threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(n_threads[0])
    faiss.omp_set_num_threads(n_threads[1])


def test_kmeans_of_a_hundred_thousand_points(benchmark, report_ratio, one_thread):
    (X,) = points()
    theirs, their_inertia = cpu_seconds(faiss_kmeans, X)
    exact, exact_inertia = cpu_seconds(our_kmeans, X, "float32")
    rounded, inertia = benchmark.pedantic(
        cpu_seconds, args=(our_kmeans, X, "bfloat16"), rounds=1
    )
    assert inertia < their_inertia
    assert exact_inertia < their_inertia
    report_ratio("k-means time, faiss / mvlib bfloat16", theirs / rounded, ">= 1")
    report_ratio("k-means time, faiss / mvlib float32", theirs / exact, ">= 1")
    report_ratio("k-means inertia, faiss / mvlib bfloat16", their_inertia / inertia, ">= 1")
    report_ratio("k-means inertia, bfloat16 / float32", inertia / exact_inertia, "<= 1.0005")
    memory = [megabytes(f"k-means, {name}") for name in ("faiss", "bfloat16", "float32")]
    report_ratio("k-means memory, faiss / mvlib bfloat16", memory[0] / memory[1], ">= 1")
    report_ratio("k-means memory, faiss / mvlib float32", memory[0] / memory[2], ">= 1")


def test_transport_plan_of_sixty_thousand_rows(benchmark, report_ratio, one_thread):
    (C,) = cost()
    theirs, plan = cpu_seconds(pot_plan, C)
    their_errors = check_marginals(plan)
    del plan
    ours, plan = benchmark.pedantic(cpu_seconds, args=(our_plan, C), rounds=1)
    assert max(check_marginals(plan)) < max(their_errors) * 1.1 + 1e-6
    report_ratio("plan time, POT / mvlib", theirs / ours, ">= 1")
    memory = [megabytes(f"plan, {name}") for name in ("POT", "mvlib")]
    report_ratio("plan memory, POT / mvlib", memory[0] / memory[1], ">= 2")


def test_kmeans_of_few_clusters(benchmark, report_ratio, one_thread):
    X, n_clusters = unit_vectors(10_000), 20
    centers = np.ascontiguousarray(X[:n_clusters].T)
    x, c = torch.from_numpy(X), torch.from_numpy(centers)
    product = min(cpu_seconds(torch.mm, x, c)[0] for _ in range(30))
    found = [
        cpu_seconds(
            lambda seed: blocked_kmeans(X, n_clusters, device="cpu", random_state=seed), seed
        )
        for seed in range(8)
    ]
    greedy = [KMeans(n_clusters, n_init=1, random_state=seed).fit(X) for seed in range(8)]
    ratio = min(seconds / fit.n_iter for seconds, fit in found) / product
    report_ratio("k-means of 20, an iteration's share of a fit / its product", ratio, "<= 1.4")
    ratio = sum(fit.inertia for _, fit in found) / sum(fit.inertia_ for fit in greedy)
    report_ratio("... inertia, mvlib / scikit-learn's greedy start", ratio, "<= 1.001")
    benchmark.pedantic(torch.mm, args=(x, c), rounds=3)


@pytest.mark.parametrize(("n", "m"), [(1000, 100), (2000, 200), (10_000, 1000)])
def test_small_transport_plans(benchmark, report_ratio, one_thread, n, m):
    C = 1 - unit_vectors(n, 64) @ unit_vectors(m, 64, seed=1).T

    def ours(n_iter):
        # Without a tolerance "auto" would go on in logarithms where rounding is reached.
        solver = {"method": "scaling", "tol": 0, "marginal_tol": None, "device": "cpu"}
        return transport_plan(C, max_iter=n_iter, **solver).plan

    for n_iter in (50, 300) if n < 10_000 else (50,):
        turns = range(max(5, 10_000 // n))
        pairs = [(cpu_seconds(pot_plan, C, n_iter), cpu_seconds(ours, n_iter)) for _ in turns]
        (theirs, expected), (best, plan) = (
            min(both, key=lambda x: x[0]) for both in zip(*pairs, strict=True)
        )
        np.testing.assert_allclose(plan, expected, rtol=1e-2, atol=1e-9)
        report_ratio(
            f"plan of {n:,} x {m:,}, {n_iter} iterations, POT / mvlib", theirs / best, ">= 1"
        )
    benchmark.pedantic(ours, args=(50,), rounds=1)


def test_top_k_of_eighty_thousand_queries(benchmark, report_ratio, one_thread):
    queries, bank = queries_and_bank()
    theirs, expected = cpu_seconds(faiss_top_k, queries, bank)
    ours, found = benchmark.pedantic(cpu_seconds, args=(our_top_k, queries, bank), rounds=1)
    shared = (np.sort(found) == np.sort(expected)).mean()
    assert shared > 0.999
    report_ratio("top-k time, faiss / mvlib", theirs / ours, ">= 1")
    report_ratio("top-k memory, 300 MB / mvlib", 300 / megabytes("top-k, mvlib"), ">= 1")


def test_small_copies_of_images(benchmark, report_ratio, monkeypatch):
    images = [read_image(image) for image in data.load_images("openclipart").images[:100]]
    save = Image.Image.save

    def copies():
        return [_small_copy(image, 320, 75) for image in images]

    copies()
    ours, small = benchmark.pedantic(cpu_seconds, args=(copies,), rounds=1)
    monkeypatch.setattr(Image.Image, "save", lambda *a, **k: save(*a, **k | {"method": 4}))
    usual, smallest = cpu_seconds(copies)
    report_ratio("small copies, WebP's usual method / mvlib", usual / ours, ">= 1.5")
    bytes_ = [sum(map(len, found)) for found in (small, smallest)]
    report_ratio("... their bytes, mvlib / usual method", bytes_[0] / bytes_[1], "<= 1.1")


def test_the_image_tower(benchmark, report_ratio, one_thread):
    images = np.random.default_rng(0).integers(0, 256, (64, 160, 160, 3), dtype=np.uint8)
    package = EfficientNet.from_name("efficientnet-lite2", image_size=160)
    package.load_state_dict(_efficientnet_state())
    package = package.eval().to(memory_format=torch.channels_last)

    def as_built():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return package.extract_features(x).mean(dim=(2, 3)).numpy()

    encoder = encoders.load("offline", device="cpu", cache=False)
    encoder.image_tower(images[:16]), as_built()
    theirs = [cpu_seconds(as_built) for _ in range(3)]
    ours = [cpu_seconds(encoder.image_tower, images) for _ in range(2)]
    ours.append(benchmark.pedantic(cpu_seconds, args=(encoder.image_tower, images), rounds=1))
    np.testing.assert_allclose(ours[0][1], theirs[0][1], atol=1e-5 * theirs[0][1].max())
    ratio = np.median([s for s, _ in theirs]) / np.median([s for s, _ in ours])
    report_ratio("image tower, as built and in batches of 64 / mvlib", ratio, ">= 2")


if __name__ == "__main__":
    print(measure(json.loads(sys.argv[1])))
