"""DSSC against slow transcriptions: ridges, projections in turn, ADMM entry by entry."""

from functools import partial

import numpy as np
import pytest
from refusals import out_of_range, refused

from mvlib.methods.images import dssc
from mvlib.methods.images.dssc import ADSSC, JDSSC, ADSSCViews
from mvlib.metrics import accuracy
from mvlib.ops import unit_rows


def subspaces(k=3, size=14, dim=2, width=8, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(k), size)
    bases = rng.normal(size=(k, dim, width))
    rows = np.stack([rng.normal(size=dim) @ bases[c] for c in y])
    return unit_rows(rows + noise * rng.normal(size=rows.shape)), y


X, Y = subspaces()
SMALL = unit_rows(np.random.default_rng(2).normal(size=(6, 4)))


@pytest.mark.parametrize("eta1", [0.1, 10.0])
def test_each_column_is_the_ridge_of_a_row_on_the_others(eta1):
    Q = dssc.least_squares(X, eta1)
    for j in range(len(X)):
        others = [i for i in range(len(X)) if i != j]
        gram = X[others] @ X[others].T + eta1 * np.eye(len(others))
        np.testing.assert_allclose(Q[others, j], np.linalg.solve(gram, X[others] @ X[j]))
        assert Q[j, j] == 0
    assert np.abs(Q - Q.T).max() > 1e-3


def slow_projection(target, rounds=4000):
    """Dykstra's projections, in turn on sums of one and on numbers that are not negative."""
    n, A, off = len(target), target, np.zeros_like(target)
    for _ in range(rounds):
        rows, columns, total = A.sum(axis=1) - 1, A.sum(axis=0) - 1, A.sum() - n
        A = A - rows[:, None] / n - columns / n + total / n**2
        A, off = np.maximum(A + off, 0), np.minimum(A + off, 0)
    return A


