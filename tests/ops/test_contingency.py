"""Contingency tables and matchings against scikit-learn and all matchings."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics.cluster import contingency_matrix

from mvlib.ops import best_matching, contingency_table, matched_accuracy


@pytest.mark.parametrize(
    "kind", ["small integers", "large integers", "far apart", "strings", "negative"]
)
def test_contingency_table_equals_scikit_learns_for_any_kind_of_label(kind):
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, 300), rng.integers(0, 7, 300)
    if kind == "large integers":
        a, b = a * 10**12, b + 10**9
    elif kind == "far apart":
        a, b = a * 2000, b * 1000
    elif kind == "strings":
        a, b = a.astype(str), b.astype(str)
    elif kind == "negative":
        a = a - 3
    assert np.array_equal(contingency_table(a, b), contingency_matrix(a, b))


def test_contingency_table_leaves_out_labels_that_never_occur():
    table = contingency_table(np.array([0, 5, 5]), np.array([9, 9, 2]))
    assert table.tolist() == [[0, 1], [1, 1]]


def test_matching_is_the_best_of_all_one_to_one_matchings():

    table = np.random.default_rng(2).integers(0, 20, (5, 5))
    best = max(sum(table[i, p[i]] for i in range(5)) for p in permutations(range(5)))
    assert table[best_matching(table)].sum() == best
    assert matched_accuracy(table) == pytest.approx(best / table.sum())
