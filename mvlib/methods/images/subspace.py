"""SSC-OMP and EnSC: each image as a sparse sum of others, then spectral clustering.

Source: You, Robinson and Vidal, "Scalable sparse subspace clustering by orthogonal matching
pursuit" (CVPR 2016), and You, Li, Robinson and Vidal, "Oracle based active set algorithm for
scalable elastic net subspace clustering" (CVPR 2016), as the first author's code,
https://github.com/ChongYou/subspace-clustering (MIT licence), computes them. No word is read.

Rows of one subspace code one another, so that the coefficients are a graph of the images.

Picture
-------
given : features of images; no word is read
learns : coefficients that write each image as a sparse sum of others; nothing by gradient
pulls : few coefficients, a small error
matches : nothing
groups : spectral clustering of the graph of coefficients

Deviations
----------
Rows are brought to unit length, which the code leaves to the caller. The elastic net is solved
by scikit-learn's coordinate descent, inside the code's active sets. k-means is the best of ten
starts for both; the code takes twenty for EnSC. The eigenvectors come from LAPACK, since an
iterative solver may miss some where the graph is in pieces.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from mvlib.check import real, whole
from mvlib.encoders import Encoder
from mvlib.methods.base import kmeans_labels
from mvlib.methods.words import WordClustering
from mvlib.ops import unit_rows

BLOCK = 256
ROUNDS, SETTLED = 40, 1e-10
ZERO = 1e-10


def pursuit(X: np.ndarray, n_nonzero: int, tolerance: float) -> sparse.csr_array:
    """Code each row by a few others, found one after the other.

    s_t = argmax_(j != i) |<r, x_j>|, c = argmin |x_i - sum_s c_s x_s|^2, r = x_i - sum_s c_s x_s  (SSC-OMP, as coded)

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows of unit length.
    n_nonzero : int
        Most rows that code another.
    tolerance : float
        A row is done, after an addition, once |r|^2 is below this.

    Returns
    -------
    csr_array of shape (n_samples, n_samples)
        Coefficients, a row a sample, without a diagonal.
    """  # noqa: E501
    n, steps = len(X), min(n_nonzero, len(X) - 1)
    support = np.zeros((n, steps), np.int64)
    found = np.zeros((n, steps))
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        residual = X[rows]
        for step in range(steps):
            nearness = np.abs(residual @ X.T)
            nearness[np.arange(len(rows)), rows] = -1
            np.put_along_axis(nearness, support[rows, :step], -1, axis=1)
            support[rows, step] = nearness.argmax(axis=1)
            atoms = X[support[rows, : step + 1]]
            inner = np.linalg.pinv(atoms @ atoms.transpose(0, 2, 1), hermitian=True)
            weights = (inner @ (atoms @ X[rows][:, :, None]))[:, :, 0]
            found[rows, : step + 1] = weights
            residual = X[rows] - np.einsum("is,isd->id", weights, atoms)
            left = np.square(residual).sum(axis=1) >= tolerance
            rows, residual = rows[left], residual[left]
            if not len(rows):
                break
    begins = np.arange(0, n * steps + 1, steps) if steps else np.zeros(n + 1, int)
    return sparse.csr_array((found.ravel(), support.ravel(), begins), shape=(n, n))


def elastic_net(X: np.ndarray, row: int, alpha: float, tau: float, n_active: int) -> np.ndarray:
    """Code one row by the others, sparsely.

    c = argmin 1/2 |x - c X|^2 + alpha (tau |c|_1 + (1 - tau)/2 |c|^2)  (EnSC, as coded)

    The problem is solved on an active set of rows, first those of the largest |<x, x_j>|; each
    round adds those whose |<x - c X, x_j>| exceeds alpha tau, and keeps those that count.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.
    row : int
        x, which row is coded.
    alpha, tau : float
        Weight of the penalty, and the share of it that is sparse.
    n_active : int
        Rows of the first active set.

    Returns
    -------
    ndarray of shape (n_samples,)
        c, zero at the row itself.
    """
    x, (n, width) = X[row], X.shape
    size = min(n_active, n - 1)
    nearness = np.abs(X @ x)
    nearness[row] = -1
    active = np.argsort(-nearness, kind="stable")[:size]
    model = ElasticNet(
        alpha / width, l1_ratio=tau, fit_intercept=False, max_iter=5000, tol=1e-8
    )
    best, found = np.inf, np.zeros(n)
    for _ in range(ROUNDS):
        with warnings.catch_warnings():
            # Where descent stops short, the next round goes on from a larger active set.
            warnings.simplefilter("ignore", ConvergenceWarning)
            weights = model.fit(X[active].T, x).coef_
        rest = x - weights @ X[active]
        penalty = tau * np.abs(weights).sum() + (1 - tau) / 2 * np.square(weights).sum()
        objective = np.square(rest).sum() / 2 + alpha * penalty
        if objective > best:
            break
        settled = best - objective < SETTLED * objective
        best, found = objective, np.zeros(n)
        found[active] = weights
        if settled:
            break
        kept = active[np.abs(weights) > ZERO]
        oracle = np.abs(X @ rest)
        oracle[active] = oracle[row] = 0
        added = np.flatnonzero(oracle > alpha * (tau + ZERO))
        if not len(added):
            break
        if len(kept) > 0.8 * size:
            size = min(round(1.1 * max(len(kept), size)), n - 1)
        added = added[np.argsort(-oracle[added], kind="stable")][: size - len(kept)]
        active = np.concatenate([kept, added])
    return found


def affinity(C: sparse.csr_array) -> np.ndarray:
    """Make a graph of coefficients.

    A = (|C| + |C|^T) / 2, rows of C at unit length  (SSC, as coded)
    """
    full = np.abs(unit_rows(C.toarray()))
    return (full + full.T) / 2


def spectral_rows(A: np.ndarray, n_clusters: int, least: float = 1e-8) -> np.ndarray:
    """Return the leading eigenvectors of D^-1/2 A D^-1/2, each row at unit length.

    The diagonal counts. D has the row sums and `least`. A graph in pieces is taken as it is.
    """
    scale = 1 / np.sqrt(A.sum(axis=1) + least)
    n = len(A)
    matrix = scale[:, None] * A * scale
    _, vectors = linalg.eigh(matrix, subset_by_index=[n - n_clusters, n - 1])
    return unit_rows(vectors)


@dataclass(eq=False, repr=False, kw_only=True)
class _Subspace(WordClustering):
    """What both share: coefficients, a graph, its eigenvectors, k-means; no word is read.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Leading eigenvectors of the graph, rows at unit length.
    coefficients_ : csr_array of shape (n_samples, n_samples)
        What codes each image.
    """

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        self.coefficients_ = self._code(unit_rows(X.astype(np.float64)))
        rows = spectral_rows(affinity(self.coefficients_), self.n_clusters)
        self.embedding_ = rows.astype(np.float32)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _code(self, X: np.ndarray) -> sparse.csr_array:
        raise NotImplementedError


@dataclass(eq=False, repr=False, kw_only=True)
class SSCOMP(_Subspace):
    """Subspace clustering by orthogonal matching pursuit, of image features.

    There is no map for new images.

    Parameters
    ----------
    n_nonzero : int, default=10
        q, most images that code another.
    tolerance : float, default=1e-6
        An image is coded once what is left of it is below this, squared.

    Notes
    -----
    *Use it* where classes are linear subspaces, as faces under changing light are; not where
    they lie round a mean, as features of CLIP mostly do. The length of an image's features
    changes nothing. *Cost*: n_nonzero * n^2 * n_features, and eigenvectors of n x n numbers, n
    cubed. *Beside it*: `CLIPKMeans`.
    """

    n_nonzero: int = 10
    tolerance: float = 1e-6

    _bounds = {"n_nonzero": whole(), "tolerance": real(0)}

    def _code(self, X: np.ndarray) -> sparse.csr_array:
        return pursuit(X, self.n_nonzero, self.tolerance)


@dataclass(eq=False, repr=False, kw_only=True)
class EnSC(_Subspace):
    """Elastic net subspace clustering, of image features.

    There is no map for new images.

    Parameters
    ----------
    gamma : float, default=200.0
        The larger, the weaker the penalty: alpha = max_j |<x_i, x_j>| / (tau gamma). The
        authors' class has 50 by default, their script for digits 200.
    tau : float, default=0.9
        Share of the penalty that is sparse: that of the script for digits, where the class has
        1.
    n_active : int, default=100
        Images of the first active set.
    n_kept : int, default=50
        Largest coefficients of each image that are kept.

    Notes
    -----
    *Use it* as `SSCOMP`, where its few coefficients leave the graph in pieces. The length of an
    image's features changes nothing. *Cost*: an elastic net of some hundred images an image,
    n^2 * n_features for what joins them, and eigenvectors of n x n numbers, n cubed. *Beside
    it*: `CLIPKMeans`, `SSCOMP`.
    """

    gamma: float = 200.0
    tau: float = 0.9
    n_active: int = 100
    n_kept: int = 50

    _bounds = {
        "gamma": real(0, open_low=True),
        "tau": real(0, 1, open_low=True),
        # A tenth more of fewer would be none more.
        "n_active": whole(5),
        "n_kept": whole(),
    }

    def _code(self, X: np.ndarray) -> sparse.csr_array:
        if X.shape[1] > len(X):
            # Only inner products count, and these are kept.
            X = np.asarray(np.linalg.qr(X.T, mode="r")).T
        rows = sparse.lil_array((len(X), len(X)))
        for i, x in enumerate(X):
            alpha = np.abs(np.delete(X @ x, i)).max(initial=0) / (self.tau * self.gamma)
            if alpha > 0:
                found = elastic_net(X, i, alpha, self.tau, self.n_active)
                largest = np.argsort(-np.abs(found), kind="stable")[: self.n_kept]
                rows[[i], largest] = found[largest]
        rows = rows.tocsr()
        rows.eliminate_zeros()
        return rows
