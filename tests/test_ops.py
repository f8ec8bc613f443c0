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


def authors_kmeans(X, draws, max_updates):
    """What SMART's authors compute, in the words of its description, a loop at a time."""

    def distance(x, c):
        return 1 - x @ c / np.linalg.norm(x) / np.linalg.norm(c)

    def sum_of_all(draw):
        return sum(distance(x, X[row]) for x in X for row in draw)

    centers = X[min(draws, key=sum_of_all)].copy()
    for _ in range(max_updates):
        distances = np.array([[distance(x, c) for c in centers] for x in X])
        # NaN counts as the least, the first of them.
        lost = np.isnan(distances[0])
        nearest = distances.argmin(axis=1)
        labels = np.full(len(X), lost.argmax()) if lost.any() else nearest
        with np.errstate(invalid="ignore"):
            new = np.array(
                [X[labels == k].sum(axis=0) / (labels == k).sum() for k in range(len(centers))]
            )
        shift = sum(np.linalg.norm(a - b) for a, b in zip(new, centers, strict=True))
        centers = new
        if shift**2 < 1e-4:
            break
    return labels


def drawn(n, n_clusters, seed, n_draws=20):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n, generator=generator)[:n_clusters].numpy() for _ in range(n_draws)]


def test_the_authors_k_means_follows_their_start_their_means_and_their_labels():
    rng = np.random.default_rng(4)
    differing = 0
    for seed in range(12):
        X = rng.normal(size=(60, 3)) + rng.normal(size=(4, 3))[rng.integers(4, size=60)]
        # Lengths count in the means, so they must differ.
        X = X * rng.uniform(0.2, 5, size=(60, 1))
        for updates in (1, 2, 501):
            found = cosine_kmeans(X, 4, init="authors", max_iter=updates, random_state=seed)
            expected = authors_kmeans(X, drawn(60, 4, seed), updates)
            assert np.array_equal(found.labels, expected)
        ours = cosine_kmeans(X, 4, init="draws", random_state=seed)
        differing += adjusted_rand_score(found.labels, ours.labels) < 1
    assert differing > 6


def test_the_draw_nearest_to_its_nearest_points_is_the_other_rule():
    X, _ = blobs(noise=1.0)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    for seed in range(5):
        draws = drawn(len(X), 4, seed)

        def to_nearest(draw):
            return sum(min(1 - x @ unit[row] for row in draw) for x in unit)

        best = unit[min(draws, key=to_nearest)]
        found = cosine_kmeans(X, 4, init="draws", max_iter=1, random_state=seed)
        labels = (unit @ best.T).argmax(axis=1)
        means = np.array([unit[labels == k].mean(axis=0) for k in range(4)])
        assert np.allclose(found.centers, means, atol=1e-5)


def test_where_a_cluster_of_the_authors_k_means_empties_all_points_get_one_label():
    X = np.repeat(np.eye(2), [30, 30], axis=0)
    emptied = cosine_kmeans(X, 3, init="authors", random_state=0)
    assert len(np.unique(emptied.labels)) == 1
    assert np.isnan(emptied.inertia)
    assert len(np.unique(authors_kmeans(X, drawn(60, 3, 0), 7))) == 1
    assert len(np.unique(cosine_kmeans(X, 2, init="draws", random_state=0).labels)) == 2


def test_a_start_that_emptied_is_never_kept_before_one_that_did_not():
    rng = np.random.default_rng(0)
    X = np.vstack([np.repeat(np.eye(3), 12, axis=0), rng.normal(size=(8, 3))])
    single = [cosine_kmeans(X, 4, init="authors", random_state=s).inertia for s in range(20)]
    assert 0 < np.isnan(single).sum() < 20
    best = cosine_kmeans(X, 4, init="authors", n_init=20, random_state=0)
    assert np.isfinite(best.inertia)


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
