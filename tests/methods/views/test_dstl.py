"""DSTL against a slow transcription of each step, and what the order of the rows is worth."""

from functools import partial

import numpy as np
import pytest
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib.methods.views import dstl
from mvlib.methods.views.dstl import DSTL
from mvlib.metrics import accuracy

RNG = np.random.default_rng(0)
LAMBDAS = (0.3, 0.8, 0.2)


def problem(n=60, widths=(6, 7), spread=4):
    Xs, y = groups(n, widths, 3, spread=spread)
    order = np.argsort(y, kind="stable")
    return [X[order] - X.mean(axis=0) for X in Xs], y[order]


def slow_transform(signal, inverse=False):
    """The Fourier sum, term by term: not scaled one way, by 1/N the other."""
    n, sign = len(signal), 1 if inverse else -1
    terms = [
        sum(signal[s] * np.exp(sign * 2j * np.pi * f * s / n) for s in range(n))
        for f in range(n)
    ]
    return np.array(terms) / (n if inverse else 1)


def slow_shrunk_tensor(tensor, threshold):
    """Every slice of the whole transform, the two of highest frequency twice if N is odd."""
    V, k, n = tensor.shape
    hat = np.array([[slow_transform(tensor[v, r]) for r in range(k)] for v in range(V)])
    # Counted from 1, the slices (N + 1) / 2 and (N + 3) / 2.
    twice = [(n + 1) // 2 - 1, (n + 3) // 2 - 1] if n % 2 else []
    for f in range(n):
        M = hat[:, :, f].T
        for _ in range(2 if f in twice else 1):
            left, values, right = np.linalg.svd(M, full_matrices=False)
            M = left @ np.diag([max(s - threshold, 0) for s in values]) @ right
        hat[:, :, f] = M.T
    back = [[slow_transform(hat[v, r], inverse=True) for r in range(k)] for v in range(V)]
    return np.array(back)


@pytest.mark.parametrize("n", [8, 9])
def test_slices_of_the_fourier_transform_along_the_samples_are_shrunk(n):
    tensor = RNG.normal(size=(2, 3, n))
    slow = slow_shrunk_tensor(tensor, 0.9)
    assert np.abs(slow.imag).max() < 1e-12
    np.testing.assert_allclose(dstl.shrunk_tensor(tensor, 0.9), slow.real, atol=1e-12)
    hat = np.fft.fft(tensor, axis=2)
    sums = [np.linalg.svd(hat[:, :, f], compute_uv=False).sum() for f in range(n)]
    assert dstl.nuclear_norm(tensor) == pytest.approx(sum(sums) / n)


def test_each_column_goes_to_the_nearest_point_of_the_simplex():
    columns = RNG.normal(size=(4, 30))
    found = dstl.simplex(columns)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=0), 1)
    # The nearest point has no smaller distance beside it, in the direction of any corner.
    for corner in np.eye(4):
        step = corner[:, None] - found
        assert ((step * (columns - found)).sum(axis=0) <= 1e-12).all()


def test_orthonormal_columns_and_the_start_from_zeros():
    M = RNG.normal(size=(6, 3))
    found = dstl.polar(M)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-12)
    values, vectors = np.linalg.eigh(M.T @ M)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    np.testing.assert_allclose(found, M @ root, atol=1e-10)
    np.testing.assert_array_equal(dstl.polar(np.zeros((5, 2))), np.eye(5)[:, :2])


def slow_fit(Xs, k, lambdas, max_iter):
    """Every iteration by the steps' words, and the objective after each."""
    l1, l2, l3 = lambdas
    n, V = len(Xs[0]), len(Xs)
    Xs = [np.array([row / np.linalg.norm(row) for row in X]).T for X in Xs]
    H, S = [np.zeros((k, n)) for _ in Xs], [np.zeros((k, n)) for _ in Xs]
    Y, objective = np.zeros((k, n)), []
    for iteration in range(1, max_iter + 1):
        before = Y
        W = [dstl.polar(Xs[v] @ (H[v] + S[v]).T) for v in range(V)]
        C = [dstl.polar(H[v] @ Y.T) for v in range(V)]
        for v in range(V):
            S[v] = np.array(
                [
                    [np.sign(a) * max(abs(a) - l1 / 2, 0) for a in row]
                    for row in W[v].T @ Xs[v] - H[v]
                ]
            )
        target = [((W[v].T @ Xs[v] - S[v]) + l3 * C[v] @ Y) / (1 + l3) for v in range(V)]
        H = list(slow_shrunk_tensor(np.array(target), l2 / (2 * (1 + l3))).real)
        Y = dstl.simplex(sum(C[v].T @ H[v] for v in range(V)))
        loss = l2 * dstl.nuclear_norm(np.array(H))
        for v in range(V):
            loss += ((Xs[v] - W[v] @ (H[v] + S[v])) ** 2).sum() + l1 * np.abs(S[v]).sum()
            loss += l3 * ((H[v] - C[v] @ Y) ** 2).sum()
        objective.append(loss)
        if iteration > 1 and ((Y - before) ** 2).sum() / (Y**2).sum() < 1e-4:
            break
    return Y, objective


