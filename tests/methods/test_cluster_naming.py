"""Names of clusters: which words win, which must not."""

import numpy as np
import pytest
from support.semantic_transcription import plain_specificity

from mvlib.methods import name_clusters, word_scores


def test_specific_scores_equal_the_slow_transcription():
    mass = np.random.default_rng(0).exponential(size=(4, 9))
    mass[1, 3] = 0
    assert np.allclose(word_scores(mass), plain_specificity(mass))


def test_typical_scores_are_the_shares_of_each_clusters_mass():
    mass = np.random.default_rng(1).exponential(size=(3, 5))
    scores = word_scores(mass, "typical")
    assert np.allclose(scores.sum(axis=1), 1)
    assert np.allclose(scores, mass / mass.sum(axis=1, keepdims=True))


def test_specific_scores_sum_to_a_divergence_which_is_never_negative():
    mass = np.random.default_rng(2).exponential(size=(5, 8))
    assert (word_scores(mass).sum(axis=1) >= 0).all()
    assert np.allclose(word_scores(np.tile(mass[0], (3, 1))), 0)


def test_a_word_that_all_clusters_use_is_typical_but_names_none():
    mass = [[5, 3, 0], [5, 0, 3]]
    texts = ["thing", "cat", "boat"]
    assert [[w for w, _ in c] for c in name_clusters(mass, texts)] == [["cat"], ["boat"]]
    typical = name_clusters(mass, texts, order="typical")
    assert [c[0][0] for c in typical] == ["thing", "thing"]


def test_a_word_of_hardly_any_mass_does_not_win_by_belonging_to_one_cluster():
    mass = [[1e-6, 10, 1], [0, 1, 10]]
    assert name_clusters(mass, ["rare", "cat", "boat"])[0][0][0] == "cat"


def test_equal_words_count_together_and_are_listed_once():
    apart = name_clusters([[2, 2, 3], [1, 1, 9]], ["cat", "cat", "boat"])
    assert apart == name_clusters([[4, 3], [2, 9]], ["cat", "boat"])


def test_the_size_of_a_cluster_does_not_change_any_name():
    mass = np.random.default_rng(3).exponential(size=(3, 6))
    texts = list("abcdef")
    grown = name_clusters(mass * [[1], [50], [7]], texts)
    for names, others in zip(name_clusters(mass, texts), grown, strict=True):
        assert [w for w, _ in names] == [w for w, _ in others]
        assert np.allclose([s for _, s in names], [s for _, s in others])


def test_names_are_sorted_positive_and_at_most_as_many_as_asked_for():
    mass = np.random.default_rng(4).exponential(size=(3, 40))
    for names in name_clusters(mass, [str(j) for j in range(40)], top=4):
        scores = [score for _, score in names]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 4
        assert min(scores) > 0


def test_a_cluster_without_mass_has_no_names_and_leaves_the_others_theirs():
    names = name_clusters([[0, 0], [3, 0], [0, 3]], ["cat", "boat"])
    assert [[w for w, _ in c] for c in names] == [[], ["cat"], ["boat"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": [[1.0, np.nan]]}, "mass of shape .* is not usable"),
        ({"mass": [[1.0, -1.0]]}, "is not usable"),
        ({"mass": [[1.0, np.inf]]}, "is not usable"),
        ({"mass": [[1.0]]}, r"mass has shape \(1, 1\) for 2 texts"),
        ({"mass": [1.0, 2.0]}, r"mass has shape \(2,\)"),
        ({"order": "specifik"}, "Did you mean 'specific'"),
        ({"top": 0}, "top=0"),
    ],
)
def test_naming_says_what_is_wrong_with_its_input(change, message):
    arguments = {"mass": [[1.0, 2.0]], "texts": ["cat", "boat"]} | change
    with pytest.raises(ValueError, match=message):
        name_clusters(**arguments)
