"""Names of clusters: which words win, which must not."""

import numpy as np
from refusals import refused
from support.semantic_transcription import plain_specificity

from mvlib.methods import name_clusters, word_scores


def test_scores_equal_the_slow_transcription_and_those_of_a_cluster_are_a_divergence():
    mass = np.random.default_rng(0).exponential(size=(4, 9))
    mass[1, 3] = 0
    scores = word_scores(mass)
    assert np.allclose(scores, plain_specificity(mass))
    assert (scores.sum(axis=1) >= 0).all()
    assert np.allclose(word_scores(np.tile(mass[0], (3, 1))), 0)
    typical = word_scores(mass, "typical")
    assert np.allclose(typical, mass / mass.sum(axis=1, keepdims=True))


def words_of(mass, texts, **more):
    return [[word for word, _ in names] for names in name_clusters(mass, texts, **more)]


def test_common_and_rare_words_name_no_cluster_and_equal_ones_count_together():
    mass, texts = [[5, 3, 0], [5, 0, 3]], ["thing", "cat", "boat"]
    assert words_of(mass, texts) == [["cat"], ["boat"]]
    assert [names[0] for names in words_of(mass, texts, order="typical")] == ["thing"] * 2
    rare = words_of([[1e-6, 10, 1], [0, 1, 10]], ["rare", "cat", "boat"])
    assert rare[0][0] == "cat"
    # A cluster without mass has no names and leaves the others theirs.
    assert words_of([[0, 0], [3, 0], [0, 3]], ["cat", "boat"]) == [[], ["cat"], ["boat"]]
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


test_naming_says_what_is_wrong_with_its_input = refused(
    [
        (
            message,
            lambda change=change: name_clusters(
                **{"mass": [[1.0, 2.0]], "texts": ["cat", "boat"]} | change
            ),
        )
        for message, change in (
            ("mass of shape .* is not usable", {"mass": [[1.0, np.nan]]}),
            ("is not usable", {"mass": [[1.0, -1.0]]}),
            ("is not usable", {"mass": [[1.0, np.inf]]}),
            (r"mass has shape \(1, 1\) for 2 texts", {"mass": [[1.0]]}),
            (r"mass has shape \(2,\)", {"mass": [1.0, 2.0]}),
            ("Did you mean 'specific'", {"order": "specifik"}),
            ("top=0", {"top": 0}),
        )
    ]
)
