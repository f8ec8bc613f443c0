"""Floors that train SMART's auto-encoders, and nothing else of SMART."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge

from mvlib.check import check_mask, check_views
from mvlib.methods.floors import Floor, kmeans_labels
from mvlib.methods.smart.estimator import SMART


class AutoencoderKMeans(Floor):
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
    embeddings_ : list of ndarray, each (n_samples, embedding_dim), float32
        The same, a matrix a view.
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
        self.embeddings_ = self._match(model.encode(views), flags)
        self.embedding_ = np.hstack(self.embeddings_)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, self.random_state)
        return self

    def _match(self, Zs: list[np.ndarray], aligned: np.ndarray) -> list[np.ndarray]:
        return Zs


class AutoencoderHungarian(AutoencoderKMeans):
    """As `AutoencoderKMeans`, with the unaligned rows matched by `match_rows` first.

    The embeddings of the views share no space, so that the aligned rows have to teach a map
    between them. Matching costs n_unaligned cubed.

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
    embeddings_ : list of ndarray, each (n_samples, embedding_dim), float32
        The same, a matrix a view.
    history_ : dict of str to ndarray
        As SMART's.
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
