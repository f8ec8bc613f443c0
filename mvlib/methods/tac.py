"""TAC without training: images told in the nouns that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvlib.encoders import Encoder
from mvlib.methods.counterparts import softmax_counterpart
from mvlib.methods.image_clustering import ImageClustering
from mvlib.methods.semantic_space import unit_rows
from mvlib.methods.tac_nouns import noun_names, noun_space


class TAC(ImageClustering):
    """Text-aided clustering without training.

    Nouns near the images' centres are kept; each image gets a counterpart, the mean of the
    kept nouns under a sharp softmax; spherical k-means of image and counterpart side by side.
    A noun that stands in several rows of the texts counts once a row: several rows can fill a
    centre's places, and its weight in the counterparts multiplies.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    encoder : Encoder or str, optional
        For raw images and words; a name goes to `mvlib.encoders.load`.
    n_centers : int, optional
        Centres that choose the nouns; by default `number_of_centres` of the train images.
    top : int, default=5
        Nouns kept for each centre.
    temperature : float, default=0.005
        tau of the counterpart.
    n_init : int, default=20
        Starts of k-means, each of at most 300 iterations.
    prompts : sequence of str, optional
        Templates for words given as strings; by default TAC's seven, `mvlib.data.PROMPTS`.
    kmeans : {"faiss", "k-means++"}, default="faiss"
        Rules of k-means, of both: `mvlib.ops.faiss_kmeans` as in the authors' code, or
        `mvlib.ops.blocked_kmeans`.
    precision : {"float32", "float16"}, default="float32"
        "float16" computes centres, filter and counterparts in half precision, as the authors
        do.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of both k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image.
    embedding_ : ndarray of shape (n_samples, 2 * n_features), float32
        [x, x^u], each half of unit length.
    cluster_names_ : list of dict
        A cluster's "nouns", at most five (word, score), best first, by `name_clusters`;
        "captions" is empty. Words without strings are named by their row in `texts`.
    history_ : dict
        "kept" (rows of the kept nouns), "n_centers", "inertia" and "n_iter" of the
        clustering.

    Notes
    -----
    Source: the authors' code (arXiv 2310.11989, ICML 2024). Features are stored as the encoder
    gives them, so the mean over the templates is one of unnormalised embeddings; images and
    nouns are L2-normalised before every product, centres and counterparts are of unit length.
    The authors' texts are the rows of `mvlib.data.nouns(rows="tac")`.

    *Deviations*, measured in the book's chapter "TAC and SIC as their code has them":
    float32 by default, the code computes in half precision; `random_state` seeds k-means, the
    code's seed is always 1234. Never more centres than images.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        encoder: Encoder | str | None = None,
        n_centers: int | None = None,
        top: int = 5,
        temperature: float = 0.005,
        n_init: int = 20,
        prompts: Sequence[str] | None = None,
        kmeans: str = "faiss",
        precision: str = "float32",
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.n_clusters = n_clusters
        self.encoder = encoder
        self.n_centers = n_centers
        self.top = top
        self.temperature = temperature
        self.n_init = n_init
        self.prompts = prompts
        self.kmeans = kmeans
        self.precision = precision
        self.device = device
        self.random_state = random_state

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> TAC:
        """Choose the nouns, make the counterparts, cluster.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to cluster.
        texts : TextBank, list of str, or array-like of shape (n_words, n_features)
            The nouns, a row a noun, or a row a sense as in the authors' list.
        train_images : like `images`, optional
            What the nouns are chosen by: the train split, in TAC. By default `images`.

        Returns
        -------
        TAC
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, nothing to cluster, no words, widths that differ, raw inputs
            without an encoder, more clusters than images, or a parameter out of range.
        """
        space = noun_space(self, images, texts, train_images, self._encoder())
        told = softmax_counterpart(
            space.X,
            space.nouns.features,
            self.temperature,
            precision=self.precision,
            device=self.device,
        )
        self.embedding_ = np.hstack([unit_rows(space.X), told])
        found = self._kmeans(self.embedding_)
        self.labels_ = found.labels
        self.cluster_names_ = noun_names(
            space, self.labels_, self.n_clusters, self.temperature, self.device
        )
        self.history_ = {
            "kept": space.kept,
            "n_centers": space.n_centers,
            "inertia": found.inertia,
            "n_iter": found.n_iter,
        }
        return self
