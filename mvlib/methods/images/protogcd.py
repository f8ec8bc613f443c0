"""ProtoGCD's head: prototypes of known and of new classes, which teach one view the other's.

Source: ProtoGCD, arXiv 2504.03755 (TPAMI 2025). What was read of its code is "as coded".

Picture
-------
given : features of images, and the labels of some where they are known
learns : a correction of the features, a prototype a class and a projection for contrast
pulls : two views of an image to one prototype, ever surer; prototypes apart; known labels
matches : nothing
groups : by the nearest prototype

Deviations
----------
The features are frozen. In place of the last block of the network, which the paper tunes, a
layer is learnt that adds to each feature; it starts at nothing. In place of two crops of a
picture, each of the two views has normal noise added to the features: that is ours, and weaker.

Ours, since it is not known: H_reg is the negative entropy of the mean assignment of both views;
the contrast's rows have unit length; its projection has hidden layers of GELU, as wide as the
features; the share of hard targets rounds down; SGD has a momentum of 0.9; prototypes start as
PyTorch's Linear. The authors keep the epoch of the best accuracy on the unlabelled rows, which
reads their labels; here the last one stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.metadata_routing import UNUSED
from torch import nn

from mvlib.check import Bound, RandomState, as_array, real, whole
from mvlib.encoders import Encoder
from mvlib.methods import training
from mvlib.methods.heads import assignments, check_batch_size
from mvlib.methods.images.seic import hard
from mvlib.methods.tac import balance_entropy, distillation_loss
from mvlib.methods.training import seeded
from mvlib.methods.words import ImageClustering
from mvlib.ops import resolve_device, unit_rows

PARTS = ("distillation", "entropy", "separation", "contrast", "labels", "label_contrast")
# Of the student, the teacher, the prototypes' distance, and the contrast of known labels.
STUDENT, TEACHER, APART, LABELLED = 0.1, 0.05, 0.1, 0.07
MOMENTUM, WEIGHT_DECAY, LAST_RATE = 0.9, 5e-5, 1e-3
ENTROPY_WEIGHT = 2.0
Pair = tuple[torch.Tensor, torch.Tensor]


def targets(cosines: torch.Tensor, hard_share: float) -> torch.Tensor:
    """Return what a view's cosines to the prototypes teach the other: the surest rows are hard.

        q_i = onehot(q_i) if r_i is of the share's largest, else q_i  (ProtoGCD, as coded)

    where q_i = softmax(c_i / 0.05), and with its largest and second numbers

        r_i = p1_i / (p2_i + 1e-6)  (ProtoGCD, as coded)

    Without a gradient.
    """
    Q = (cosines.detach() / TEACHER).softmax(dim=1)
    two = Q.topk(2, dim=1).values if Q.shape[1] > 1 else Q.repeat(1, 2)
    surest = (two[:, 0] / (two[:, 1] + 1e-6)).topk(int(hard_share * len(Q))).indices
    Q[surest] = hard(Q[surest])
    return Q


def self_distillation(cosines: Pair, hard_share: float) -> torch.Tensor:
    """Return the cross-entropy of each view with the other's targets.

    L_dis = -mean_{i,v} sum_k q_ik^{3-v} log softmax_k(c_i^v / 0.1)  (ProtoGCD, as coded)
    """
    first, second = cosines
    pairs = ((first, second), (second, first))
    return torch.stack(
        [F.cross_entropy(own / STUDENT, targets(other, hard_share)) for own, other in pairs]
    ).mean()


def separation_loss(prototypes: torch.Tensor) -> torch.Tensor:
    """Return how near each of the unit prototypes is to the others; 0 for a single one.

    L_sep = mean_k log(mean_{l != k} exp(m_k . m_l / 0.1))  (ProtoGCD, as coded)
    """
    k = len(prototypes)
    if k == 1:
        return prototypes.sum() * 0
    own = torch.eye(k, dtype=torch.bool, device=prototypes.device)
    near = (prototypes @ prototypes.T / APART).masked_fill(own, -torch.inf)
    return (near.logsumexp(dim=1) - np.log(k - 1)).mean()


def label_contrast(Z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return how badly labelled unit rows find those of their label among all labelled others.

    L_sup = -mean_i mean_{j in S_i} log softmax_{j != i}(z_i . z_j / 0.07)  (ProtoGCD, as coded)

    S_i are the other rows of i's label, the row's other view among them; -1 is no label. 0
    where nothing is labelled.
    """
    own = torch.eye(len(Z), dtype=torch.bool, device=Z.device)
    # Far below all cosines: exp of it is 0, and its gradient too, where -inf would give NaN.
    logits = (Z @ Z.T / LABELLED).masked_fill(own | (labels < 0), -1e4)
    same = (labels[:, None] == labels) & (labels >= 0) & ~own
    of_row = torch.where(same, logits.log_softmax(dim=1), 0.0).sum(dim=1)
    return -(of_row / same.sum(dim=1).clamp_min(1)).sum() / (labels >= 0).sum().clamp_min(1)


