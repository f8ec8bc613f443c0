"""Eigenvectors and labels, against LAPACK and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses
from scipy import sparse
from sklearn.cluster import SpectralClustering
from sklearn.cluster import _spectral as scikit
from sklearn.manifold import spectral_embedding as scikit_embedding
from sklearn.metrics import adjusted_rand_score
from support.ntk_transcription import planted

from mvlib.methods.ntk_spectral import (
    diffuse_affinities,
    diffuse_in_subspace,
    nearest_neighbors,
    normalize_graph,
    sparsify,
)
from mvlib.ops import discretize, spectral_embedding


@pytest.fixture(scope="module")
def graph():
    Z, (W, *_), _ = planted(260, d=16, noise=1.2)
    return sparsify(nearest_neighbors(Z, W, 12, temperature=0.2), 12, "union").astype(float)


@pytest.fixture(scope="module")
def blocks():
    """Three pieces of different sizes, each connected."""
    rng = np.random.default_rng(0)
    parts = []
    for size in (40, 50, 60):
        A = rng.random((size, size)) + 0.1
        parts.append(A + A.T)
    return sparse.csr_array(sparse.block_diag(parts))


def alike(U, V):
    """Smallest cosine of the principal angles of two column spaces."""
    return np.linalg.svd(np.linalg.qr(U)[0].T @ np.linalg.qr(V)[0])[1].min()


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("form", ["sparse", "array"])
def test_eigenvectors_equal_those_of_the_full_matrix(graph, solver, form):
    A = graph if form == "sparse" else graph.toarray()
    found, values = spectral_embedding(A, 4, solver=solver, tol=1e-8, random_state=0)
    dense = graph.toarray()
    np.fill_diagonal(dense, 0)
    d = dense.sum(axis=1)
    expected, vectors = np.linalg.eigh(dense / np.sqrt(np.outer(d, d)))
    assert np.allclose(values, expected[::-1][:4], atol=1e-6)
    assert values[0] == pytest.approx(1, abs=1e-9)
    assert alike(found * np.sqrt(d)[:, None], vectors[:, -4:]) > 1 - 1e-6


def test_embedding_equals_that_of_scikit_learn(graph):
    found, _ = spectral_embedding(graph, 3)
    expected = scikit_embedding(graph, n_components=3, drop_first=False, random_state=0)
    assert alike(found, expected) > 1 - 1e-6
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-5)


def test_the_diagonal_is_not_read(graph):
    loud = graph + sparse.diags_array(np.linspace(0, 50, graph.shape[0]))
    for solver in ("dense", "lobpcg"):
        plain, loud_too = (
            spectral_embedding(A, 3, solver=solver, tol=1e-8, random_state=0)[0]
            for A in (graph, loud)
        )
        assert alike(plain, loud_too) > 1 - 1e-6


def test_a_subspace_affinity_has_the_eigenvectors_of_the_full_diffusion(graph):
    transitions = [normalize_graph(graph)]
    full = diffuse_affinities(transitions).affinity
    low = diffuse_in_subspace(transitions, 30, random_state=0).affinity
    expected, values = spectral_embedding(full, 4)
    for solver in ("dense", "lobpcg"):
        found, low_values = spectral_embedding(low, 4, solver=solver, random_state=0)
        assert np.allclose(values, low_values, atol=1e-3)
        assert alike(found, expected) > 0.999


def test_a_subspace_that_keeps_pieces_apart_only_nearly_is_solved_as_it_is():
    Z, (W, *_), _ = planted(260, d=16, noise=1.2)
    graph = sparsify(nearest_neighbors(Z, W, 6, temperature=0.2), 6, "union").astype(float)
    parts = [graph, graph[:200, :200], graph[60:, 60:]]
    transitions = [normalize_graph(sparse.csr_array(sparse.block_diag(parts)))]
    low = diffuse_in_subspace(transitions, 6, random_state=0).affinity
    pieces = np.repeat([0, 1, 2], [260, 200, 200])
    expected, values = spectral_embedding(low, 5, solver="dense", pieces=pieces)
    found, near = spectral_embedding(low, 5, solver="lobpcg", pieces=pieces, random_state=0)
    assert np.allclose(values, near, atol=1e-6)
    assert alike(found, expected) > 1 - 1e-5


def test_one_cluster_of_an_operator_whose_pieces_are_unknown_is_a_column(graph):
    low = diffuse_in_subspace([normalize_graph(graph)], 5, random_state=0).affinity
    embedding, values = spectral_embedding(low, 1)
    assert embedding.tolist() == [[1.0]] * graph.shape[0]
    assert values.tolist() == [1.0]


def test_degrees_of_a_subspace_are_no_less_than_the_identity_gives(graph):
    S = normalize_graph(graph)
    low = diffuse_in_subspace([S], 5, random_state=0).affinity
    off = (S @ S.T).toarray()
    np.fill_diagonal(off, 0)
    least = low.weights[0] * low.identity * off.sum(axis=1)
    sums = low.toarray().sum(axis=1) - low.diagonal()
    assert np.allclose(low.degrees(), sums, atol=1e-5)
    # A core that takes away from some rows, as one of too small a rank can.
    low = replace(low, core=low.core - 2 * np.eye(5))
    sums = low.toarray().sum(axis=1) - low.diagonal()
    assert (sums < least).any()
    assert np.allclose(low.degrees(), np.maximum(sums, least), atol=1e-5)


def test_pieces_are_counted_before_a_solver_runs(blocks, monkeypatch):
    def never(*args, **more):
        raise AssertionError("a solver ran")

    monkeypatch.setattr("mvlib.ops.spectral.linalg.eigh", never)
    monkeypatch.setattr("mvlib.ops.spectral.lobpcg", never)
    embedding, values = spectral_embedding(blocks, 3)
    labels = discretize(embedding, random_state=0)
    assert adjusted_rand_score(np.repeat([0, 1, 2], [40, 50, 60]), labels) == 1
    assert np.array_equal(values, [1, 1, 1])
    with pytest.raises(ValueError, match="3 pieces: expected at most n_clusters=2"):
        spectral_embedding(blocks, 2)
    with pytest.raises(ValueError, match="44 pieces"):
        spectral_embedding(sparse.csr_array((44, 44)), 2)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_repeated_eigenvalues_come_as_often_as_there_are_pieces(blocks, solver):
    embedding, values = spectral_embedding(blocks, 5, solver=solver, random_state=0)
    assert np.allclose(values[:3], 1, atol=1e-8)
    assert values[3] < 0.9
    for rows in (slice(0, 40), slice(40, 90), slice(90, 150)):
        assert np.ptp(embedding[rows, :3], axis=0).max() < 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_discretisation_equals_that_of_scikit_learn(graph, seed):
    embedding, _ = spectral_embedding(graph, 4)
    assert np.array_equal(
        discretize(embedding, random_state=seed),
        scikit.discretize(embedding, random_state=seed),
    )
    rng = np.random.default_rng(seed)
    blurred = np.eye(5)[rng.integers(0, 5, 300)] + 0.4 * rng.normal(size=(300, 5))
    assert np.array_equal(
        discretize(blurred, random_state=seed), scikit.discretize(blurred, random_state=seed)
    )


def test_labels_equal_those_of_scikit_learn():
    Z, (W, *_), _ = planted(200, d=16)
    graph = sparsify(nearest_neighbors(Z, W, 20, temperature=0.2), 20, "union")
    embedding, _ = spectral_embedding(graph, 4)
    expected = SpectralClustering(
        4, affinity="precomputed", assign_labels="discretize", random_state=3
    ).fit_predict(graph)
    assert adjusted_rand_score(expected, discretize(embedding, random_state=3)) == 1


def test_a_rotation_and_rows_of_zeros_change_no_label_and_one_cluster_is_one_label(graph):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 200)
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert adjusted_rand_score(y, discretize(np.eye(4)[y] @ rotation, random_state=1)) == 1
    embedding = np.eye(4)[y]
    embedding[:5] = 0
    assert adjusted_rand_score(y[5:], discretize(embedding, random_state=0)[5:]) == 1
    assert not discretize(spectral_embedding(graph, 1)[0]).any()


test_bad_input_is_named = refuses(
    spectral_embedding,
    ({"affinity": np.ones((3, 4)), "n_clusters": 2}, "square matrix"),
    ({"affinity": np.full((3, 3), np.nan), "n_clusters": 2}, "finite"),
    ({"affinity": np.eye(4), "n_clusters": 5}, "n_clusters=5 is more than n_samples=4"),
    ({"affinity": np.ones((4, 4)), "n_clusters": 3, "solver": "arpack"}, "solver='arpack'"),
    ({"affinity": [[0, 1, -2], [1, 0, 3], [-2, 3, 0.0]], "n_clusters": 2},
     "degree -1 in row 0"),
    (lambda: discretize(np.ones((2, 3))), "at least as many rows as columns"),
    (lambda: discretize([[np.inf, 1], [1, 2]]), "finite"),
    (lambda: discretize(np.eye(3), max_iter=0), "max_iter=0"),
    ({"affinity": np.eye(4), "n_clusters": 2, "max_iter": 0}, "max_iter=0"),
    ({"affinity": np.eye(4), "n_clusters": 2, "tol": 0}, "tol=0"),
)  # fmt: skip
