"""Floors: what simple methods reach on the same rows, scored on the same labels.

A method that pairs two views is worth its trouble where it beats these. Each takes the
views as they come, paired or not, and names the rows of view 1 (`KMeansView` those of its
own view).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import StandardScaler, normalize

from mvlib.check import check_choice, check_n_clusters, check_number, check_views


def kmeans_labels(X: np.ndarray, n_clusters: int, random_state: int | None) -> np.ndarray:
    """Return the labels of scikit-learn's k-means, the best of ten k-means++ starts.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Points.
    n_clusters : int
        Number of clusters.
    random_state : int, optional
        Seed.

    Returns
    -------
    ndarray of shape (n_samples,), int64

    Raises
    ------
    ValueError
        If there are more clusters than points.
    """
    check_n_clusters(n_clusters, len(X))
    found = KMeans(n_clusters, n_init=10, random_state=random_state).fit(X)
    return found.labels_.astype(np.int64)


ROWS = ("as given", "unit")


def prepared_rows(Xs: Sequence[np.ndarray], rows: str) -> list[np.ndarray]:
    """Return views whose rows are as given or have unit length, a row of zeros excepted."""
    check_choice("rows", rows, ROWS)
    return [normalize(X) for X in Xs] if rows == "unit" else list(Xs)


class Floor(ClusterMixin, BaseEstimator):
    """What all floors share: `fit(Xs, aligned)`, then `labels_` and `embedding_`."""

    def fit_predict(self, Xs: Sequence[Any], aligned: Any = None, y: None = None) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(Xs, aligned, y).labels_


class KMeansView(Floor):
    """k-means of one view, the others unseen: alignment cannot change it.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    view : int, default=0
        Which view, from 0. The labels name the rows of that view.
    rows : {"as given", "unit"}, default="as given"
        "unit" gives each row unit length, so that only its direction counts: what a user
        would do with counts of words.
    random_state : int, optional
        Seed of the ten k-means++ starts of scikit-learn's `KMeans`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of the view.
    embedding_ : ndarray of shape (n_samples, n_features_v)
        The view that was clustered.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        view: int = 0,
        rows: str = "as given",
        random_state: int | None = None,
    ):
        self.n_clusters, self.view, self.rows = n_clusters, view, rows
        self.random_state = random_state

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
        (self.embedding_,) = prepared_rows([views[self.view]], self.rows)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, self.random_state)
        return self


class KMeansConcatenation(Floor):
    """k-means of the views side by side, row i beside row i whether partners or not.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    rows : {"as given", "unit"}, default="as given"
        "unit" gives each row of each view unit length, so that the views weigh the same.
    random_state : int, optional
        Seed of the ten k-means++ starts of scikit-learn's `KMeans`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The concatenation.
    """

    def __init__(
        self, n_clusters: int, *, rows: str = "as given", random_state: int | None = None
    ):
        self.n_clusters, self.rows, self.random_state = n_clusters, rows, random_state

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
        self.embedding_ = np.hstack(prepared_rows(check_views(Xs), self.rows))
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, self.random_state)
        return self


class SpectralConcatenation(Floor):
    """Spectral clustering of a nearest-neighbour graph of the views side by side.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    n_neighbors : int, default=10
        Of the symmetrised nearest-neighbour graph; doubled as long as the graph falls into
        more pieces than clusters.
    rows : {"as given", "unit"}, default="as given"
        "as given" standardises each feature. "unit" gives each row of each view unit length
        instead, so that neighbours are those of the highest cosine.
    random_state : int, optional
        Seed of the eigen-solver and of k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The concatenation that the graph was made of.
    n_neighbors_ : int
        The neighbours that were taken.
    n_components_ : int
        Connected components of the graph.

    Notes
    -----
    A graph of as many components as clusters is its own clustering: the components are the
    labels then, since Lanczos solvers return a wrong subspace there without a warning. The
    solver is LOBPCG, a block method.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        n_neighbors: int = 10,
        rows: str = "as given",
        random_state: int | None = None,
    ):
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.rows = rows
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
            On NaN, infinity, unequal lengths, more clusters than rows, or too few rows for
            `n_neighbors`.
        """
        views = check_views(Xs)
        n = len(views[0])
        check_n_clusters(self.n_clusters, n)
        check_number("n_neighbors", self.n_neighbors, low=1, high=n - 1, integer=True)
        joined = np.hstack(prepared_rows(views, self.rows))
        unit = self.rows == "unit"
        self.embedding_ = joined if unit else StandardScaler().fit_transform(joined)
        self.n_neighbors_ = self.n_neighbors
        while True:
            graph = kneighbors_graph(self.embedding_, self.n_neighbors_, include_self=True)
            graph = (graph + graph.T) / 2
            self.n_components_, parts = connected_components(graph, directed=False)
            if self.n_components_ <= self.n_clusters:
                break
            self.n_neighbors_ = min(2 * self.n_neighbors_, n)
        if self.n_components_ == self.n_clusters:
            self.labels_ = parts.astype(np.int64)
            return self
        spectral = SpectralClustering(
            self.n_clusters,
            affinity="precomputed",
            eigen_solver="lobpcg",
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            # LOBPCG takes a graph of few pieces, and how many there are is known.
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            self.labels_ = spectral.fit_predict(graph).astype(np.int64)
        return self
