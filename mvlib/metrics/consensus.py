"""Choosing among clusterings of the same samples without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvlib.check import check_labels


def pairwise_agreement(labelings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the adjusted Rand index between every two of several clusterings.

    Parameters
    ----------
    labelings : sequence of array-like, each (n_samples,), integer
        Clusterings of the same samples.

    Returns
    -------
    ndarray of shape (n_labelings, n_labelings), float64
        1 on the diagonal.

    Raises
    ------
    ValueError
        If there is no clustering, or they differ in length.
    """
    if len(labelings) == 0:
        raise ValueError("labelings is empty: expected at least one clustering")
    n = len(labelings[0])
    codes = [check_labels(labels, n, argument="labelings") for labels in labelings]
    # All contingency tables at once: one product of stacked indicator matrices.
    one_hot = [np.eye(code.max() + 1, dtype=np.float32)[code] for code in codes]
    starts = np.cumsum([0, *(block.shape[1] for block in one_hot[:-1])])
    stacked = np.concatenate(one_hot, axis=1)
    counts = (stacked.T @ stacked).astype(np.float64)
    pairs = counts * (counts - 1) / 2
    together = np.add.reduceat(np.add.reduceat(pairs, starts, axis=0), starts, axis=1)
    alone = together.diagonal()
    expected = np.outer(alone, alone) / max(n * (n - 1) / 2, 1)
    most = (alone[:, None] + alone[None, :]) / 2
    gap = most - expected
    return np.where(gap == 0, 1.0, (together - expected) / np.where(gap == 0, 1.0, gap))


def central_labeling(labelings: Sequence[np.ndarray]) -> int:
    """Return which of several clusterings agrees best with the others.

    Parameters
    ----------
    labelings : sequence of array-like, each (n_samples,), integer
        Clusterings of the same samples, such as those of many epochs.

    Returns
    -------
    int
        The place of the one with the highest mean adjusted Rand index; the first of equals.
    """
    return int(pairwise_agreement(labelings).mean(axis=1).argmax())
