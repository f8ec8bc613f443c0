"""Ensembles against slow transcriptions of weights and cut, and what leaves them unchanged."""

import math
from functools import partial

import numpy as np
import pytest
from problem_stand_ins import groups
from refusals import out_of_range, refused

from mvlib.methods.images import ensemble
from mvlib.methods.images.ensemble import ImageEnsemble, ViewEnsemble
from mvlib.metrics import accuracy

RNG = np.random.default_rng(0)
BASES = [RNG.integers(0, k, 40) for k in (3, 4, 5)]
VIEWS, Y = groups(90, (6, 7), 3, spread=3)


def slow_weights(bases, theta):
    weights = []
    for mine in bases:
        for cluster in sorted(set(mine)):
            rows = [i for i in range(len(mine)) if mine[i] == cluster]
            entropy = 0
            for other in bases:
                for j in set(other):
                    share = sum(other[i] == j for i in rows) / len(rows)
                    entropy -= share * math.log2(share) if share else 0
            weights.append(math.exp(-entropy / (theta * len(bases))))
    return weights


@pytest.mark.parametrize("theta", [0.4, 2.0])
def test_clusters_weigh_by_the_entropy_that_the_others_see_in_them(theta):
    found = ensemble.cluster_weights(ensemble.memberships(BASES), theta)
    np.testing.assert_allclose(found, slow_weights(BASES, theta))
    assert ((found > 0) & (found <= 1)).all()


def slow_cut(bases, weights, k):
    """The eigenproblem of the whole graph of rows and clusters, not of the clusters alone."""
    columns = [(base == c).astype(float) for base in bases for c in sorted(set(base))]
    B = np.array(columns).T * weights
    n, m = B.shape
    whole = np.block([[np.zeros((n, n)), B], [B.T, np.zeros((m, m))]])
    scale = 1 / np.sqrt(whole.sum(axis=1))
    values, vectors = np.linalg.eigh(scale[:, None] * whole * scale)
    # Carried over from the clusters, an eigenvector is longer by its eigenvalue.
    rows = (scale[:, None] * vectors * values)[:n, ::-1][:, :k]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), values[::-1][:k]


@pytest.mark.parametrize("weights", ["entropy", "equal"])
def test_the_small_cut_is_that_of_the_whole_graph(weights):
    members = ensemble.memberships(BASES)
    by_cluster = ensemble.cluster_weights(members, 0.4) if weights == "entropy" else 1.0
    slow, _ = slow_cut(BASES, by_cluster, 3)
    found = ensemble.consensus(BASES, 3, weights, 0.4)
    np.testing.assert_allclose(found @ found.T, slow @ slow.T, atol=1e-6)


def test_equal_bases_agree_wholly_and_give_back_their_clusters():
    y = np.repeat([0, 1, 2], 10)
    members = ensemble.memberships([y] * 4)
    np.testing.assert_allclose(ensemble.cluster_weights(members, 0.4), 1)
    B = ensemble.sparse.hstack(members).tocsr()
    U, values = ensemble.transfer_cut(B, 4)
    np.testing.assert_allclose(values, [1, 1, 1, 0], atol=1e-9)
    inner = U[:, :3] @ U[:, :3].T
    np.testing.assert_allclose(inner, y[:, None] == y, atol=1e-6)


def test_neither_the_order_of_bases_nor_their_numbers_count():
    plain = ensemble.consensus(BASES, 3, "entropy", 0.4)
    moved = [7 - BASES[2], BASES[0] * 5, BASES[1]]
    again = ensemble.consensus(moved, 3, "entropy", 0.4)
    np.testing.assert_allclose(plain @ plain.T, again @ again.T, atol=1e-8)


def test_bases_take_the_features_in_turn_and_from_k_to_three_k_clusters():
    wide = RNG.normal(size=(200, 5)).astype(np.float32)
    other = RNG.normal(size=(200, 3)).astype(np.float32)
    both = ensemble.drawn_bases([wide, other], 8, 4, True, "cpu", 3)
    alone = ensemble.drawn_bases([wide], 8, 4, True, "cpu", 3)
    same = [bool((a == b).all()) for a, b in zip(both, alone, strict=True)]
    assert same == [True, False] * 4
    sizes = {
        len(np.unique(base)) for base in ensemble.drawn_bases([wide], 60, 4, True, "cpu", 0)
    }
    assert sizes == set(range(4, 13))


@pytest.mark.parametrize("weights", ["entropy", "equal"])
def test_groups_are_found_in_views_and_in_features_beside_the_images(weights):
    views = ViewEnsemble(3, weights=weights, random_state=0).fit(VIEWS)
    assert accuracy(Y, views.labels_) > 0.95
    images = ImageEnsemble(3, weights=weights, n_bases=6, random_state=0)
    assert accuracy(Y, images.fit(VIEWS[0], [VIEWS[1]]).labels_) > 0.95
    assert images.bases_.shape == (6, 90)
    # Words that are not a list of features of the images are not read.
    bank = RNG.normal(size=(20, 6))
    plain = ImageEnsemble(3, random_state=0).fit(VIEWS[0]).labels_
    assert (ImageEnsemble(3, random_state=0).fit(VIEWS[0], bank).labels_ == plain).all()


def fit_small(method=ViewEnsemble, **changes):
    return method(3, **changes).fit(VIEWS)


test_a_parameter_out_of_range_is_refused_by_its_name = out_of_range(
    fit_small, {"n_bases": (0,), "theta": (0,)}
)
test_what_does_not_fit_is_refused = refused(
    [
        ("weights='even' is unknown", partial(fit_small, weights="even")),
        (
            r"texts\[1\] has 50 rows: expected 90",
            lambda: ImageEnsemble(3).fit(VIEWS[0], [VIEWS[1], VIEWS[1][:50]]),
        ),
    ]
)
