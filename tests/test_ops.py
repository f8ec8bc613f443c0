"""Kernels against slow transcriptions and against the facts that define them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from mvlib.ops import (
    autocast,
    best_matching,
    contingency_table,
    cosine_kmeans,
    matched_accuracy,
    resolve_device,
)


def blobs(n_clusters=4, per_cluster=50, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.linalg.qr(rng.normal(size=(12, n_clusters)))[0].T
    y = np.repeat(np.arange(n_clusters), per_cluster)
    length = rng.uniform(0.5, 20, size=(len(y), 1))
    return length * (centers[y] + noise * rng.normal(size=(len(y), 12))), y


@pytest.mark.parametrize("kind", ["small integers", "large integers", "strings", "negative"])
def test_contingency_table_equals_scikit_learns_for_any_kind_of_label(kind):
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, 300), rng.integers(0, 7, 300)
    if kind == "large integers":
        a, b = a * 10**12, b + 10**9
    elif kind == "strings":
        a, b = a.astype(str), b.astype(str)
    elif kind == "negative":
        a = a - 3
    assert np.array_equal(contingency_table(a, b), contingency_matrix(a, b))


def test_contingency_table_leaves_out_labels_that_never_occur():
    table = contingency_table(np.array([0, 5, 5]), np.array([9, 9, 2]))
    assert table.tolist() == [[0, 1], [1, 1]]


def test_matching_is_the_best_of_all_one_to_one_matchings():
    from itertools import permutations

    table = np.random.default_rng(2).integers(0, 20, (5, 5))
    best = max(sum(table[i, p[i]] for i in range(5)) for p in permutations(range(5)))
    assert table[best_matching(table)].sum() == best
    assert matched_accuracy(table) == pytest.approx(best / table.sum())


def test_cosine_kmeans_finds_separated_directions_whatever_their_length():
    X, y = blobs()
    for init in ("draws", "k-means++"):
        found = cosine_kmeans(X, 4, init=init, n_init=5, random_state=0)
        assert adjusted_rand_score(y, found.labels) == 1.0


def test_cosine_kmeans_ends_in_a_fixed_point_of_lloyds_two_steps():
    X, _ = blobs(noise=0.6)
    found = cosine_kmeans(X, 4, tol=0, random_state=3)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    means = np.stack([unit[found.labels == k].mean(axis=0) for k in range(4)])
    assert np.allclose(found.centers, means, atol=1e-5)
    cosines = unit @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    assert np.array_equal(cosines.argmax(axis=1), found.labels)
    assert found.inertia == pytest.approx((1 - cosines.max(axis=1)).sum(), rel=1e-5)


def test_cosine_kmeans_is_repeated_exactly_by_the_same_seed():
    X, _ = blobs(noise=1.0)
    first, second, other = (
        cosine_kmeans(X, 4, init="draws", random_state=s) for s in (7, 7, 8)
    )
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.labels, other.labels)


def test_more_starts_never_raise_the_inertia():
    X, _ = blobs(noise=1.5)
    inertia = [cosine_kmeans(X, 4, n_init=n, random_state=0).inertia for n in (1, 5, 20)]
    assert inertia[0] >= inertia[1] >= inertia[2]


def test_cosine_kmeans_leaves_no_cluster_empty():
    X = np.repeat(np.eye(3), [40, 5, 5], axis=0)
    X = X + 1e-3 * np.random.default_rng(0).normal(size=X.shape)
    for seed in range(20):
        labels = cosine_kmeans(X, 6, init="draws", n_draws=1, random_state=seed).labels
        assert len(np.unique(labels)) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clusters": 11}, "n_clusters=11 is more than n_samples=10"),
        ({"n_clusters": 0}, "n_clusters=0"),
        ({"init": "kmeans++"}, r"init='kmeans\+\+' is unknown. Did you mean 'k-means\+\+'"),
        ({"n_init": 0}, "n_init=0"),
        ({"X": np.full((10, 2), np.nan)}, "X holds NaN"),
        ({"X": np.zeros(10)}, r"X has shape \(10,\)"),
    ],
)
def test_cosine_kmeans_says_what_is_wrong_with_its_input(change, message):
    arguments = {"X": np.eye(10), "n_clusters": 2} | change
    with pytest.raises(ValueError, match=message):
        cosine_kmeans(**arguments)


def test_devices_and_precisions_that_cannot_be_used_are_named():
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="precision='float16' is unknown"):
        autocast(torch.device("cpu"), "float16")