@pytest.mark.parametrize("eta2", [0.01, 0.1, 1.0])
def test_the_fit_is_the_nearest_doubly_stochastic_matrix(eta2):
    """-<K, A> + eta2/2 |A|^2 is, but for a constant, the distance to K / eta2."""
    K = np.abs(dssc.least_squares(X, 1.0))
    A = dssc.doubly_stochastic(K, eta2)
    # In rows and in columns: one dual vector alone would give only the sum of both.
    np.testing.assert_allclose(A.sum(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(A.sum(axis=1), 1, atol=1e-4)
    assert A.min() == 0
    if eta2 >= 0.1:
        np.testing.assert_allclose(A, slow_projection(K / eta2), atol=2e-3)


def test_the_weight_is_the_smallest_of_the_list_that_joins_enough():
    K = np.abs(dssc.least_squares(X, 1.0))
    entries = [(dssc.doubly_stochastic(K, w) > 1e-6).sum() / len(X) for w in dssc.WEIGHTS]
    A, weight = dssc.fitted_graph(X, 1.0, None, 8)
    assert weight == next(w for w, e in zip(dssc.WEIGHTS, entries, strict=True) if e >= 8)
    assert weight > dssc.WEIGHTS[0]
    np.testing.assert_array_equal(A, A.T)
    assert dssc.fitted_graph(X, 1.0, 0.3, 8)[1] == 0.3


def slow_joint(X, eta1, eta2, eta3, steps):
    """Every step of the ADMM, entry by entry, as the sheet of the code has it."""
    n, d = X.shape
    D = np.linalg.inv(X @ X.T + eta1 * np.eye(n))
    Q = np.array([[-D[i, j] / D[j, j] if i != j else 0 for j in range(n)] for i in range(n)])
    P, N = np.where(Q > 0, Q, 0), np.where(Q < 0, -Q, 0)
    C = A = (1 - np.eye(n)) / (n - 1)
    Xc, Z, L2, L1 = X.T, np.zeros((d, n)), np.zeros((d, n)), np.zeros((n, n))
    l1, l2 = np.zeros(n), np.zeros(n)
    g1, g2, rho, t = eta1**0.5, eta1**0.5 * eta2, 0.5, 1e-4
    for _ in range(steps):
        G = rho * Xc.T @ (Xc @ (P - N) - Z) - Xc.T @ L2
        P1, N1 = np.zeros((n, n)), np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    up = (P[i, j] - t * G[i, j]) / t - g1**2 * N[i, j] + g1 * g2 * C[i, j]
                    P1[i, j] = max((up - eta3) / (g1**2 + 1 / t), 0)
                    up = (N[i, j] + t * G[i, j]) / t - g1**2 * P[i, j] + g1 * g2 * C[i, j]
                    N1[i, j] = max((up - eta3) / (g1**2 + 1 / t), 0)
        P, N = P1, N1
        C = np.array(
            [
                [
                    max(
                        (g1 * g2 * (P[i, j] + N[i, j]) + rho * A[i, j] + L1[i, j])
                        / (rho + g2**2),
                        0,
                    )
                    for j in range(n)
                ]
                for i in range(n)
            ]
        )
        # The minimum over A, of the augmented terms that hold it.
        M = np.zeros((n * n, n * n))
        b = np.zeros(n * n)
        for i in range(n):
            for j in range(n):
                for m in range(n):
                    M[i * n + j, i * n + m] += rho
                    M[i * n + j, m * n + j] += rho
                M[i * n + j, i * n + j] += rho
                b[i * n + j] = rho * C[i, j] + 2 * rho - l1[j] - l2[i] - L1[i, j]
        A = np.linalg.solve(M, b).reshape(n, n)
        Z = (Xc - L2 + rho * Xc @ (P - N)) / (1 + rho)
        l1 = l1 + rho * (A.sum(axis=0) - 1)
        l2 = l2 + rho * (A.sum(axis=1) - 1)
        L1 = L1 + rho * (A - C)
        L2 = L2 + rho * (Z - Xc @ (P - N))
    return P, N, C


@pytest.mark.parametrize("eta3", [0.0, 0.05])
def test_the_joint_steps_are_those_of_the_transcription(eta3):
    found = dssc.joint(SMALL, 0.25, 0.1, eta3, 4)
    for a, b in zip(found, slow_joint(SMALL, 0.25, 0.1, eta3, 4), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_the_joint_steps_meet_the_constraints_and_go_on_after_the_codes_end():
    some = X[::2]

    def lowered(P, N, C):
        rest = np.square(some - (P - N).T @ some).sum()
        return rest / 2 + 0.25 / 2 * np.square(P + N - 0.1 * C).sum()

    found = [dssc.joint(some, 0.25, 0.1, 0.0, steps) for steps in (2000, 4000)]
    for side in (0, 1):
        np.testing.assert_allclose(found[0][2].sum(axis=side), 1, atol=1e-3)
    assert lowered(*found[1]) < (1 - 1e-4) * lowered(*found[0])


@pytest.mark.parametrize("method", [ADSSC, JDSSC, ADSSCViews])
def test_planted_subspaces_are_found_in_any_order_of_the_rows(method):
    def fitted(rows):
        model = method(3, eta1=0.1, eta2=0.1, random_state=0)
        return model.fit([X[rows], -X[rows]] if method is ADSSCViews else X[rows])

    model = fitted(np.arange(len(X)))
    assert accuracy(Y, model.labels_) > 0.9
    rows = np.random.default_rng(0).permutation(len(X))
    again = fitted(rows).affinity_
    np.testing.assert_allclose(again, model.affinity_[rows][:, rows], atol=1e-3)


def test_the_graph_of_views_is_the_mean_of_theirs():
    Xs = [X, subspaces(seed=5)[0]]
    model = ADSSCViews(3, eta2=0.05, random_state=0).fit(Xs)
    alone = [ADSSC(3, eta2=0.05, random_state=0).fit(view).affinity_ for view in Xs]
    np.testing.assert_allclose(model.affinity_, (alone[0] + alone[1]) / 2, atol=1e-6)


def fit_small(method=ADSSC, rows=X, **changes):
    return method(3, **changes).fit(rows)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"eta1": (0,), "eta2": (0, "a"), "n_neighbors": (0,)}
)
test_one_of_the_joint_method_too = out_of_range(
    partial(fit_small, JDSSC), {"eta2": (0, None), "eta3": (-1,), "max_iter": (0,)}
)
test_an_image_without_features_is_refused = refused(
    [
        (
            "images is all zero in row 3",
            partial(fit_small, rows=X * (np.arange(42) != 3)[:, None]),
        )
    ]
)
