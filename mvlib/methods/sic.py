"""SIC: a head that learns labels from centres of nouns, which follow the head.

Source: "Semantic-Enhanced Image Clustering" (AAAI 2023). Each equation follows the authors'
code ("as coded").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from torch import nn

from mvlib.check import check_labels, check_number
from mvlib.encoders import Encoder
from mvlib.methods.features import choose_rows
from mvlib.methods.heads import assignments, draw_neighbours, train_heads
from mvlib.methods.tac import balance_entropy
from mvlib.methods.training import seeded
from mvlib.methods.words import PaperSettings, WordClustering
from mvlib.ops import contingency_table, matched_accuracy, resolve_device, top_k, unit_rows

PARTS = ("consistency", "entropy", "cross_entropy")
SIC_PROMPT = ("a photo of a {}",)
# Softmax temperature of the names.
TEMPERATURE = 0.005
# SIC's settings that differ from its defaults, a set.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("stl-10", "cifar-10", "cifar-20", "imagenet-10"), {}),
    "imagenet-dogs": {"weight_decay": 0.009},
    "tiny-imagenet": {"n_neighbors": 50},
}
PATIENCE = 5
MEAN_ROWS = 128


def sic_space(
    nouns: np.ndarray, centres: np.ndarray, n_nearest: int = 500, max_cosine: float = 0.95
) -> np.ndarray:
    """Return the rows of the nouns near some image centre that do not mean everything.

        S = {j : u_j among the 500 nearest to a centre, cos(u_j, m) < 0.95}  (SIC, as coded)

    m, the mean noun, is the mean of the means of 128 rows each, the last of fewer. Nouns are
    not normalised in it.
    """
    unit = unit_rows(nouns)
    _, nearest = top_k(unit_rows(centres), unit, n_nearest)
    starts = range(0, len(nouns), MEAN_ROWS)
    mean = np.mean([nouns[i : i + MEAN_ROWS].mean(axis=0) for i in starts], axis=0)
    to_mean = unit @ unit_rows(mean[None])[0]
    return np.intersect1d(nearest, np.flatnonzero(to_mean < max_cosine))


def text_centres(
    logits: torch.Tensor, X: torch.Tensor, nouns: torch.Tensor, n_confident: int, n_texts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a centre of nouns for each cluster of a head, and the rows of its nouns.

    The mean of the images with the largest logits for the cluster finds its nearest nouns;
    their mean is the centre. Neither images nor nouns are normalised in the means, and an
    image may serve several clusters.

        h_k = t_k / norm(t_k), t_k the mean of the 30 u_j nearest to cluster k  (SIC, as coded)
    """
    confident = logits.topk(n_confident, dim=0).indices
    images = F.normalize(torch.stack([X[rows].mean(dim=0) for rows in confident.T]), dim=1)
    nearest = (images @ F.normalize(nouns, dim=1).T).topk(n_texts, dim=1).indices
    return F.normalize(nouns[nearest].mean(dim=1), dim=1), nearest


