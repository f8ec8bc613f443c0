"""Explicit features: how near they come to the kernel, and what is made of them."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from support.ntk_transcription import planted

from mvlib.methods.ntk_spectral import (
    discretize,
    explicit_features,
    feature_embedding,
    ntk_affinity,
)

TAU = 0.1


@pytest.fixture(scope="module")
def problem():
    return planted(300, d=16)


@pytest.fixture(scope="module")
def kernel(problem):
    Z, Ws, _ = problem
    return np.mean([ntk_affinity(Z, W, TAU) for W in Ws], axis=0)


def error(features, kernel):
    return np.linalg.norm(features @ features.T - kernel) / np.linalg.norm(kernel)


@pytest.mark.parametrize("sketch", ["nystrom", "tensorsketch"])
def test_the_error_falls_with_the_number_of_features(problem, kernel, sketch):
    Z, Ws, _ = problem
    errors = [
        np.mean(
            [
                error(
                    explicit_features(
                        Z, Ws, r, temperature=TAU, sketch=sketch, random_state=seed
                    ),
                    kernel,
                )
                for seed in range(3)
            ]
        )
        for r in (16, 64, 256)
    ]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_every_image_a_landmark_is_exact(problem, kernel):
    Z, Ws, _ = problem
    assert error(explicit_features(Z, Ws, 300, temperature=TAU), kernel) < 1e-4


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


@pytest.mark.parametrize("affinity", ["visual", "semantic", "rbf"])
def test_nystrom_serves_every_affinity(problem, affinity):
    Z, Ws, _ = problem
    K = np.mean([ntk_affinity(Z, W, TAU, affinity=affinity) for W in Ws], axis=0)
    F = explicit_features(Z, Ws, 300, temperature=TAU, affinity=affinity)
    assert error(F, K) < 1e-3


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
    labels = [
        discretize(
            feature_embedding(explicit_features(Z, Ws, r, temperature=TAU, random_state=0), 4)[
                0
            ],
            random_state=0,
        )
        for r in (300, 60)
    ]
    assert adjusted_rand_score(*labels) > 0.97


def test_bad_input_is_named(problem):
    Z, Ws, _ = problem
    with pytest.raises(ValueError, match="needs banks"):
        explicit_features(Z)
    with pytest.raises(ValueError, match="n_features=301 is more than the 300 images"):
        explicit_features(Z, Ws, 301)
    with pytest.raises(ValueError, match="is no product"):
        explicit_features(Z, Ws, 20, affinity="rbf", sketch="tensorsketch")
    with pytest.raises(ValueError, match="Did you mean 'nystrom'"):
        explicit_features(Z, Ws, 20, sketch="nystroem")
    with pytest.raises(ValueError, match="numbers of features differ"):
        explicit_features(Z, [Ws[0][:, 1:]], 20)
    with pytest.raises(ValueError, match="finite matrix"):
        feature_embedding(np.full((4, 2), np.nan), 2)
    with pytest.raises(ValueError, match="width 2: expected at least n_clusters=3"):
        feature_embedding(np.ones((4, 2)), 3)
    with pytest.raises(ValueError, match="degree"):
        feature_embedding(np.array([[1.0, 0], [-2, 0], [0, 1]]), 2)
