"""What alignments of two modalities share: pairs to fit, shared clusters, retrieval."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.metadata_routing import UNUSED

from mvlib.check import (
    Bound,
    RandomState,
    check_list_of_views,
    check_n_clusters,
    check_number,
    check_pairs,
    check_view,
    flag,
    optional,
    whole,
)
from mvlib.methods.base import (
    KMEANS_STARTS,
    Clustering,
    cluster_means,
    note_features,
    refuse_flags,
    warn_collapse,
)
from mvlib.ops.kmeans import cosine_kmeans
from mvlib.ops.nearest import top_k
from mvlib.ops.rows import unit_rows

# Of two modalities that share fewer of their rows' clusters a warning tells.
LEAST_SHARED = 0.5


@dataclass(eq=False, repr=False)
class ModalityAlignment(Clustering):
    """`fit(Xs, pairs=)`, then `transform`, `retrieve`, `labels_`, `embedding_`.

    A method gives `_fit` and `_embed`. The clusters are those of cosine k-means, the best of
    ten starts, of the rows of both modalities together.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters in the shared space. None: `fit` makes none.
    remove_gap : bool, default=False
        Whether the rows are clustered less the mean of their modality. Where the modalities lie
        apart in the shared space, k-means parts them instead of the things they show; a
        warning says so.

    Attributes
    ----------
    embedding_, embeddings_ : ndarray of shape (n_first, embedding_dim), list of two ndarrays
        Unit vectors of the first modality, and of both; float32.
    labels_, labels_by_modality_ : ndarray of shape (n_first,), list of two ndarrays
        Clusters of the first modality, and of both; int64, only with `n_clusters`.
    cluster_centers_ : ndarray of shape (n_clusters, embedding_dim)
        Mean unit vectors of the clusters, only with `n_clusters`.
    n_features_in_ : list of two int
        Widths of the modalities.
    feature_names_in_ : list of two ndarrays of str
        Names of their columns, where both are frames.
    """

    n_clusters: int | None = None
    _: KW_ONLY
    remove_gap: bool = False
    random_state: RandomState = None

    __metadata_request__fit = {"Xs": UNUSED}
    _bounds: ClassVar[Mapping[str, Bound]] = {
        "n_clusters": optional(whole()),
        "remove_gap": flag,
    }

    def fit(
        self, Xs: Sequence[Any], y: None = None, *, paired: Any = None, pairs: Any = None
    ) -> ModalityAlignment:
        """Learn the maps into the shared space, and cluster there if `n_clusters` is given.

        Parameters
        ----------
        Xs : list of two array-likes, (n_first, n_features_1) and (n_second, n_features_2)
            Rows of the two modalities. They may differ in number.
        y
            Not read.
        paired : array-like of shape (n_samples,), bool, optional
            True where row i of both is known to be one sample; for modalities of one length.
        pairs : array-like of shape (n_pairs, 2), int, optional
            The same as row numbers, a row of the first modality and one of the second. Each
            row is in one pair at most. With neither `paired` nor `pairs` no pair is known.

        Returns
        -------
        ModalityAlignment
            Itself, fitted.

        Raises
        ------
        ValueError
            If there are not two finite, non-empty modalities, both `paired` and `pairs` are
            given, one of them does not fit the rows, or a parameter is out of range.
        FloatingPointError
            If a loss or a plan stops being finite.
        """
        with self._fitting() as seed:
            views = self._modalities(Xs)
            refuse_flags(y, "paired")
            known = check_pairs([len(view) for view in views], paired, pairs)
            if self.n_clusters is not None:
                check_n_clusters(self.n_clusters, sum(len(view) for view in views))
            self._fit(views, known, seed)
            self.embeddings_ = [self._embed(view, v) for v, view in enumerate(views)]
            self.embedding_ = self.embeddings_[0]
            for Z in self.embeddings_:
                warn_collapse(Z, stacklevel=3)
            if self.n_clusters is not None:
                self._cluster(self.n_clusters, seed)
        return self

    def _cluster(self, n_clusters: int, seed: int) -> None:
        """Cluster the rows of both modalities together."""
        self._means_ = [Z.mean(axis=0) for Z in self.embeddings_]
        Zs = [self._placed(Z, v) for v, Z in enumerate(self.embeddings_)]
        both = np.concatenate(Zs)
        found = cosine_kmeans(both, n_clusters, n_init=KMEANS_STARTS, random_state=seed)
        self.labels_by_modality_ = list(np.split(found.labels, [len(Zs[0])]))
        self.labels_ = self.labels_by_modality_[0]
        self.cluster_centers_ = cluster_means(unit_rows(both), found.labels, n_clusters)
        shares = [
            np.bincount(labels, minlength=n_clusters) / len(labels)
            for labels in self.labels_by_modality_
        ]
        shared = float(np.minimum(*shares).sum())
        if shared < LEAST_SHARED:
            warnings.warn(
                f"the modalities part: they share {100 * shared:.0f} % of their rows' "
                "clusters; try remove_gap=True",
                UserWarning,
                stacklevel=3,
            )

    def _placed(self, Z: np.ndarray, modality: int) -> np.ndarray:
        """Return embedded rows as they are clustered."""
        return Z - self._means_[modality] if self.remove_gap else Z

    def fit_predict(
        self, Xs: Sequence[Any], y: None = None, *, paired: Any = None, pairs: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are.

        Raises
        ------
        ValueError
            As `fit`; also if `n_clusters` is None.
        """
        if self.n_clusters is None:
            raise ValueError("n_clusters=None: expected a number of clusters to predict")
        return self.fit(Xs, y, paired=paired, pairs=pairs).labels_

    def transform(self, Xs: Sequence[Any]) -> list[Any]:
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
        model = self._as_fitted()
        Zs = model._embeddings(Xs)
        return [None if Z is None else model._contained(Z) for Z in Zs]

    def predict(self, Xs: Sequence[Any]) -> list[np.ndarray | None]:
        """Return the clusters of any rows of both modalities, by the nearest centre.

        Parameters
        ----------
        Xs
            As in `transform`.

        Returns
        -------
        list of two ndarrays, (n_first,) and (n_second,), int64
            None where None came.

        Raises
        ------
        ValueError
            As `transform`; also if `n_clusters` is None.
        """
        model = self._as_fitted()
        if model.n_clusters is None:
            raise ValueError("n_clusters=None: expected a number of clusters to predict")
        return [
            None if Z is None else model._assigned(model._placed(Z, v))
            for v, Z in enumerate(model._embeddings(Xs))
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
        embedded = [unit_rows(Z) for Z in self._as_fitted()._embeddings(both)]
        cosines, indices = top_k(embedded[modality], embedded[1 - modality], k, device="cpu")
        return indices, cosines

    def _fit(self, views: list[np.ndarray], pairs: np.ndarray, seed: int) -> None:
        raise NotImplementedError

    def _embed(self, X: np.ndarray, modality: int) -> np.ndarray:
        raise NotImplementedError

    def _two(self, Xs: Sequence[Any]) -> list[Any]:
        flat = isinstance(Xs, np.ndarray) and Xs.ndim < 3
        entries = list(Xs) if flat else check_list_of_views(Xs)
        if flat or len(entries) != 2:
            raise ValueError(
                f"Xs has {len(entries)} entries: expected a list of two modalities, each "
                "(n_samples, n_features_v)"
            )
        return entries

    def _modalities(self, Xs: Sequence[Any]) -> list[np.ndarray]:
        Xs = self._two(Xs)
        views = [self._rows(X, v) for v, X in enumerate(Xs)]
        note_features(self, Xs, [_width(view) for view in views])
        return views

    def _embeddings(self, Xs: Sequence[Any]) -> list[np.ndarray | None]:
        return [
            None if X is None else self._embed(self._modality(X, v), v)
            for v, X in enumerate(self._two(Xs))
        ]

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
