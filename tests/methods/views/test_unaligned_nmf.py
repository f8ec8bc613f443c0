"""Unaligned joint NMF against slow transcriptions: updates, matching, what must fall."""

import itertools
from functools import partial

import numpy as np
import pytest
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib import data
from mvlib.methods.views import unaligned_nmf as nmf
from mvlib.methods.views.unaligned_nmf import UnalignedNMF
from mvlib.metrics import accuracy

SMALL = {
    "matching_rounds": 2, "consensus_rounds": 3, "update_rounds": 5, "n_init": 3,
    "random_state": 0,
}  # fmt: skip


def problem_of(n=40, ratio=0.5, widths=(6, 7)):
    Xs, y = groups(n, widths, 3, spread=4)
    return data.misalign(data.min_max_scale(Xs), y, ratio, protocol="classwise")


@pytest.fixture(scope="module")
def problem():
    return problem_of()


@pytest.fixture(scope="module")
def fitted(problem):
    return UnalignedNMF(3, **SMALL).fit(problem.Xs, aligned=problem.aligned)


def matrices(seed=0, d=4, n=5, rank=2):
    rng = np.random.default_rng(seed)
    return [rng.random(shape) for shape in ((d, n), (d, rank), (n, rank), (n, rank))]


def slow_update(X, U, V, C, alpha):
    """One round, entry by entry, as the source has it."""
    (d, n), rank = X.shape, U.shape[1]
    new_V = np.empty_like(V)
    for i in range(n):
        for k in range(rank):
            top = sum(X[f, i] * U[f, k] for f in range(d)) + alpha * C[i, k]
            product = sum(
                V[i, j] * sum(U[f, j] * U[f, k] for f in range(d)) for j in range(rank)
            )
            new_V[i, k] = V[i, k] * top / (product + alpha * V[i, k])
    V, new_U = new_V, np.empty_like(U)
    for f in range(d):
        for k in range(rank):
            top = sum(X[f, i] * V[i, k] for i in range(n))
            top += alpha * sum(V[i, k] * C[i, k] for i in range(n))
            product = sum(
                U[f, j] * sum(V[i, j] * V[i, k] for i in range(n)) for j in range(rank)
            )
            size = sum(V[i, k] ** 2 for i in range(n)) * sum(U[g, k] for g in range(d))
            new_U[f, k] = U[f, k] * top / (product + alpha * size)
    sums = [sum(new_U[:, k]) for k in range(rank)]
    return new_U / sums, V * sums


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.5])
def test_updates_are_those_of_the_transcription(alpha):
    X, U, V, C = matrices()
    found = nmf.updated(X, U, V, C, alpha, 3)
    for _ in range(3):
        U, V = slow_update(X, U, V, C, alpha)
    np.testing.assert_allclose(found[0], U)
    np.testing.assert_allclose(found[1], V)
    np.testing.assert_allclose(found[0].sum(axis=0), 1)


def test_the_loss_is_that_of_the_transcription():
    X, U, V, C = matrices()
    slow = sum(
        (X[f, i] - sum(U[f, k] * V[i, k] for k in range(2))) ** 2
        for f in range(4)
        for i in range(5)
    ) + 0.3 * sum((V[i, k] - C[i, k]) ** 2 for i in range(5) for k in range(2))
    assert nmf.total_loss([X], [U], [V], C, 0.3) == pytest.approx(slow)
    assert nmf.total_loss([X, X], [U, U], [V, V], C, 0.3) == pytest.approx(2 * slow)


def test_loose_rows_are_matched_at_the_largest_sum_of_similarities():
    rng = np.random.default_rng(1)
    A, B = rng.random((2, 7, 3))
    loose = np.array([0, 2, 3, 5, 6])
    found = nmf.rematched(A, B, loose, 1.0)
    G = np.array([[np.exp(-((A[i] - B[j]) ** 2).sum() / 2) for j in loose] for i in loose])
    best = max(itertools.permutations(range(5)), key=lambda p: G[range(5), p].sum())
    assert found[loose].tolist() == loose[list(best)].tolist()
    assert found[[1, 4]].tolist() == [1, 4]
    assert nmf.rematched(A, B, loose[:0], 1.0).tolist() == list(range(7))


