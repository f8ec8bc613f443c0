"""A-DSSC and J-DSSC: self-expression whose graph is brought to rows and columns of sum one.

Source: Lim, Vidal and Haeffele, "Doubly Stochastic Subspace Clustering", arXiv 2011.14859, as
the first author's code, https://github.com/cptq/SubspaceClusteringJulia (MIT licence), computes
it. Words are not read.

Each image is a sum of the others (least squares, in closed form); the sizes of the coefficients
are then fitted by a doubly stochastic matrix, which is sparse by itself. J-DSSC seeks both
together.

Picture
-------
given : features of images; no word is read
learns : coefficients that write each image as a sum of others; nothing by gradient
pulls : a graph whose rows and columns sum to one
matches : nothing
groups : spectral clustering of that graph

Deviations
----------
k-means is the best of ten starts; the code averages the scores of a hundred single ones. L-BFGS
is SciPy's. The code chooses `eta2` by labels, from a grid of six; by default it is here the
smallest of that grid, and then of larger numbers, at which an image has `n_neighbors` others,
which reads no label. `ADSSCViews` is ours: the mean of the views' graphs.

J-DSSC's 2,000 steps end before it has converged: its constraints hold by then, while what it
lowers goes on falling. The code's own stopping rule looks at the size of the coefficients and
not at what changes, so that it never stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg
from scipy.optimize import minimize

from mvlib.check import optional, real, whole
from mvlib.encoders import Encoder
from mvlib.methods.base import ViewClustering, kmeans_labels
from mvlib.methods.images.subspace import spectral_rows
from mvlib.methods.words import WordClustering
from mvlib.ops import unit_rows

# The grid of the code, and larger ones.
WEIGHTS = (0.0005, 0.001, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
COUNTED = 1e-6
RHO, STEP = 0.5, 1e-4


def least_squares(X: np.ndarray, eta1: float) -> np.ndarray:
    """Code each row by all others.

    Q = -D diag(D)^-1, D = (X^T X + eta1 I)^-1, Q_ii = 0  (DSSC, as coded)

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length, the columns of the paper's X.
    eta1 : float
        Weight of the coefficients' squares.

    Returns
    -------
    ndarray of shape (n_samples, n_samples)
        Column j codes row j. Not symmetric.
    """
    D = linalg.inv(X @ X.T + eta1 * np.eye(len(X)))
    Q = -D / np.diag(D)
    np.fill_diagonal(Q, 0)
    return Q


def doubly_stochastic(K: np.ndarray, eta2: float) -> np.ndarray:
    """Return the matrix of row and column sums one that fits sizes best; not symmetric.

    A = argmin -<K, A> + eta2/2 |A|^2, A >= 0, A 1 = A^T 1 = 1  (DSSC, as coded)

    By its dual, whose two vectors L-BFGS finds.

    u, v = argmin sum_ij [u_i + v_j + K_ij]_+^2 / (2 eta2) - sum u - sum v  (DSSC, as coded)
    """
    n = len(K)

    def dual(both: np.ndarray) -> tuple[float, np.ndarray]:
        left = np.maximum(both[:n, None] + both[n:] + K, 0)
        slopes = [left.sum(axis=1) / eta2 - 1, left.sum(axis=0) / eta2 - 1]
        return np.square(left).sum() / (2 * eta2) - both.sum(), np.concatenate(slopes)

    stop = {"maxiter": 1000, "maxfun": 10000, "gtol": 1e-8, "ftol": 0, "maxcor": 10}
    start = np.full(2 * n, -K.max() / 2)
    found = minimize(dual, start, jac=True, method="L-BFGS-B", options=stop).x
    return np.maximum(found[:n, None] + found[n:] + K, 0) / eta2


def fitted_graph(
    X: np.ndarray, eta1: float, eta2: float | None, n_neighbors: int
) -> tuple[np.ndarray, float]:
    """Return A, made symmetric, and the weight, which is sought where it is None."""
    K = np.abs(least_squares(unit_rows(X.astype(np.float64)), eta1))
    weights = WEIGHTS if eta2 is None else (eta2,)
    for weight in weights:
        A = doubly_stochastic(K, weight)
        if (A > COUNTED).sum() >= min(n_neighbors, len(K) - 1) * len(K):
            break
    return (A + A.T) / 2, weight


def joint(
    X: np.ndarray, eta1: float, eta2: float, eta3: float, max_iter: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seek coefficients and a doubly stochastic C together, by linearised ADMM.

    L = 1/2 |X - X Q|^2 + eta1/2 |Q_p + Q_n - eta2 C|^2 + eta3 |Q|_1  (DSSC, as coded)

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.
    eta1, eta2, eta3, max_iter : float, float, float, int
        Weights, and the steps, all of which are taken.

    Returns
    -------
    Q_p, Q_n, C : ndarray of shape (n_samples, n_samples)
    """
    X, n = X.T, len(X)
    g1, g2 = np.sqrt(eta1), np.sqrt(eta1) * eta2
    Q = least_squares(X.T, eta1)
    P, N = np.maximum(Q, 0), np.maximum(-Q, 0)
    C = A = (np.ones((n, n)) - np.eye(n)) / (n - 1)
    Z, L_z = np.zeros_like(X), np.zeros_like(X)
    columns, rows, L_a = np.zeros(n), np.zeros(n), np.zeros((n, n))

    def part(mine: np.ndarray, other: np.ndarray, slope: np.ndarray) -> np.ndarray:
        target = (mine - STEP * slope) / STEP - g1**2 * other + g1 * g2 * C - eta3
        new = np.maximum(target / (g1**2 + 1 / STEP), 0)
        np.fill_diagonal(new, 0)
        return new

    for _ in range(max_iter):
        G = RHO * X.T @ (X @ (P - N) - Z) - X.T @ L_z
        P, N = part(P, N, G), part(N, P, -G)
        C = np.maximum((g1 * g2 * (P + N) + RHO * A + L_a) / (RHO + g2**2), 0)
        V = RHO * C + 2 * RHO - columns - rows[:, None] - L_a
        total = V.sum() / (2 * n + 1)
        r, c = (V.sum(axis=1) - total) / (n + 1), (V.sum(axis=0) - total) / (n + 1)
        A = (V - r[:, None] - c) / RHO
        XQ = X @ (P - N)
        Z = (X - L_z + RHO * XQ) / (1 + RHO)
        columns = columns + RHO * (A.sum(axis=0) - 1)
        rows = rows + RHO * (A.sum(axis=1) - 1)
        L_a = L_a + RHO * (A - C)
        L_z = L_z + RHO * (Z - XQ)
    return P, N, C


