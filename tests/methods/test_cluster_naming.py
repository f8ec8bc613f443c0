"""Names of clusters: which words win, which must not."""

import numpy as np
from refusals import refused, refuses
from support.semantic_transcription import plain_specificity

from mvlib.encoders import TextBank
from mvlib.methods import name_clusters, name_groups, word_scores


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


def images_of(*directions, n=12, noise=0.05):
    generator = np.random.default_rng(0)
    centres = np.repeat(np.array(directions, dtype=np.float64), n, axis=0)
    return centres + generator.normal(0, noise, centres.shape), np.repeat(
        np.arange(len(directions)), n
    )


# Near to all images, to the first, to the second, to none.
WORDS = TextBank(
    ("thing", "cat", "boat", "fog"),
    np.array([[1, 0.3, 0.3, 0], [0.6, 0.8, 0, 0], [0.6, 0, 0.8, 0], [0, 0, 0, 1.0]]),
)


def test_a_word_that_is_near_to_all_groups_names_none():
    X, labels = images_of([1, 0.4, 0, 0], [1, 0, 0.4, 0])
    assert (X @ WORDS.features.T).mean(axis=0).argmax() == 0
    names = name_groups(X, labels, WORDS)
    assert [name.title for name in names] == ["cat", "boat"]
    assert min(name.separation for name in names) > 0.95
    # Labels may be any, and the lengths of features count for nothing.
    again = name_groups(X * np.linspace(1, 9, len(X))[:, None], labels * 7 + 2, WORDS)
    assert [name.title for name in again] == ["cat", "boat"]
    few = name_groups(X, labels, WORDS, n_titles=2, top=3)
    assert few[0].nouns[0] == "cat"
    assert len(few[0].nouns) == 3


def test_a_group_that_no_word_tells_apart_is_unsure_and_titles_are_not_shared():
    X, _ = images_of([1, 0.4, 0, 0], [1, 0, 0.4, 0])
    names = name_groups(X, np.arange(len(X)) % 2, WORDS)
    assert [name.title for name in names] == ["unsure (group 1)", "unsure (group 2)"]
    assert max(name.separation for name in names) < 0.75
    X, labels = images_of([1, 0.4, 0, 0], [1, 0.45, 0, 0], [1, 0, 0.4, 0], [1, 0, 0.4, 0.01])
    titles = [name.title for name in name_groups(X, labels, WORDS)]
    assert titles == ["cat (group 1)", "cat (group 2)", "boat (group 3)", "boat (group 4)"]
    (only,) = name_groups(X, np.zeros(len(X)), WORDS)
    assert only.title == "thing"
    assert np.isnan(only.separation)


def test_no_group_of_people_is_called_by_an_animal():
    X, labels = images_of([1, 0.4, 0, 0], [1, 0, 0.4, 0])
    words = TextBank(("ape", "people", "boat"), WORDS.features[[1, 1, 2]] + [[0], [0.01], [0]])
    assert name_groups(X, labels, words)[0].title == "ape"
    barred = name_groups(X, labels, words, kinds=("animal", "people", "thing"))[0]
    assert barred.title == "people"
    assert "ape" not in barred.nouns
    free = name_groups(X, labels, words, kinds=("animal", "thing", "thing"))[0]
    assert free.title == "ape"


GROUPS = dict(
    zip(("features", "labels"), images_of([1, 0.4, 0, 0], [1, 0, 0.4, 0]), strict=True)
)
test_what_does_not_fit_for_a_name_is_named = refuses(
    lambda **change: name_groups(**GROUPS | {"words": WORDS} | change),
    ({"labels": [0, 1]}, "labels has shape|y has shape"),
    ({"features": np.ones((24, 3))}, "words have width 4: expected 3"),
    ({"kinds": ["animal"]}, "kinds has 1 entries for 4 words"),
    ({"top": 0}, "top=0"),
    ({"n_titles": 0}, "n_titles=0"),
)
