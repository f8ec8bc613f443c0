"""Baselines: what simple methods reach on the same rows, scored on the same labels.

A method that pairs views is worth its trouble where it beats the first five. They take the
views as they come, paired or not, and name the rows of view 1 (`KMeansView` those of its own
view). The first three take a row that a view lacks as the view's mean. The last two are for
images: clustering without words, and naming by classes' names.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.cluster import SpectralClustering
from sklearn.linear_model import Ridge
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import StandardScaler, normalize

from mvlib.check import RandomState, check_number, choice, whole
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder
from mvlib.methods.base import Mask, ViewClustering, Views, kmeans_labels
from mvlib.methods.features import check_same_space, text_bank
from mvlib.methods.smart.estimator import SMART
from mvlib.methods.smart.network import SMARTNetwork, encoded
from mvlib.methods.words import ImageClustering
from mvlib.ops import unit_rows

ROWS = ("as given", "unit")


def prepared_rows(Xs: Sequence[np.ndarray], rows: str) -> list[np.ndarray]:
    """Return views whose rows are as given or have unit length, a row of zeros excepted."""
    return [normalize(X) for X in Xs] if rows == "unit" else list(Xs)


@dataclass(eq=False, repr=False, kw_only=True)
class KMeansView(ViewClustering):
    """k-means of one view, the others unseen: alignment cannot change it.

    Parameters
    ----------
    view : int, default=0
        Which view, from 0. The labels name the rows of that view.
    rows : {"as given", "unit"}, default="as given"
        "unit" gives each row unit length, so that only its direction counts: what a user
        would do with counts of words.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row, by the best of ten k-means++ starts of scikit-learn's `KMeans`.
    embedding_ : ndarray of shape (n_samples, n_features_v)
        The view that was clustered.

    Notes
    -----
    *Use it* as the floor of every method that pairs views: it needs no partner. An offset or
    the scale of the view changes nothing. *Cost*: ten starts, each iteration n * n_features *
    n_clusters.
    """

    view: int = 0
    rows: str = "as given"

    _bounds = {"view": whole(0), "rows": choice(ROWS)}
    _any_offset = True
    _takes_missing = True
    _labels_from = "centers"

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        check_number("view", self.view, high=len(views) - 1)
        self.embedding_ = self._embed(views)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        return prepared_rows([views[self.view]], self.rows)[0]


@dataclass(eq=False, repr=False, kw_only=True)
class KMeansConcatenation(ViewClustering):
    """k-means of the views side by side, row i beside row i whether partners or not.

    The views should be on scales that compare.

    Parameters
    ----------
    rows : {"as given", "unit"}, default="as given"
        "unit" gives each row of each view unit length, so that the views weigh the same.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row, by the best of ten k-means++ starts of scikit-learn's `KMeans`.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The concatenation.

    Notes
    -----
    *Use it* as the floor where rows are partners; not where one view has much larger numbers,
    which then decides alone: `mvlib.data.ViewScaler` scales them. An offset, or one scale for
    all views, changes nothing. *Cost*: ten starts, each iteration n * (sum of n_features_v) *
    n_clusters.
    """

    rows: str = "as given"

    _bounds = {"rows": choice(ROWS)}
    _any_offset = True
    _takes_missing = True
    _labels_from = "centers"

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        self.embedding_ = self._embed(views)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        return np.hstack(prepared_rows(views, self.rows))


@dataclass(eq=False, repr=False, kw_only=True)
class SpectralConcatenation(ViewClustering):
    """Spectral clustering of a nearest-neighbour graph of the views side by side.

    Parameters
    ----------
    n_neighbors : int, default=10
        Of the symmetrised nearest-neighbour graph; doubled as long as the graph falls into
        more pieces than clusters.
    rows : {"as given", "unit"}, default="as given"
        "as given" standardises each feature. "unit" gives each row of each view unit length
        instead, so that neighbours are those of the highest cosine.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row.
    embedding_ : ndarray of shape (n_samples, sum of n_features_v)
        The concatenation that the graph was made of.
    n_neighbors_, n_components_ : int
        The neighbours that were taken, and the connected components of the graph.

    Notes
    -----
    *Use it* as the floor where clusters are not round; it has no labels for new rows. An offset
    or the scale of a column changes nothing. *Cost*: neighbours from all pairs of rows where
    there are more than 15 columns, then eigenvectors of n * n_neighbors edges.

    A graph of as many components as clusters is its own clustering: the components are the
    labels then, since Lanczos solvers return a wrong subspace there without a warning. The
    solver is LOBPCG, a block method.
    """

    n_neighbors: int = 10
    rows: str = "as given"

    _bounds = {"n_neighbors": whole(), "rows": choice(ROWS)}
    _any_offset = True
    _takes_missing = True

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        n = len(views[0])
        check_number("n_neighbors", self.n_neighbors, high=n - 1)
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
            return
        spectral = SpectralClustering(
            self.n_clusters, affinity="precomputed", eigen_solver="lobpcg", random_state=seed
        )
        with warnings.catch_warnings():
            # LOBPCG takes a graph of few pieces, and how many there are is known.
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            self.labels_ = spectral.fit_predict(graph).astype(np.int64)


@dataclass(eq=False, repr=False, kw_only=True)
class AutoencoderKMeans(ViewClustering):
    """SMART's auto-encoders with L_rec alone, then k-means of the joined embeddings.

    Parameters
    ----------
    settings : dict, optional
        Keyword arguments of `SMART` for networks and training, such as `epochs`. Its loss
        weights are set to 0.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_views * embedding_dim), float32
        Embeddings side by side.
    embeddings_ : list of ndarray, each (n_samples, embedding_dim), float32
        The same, a matrix a view.
    history_, network_ : dict of str to ndarray, SMARTNetwork
        As SMART's.

    Notes
    -----
    *Use it* to see what SMART's losses add to its networks. *Cost*: SMART's steps without its
    graph, and ten starts of k-means.
    """

    settings: dict[str, Any] | None = None
    verbose: bool | None = None

    _min_views = 2
    _labels_from = "centers"
    _network_name = "network_"

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:
        settings = {"verbose": self.verbose} | dict(self.settings or {})
        settings |= {"lambda1": 0.0, "lambda2": 0.0}
        model = SMART(self.n_clusters, **settings, random_state=seed).fit(views)
        self.history_, self.network_ = model.history_, model.network_
        self.embeddings_ = self._match(model.encode(views), aligned)
        self.embedding_ = np.hstack(self.embeddings_)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _match(self, Zs: list[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
        return Zs

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        return torch.cat(encoded(self.network_, views)[0], dim=1).numpy()

    def _network(self) -> SMARTNetwork:
        model = SMART(self.n_clusters, **dict(self.settings or {}))
        model.n_features_in_ = self.n_features_in_
        return model._network()


class AutoencoderHungarian(AutoencoderKMeans):
    """As `AutoencoderKMeans`, with the unaligned rows matched by `match_rows` first.

    The embeddings of the views share no space, so that the aligned rows, of which there must
    be one, have to teach a map between them. Matching costs n_unaligned cubed.

    Parameters
    ----------
    n_clusters, settings, random_state
        As in `AutoencoderKMeans`, and so are the attributes; the embeddings are matched.

    Notes
    -----
    *Use it* where some rows are aligned, as the floor of methods that match the others. *Cost*:
    that of `AutoencoderKMeans`, and n_unaligned cubed.
    """

    def _match(self, Zs: list[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
        return match_rows(Zs, aligned)


def match_rows(Zs: Sequence[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
    """Reorder the unaligned rows of each further view so that they partner view 1's.

    Ridge regression (alpha 1) on the aligned rows maps the view to view 1; the Hungarian
    method then pairs the unaligned rows one to one at the smallest sum of squared distances.

    Parameters
    ----------
    Zs : sequence of ndarray, each (n_samples, embedding_dim_v)
        Embeddings, a matrix a view.
    aligned : ndarray of shape (n_samples,), bool
        Which rows are aligned, at least one.

    Returns
    -------
    list of ndarray
        View 1 as it was, the others reordered.

    Raises
    ------
    ValueError
        If no row is aligned.
    """
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


@dataclass(eq=False, repr=False)
class CLIPKMeans(ImageClustering):
    """Spherical k-means of the image features alone; words are not read.

    Parameters
    ----------
    n_init : int, default=20
        Starts of k-means, each of at most 300 iterations.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_features), float32
        L2-normalised image features.
    history_ : dict
        "inertia" and "n_iter" of the clustering.

    Notes
    -----
    *Use it* as the floor of every method that reads words. The length of an image's features
    changes nothing. *Cost*: `n_init` starts, each iteration n * n_features * n_clusters.
    """

    n_clusters: int = 8
    _: KW_ONLY
    n_init: int = 20
    random_state: RandomState = None

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        self.embedding_ = unit_rows(X)
        found = self._kmeans(self.embedding_, seed)
        self.labels_ = found.labels
        self.history_ = {"inertia": found.inertia, "n_iter": found.n_iter}

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return unit_rows(X)


@dataclass(eq=False, repr=False, kw_only=True)
class ZeroShot(ImageClustering):
    """The class name nearest to each image: an upper reference, not a clustering.

    Parameters
    ----------
    prompts : sequence of str, optional
        Templates for class names given as strings; by default `mvlib.data.PROMPTS`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Row of `texts`, the class names, nearest to each image, by cosine.
    embedding_ : ndarray of shape (n_samples, n_classes), float32
        The cosines.

    Notes
    -----
    *Use it* where the names of the classes are known, as what a clustering without them is held
    against; it is no floor. The length of an image's features changes nothing. *Cost*: one
    product of n * n_features * n_classes.

    A class name's embedding is the plain mean over the templates, not normalised before, as
    TAC does for nouns; CLIP's own recipe normalises each first.
    """

    prompts: Sequence[str] | None = None

    _labels_from = "largest"

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        prompts = PROMPTS if self.prompts is None else self.prompts
        bank = text_bank("texts", texts, encoder, prompts, self.precision)
        check_same_space(images=X, texts=bank.features)
        self._classes_ = unit_rows(bank.features)
        self.embedding_ = self._embed(X)
        self.labels_ = self.embedding_.argmax(axis=1)
        self.history_: dict[str, np.ndarray] = {}

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return unit_rows(X) @ self._classes_.T