_BOUNDS: Any = {
    "eta1": real(0, open_low=True),
    "eta2": optional(real(0, open_low=True)),
    "n_neighbors": whole(),
}


def _cut(model: Any, A: np.ndarray, seed: int) -> None:
    """Set the graph, its eigenvectors and their clusters."""
    model.affinity_ = A.astype(np.float32)
    model.embedding_ = spectral_rows(A, model.n_clusters).astype(np.float32)
    model.labels_ = kmeans_labels(model.embedding_, model.n_clusters, seed)


@dataclass(eq=False, repr=False, kw_only=True)
class ADSSC(WordClustering):
    """Least squares among the images, then the nearest doubly stochastic graph.

    There is no map for new images.

    Parameters
    ----------
    eta1 : float, default=1.0
        Weight of the coefficients' squares. The code's grid is 0.1, 1, 10, 25, 50.
    eta2 : float, optional
        Weight of the graph's squares: the larger, the more others an image has. By default
        sought without labels.
    n_neighbors : int, default=20
        How many others an image shall have, in the mean, where `eta2` is sought.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Leading eigenvectors of the graph, rows at unit length.
    affinity_ : ndarray of shape (n_samples, n_samples), float32
        The graph.
    eta2_ : float
        The weight that was taken.

    Notes
    -----
    *Use it* on up to some thousand images, also to make any other affinity doubly stochastic by
    `doubly_stochastic`; not where classes are not linear subspaces. The length of an image's
    features changes nothing. *Cost*: an inverse and eigenvectors of n x n numbers, n cubed, and
    up to a thousand passes over them a weight. *Beside it*: `CLIPKMeans`, `SSCOMP`.
    """

    eta1: float = 1.0
    eta2: float | None = None
    n_neighbors: int = 20

    _bounds = _BOUNDS

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        A, self.eta2_ = self._graph(X)
        _cut(self, A, seed)

    def _graph(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        return fitted_graph(X, self.eta1, self.eta2, self.n_neighbors)


@dataclass(eq=False, repr=False, kw_only=True)
class JDSSC(ADSSC):
    """Coefficients and a doubly stochastic graph sought together, for a few hundred images.

    Parameters
    ----------
    eta1 : float
        As in `ADSSC`; here the code's grid is 0.01, 0.25, 1, 25.
    eta2 : float, default=0.1
        What an entry of the graph counts beside a coefficient. The code's grid is 0.01, 0.05,
        0.1, 0.2.
    eta3 : float, default=0.0
        Weight of the coefficients' sizes.
    max_iter : int, default=2000
        Steps, all of which are taken.

    Notes
    -----
    *Use it* to see what seeking both together adds to `ADSSC`; not on more than some hundred
    images. It has not converged after the code's steps. The length of an image's features
    changes nothing. *Cost*: 2,000 steps of n^2 * n_features. *Beside it*: `CLIPKMeans`,
    `ADSSC`.
    """

    eta2: float = 0.1
    eta3: float = 0.0
    max_iter: int = 2000

    _bounds = {"eta2": real(0, open_low=True), "eta3": real(0)}

    def _graph(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        unit = unit_rows(X.astype(np.float64))
        C = joint(unit, self.eta1, self.eta2, self.eta3, self.max_iter)[2]
        return (C + C.T) / 2, self.eta2


@dataclass(eq=False, repr=False, kw_only=True)
class ADSSCViews(ViewClustering):
    """The mean of the graphs that A-DSSC makes of each view, which is our way to join them.

    Any number of views, row i of all of which is taken for one sample. There is no map for new
    rows.

    Parameters
    ----------
    eta1, eta2, n_neighbors
        As in `ADSSC`, the same for all views; `eta2` is sought for each where it is None.

    Attributes
    ----------
    labels_, embedding_
        As in `ADSSC`.
    affinity_ : ndarray of shape (n_samples, n_samples), float32
        The mean graph.

    Notes
    -----
    *Use it* on up to some thousand rows that are rightly paired, where classes are linear
    subspaces; rows that are not partners are averaged all the same. A row's length changes
    nothing. *Cost*: a view, an inverse of n x n numbers and up to a thousand passes over them a
    weight; eigenvectors once, n cubed. *Beside it*: `KMeansConcatenation`,
    `SpectralConcatenation`.
    """

    eta1: float = 1.0
    eta2: float | None = None
    n_neighbors: int = 20

    _bounds = _BOUNDS

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        how = self.eta1, self.eta2, self.n_neighbors
        A = np.mean([fitted_graph(X, *how)[0] for X in views], axis=0)
        _cut(self, A, seed)
