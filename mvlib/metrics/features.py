"""How features lie, whatever the labels are."""

from __future__ import annotations

import numpy as np

from mvlib.check import check_views
from mvlib.ops.rows import unit_rows


def mean_pairwise_cosine(X: np.ndarray) -> float:
    """Return the mean cosine of two different rows.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features. Rows of zeros count as orthogonal to all.

    Returns
    -------
    float
        From -1 / (n_samples - 1) to 1; near 1 where all point one way.

    Raises
    ------
    ValueError
        If `X` is not a finite matrix of at least two rows.
    """
    (X,) = check_views([X], dtype=np.float64, argument="X")
    n = len(X)
    if n < 2:
        raise ValueError(f"X has {n} row: expected at least 2")
    unit = unit_rows(X)
    # The sum over all pairs is the squared length of the sum; the diagonal is left out.
    total = float((unit.sum(axis=0) ** 2).sum()) - float((unit**2).sum())
    return total / (n * (n - 1))
