"""SEIC's first stage: two heads that agree on rows, on clusters and on centres of clusters.

Source: "Self-Enhanced Image Clustering with Cross-Modal Semantic Consistency", arXiv 2508.01254
(AAAI 2026), as a third party's code, VLM4Cluster, has it: the authors' is not to be found.

Picture
-------
given : features of images and of nouns
learns : a head of images and one of words
pulls : the two heads to agree on rows, on clusters and on centres of clusters
matches : nothing
groups : by the image head's largest output
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, check_number, optional, real, whole
from mvlib.data import PROMPTS
from mvlib.encoders import Encoder
from mvlib.methods.features import check_pair, choose_rows, cosine_blocks, semantic_centres
from mvlib.methods.heads import assignments, train_heads
from mvlib.methods.training import seeded
from mvlib.methods.words import WordClustering
from mvlib.ops import resolve_device, top_k, unit_rows

PARTS = ("instance", "assignment", "centre", "balance")
WEIGHTS = (0.5, 1.0, 1.0, 2.0)
LARGEST_SCALE = 100.0
# Of the history of cluster sizes: how slowly it moves, and how small a size may count.
HISTORY_MOMENTUM, HISTORY_FLOOR, LARGEST_WEIGHT = 0.9, 0.01, 5.0


def candidate_nouns(nouns: np.ndarray, centres: np.ndarray, n_nearest: int = 200) -> np.ndarray:
    """Return the rows of the nouns that are among the nearest of some centre, ascending.

    S = union over the centres of the 200 u_j of largest cosine  (SEIC, secondary)
    """
    return np.unique(top_k(unit_rows(centres), unit_rows(nouns), n_nearest)[1])


def top_counterpart(
    X: np.ndarray,
    nouns: np.ndarray,
    top: int = 50,
    temperature: float = 0.01,
    *,
    device: str = "auto",
) -> np.ndarray:
    """Return what each image is in the nouns nearest to it, at unit length.

    x_i^t = sum_{j in top 50} softmax_j(cos(x_i, u_j) / T_text) u_j  (SEIC, secondary)
    """
    X, nouns = check_pair(X, nouns)
    told = np.empty_like(X)
    unit = torch.from_numpy(unit_rows(nouns)).to(resolve_device(device))
    for rows, cosines in cosine_blocks(X, nouns, device):
        best = cosines.topk(min(top, len(nouns)), dim=1)
        weights = torch.softmax(best.values / temperature, dim=1)
        # A row of weights over all nouns: no block of n * top * n_features.
        spread = torch.zeros_like(cosines).scatter_(1, best.indices, weights)
        told[rows] = F.normalize(spread @ unit, dim=1).cpu().numpy()
    return told


def info_nce(
    A: torch.Tensor, B: torch.Tensor, scale: torch.Tensor | float, kept: torch.Tensor
) -> torch.Tensor:
    """Return the symmetric InfoNCE of unit rows, over the rows that are kept; 0 below two.

    l(A, B) = 1/2 [CE(scale A B', i) + CE(scale B A', i)], means over kept i  (SEIC, secondary)
    """
    # Far below all cosines: exp of it is 0, and its gradient too, where -inf would give NaN.
    logits = (scale * A @ B.T).masked_fill(~kept, -1e4)
    back = (scale * B @ A.T).masked_fill(~kept, -1e4)
    own = torch.arange(len(A), device=A.device)
    losses = F.cross_entropy(logits, own, reduction="none")
    losses = (losses + F.cross_entropy(back, own, reduction="none")) / 2
    count = kept.sum()
    mean = torch.where(kept, losses, 0.0).sum() / count.clamp_min(1)
    return torch.where(count >= 2, mean, 0.0)


def hard(P: torch.Tensor) -> torch.Tensor:
    """Return assignments with all of a row in its largest."""
    return torch.zeros_like(P).scatter_(1, P.argmax(dim=1, keepdim=True), 1.0)


def cluster_centres(P: torch.Tensor, H: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a unit centre of each cluster from its own rows, and which clusters have some.

    m_k = sum_i p_ik [k = argmax p_i] h_i / norm  (SEIC, secondary)
    """
    own = hard(P)
    return F.normalize((P * own).T @ H, dim=1), own.sum(dim=0) > 0


