"""k-means of each kind against slow transcriptions and the facts that define it."""

import warnings
from collections import Counter
from itertools import permutations

import faiss
import numpy as np
import pytest
import torch
from plain import unit
from refusals import refuses
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from mvlib.ops import blocked_kmeans, cosine_kmeans, faiss_kmeans, seeding
from mvlib.ops.rows import BlockedPoints
from mvlib.ops.seeding import plus_plus_rows


def clustered(n_clusters=5, per_cluster=40, n_features=8, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_clusters), per_cluster)
    centers = rng.normal(size=(n_clusters, n_features))
    X = centers[y] + noise * rng.normal(size=(len(y), n_features))
    return X.astype(np.float32), y


def clip_like(n=3000, n_features=64, seed=0):
    """Unit vectors that all point the same way: mean pairwise cosine 0.8."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(60, n_features))
    X = (
        centers[rng.integers(0, 60, n)]
        + rng.normal(size=(n, n_features))
        + 20 * np.eye(n_features)[0]
    )
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def lloyd(X, centers, n_iter, spherical):
    """Point by point, in float64."""
    X = X.astype(np.float64)
    if spherical:
        X = np.array([x / np.linalg.norm(x) for x in X])
        centers = np.array([c / np.linalg.norm(c) for c in centers])

    def distance(x, c):
        return 1 - x @ c if spherical else ((x - c) ** 2).sum()

    def nearest(centers):
        return np.array([np.argmin([distance(x, c) for c in centers]) for x in X])

    for _ in range(n_iter):
        labels = nearest(centers)
        centers = np.array([X[labels == k].mean(axis=0) for k in range(len(centers))])
        if spherical:
            centers = np.array([c / np.linalg.norm(c) for c in centers])
    labels = nearest(centers)
    return labels, centers, sum(distance(x, centers[k]) for x, k in zip(X, labels, strict=True))


@pytest.mark.parametrize("spherical", [False, True])
def test_each_iteration_is_that_of_the_slow_transcription(spherical):
    X, _ = clustered(noise=1.0)
    X += 3
    options = {"spherical": spherical, "init": X[:5], "tol": 0, "block_size": 33}
    for n_iter in (1, 2, 4):
        labels, centers, inertia = lloyd(X, X[:5], n_iter, spherical)
        found = blocked_kmeans(X, 5, max_iter=n_iter, **options)
        assert found.n_iter == n_iter
        assert np.array_equal(found.labels, labels)
        assert np.allclose(found.centers, centers, atol=1e-5)
        assert found.inertia == pytest.approx(inertia, rel=1e-5)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (blocked_kmeans, {"spherical": False}), (blocked_kmeans, {"spherical": True}),
        (cosine_kmeans, {"init": "draws"}), (cosine_kmeans, {"init": "k-means++"}),
    ],
)  # fmt: skip
def test_separated_clusters_are_found_by_directions_whatever_the_length(function, options):
    X, y = clustered(noise=0.1)
    if options != {"spherical": False}:
        X = X * np.random.default_rng(0).uniform(0.1, 30, (len(X), 1))
    labels = function(X, 5, n_init=5, random_state=0, **options).labels
    assert adjusted_rand_score(y, labels) == 1.0


def test_spherical_centres_have_length_one_and_the_inertia_is_a_sum_of_cosine_distances():
    X, _ = clustered(noise=1.0)
    found = blocked_kmeans(X, 5, spherical=True, random_state=0)
    assert np.allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-6)
    cosines = unit(X) @ found.centers.T
    assert np.array_equal(found.labels, cosines.argmax(axis=1))
    assert found.inertia == pytest.approx((1 - cosines.max(axis=1)).sum(), rel=1e-5)


@pytest.mark.parametrize("spherical", [False, True])
def test_a_finished_run_is_a_fixed_point_of_lloyds_two_steps(spherical):
    X, _ = clustered(noise=1.0)
    options = {"spherical": spherical, "random_state": 1}
    found = blocked_kmeans(X, 5, tol=0, **options)
    assert found.n_iter < 300
    again = blocked_kmeans(X, 5, init=found.centers, max_iter=1, **options)
    assert np.array_equal(found.labels, again.labels)
    assert np.allclose(found.centers, again.centers, atol=1e-6)


def test_more_iterations_never_raise_the_inertia():
    X, options = clip_like(600), {"tol": 0, "random_state": 0}
    inertia = [blocked_kmeans(X, 20, max_iter=n, **options).inertia for n in range(1, 12)]
    assert (np.diff(inertia) <= 1e-6 * np.array(inertia[:-1])).all()


def test_the_block_size_changes_nothing_and_is_never_exceeded(monkeypatch):
    X = clip_like(500)
    whole = blocked_kmeans(X, 12, random_state=0, block_size=500)
    sizes, tile = [], BlockedPoints.tile

    def counted(self, rows):
        found = tile(self, rows)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(BlockedPoints, "tile", counted)
    for block_size in (1, 47, 10_000):
        sizes.clear()
        parts = blocked_kmeans(X, 12, random_state=0, block_size=block_size)
        assert np.array_equal(whole.labels, parts.labels)
        assert parts.inertia == pytest.approx(whole.inertia, rel=1e-6)
        # Candidates of the seeding, 32 of them, come in one piece.
        assert max(sizes) <= max(block_size, 32)


@pytest.mark.parametrize("spherical", [False, True])
def test_bfloat16_assignment_costs_under_a_twentieth_of_a_percent_of_inertia(spherical):
    X = clip_like()
    exact, rounded = (
        blocked_kmeans(X, 50, spherical=spherical, precision=p, max_iter=1, init=X[:50])
        for p in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact.centers, rounded.centers)
    assert rounded.inertia == pytest.approx(exact.inertia, rel=5e-4)
    # Four times as many points change sides if the mean is not taken off first.
    assert np.mean(exact.labels != rounded.labels) < 0.01


def test_labels_that_come_out_of_bfloat16_are_those_of_float32():
    X = clip_like()
    found = blocked_kmeans(X, 200, precision="bfloat16", max_iter=1, random_state=0)
    distances = ((X[:, None].astype(np.float64) - found.centers) ** 2).sum(axis=2)
    least = distances.min(axis=1)
    assert np.allclose(least, distances[np.arange(len(X)), found.labels], rtol=1e-5)
    assert found.inertia == pytest.approx(least.sum(), rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_moving_all_points_far_away_changes_no_label(precision):
    X, _ = clustered(noise=1.0)
    near, far = (blocked_kmeans(Z, 5, precision=precision, random_state=0) for Z in (X, X + 64))
    assert np.mean(near.labels == far.labels) > 0.99


def test_no_cluster_is_left_empty_by_centres_that_attract_nothing():
    X, _ = clustered()
    start = np.full((7, X.shape[1]), 1e3, dtype=np.float32)
    start[0] = X[0]
    for max_iter in (1, 50):
        found = blocked_kmeans(X, 7, init=start, max_iter=max_iter)
        assert np.bincount(found.labels, minlength=7).min() > 0


def test_filling_an_empty_cluster_does_not_empty_one_of_a_single_point():
    X = np.array([[0, 0], [1, 0], [2, 0], [100, 0]], dtype=np.float32)
    start = np.array([[1, 0], [70, 0], [-1e3, 0]], dtype=np.float32)
    found = blocked_kmeans(X, 3, init=start, max_iter=1)
    assert np.isfinite(found.centers).all()
    assert np.bincount(found.labels).tolist() == [2, 1, 1]


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_fewer_distinct_points_than_clusters_are_a_cluster_each_and_a_warning(init):
    X = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\) .* n_clusters \(6\)"):
        found = blocked_kmeans(X, 6, init=init, random_state=0)
    assert len(np.unique(found.labels)) == len(found.centers) == 3
    assert np.array_equal(found.labels, np.repeat(found.labels[::10], 10))
    assert found.inertia == pytest.approx(0, abs=1e-9)


def test_opposite_points_leave_spherical_centres_finite():
    X = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    found = blocked_kmeans(X, 1, spherical=True, random_state=0)
    assert np.allclose(np.linalg.norm(found.centers, axis=1), 1)


def test_a_large_tolerance_ends_a_start_early_and_a_stable_labelling_ends_it_anyway():
    X, _ = clustered(noise=1.0)
    early = blocked_kmeans(X, 5, tol=1e6, random_state=0).n_iter
    late = blocked_kmeans(X, 5, tol=0, random_state=0).n_iter
    assert early == 1
    assert 1 < late < 300


@pytest.mark.parametrize("n_candidates", [None, 1])
def test_seeding_draws_each_set_as_often_as_k_means_plus_plus_does(n_candidates):
    X = torch.tensor([[0.0, 0], [1, 0], [0, 3], [4, 4], [-2, 5]])
    squared = ((X[:, None] - X) ** 2).sum(dim=2).double().numpy()
    expected = Counter()
    for drawn in permutations(range(5), 3):
        probability = 1 / 5
        for step in (1, 2):
            weights = squared[:, drawn[:step]].min(axis=1)
            probability *= weights[drawn[step]] / weights.sum()
        expected[frozenset(drawn)] += probability
    assert sum(expected.values()) == pytest.approx(1)
    generator, n_draws = torch.Generator().manual_seed(0), 2000
    options = {"n_candidates": n_candidates, "block_size": 2, "generator": generator}
    found = Counter(
        frozenset(plus_plus_rows(X.__getitem__, torch.arange(5), 3, **options).tolist())
        for _ in range(n_draws)
    )
    for drawn, probability in expected.items():
        spread = np.sqrt(probability * (1 - probability) / n_draws)
        assert found[drawn] / n_draws == pytest.approx(probability, abs=4 * spread)


def test_seeding_draws_only_from_the_subsample(monkeypatch):
    seen = []

    def recorded(tile, rows, n_clusters, **options):
        seen.append(rows)
        return plus_plus_rows(tile, rows, n_clusters, **options)

    monkeypatch.setattr(seeding, "plus_plus_rows", recorded)
    X = clip_like(300)
    for subsample, expected in ((3, 30), (1000, 300), (None, 300)):
        blocked_kmeans(X, 10, subsample=subsample, max_iter=1, random_state=0)
        assert len(seen[-1].unique()) == expected


def test_points_are_read_where_they_are_and_never_changed():
    X, _ = clustered()
    before = X.copy()
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = BlockedPoints(X, width=3, spherical=True, device=torch.device("cpu"))
        found = blocked_kmeans(X, 3, spherical=True, random_state=0, device="cpu")
    assert points.X.data_ptr() == X.ctypes.data
    assert np.array_equal(X, before)
    for same in (torch.from_numpy(before), before.astype(np.float64), np.asfortranarray(X)):
        labels = blocked_kmeans(same, 3, spherical=True, random_state=0).labels
        assert np.array_equal(labels, found.labels)
    assert found.labels.dtype == np.int64
    assert found.centers.dtype == np.float32


def faiss_permutation(n, seed):
    """Swap each place with a later one; the draws are a Mersenne twister's raw numbers."""
    raw = np.random.RandomState(seed).randint(0, 2**32, n, dtype=np.uint32)
    order = list(range(n))
    for i in range(n - 1):
        j = i + int(raw[i]) % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


