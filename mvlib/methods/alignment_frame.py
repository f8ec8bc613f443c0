"""What every method that aligns two modalities shares: its input, retrieval, clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from mvlib.check import check_n_clusters, check_number, check_pairs, check_view
from mvlib.ops.kmeans import cosine_kmeans
from mvlib.ops.nearest import top_k
from mvlib.ops.rows import unit_rows

KMEANS_STARTS = 10


class AlignmentMethod(ClusterMixin, BaseEstimator):
    """`fit(Xs, paired, pairs)`, then `transform`, `retrieve`, `labels_`, `embedding_`.

    A method gives `_fit(Xs, pairs)` and `_embed(X, modality)`; it has the parameters
    `n_clusters` and `random_state`. The clusters are those of cosine k-means, the best of ten
    starts, of the rows of both modalities together.
    """

    def fit(self, Xs: Sequence[Any], paired: Any = None, pairs: Any = None) -> AlignmentMethod:
        """Learn the maps into the shared space, and cluster there if `n_clusters` is given.

        Parameters
        ----------
        Xs : list of two array-likes, (n_first, n_features_1) and (n_second, n_features_2)
            Rows of the two modalities. They may differ in number.
        paired : array-like of shape (n_samples,), bool, optional
            True where row i of both is known to be one sample; for modalities of one length.
        pairs : array-like of shape (n_pairs, 2), int, optional
            The same as row numbers, a row of the first modality and one of the second. Each
            row is in one pair at most. With neither `paired` nor `pairs` no pair is known.

        Returns
        -------
        AlignmentMethod
            Itself, fitted.

        Raises
        ------
        ValueError
            If there are not two finite, non-empty modalities, both `paired` and `pairs` are
            given, one of them does not fit the rows, or a parameter is out of range.
        FloatingPointError
            If a loss or a plan stops being finite.
        """
        self._check_parameters()
        views = self._modalities(Xs)
        known = check_pairs([len(view) for view in views], paired, pairs)
        if self.n_clusters is not None:
            check_n_clusters(self.n_clusters, sum(len(view) for view in views))
        if self.random_state is not None:
            check_number("random_state", self.random_state, low=0, high=2**32 - 1, integer=True)
        self._fit(views, known)
        self.embeddings_ = [self._embed(view, v) for v, view in enumerate(views)]
        self.embedding_ = self.embeddings_[0]
        if self.n_clusters is not None:
            found = cosine_kmeans(
                np.concatenate(self.embeddings_),
                self.n_clusters,
                n_init=KMEANS_STARTS,
                random_state=self.random_state,
            )
            self.labels_by_modality_ = list(np.split(found.labels, [len(views[0])]))
            self.labels_ = self.labels_by_modality_[0]
        return self

    def fit_predict(
        self, Xs: Sequence[Any], paired: Any = None, pairs: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are.

        Raises
        ------
        ValueError
            As `fit`; also if `n_clusters` is None.
        """
        if self.n_clusters is None:
            raise ValueError("n_clusters=None: expected a number of clusters to predict")
        return self.fit(Xs, paired, pairs).labels_

    def transform(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        """Return the embeddings of any rows of both modalities.

        Parameters
        ----------
        Xs : list of two array-likes, (n_first, n_features_1) and (n_second, n_features_2)
            Rows as in `fit`, the same or others. None in place of one leaves it out.

        Returns
        -------
        list of two ndarrays, (n_first, embedding_dim) and (n_second, embedding_dim), float32
            None where None came.

        Raises
        ------
        ValueError
            If the rows are not finite, or their widths are not those of `fit`.
        """
        check_is_fitted(self, "embedding_")
        if isinstance(Xs, np.ndarray) or len(Xs) != 2:
            raise ValueError(f"Xs has {len(Xs)} entries: expected two modalities, or None")
        return [
            None if X is None else self._embed(self._modality(X, v), v)
            for v, X in enumerate(Xs)
        ]

    def retrieve(
        self, queries: Any, gallery: Any, k: int = 10, modality: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows of the other modality that are nearest by cosine.

        Parameters
        ----------
        queries : array-like of shape (n_queries, n_features_v)
            Rows of one modality.
        gallery : array-like of shape (n_gallery, n_features_w)
            Rows of the other.
        k : int, default=10
            How many to find for each query, at most n_gallery.
        modality : {0, 1}, default=0
            Which modality the queries are of.

        Returns
        -------
        indices : ndarray of shape (n_queries, k), int64
            Rows of the gallery, from the nearest.
        cosines : ndarray of shape (n_queries, k), float32

        Raises
        ------
        ValueError
            As `transform`; also if `k` or `modality` is out of range.
        """
        check_number("modality", modality, low=0, high=1, integer=True)
        both = [queries, gallery] if modality == 0 else [gallery, queries]
        embedded = [unit_rows(Z) for Z in self.transform(both)]
        cosines, indices = top_k(embedded[modality], embedded[1 - modality], k, device="cpu")
        return indices, cosines

    def _check_parameters(self) -> None:
        """Check what `__init__` took, for methods that take more than is checked here."""

    def _modalities(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        if isinstance(Xs, np.ndarray) or len(Xs) != 2:
            raise ValueError(
                f"Xs has {len(Xs)} entries: expected a list of two modalities, each "
                "(n_samples, n_features_v)"
            )
        views = [self._rows(X, v) for v, X in enumerate(Xs)]
        self.n_features_in_ = [_width(view) for view in views]
        return views

    def _modality(self, X: Any, v: int) -> np.ndarray:
        view = self._rows(X, v)
        if _width(view) != self.n_features_in_[v]:
            raise ValueError(
                f"Xs[{v}] has width {_width(view)}: expected {self.n_features_in_[v]}, as "
                "fitted"
            )
        return view

    def _rows(self, X: Any, v: int) -> np.ndarray:
        return check_view(X, f"Xs[{v}]")


def _width(view: np.ndarray) -> int | tuple[int, ...]:
    return view.shape[1] if view.ndim == 2 else view.shape[1:]
