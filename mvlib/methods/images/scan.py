"""SCAN's clustering step on frozen features: heads that agree with the neighbours of an image.

Source: "SCAN: Learning to Classify Images without Labels" (ECCV 2020). Each equation follows
the authors' code ("as coded").

Picture
-------
given : features of images
learns : a linear head
pulls : an image and its neighbours in one cluster; clusters of one size
matches : nothing
groups : by the head's largest output
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from mvlib.check import Bound, RandomState, check_number, whole
from mvlib.encoders import Encoder
from mvlib.methods import training
from mvlib.methods.heads import assignments, check_batch_size, draw_neighbours, full_batches
from mvlib.methods.tac import consistency_loss
from mvlib.methods.training import seeded
from mvlib.methods.words import ImageClustering
from mvlib.ops import resolve_device, top_k, unit_rows

PARTS = ("consistency", "entropy")
# Of an image, itself among them: what the choice of head and epoch reads.
EVALUATION_ROWS = 6


def total_loss(
    P: torch.Tensor, P_near: torch.Tensor, *, entropy_weight: float = 5.0
) -> dict[str, torch.Tensor]:
    """Return what a head of SCAN minimises on a batch, as "loss", and its `PARTS`.

        L = -mean_i max(log(p_i . p_n(i)), -100) - 5 H(mean p)  (SCAN, as coded)

    The gradient goes through both p_i and p_n(i); the entropy is that of the batch alone.
    """
    consistency, entropy = consistency_loss(P, P_near), mean_entropy(P)
    loss = consistency - entropy_weight * entropy
    return {"loss": loss, "consistency": consistency, "entropy": entropy}


def mean_entropy(P: torch.Tensor) -> torch.Tensor:
    """Return the entropy of the mean assignment, no part of which is below 1e-8.

    H = -sum_k m_k log m_k, m_k = max(mean_i p_ik, 1e-8)  (SCAN, as coded)
    """
    return torch.special.entr(P.mean(dim=0).clamp_min(1e-8)).sum()


def own_loss(P: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Return the loss, without labels, by which SCAN's code chooses head and epoch.

        C = -mean_ij max(log(p_i . p_j), -100) - H(mean p)  (SCAN, as coded)

    The rows j of each row i, in `near`, are itself and its 5 nearest.
    """
    consistency = torch.stack([consistency_loss(P, P[column]) for column in near.T]).mean()
    return consistency - mean_entropy(P)


@dataclass(eq=False, repr=False, kw_only=True)
class SCAN(ImageClustering):
    """SCAN's clustering step: linear heads on frozen features, taught by neighbours.

    Parameters
    ----------
    n_heads : int, default=1
        Linear heads, trained side by side; one is kept.
    n_neighbors : int, default=20
        Neighbours of an image, fewer than the train images, one of which (or the image itself)
        is drawn at each visit.
    entropy_weight : float, default=5.0
        lambda, the weight of the clusters' balance.
    batch_size : int, default=128
        Images in a batch, at most the train images; a short last batch is dropped.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image by the head and epoch of lowest own loss.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        That head's probabilities.
    history_ : dict
        "loss", "consistency" and "entropy", sums over the heads and means over the rows of an
        epoch; "own_loss" of shape (epochs, n_heads); "labels" of shape (epochs, n_samples), by
        the head that is best after the epoch; "epoch" and "head", those kept, from 0.

    Notes
    -----
    *Use it* as the rival that learns from images alone; words are not read. The length of an
    image's features changes nothing. *Cost*: the neighbours of all train images among all, and
    n // batch_size steps an epoch, by default 7,800 in all for 10,000 images. *Beside it*:
    `CLIPKMeans` and `SIC`, whose head learns from nouns, too.

    A head lowers `mvlib.methods.images.scan.total_loss`; the losses of the heads are added.
    After each epoch `own_loss` of the images that are clustered, with each image's 6 nearest,
    itself among them, says which head is best; the first of lowest loss over all epochs is
    kept. It reads no label, but it sees the images that are scored.

    Source: the loss and the choice follow the authors' code. On frozen features their own runs
    differ: they train the whole network, or on ImageNet heads at a learning rate of 5 on rows
    as they come. The rows of unit length and the defaults are those of a third party's code,
    VLM4Cluster.

    *Deviations*. Anchor and neighbour are the stored features: a new augmentation at each visit
    is not to be had. No self-labelling, which needs augmentations, too.
    """

    n_clusters: int = field(default=8, kw_only=False)
    n_heads: int = 1
    n_neighbors: int = 20
    entropy_weight: float = 5.0
    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    random_state: RandomState = None
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "head_"
    _bounds: ClassVar[Mapping[str, Bound]] = {"n_heads": whole()}

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        check_number("n_neighbors", self.n_neighbors, high=len(train) - 1)
        check_batch_size(self.batch_size, len(train))
        device = resolve_device(self.device)
        near, near_images = (
            torch.from_numpy(top_k(rows, rows, min(k, len(rows)), device=self.device)[1])
            for rows, k in (
                (unit_rows(train), self.n_neighbors + 1),
                (unit_rows(X), EVALUATION_ROWS),
            )
        )
        images = torch.from_numpy(unit_rows(train)).to(device)
        scored = torch.from_numpy(unit_rows(X)).to(device)
        best: dict[str, Any] = {"own": np.inf}
        with seeded(seed, device) as generator:
            heads = nn.ModuleList(self._network() for _ in range(self.n_heads)).to(device)
            optimizer = torch.optim.Adam(
                heads.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                drawn = draw_neighbours(near[rows], generator)
                losses = [
                    total_loss(
                        head(images[rows]),
                        head(images[drawn]),
                        entropy_weight=self.entropy_weight,
                    )
                    for head in heads
                ]
                return {
                    name: torch.stack([loss[name] for loss in losses]).sum()
                    for name in losses[0]
                }

            def after_epoch(epoch: int, _: dict[str, float]) -> dict[str, np.ndarray]:
                P = [assignments(head, scored) for head in heads]
                own = [float(own_loss(torch.from_numpy(p), near_images)) for p in P]
                head = int(np.argmin(own))
                if own[head] < best["own"]:
                    best.update(own=own[head], epoch=epoch, head=head, P=P[head])
                    kept = heads[head].state_dict()
                    best["weights"] = {name: kept[name].clone() for name in kept}
                return {"own_loss": np.array(own), "labels": P[head].argmax(axis=1)}

            def batches() -> list[torch.Tensor]:
                return full_batches(len(train), self.batch_size, generator)

            more: dict[str, Any] = {"parts": PARTS, "after_epoch": after_epoch}
            self.history_ = training.train(self, batches, step, heads, optimizer, **more)
            self.head_ = heads[best["head"]]
        self.head_.load_state_dict(best["weights"])
        self.history_ |= {"epoch": best["epoch"], "head": best["head"]}
        self.embedding_ = best["P"]
        self.labels_ = self.embedding_.argmax(axis=1)

    def _network(self) -> nn.Sequential:
        linear = nn.Linear(self.n_features_in_, self.n_clusters)
        return nn.Sequential(linear, nn.Softmax(dim=1))

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.head_, unit_rows(X))