def plain_faiss(X, K, n_init, max_iter=300):
    """Random rows, 256 * K of them to learn from, centres brought to length one each step."""
    learnt = X[faiss_permutation(len(X), 1234)[: 256 * K]] if len(X) > 256 * K else X
    best = -np.inf
    for start in range(n_init):
        centres = unit(learnt[faiss_permutation(len(learnt), 1235 + 15486557 * start)[:K]])
        for _ in range(max_iter):
            products = learnt @ centres.T
            labels, objective = products.argmax(axis=1), products.max(axis=1).sum()
            centres = unit(np.stack([learnt[labels == k].mean(axis=0) for k in range(K)]))
        if objective > best:
            best, kept = objective, centres
    return (X @ kept.T).argmax(axis=1), kept


@pytest.mark.parametrize(("n", "K", "n_init"), [(1500, 4, 4), (600, 6, 3)])
def test_faiss_rules_equal_their_slow_transcription(n, K, n_init):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 12)) * rng.uniform(0.5, 2, size=(n, 1))
    found = faiss_kmeans(X, K, n_init=n_init, random_state=1234)
    labels, centres = plain_faiss(X, K, n_init)
    assert np.array_equal(found.labels, labels)
    assert np.allclose(found.centers, centres, atol=1e-4)
    cosines = (unit(X) * centres[labels]).sum(axis=1)
    assert found.inertia == pytest.approx((1 - cosines).sum(), rel=1e-4)


