"""SAC: two heads that contrast the neighbours of an image, weighted by what the heads agree on.

Source: a third party's code, VLM4Cluster; the authors' is not to be found, and is said to read
captions, which this does not.

Picture
-------
given : features of images and of nouns
learns : a head of images and one of words
pulls : neighbours in one cluster in both heads, weighted by what the heads agree on
matches : nothing
groups : by the image head's largest output
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, real
from mvlib.methods.tac import TrainedTAC, balance_entropy, consistency_loss

PARTS = ("contrast", "agreement", "entropy")
# Of the anchor's own pair, and of the pair with the neighbour, in a pair's weight.
SHARES = (0.9, 0.1)
# As VLM4Cluster has them, of the sets that are not run by default settings.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "imagenet-1k": {
        "n_neighbors": 50, "epochs": 100, "batch_size": 8192, "temperature": 0.01,
    },
}  # fmt: skip


def pair_weights(
    P: torch.Tensor, Q: torch.Tensor, A: torch.Tensor, V: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return how much each pair of an anchor a and its neighbour's row v counts.

        w_i = 0.9 sigma(p_i . q_i / T) + 0.1 sigma(a_i . v_i / T)  (SAC, secondary)

    From 0.5 to 0.713 at T = 1.1, so that all pairs weigh nearly the same. The gradient goes
    through.

    a is p or q of the anchor, v the row of a neighbour.
    """
    own, near = ((B * C).sum(dim=1) / temperature for B, C in ((P, Q), (A, V)))
    return SHARES[0] * own.sigmoid() + SHARES[1] * near.sigmoid()


def weighted_contrast(
    A: torch.Tensor, V: torch.Tensor, weights: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return how badly the rows of A and of V find each other among all of both and themselves.

    With z_1, ..., z_2B the rows of A, then those of V, and z_i' the partner of z_i,

        L_c = -sum_i w_i (z_i.z_i'/T - log sum_j e^{z_i.z_j/T}) / sum w  (SAC, secondary)

    The sum over j has i itself; rows are not normalised, and w_i is that of the pair.
    """
    rows = torch.cat([A, V])
    partners = torch.arange(len(rows), device=rows.device).roll(len(A))
    losses = F.cross_entropy(rows @ rows.T / temperature, partners, reduction="none")
    both = weights.repeat(2)
    return (both * losses).sum() / both.sum()


def agreement_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Return a loss that is small where two heads agree, by rows and by clusters.

        L_a = [L_rows + mean_k log(1 + e^{-c_k})] / 2, c_k = sum_i p_ik q_ik  (SAC, secondary)

    L_rows is TAC's L_con. c_k grows with the batch, so that the second half is soon 0.
    """
    columns = F.softplus(-(P * Q).sum(dim=0)).mean()
    return (consistency_loss(P, Q) + columns) / 2


def total_loss(
    P: torch.Tensor,
    Q: torch.Tensor,
    by_text: tuple[torch.Tensor, torch.Tensor],
    P_near: torch.Tensor,
    *,
    temperature: float = 1.1,
    agreement_weight: float = 0.6,
    entropy_weight: float = 4.0,
) -> dict[str, torch.Tensor]:
    """Return what SAC minimises on a batch, as "loss", and its `PARTS`.

        L = L_c(P,P^t) + L_c(P,Q^t) + L_c(Q,P^n) + 0.6 L_a - 4 (H(P)+H(Q))  (SAC, secondary)

    `by_text` holds P^t and Q^t, both heads' assignments of a neighbour among the counterparts;
    `P_near` is P^n, the image head's of a neighbour among the images.
    """
    contrast = torch.zeros((), device=P.device, dtype=P.dtype)
    for A, V in ((P, by_text[0]), (P, by_text[1]), (Q, P_near)):
        weights = pair_weights(P, Q, A, V, temperature)
        contrast = contrast + weighted_contrast(A, V, weights, temperature)
    agreement = agreement_loss(P, Q)
    entropy = balance_entropy(P) + balance_entropy(Q)
    loss = contrast + agreement_weight * agreement - entropy_weight * entropy
    return {"loss": loss} | dict(zip(PARTS, (contrast, agreement, entropy), strict=True))


@dataclass(eq=False, repr=False, kw_only=True)
class SAC(TrainedTAC):
    """SAC after VLM4Cluster: TAC's heads, contrasted over neighbours with weights.

    Parameters
    ----------
    n_neighbors : int, default=20
        Neighbours of each image among the images and among the counterparts, one of which is
        drawn.
    distillation_temperature : float, default=1.1
        T of weights and contrast.
    agreement_weight, entropy_weight : float, default=0.6, 4.0
        Of the heads' agreement and of the clusters' balance.

    Attributes
    ----------
    history_ : dict
        As in `TrainedTAC`, with "contrast" and "agreement" for its parts beside the entropy.

    Notes
    -----
    *Use it* beside `TrainedTAC`, whose nouns, counterparts and heads it has; the losses are
    not TAC's. The length of an image's features changes nothing. *Cost*: that of
    `TrainedTAC`, by default 570 steps in all for 10,000 images. *Beside it*: `TrainedTAC`,
    `TAC` and `CLIPKMeans`.

    Source: VLM4Cluster's code, so that each equation is "secondary". The authors' method reads
    captions, of which that code has none: this is SAC "after VLM4Cluster", and no number of the
    paper is known to follow from it.

    *Deviations*. What that code does with a short last batch is not known; it is dropped here,
    as in TAC's. `paper_settings` are those of that code.
    """

    n_neighbors: int = 20
    distillation_temperature: float = 1.1
    agreement_weight: float = 0.6
    entropy_weight: float = 4.0
    epochs: int = 30

    _bounds: ClassVar[Mapping[str, Bound]] = {"agreement_weight": real(0)}
    _paper_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = SETTINGS
    _parts = PARTS

    def _losses(
        self,
        heads: nn.ModuleList,
        both: tuple[torch.Tensor, torch.Tensor],
        rows: torch.Tensor,
        near: torch.Tensor,
        near_told: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        (images, told), (image_head, text_head) = both, heads
        return total_loss(
            image_head(images[rows]),
            text_head(told[rows]),
            (image_head(images[near_told]), text_head(told[near_told])),
            image_head(images[near]),
            temperature=self.distillation_temperature,
            agreement_weight=self.agreement_weight,
            entropy_weight=self.entropy_weight,
        )
