"""The magnetic Laplacian against slow transcriptions, its gauges, and no phase at all."""

import cmath
import math

import numpy as np
import pytest
from problem_stand_ins import groups
from refusals import out_of_range

from mvlib.methods.base import kmeans_labels
from mvlib.methods.neighbours import magnetic
from mvlib.methods.neighbours.magnetic import MagneticPhaseAblation
from mvlib.metrics import accuracy
from mvlib.ops import spectral_embedding

XS, Y = groups(60, (6, 7, 5), 3, spread=2)
P = magnetic.mean_neighbours(XS, 6)
SCALES = [0.0, math.pi / 4, math.pi / 2, 3.0]


def operator(scale, P=P):
    return magnetic.magnetic_laplacian(*magnetic.affinity_and_phase(P, scale))


def test_neighbours_are_the_nearest_others_and_their_share_of_the_views():
    expected = np.zeros((60, 60))
    for X in XS:
        for i in range(60):
            far = [math.dist(X[i], X[j]) if j != i else math.inf for j in range(60)]
            for j in np.argsort(far)[:6]:
                expected[i, j] += 1 / 3
    np.testing.assert_allclose(P, expected)
    assert (P.diagonal() == 0).all()
    # A copy of a row is another row.
    twice = magnetic.mean_neighbours([XS[0][:10].repeat(2, axis=0)], 1)
    assert (twice == np.kron(np.eye(10), [[0, 1], [1, 0]])).all()


@pytest.mark.parametrize("scale", SCALES)
def test_the_operator_is_that_of_the_transcription(scale):
    d = [sum((P[i, j] + P[j, i]) / 2 for j in range(60)) for i in range(60)]
    expected = np.eye(60, dtype=complex)
    for i in range(60):
        for j in range(60):
            turned = cmath.exp(1j * scale * (P[i, j] - P[j, i]))
            expected[i, j] -= (P[i, j] + P[j, i]) / 2 * turned / math.sqrt(d[i] * d[j])
    np.testing.assert_allclose(operator(scale), expected, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_it_is_hermitian_with_eigenvalues_from_0_to_2_and_0_without_a_phase(scale):
    L = operator(scale)
    np.testing.assert_allclose(L, L.conj().T, atol=1e-12)
    values = np.linalg.eigvalsh(L)
    assert values.min() > -1e-12
    assert values.max() < 2 + 1e-12
    assert (values.min() < 1e-12) == (scale == 0)


def test_a_phase_that_is_a_difference_of_numbers_of_rows_turns_rows_alone():
    W, Theta = magnetic.affinity_and_phase(P, 1.0)
    a = np.random.default_rng(0).uniform(-3, 3, 60)
    values, vectors = magnetic.lowest(magnetic.magnetic_laplacian(W, Theta), 4)
    moved = magnetic.magnetic_laplacian(W, Theta + a[:, None] - a)
    others, turned = magnetic.lowest(moved, 4)
    np.testing.assert_allclose(others, values, atol=1e-10)
    same = np.abs(np.sum(turned.conj() * np.exp(1j * a)[:, None] * vectors, axis=0))
    np.testing.assert_allclose(same, 1, atol=1e-8)


def test_vectors_have_a_real_positive_largest_entry_and_another_order_of_rows_moves_them():
    values, vectors = magnetic.lowest(operator(1.0), 3)
    np.testing.assert_allclose(operator(1.0) @ vectors, vectors * values, atol=1e-10)
    largest = vectors[np.abs(vectors).argmax(axis=0), range(3)]
    assert (largest.real > 0).all()
    np.testing.assert_allclose(largest.imag, 0, atol=1e-12)
    order = np.random.default_rng(1).permutation(60)
    again, moved = magnetic.lowest(operator(1.0, P[np.ix_(order, order)]), 3)
    np.testing.assert_allclose(again, values, atol=1e-10)
    np.testing.assert_allclose(moved, vectors[order], atol=1e-8)


def test_without_a_phase_it_is_spectral_clustering_of_the_mean_graph():
    model = MagneticPhaseAblation(3, phase_scale=0, n_neighbors=6, random_state=0).fit(XS)
    scaled = [(X - X.mean(axis=0)) / X.std(axis=0) for X in XS]
    plain = magnetic.mean_neighbours(scaled, 6)
    W = (plain + plain.T) / 2
    rows, values = spectral_embedding(W, 3)
    vectors = rows * np.sqrt(W.sum(axis=1))[:, None]
    np.testing.assert_allclose(model.eigenvalues_, 1 - values, atol=1e-10)
    np.testing.assert_allclose(model.embedding_[:, 3:], 0, atol=1e-7)
    np.testing.assert_allclose(np.abs(model.embedding_[:, :3]), np.abs(vectors), atol=1e-6)
    assert accuracy(kmeans_labels(vectors, 3, 0), model.labels_) == 1


def test_a_phase_is_read_from_the_views_and_its_sign_changes_no_cluster():
    models = [
        MagneticPhaseAblation(3, phase_scale=s, n_neighbors=6, random_state=0).fit(XS)
        for s in (0.0, 0.8, -0.8)
    ]
    assert np.abs(models[1].embedding_[:, 3:]).max() > 1e-3
    np.testing.assert_allclose(models[1].eigenvalues_, models[2].eigenvalues_)
    assert models[0].eigenvalues_[0] < 1e-10 < 1e-3 < models[1].eigenvalues_[0]
    assert accuracy(models[1].labels_, models[2].labels_) == 1
    assert accuracy(Y, models[1].labels_) > 0.9


def test_views_that_disagree_on_a_direction_cancel():
    W, Theta = magnetic.affinity_and_phase(np.array([[0, 0.5], [0.5, 0]]), 1.0)
    assert (Theta == 0).all()
    np.testing.assert_array_equal(W, [[0, 0.5], [0.5, 0]])


def test_neighbours_are_doubled_until_the_graph_has_no_more_pieces_than_clusters():
    X, y = groups(40, (3,), 4, spread=50, seed=2)
    assert len(np.unique(y)) == 4
    settings = {"n_neighbors": 4, "phase_scale": 0, "random_state": 0}
    few, more = (MagneticPhaseAblation(k, **settings).fit(X) for k in (4, 2))
    assert few.n_neighbors_ == 4
    assert more.n_neighbors_ in (8, 16, 32)
    assert accuracy(y, few.labels_) == 1


def fit_small(**changes):
    return MagneticPhaseAblation(**{"n_clusters": 3} | changes).fit(XS)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"phase_scale": (math.inf,), "n_neighbors": (0, 60)}
)