def pseudo_labels(X: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return the nearest centre of nouns of each image.

    y_i = argmax_k x_i . h_k  (SIC, as coded)
    """
    return (X @ centres.T).argmax(dim=1)


def total_loss(
    logits: torch.Tensor,
    logits_near: torch.Tensor,
    targets: torch.Tensor,
    *,
    entropy_weight: float = 5.0,
    label_weight: float = 0.1,
) -> dict[str, torch.Tensor]:
    """Return what SIC minimises on a batch, as "loss", and its `PARTS`.

        L = -mean_i log(p_i . p_n(i)) - 5 H(mean p) + 0.1 CE(p, y)  (SIC, as coded)

    p_n(i) are the probabilities of a neighbour, whose logits are `logits_near`.
    """
    P, P_near = logits.softmax(dim=1), logits_near.softmax(dim=1)
    consistency = -(P * P_near).sum(dim=1).log().mean()
    entropy = balance_entropy(P, floor=1e-8)
    labelled = F.cross_entropy(logits, targets)
    loss = consistency - entropy_weight * entropy + label_weight * labelled
    return {"loss": loss} | dict(zip(PARTS, (consistency, entropy, labelled), strict=True))


@dataclass(eq=False, repr=False, kw_only=True)
class SIC(WordClustering, PaperSettings):
    """Semantic-enhanced image clustering.

    A linear head on the image features learns to agree with the image's neighbours, to fill
    all clusters equally, and to follow pseudo-labels: the nearest of the clusters' centres of
    nouns, which are made anew from the head's surest images before each epoch.

    Parameters
    ----------
    n_nearest : int, default=500
        Nouns nearest to each k-means centre of the images that make up the semantic space; at
        most all.
    max_cosine : float, default=0.95
        Nouns whose cosine to the mean noun is not less are left out of it.
    confident_share : float, default=0.9
        Share of a cluster's n_train // n_clusters images that make its centre, in (0, 1].
    n_texts : int, default=30
        Nouns in a centre of nouns, at most those of the semantic space.
    n_neighbors : int, default=20
        Neighbours of an image among the images, fewer than these, one of which (or the image
        itself) is drawn.
    entropy_weight : float, default=5.0
        Weight of the clusters' balance.
    label_weight : float, default=0.1
        Weight of the cross-entropy with the pseudo-labels.
    batch_size : int, default=128
        Images in a batch; the last may have fewer.
    prompts : sequence of str, optional
        Templates for words given as strings; by default SIC's, "a photo of a {}".
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds all features to half precision.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image after the last epoch: the honest choice.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        The head's probabilities after the last epoch.
    cluster_names_ : list of dict
        As in `TAC`, from the nouns behind the last centres, by a softmax of temperature
        0.005.
    history_ : dict
        "labels" of shape (epochs, n_samples); "loss", "consistency", "entropy",
        "cross_entropy", means over the rows of each epoch; "pseudo_labels" of the train
        images in the last epoch; "space", the rows of the semantic space; "kept", those
        behind the last centres.

    Notes
    -----
    *Use it* where one encoder gives images and nouns in one space, and columns of one scale:
    the loss of others can grow beyond all numbers, which is an error. *Cost*: the neighbours of
    all images among all, once; an epoch has n / batch_size steps, by default 7,900 in all for
    10,000 images, and compares all images with the nouns' centres. *Beside it*: `CLIPKMeans`
    and `TAC`; `ZeroShot` where the classes' names are known.

    The head lowers `mvlib.methods.sic.total_loss`, of each image and one of the 21 nearest,
    itself among them, by Euclidean distance. Features are used as they come, not normalised.

    Source: the authors' code (AAAI 2023). Its texts are `mvlib.data.nouns(rows="sic")`. Its
    script reads the test labels: it keeps the epoch of the best accuracy and stops once five
    epochs in a row bring no better one. `oracle_epoch` gives that epoch, `labels_` the honest
    last one.

    *Deviations*. All epochs are trained and the last one is kept; what the choice of epoch is
    worth is measured in the book's chapter "TAC and SIC as their code has them". The list of
    nouns, as said there. Runs of the book encode nouns under their own prompt.
    """

    n_nearest: int = 500
    max_cosine: float = 0.95
    confident_share: float = 0.9
    n_texts: int = 30
    n_neighbors: int = 20
    entropy_weight: float = 5.0
    label_weight: float = 0.1
    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    prompts: Sequence[str] | None = None
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "heads_"
    _paper_settings = SETTINGS

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        bank = self._bank(X, train, texts, encoder, SIC_PROMPT)
        check_number("n_neighbors", self.n_neighbors, high=len(train) - 1)
        check_number("n_nearest", self.n_nearest, high=len(bank))
        n_confident = int(self.confident_share * (len(train) // self.n_clusters))
        if n_confident == 0:
            raise ValueError(
                f"confident_share={self.confident_share} of {len(train)} train images over "
                f"{self.n_clusters} clusters is no image: expected at least one a cluster"
            )
        kmeans = KMeans(self.n_clusters, n_init=20, random_state=seed).fit(train)
        space = sic_space(
            bank.features, kmeans.cluster_centers_, self.n_nearest, self.max_cosine
        )
        if len(space) < self.n_texts:
            raise ValueError(
                f"n_texts={self.n_texts} is more than the {len(space)} nouns of the semantic "
                "space: lower n_texts, or raise n_nearest or max_cosine"
            )
        search = NearestNeighbors(n_neighbors=self.n_neighbors + 1, algorithm="brute")
        neighbours = torch.from_numpy(search.fit(train).kneighbors(train)[1])
        device = resolve_device(self.device)
        images, nouns = (torch.from_numpy(M).to(device) for M in (train, bank.features[space]))
        followed: dict[str, torch.Tensor] = {}
        with seeded(seed, device) as generator:
            heads: Any = self._network().to(device)
            linear = heads[0][0]

            def batches() -> list[torch.Tensor]:
                with torch.no_grad():
                    centres, followed["nouns"] = text_centres(
                        linear(images), images, nouns, n_confident, self.n_texts
                    )
                    followed["labels"] = pseudo_labels(images, centres)
                order = torch.randperm(len(train), generator=generator)
                return list(order.split(self.batch_size))

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                near = draw_neighbours(neighbours[rows], generator)
                return total_loss(
                    linear(images[rows]),
                    linear(images[near]),
                    followed["labels"][rows],
                    entropy_weight=self.entropy_weight,
                    label_weight=self.label_weight,
                )

            self.embedding_, self.history_ = train_heads(
                self, heads, X, batches, step, PARTS, weight_decay=self.weight_decay
            )
        self.labels_, self.heads_ = self.history_["labels"][-1], heads
        kept = np.unique(space[followed["nouns"].cpu().numpy()])
        self.cluster_names_ = self._noun_names(X, [choose_rows(bank, kept)], TEMPERATURE)
        pseudo = followed["labels"].cpu().numpy()
        self.history_ |= {"pseudo_labels": pseudo, "space": space, "kept": kept}

    def _network(self) -> nn.ModuleList:
        linear = nn.Linear(self.n_features_in_, self.n_clusters)
        return nn.ModuleList([nn.Sequential(linear, nn.Softmax(dim=1))])

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.heads_[0], X)

    def oracle_epoch(self, y: Any) -> int:
        """Return the epoch that the authors' script reports, which reads the true labels.

        The best accuracy so far, once five epochs in a row bring no better one.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            True classes. `history_["labels"][epoch]` has the labels.

        Raises
        ------
        ValueError
            If there is not one label an image.
        """
        y = check_labels(y, len(self.labels_))
        best, best_score = 0, -1.0
        for epoch, labels in enumerate(self.history_["labels"]):
            score = matched_accuracy(contingency_table(y, labels))
            if score > best_score:
                best, best_score = epoch, score
            elif epoch - best == PATIENCE:
                break
        return best