@pytest.mark.parametrize("n", [20, 21])
def test_a_fit_is_that_of_the_transcription(n):
    Xs = [X[::3][:n] for X in problem(70, widths=(6, 7, 4))[0]]
    given = dict(zip(("lambda1", "lambda2", "lambda3"), LAMBDAS, strict=True))
    model = DSTL(3, **given, order="given", max_iter=6, random_state=0).fit(Xs)
    Y, objective = slow_fit([X.astype(np.float64) for X in Xs], 3, LAMBDAS, 6)
    np.testing.assert_allclose(model.history_["objective"], objective, rtol=1e-5)
    expected = (Y / np.linalg.norm(Y, axis=0)).T
    np.testing.assert_allclose(model.embedding_, expected, atol=1e-4)


def test_the_steps_of_projections_noise_and_tensor_never_raise_the_objective():
    """That of Y may, since the views' sum is projected where the mean is the minimiser."""
    X, lambdas = [RNG.normal(size=(6, 20)), RNG.normal(size=(5, 20))], LAMBDAS
    H, S = RNG.normal(size=(2, 3, 20)), RNG.normal(size=(2, 3, 20))
    Y = dstl.simplex(RNG.normal(size=(3, 20)))
    W, C = [np.eye(6)[:, :3], np.eye(5)[:, :3]], [np.eye(3)] * 2
    losses = [dstl.total_loss(X, W, C, S, H, Y, lambdas)]
    for _ in range(3):
        W = [dstl.polar(X[v] @ (H[v] + S[v]).T) for v in range(2)]
        losses.append(dstl.total_loss(X, W, C, S, H, Y, lambdas))
        C = [dstl.polar(H[v] @ Y.T) for v in range(2)]
        losses.append(dstl.total_loss(X, W, C, S, H, Y, lambdas))
        projected = np.stack([W[v].T @ X[v] for v in range(2)])
        S = dstl.shrunk(projected - H, lambdas[0] / 2)
        losses.append(dstl.total_loss(X, W, C, S, H, Y, lambdas))
        shared = np.stack([lambdas[2] * C[v] @ Y for v in range(2)])
        target = (projected - S + shared) / (1 + lambdas[2])
        H = dstl.shrunk_tensor(target, lambdas[1] / (2 * (1 + lambdas[2])))
        losses.append(dstl.total_loss(X, W, C, S, H, Y, lambdas))
    assert (np.diff(losses) <= 1e-9).all()


def test_turning_the_order_round_changes_nothing_and_shuffling_does():
    Xs, _ = problem(spread=0.9)
    settings = {"lambda2": 3.0, "random_state": 0}
    plain = DSTL(3, order="given", **settings).fit(Xs).embedding_
    turned = DSTL(3, order="given", **settings).fit([np.roll(X, 17, axis=0) for X in Xs])
    np.testing.assert_allclose(np.roll(turned.embedding_, -17, axis=0), plain, atol=1e-4)
    shuffled = DSTL(3, **settings).fit(Xs).embedding_
    assert np.abs(shuffled - plain).max() > 0.1
    rows = np.random.default_rng(0).permutation(60)
    as_given = DSTL(3, order="given", **settings).fit([X[rows] for X in Xs]).embedding_
    np.testing.assert_array_equal(shuffled[rows], as_given)


def test_a_file_sorted_by_class_gives_its_classes_away():
    Xs, y = problem(150, spread=0.9)
    given = DSTL(3, order="given", lambda2=15, random_state=0).fit_predict(Xs)
    shuffled = [DSTL(3, lambda2=15, random_state=s).fit_predict(Xs) for s in range(3)]
    assert accuracy(y, given) > 0.95
    assert max(accuracy(y, labels) for labels in shuffled) < 0.85


def test_defaults_are_those_of_the_authors_script():
    expected = {"lambda1": 1.0, "lambda2": 5.0, "lambda3": 1e-4, "max_iter": 21}
    assert expected.items() <= DSTL(3).get_params().items()


XS, _ = problem()


def fit_small(Xs=XS, **changes):
    return DSTL(**{"n_clusters": 3} | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"lambda1": (-1,), "lambda2": (-1,), "lambda3": ("a",), "max_iter": (0,)}
)
test_an_unknown_order_is_refused = refused(
    [("order='sorted' is unknown", partial(fit_small, order="sorted"))]
)