def by_faiss(X, K, **options):
    theirs = faiss.Kmeans(
        X.shape[1], K, spherical=True, seed=1234, min_points_per_centroid=1, **options
    )
    theirs.train(X)
    return theirs


@pytest.mark.parametrize(
    ("n", "d", "K", "n_init"),
    [(3000, 32, 7, 5), (900, 16, 12, 3), (60, 8, 20, 4), (60, 11, 20, 4)],
)
def test_faiss_rules_give_what_faiss_gives(n, d, K, n_init):
    X = unit(np.random.default_rng(d).normal(size=(n, d)).astype(np.float32))
    theirs = by_faiss(X, K, niter=300, nredo=n_init)
    ours = faiss_kmeans(X, K, n_init=n_init, random_state=1234)
    assert np.array_equal(ours.labels, theirs.index.search(X, 1)[1][:, 0])
    assert np.allclose(ours.centers, theirs.centroids, atol=1e-5)


def test_an_emptied_cluster_is_split_off_a_big_one_as_faiss_does():
    X = np.repeat(np.random.default_rng(3).normal(size=(9, 6)), 20, axis=0)
    X = unit(X.astype(np.float32))
    ours = faiss_kmeans(X, 12, max_iter=1, random_state=1234)
    assert np.allclose(ours.centers, by_faiss(X, 12, niter=1).centroids, atol=1e-5)
    assert len(np.unique(np.round(ours.centers, 6), axis=0)) == 12


