"""SSCC's loss on views: two views' soft assignments agree, and no two clusters say the same.

Source: SSCC (CDCEO workshop at CIKM 2021, CEUR Vol-3052), and the authors' code,
https://github.com/AngryCai/SSCC (no licence). Its method clusters the pixels of hyperspectral
images by a convolutional network on patches, of which it augments each twice. Only its loss,
its head and its training are here, and rows of two views are the positive pairs.

Picture
-------
given : two views, rows paired rightly
learns : a network a view, whose last layer is a softmax over the clusters
pulls : a cluster's columns to correlate across the views, others' not to; rows to be alike
matches : nothing
groups : the largest of the assignments, their mean over the two views

Deviations
----------
Pairs of views stand for two augmentations of a patch, and each view has a network of its own,
where the code has one for both. Its convolutions, which end in 256 features, are one linear
layer to 256 features and ReLU here; the head after them, 256-512-ReLU-K-softmax, is the code's.
Which of two heads says the cluster is ours: their mean. What the code does with a last batch
that is not full is not known; here it is learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import real
from mvlib.methods import training
from mvlib.methods.base import Mask, Views
from mvlib.methods.heads import assignments
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.views.pvc import perceptron
from mvlib.methods.views.wah import semantic_loss
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

PARTS = ("redundancy", "contrast")
DECAY_EPOCHS, DECAY = 20, 0.1


def redundancy(P_1: torch.Tensor, P_2: torch.Tensor, off_diagonal: float) -> torch.Tensor:
    """Compare the clusters' columns across two views, Barlow Twins' loss of assignments.

    L_bt = sum_k (C_kk - 1)^2 + 0.005 sum_{k != l} C_kl^2, C = BN(P_1)^T BN(P_2) / B  (SSCC, as coded)

    BN is batch normalisation without scale and shift, of each view by its own B rows.
    """  # noqa: E501
    first, second = (F.batch_norm(P, None, None, training=True) for P in (P_1, P_2))
    C = first.T @ second / len(first)
    own = torch.eye(len(C), device=C.device, dtype=C.dtype)
    return ((C - own).square() * (own + off_diagonal * (1 - own))).sum()


def total_loss(
    P_1: torch.Tensor,
    P_2: torch.Tensor,
    *,
    off_diagonal: float = 0.005,
    contrast_weight: float = 5e-5,
    temperature: float = 0.5,
) -> dict[str, torch.Tensor]:
    """Return what SSCC minimises on a batch, as "loss", and its `PARTS`.

    L = L_bt + 5e-5 L_nce  (SSCC, as coded)

    The second tells the partner of each row among all other rows of both views.

    L_nce = -1/2B sum_i log(e^(cos(p_i, p'_i)/tau) / sum_{j != i} e^(cos(p_i, p_j)/tau))  (SSCC, as coded)
    """  # noqa: E501
    parts = (
        redundancy(P_1, P_2, off_diagonal),
        # WAH contrasts columns in this way.
        semantic_loss(P_1.T, P_2.T, temperature, "cosine"),
    )
    return {"loss": parts[0] + contrast_weight * parts[1]} | dict(
        zip(PARTS, parts, strict=True)
    )


def decayed(rate: float, epoch: int) -> float:
    """Return the learning rate of an epoch, from 0.

    lr = lr_0 0.1^floor(e / 20)  (SSCC, as coded)
    """
    return rate * DECAY ** (epoch // DECAY_EPOCHS)


@dataclass(eq=False, repr=False, kw_only=True)
class SSCCViews(TwoViewNetworks):
    """Clustering of two views by SSCC's loss: assignments that correlate cluster by cluster.

    Two views, row i of both of which is taken for one sample.

    Parameters
    ----------
    off_diagonal : float, default=0.005
        Weight of the correlations of different clusters.
    contrast_weight : float, default=5e-5
        Weight of the rows' contrast.
    temperature : float, default=0.5
        tau, of the rows' contrast.
    hidden_dims : sequence of int, default=(256, 512)
        Widths of each network's hidden layers.
    epochs, batch_size, learning_rate, weight_decay : default=200, 512, 2e-4, 0.005
        Of Adam, whose rate is divided by ten after every twenty epochs.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The largest of `embedding_`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Assignments, the mean over the two views.
    history_ : dict of str to ndarray
        `loss`, `redundancy` and `contrast`, by epoch.
    network_ : ModuleList
        A network a view, in evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where rows are paired rightly, to see what Barlow Twins' loss on assignments does
    by itself; `aligned` is not read. *Cost*: 200 epochs of n / batch_size steps, of which those
    after the 60th change next to nothing: the rate is below 1e-6 then. *Beside it*:
    `KMeansConcatenation`, `SpectralConcatenation`; `WAH`, which contrasts columns.

    The first part, nearly all of the loss, sees no shift and no scale of a column, and the
    largest of a row is decided by just these. So the loss can be next to 0 with all rows in one
    cluster, while k-means of `embedding_` still tells the groups apart.
    """

    off_diagonal: float = 0.005
    contrast_weight: float = 5e-5
    temperature: float = 0.5
    hidden_dims: Sequence[int] = (256, 512)
    epochs: int = 200
    batch_size: int = 512
    learning_rate: float = 2e-4
    weight_decay: float = 0.005

    _labels_from = "largest"
    _bounds = dict.fromkeys(("off_diagonal", "contrast_weight", "weight_decay"), real(0))

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        device = resolve_device(self.device)
        with training.seeded(seed, device) as generator:
            self._train(on_device(views, device), generator)
        self.embedding_ = self._embed(views)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _network(self) -> nn.ModuleList:
        return nn.ModuleList(
            nn.Sequential(
                perceptron((width, *self.hidden_dims, self.n_clusters)), nn.Softmax(dim=1)
            )
            for width in self.n_features_in_
        )

    def _train(self, Xs: list[torch.Tensor], generator: torch.Generator) -> None:
        self.network_ = network = self._network().to(Xs[0].device)
        optimizer = Adam(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )

        def step(rows: torch.Tensor | slice) -> dict[str, torch.Tensor]:
            return total_loss(
                *(head(X[rows]) for head, X in zip(network, Xs, strict=True)),
                off_diagonal=self.off_diagonal,
                contrast_weight=self.contrast_weight,
                temperature=self.temperature,
            )

        def after_epoch(epoch: int, _: dict[str, float]) -> dict[str, Any]:
            optimizer.param_groups[0]["lr"] = decayed(self.learning_rate, epoch + 1)
            return {}

        self.history_ = training.train(
            self,
            lambda: training.batches(len(Xs[0]), self.batch_size, generator),
            step,
            network,
            optimizer,
            parts=PARTS,
            after_epoch=after_epoch,
        )

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        parts = [assignments(head, X) for head, X in zip(self.network_, views, strict=True)]
        return np.mean(parts, axis=0)
