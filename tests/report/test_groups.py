"""The confidence, the map, the suggestion of k and the names are what they are said to be."""

import numpy as np
import pytest

from mvlib.report import choose_n_clusters, group_confidence
from mvlib.report.groups import fit_nowhere, highest_candidate, looks, map_positions
from mvlib.report.image_folder import rows_to_show


@pytest.fixture
def bundles():
    """Three bundles of directions, tight and far apart."""
    generator = np.random.default_rng(0)
    directions = np.repeat(np.eye(8)[:3], 15, axis=0)
    X = directions + generator.normal(0, 0.08, (45, 8))
    return X * generator.uniform(0.5, 3, (45, 1)), np.repeat(np.arange(3), 15)


def slow_confidence(X, labels):
    unit = [x / np.sqrt((x * x).sum()) for x in X]
    sums = [
        sum(u for u, label in zip(unit, labels, strict=True) if label == group)
        for group in range(max(labels) + 1)
    ]
    centres = [each / np.sqrt((each * each).sum()) for each in sums]
    result, rivals = [], []
    for u, label in zip(unit, labels, strict=True):
        distance = [1 - float(u @ centre) for centre in centres]
        others = [group for group in range(len(centres)) if group != label]
        rival = min(others, key=lambda group: distance[group])
        result.append(max(0.0, 1 - distance[label] / distance[rival]))
        rivals.append(rival)
    return np.array(result), np.array(rivals)


def test_the_confidence_is_one_minus_the_quotient_of_distances(bundles):
    X, labels = bundles
    labels = labels.copy()
    labels[:2] = 2
    confidence, rival = group_confidence(X, labels)
    expected, expected_rival = slow_confidence(X, labels)
    np.testing.assert_allclose(confidence, expected, atol=1e-12)
    np.testing.assert_array_equal(rival, expected_rival)
    assert confidence[:2].max() == 0
    assert confidence[2:].min() > 0.3
    lengths = np.linspace(0.1, 9, len(X))[:, np.newaxis]
    np.testing.assert_allclose(group_confidence(X * lengths, labels)[0], confidence, atol=1e-12)


def test_one_group_and_equal_points_have_no_confidence():
    assert group_confidence(np.ones((4, 3)), np.zeros(4))[0].tolist() == [0] * 4
    assert group_confidence(np.ones((4, 3)), [0, 0, 1, 1])[0].tolist() == [0] * 4


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_features_that_are_not_finite_and_labels_of_another_length_are_refused(broken):
    X = np.ones((8, 3))
    with pytest.raises(ValueError, match="labels has shape"):
        group_confidence(X, [0, 1, 1])
    X[2, 1] = broken
    for call in (choose_n_clusters, lambda X: group_confidence(X, [0, 1] * 4)):
        with pytest.raises(ValueError, match="row 2, column 1"):
            call(X)


def test_the_suggestion_is_the_highest_silhouette_and_finds_plain_bundles(bundles):
    X, _ = bundles
    found = choose_n_clusters(X, random_state=0)
    assert found.n_clusters == 3
    assert found.candidates == tuple(range(2, 16))
    assert found.candidates[int(np.argmax(found.silhouettes))] == 3
    assert found.stabilities[1] == pytest.approx(1)
    assert np.isnan(found.stabilities).sum() == 13
    assert found.n_samples == 45
    again = choose_n_clusters(X, random_state=0)
    assert (again.silhouettes, again.n_clusters) == (found.silhouettes, 3)
    # Of many points it rests on a sample.
    found = choose_n_clusters(np.repeat(X, 4, axis=0), subsample=60, random_state=1)
    assert (found.n_samples, found.n_clusters, max(found.candidates)) == (60, 3, 20)


def test_more_than_twenty_groups_can_be_suggested():
    generator = np.random.default_rng(0)
    X = np.repeat(np.eye(40), 5, axis=0) + generator.normal(0, 0.02, (200, 40))
    found = choose_n_clusters(X, random_state=0)
    assert (found.n_clusters, max(found.candidates)) == (40, 60)


def test_of_silhouettes_that_are_nearly_the_same_the_stable_number_is_taken(
    bundles, monkeypatch
):
    monkeypatch.setattr("mvlib.report.groups.NEARLY", 2.0)
    found = choose_n_clusters(bundles[0], random_state=0)
    measured = np.flatnonzero(~np.isnan(found.stabilities))
    assert len(measured) == 5
    assert np.argmax(found.silhouettes) in measured
    assert found.n_clusters == found.candidates[int(np.nanargmax(found.stabilities))]


def test_no_more_than_a_third_of_the_points_and_two_hundred_are_tried():
    tried = [highest_candidate(n) for n in (6, 8, 9, 60, 80, 900)]
    assert tried == [2, 2, 3, 20, 25, 200]
    with pytest.raises(ValueError, match="at least 6"):
        highest_candidate(5)


