"""The floor of image clustering with words: no words."""

from __future__ import annotations

from typing import Any

from mvlib.encoders import Encoder
from mvlib.methods.image_clustering import ImageClustering
from mvlib.ops.rows import unit_rows


class CLIPKMeans(ImageClustering):
    """Spherical k-means of the image features alone.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    encoder : Encoder or str, optional
        For raw images; a name goes to `mvlib.encoders.load`.
    n_init : int, default=20
        Starts of k-means, each of at most 300 iterations.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds the features to half precision.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image.
    embedding_ : ndarray of shape (n_samples, n_features), float32
        L2-normalised image features.
    history_ : dict
        "inertia" and "n_iter" of the clustering.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        encoder: Encoder | str | None = None,
        n_init: int = 20,
        precision: str = "float32",
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.n_clusters = n_clusters
        self.encoder = encoder
        self.n_init = n_init
        self.precision = precision
        self.device = device
        self.random_state = random_state

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> CLIPKMeans:
        """Cluster the images.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to cluster.
        texts, train_images
            Not read.

        Returns
        -------
        CLIPKMeans
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, nothing to cluster, raw images without an encoder, more
            clusters than images, or a parameter out of range.
        """
        X, _ = self._images(images, None, self._encoder())
        self.embedding_ = unit_rows(X)
        found = self._kmeans(self.embedding_)
        self.labels_ = found.labels
        self.history_ = {"inertia": found.inertia, "n_iter": found.n_iter}
        return self
