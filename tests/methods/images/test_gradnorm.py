"""GradNorm: its score, what its filter keeps, and the ablation beside it."""

import numpy as np
import pytest
from support.semantic_transcription import softmax, toy, unit

from mvlib.methods import TAC, GradNorm, TACWithTemperature, filter_nouns
from mvlib.methods.images.gradnorm import gradient_scores


def plain_scores(nouns, centres, temperature):
    """s_1 with its difference of squares, times the squared length of the noun."""
    nearest, scores = [], []
    for u in nouns:
        p = softmax([float(unit(u) @ unit(c)) / temperature for c in centres])
        a = int(p.argmax())
        s1 = sum(q**2 for q in p) + (1 - p[a]) ** 2 - p[a] ** 2
        s2 = float(sum(v**2 for v in unit(u)))
        nearest.append(a)
        scores.append((s1 * s2) ** 0.5)
    return np.array(nearest), np.array(scores)


def drawn(n_nouns=60, n_centres=7, d=8, seed=0):
    rng = np.random.default_rng(seed)
    return 4 * rng.normal(size=(n_nouns, d)), rng.normal(size=(n_centres, d))


@pytest.mark.parametrize("temperature", [0.08, 0.3, 1.0])
def test_the_score_equals_the_sheets_and_the_norm_of_a_gradient(temperature):
    nouns, centres = drawn()
    nearest, scores, confidence = gradient_scores(nouns, centres, temperature)
    expected = plain_scores(nouns, centres, temperature)
    assert np.array_equal(nearest, expected[0])
    assert np.allclose(scores, expected[1], atol=2e-6)
    assert (scores >= 0).all()
    assert (scores < np.sqrt(2)).all()
    for j, u in enumerate(nouns):
        p = softmax([float(unit(u) @ unit(c)) / temperature for c in centres])
        assert confidence[j] == pytest.approx(p.max(), abs=1e-6)
        # The gradient with respect to the classifier is the outer product of p - e_a and u.
        gradient = np.outer(p - np.eye(len(p))[p.argmax()], unit(u))
        assert scores[j] == pytest.approx(np.linalg.norm(gradient), abs=2e-6)


def test_a_cold_score_is_zero_and_a_score_near_it_keeps_its_digits():
    nouns, centres = drawn()
    assert (gradient_scores(nouns, centres, 1e-5)[1] < 1e-12).all()
    # Beside p_a = 1 - 2e-9, float32 squares of p_a would leave nothing.
    pair = np.array([[1.0, 0.0], [0.0, 1.0]])
    score = gradient_scores(pair[:1], pair, 0.05)[1][0]
    assert score == pytest.approx(np.sqrt(2) / (1 + np.exp(20)), rel=1e-4)


def test_a_doubt_between_two_centres_weighs_more_than_one_among_three():
    p = np.array([[0.5, 0.499, 0.001], [0.49, 0.255, 0.255]])
    cosines = 0.1 * np.log(p) + 0.6
    nouns = np.column_stack([cosines, np.sqrt(1 - (cosines**2).sum(axis=1))])
    _, scores, confidence = gradient_scores(nouns, np.eye(3, 4), 0.1)
    assert confidence[0] > confidence[1]
    assert scores[1] < scores[0]
    model = GradNorm(3, filter_temperature=0.1, top=1)
    assert model._filter(nouns, np.eye(3, 4)).tolist() == [1]
    other = TACWithTemperature(3, filter_temperature=0.1, top=1)
    assert other._filter(nouns, np.eye(3, 4)).tolist() == [0]


def kept(model, images, words):
    return set(model.fit(images, words).history_["kept"].tolist())


def test_a_centre_keeps_its_nouns_of_smallest_score_and_their_lengths_change_nothing():
    images, words, _, _ = toy()
    model = GradNorm(4, random_state=0, filter_temperature=0.3, top=2, n_init=2)
    first = kept(model, images, words)
    assert model.history_["n_centers"] == 12
    assert len(first) <= 12 * 2
    centres = model._centres(images, 0, n_init=20, kmeans="faiss", precision="float32")
    nearest, scores = plain_scores(words, centres, 0.3)
    expected = set()
    for c in range(12):
        of_centre = np.flatnonzero(nearest == c)
        expected |= set(of_centre[np.argsort(scores[of_centre], kind="stable")][:2].tolist())
    assert first == expected
    lengths = 2.0 ** (np.arange(len(words)) % 5)[:, None]
    assert kept(model, images, words * lengths) == first


def test_the_ablation_differs_in_the_score_alone_and_at_temperature_one_is_tacs_filter():
    images, words, _, _ = toy()
    settings = {"random_state": 0, "n_init": 2, "top": 2, "filter_temperature": 1.0}
    model = TACWithTemperature(4, **settings).fit(images, words)
    centres = model._centres(images, 0, n_init=20, kmeans="faiss", precision="float32")
    assert np.array_equal(model.history_["kept"], filter_nouns(words, centres, 2))
    # All that follows the filter is TAC's.
    given = TAC(4, random_state=0, n_init=2)
    given._filter = lambda nouns, centres: model.history_["kept"]
    assert np.array_equal(given.fit(images, words).labels_, model.labels_)


def test_the_published_settings_are_known_a_set_and_no_others():
    assert GradNorm.paper_settings("imagenet-1k") == {
        "n_centers": 2000, "filter_temperature": 0.02, "temperature": 0.006, "top": 3,
    }  # fmt: skip
    GradNorm(10, **GradNorm.paper_settings("cifar-10"))
    with pytest.raises(ValueError, match="dataset='cars'"):
        GradNorm.paper_settings("cars")


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(value):
    images, words, _, _ = toy(n_per_class=5)
    with pytest.raises(ValueError, match="filter_temperature"):
        GradNorm(4, filter_temperature=value).fit(images, words)
    with pytest.raises(ValueError, match="temperature"):
        gradient_scores(words, images, value)
