"""TAC: text-aided clustering, without training and with heads that teach each other.

Source: "Image Clustering with External Guidance", arXiv 2310.11989 (ICML 2024). Each function
follows the authors' code ("as coded").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, check_number, whole
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder, TextBank
from mvlib.methods.features import check_pair, choose_rows, softmax_blocks, weighted_sums
from mvlib.methods.heads import (
    assignments,
    check_batch_size,
    draw_neighbours,
    full_batches,
    train_heads,
)
from mvlib.methods.training import seeded
from mvlib.methods.words import PaperSettings, WordClustering
from mvlib.ops import resolve_device, top_k, unit_rows

PARTS = ("distillation", "consistency", "entropy")
_LARGE = {"epochs": 100, "batch_size": 8192, "distillation_temperature": 5.0}
# TAC's settings that differ from its defaults, a set.
SETTINGS = {
    **dict.fromkeys(("stl-10", "cifar-10", "cifar-20", "imagenet-10"), {}),
    **dict.fromkeys(("imagenet-dogs", "dtd"), {}),
    **dict.fromkeys(("ucf-101", "imagenet-1k"), _LARGE),
}


def filter_nouns(
    nouns: np.ndarray,
    centres: np.ndarray,
    top: int = 5,
    *,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return the nouns that tell the centres apart: TAC's filter.

    Each noun goes to the centre of its largest softmax over the centres (without a
    temperature, of unit rows); each centre keeps the `top` of its nouns by that softmax.

        p_jl = exp(cos(u_j, c_l)) / sum_m exp(cos(u_j, c_m))  (TAC, as coded)

    Parameters
    ----------
    nouns : array-like of shape (n_words, n_features)
        Text features.
    centres : array-like of shape (n_centers, n_features)
        Centres of the images, from `semantic_centres`.
    top : int, default=5
        Nouns a centre; fewer where fewer went to it. Equal rows take a place each.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds unit rows, products and softmax to half precision, in which the
        authors' code computes. Ties are common then.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_kept,), int64
        Rows of `nouns`, ascending.

    Raises
    ------
    ValueError
        If widths differ, values are not finite, or `top` is not a positive integer.

    Notes
    -----
    *Deviations*. Ties go to the lower centre and the lower row; in the code their order is
    undefined.
    """
    centres, nouns = check_pair(centres, nouns, ("centres", "nouns"))
    check_number("top", top, low=1, integer=True)
    confidence = np.empty(len(nouns), dtype=np.float32)
    nearest = np.empty(len(nouns), dtype=np.int64)
    for rows, weights in softmax_blocks(nouns, centres, 1.0, device, precision):
        best = weights.max(dim=1)
        confidence[rows], nearest[rows] = best.values.cpu(), best.indices.cpu()
    return smallest_of_each(nearest, -confidence, top)


def smallest_of_each(groups: np.ndarray, scores: np.ndarray, top: int) -> np.ndarray:
    """Return the `top` rows of smallest score of each group, ascending; ties by row."""
    order = np.lexsort((np.arange(len(groups)), scores, groups))
    sizes = np.bincount(groups)
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < top])