def total_loss(
    cosines: Pair,
    projected: Pair,
    prototypes: torch.Tensor,
    labels: torch.Tensor,
    *,
    hard_share: float = 1.0,
    separation_weight: float = 0.1,
    label_weight: float = 0.35,
) -> dict[str, torch.Tensor]:
    """Return what ProtoGCD minimises on a batch, as "loss", and its `PARTS`.

        L = 0.65 (L_dis + 2 H_reg + 0.1 L_sep + L_nce) + 0.35 (CE + L_sup)  (ProtoGCD, as coded)

    With m the mean of softmax(c_i^v / 0.1) over rows and views,

        H_reg = sum_k m_k log max(m_k, 1e-9)  (ProtoGCD, our reading)

    `cosines` to the unit prototypes and unit rows `projected`, each of both views; `labels`, -1
    where unknown. L_nce is InfoNCE of the views at temperature 1; CE and L_sup read both views
    of the labelled rows, and are 0 without any.
    """
    y, both = labels.repeat(2), torch.cat(cosines) / STUDENT
    known = F.cross_entropy(both, y, ignore_index=-1, reduction="sum")
    parts = (
        self_distillation(cosines, hard_share),
        -balance_entropy(both.softmax(dim=1)),
        separation_loss(prototypes),
        # TAC's contrast of columns, here of rows.
        distillation_loss(projected[0].T, projected[1].T, 1.0),
        known / (y >= 0).sum().clamp_min(1),
        label_contrast(torch.cat(projected), y),
    )
    unlabelled = parts[0] + ENTROPY_WEIGHT * parts[1] + separation_weight * parts[2] + parts[3]
    loss = (1 - label_weight) * unlabelled + label_weight * (parts[4] + parts[5])
    return {"loss": loss} | dict(zip(PARTS, parts, strict=True))


def noisy(X: torch.Tensor, noise: float) -> torch.Tensor:
    """Return a view of unit rows: normal noise, of that length on average, is added."""
    return F.normalize(X + noise / X.shape[1] ** 0.5 * torch.randn_like(X), dim=1)


class Prototypes(nn.Module):
    """The correction of the features, the prototypes, and the projection for the contrast."""

    def __init__(self, n_features: int, n_clusters: int, width: int):
        super().__init__()
        self.added = nn.Sequential(
            nn.Linear(n_features, width), nn.GELU(), nn.Linear(width, n_features)
        )
        for weight in self.added[2].parameters():
            nn.init.zeros_(weight)
        self.weight = nn.Linear(n_features, n_clusters, bias=False).weight
        self.projector = nn.Sequential(
            nn.Linear(n_features, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, width),
        )  # fmt: skip

    def unit(self) -> torch.Tensor:
        """Return the prototypes at unit length."""
        return F.normalize(self.weight, dim=1)

    def both(self, X: torch.Tensor) -> Pair:
        """Return the cosines to the prototypes, and the unit rows of the projection."""
        H = F.normalize(X + self.added(X), dim=1)
        return H @ self.unit().T, F.normalize(self.projector(H), dim=1)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the student's probabilities."""
        return (self.both(X)[0] / STUDENT).softmax(dim=1)


