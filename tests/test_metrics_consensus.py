"""Agreement among clusterings against scikit-learn, and the one chosen by it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from mvlib.metrics import accuracy, central_labeling, pairwise_agreement

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


@given(several)
@settings(max_examples=150, deadline=None)
def test_agreement_is_scikit_learns_adjusted_rand_score(labelings):
    found = pairwise_agreement(labelings)
    expected = [[adjusted_rand_score(a, b) for b in labelings] for a in labelings]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


@given(several, st.permutations(range(9)))
@settings(max_examples=100, deadline=None)
def test_agreement_is_symmetric_and_blind_to_the_clusters_names(labelings, names):
    found = pairwise_agreement(labelings)
    assert np.array_equal(found, found.T)
    assert (found.diagonal() == 1).all()
    renamed = [[names[label] for label in labels] for labels in labelings]
    assert np.array_equal(pairwise_agreement(renamed), found)
    assert np.array_equal(pairwise_agreement([*labelings[:-1], renamed[-1]]), found)


def test_agreement_takes_names_of_any_kind_and_an_array_of_rows():
    rows = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 0, 2]])
    found = pairwise_agreement(rows)
    assert np.array_equal(pairwise_agreement(list(rows)), found)
    assert np.array_equal(pairwise_agreement(rows * -7 + 100), found)
    words = [np.array(list("abc"))[row] for row in rows]
    assert np.array_equal(pairwise_agreement(words), found)


def test_one_cluster_and_singletons_agree_as_in_scikit_learn():
    one, singletons, halves = np.zeros(8, int), np.arange(8), np.arange(8) // 4
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert pairwise_agreement([one, singletons, halves]).tolist() == expected
    assert pairwise_agreement([one, one + 3]).tolist() == [[1, 1], [1, 1]]
    assert pairwise_agreement([singletons, singletons[::-1]]).tolist() == [[1, 1], [1, 1]]
    assert pairwise_agreement([[4], [9]]).tolist() == [[1, 1], [1, 1]]


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


def test_a_majority_outvotes_the_clustering_that_fits_the_labels_best():
    truth = np.repeat(np.arange(4), 50)
    wrong = np.tile(np.arange(4), 50)
    labelings = [truth, wrong, (wrong + 1) % 4, wrong]
    assert accuracy(truth, labelings[0]) == 1
    assert central_labeling(labelings) == 1


def test_the_first_of_equals_is_central():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 3, (2, 30))
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