def softmax_counterpart(
    X: np.ndarray,
    nouns: np.ndarray,
    temperature: float = 0.005,
    *,
    normalize: bool = True,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return TAC's counterparts: what each image is in the nouns near it.

        x_i^u = sum_j softmax_j(cos(x_i, u_j) / tau) u_j  (TAC, as coded)

    Rows are L2-normalised first: TAC stores them otherwise, but divided by 0.005 only cosines
    leave a softmax over more than one noun.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    nouns : array-like of shape (n_words, n_features)
        Text features of the kept nouns.
    temperature : float, default=0.005
        tau.
    normalize : bool, default=True
        Whether to divide each counterpart by its L2 norm.
    precision, device
        As in `filter_nouns`.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If the widths differ, values are not finite, or the temperature is not positive.
    """
    X, nouns = check_pair(X, nouns)
    blocks = softmax_blocks(X, nouns, temperature, device, precision)
    return weighted_sums(blocks, nouns, len(X), normalize, precision)


def total_loss(
    P: torch.Tensor,
    Q: torch.Tensor,
    P_near: torch.Tensor,
    Q_near: torch.Tensor,
    *,
    temperature: float = 0.5,
    entropy_weight: float = 5.0,
) -> dict[str, torch.Tensor]:
    """Return what trained TAC minimises on a batch, as "loss", and its `PARTS`.

        L = L_dis(P, Q^N) + L_dis(Q, P^N) + L_con(P, Q) - 5 (H(P) + H(Q))  (TAC, as coded)

    P and Q are the assignments of the batch by the image head and by the text head, P^N and Q^N
    those of a random neighbour of each row, among the images and among the counterparts.
    "distillation" and "entropy" are sums of two parts.
    """
    distillation = distillation_loss(P, Q_near, temperature)
    distillation = distillation + distillation_loss(Q, P_near, temperature)
    consistency = consistency_loss(P, Q)
    entropy = balance_entropy(P) + balance_entropy(Q)
    loss = distillation + consistency - entropy_weight * entropy
    return {"loss": loss} | dict(zip(PARTS, (distillation, consistency, entropy), strict=True))


def distillation_loss(P: torch.Tensor, Q: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how badly the clusters of P and of Q find each other among all of both.

    With c_1, ..., c_2K the columns of P, then those of Q (column k holds the batch's
    probabilities of cluster k), s_kl = exp(cos(c_k, c_l) / tau), and c_k' the partner of c_k,
    the same cluster by the other head:

        L_dis = -mean_k log(s_kk' / sum_{l != k} s_kl)  (TAC, as coded)

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch by two heads, or of its neighbours.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape ()
    """
    columns = F.normalize(torch.cat([P.T, Q.T]), dim=1)
    logits = columns @ columns.T / temperature
    own = torch.eye(len(columns), dtype=torch.bool, device=logits.device)
    partners = torch.arange(len(columns), device=logits.device).roll(P.shape[1])
    return F.cross_entropy(logits.masked_fill(own, -torch.inf), partners)


def consistency_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Return a loss that is small where two heads agree, and are sure.

        L_con = -mean_i max(log(p_i . q_i), -100)  (TAC, as coded)

    It is the binary cross-entropy with 1, whose logarithm is never below -100.

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch; each row sums to one.

    Returns
    -------
    Tensor of shape ()
    """
    agreement = (P * Q).sum(dim=1).clamp(0, 1)
    return F.binary_cross_entropy(agreement, torch.ones_like(agreement))


def balance_entropy(P: torch.Tensor, floor: float = 1e-9) -> torch.Tensor:
    """Return the entropy of the mean assignment: log K where all clusters are equally large.

        H = -sum_k m_k log max(m_k, 1e-9), m_k the mean of p_ik over i  (TAC, as coded)

    Parameters
    ----------
    P : Tensor of shape (n_samples, n_clusters)
        Assignments of a batch; each row sums to one.
    floor : float, default=1e-9
        Smallest probability inside the logarithm. SIC's is 1e-8.

    Returns
    -------
    Tensor of shape ()
        In nats.
    """
    mean = P.mean(dim=0)
    return -(mean * mean.clamp_min(floor).log()).sum()


def nearest_neighbours(X: np.ndarray, n_neighbors: int, *, device: str = "auto") -> np.ndarray:
    """Return the nearest other rows of each row by cosine, nearest first."""
    check_number("n_neighbors", n_neighbors, low=1, high=len(X) - 1, integer=True)
    unit = unit_rows(X)
    _, nearest = top_k(unit, unit, n_neighbors + 1, device=device)
    own = nearest == np.arange(len(X))[:, None]
    # Among equal rows a row may not be its own first: then the farthest goes.
    own[~own.any(axis=1), -1] = True
    return nearest[~own].reshape(len(X), n_neighbors)


def clustering_head(
    n_features: int, n_clusters: int, hidden_dim: int | None = None
) -> nn.Sequential:
    """Return Linear, batch normalisation, ReLU, Linear, softmax; as wide as the features."""
    hidden_dim = n_features if hidden_dim is None else hidden_dim
    first, last = nn.Linear(n_features, hidden_dim), nn.Linear(hidden_dim, n_clusters)
    for layer in (first, last):
        # Cut at -2 and 2, a hundred standard deviations away.
        nn.init.trunc_normal_(layer.weight, std=0.02)
    return nn.Sequential(first, nn.BatchNorm1d(hidden_dim), nn.ReLU(), last, nn.Softmax(dim=1))


@dataclass(eq=False, repr=False, kw_only=True)
class _NounClustering(WordClustering):
    """What both share: which nouns are kept, and what the images are in them.

    Parameters
    ----------
    n_centers : int, optional
        Centres that choose the nouns, at most the train images; by default
        `number_of_centres` of them.
    top : int, default=5
        Nouns kept for each centre.
    temperature : float, default=0.005
        tau of the counterpart.
    prompts : sequence of str, optional
        Templates for words given as strings; by default TAC's seven, `mvlib.data.PROMPTS`.
    kmeans : {"faiss", "k-means++"}, default="faiss"
        Rules of each k-means: `mvlib.ops.faiss_kmeans` as in the authors' code, or
        `mvlib.ops.blocked_kmeans`.
    precision : {"float32", "float16"}, default="float32"
        "float16" computes centres, filter and counterparts in half precision, as the authors
        do.
    """

    n_centers: int | None = None
    top: int = 5
    temperature: float = 0.005
    prompts: Sequence[str] | None = None
    kmeans: str = "faiss"

    _centre_starts: ClassVar[int] = 10

    def _nouns(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> tuple[TextBank, dict[str, Any]]:
        """Return the kept nouns, and what the history says of them."""
        bank = self._bank(X, train, texts, encoder, PROMPTS)
        how: dict[str, Any] = {"kmeans": self.kmeans, "precision": self.precision}
        centres = self._centres(train, seed, n_init=self._centre_starts, **how)
        kept = self._filter(bank.features, centres)
        return choose_rows(bank, kept), {"kept": kept, "n_centers": len(centres)}

    def _filter(self, nouns: np.ndarray, centres: np.ndarray) -> np.ndarray:
        on: dict[str, Any] = {"precision": self.precision, "device": self.device}
        return filter_nouns(nouns, centres, self.top, **on)

    def _counterpart(self, X: np.ndarray, nouns: np.ndarray) -> np.ndarray:
        on: dict[str, Any] = {"precision": self.precision, "device": self.device}
        return softmax_counterpart(X, nouns, self.temperature, **on)


@dataclass(eq=False, repr=False, kw_only=True)
class TAC(_NounClustering):
    """Text-aided clustering without training.

    Nouns near the images' centres are kept; each image gets a counterpart, the mean of the
    kept nouns under a sharp softmax; spherical k-means of image and counterpart side by side.
    A noun that stands in several rows of the texts counts once a row: several rows can fill a
    centre's places, and its weight in the counterparts multiplies.

    Parameters
    ----------
    n_init : int, default=20
        Starts of k-means, each of at most 300 iterations.

    Attributes
    ----------
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
    *Use it* where one encoder gives images and nouns in one space; nothing is trained. The
    length of an image's features changes nothing. *Cost*: one softmax of n images over at most
    top * n_centers nouns, which beyond 300 images a class grows with n squared, and `n_init`
    starts of k-means. *Beside it*: `CLIPKMeans`; `ZeroShot` where the classes' names are known.

    Source: the authors' code (arXiv 2310.11989, ICML 2024). Features are stored as the encoder
    gives them, so the mean over the templates is one of unnormalised embeddings; images and
    nouns are L2-normalised before every product, centres and counterparts are of unit length.
    The authors' texts are the rows of `mvlib.data.nouns(rows="tac")`; the train split chooses
    among them.

    *Deviations*, measured in the book's chapter "TAC and SIC as their code has them":
    float32 by default, the code computes in half precision; `random_state` seeds k-means, the
    code's seed is always 1234. Never more centres than images.
    """

    n_init: int = 20

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        nouns, chosen = self._nouns(X, train, texts, encoder, seed)
        self._nouns_ = nouns.features
        self.embedding_ = self._embed(X)
        found = self._kmeans(self.embedding_, seed)
        self.labels_ = found.labels
        self.cluster_names_ = self._noun_names(X, [nouns], self.temperature)
        self.history_ = chosen | {"inertia": found.inertia, "n_iter": found.n_iter}

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return np.hstack([unit_rows(X), self._counterpart(X, self._nouns_)])


@dataclass(eq=False, repr=False, kw_only=True)
class TrainedTAC(_NounClustering, PaperSettings):
    """Text-aided clustering with trained heads.

    The nouns and counterparts of `TAC`; one head for the images, one for the counterparts.
    Each head learns to put an image's neighbours, in either modality, where the other puts
    the image. An image's cluster is what the image head gives it.

    Parameters
    ----------
    hidden_dim : int, optional
        Width of the heads' hidden layer; by default that of the features.
    n_neighbors : int, default=50
        Neighbours in each modality, fewer than the train images.
    distillation_temperature : float, default=0.5
        tau of the distillation.
    entropy_weight : float, default=5.0
        Weight of the clusters' balance.
    batch_size : int, default=512
        Images in a batch, from 2, at most the train images. The images left over are dropped,
        others in each epoch.
    learning_rate : float, default=1e-3
        Of Adam, whose betas are (0.9, 0.99).

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
    *Use it* as `TAC`, with at least `batch_size` images to train on. The length of an image's
    features changes nothing. *Cost*: that of `TAC` without its k-means, the neighbours of all
    images among all, twice, and n // batch_size steps an epoch, by default 380 in all for
    10,000 images. The heads have n_features squared weights unless `hidden_dim` is given.
    *Beside it*: `TAC` and `CLIPKMeans`; `ZeroShot` where the classes' names are known.

    The heads lower `mvlib.methods.tac.total_loss`: of a batch, and of a random one of each
    image's neighbours, among the images and among the counterparts. They read features of unit
    length; their weights start from a normal distribution of standard deviation 0.02.

    Source: trained TAC, the authors' code (arXiv 2310.11989).

    *Deviations*. `batch_size` above the number of train images is an error; the code trains
    nothing then. The nearest neighbours leave the row itself out; the code leaves out the
    first it finds, which among equal rows may be another. Else as in `TAC`.
    """

    hidden_dim: int | None = None
    n_neighbors: int = 50
    distillation_temperature: float = 0.5
    entropy_weight: float = 5.0
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 1e-3
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "heads_"
    _parts: ClassVar[tuple[str, ...]] = PARTS
    # Batch normalisation takes no batch of one.
    _bounds: ClassVar[Mapping[str, Bound]] = {"batch_size": whole(2)}
    _paper_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = SETTINGS

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        nouns, chosen = self._nouns(X, train, texts, encoder, seed)
        n_train = len(train)
        check_batch_size(self.batch_size, n_train)
        device = resolve_device(self.device)
        words, alike = self._words(train, nouns.features)
        neighbours = [
            torch.from_numpy(nearest_neighbours(M, self.n_neighbors, device=self.device))
            for M in (train, alike)
        ]
        images, told = (torch.from_numpy(M).to(device) for M in (unit_rows(train), words))
        with seeded(seed, device) as generator:
            heads = self._network().to(device)

            def batches() -> list[torch.Tensor]:
                return full_batches(n_train, self.batch_size, generator)

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                near, near_told = (draw_neighbours(N[rows], generator) for N in neighbours)
                return self._losses(heads, (images, told), rows, near, near_told)

            self.embedding_, self.history_ = train_heads(
                self, heads, unit_rows(X), batches, step, self._parts, betas=(0.9, 0.99)
            )
        self.labels_ = self.history_["labels"][-1]
        self.cluster_names_ = self._noun_names(X, [nouns], self.temperature)
        self.history_ |= chosen
        self.heads_ = heads

    def _words(self, train: np.ndarray, nouns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the head of words reads of each image, and what its neighbours share."""
        told = self._counterpart(train, nouns)
        return told, told

    def _losses(
        self,
        heads: nn.ModuleList,
        both: tuple[torch.Tensor, torch.Tensor],
        rows: torch.Tensor,
        near: torch.Tensor,
        near_told: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the losses of a batch, and of a neighbour of each by image and by text."""
        (images, told), (image_head, text_head) = both, heads
        P, P_near = image_head(images[rows]), image_head(images[near])
        Q, Q_near = text_head(told[rows]), text_head(told[near_told])
        return total_loss(
            P,
            Q,
            P_near,
            Q_near,
            temperature=self.distillation_temperature,
            entropy_weight=self.entropy_weight,
        )

    def _network(self) -> nn.ModuleList:
        return nn.ModuleList(
            clustering_head(self.n_features_in_, self.n_clusters, self.hidden_dim)
            for _ in range(2)
        )

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.heads_[0], unit_rows(X))