@dataclass(eq=False, repr=False, kw_only=True)
class ProtoGCD(ImageClustering):
    """ProtoGCD's prototypes on frozen features, with the labels of some rows or without.

    With `known` labels it is generalised category discovery, and no rival of what reads none.

    Parameters
    ----------
    view_noise : float, default=0.5
        Length of the noise in each of an image's two views, to that of its features.
    hard_epochs : int, default=100
        Epochs over which the share of hard targets grows from 0 to 1.
    separation_weight : float, default=0.1
        Of the prototypes' distance; 0.05 on CUB.
    label_weight : float, default=0.35
        Of known labels against all else, at most 1. Where nothing is known, what is left of the
        loss keeps its weight.
    hidden_dim : int, optional
        Width of the correction and of the projection; by default that of the features.
    batch_size : int, default=128
        Images in a batch, at most the train images. A batch that is left over is dropped.
    learning_rate : float, default=0.1
        Of SGD, falling by half a cosine to a thousandth.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The prototype of each image. That of a known class has the number of its label.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Probabilities of the prototypes.
    history_ : dict
        "loss", "distillation", "entropy" (H_reg), "separation", "contrast", "labels" and
        "label_contrast", means over the batches of each epoch.

    Notes
    -----
    *Use it* where some classes are known and others are to be found. The length of an image's
    features changes nothing. *Cost*: n // batch_size steps an epoch, by default 15,600 in all
    for 10,000 images, whose weights grow with n_features squared unless `hidden_dim` is given.
    *Beside it*: `CLIPKMeans` of the same features, and `SCAN` where nothing is known.

    Rows of an epoch are drawn with replacement, half of them from the labelled ones, if any.
    """

    n_clusters: int = field(default=8, kw_only=False)
    view_noise: float = 0.5
    hard_epochs: int = 100
    separation_weight: float = 0.1
    label_weight: float = 0.35
    hidden_dim: int | None = None
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    random_state: RandomState = None
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "network_"
    # Known labels take the place that a base has for what is read beside the images.
    __metadata_request__fit = {"images": UNUSED, "known": UNUSED}
    _bounds: ClassVar[Mapping[str, Bound]] = {
        "view_noise": real(0),
        "hard_epochs": whole(),
        "separation_weight": real(0),
        "label_weight": real(0, 1),
    }

    def fit(
        self, images: Any, texts: Any = None, train_images: Any = None, *, known: Any = None
    ) -> ProtoGCD:
        """Cluster the images, whose parameters and errors are those of `CLIPKMeans.fit`.

        Parameters
        ----------
        texts : object, optional
            Not read.
        known : array-like of shape (n_train,), int, optional
            Labels of what is learnt from, from 0 to n_clusters - 1, and -1 where there is none.

        Returns
        -------
        ProtoGCD
            Itself, fitted.
        """
        super().fit(images, known, train_images)
        return self

    def fit_predict(
        self, images: Any, texts: Any = None, train_images: Any = None, *, known: Any = None
    ) -> np.ndarray:
        """Return `labels_` after `fit`, whose parameters these are."""
        return self.fit(images, texts, train_images, known=known).labels_

    def _fit(
        self, X: np.ndarray, train: np.ndarray, known: Any, encoder: Encoder | None, seed: int
    ) -> None:
        n = len(train)
        check_batch_size(self.batch_size, n)
        y = torch.from_numpy(self._known(known, n))
        device = resolve_device(self.device)
        images, labels = torch.from_numpy(unit_rows(train)).to(device), y.to(device)
        counts = torch.bincount((y < 0).long(), minlength=2)
        odds = 1.0 / counts[(y < 0).long()]
        with seeded(seed, device) as generator:
            network: Any = self._network().to(device)
            optimizer = torch.optim.SGD(
                network.parameters(),
                lr=self.learning_rate,
                momentum=MOMENTUM,
                weight_decay=WEIGHT_DECAY,
            )
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, self.epochs, eta_min=LAST_RATE * self.learning_rate
            )
            share = {"hard": 0.0}

            def batches() -> list[torch.Tensor]:
                rows = torch.multinomial(odds, n, replacement=True, generator=generator)
                return list(rows[: n - n % self.batch_size].split(self.batch_size))

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                one, two = (network.both(noisy(images[rows], self.view_noise)) for _ in "12")
                return total_loss(
                    (one[0], two[0]),
                    (one[1], two[1]),
                    network.unit(),
                    labels[rows],
                    hard_share=share["hard"],
                    separation_weight=self.separation_weight,
                    label_weight=self.label_weight,
                )

            def after_epoch(epoch: int, _: dict[str, float]) -> dict[str, Any]:
                cosine.step()
                share["hard"] = min(1.0, (epoch + 1) / self.hard_epochs)
                return {}

            more: dict[str, Any] = {"parts": PARTS, "after_epoch": after_epoch}
            self.history_ = training.train(self, batches, step, network, optimizer, **more)
        self.network_ = network
        self.embedding_ = self._embed(X)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _known(self, known: Any, n: int) -> np.ndarray:
        if known is None:
            return np.full(n, -1)
        expected = f"{n} whole numbers, from 0 to {self.n_clusters - 1}, or -1 where unknown"
        labels = as_array(known, "known", expected)
        whole_numbers = labels.shape == (n,) and labels.dtype.kind in "iu"
        if not whole_numbers or labels.min() < -1 or labels.max() >= self.n_clusters:
            raise ValueError(f"known, of shape {labels.shape}, has others: expected {expected}")
        return labels.astype(np.int64)

    def _network(self) -> Prototypes:
        width = self.hidden_dim or self.n_features_in_
        return Prototypes(self.n_features_in_, self.n_clusters, width)

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.network_, unit_rows(X))
