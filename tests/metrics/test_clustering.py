import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from sklearn import metrics as oracle
from sklearn.metrics import adjusted_rand_score

from mvlib.metrics import (
    accuracy,
    adjusted_rand_index,
    central_labeling,
    clustering_scores,
    graph_precision_recall,
    normalized_mutual_information,
    pairwise_agreement,
    purity,
)

labellings = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2)
)


@given(labellings, st.permutations(range(7)))
@settings(max_examples=200, deadline=None)
def test_scores_equal_scikit_learns_and_are_blind_to_the_clusters_names(pair, names):
    expected = {
        "nmi": oracle.normalized_mutual_info_score(*pair),
        "ari": oracle.adjusted_rand_score(*pair),
    }
    scores = clustering_scores(*pair)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    renamed = clustering_scores(pair[0], [names[label] for label in pair[1]])
    assert renamed == pytest.approx(scores, abs=1e-12)


def test_one_cluster_of_one_class_is_right():
    assert set(clustering_scores([1, 1], [2, 2]).values()) == {1.0}


def test_scores_of_a_worked_example():
    scores = clustering_scores([0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 2])
    assert scores["acc"] == pytest.approx(4 / 6)
    assert scores["purity"] == pytest.approx(5 / 6)


def test_perfect_and_constant_clusterings_score_as_they_should():
    y = np.repeat(np.arange(4), 25)
    assert clustering_scores(y, 3 - y) == dict.fromkeys(("acc", "nmi", "ari", "purity"), 1.0)
    constant = clustering_scores(y, np.zeros(100, int))
    assert constant == pytest.approx({"acc": 0.25, "nmi": 0, "ari": 0, "purity": 0.25})


def test_single_scores_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    y, labels = rng.integers(0, 5, 200), rng.integers(0, 8, 200)
    assert clustering_scores(y, labels) == {
        "acc": accuracy(y, labels),
        "nmi": normalized_mutual_information(y, labels),
        "ari": adjusted_rand_index(y, labels),
        "purity": purity(y, labels),
    }


def test_ari_survives_more_pairs_than_an_int64_product_holds():
    y = np.zeros(200_000, int)
    y[:100_000] = 1
    labels = y.copy()
    labels[:1000] = 0
    expected = oracle.adjusted_rand_score(y, labels)
    assert adjusted_rand_index(y, labels) == pytest.approx(expected, abs=1e-9)


GRAPH = np.array([[1, 1, 0], [0, 0.5, 0], [0, 0.1, 0]])
test_labels_and_graphs_that_cannot_be_scored_are_refused = refuses(
    clustering_scores,
    ({"y_true": [0, 1], "y_pred": [0]}, "y_true has 2 labels and y_pred 1"),
    ({"y_true": [], "y_pred": []}, "at least one label"),
    ({"y_true": [[0], [1]], "y_pred": [0, 1]}, r"y_true has shape \(2, 1\)"),
    ({"y_true": [0.0, np.nan], "y_pred": [0, 1]}, "y_true holds NaN"),
    (lambda: graph_precision_recall(GRAPH, np.zeros(2, int), np.zeros(3, int)),
     "graph has shape"),
    (lambda: graph_precision_recall(np.zeros((1, 1)), np.zeros(1), np.zeros(1)), "no edge"),
)  # fmt: skip


def test_graph_precision_and_recall_count_edges_within_classes():
    found = graph_precision_recall(GRAPH, np.array([0, 0, 1]), np.array([0, 0, 1]))
    # Edges: three within class 0 of its four pairs, one across, none in class 1's one pair.
    assert found == pytest.approx({"precision": 3 / 4, "recall": 3 / 5, "density": 4 / 9})


# Each clustering has its own number of clusters, one cluster and all singletons among them.
several = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.integers(0, 8).flatmap(
            lambda most: st.lists(st.integers(0, most), min_size=n, max_size=n)
        ),
        min_size=1,
        max_size=5,
    )
)


@given(several, st.permutations(range(9)))
@settings(max_examples=150, deadline=None)
def test_agreement_is_scikit_learns_and_blind_to_the_clusters_names(labelings, names):
    found = pairwise_agreement(labelings)
    expected = [[adjusted_rand_score(a, b) for b in labelings] for a in labelings]
    assert found == pytest.approx(np.array(expected), abs=1e-9)
    assert np.array_equal(found, found.T)
    assert (found.diagonal() == 1).all()
    renamed = [[names[label] for label in labels] for labels in labelings]
    assert np.array_equal(pairwise_agreement(renamed), found)
    assert np.array_equal(pairwise_agreement([*labelings[:-1], renamed[-1]]), found)


def test_agreement_takes_names_of_any_kind_and_an_array_of_rows():
    rows = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 0, 2]])
    words = [np.array(list("abc"))[row] for row in rows]
    for same in (list(rows), rows * -7 + 100, words):
        assert np.array_equal(pairwise_agreement(same), pairwise_agreement(rows))


def test_one_cluster_and_singletons_agree_as_in_scikit_learn():
    one, singletons, halves = np.zeros(8, int), np.arange(8), np.arange(8) // 4
    assert np.array_equal(pairwise_agreement([one, singletons, halves]), np.eye(3))
    for same in ([one, one + 3], [singletons, singletons[::-1]], [[4], [9]]):
        assert pairwise_agreement(same).tolist() == [[1, 1], [1, 1]]


def test_agreement_holds_where_pair_counts_outgrow_float32():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 30_001)
    second = np.where(rng.random(30_001) < 0.9, first, rng.integers(0, 5, 30_001))
    one = np.zeros(30_001, int)
    labelings = [first, second, one, one + 1]
    expected = [[adjusted_rand_score(a, b) for b in labelings] for a in labelings]
    assert pairwise_agreement(labelings) == pytest.approx(np.array(expected), abs=1e-9)


def disturbed(labels, share, seed):
    rng = np.random.default_rng(seed)
    moved = rng.random(len(labels)) < share
    return np.where(moved, rng.integers(0, 4, len(labels)), labels)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_central_clustering_is_the_one_that_the_others_scatter_around(place):
    truth = np.repeat(np.arange(4), 50)
    labelings = [disturbed(truth, 0.4, seed) for seed in range(4)]
    labelings.insert(place, (truth + 1) % 4)
    assert central_labeling(labelings) == place


def test_a_majority_outvotes_the_best_and_the_first_of_equals_is_central():
    truth, wrong = np.repeat(np.arange(4), 50), np.tile(np.arange(4), 50)
    labelings = [truth, wrong, (wrong + 1) % 4, wrong]
    assert accuracy(truth, labelings[0]) == 1
    assert central_labeling(labelings) == 1
    first, second = np.random.default_rng(1).integers(0, 3, (2, 30))
    assert central_labeling([first]) == 0
    assert central_labeling([first, second]) == 0
    assert central_labeling([second, first, first, (first + 1) % 3]) == 1


@pytest.mark.parametrize("function", [pairwise_agreement, central_labeling])
@pytest.mark.parametrize(
    ("labelings", "message"),
    [
        ([], "labelings is empty: expected at least one clustering"),
        ([[0, 1, 1], [0, 1]], r"labelings has shape \(2,\): expected \(3,\), one label"),
        ([[[0], [1]]], r"labelings has shape \(2, 1\): expected \(2,\)"),
        ([[0.0, np.nan]], "labelings holds NaN"),
    ],
)
def test_clusterings_that_cannot_be_compared_are_refused(function, labelings, message):
    with pytest.raises(ValueError, match=message):
        function(labelings)