def balance_loss(P: torch.Tensor, Q: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
    """Return the entropy of both mean assignments, small clusters of the past weighing more.

        L_bal = -sum_modalities sum_k w_k (-m_k log m_k)  (SEIC, secondary)

    w_k = min(1 / (K h_k), 5) divided by the mean of w, h the history, floored at 0.01 and
    brought back to sum 1.
    """
    sizes = history.clamp_min(HISTORY_FLOOR)
    sizes = sizes / sizes.sum()
    weights = (1 / (len(sizes) * sizes)).clamp_max(LARGEST_WEIGHT)
    weights = weights / weights.mean()
    # A cluster that underflowed has no entropy, and no gradient in place of an infinite one.
    means = (A.mean(dim=0).clamp_min(1e-30) for A in (P, Q))
    return -sum((weights * torch.special.entr(mean)).sum() for mean in means)


def next_sizes(history: torch.Tensor, P: torch.Tensor) -> torch.Tensor:
    """Return the history of cluster sizes after a batch with the image head's P.

    h <- 0.9 h + 0.1 mean_i [k = argmax p_i]  (SEIC, secondary)
    """
    return HISTORY_MOMENTUM * history + (1 - HISTORY_MOMENTUM) * hard(P).mean(dim=0)


def total_loss(
    images: tuple[torch.Tensor, torch.Tensor],
    texts: tuple[torch.Tensor, torch.Tensor],
    scale: torch.Tensor,
    history: torch.Tensor,
    *,
    assignment_temperature: float = 0.5,
    centre_temperature: float = 0.5,
) -> dict[str, torch.Tensor]:
    """Return what SEIC's first stage minimises on a batch, as "loss", and its `PARTS`.

        L = 0.5 L_inst + L_assign + L_centre + 2 L_bal  (SEIC, secondary)

    `images` and `texts` are h and P of a modality, `scale` multiplies the cosines of rows, and
    the temperatures divide those of the columns of P and of the centres.
    """
    (H, P), (G, Q) = images, texts
    every = torch.ones(len(P), dtype=torch.bool, device=P.device)
    rows_P, rows_Q = (F.normalize(A.T, dim=1) for A in (P, Q))
    (M, some), (N, others) = cluster_centres(P, H), cluster_centres(Q, G)
    parts = (
        info_nce(H, G, scale, every),
        info_nce(rows_P, rows_Q, 1 / assignment_temperature, torch.ones_like(some)),
        info_nce(M, N, 1 / centre_temperature, some & others),
        balance_loss(P, Q, history),
    )
    loss = torch.stack([w * part for w, part in zip(WEIGHTS, parts, strict=True)]).sum()
    return {"loss": loss} | dict(zip(PARTS, parts, strict=True))


class Branch(nn.Module):
    """A modality's network: Linear at unit length (h), then Linear and softmax (P)."""

    def __init__(self, n_features: int, hidden_dim: int, n_clusters: int):
        super().__init__()
        self.rows, self.head = (
            nn.Linear(n_features, hidden_dim),
            nn.Linear(hidden_dim, n_clusters),
        )
        for layer in (self.rows, self.head):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def both(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return h and P."""
        H = F.normalize(self.rows(X), dim=1)
        return H, self.head(H).softmax(dim=1)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return P."""
        return self.both(X)[1]


class Scale(nn.Module):
    """What multiplies the cosines of rows: e^s, learnt from 1 / 0.07, at most 100."""

    def __init__(self) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self) -> torch.Tensor:
        return self.s.exp().clamp_max(LARGEST_SCALE)


@dataclass(eq=False, repr=False, kw_only=True)
class SEIC(WordClustering):
    """Self-enhanced image clustering, its first stage, on features.

    Parameters
    ----------
    n_nearest : int, default=200
        Nouns nearest to each of the n_clusters centres of the images; at most all.
    top : int, default=50
        Of these, nouns in an image's counterpart, at most all.
    temperature : float, default=0.01
        T_text, of the counterpart.
    assignment_temperature, centre_temperature : float, default=0.5
        Of the contrast of clusters by their columns, and by their centres.
    hidden_dim : int, optional
        Width of h; by default that of the features.
    batch_size : int, default=1024
        Images in a batch, at least 2; the last has the rest, and is dropped if that is a single
        image.
    prompts : sequence of str, optional
        Templates for words given as strings; by default TAC's seven.
    kmeans : {"faiss", "k-means++"}, default="faiss"
        Rules of the k-means that makes the centres, as in `TAC`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image after the last epoch.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        The image head's probabilities.
    cluster_names_ : list of dict
        As in `TAC`, of the candidates, at T_text.
    history_ : dict
        "loss", "instance", "assignment", "centre" and "balance", means over the rows of each
        epoch; "labels" of shape (epochs, n_samples); "kept", the candidates' rows; "sizes", the
        history of cluster sizes after the last step.

    Notes
    -----
    *Use it* where one encoder gives images and nouns in one space. The length of an image's
    features changes nothing. *Cost*: ten starts of k-means, one product of images and
    candidates, and n / batch_size steps an epoch, by default 2,000 in all for 10,000 images,
    of n_features squared weights unless `hidden_dim` is given. *Beside it*: `TrainedTAC`,
    `TAC` and `CLIPKMeans`; `ZeroShot` where the classes' names are known.

    Source: VLM4Cluster's code, as the authors' is not to be found: each equation is
    "secondary", and no number of the paper is known to follow from it. The heads lower
    `mvlib.methods.images.seic.total_loss`; the scale of rows starts at 1 / 0.07, is learnt and
    never above 100.

    *Deviations*. The second stage, which tunes the encoder, needs images and is not here. That
    the second Linear reads h at unit length is our reading. `random_state` seeds all; the
    code's seed is 42.
    """

    n_nearest: int = 200
    top: int = 50
    temperature: float = 0.01
    assignment_temperature: float = 0.5
    centre_temperature: float = 0.5
    hidden_dim: int | None = None
    epochs: int = 200
    batch_size: int = 1024
    learning_rate: float = 5e-3
    prompts: Sequence[str] | None = None
    kmeans: str = "faiss"
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "heads_"
    _bounds: ClassVar[Mapping[str, Bound]] = {
        "assignment_temperature": real(0, open_low=True),
        "centre_temperature": real(0, open_low=True),
        "hidden_dim": optional(whole()),
        "batch_size": whole(2),
    }

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        bank = self._bank(X, train, texts, encoder, PROMPTS)
        check_number("n_nearest", self.n_nearest, high=len(bank))
        device = resolve_device(self.device)
        centres = semantic_centres(
            train, self.n_clusters, kmeans=self.kmeans, device=self.device, random_state=seed
        )
        kept = candidate_nouns(bank.features, centres, self.n_nearest)
        nouns = choose_rows(bank, kept)
        told = top_counterpart(
            train, nouns.features, self.top, self.temperature, device=self.device
        )
        images, texts = (torch.from_numpy(M).to(device) for M in (unit_rows(train), told))
        sizes = torch.full((self.n_clusters,), 1 / self.n_clusters, device=device)
        with seeded(seed, device) as generator:
            heads: Any = self._network().to(device)
            image_head, text_head, scale = heads

            def batches() -> list[torch.Tensor]:
                order = torch.randperm(len(train), generator=generator)
                parts = list(order.split(self.batch_size))
                return parts[:-1] if len(parts[-1]) == 1 < len(order) else parts

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                pictures = image_head.both(images[rows])
                losses = total_loss(
                    pictures,
                    text_head.both(texts[rows]),
                    scale(),
                    sizes,
                    assignment_temperature=self.assignment_temperature,
                    centre_temperature=self.centre_temperature,
                )
                sizes.copy_(next_sizes(sizes, pictures[1].detach()))
                return losses

            self.embedding_, self.history_ = train_heads(
                self, heads, unit_rows(X), batches, step, PARTS
            )
        self.labels_, self.heads_ = self.history_["labels"][-1], heads
        self.cluster_names_ = self._noun_names(X, [nouns], self.temperature)
        self.history_ |= {"kept": kept, "sizes": sizes.cpu().numpy()}

    def _network(self) -> nn.ModuleList:
        d, k = self.n_features_in_, self.n_clusters
        branches = [Branch(d, self.hidden_dim or d, k) for _ in range(2)]
        return nn.ModuleList([*branches, Scale()])

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.heads_[0], unit_rows(X))