def blobs(n_clusters=4, per_cluster=50, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.linalg.qr(rng.normal(size=(12, n_clusters)))[0].T
    y = np.repeat(np.arange(n_clusters), per_cluster)
    length = rng.uniform(0.5, 20, size=(len(y), 1))
    return length * (centers[y] + noise * rng.normal(size=(len(y), 12))), y


def test_cosine_kmeans_ends_in_a_fixed_point_of_lloyds_two_steps():
    X, _ = blobs(noise=0.6)
    found = cosine_kmeans(X, 4, tol=0, random_state=3)
    directions = unit(X)
    means = np.stack([directions[found.labels == k].mean(axis=0) for k in range(4)])
    assert np.allclose(found.centers, means, atol=1e-5)
    cosines = directions @ unit(means).T
    assert np.array_equal(cosines.argmax(axis=1), found.labels)
    assert found.inertia == pytest.approx((1 - cosines.max(axis=1)).sum(), rel=1e-5)


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
    directions = unit(X)
    for seed in range(5):
        draws = drawn(len(X), 4, seed)

        def to_nearest(draw):
            return sum(min(1 - x @ directions[row] for row in draw) for x in directions)

        best = directions[min(draws, key=to_nearest)]
        found = cosine_kmeans(X, 4, init="draws", max_iter=1, random_state=seed)
        labels = (directions @ best.T).argmax(axis=1)
        means = np.array([directions[labels == k].mean(axis=0) for k in range(4)])
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


@pytest.mark.parametrize("function", [blocked_kmeans, cosine_kmeans, faiss_kmeans])
def test_more_starts_never_raise_the_inertia(function):
    X, _ = blobs(noise=1.5)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    inertia = [function(X, 4, n_init=n, random_state=0).inertia for n in (1, 5, 20)]
    assert inertia[0] >= inertia[1] >= inertia[2]


@pytest.mark.parametrize(
    ("function", "options"),
    [(blocked_kmeans, {"max_iter": 3}), (cosine_kmeans, {"init": "draws"}), (faiss_kmeans, {})],
)
def test_a_run_is_repeated_exactly_by_the_same_seed(function, options):
    X = clip_like(400)
    first, second, other = (function(X, 20, random_state=s, **options) for s in (7, 7, 8))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.centers, second.centers)
    assert not np.array_equal(first.labels, other.labels)


EVERY = [blocked_kmeans, cosine_kmeans, faiss_kmeans]
WRONG = [
    ({"X": np.zeros(10)}, r"X has shape \(10,\)", EVERY),
    ({"X": np.zeros((0, 3))}, r"X has shape \(0, 3\)", EVERY),
    ({"X": np.array([["a", "b"]])}, "X is not numeric", EVERY),
    ({"X": np.full((10, 2), np.nan)}, "X holds NaN or infinity", EVERY),
    ({"n_clusters": 11}, "n_clusters=11 is more than n_samples=10", EVERY),
    ({"n_clusters": 0}, "n_clusters=0", EVERY),
    ({"n_clusters": 2.5}, "n_clusters=2.5", EVERY),
    ({"n_init": 0}, "n_init=0", EVERY),
    ({"max_iter": 0}, "max_iter=0", EVERY),
    ({"random_state": -1}, "random_state=-1", EVERY),
    ({"init": "kmeans++"}, r"init='kmeans\+\+' is unknown. Did you mean", EVERY[:2]),
    ({"tol": -1}, "tol=-1", EVERY[:2]),
    ({"device": "gpu"}, "device='gpu'", [blocked_kmeans, faiss_kmeans]),
    ({"max_points": 0}, "max_points=0", [faiss_kmeans]),
    ({"X": np.full((10, 2), np.inf), "spherical": True}, "X holds NaN or", [blocked_kmeans]),
    ({"init": np.zeros((3, 10))}, r"init has shape \(3, 10\).*\(2, 10\)", [blocked_kmeans]),
    ({"init": np.full((2, 10), np.nan)}, "a name or finite centres", [blocked_kmeans]),
    ({"precision": "float16"}, "precision='float16'", [blocked_kmeans]),
    ({"subsample": 0}, "subsample=0", [blocked_kmeans]),
    ({"block_size": 0}, "block_size=0", [blocked_kmeans]),
]
test_what_is_wrong_with_the_input_is_said = refuses(
    lambda of, **change: of(**{"X": np.eye(10), "n_clusters": 2} | change),
    *((change | {"of": of}, message) for change, message, each in WRONG for of in each),
)


def test_faiss_rules_make_as_many_clusters_as_there_are_points():
    X = np.random.default_rng(0).normal(size=(10, 3))
    assert len(np.unique(faiss_kmeans(X, 10, random_state=0).labels)) == 10
