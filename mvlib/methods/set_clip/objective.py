"""What Set-CLIP minimises on a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mvlib.methods.set_clip.contrast import (
    pseudo_label_loss,
    self_supervised_contrastive_loss,
)
from mvlib.methods.set_clip.discrepancy import mmd
from mvlib.methods.set_clip.semantic_density import semantic_density_distribution_loss
from mvlib.ops.contrastive import partial_clip_loss

PARTS = ("contrast_1", "contrast_2", "sdd", "mmd", "clip", "pseudo_label")


@dataclass(frozen=True)
class Objective:
    """The weighted sum of Set-CLIP's losses.

    Attributes
    ----------
    weights : mapping of str to float
        A weight for each of `PARTS`; those at 0 are not computed.
    temperature : float
        Of the contrasts inside a modality and between them.
    density_bandwidth : float
        h of the densities.
    normalized_density : bool
        Which variant of the density loss.
    mmd_bandwidths : tuple of float
        Of the MMD's kernels.
    """

    weights: Mapping[str, float]
    temperature: float
    density_bandwidth: float
    normalized_density: bool
    mmd_bandwidths: tuple[float, ...]

    def losses(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        others: tuple[torch.Tensor | None, torch.Tensor | None],
        n_paired: int,
    ) -> dict[str, torch.Tensor]:
        """Return the losses that count on this batch, without their weights.

        Parameters
        ----------
        first : Tensor of shape (n_first, embedding_dim)
            Embeddings of the first modality, of unit length.
        second : Tensor of shape (n_second, embedding_dim)
            Embeddings of the second.
        others : tuple of two Tensors or None
            Second views of the rows of each; None where the contrast has no weight.
        n_paired : int
            So many rows at the front of both are partners.

        Returns
        -------
        dict of str to Tensor of shape ()
            By the names of `PARTS`. The last two only where there are pairs, and
            "pseudo_label" where there are rows of the first modality without.
        """
        tau = self.temperature
        found = {}
        for name, view, other in zip(PARTS[:2], (first, second), others, strict=True):
            if self.weights[name]:
                found[name] = self_supervised_contrastive_loss(view, other, tau)
        if self.weights["sdd"]:
            found["sdd"] = semantic_density_distribution_loss(
                first, second, self.density_bandwidth, self.normalized_density
            )
        if self.weights["mmd"]:
            found["mmd"] = mmd(first, second, self.mmd_bandwidths)
        if self.weights["clip"] and n_paired:
            pairs = torch.arange(n_paired, device=first.device).repeat(2, 1).T
            found["clip"] = partial_clip_loss(first, second, pairs, tau)
        if self.weights["pseudo_label"] and 0 < n_paired < len(first):
            found["pseudo_label"] = pseudo_label_loss(
                first[n_paired:], first[:n_paired], second[:n_paired], tau
            )
        return found

    def total(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the weighted sum of what `losses` gave."""
        return sum(self.weights[name] * loss for name, loss in losses.items())
