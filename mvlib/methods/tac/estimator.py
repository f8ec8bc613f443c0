"""TAC as estimators: without training, and with heads that teach each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mvlib.check import check_choice, check_number
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder, TextBank
from mvlib.methods.tac.equations import (
    PARTS,
    filter_nouns,
    nearest_neighbours,
    softmax_counterpart,
    total_loss,
)
from mvlib.methods.tac.network import clustering_head
from mvlib.methods.training import seeded
from mvlib.methods.words import (
    ImageClustering,
    check_same_space,
    draw_neighbours,
    noun_names,
    number_of_centres,
    semantic_centres,
    text_bank,
    train_heads,
)
from mvlib.ops import resolve_device, unit_rows

_LARGE = {"epochs": 100, "batch_size": 8192, "distillation_temperature": 5.0}
# TAC's settings that differ from its defaults.
TAC_SETTINGS = {"ucf-101": _LARGE, "imagenet-1k": _LARGE}


class NounSpace(NamedTuple):
    """Images to cluster, those the nouns were chosen by, and the nouns, rows of the bank."""

    X: np.ndarray
    train: np.ndarray
    kept: np.ndarray
    nouns: TextBank
    n_centers: int


class _WithNouns(ImageClustering):
    def _noun_space(self, images: Any, texts: Any, train_images: Any) -> NounSpace:
        self._check_parameters()
        encoder = self._encoder()
        X, train = self._images(images, train_images, encoder)
        prompts = PROMPTS if self.prompts is None else self.prompts
        bank = text_bank("texts", texts, encoder, prompts, self.precision)
        check_same_space(images=X, train_images=train, texts=bank.features)
        n_centers = self.n_centers
        if n_centers is None:
            n_centers = number_of_centres(len(train), self.n_clusters)
        on = {"precision": self.precision, "device": self.device}
        centres = semantic_centres(
            train, n_centers, kmeans=self.kmeans, random_state=self.random_state, **on
        )
        kept = filter_nouns(bank.features, centres, self.top, **on)
        nouns = TextBank(tuple(bank.texts[j] for j in kept), bank.features[kept])
        return NounSpace(X, train, kept, nouns, n_centers)

    def _told(self, X: np.ndarray, nouns: TextBank) -> np.ndarray:
        return softmax_counterpart(
            X, nouns.features, self.temperature, precision=self.precision, device=self.device
        )

    def _named(self, space: NounSpace) -> list[dict[str, list[tuple[str, float]]]]:
        return noun_names(
            space.X, space.nouns, self.labels_, self.n_clusters, self.temperature, self.device
        )


class TAC(_WithNouns):
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
        space = self._noun_space(images, texts, train_images)
        self.embedding_ = np.hstack([unit_rows(space.X), self._told(space.X, space.nouns)])
        found = self._kmeans(self.embedding_, self.random_state)
        self.labels_ = found.labels
        self.cluster_names_ = self._named(space)
        self.history_ = {
            "kept": space.kept,
            "n_centers": space.n_centers,
            "inertia": found.inertia,
            "n_iter": found.n_iter,
        }
        return self


class TrainedTAC(_WithNouns):
    """Text-aided clustering with trained heads.

    The nouns and counterparts of `TAC`; one head for the images, one for the counterparts.
    Each head learns to put an image's neighbours, in either modality, where the other puts
    the image. An image's cluster is what the image head gives it.

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
        Softmax temperature of the counterpart.
    hidden_dim : int, optional
        Width of the heads' hidden layer; by default that of the features.
    n_neighbors : int, default=50
        Neighbours in each modality.
    distillation_temperature : float, default=0.5
        tau of the distillation.
    entropy_weight : float, default=5.0
        Weight of the clusters' balance.
    epochs : int, default=20
        Passes over the train images.
    batch_size : int, default=512
        Images in a batch. The images left over are dropped, others in each epoch.
    learning_rate : float, default=1e-3
        Of Adam, whose betas are (0.9, 0.99).
    prompts : sequence of str, optional
        Templates for words given as strings; by default TAC's seven, `mvlib.data.PROMPTS`.
    kmeans : {"faiss", "k-means++"}, default="faiss"
        Rules of the centres' k-means: `mvlib.ops.faiss_kmeans` as in the authors' code, or
        `mvlib.ops.blocked_kmeans`.
    precision : {"float32", "float16"}, default="float32"
        "float16" computes centres, filter and counterparts in half precision, as the authors
        do.
    device : str, default="auto"
        Where to compute.
    random_state : int, optional
        Seed of the centres, the heads, the batches and the neighbours drawn.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image after the last epoch.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        The image head's probabilities.
    cluster_names_ : list of dict
        As in `TAC`. A cluster without images has no names.
    history_ : dict
        "loss", "distillation", "consistency", "entropy" (of both heads), means over the
        batches of each epoch; "labels" of shape (epochs, n_samples); "kept" and "n_centers"
        as in `TAC`.

    Notes
    -----
    The heads lower `mvlib.methods.tac.total_loss`: of a batch, and of a random one of each
    image's neighbours, among the images and among the counterparts. They read features of unit
    length; their weights start from a normal distribution of standard deviation 0.02. Labels
    are the image head's after the last epoch.

    Source: trained TAC, the authors' code (arXiv 2310.11989).

    *Deviations*. `batch_size` above the number of train images is an error; the code trains
    nothing then. The nearest neighbours leave the row itself out; the code leaves out the
    first it finds, which among equal rows may be another. Else as in `TAC`.
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        encoder: Encoder | str | None = None,
        n_centers: int | None = None,
        top: int = 5,
        temperature: float = 0.005,
        hidden_dim: int | None = None,
        n_neighbors: int = 50,
        distillation_temperature: float = 0.5,
        entropy_weight: float = 5.0,
        epochs: int = 20,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
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
        self.hidden_dim = hidden_dim
        self.n_neighbors = n_neighbors
        self.distillation_temperature = distillation_temperature
        self.entropy_weight = entropy_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.prompts = prompts
        self.kmeans = kmeans
        self.precision = precision
        self.device = device
        self.random_state = random_state

    @staticmethod
    def paper_settings(dataset: str) -> dict[str, Any]:
        """Return the settings of TAC's code that are not the defaults, as keyword arguments.

        Parameters
        ----------
        dataset : str
            "ucf-101" and "imagenet-1k" have some, every other set of the paper has none.

        Raises
        ------
        ValueError
            If the paper has no such data set.
        """
        plain = ("stl-10", "cifar-10", "cifar-20", "imagenet-10", "imagenet-dogs", "dtd")
        check_choice("dataset", dataset, (*plain, *TAC_SETTINGS))
        return dict(TAC_SETTINGS.get(dataset, {}))

    def fit(self, images: Any, texts: Any = None, train_images: Any = None) -> TrainedTAC:
        """Choose the nouns, train the heads, read the clusters off.

        Parameters
        ----------
        images : array-like of shape (n_samples, n_features), or raw images
            What to cluster.
        texts : TextBank, list of str, or array-like of shape (n_words, n_features)
            The nouns.
        train_images : like `images`, optional
            What chooses the nouns and trains the heads. By default `images`.

        Returns
        -------
        TrainedTAC
            Itself, fitted.

        Raises
        ------
        ValueError
            As `TAC.fit`; also if there are not more train images than `n_neighbors`, or fewer
            than `batch_size`.
        FloatingPointError
            If the loss stops being finite.
        """
        # Batch normalisation takes no batch of one.
        check_number("batch_size", self.batch_size, low=2, integer=True)
        space = self._noun_space(images, texts, train_images)
        n_train, width = space.train.shape
        check_number("n_neighbors", self.n_neighbors, high=n_train - 1)
        if self.batch_size > n_train:
            raise ValueError(
                f"batch_size={self.batch_size} is more than the {n_train} train images: "
                "expected at most as many, since a short batch is dropped and nothing would "
                "be trained"
            )
        device = resolve_device(self.device)
        both = [unit_rows(space.train), self._told(space.train, space.nouns)]
        neighbours = [
            torch.from_numpy(nearest_neighbours(M, self.n_neighbors, device=self.device))
            for M in both
        ]
        X, told = (torch.from_numpy(M).to(device) for M in both)
        with seeded(self.random_state, device) as generator:
            heads = nn.ModuleList(
                clustering_head(width, self.n_clusters, self.hidden_dim) for _ in range(2)
            ).to(device)
            image_head, text_head = heads

            def batches() -> list[torch.Tensor]:
                order = torch.randperm(n_train, generator=generator)
                full = n_train - n_train % self.batch_size
                return list(order[:full].split(self.batch_size))

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                near, near_told = (draw_neighbours(N[rows], generator) for N in neighbours)
                P, P_near = image_head(X[rows]), image_head(X[near])
                Q, Q_near = text_head(told[rows]), text_head(told[near_told])
                return total_loss(
                    P,
                    Q,
                    P_near,
                    Q_near,
                    temperature=self.distillation_temperature,
                    entropy_weight=self.entropy_weight,
                )

            self.embedding_, self.history_ = train_heads(
                self, heads, unit_rows(space.X), batches, step, PARTS, betas=(0.9, 0.99)
            )
        self.labels_ = self.history_["labels"][-1]
        self.cluster_names_ = self._named(space)
        self.history_ |= {"kept": space.kept, "n_centers": space.n_centers}
        return self
