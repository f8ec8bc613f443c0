"""SSC-OMP and EnSC against slow transcriptions, and on planted subspaces."""

from functools import partial

import numpy as np
import pytest
from refusals import out_of_range, refused

from mvlib.methods.images import subspace
from mvlib.methods.images.subspace import SSCOMP, EnSC
from mvlib.metrics import accuracy
from mvlib.ops import unit_rows


def planted(k=3, size=12, dim=2, width=9, seed=0):
    """Return unit rows of k subspaces, and whose each is; orthogonal where they fit."""
    rng = np.random.default_rng(seed)
    bases = np.linalg.qr(rng.normal(size=(width, width)))[0][: k * dim].reshape(k, dim, width)
    y = np.repeat(np.arange(k), size)
    rows = np.stack([rng.normal(size=dim) @ bases[c] for c in y])
    return unit_rows(rows), y


def noisy(n=25, width=7, seed=1):
    return unit_rows(np.random.default_rng(seed).normal(size=(n, width)))


def slow_pursuit(X, n_nonzero, tolerance):
    C = np.zeros((len(X), len(X)))
    for i, x in enumerate(X):
        support, residual = [], x
        for _ in range(n_nonzero):
            others = [j for j in range(len(X)) if j != i and j not in support]
            support.append(max(others, key=lambda j: abs(residual @ X[j])))
            weights = np.linalg.lstsq(X[support].T, x, rcond=None)[0]
            residual = x - weights @ X[support]
            C[i] = 0
            C[i, support] = weights
            if residual @ residual < tolerance:
                break
    return C


@pytest.mark.parametrize("n_nonzero", [1, 4, 10])
def test_pursuit_is_that_of_the_transcription(n_nonzero, monkeypatch):
    monkeypatch.setattr(subspace, "BLOCK", 9)
    X = noisy()
    found = subspace.pursuit(X, n_nonzero, 1e-6).toarray()
    np.testing.assert_allclose(found, slow_pursuit(X, n_nonzero, 1e-6), atol=1e-8)
    assert (np.diag(found) == 0).all()
    assert ((found != 0).sum(axis=1) <= n_nonzero).all()


def test_a_row_stops_being_coded_once_little_of_it_is_left():
    X, _ = planted()
    # Two others of its plane give a row wholly.
    assert (np.diff(subspace.pursuit(X, 8, 1e-6).indptr) == 8).all()
    assert ((subspace.pursuit(X, 8, 1e-6).toarray() != 0).sum(axis=1) == 2).all()
    left = [
        np.square(X - subspace.pursuit(noisy(), q, 0.0).toarray() @ X).sum(axis=1)
        for X in [noisy()]
        for q in (1, 2, 3, 4)
    ]
    assert (np.diff(left, axis=0) <= 1e-12).all()


def slow_elastic_net(X, i, alpha, tau, rounds=4000):
    """Proximal gradient on the whole problem, with no active set."""
    c, step = np.zeros(len(X)), 1 / (np.linalg.norm(X, 2) ** 2 + alpha)
    for _ in range(rounds):
        slope = -X @ (X[i] - c @ X) + alpha * (1 - tau) * c
        c = c - step * slope
        c = np.sign(c) * np.maximum(np.abs(c) - step * alpha * tau, 0)
        c[i] = 0
    return c


@pytest.mark.parametrize(("tau", "n_active"), [(0.9, 6), (0.9, 100), (0.5, 8), (1.0, 5)])
def test_the_elastic_net_is_the_minimum_over_all_rows(tau, n_active):
    X = noisy()
    for i in (0, 7):
        alpha = np.abs(np.delete(X @ X[i], i)).max() / (tau * 20)
        found = subspace.elastic_net(X, i, alpha, tau, n_active)
        np.testing.assert_allclose(found, slow_elastic_net(X, i, alpha, tau), atol=1e-4)
        assert found[i] == 0
        # Off the support no row is nearer to what is left than the penalty allows.
        oracle = np.abs(X @ (X[i] - found @ X))
        off = (found == 0) & (np.arange(len(X)) != i)
        assert (oracle[off] <= alpha * tau * (1 + 1e-6)).all()


def test_the_penalty_follows_the_nearest_other_and_the_largest_are_kept():
    X = noisy(14)
    model = EnSC(3, gamma=20, n_kept=2, random_state=0).fit(X)
    whole = EnSC(3, gamma=20, random_state=0).fit(X).coefficients_.toarray()
    kept = model.coefficients_.toarray()
    X = unit_rows(X.astype(np.float32).astype(np.float64))
    for i in (0, 5, 13):
        alpha = max(abs(X[i] @ X[j]) for j in range(len(X)) if j != i) / (0.9 * 20)
        slow = slow_elastic_net(X, i, alpha, 0.9)
        np.testing.assert_allclose(whole[i], slow, atol=1e-4)
        largest = sorted(range(len(X)), key=lambda j: -abs(whole[i, j]))[:2]
        assert set(np.flatnonzero(kept[i])) <= set(largest)


def test_the_graph_and_its_eigenvectors_are_those_of_the_transcription():
    X = noisy(12)
    C = subspace.pursuit(X, 3, 1e-6)
    full = C.toarray()
    A = np.zeros((12, 12))
    for i in range(12):
        for j in range(12):
            one = abs(full[i, j]) / np.linalg.norm(full[i])
            two = abs(full[j, i]) / np.linalg.norm(full[j])
            A[i, j] = (one + two) / 2
    np.testing.assert_allclose(subspace.affinity(C), A)
    A = A + 0.2 * np.eye(12)
    degrees = [sum(row) + 1e-8 for row in A]
    laplacian = np.eye(12) - [
        [A[i, j] / np.sqrt(degrees[i] * degrees[j]) for j in range(12)] for i in range(12)
    ]
    vectors = np.linalg.eigh(laplacian)[1][:, :3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = subspace.spectral_rows(A, 3)
    np.testing.assert_allclose(found @ found.T, vectors @ vectors.T, atol=1e-6)


@pytest.mark.parametrize("method", [SSCOMP, EnSC])
def test_orthogonal_subspaces_code_themselves_and_rows_may_come_in_any_order(method):
    X, y = planted(size=15, dim=3)
    model = method(3, random_state=0).fit(X)
    C = np.abs(model.coefficients_.toarray())
    assert C[y[:, None] != y].max() < 1e-6
    assert accuracy(y, model.labels_) == 1
    rows = np.random.default_rng(0).permutation(len(y))
    again = method(3, random_state=0).fit(X[rows])
    np.testing.assert_allclose(
        np.abs(again.coefficients_.toarray()), C[rows][:, rows], atol=1e-5
    )


def test_defaults_are_those_of_the_authors_code():
    assert {"n_nonzero": 10, "tolerance": 1e-6}.items() <= SSCOMP().get_params().items()
    expected = {"gamma": 200.0, "tau": 0.9, "n_active": 100, "n_kept": 50}
    assert expected.items() <= EnSC().get_params().items()


def fit_small(method=SSCOMP, X=None, **changes):
    return method(3, **changes).fit(noisy() if X is None else X)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"n_nonzero": (0, 2.5), "tolerance": (-1,)}
)
test_one_of_the_elastic_net_too = out_of_range(
    partial(fit_small, EnSC), {"gamma": (0,), "tau": (0, 1.5), "n_active": (4,), "n_kept": (0,)}
)
test_an_image_without_features_is_refused = refused(
    [("images is all zero in row 0", partial(fit_small, X=np.r_[np.zeros((1, 7)), noisy()]))]
)
