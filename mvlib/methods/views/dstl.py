"""DSTL: slim tensors of low rank and sparse noise, whose Fourier transform runs over samples.

Source: "Fast Disentangled Slim Tensor Learning for Multi-view Clustering", arXiv 2411.07685,
IEEE TMM, as the authors' code, https://github.com/dengxu-nju/DSTL (no licence), computes it;
the paper's equations were not read.

Each view is projected to as many rows as there are clusters, and parted there into H_v and a
sparse S_v. The H_v of all views form a tensor of clusters x views x samples, whose rank is
lowered after a Fourier transform along the samples.

**The order of the rows is read.** A low frequency along the samples is a slow change from row
to row, and where a file is sorted by class the classes are such a change. Turning the order
round a circle changes nothing, any other order does. The code takes a file as it comes.

Picture
-------
given : two or more views, rows paired; their order is read
learns : a projection a view, parted into a slim part and a sparse one; nothing by gradient
pulls : a tensor of all slim parts of low rank, after a Fourier transform along the samples
matches : nothing
groups : k-means of what the views share

Deviations
----------
Rows are shuffled first, by the seed, unless `order="given"`. k-means is scikit-learn's, the
best of ten k-means++ starts by squared distances; the code starts from random rows, takes the
best of ten by distances that are not squared, and prints the mean of ten such calls. Kept as in
the code, against the objective: Y is projected from the views' sum, where their mean is the
minimiser, and of an odd number of samples the two slices of highest frequency are shrunk twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvlib.check import choice, real, whole
from mvlib.methods.base import ViewClustering, kmeans_labels
from mvlib.ops import unit_rows

ORDERS = ("shuffled", "given")
TOLERANCE = 1e-4


def polar(M: np.ndarray) -> np.ndarray:
    """Return the nearest matrix with orthonormal columns; of zeros, the first axes.

    W_v = polar(X_v (H_v + S_v)^T), C_v = polar(H_v Y^T)  (DSTL, as coded)
    """
    if not M.any():
        return np.eye(*M.shape)
    left, _, right = np.linalg.svd(M, full_matrices=False)
    return left @ right


def shrunk(values: np.ndarray, threshold: float) -> np.ndarray:
    """Bring numbers nearer to zero.

    S_v = soft(W_v^T X_v - H_v, lambda1 / 2)  (DSTL, as coded)
    """
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def shrunk_tensor(tensor: np.ndarray, threshold: float) -> np.ndarray:
    """Lower the singular values of a tensor's slices, of a Fourier transform along the samples.

    H = t-SVT([W^T X - S + lambda3 C Y] / (1 + lambda3), lambda2 / (2 + 2 lambda3))  (DSTL, as coded)

    Parameters
    ----------
    tensor : ndarray of shape (n_views, rank, n_samples)
        Its slices are of rank x n_views, one a frequency.
    threshold : float
        What is taken off each singular value of the transform, which is not scaled. Of an odd
        number of samples the two slices of highest frequency lose it twice, as in the code.

    Returns
    -------
    ndarray of the same shape
    """  # noqa: E501
    n = tensor.shape[2]
    slices = np.fft.rfft(tensor, axis=2).transpose(2, 1, 0)
    left, values, right = np.linalg.svd(slices, full_matrices=False)
    thresholds = np.full((len(slices), 1), threshold)
    if n % 2 and n > 1:
        thresholds[-1] *= 2
    kept = (left * np.maximum(values - thresholds, 0)[:, None]) @ right
    return np.fft.irfft(kept.transpose(2, 1, 0), n=n, axis=2)


def nuclear_norm(tensor: np.ndarray) -> float:
    """Compute the tensor nuclear norm, the mean over all slices of their singular values' sum.

    |H|_TNN = 1/N sum_f |fft(H)_f|_*  (DSTL, as coded)
    """
    slices = np.fft.fft(tensor, axis=2).transpose(2, 1, 0)
    return float(np.linalg.svd(slices, compute_uv=False).sum() / tensor.shape[2])


def simplex(columns: np.ndarray) -> np.ndarray:
    """Return the nearest columns without negative entries that sum to one.

    Y = simplex(sum_v C_v^T H_v)  (DSTL, as coded)
    """
    k, n = columns.shape
    ordered = -np.sort(-columns, axis=0)
    excess = (np.cumsum(ordered, axis=0) - 1) / np.arange(1, k + 1)[:, None]
    last = (ordered > excess).sum(axis=0) - 1
    return np.maximum(columns - excess[last, np.arange(n)], 0)


def total_loss(
    Xs: Sequence[np.ndarray],
    W: Sequence[np.ndarray],
    C: Sequence[np.ndarray],
    S: np.ndarray,
    H: np.ndarray,
    Y: np.ndarray,
    lambdas: tuple[float, float, float],
) -> float:
    """Compute what the steps of W, C, S and H lower.

    L = sum_v |X_v - W_v (H_v + S_v)|^2 + lambda1 |S_v|_1 + lambda3 |H_v - C_v Y|^2 + lambda2 |H|_TNN  (DSTL, as coded)
    """  # noqa: E501
    by_view = sum(
        np.square(X - W[v] @ (H[v] + S[v])).sum()
        + lambdas[0] * np.abs(S[v]).sum()
        + lambdas[2] * np.square(H[v] - C[v] @ Y).sum()
        for v, X in enumerate(Xs)
    )
    return float(by_view + lambdas[1] * nuclear_norm(H))


@dataclass(eq=False, repr=False, kw_only=True)
class DSTL(ViewClustering):
    """Clustering by slim tensors of low rank; its code reads the classes from the rows' order.

    Any number of views, row i of all of which is taken for one sample. There is no map for new
    rows.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, and of rows of a slim matrix.
    lambda1, lambda2, lambda3 : float, default=1.0, 5.0, 1e-4
        Weights of the sparse part, of the tensor's rank, and of what the views share. The code
        says of the first two that they are searched for, a set apart.
    order : {"shuffled", "given"}, default="shuffled"
        "given" takes the rows as they come, as the code does: on a file sorted by class that is
        to read the labels. "shuffled" draws another order by the seed.
    max_iter : int, default=21
        Bound on the iterations; they stop once Y changes by less than 1e-4 of its square.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row, by k-means of `embedding_`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        The columns of Y at unit length.
    history_ : dict of str to ndarray
        `objective`, after each iteration.

    Notes
    -----
    *Use it* to see what the order of a file is worth, or on shuffled rows whose columns have
    mean 0; not with `order="given"` where classes stand together, and not on features with a
    large mean, which is all that is kept of them. A row's length changes nothing. *Cost*: up to
    21 iterations, each n * n_features * n_clusters and the singular values of n / 2 matrices
    of n_clusters x n_views. *Beside it*: `KMeansConcatenation`, `SpectralConcatenation`.
    """

    lambda1: float = 1.0
    lambda2: float = 5.0
    lambda3: float = 1e-4
    order: str = "shuffled"
    max_iter: int = 21

    _bounds = {
        **dict.fromkeys(("lambda1", "lambda2", "lambda3"), real(0)),
        "order": choice(ORDERS),
        "max_iter": whole(),
    }

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        n = len(aligned)
        rows = np.arange(n)
        if self.order == "shuffled":
            rows = np.random.default_rng(seed).permutation(n)
        Xs = [unit_rows(X.astype(np.float64))[rows].T for X in views]
        Y, self.history_ = self._factorised(Xs)
        self.embedding_ = np.empty((n, self.n_clusters), np.float32)
        self.embedding_[rows] = unit_rows(Y.T)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _factorised(self, Xs: list[np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return Y and the history, of views of features by samples."""
        lambdas = self.lambda1, self.lambda2, self.lambda3
        n_views, k, n = len(Xs), self.n_clusters, Xs[0].shape[1]
        H, S, Y = np.zeros((n_views, k, n)), np.zeros((n_views, k, n)), np.zeros((k, n))
        losses: list[float] = []
        for iteration in range(self.max_iter):
            W = [polar(X @ (H[v] + S[v]).T) for v, X in enumerate(Xs)]
            C = [polar(H[v] @ Y.T) for v in range(n_views)]
            projected = np.stack([W[v].T @ X for v, X in enumerate(Xs)])
            S = shrunk(projected - H, self.lambda1 / 2)
            shared = self.lambda3 * np.stack([C[v] @ Y for v in range(n_views)])
            mean = (projected - S + shared) / (1 + self.lambda3)
            H = shrunk_tensor(mean, self.lambda2 / (2 * (1 + self.lambda3)))
            before, Y = Y, simplex(sum(C[v].T @ H[v] for v in range(n_views)))
            losses.append(total_loss(Xs, W, C, S, H, Y, lambdas))
            if iteration and np.square(Y - before).sum() < TOLERANCE * np.square(Y).sum():
                break
        return Y, {"objective": np.array(losses)}
