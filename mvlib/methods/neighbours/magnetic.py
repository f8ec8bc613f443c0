"""Magnetic phase ablation: the textbook's magnetic Laplacian of the views' neighbours.

Source: the operator is that of Fanuel, Alaiz and Suykens, "Magnetic eigenmaps for community
detection in directed networks", arXiv 1606.07359, normalised by degrees. It is asked for beside
"Phase-Consistent Magnetic Spectral Learning", arXiv 2602.18728, of which the abstract alone is
known: **this is not that method**, but an ablation of what its name begins with.

Picture
-------
given : views, rows paired
learns : nothing
pulls : neighbours together, an edge turned by a phase where but one end chooses the other
matches : nothing
groups : k-means of the real and imaginary parts of the lowest eigenvectors

Deviations
----------
How the paper defines its phase is not known, nor are its hypergraph and its networks built.
Ours are the graphs, `phase_scale`, and the phase: how much more often, over the views, row i
has row j among its nearest than j has i. Views that disagree on the direction cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import StandardScaler

from mvlib.check import check_number, real, whole
from mvlib.methods.base import Mask, ViewClustering, Views, kmeans_labels


def mean_neighbours(views: Sequence[np.ndarray], n_neighbors: int) -> np.ndarray:
    """Return in what share of the views each row has another among its nearest.

    P_ij = 1/V sum_v [j among the nearest of i in view v], P_ii = 0  (ours)
    """
    graphs = [kneighbors_graph(X, n_neighbors, include_self=False) for X in views]
    return np.mean([graph.toarray() for graph in graphs], axis=0)


def affinity_and_phase(P: np.ndarray, phase_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a symmetric affinity and an antisymmetric phase of a directed graph.

    W = (P + P^T) / 2  (magnetic Laplacian, textbook)

    The phase is the textbook's where P holds zeros and ones.

    Theta = s (P - P^T)  (magnetic Laplacian, textbook)
    """
    return (P + P.T) / 2, phase_scale * (P - P.T)


def magnetic_laplacian(W: np.ndarray, Theta: np.ndarray) -> np.ndarray:
    """Return a Hermitian matrix whose eigenvalues lie from 0 to 2.

    L = I - D^-1/2 (W o exp(i Theta)) D^-1/2, D = diag(W 1)  (magnetic Laplacian, textbook)

    Every row of W has a positive sum.
    """
    scale = 1 / np.sqrt(W.sum(axis=1))
    return np.eye(len(W)) - scale[:, None] * W * np.exp(1j * Theta) * scale


def lowest(L: np.ndarray, n_vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest eigenvalues and their vectors, as columns.

    An eigenvector is free up to a phase: its largest entry is made real and positive.
    """
    values, vectors = linalg.eigh(L, subset_by_index=[0, n_vectors - 1])
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(n_vectors)]
    return values, vectors * (np.abs(largest) / largest)


@dataclass(eq=False, repr=False, kw_only=True)
class MagneticPhaseAblation(ViewClustering):
    """Spectral clustering of the views' mean graph whose edges carry a phase.

    Any number of views, row i of all of which is taken for one sample. There is no map for new
    rows.

    Parameters
    ----------
    phase_scale : float, default=1.5707963267948966
        s, the phase in radians of an edge that has one direction in all views; by default a
        quarter turn. With 0 this is spectral clustering of the mean graph.
    n_neighbors : int, default=10
        Nearest others of a row in each view, whose columns are brought to mean 0 and deviation
        1; doubled as long as the mean graph falls into more pieces than clusters.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row, by the best of ten starts of k-means of `embedding_`.
    embedding_ : ndarray of shape (n_samples, 2 * n_clusters), float32
        Real, then imaginary parts of the eigenvectors.
    eigenvalues_ : ndarray of shape (n_clusters,)
        The lowest of L, ascending.
    n_neighbors_ : int
        The neighbours that were taken.

    Notes
    -----
    *Use it* to see whether the direction of neighbours says anything, with `phase_scale=0`
    beside it; not as a phase-consistent method, which it is not. An offset or the scale of a
    column changes nothing. *Cost*: neighbours a view, and eigenvectors of a complex n x n
    matrix, n cubed. *Beside it*: `SpectralConcatenation`, `ADSSCViews`.

    Phases that are differences of numbers of the rows, Theta_ij = a_i - a_j, leave the
    eigenvalues as they are and turn each row by its own phase: what counts for the spectrum is
    what phases add up to around circles of edges.
    """

    phase_scale: float = np.pi / 2
    n_neighbors: int = 10

    _bounds = {"phase_scale": real(), "n_neighbors": whole()}
    _any_offset = True

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        most = len(aligned) - 1
        check_number("n_neighbors", self.n_neighbors, high=most)
        scaled = [StandardScaler().fit_transform(X) for X in views]
        self.n_neighbors_ = self.n_neighbors
        while True:
            P = mean_neighbours(scaled, self.n_neighbors_)
            if connected_components(P, directed=False)[0] <= self.n_clusters:
                break
            self.n_neighbors_ = min(2 * self.n_neighbors_, most)
        L = magnetic_laplacian(*affinity_and_phase(P, self.phase_scale))
        self.eigenvalues_, vectors = lowest(L, self.n_clusters)
        parts = np.hstack([vectors.real, vectors.imag])
        self.embedding_ = parts.astype(np.float32)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)