@pytest.mark.parametrize(("n", "words"), [(29, "principal"), (45, "t-SNE")])
def test_the_map_keeps_bundles_together_and_is_wider_than_high(bundles, n, words):
    X, labels = bundles
    rows = np.sort(np.random.default_rng(0).permutation(45)[:n])
    positions, indices, method = map_positions(X[rows], random_state=0)
    assert words in method
    assert indices.tolist() == list(range(n))
    assert np.ptp(positions[:, 0]) == pytest.approx(1)
    assert np.ptp(positions[:, 1]) <= 1
    assert positions[:, 0].min() == pytest.approx(0)
    centres = np.stack([positions[labels[rows] == g].mean(axis=0) for g in range(3)])
    distances = np.linalg.norm(positions[:, np.newaxis] - centres, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels[rows])
    again = map_positions(X[rows], random_state=0)[0]
    np.testing.assert_array_equal(positions, again)


def test_the_map_takes_a_sample_of_many_points_and_any_small_number():
    X = np.random.default_rng(0).normal(size=(50, 5))
    _, indices, _ = map_positions(X, max_points=20, random_state=0)
    assert len(indices) == len(set(indices.tolist())) == 20
    assert (np.diff(indices) > 0).all()
    for n in (2, 3):
        assert np.isfinite(map_positions(X[:n])[0]).all()
    assert np.isfinite(map_positions(np.ones((40, 5)))[0]).all()


def test_a_large_group_shows_its_surest_and_its_least_sure_images():
    confidence = np.random.default_rng(0).permutation(100) / 100
    labels = np.repeat([0, 1], [90, 10])
    large, small = rows_to_show(labels, confidence)
    order = np.argsort(-confidence[:90])
    assert large.tolist() == [*order[:40], *order[-20:]]
    assert small.tolist() == [90 + row for row in np.argsort(-confidence[90:])]
    # Of many groups each shows fewer.
    shown = rows_to_show(np.arange(6000) % 300, np.zeros(6000))
    assert {len(rows) for rows in shown} == {5}
    shown = rows_to_show(np.arange(3200) % 1600, np.zeros(3200))
    assert sum(map(len, shown)) == 1500


class TowerEncoder:
    """Two kinds of images, told apart by a faint feature beside a loud one."""

    def image_tower(self, images):
        raise AssertionError("looks encodes nothing")

    def project_images(self, features):
        return features[:, :2]


def test_what_images_are_grouped_by_gives_faint_features_a_say():
    generator = np.random.default_rng(0)
    X = generator.normal(0, 0.02, (60, 20)) + 1
    loud, faint = generator.normal(0, 1, 60), np.repeat([-0.25, 0.25], 30)
    X[:, 0] += loud
    X[:, 1] += faint
    look, joint, said = looks(TowerEncoder(), X.astype(np.float32))
    np.testing.assert_array_equal(joint, X.astype(np.float32)[:, :2])
    assert "image tower's own" in said
    assert look.shape == (60, 19)
    spread = look.std(axis=0)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    singular = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)[:19] / np.sqrt(60)
    np.testing.assert_allclose(spread, singular**0.75, rtol=1e-4)
    # Copies of one image have no components.
    same, _, said = looks(TowerEncoder(), np.ones((5, 20), np.float32))
    assert np.isfinite(same).all()
    assert same.any(axis=1).all()
    assert "one and the same" in said


def test_an_encoder_without_a_tower_is_taken_as_it_is():
    X = np.eye(4, dtype=np.float32)
    look, joint, said = looks(object(), X)
    assert look is X
    assert joint is X
    assert "words" in said


def test_copies_of_one_image_are_one_group_for_the_suggestion():
    found = choose_n_clusters(np.ones((12, 3)), random_state=0)
    assert (found.n_clusters, found.candidates) == (1, (1,))


def test_what_fits_nowhere_is_found_where_the_rest_share_few_directions():
    generator = np.random.default_rng(0)
    shared = 2 * np.eye(300)[np.arange(900) % 5] + generator.normal(0, 0.05, (900, 300))
    strange = generator.normal(0, 0.4, (6, 300))
    far = fit_nowhere(np.vstack([shared, strange]))
    assert far[900:].all()
    assert far[:900].mean() < 0.01
    scaled = np.vstack([shared, strange]) * generator.uniform(1, 9, (906, 1))
    assert (fit_nowhere(scaled) == far).all()
    assert not fit_nowhere(np.ones((9, 4))).any()
    assert not fit_nowhere(np.ones((20, 4))).any()
    assert not fit_nowhere(np.eye(2)).any()
