"""Half of the classes with labels: which rows are told, and how many of each half are found."""

from __future__ import annotations

import numpy as np

from mvlib.check import check_labels, check_mask
from mvlib.ops import best_matching, contingency_table


def half_known(y: np.ndarray, seed: int) -> np.ndarray:
    """Return the labels of half of the rows of the first half of the classes, -1 elsewhere."""
    y = check_labels(y, len(y))
    rng = np.random.default_rng(seed)
    known = np.full(len(y), -1)
    for k in range((y.max() + 1) // 2):
        rows = np.flatnonzero(y == k)
        known[rng.choice(rows, len(rows) // 2, replace=False)] = k
    return known


def shares_found(y: np.ndarray, labels: np.ndarray, old: np.ndarray) -> dict[str, float]:
    """Return which share of the rows of `old` classes is found, "acc_known", and of the others.

    Clusters and classes are matched once, over all rows; `old` says of each row whether its
    class is known.
    """
    y, found = (check_labels(codes, len(y)) for codes in (y, labels))
    old = check_mask(old, len(y), argument="old")
    class_of = np.full(found.max() + 1, -1)
    classes, clusters = best_matching(contingency_table(y, found))
    class_of[clusters] = classes
    right = class_of[found] == y
    return {"acc_known": right[old].mean(), "acc_unknown": right[~old].mean()}