def test_the_best_of_thirty_starts_goes_on(monkeypatch):
    X, *_ = matrices(d=6, n=9)
    calls, updated = [], nmf.updated

    def noted(X, U, V, C, alpha, n_rounds):
        found = updated(X, U, V, C, alpha, n_rounds)
        calls.append((n_rounds, np.square(X - found[0] @ found[1].T).sum(), U, found[0]))
        return found

    monkeypatch.setattr(nmf, "updated", noted)
    nmf.factorised(X, None, 2, 30, 200, np.random.default_rng(0))
    assert [call[0] for call in calls] == [50] * 30 + [200]
    best = min(calls[:30], key=lambda call: call[1])
    np.testing.assert_array_equal(calls[30][2], best[3])
    assert calls[30][1] <= best[1]
    V = np.random.default_rng(1).random((9, 2))
    starts = []
    monkeypatch.setattr(nmf, "updated", lambda X, U, V, *more: starts.append(V) or (U, V))
    nmf.factorised(X, V, 2, 30, 200, np.random.default_rng(0))
    assert all(start is V for start in starts)


@pytest.mark.parametrize("widths", [(6, 7), (6, 7, 5)])
def test_the_loss_falls_between_matchings_which_permute_loose_rows_only(widths):
    problem = problem_of(widths=widths)
    model = UnalignedNMF(3, **SMALL | {"consensus_rounds": 6}).fit(
        problem.Xs, aligned=problem.aligned
    )
    for part in np.split(model.history_["loss"], 2):
        assert (np.diff(part) <= 1e-12).all()
    assert model.matching_.shape == (40, len(widths))
    assert model.matching_[:, 0].tolist() == list(range(40))
    known = np.flatnonzero(problem.aligned)
    for rows in model.matching_.T:
        assert sorted(rows) == list(range(40))
        assert rows[known].tolist() == known.tolist()


def test_aligned_rows_are_never_moved_and_no_label_is_read(problem, fitted):
    whole = UnalignedNMF(3, **SMALL).fit(problem.Xs)
    assert (whole.matching_ == np.arange(40)[:, None]).all()
    again = UnalignedNMF(3, **SMALL).fit(problem.Xs, np.zeros(40), aligned=problem.aligned)
    np.testing.assert_array_equal(again.embedding_, fitted.embedding_)
    # A view is divided by its total sum, so that its scale does not count.
    scaled = UnalignedNMF(3, **SMALL).fit([4 * X for X in problem.Xs], aligned=problem.aligned)
    np.testing.assert_allclose(scaled.embedding_, fitted.embedding_, rtol=1e-4)


def test_defaults_are_the_authors_settings_and_it_clusters():
    defaults = {
        "alpha": 0.01, "bandwidth": 1.0, "matching_rounds": 5, "consensus_rounds": 30,
        "update_rounds": 200, "n_init": 30,
    }  # fmt: skip
    assert defaults.items() <= UnalignedNMF(3).get_params().items()
    problem = problem_of(90, ratio=1)
    model = UnalignedNMF(3, **SMALL | {"update_rounds": 60})
    assert accuracy(problem.y, model.fit_predict(problem.Xs)) > 0.9


XS = problem_of().Xs


def fit_small(Xs=XS, **changes):
    return UnalignedNMF(**{"n_clusters": 3} | SMALL | changes).fit(Xs)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small,
    {
        "alpha": (-1,), "bandwidth": (0,), "matching_rounds": (0,), "consensus_rounds": (0,),
        "update_rounds": (0,), "n_clusters": (0,), "n_init": (0,),
    },
)  # fmt: skip
test_views_that_do_not_fit_are_refused = refused(
    [
        (r"Xs\[1\] goes from -0.5", partial(fit_small, [XS[0], XS[1] - 0.5])),
        (r"Xs\[0\] goes from 0.0 to 0.0", partial(fit_small, [0 * XS[0], XS[1]])),
        ("Xs has 1 views", partial(fit_small, XS[:1])),
    ]
)


@pytest.mark.parametrize("bandwidth", [0.25, 1.0, 3.0])
def test_matching_takes_the_most_of_a_kernel_of_its_bandwidth(bandwidth):
    rng = np.random.default_rng(0)
    V_1, V = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    near = np.exp(-np.square(V_1[:, None] - V[None]).sum(axis=2) / (2 * bandwidth**2))
    orders = np.array(list(itertools.permutations(range(6))))
    best = orders[near[np.arange(6), orders].sum(axis=1).argmax()]
    found = nmf.rematched(V_1, V, np.arange(6), bandwidth)
    np.testing.assert_array_equal(found, best)
