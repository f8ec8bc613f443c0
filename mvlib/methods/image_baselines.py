"""What words are measured against: clustering without words, and naming by class names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvlib.data import PROMPTS
from mvlib.encoders import Encoder
from mvlib.methods.words import ImageClustering, check_same_space, image_features, text_bank
from mvlib.ops import unit_rows


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
        self._check_parameters()
        X, _ = self._images(images, None, self._encoder())
        self.embedding_ = unit_rows(X)
        found = self._kmeans(self.embedding_)
        self.labels_ = found.labels
        self.history_ = {"inertia": found.inertia, "n_iter": found.n_iter}
        return self


class ZeroShot(ImageClustering):
    """The class name nearest to each image: an upper reference, not a clustering.

    Parameters
    ----------
    encoder : Encoder or str, optional
        For raw images and class names; a name goes to `mvlib.encoders.load`.
    prompts : sequence of str, optional
        Templates for class names given as strings; by default `mvlib.data.PROMPTS`.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds all features to half precision.
    device : str, default="auto"
        Where an encoder that is named here runs.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Row of `texts` nearest to each image, by cosine.
    embedding_ : ndarray of shape (n_samples, n_classes), float32
        The cosines.
    history_ : dict
        Empty: nothing is iterated.

    Notes
    -----
    A class name's embedding is the plain mean over the templates, not normalised before, as
    TAC does for nouns; CLIP's own recipe normalises each first.
    """

    def __init__(
        self,
        *,
        encoder: Encoder | str | None = None,
        prompts: Sequence[str] | None = None,
        precision: str = "float32",
        device: str = "auto",
    ):
        self.encoder = encoder
        self.prompts = prompts
        self.precision = precision
        self.device = device

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> ZeroShot:
        """Name each image.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to name.
        texts : TextBank, list of str, or array-like of shape (n_classes, n_features)
            The class names.
        train_images
            Not read.

        Returns
        -------
        ZeroShot
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, no images or class names, widths that differ, or raw inputs
            without an encoder.
        """
        encoder = self._encoder()
        X = image_features("images", images, encoder, self.precision)
        prompts = PROMPTS if self.prompts is None else self.prompts
        bank = text_bank("texts", texts, encoder, prompts, self.precision)
        check_same_space(images=X, texts=bank.features)
        self.embedding_ = unit_rows(X) @ unit_rows(bank.features).T
        self.labels_ = self.embedding_.argmax(axis=1)
        self.history_ = {}
        return self
