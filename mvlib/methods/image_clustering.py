"""What all methods that cluster images with words share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from mvlib.check import check_choice, check_n_clusters
from mvlib.encoders import Encoder, load
from mvlib.methods.semantic_inputs import PRECISIONS, image_features
from mvlib.ops import KMeansResult, blocked_kmeans, faiss_kmeans

KMEANS_ITERATIONS = 300


class ImageClustering(ClusterMixin, BaseEstimator):
    """`fit(images, texts, train_images)`, then `labels_`, `embedding_`, `history_`.

    Each method has the parameters `encoder`, `precision` and `device`.
    """

    def fit_predict(
        self, images: Any, texts: Any = None, train_images: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(images, texts, train_images).labels_

    def _encoder(self) -> Encoder | None:
        check_choice("precision", self.precision, PRECISIONS)
        if isinstance(self.encoder, str):
            return load(self.encoder, device=self.device)
        return self.encoder

    def _images(
        self, images: Any, train_images: Any, encoder: Encoder | None
    ) -> tuple[np.ndarray, np.ndarray]:
        X = image_features("images", images, encoder, self.precision)
        train = X
        if train_images is not None:
            train = image_features("train_images", train_images, encoder, self.precision)
        check_n_clusters(self.n_clusters, min(len(X), len(train)))
        return X, train

    def _kmeans(self, X: np.ndarray) -> KMeansResult:
        if getattr(self, "kmeans", None) == "faiss":
            return faiss_kmeans(
                X,
                self.n_clusters,
                n_init=self.n_init,
                max_iter=KMEANS_ITERATIONS,
                device=self.device,
                random_state=self.random_state,
            )
        return blocked_kmeans(
            X,
            self.n_clusters,
            spherical=True,
            n_init=self.n_init,
            max_iter=KMEANS_ITERATIONS,
            device=self.device,
            random_state=self.random_state,
        )
