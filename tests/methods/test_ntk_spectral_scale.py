"""What serves many images: search of neighbours, tied pieces, explicit features."""

from functools import partial

import numpy as np
import pytest
from refusals import refused
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score
from support.ntk_transcription import planted

from mvlib.methods.ntk_spectral import (
    Neighbors,
    connect_fragments,
    discretize,
    explicit_features,
    feature_embedding,
    nearest_neighbors,
    ntk_affinity,
    sparsify,
)

TAU, Q = 0.1, 5


@pytest.fixture(scope="module")
def problem():
    return planted(300, d=16)


@pytest.fixture(scope="module")
def kernel(problem):
    Z, Ws, _ = problem
    return np.mean([ntk_affinity(Z, W, TAU) for W in Ws], axis=0)


@pytest.fixture(scope="module")
def graph_problem():
    Z, (W, *_), _ = planted(120, d=16)
    return Z, W, nearest_neighbors(Z, W, Q, temperature=TAU)


def error(features, kernel):
    return np.linalg.norm(features @ features.T - kernel) / np.linalg.norm(kernel)


@pytest.mark.parametrize("sketch", ["nystrom", "tensorsketch"])
def test_the_error_falls_with_the_number_of_features(problem, kernel, sketch):
    Z, Ws, _ = problem
    settings = {"temperature": TAU, "sketch": sketch}

    def mean_error(r):
        drawn = [explicit_features(Z, Ws, r, **settings, random_state=s) for s in range(3)]
        return np.mean([error(features, kernel) for features in drawn])

    errors = [mean_error(r) for r in (16, 64, 256)]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("affinity", ["ntk", "visual", "semantic", "rbf"])
def test_nystrom_serves_every_affinity_and_is_exact_with_every_image_a_landmark(
    problem, affinity
):
    Z, Ws, _ = problem
    K = np.mean([ntk_affinity(Z, W, TAU, affinity=affinity) for W in Ws], axis=0)
    F = explicit_features(Z, Ws, 300, temperature=TAU, affinity=affinity)
    assert error(F, K) < (1e-4 if affinity == "ntk" else 1e-3)


def test_tensor_sketch_is_right_on_average(problem, kernel):
    Z, Ws, _ = problem
    sums = np.zeros_like(kernel)
    for seed in range(60):
        F = explicit_features(
            Z, Ws, 64, temperature=TAU, sketch="tensorsketch", random_state=seed
        )
        sums += F @ F.T
    single = error(F, kernel)
    assert np.linalg.norm(sums / 60 - kernel) / np.linalg.norm(kernel) < 0.25 * single


def test_blocks_change_nothing(problem, monkeypatch):
    Z, Ws, _ = problem
    for sketch in ("nystrom", "tensorsketch"):
        whole = explicit_features(Z, Ws, 32, temperature=TAU, sketch=sketch, random_state=0)
        monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.BLOCK_BYTES", 5000)
        parts = explicit_features(Z, Ws, 32, temperature=TAU, sketch=sketch, random_state=0)
        monkeypatch.undo()
        # Directions of the smallest eigenvalues magnify rounding.
        assert np.allclose(whole @ whole.T, parts @ parts.T, atol=1e-2)


def test_the_gram_matrix_gives_the_eigenvectors_of_the_kernel(problem, kernel):
    Z, Ws, _ = problem
    F = explicit_features(Z, Ws, 300, temperature=TAU)
    found, values = feature_embedding(F, 4)
    d = kernel.sum(axis=1)
    expected, vectors = np.linalg.eigh(kernel / np.sqrt(np.outer(d, d)))
    assert np.allclose(values, expected[::-1][:4], atol=1e-4)
    vectors = vectors[:, ::-1][:, :4] / np.sqrt(d)[:, None]
    assert np.allclose(np.abs(found), np.abs(vectors), atol=1e-3 * np.abs(vectors).max())


def test_few_features_keep_the_labels_of_the_exact_kernel(problem):
    Z, Ws, _ = problem
    features = [explicit_features(Z, Ws, r, temperature=TAU, random_state=0) for r in (300, 60)]
    labels = [discretize(feature_embedding(F, 4)[0], random_state=0) for F in features]
    assert adjusted_rand_score(*labels) > 0.97


@pytest.mark.parametrize("affinity", ["ntk", "visual", "semantic", "rbf"])
def test_blocks_find_what_the_full_matrix_holds_without_the_image_itself(
    graph_problem, affinity, monkeypatch
):
    Z, W, _ = graph_problem
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.SEARCH_BYTES", 4 * 120 * 7)
    found = nearest_neighbors(Z, W, Q, temperature=TAU, affinity=affinity)
    A = ntk_affinity(Z, W, TAU, affinity=affinity)
    np.fill_diagonal(A, -np.inf)
    assert (np.diff(found.values, axis=1) <= 0).all()
    assert np.allclose(found.values, -np.sort(-A, axis=1)[:, :Q], rtol=1e-4)
    assert np.allclose(found.values, np.take_along_axis(A, found.indices, axis=1), rtol=1e-4)


