"""MAGIC: two heads that contrast clusters over neighbours, told of an image at two grains.

Source: a third party's code, VLM4Cluster, simpler than the authors' method (ICML 2026), which
reads captions and extracted concepts, too, and has a teacher that fuses them.

Picture
-------
given : features of images and of nouns, many and the three nearest of each image
learns : attention over the two, an adapter a modality, a head of images and one of both
pulls : neighbours in one cluster, in each head and across them; clusters of one size
matches : nothing
groups : by the image head's largest output
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, check_number, choice, real, whole
from mvlib.methods.features import check_pair, cosine_blocks, weighted_sums
from mvlib.methods.tac import (
    TrainedTAC,
    balance_entropy,
    clustering_head,
    distillation_loss,
)

PARTS = ("contrast", "agreement", "entropy")
TARGETS = ("words", "images")


def coarse_counterpart(
    X: np.ndarray, nouns: np.ndarray, top: int = 3, *, device: str = "auto"
) -> np.ndarray:
    """Return what each image is in the few kept nouns nearest to it, at unit length.

        x_i^c = sum_{j in top 3} max(cos(x_i, u_j), 0) u_j / norm  (MAGIC, secondary)

    Zeros where no cosine is above 0; all nouns, where there are fewer than `top`.
    """
    X, nouns = check_pair(X, nouns)

    def nearest() -> Any:
        for rows, cosines in cosine_blocks(X, nouns, device):
            best = cosines.topk(min(top, len(nouns)), dim=1)
            weights = torch.zeros_like(cosines)
            yield rows, weights.scatter_(1, best.indices, best.values.clamp_min(0))

    return weighted_sums(nearest(), nouns, len(X), normalize=True)


def attend(Q: torch.Tensor, K: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    """Return what each token of an image reads from all of its tokens, head by head.

    A_h = softmax(Q_h K_h' / sqrt d_h) V_h  (MAGIC, secondary)

    Of shape (n_samples, n_heads, n_tokens, d_h), as Q, K and V.
    """
    return torch.softmax(Q @ K.transpose(-1, -2) / Q.shape[-1] ** 0.5, dim=-1) @ V


def agreement_loss(P: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of clusters as distributions over the images of a batch.

        L_a = -mean_k sum_i b_ik log max(a_ik, 1e-9)  (MAGIC, secondary)

    a_ik = p_ik / sum_j p_jk, and b_ik that of the target; the gradient goes through both.
    """
    A, B = (M / M.sum(dim=0).clamp_min(1e-9) for M in (P, target))
    return -(B * A.clamp_min(1e-9).log()).sum(dim=0).mean()


def total_loss(
    both: tuple[torch.Tensor, torch.Tensor],
    by_image: tuple[torch.Tensor, torch.Tensor],
    by_text: tuple[torch.Tensor, torch.Tensor],
    *,
    temperature: float = 1.1,
    agreement_weight: float = 0.6,
    entropy_weight: float = 5.0,
    target: str = "words",
) -> dict[str, torch.Tensor]:
    """Return what MAGIC minimises on a batch, as "loss", and its `PARTS`.

    L = D(P, P^t) + D(Q, Q^n) + D(P, Q^t) + D(Q, P^n) + 0.6 L_a - 5 (H(P) + H(Q))  (MAGIC, secondary)

    D is TAC's L_dis. P is by the image head, Q by that of words; P and Q, of the batch, are
    `both`, P^n and Q^n, of a neighbour among the images, `by_image`, and P^t and Q^t, of one
    among the words, `by_text`. `target` says whose columns the others are held to in L_a.
    """  # noqa: E501
    (P, Q), (P_n, Q_n), (P_t, Q_t) = both, by_image, by_text
    pairs = ((P, P_t), (Q, Q_n), (P, Q_t), (Q, P_n))
    contrast = torch.stack([distillation_loss(A, B, temperature) for A, B in pairs]).sum()
    agreement = agreement_loss(P, Q) if target == "words" else agreement_loss(Q, P)
    entropy = balance_entropy(P) + balance_entropy(Q)
    loss = contrast + agreement_weight * agreement - entropy_weight * entropy
    return {"loss": loss} | dict(zip(PARTS, (contrast, agreement, entropy), strict=True))


def adapter(n_features: int, width: int) -> nn.Sequential:
    """Return Linear, GELU, Linear, dropout of 0.1 and layer normalisation, without a skip."""
    narrow = max(1, width // 4)
    first, last = nn.Linear(n_features, narrow), nn.Linear(narrow, n_features)
    return nn.Sequential(first, nn.GELU(), last, nn.Dropout(0.1), nn.LayerNorm(n_features))


class Words(nn.Module):
    """Attention over the tokens of an image, their mean at unit length, adapter and head."""

    def __init__(self, n_features: int, width: int, n_heads: int, n_clusters: int):
        super().__init__()
        self.n_heads = n_heads
        self.read = nn.Linear(n_features, 3 * width)
        self.write = nn.Linear(width, n_features)
        self.adapter = adapter(n_features, width)
        self.head = clustering_head(2 * n_features, n_clusters, width)

    def forward(self, tokens: torch.Tensor, adapted: torch.Tensor) -> torch.Tensor:
        """Return Q from tokens (n, n_tokens, d) and from the adapted images (n, d)."""
        parts = self.read(tokens).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        fused = self.write(attend(*parts).transpose(1, 2).flatten(2)).mean(dim=1)
        told = self.adapter(F.normalize(fused, dim=1))
        return self.head(torch.cat([told, adapted], dim=1))


@dataclass(eq=False, repr=False, kw_only=True)
class MAGIC(TrainedTAC):
    """MAGIC after VLM4Cluster, simplified: TAC's contrast, with words at two grains.

    Parameters
    ----------
    n_coarse : int, default=3
        Kept nouns in an image's coarse counterpart, at most all.
    n_heads : int, default=8
        Of the attention; it must divide the width.
    hidden_dim : int, optional
        Width of the attention and of the heads' hidden layers, four times that of the adapters;
        by default that of the features.
    distillation_temperature : float, default=1.1
        Of the contrast.
    agreement_weight : float, default=0.6
        Of the heads' agreement.
    target : {"words", "images"}, default="words"
        Whose clusters the other head's are held to in the agreement.
    learning_rate : float, default=1e-4
        Of Adam, whose betas are (0.9, 0.99).

    Attributes
    ----------
    history_ : dict
        As in `TrainedTAC`, with "contrast" and "agreement" for its parts beside the entropy.

    Notes
    -----
    *Use it* beside `SAC` and `TrainedTAC`, whose nouns, fine counterparts and neighbours it
    has. The length of an image's features changes nothing. *Cost*: that of `TrainedTAC` before
    the training, and n // batch_size steps an epoch, by default 1,900 in all for 10,000 images,
    each with three passes through both networks, whose weights grow with n_features squared
    unless `hidden_dim` is given. *Beside it*: `TrainedTAC`, `TAC` and `CLIPKMeans`.

    Source: VLM4Cluster's code, so that each equation is "secondary". The authors' method reads
    captions and concepts: this is MAGIC "after VLM4Cluster", and no number of the paper is
    known to follow from it.

    *Deviations*. Which way the agreement runs is not known: `target` says it, and its default
    is ours. Ours, too: a cluster's column is divided by its sum; the attention has biases, an
    output layer and no dropout; the head of words reads the adapted image; the heads start as
    TAC's; the two heads see the batch and its neighbours one after the other, each with its own
    batch statistics; a short last batch is dropped. `paper_settings` are those of that code.
    """

    n_coarse: int = 3
    n_heads: int = 8
    distillation_temperature: float = 1.1
    agreement_weight: float = 0.6
    target: str = "words"
    epochs: int = 100
    learning_rate: float = 1e-4

    _bounds: ClassVar[Mapping[str, Bound]] = {
        **dict.fromkeys(("n_coarse", "n_heads"), whole()),
        "agreement_weight": real(0),
        "target": choice(TARGETS),
    }
    # From 100 classes on.
    _paper_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = dict.fromkeys(
        ("ucf-101", "imagenet-1k"), {"batch_size": 8192}
    )

    _parts = PARTS

    def _fit(self, X: np.ndarray, *given: Any) -> None:
        # Of a single feature layer normalisation leaves nothing.
        check_number("number of features", X.shape[1], low=2)
        width = self.hidden_dim or X.shape[1]
        if width % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} does not divide the attention's width, {width}: "
                "expected a divisor, or another hidden_dim"
            )
        super()._fit(X, *given)

    def _words(self, train: np.ndarray, nouns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fine = self._counterpart(train, nouns)
        coarse = coarse_counterpart(train, nouns, self.n_coarse, device=self.device)
        # The sum, at unit length, has the same neighbours.
        return np.stack([fine, coarse], axis=1), fine + coarse

    def _losses(
        self,
        heads: Any,
        both: tuple[torch.Tensor, torch.Tensor],
        *batches: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        (images, tokens), ((adapt, image_head), word_head) = both, heads

        def assigned(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            adapted = adapt(images[rows])
            return image_head(adapted), word_head(tokens[rows], adapted)

        return total_loss(
            *map(assigned, batches),
            temperature=self.distillation_temperature,
            agreement_weight=self.agreement_weight,
            entropy_weight=self.entropy_weight,
            target=self.target,
        )

    def _network(self) -> nn.ModuleList:
        d, k = self.n_features_in_, self.n_clusters
        width = self.hidden_dim or d
        images = nn.Sequential(adapter(d, width), clustering_head(d, k, width))
        return nn.ModuleList([images, Words(d, width, self.n_heads, k)])
