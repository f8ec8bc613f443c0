"""Floors: what simple methods reach on the same rows, scored on the same labels.

A method that pairs two views is worth its trouble where it beats these. Each takes the
views as they come, paired or not, and names the rows of view 1 (`KMeansView` those of its
own view).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.linear_model import Ridge
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import StandardScaler

from mvlib._validation import check_mask, check_n_clusters, check_number, check_views
from mvlib.methods.smart.estimator import SMART


def _kmeans(X: np.ndarray, n_clusters: int, random_state: int | None) -> np.ndarray:
    check_n_clusters(n_clusters, len(X))
    found = KMeans(n_clusters, n_init=10, random_state=random_state).fit(X)
    return found.labels_.astype(np.int64)


class _Floor(ClusterMixin, BaseEstimator):
    def fit_predict(self, Xs: Sequence[Any], aligned: Any = None, y: None = None) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(Xs, aligned, y).labels_


class KMeansView(_Floor):
    """k-means of one view, the others unseen: alignment cannot change it.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    view : int, default=0
        Which view, from 0. The labels name the rows of that view.
    random_state : int, optional
        Seed of the ten k-means++ starts of scikit-learn's `KMeans`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of the view.
    embedding_ : ndarray of shape (n_samples, n_features_v)
        The view.
    """

    def __init__(self, n_clusters: int, *, view: int = 0, random_state: int | None = None):
        self.n_clusters, self.view, self.random_state = n_clusters, view, random_state

    def fit(self, Xs: Sequence[Any], aligned: Any = None, y: None = None) -> KMeansView:
        """Cluster the view.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            The views.
        aligned, y
            Not read.

        Raises
        ------
        ValueError
            On NaN, infinity, unequal lengths, more clusters than rows, or no such view.
        """
        views = check_views(Xs)
        check_number("view", self.view, low=0, high=len(views) - 1, integer=True)
        self.embedding_ = views[self.view]
        self.labels_ = _kmeans(self.embedding_, self.n_clusters, self.random_state)
        return self


class KMeansConcatenation(_Floor):
    """k-means of the views side by side, row i beside row i whether partners or not.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    random_state : int, optional
        Seed of the ten k-means++ starts of scikit-learn's `KMeans`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The concatenation.
    """

    def __init__(self, n_clusters: int, *, random_state: int | None = None):
        self.n_clusters, self.random_state = n_clusters, random_state

    def fit(
        self, Xs: Sequence[Any], aligned: Any = None, y: None = None
    ) -> KMeansConcatenation:
        """Cluster the concatenation.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            The views, on scales that compare.
        aligned, y
            Not read.

        Raises
        ------
        ValueError
            On NaN, infinity, unequal lengths, or more clusters than rows.
        """
        self.embedding_ = np.hstack(check_views(Xs))
        self.labels_ = _kmeans(self.embedding_, self.n_clusters, self.random_state)
        return self


class SpectralConcatenation(_Floor):
    """Spectral clustering of the views side by side, each feature standardised.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    n_neighbors : int, default=10
        Of the symmetrised nearest-neighbour graph.
    random_state : int, optional
        Seed of the eigen-solver and of k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The standardised concatenation.
    n_components_ : int
        Connected components of the graph.

    Notes
    -----
    A graph of as many components as clusters is its own clustering: the components are the
    labels then, since Lanczos solvers return a wrong subspace there without a warning. The
    solver is LOBPCG, a block method.
    """

    def __init__(
        self, n_clusters: int, *, n_neighbors: int = 10, random_state: int | None = None
    ):
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def fit(
        self, Xs: Sequence[Any], aligned: Any = None, y: None = None
    ) -> SpectralConcatenation:
        """Cluster the graph of the concatenation.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            The views.
        aligned, y
            Not read.

        Raises
        ------
        ValueError
            On NaN, infinity, unequal lengths, more clusters than rows, too few rows for
            `n_neighbors`, or a graph of more components than clusters.
        """
        views = check_views(Xs)
        n = len(views[0])
        check_n_clusters(self.n_clusters, n)
        check_number("n_neighbors", self.n_neighbors, low=1, high=n - 1, integer=True)
        self.embedding_ = StandardScaler().fit_transform(np.hstack(views))
        graph = kneighbors_graph(self.embedding_, self.n_neighbors, include_self=True)
        graph = (graph + graph.T) / 2
        self.n_components_, parts = connected_components(graph, directed=False)
        if self.n_components_ > self.n_clusters:
            raise ValueError(
                f"n_neighbors={self.n_neighbors} leaves the graph in {self.n_components_} "
                f"pieces: expected at most n_clusters={self.n_clusters}; raise n_neighbors"
            )
        if self.n_components_ == self.n_clusters:
            self.labels_ = parts.astype(np.int64)
            return self
        self.labels_ = (
            SpectralClustering(
                self.n_clusters,
                affinity="precomputed",
                eigen_solver="lobpcg",
                random_state=self.random_state,
            )
            .fit_predict(graph)
            .astype(np.int64)
        )
        return self


class AutoencoderKMeans(_Floor):
    """SMART's auto-encoders with L_rec alone, then k-means of the joined embeddings.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    settings : dict, optional
        Keyword arguments of `SMART` for networks and training, such as `epochs`. Its loss
        weights are set to 0.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, n_views * embedding_dim), float32
        Embeddings side by side.
    history_ : dict of str to ndarray
        As SMART's.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        settings: dict[str, Any] | None = None,
        random_state: int | None = None,
    ):
        self.n_clusters, self.settings, self.random_state = n_clusters, settings, random_state

    def fit(self, Xs: Sequence[Any], aligned: Any = None, y: None = None) -> AutoencoderKMeans:
        """Train the auto-encoders and cluster.

        Parameters
        ----------
        Xs : list of array-like, each (n_samples, n_features_v)
            Two views or more.
        aligned : array-like of shape (n_samples,), bool, optional
            Read by `AutoencoderHungarian` alone. All, by default.
        y
            Not read.

        Raises
        ------
        ValueError
            As `SMART.fit`.
        """
        views = check_views(Xs, minimum=2)
        flags = np.ones(len(views[0]), bool)
        if aligned is not None:
            flags = check_mask(aligned, len(views[0]))
        settings = dict(self.settings or {}) | {"lambda1": 0.0, "lambda2": 0.0}
        model = SMART(self.n_clusters, **settings, random_state=self.random_state).fit(views)
        self.history_ = model.history_
        Zs = self._match(model.encode(views), flags)
        self.embedding_ = np.hstack(Zs)
        self.labels_ = _kmeans(self.embedding_, self.n_clusters, self.random_state)
        return self

    def _match(self, Zs: list[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
        return Zs


class AutoencoderHungarian(AutoencoderKMeans):
    """As `AutoencoderKMeans`, with the unaligned rows matched one to one first.

    The embeddings of the views share no space. Ridge regression (alpha 1) on the aligned
    rows maps each further view's embedding to view 1's; the Hungarian method then gives
    each unaligned row of view 1 the partner that makes the sum of squared distances
    smallest. It costs n_unaligned cubed.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    settings : dict, optional
        Keyword arguments of `SMART` for networks and training.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1.
    embedding_ : ndarray of shape (n_samples, n_views * embedding_dim), float32
        Embeddings side by side, after matching.
    history_ : dict of str to ndarray
        As SMART's.
    """

    def _match(self, Zs: list[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
        if not aligned.any():
            raise ValueError(
                "aligned has no True: the map between the views is learnt from aligned rows; "
                "align at least one row, or use AutoencoderKMeans"
            )
        loose = np.flatnonzero(~aligned)
        matched = [Zs[0]]
        for Z in Zs[1:]:
            Z = Z.copy()
            if len(loose):
                carried = Ridge(alpha=1.0).fit(Z[aligned], Zs[0][aligned]).predict(Z[loose])
                cost = cdist(Zs[0][loose], carried, "sqeuclidean")
                Z[loose] = Z[loose][linear_sum_assignment(cost)[1]]
            matched.append(Z)
        return matched