def test_cells_find_most_neighbors_and_true_affinities(monkeypatch):
    Z, (W, *_), _ = planted(1200, n_classes=6, d=24)
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.CANDIDATES", 400)
    monkeypatch.setattr("mvlib.methods.ntk_spectral.scale.CELL_ROWS", 50)
    exact = nearest_neighbors(Z, W, Q, temperature=TAU, search="exact")
    cells = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.indices, cells.indices, strict=True)]
    assert np.mean(shared) > 0.95 * Q
    A = ntk_affinity(Z, W, TAU)
    assert np.allclose(cells.values, np.take_along_axis(A, cells.indices, axis=1), rtol=1e-4)
    again = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    assert np.array_equal(cells.indices, again.indices)


def test_cells_that_reach_everywhere_are_exact(graph_problem):
    Z, W, lists = graph_problem
    found = nearest_neighbors(Z, W, Q, temperature=TAU, search="cells", random_state=0)
    assert np.allclose(found.values, lists.values, rtol=1e-4)


def chain(n_pieces, size, far):
    """Images in pieces, each listing its own and one image of the next piece, farther off."""
    n = n_pieces * size
    values, indices = np.empty((n, size), np.float32), np.empty((n, size), np.int64)
    for i in range(n):
        piece = i // size
        own = [j for j in range(piece * size, (piece + 1) * size) if j != i]
        indices[i] = [*own, (piece + 1) % n_pieces * size]
        values[i] = [1.0] * len(own) + [far]
    return Neighbors(values, indices)


def test_small_pieces_are_tied_by_their_strongest_edge_if_it_has_a_weight():
    lists = chain(4, 3, far=0.5)
    lists.values[4, -1] = 0.7
    graph = sparsify(lists, 3, "mutual")
    assert connected_components(graph)[0] == 4
    tied, small = connect_fragments(graph, lists, 3)
    assert small.all()
    assert connected_components(tied)[0] == 1
    added = tied - graph
    assert added[4, 6] == added[6, 4] == np.float32(0.7)
    assert added.count_nonzero() == 8
    assert set(np.unique(added.data[added.data != 0])) == {np.float32(0.5), np.float32(0.7)}
    # Pieces large enough for a cluster are left alone.
    same, small = connect_fragments(graph, lists, 2)
    assert not small.any()
    assert (same != graph).nnz == 0
    lists = chain(2, 3, far=0.0)
    same, _ = connect_fragments(sparsify(lists, 3, "mutual"), lists, 3)
    assert connected_components(same)[0] == 2


SMALL_Z, (SMALL_W, *_), _ = planted(300, d=16)
SKETCH = {"n_features": 20, "sketch": "tensorsketch", "affinity": "rbf"}
HOLED, FLAT = np.full((4, 2), np.nan), np.array([[1.0, 0], [-2, 0], [0, 1]])


test_bad_input_is_named = refused(
    [
        (message, partial(explicit_features, SMALL_Z, *banks, **settings))
        for message, banks, settings in (
            ("needs banks", (), {}),
            ("n_features=301", ([SMALL_W],), {"n_features": 301}),
            ("n_features=0", ([SMALL_W],), {"n_features": 0}),
            ("is no product", ([SMALL_W],), SKETCH),
            ("Did you mean 'nystrom'", ([SMALL_W],), {"n_features": 20, "sketch": "nystroem"}),
            ("numbers of features differ", ([SMALL_W[:, 1:]],), {"n_features": 20}),
        )
    ]
    + [
        ("finite matrix", partial(feature_embedding, HOLED, 2)),
        ("n_clusters=3", partial(feature_embedding, SMALL_Z[:4, :2], 3)),
        ("n_clusters=0", partial(feature_embedding, SMALL_Z[:4, :2], 0)),
        ("degree", partial(feature_embedding, FLAT, 2)),
        ("n_neighbors=300", partial(nearest_neighbors, SMALL_Z, SMALL_W, 300)),
        ("n_neighbors=0", partial(nearest_neighbors, SMALL_Z, SMALL_W, 0)),
        ("search='exakt'", partial(nearest_neighbors, SMALL_Z, SMALL_W, 3, search="exakt")),
        ("needs W", partial(nearest_neighbors, SMALL_Z, None, 3)),
    ]
)
