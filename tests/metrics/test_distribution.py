import numpy as np
import pytest
from plain import unit
from refusals import refuses

from mvlib.metrics import distribution_distances, mean_pairwise_cosine


def slow_mmd(A, B):
    both = np.concatenate([A, B])
    distances = [np.linalg.norm(both[i] - both[j]) for i in range(len(both)) for j in range(i)]
    width = np.median(distances)

    def mean(X, Y):
        total = sum(np.exp(-((x - y) ** 2).sum() / (2 * width**2)) for x in X for y in Y)
        return total / (len(X) * len(Y))

    return mean(A, A) + mean(B, B) - 2 * mean(A, B)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 4)), 2 * rng.normal(size=(40, 4)) + 1


def test_mmd_and_covariance_distance_equal_slow_transcriptions(clouds):
    A, B = clouds
    found = distribution_distances(A, B, random_state=0)
    assert found["mmd"] == pytest.approx(slow_mmd(A, B), rel=1e-9)
    centered = [X - X.mean(axis=0) for X in clouds]
    S_a, S_b = (X.T @ X / (len(X) - 1) for X in centered)
    slow = np.sqrt(((S_a - S_b) ** 2).sum()) / np.sqrt(((S_a + S_b) ** 2).sum())
    assert found["covariance_distance"] == pytest.approx(slow, rel=1e-9)


def test_sliced_wasserstein_of_a_line_is_the_distance_of_sorted_points():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=50), 3 * rng.normal(size=50) + 2
    both = np.concatenate([a, b])
    slow = np.sqrt(((np.sort(a) - np.sort(b)) ** 2).mean()) / both.std()
    found = distribution_distances(a[:, None], b[:, None], random_state=0)
    assert found["sliced_wasserstein"] == pytest.approx(slow, rel=1e-6)


def test_a_cloud_is_no_distance_from_itself_in_any_order(clouds):
    A, _ = clouds
    found = distribution_distances(A, A[::-1], random_state=0)
    assert max(found.values()) == pytest.approx(0, abs=1e-12)


def test_distances_are_symmetric_and_know_no_unit_of_length_and_no_origin(clouds):
    A, B = clouds
    found = distribution_distances(A, B, random_state=0)
    for other in ((B, A), (7 * A, 7 * B), (A + 5, B + 5)):
        again = distribution_distances(*other, random_state=0)
        assert again == pytest.approx(found, rel=1e-6)


ZEROS = np.zeros((3, 2))
test_points_that_are_no_finite_matrix_or_do_not_fit_are_named = refuses(
    distribution_distances,
    ({"A": ZEROS, "B": np.zeros((3, 3))}, "B has 3 features: expected 2"),
    ({"A": ZEROS[:1], "B": ZEROS}, "1 and 3 points: expected at least 2"),
    ({"A": ZEROS * np.nan, "B": ZEROS}, "A"),
    ({"A": ZEROS, "B": ZEROS, "n_projections": 0}, "n_projections=0"),
    (lambda: mean_pairwise_cosine([[1.0, 2.0]]), "X"),
    (lambda: mean_pairwise_cosine([[1.0, np.nan], [0.0, 1.0]]), "X"),
    (lambda: mean_pairwise_cosine([]), "X"),
    (lambda: mean_pairwise_cosine([1.0, 2.0]), "X"),
)


def test_the_mean_cosine_is_that_over_all_pairs_of_different_rows():
    X = np.random.default_rng(0).normal(size=(12, 5))
    cosines = (unit(X) @ unit(X).T)[~np.eye(12, dtype=bool)]
    assert mean_pairwise_cosine(X) == pytest.approx(np.mean(cosines), abs=1e-12)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ([[1, 2], [10, 20], [3, 6]], 1),
        ([[1, 0], [-2, 0]], -1),
        # A row of zeros counts as orthogonal.
        ([[0, 0], [1, 0], [1, 0]], 1 / 3),
    ],
)
def test_rows_that_point_one_way_score_one_and_opposite_ones_the_least(X, expected):
    assert mean_pairwise_cosine(X) == pytest.approx(expected)
