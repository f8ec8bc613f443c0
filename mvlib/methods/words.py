"""Bases of the methods that cluster images, with words or without; names of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.metadata_routing import UNUSED

from mvlib.check import (
    Bound,
    RandomState,
    check_choice,
    check_n_clusters,
    choice,
    feature_names,
    optional,
    real,
    whole,
)
from mvlib.encoders import Encoder, TextBank, load
from mvlib.methods.base import Clustering
from mvlib.methods.cluster_naming import name_clusters
from mvlib.methods.features import (
    KMEANS,
    PRECISIONS,
    check_same_space,
    cluster_mass,
    image_features,
    number_of_centres,
    semantic_centres,
    softmax_blocks,
    spherical_kmeans,
    text_bank,
)
from mvlib.ops import KMeansResult

KMEANS_ITERATIONS = 300


@dataclass(eq=False, repr=False, kw_only=True)
class ImageClustering(Clustering):
    """Clustering of images by their features, with words or without.

    A method gives `_fit`, and its parameters beyond these.

    Parameters
    ----------
    encoder : Encoder or str, optional
        For raw images and words; a name goes to `mvlib.encoders.load`.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds all features to half precision.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image.
    embedding_ : ndarray of shape (n_samples, embedding_dim)
        What was clustered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, where the images are a frame.
    """

    encoder: Encoder | str | None = None
    precision: str = "float32"
    device: str = "auto"

    # What a parameter of such a name must be, in every method that has it.
    __metadata_request__fit = {"images": UNUSED}
    _bounds: ClassVar[Mapping[str, Bound]] = {
        **dict.fromkeys(
            ("top", "top_k", "n_init", "max_iter", "n_neighbors", "n_nearest", "n_texts")
            + ("epochs", "batch_size"),
            whole(),
        ),
        **dict.fromkeys(("n_centers", "hidden_dim"), optional(whole())),
        **dict.fromkeys(
            ("temperature", "distillation_temperature", "epsilon", "gamma", "learning_rate"),
            real(0, open_low=True),
        ),
        **dict.fromkeys(("entropy_weight", "label_weight", "weight_decay"), real(0)),
        "confident_share": real(0, 1, open_low=True),
        "max_cosine": real(-1, 2),
        "kmeans": choice(KMEANS),
        "precision": choice(PRECISIONS),
    }

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> ImageClustering:
        """Cluster the images.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to cluster.
        texts : TextBank, list of str, or array-like of shape (n_words, n_features)
            The words, in methods that read some. What else a method takes, it says.
        train_images : like `images`, optional
            What chooses the words and is learnt from. By default `images`.

        Returns
        -------
        ImageClustering
            Itself, fitted.

        Raises
        ------
        ValueError
            On NaN, infinity, nothing to cluster, widths that differ, raw inputs without an
            encoder, more clusters than images, or a parameter out of range.
        FloatingPointError
            If a loss stops being finite.
        """
        with self._fitting() as seed:
            encoder = self._encoder()
            X, train = self._images(images, train_images, encoder)
            self.n_features_in_ = X.shape[1]
            if (names := feature_names(images)) is not None:
                self.feature_names_in_ = names
            self._fit(X, train, texts, encoder, seed)
            if hasattr(self, "n_clusters"):
                self._settle([X])
        return self

    def fit_predict(
        self, images: Any, texts: Any = None, train_images: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(images, texts, train_images).labels_

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        raise NotImplementedError

    def _new_rows(self, images: Any) -> np.ndarray:
        X = image_features("images", images, self._encoder(), self.precision)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"images have width {X.shape[1]}: expected {self.n_features_in_}, as fitted"
            )
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    def _encoder(self) -> Encoder | None:
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
        if hasattr(self, "n_clusters"):
            check_n_clusters(self.n_clusters, min(len(X), len(train)))
        return X, train

    def _kmeans(self, X: np.ndarray, seed: int) -> KMeansResult:
        kmeans = getattr(self, "kmeans", "k-means++")
        limits = {"n_init": self.n_init, "max_iter": KMEANS_ITERATIONS}
        return spherical_kmeans(X, self.n_clusters, kmeans, self.device, seed, **limits)


@dataclass(eq=False, repr=False, kw_only=True)
class WordClustering(ImageClustering):
    """Clustering of images by words, which name the clusters."""

    n_clusters: int = field(default=8, kw_only=False)
    random_state: RandomState = None

    def _bank(
        self,
        X: np.ndarray,
        train: np.ndarray,
        texts: Any,
        encoder: Encoder | None,
        prompts: Sequence[str],
    ) -> TextBank:
        """Return the words of one kind, in the images' space; `prompts` are the default."""
        prompts = prompts if self.prompts is None else self.prompts
        bank = text_bank("texts", texts, encoder, prompts, self.precision)
        check_same_space(images=X, train_images=train, texts=bank.features)
        return bank

    def _centres(self, train: np.ndarray, seed: int, **how: Any) -> np.ndarray:
        """Return the centres that choose the words."""
        n_centers = self.n_centers
        if n_centers is None:
            n_centers = self._number_of_centres(len(train))
        how |= {"device": self.device, "random_state": seed}
        return semantic_centres(train, n_centers, **how)

    def _number_of_centres(self, n_train: int) -> int:
        return number_of_centres(n_train, self.n_clusters)

    def _noun_names(
        self, X: np.ndarray, banks: Sequence[TextBank], temperature: float
    ) -> list[dict[str, list[tuple[str, float]]]]:
        """Return each cluster's most specific "nouns" by the softmax, and no "captions".

        The banks hold the same nouns, under other prompts.
        """
        texts = banks[0].texts
        mass = np.zeros((self.n_clusters, len(texts)))
        for bank in banks:
            blocks = softmax_blocks(X, bank.features, temperature, self.device)
            mass = mass + cluster_mass(blocks, self.labels_, self.n_clusters, len(texts))
        # Ties go to the word that is met first: let that not hang on the order of the rows.
        order = np.argsort(np.asarray(texts), kind="stable")
        named = name_clusters(mass[:, order], [texts[j] for j in order])
        return [{"nouns": names, "captions": []} for names in named]


class PaperSettings:
    """Settings of a paper's data sets that are not the defaults, in `_paper_settings`."""

    _paper_settings: ClassVar[Mapping[str, Mapping[str, Any]]]

    @classmethod
    def paper_settings(cls, dataset: str) -> dict[str, Any]:
        """Return the settings of the authors' code that are not the defaults.

        Parameters
        ----------
        dataset : str
            Name of one of the paper's data sets, such as "stl-10". Most have none.

        Returns
        -------
        dict
            Keyword arguments.

        Raises
        ------
        ValueError
            If settings for such a set are not known.
        """
        return dict(cls._paper_settings[check_choice("dataset", dataset, cls._paper_settings)])
