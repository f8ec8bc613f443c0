"""TAC with training: two heads, of images and of counterparts, that teach each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from mvlib.check import check_choice, check_number
from mvlib.encoders import Encoder
from mvlib.methods.clustering_heads import (
    balance_entropy,
    clustering_head,
    consistency_loss,
    distillation_loss,
    draw_neighbours,
    nearest_neighbours,
)
from mvlib.methods.counterparts import softmax_counterpart
from mvlib.methods.head_training import Step, check_training, train_heads
from mvlib.methods.image_clustering import ImageClustering
from mvlib.methods.semantic_space import unit_rows
from mvlib.methods.tac_nouns import noun_names, noun_space
from mvlib.ops import resolve_device

PARTS = ("distillation", "consistency", "entropy")

_LARGE = {"epochs": 100, "batch_size": 8192, "distillation_temperature": 5.0}
# TAC's settings that differ from its defaults.
TAC_SETTINGS = {"ucf-101": _LARGE, "imagenet-1k": _LARGE}


class TrainedTAC(ImageClustering):
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
    L = L_dis(P, Q^N) + L_dis(Q, P^N) + L_con(P, Q) - 5 (H(P) + H(Q)), with P and Q the
    assignments of a batch by the image and the text head, P^N and Q^N those of a random one
    of each image's neighbours, among the images and among the counterparts. The heads read
    features of unit length; their weights start from a normal distribution of standard
    deviation 0.02. Labels are the image head's after the last epoch.

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
        check_training(self, smallest_batch=2)
        if self.hidden_dim is not None:
            check_number("hidden_dim", self.hidden_dim, low=1, integer=True)
        check_number(
            "distillation_temperature", self.distillation_temperature, low=0, open_low=True
        )
        space = noun_space(self, images, texts, train_images, self._encoder())
        n_train, width = space.train.shape
        check_number("n_neighbors", self.n_neighbors, high=n_train - 1)
        if self.batch_size > n_train:
            raise ValueError(
                f"batch_size={self.batch_size} is more than the {n_train} train images: "
                "expected at most as many, since a short batch is dropped and nothing would "
                "be trained"
            )
        told = softmax_counterpart(
            space.train,
            space.nouns.features,
            self.temperature,
            precision=self.precision,
            device=self.device,
        )
        self.embedding_, self.history_ = train_heads(
            self,
            lambda: [
                clustering_head(width, self.n_clusters, self.hidden_dim) for _ in range(2)
            ],
            self._step(unit_rows(space.train), told),
            PARTS,
            n_train=n_train,
            X=unit_rows(space.X),
            betas=(0.9, 0.99),
            drop_last=True,
        )
        self.labels_ = self.history_["labels"][-1]
        self.cluster_names_ = noun_names(
            space, self.labels_, self.n_clusters, self.temperature, self.device
        )
        self.history_ |= {"kept": space.kept, "n_centers": space.n_centers}
        return self

    def _step(self, X: np.ndarray, told: np.ndarray) -> Step:
        device = resolve_device(self.device)
        modalities = [torch.from_numpy(M).to(device) for M in (X, told)]
        neighbours = [
            torch.from_numpy(nearest_neighbours(M, self.n_neighbors, device=self.device))
            for M in (X, told)
        ]
        tau = self.distillation_temperature

        def step(
            heads: nn.ModuleList, rows: torch.Tensor, generator: torch.Generator
        ) -> list[torch.Tensor]:
            near = [draw_neighbours(nearest[rows], generator) for nearest in neighbours]
            (X, told), (image_head, text_head) = modalities, heads
            P, P_near = image_head(X[rows]), image_head(X[near[0]])
            Q, Q_near = text_head(told[rows]), text_head(told[near[1]])
            distillation = distillation_loss(P, Q_near, tau) + distillation_loss(Q, P_near, tau)
            consistency = consistency_loss(P, Q)
            entropy = balance_entropy(P) + balance_entropy(Q)
            loss = distillation + consistency - self.entropy_weight * entropy
            return [loss, distillation, consistency, entropy]

        return step
