"""Half of the classes with labels: which rows are told, and one matching for both halves."""

import numpy as np

from mvlib.metrics import accuracy
from mvlib.papers.known_classes import half_known, shares_found

Y = np.repeat(np.arange(5), 11)


def test_half_of_the_rows_of_the_first_classes_are_told_and_no_other():
    known = half_known(Y, 0)
    told = known >= 0
    assert (known[told] == Y[told]).all()
    assert np.bincount(Y[told], minlength=5).tolist() == [5, 5, 0, 0, 0]
    assert np.array_equal(known, half_known(Y, 0))
    assert not np.array_equal(known, half_known(Y, 1))


def test_both_halves_are_scored_under_one_matching():
    old = Y < 2
    found = shares_found(Y, (Y + 3) % 5, old)
    assert found == {"acc_known": 1, "acc_unknown": 1}
    # Cluster 0 has more of class 2: class 0, whose rows it has too, goes without.
    labels = Y.copy()
    labels[labels == 2] = 0
    labels[:4] = 4
    assert shares_found(Y, labels, old) == {"acc_known": 11 / 22, "acc_unknown": 1.0}
    mixed = np.random.default_rng(0).integers(0, 5, len(Y))
    found = shares_found(Y, mixed, old)
    both = (22 * found["acc_known"] + 33 * found["acc_unknown"]) / 55
    assert np.isclose(both, accuracy(Y, mixed))
