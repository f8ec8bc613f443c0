"""The affinity: its formula, what kernel it is, and what it refuses."""

import numpy as np
import pytest
from support.ntk_transcription import kernel, planted, softmax, unit

from mvlib.methods.ntk_spectral import noun_assignments, ntk_affinity

TAU = 0.1


@pytest.fixture(scope="module")
def problem():
    return planted(40, d=8)


def test_affinity_equals_the_transcription_entry_by_entry(problem):
    Z, (W, *_), _ = problem
    Z, W = Z.astype(np.float64), W.astype(np.float64)
    expected = np.zeros((len(Z), len(Z)))
    for i in range(len(Z)):
        for j in range(len(Z)):
            s_i, s_j = (softmax((W @ Z[[r]].T / TAU).T)[0] for r in (i, j))
            expected[i, j] = (
                (Z[i] @ Z[j]) * sum(s_i[k] * s_j[k] for k in range(len(W))) / TAU**2
            )
    assert np.allclose(ntk_affinity(Z, W, TAU), expected, rtol=2e-4)


def test_it_is_the_tangent_kernel_of_the_log_sum_exp_at_the_nouns(problem):
    Z, (W, *_), _ = problem
    Z, W = unit(Z[:6].astype(np.float64)), unit(W.astype(np.float64))

    def f(z, nouns):
        return np.log(np.exp(nouns @ z / TAU).sum())

    step = 1e-5
    gradients = np.zeros((len(Z), W.size))
    for i, z in enumerate(Z):
        for entry in range(W.size):
            moved = np.zeros(W.size)
            moved[entry] = step
            moved = moved.reshape(W.shape)
            gradients[i, entry] = (f(z, W + moved) - f(z, W - moved)) / (2 * step)
    assert np.allclose(ntk_affinity(Z, W, TAU), gradients @ gradients.T, rtol=1e-4)


def test_it_is_an_inner_product_of_explicit_features(problem):
    Z, (W, *_), _ = problem
    S = noun_assignments(Z, W, TAU).astype(np.float64)
    features = np.einsum("ik,id->ikd", S, unit(Z.astype(np.float64))).reshape(len(Z), -1) / TAU
    assert np.allclose(ntk_affinity(Z, W, TAU), features @ features.T, rtol=1e-4)


def test_it_is_the_product_of_its_two_halves(problem):
    Z, (W, *_), _ = problem
    visual, semantic = (ntk_affinity(Z, W, TAU, affinity=a) for a in ("visual", "semantic"))
    assert np.allclose(ntk_affinity(Z, W, TAU), visual * semantic * TAU**2, rtol=1e-4)
    assert np.allclose(visual, unit(Z) @ unit(Z).T / TAU**2, rtol=1e-4)


def test_rbf_is_the_gaussian_of_distances_and_needs_no_noun(problem):
    Z = unit(problem[0].astype(np.float64))
    distances = ((Z[:, None] - Z) ** 2).sum(axis=2)
    assert np.allclose(
        ntk_affinity(Z, None, 0.5, affinity="rbf"), np.exp(-distances / 0.5), atol=1e-5
    )


def test_lengths_of_the_features_do_not_matter(problem):
    Z, (W, *_), _ = problem
    scales = np.linspace(0.1, 9, len(Z))[:, None]
    assert np.allclose(ntk_affinity(Z * scales, 3 * W, TAU), kernel(Z, W, TAU), rtol=1e-3)


def test_assignments_are_a_softmax_of_cosines(problem):
    Z, (W, *_), _ = problem
    S = noun_assignments(Z, W, TAU)
    assert np.allclose(S.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(S, softmax(unit(Z) @ unit(W).T / TAU), atol=1e-5)


def test_bad_input_is_named(problem):
    Z, (W, *_), _ = problem
    bad = Z.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="Z holds NaN or infinity in row 3"):
        ntk_affinity(bad, W)
    with pytest.raises(ValueError, match="numbers of features differ"):
        ntk_affinity(Z, W[:, 1:])
    with pytest.raises(ValueError, match="needs W"):
        ntk_affinity(Z)
    with pytest.raises(ValueError, match="temperature=0"):
        ntk_affinity(Z, W, 0)
    with pytest.raises(ValueError, match="Did you mean 'semantic'"):
        ntk_affinity(Z, W, affinity="semantics")
