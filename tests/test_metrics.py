"""Scores against scikit-learn, and what must leave them unchanged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mvlib.metrics import (
    accuracy,
    adjusted_rand_index,
    clustering_scores,
    graph_precision_recall,
    normalized_mutual_information,
    purity,
)

labellings = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
    )
)


@given(labellings)
@settings(max_examples=200, deadline=None)
def test_nmi_and_ari_equal_scikit_learns(pair):
    y_true, y_pred = pair
    expected = oracle.normalized_mutual_info_score(y_true, y_pred)
    assert normalized_mutual_information(y_true, y_pred) == pytest.approx(expected, abs=1e-9)
    expected = oracle.adjusted_rand_score(y_true, y_pred)
    assert adjusted_rand_index(y_true, y_pred) == pytest.approx(expected, abs=1e-9)


@given(labellings, st.permutations(range(7)))
@settings(max_examples=100, deadline=None)
def test_renaming_clusters_changes_no_score(pair, names):
    y_true, y_pred = pair
    renamed = [names[label] for label in y_pred]
    before, after = clustering_scores(y_true, y_pred), clustering_scores(y_true, renamed)
    assert before == pytest.approx(after, abs=1e-12)


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


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1], [0], "y_true has 2 labels and y_pred 1"),
        ([], [], "at least one label"),
        ([[0], [1]], [0, 1], r"y_true has shape \(2, 1\)"),
        ([0.0, np.nan], [0, 1], "y_true holds NaN"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        clustering_scores(y_true, y_pred)


def test_graph_precision_and_recall_count_edges_within_classes():
    graph = np.array([[1, 1, 0], [0, 0.5, 0], [0, 0.1, 0]])
    found = graph_precision_recall(graph, np.array([0, 0, 1]), np.array([0, 0, 1]))
    # Edges: three within class 0 of its four pairs, one across, none in class 1's one pair.
    assert found == pytest.approx({"precision": 3 / 4, "recall": 3 / 5, "density": 4 / 9})
    with pytest.raises(ValueError, match="graph has shape"):
        graph_precision_recall(graph, np.array([0, 0]), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="no edge"):
        graph_precision_recall(np.zeros((1, 1)), np.array([0]), np.array([0]))
