"""Labels from a spectral embedding, by the rotation that comes nearest to indicators."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from mvlib._validation import check_number

SETTLED = np.finfo(np.float64).eps


def discretize(
    embedding: np.ndarray, *, max_iter: int = 21, random_state: int | None = None
) -> np.ndarray:
    """Return the partition nearest to a rotation of the embedding.

    Alternates between the nearest indicator matrix X of V R (each row's largest entry) and the
    nearest rotation R of V to X (from the singular vectors of X^T V), V being the rows of the
    embedding at unit length.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, n_clusters)
        Eigenvectors, one a column.
    max_iter : int, default=21
        Bound on the turns, as in scikit-learn.
    random_state : int, optional
        Seed of the row that the first rotation starts from; the others are those of its rows
        that are least alike.

    Returns
    -------
    ndarray of shape (n_samples,), int64

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix with at least as many rows as columns, or
        `max_iter` is not a positive integer.

    Notes
    -----
    Source: Yu and Shi, "Multiclass spectral clustering", ICCV 2003. Equal to scikit-learn's
    `assign_labels="discretize"` on the same embedding and seed, which is not public by
    itself. A cluster may stay empty. Rows of zeros go to cluster 0.

    *Deviations*. Where the singular value decomposition fails, scikit-learn starts anew from
    another row; here the error is the caller's, as it has not been seen to.
    """
    V = np.array(embedding, dtype=np.float64)
    if V.ndim != 2 or 0 in V.shape or len(V) < V.shape[1] or not np.isfinite(V).all():
        raise ValueError(
            f"embedding of shape {V.shape} is not usable: expected a finite matrix with at "
            "least as many rows as columns"
        )
    check_number("max_iter", max_iter, low=1, integer=True)
    rng = check_random_state(random_state)
    n, k = V.shape
    # Columns at one length; signs fixed, so that a flipped eigenvector changes nothing.
    V *= np.sqrt(n) / np.maximum(np.linalg.norm(V, axis=0), SETTLED)
    V *= np.where(V[0] > 0, -1, 1)
    lengths = np.linalg.norm(V, axis=1, keepdims=True)
    V = np.divide(V, lengths, out=np.zeros_like(V), where=lengths > 0)
    rotation = np.zeros((k, k))
    rotation[:, 0] = V[rng.randint(n)]
    alike = np.where(lengths[:, 0] > 0, 0, np.inf)
    for column in range(1, k):
        alike += np.abs(V @ rotation[:, column - 1])
        rotation[:, column] = V[alike.argmin()]
    last = 0.0
    for _ in range(max_iter):
        labels = (V @ rotation).argmax(axis=1)
        nearest = sparse.csr_array((np.ones(n), (labels, np.arange(n))), shape=(k, n))
        left, singular, right = np.linalg.svd(nearest @ V)
        cut = 2 * (n - singular.sum())
        if abs(cut - last) < SETTLED:
            break
        last = cut
        rotation = right.T @ left.T
    return labels.astype(np.int64)
