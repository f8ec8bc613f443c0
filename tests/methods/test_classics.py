"""The classics of alignment: what each recovers, what it does not read, what it refuses."""

from functools import partial

import numpy as np
import pytest
from refusals import refused
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group
from sklearn.cross_decomposition import CCA as IterativeCCA

from mvlib.methods import CCA, Chance, GromovWasserstein, Procrustes
from mvlib.methods.classics import _whitening
from mvlib.metrics import retrieval_scores
from mvlib.ops.kmeans import cosine_kmeans

EVERY = (CCA, Procrustes, GromovWasserstein, Chance)


def skewed(n=60, d=4, seed=0):
    """A cloud without symmetries, whose distances tell each point."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, d)) ** 1.5 * np.arange(1, d + 1)


def rotated(n=60, d=4, seed=0):
    X = skewed(n, d, seed)
    return X, X @ ortho_group.rvs(d, random_state=1) + 3


def recall(model, Xs):
    return retrieval_scores(*model.transform(Xs))["first_to_second"]["r@1"]


def test_procrustes_finds_the_rotation_from_some_pairs_and_applies_it_to_the_rest():
    Xs = rotated()
    model = Procrustes(n_components=4).fit(Xs, pairs=np.stack([np.arange(10)] * 2, 1))
    assert recall(model, Xs) == 1
    assert np.allclose(model.rotation_ @ model.rotation_.T, np.eye(4))
    A, B = model.embeddings_
    residual = orthogonal_procrustes(B[:10], A[:10])[0]
    assert np.allclose(residual, np.eye(4), atol=1e-5)


def test_more_columns_than_rows_are_mapped_as_the_covariance_says():
    rng = np.random.default_rng(0)
    X, Y = (rng.normal(size=(12, d)) for d in (30, 40))
    pairs = np.stack([np.arange(12)] * 2, 1)
    # The covariance, which is made up to as many columns as rows, of columns without variance.
    tall = [np.vstack([A, np.tile(A.mean(axis=0), (30, 1))]) for A in (X, Y)]
    for method in (CCA, Procrustes):
        wide = method(n_components=6).fit([X, Y], pairs=pairs)
        assert [M.shape for M in wide.maps_] == [(30, 6), (40, 6)]
        if method is Procrustes:
            same = method(n_components=6).fit(tall, pairs=pairs)
            for Z, other in zip(wide.embeddings_, same.embeddings_, strict=True):
                assert np.allclose(Z @ Z.T, (other @ other.T)[:12, :12], atol=1e-5)
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    kept = values > 1e-9
    ridge = 0.1 * values.mean()
    W = vectors[:, kept] / np.sqrt(values[kept] + ridge)
    found = _whitening(X - X.mean(axis=0), 0.1)
    assert np.allclose(found @ found.T, W @ W.T)


def test_cca_has_the_correlations_of_scikit_learns():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 2))
    Xs = [
        np.hstack([shared, rng.normal(size=(300, d))]) @ rng.normal(size=(d + 2, d + 2))
        for d in (3, 5)
    ]
    model = CCA(n_components=2, regularization=1e-9).fit(Xs, paired=np.ones(300, bool))
    parts = IterativeCCA(2, max_iter=5000, tol=1e-12).fit_transform(*Xs)
    expected = [np.corrcoef(parts[0][:, i], parts[1][:, i])[0, 1] for i in range(2)]
    assert model.correlations_ == pytest.approx(expected, abs=1e-3)
    mapped = [(X - c) @ M for X, c, M in zip(Xs, model.centers_, model.maps_, strict=True)]
    found = [np.corrcoef(mapped[0][:, i], mapped[1][:, i])[0, 1] for i in range(2)]
    assert found == pytest.approx(expected, abs=1e-3)


def test_cca_weighs_a_direction_by_its_correlation():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(300, 2))
    Xs = [first, first + [0.3, 1.5] * rng.normal(size=(300, 2))]
    model = CCA(regularization=1e-9).fit(Xs, paired=np.ones(300, bool))
    assert model.correlations_[1] < 0.7
    for X, center, directions in zip(Xs, model.centers_, model.maps_, strict=True):
        spread = ((X - center) @ directions).std(axis=0)
        assert spread == pytest.approx(model.correlations_, rel=1e-3)


def test_a_ridge_keeps_cca_from_perfect_correlations_of_noise():
    rng = np.random.default_rng(0)
    Xs = rng.normal(size=(20, 50)), rng.normal(size=(20, 40))
    loose, ridged = (
        CCA(n_components=5, regularization=r).fit(Xs, paired=np.ones(20, bool)).correlations_
        for r in (1e-9, 1.0)
    )
    assert loose.min() > 0.999
    assert ridged.max() < 0.95


def test_gromov_wasserstein_couples_a_rotated_cloud_without_a_pair_and_in_any_order():
    X, Y = rotated(40)
    order = np.random.default_rng(3).permutation(40)
    model = GromovWasserstein(random_state=0).fit([X, Y[order]])
    assert np.allclose(model.plan_.sum(axis=0), 1 / 40)
    assert model.distance_ < 1e-6
    assert (order[model.plan_.argmax(axis=1)] == np.arange(40)).mean() > 0.95
    assert recall(model, (X, Y)) > 0.95


def test_gromov_wasserstein_and_chance_do_not_read_the_pairs():
    Xs = rotated(30)
    wrong = np.stack([np.arange(30), np.arange(30)[::-1]], axis=1)
    for model in (GromovWasserstein(max_rows=20, random_state=0), Chance(random_state=0)):
        alone = model.fit(Xs).embeddings_
        for Z, again in zip(alone, model.fit(Xs, pairs=wrong).embeddings_, strict=True):
            assert np.array_equal(Z, again)


def test_chance_scores_as_chance():
    rng = np.random.default_rng(0)
    Xs = [rng.normal(size=(1000, 3))] * 2
    scores = retrieval_scores(*Chance(random_state=0).fit(Xs).embeddings_)["first_to_second"]
    assert scores["r@10"] == pytest.approx(scores["chance_r@10"], abs=0.006)


@pytest.mark.parametrize("method", EVERY)
def test_same_seed_gives_the_same_labels_for_rows_of_both_modalities(method):
    X, Y = rotated()
    model = method(3, random_state=0)
    labels = model.fit_predict([X, Y[:50]], pairs=np.stack([np.arange(20)] * 2, 1))
    again = method(3, random_state=0).fit([X, Y[:50]], pairs=np.stack([np.arange(20)] * 2, 1))
    assert np.array_equal(labels, again.labels_)
    assert [len(part) for part in again.labels_by_modality_] == [60, 50]
    assert set(np.concatenate(again.labels_by_modality_)) == {0, 1, 2}


def test_the_clusters_are_those_of_the_best_of_ten_starts():
    rng = np.random.default_rng(0)
    model = Chance(12, random_state=0).fit([rng.normal(size=(300, 3))] * 2)
    rows = np.concatenate(model.embeddings_)
    labels = np.concatenate(model.labels_by_modality_)
    ten, one = (cosine_kmeans(rows, 12, n_init=n, random_state=0) for n in (10, 1))
    assert ten.inertia < one.inertia
    assert np.array_equal(labels, ten.labels)


PAIRS = [[0, 0], [1, 1]]


test_bad_parameters_are_refused_by_name = refused(
    [
        (message, partial(model.fit, rotated(), pairs=pairs))
        for message, model, pairs in (
            ("at least 2 pairs", CCA(), None),
            ("at least 2 pairs", Procrustes(), [[0, 1]]),
            ("regularization", CCA(regularization=0), PAIRS),
            ("n_components", CCA(n_components=2), PAIRS),
            ("n_components", Procrustes(n_components=0), PAIRS),
            ("max_rows", GromovWasserstein(max_rows=1), None),
            ("embedding_dim", Chance(embedding_dim=0), None),
            ("n_clusters=200", Chance(200), None),
        )
    ]
)
