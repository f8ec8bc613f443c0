"""TEMI: heads that raise a weighted pointwise mutual information of an image and a neighbour.

Source: "Exploring the Limits of Deep Image Clustering using Pretrained Models", arXiv
2303.17896 (BMVC 2023). Each equation follows the authors' code ("as coded").

Picture
-------
given : features of images
learns : several heads and their slow teachers
pulls : the pointwise mutual information of an image and a neighbour, weighted by how likely the
    pair is right
matches : nothing
groups : by the best head's largest output
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, RandomState, check_number, each, real, whole
from mvlib.encoders import Encoder
from mvlib.methods import training
from mvlib.methods.heads import WeightNormLinear, assignments, draw_neighbours, full_batches
from mvlib.methods.tac import nearest_neighbours
from mvlib.methods.training import seeded
from mvlib.methods.words import ImageClustering
from mvlib.ops import resolve_device

# How slowly the clusters' prior moves.
PRIOR_MOMENTUM = 0.9


def pair_weights(T_a: torch.Tensor, T_b: torch.Tensor) -> torch.Tensor:
    """Return how surely the teachers put both rows of each pair into one cluster.

    w(a, b) = mean_h sum_c p_T(c|a) p_T(c|b)  (TEMI, as coded)

    Of the teachers' probabilities, (n_heads, n_pairs, n_clusters); from 0 to 1, (n_pairs,), for
    all heads, not normalised.
    """
    return (T_a * T_b).sum(dim=2).mean(dim=0)


def pair_losses(
    S: torch.Tensor, T: torch.Tensor, prior: torch.Tensor, beta: float
) -> torch.Tensor:
    """Return the pointwise mutual information of each pair and head, negated.

        l_h(a, b) = -log sum_c (p_S(c|a) p_T(c|b))^beta / pi_h(c)  (TEMI, as coded)

    S holds the students' probabilities of a and T the teachers' of b, (n_heads, n_pairs,
    n_clusters); pi, (n_heads, n_clusters), has no power.
    """
    return -((S * T) ** beta / prior[:, None]).sum(dim=2).log()


def head_losses(
    S: tuple[torch.Tensor, torch.Tensor],
    T: tuple[torch.Tensor, torch.Tensor],
    prior: torch.Tensor,
    *,
    beta: float = 0.6,
) -> torch.Tensor:
    """Return each head's loss on a batch of pairs, whose mean over the heads TEMI minimises.

        L_h = mean_(a,b) w(a, b) [l_h(a, b) + l_h(b, a)] / 2  (TEMI, as coded)

    S and T are the students' and teachers' probabilities of both rows of the pairs.
    """
    losses = (pair_losses(S[0], T[1], prior, beta) + pair_losses(S[1], T[0], prior, beta)) / 2
    return (pair_weights(*T) * losses).mean(dim=1)


def next_prior(prior: torch.Tensor, T: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the clusters' prior of each head after a batch, of both rows of its pairs.

    pi <- 0.9 pi + 0.1 mean p_T  (TEMI, as coded)
    """
    mean = (T[0].mean(dim=1) + T[1].mean(dim=1)) / 2
    return PRIOR_MOMENTUM * prior + (1 - PRIOR_MOMENTUM) * mean


class UnitLength(nn.Module):
    """Bring rows to unit length."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return F.normalize(X, dim=1)


@dataclass(eq=False, repr=False, kw_only=True)
class TEMI(ImageClustering):
    """Clustering heads taught by twins of their own, on pairs of neighbours.

    Parameters
    ----------
    n_heads : int, default=16
        Heads, trained side by side, which share the pairs' weights; one is kept.
    n_neighbors : int, default=50
        Neighbours of an image by cosine, fewer than the train images, one of which is drawn at
        each visit.
    hidden_dims : tuple of two ints, default=(512, 256)
        Widths of a head.
    beta : float, default=0.6
        Power of the product of probabilities.
    temperature : float, default=0.1
        Of the softmax of students and teachers.
    momentum : float, default=0.996
        How slowly the teachers follow their students, after each step.
    warmup_epochs : int, default=20
        In whose steps the rate rises from 0.
    batch_size : int, default=1024
        Pairs in a batch; a short last batch is dropped.
    learning_rate : float, default=1e-4
        Of AdamW, for 256 pairs; it grows with those of a batch.
    weight_decay : float, default=1e-4
        Of all that is a matrix, gains included; not of biases.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image by the teacher of the head of lowest loss in the last epoch.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        That teacher's probabilities.
    history_ : dict
        "loss", a mean over the batches of each epoch; "head_losses" of shape (epochs, n_heads);
        "labels" of shape (epochs, n_samples), by the head that is best in the epoch; "head",
        the one kept, from 0.

    Notes
    -----
    *Use it* as the rival that learns from images alone; words are not read. Features are taken
    as they come: their length matters, since the rates are the authors' for features of length
    about 10, and a set at unit length needs others. *Cost*: the neighbours of all train
    images among all, and n // batch_size steps an epoch of `n_heads` networks, by default 900
    for 10,000 images: an hour on two processor cores at 512 features. *Beside it*: `SCAN` and
    `CLIPKMeans`.

    Source: the authors' code (arXiv 2303.17896, BMVC 2023) with the flags of its README, the
    defaults here. Its evaluation takes the best accuracy over the checkpoints, a choice by the
    labels that is not repeated. The last layer stays as it starts in the first epoch.

    *Deviations*. Fewer train images than `batch_size` are one batch, and then an epoch is a
    single step, of which 100 are few; the code trains nothing on them. Above 80,000 train
    images the code's search for neighbours masks the wrong entries; here no row is its own
    neighbour. The
    paper's own runs, with 50 heads and 200 epochs or more, are known from a third party alone.
    """

    n_clusters: int = field(default=8, kw_only=False)
    n_heads: int = 16
    n_neighbors: int = 50
    hidden_dims: tuple[int, int] = (512, 256)
    beta: float = 0.6
    temperature: float = 0.1
    momentum: float = 0.996
    epochs: int = 100
    warmup_epochs: int = 20
    batch_size: int = 1024
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    random_state: RandomState = None
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "head_"
    _bounds: ClassVar[Mapping[str, Bound]] = {
        "n_heads": whole(),
        "hidden_dims": each(whole()),
        "beta": real(0, open_low=True),
        "momentum": real(0, 1),
        "warmup_epochs": whole(0),
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if len(self.hidden_dims) != 2:
            raise ValueError(f"hidden_dims={self.hidden_dims!r}: expected two widths")

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        check_number("n_neighbors", self.n_neighbors, high=len(train) - 1)
        batch_size = min(self.batch_size, len(train))
        device = resolve_device(self.device)
        near = torch.from_numpy(nearest_neighbours(train, self.n_neighbors, device=self.device))
        images, scored = torch.from_numpy(train).to(device), torch.from_numpy(X).to(device)
        prior = torch.full((self.n_heads, self.n_clusters), 1 / self.n_clusters, device=device)
        epoch_losses: list[torch.Tensor] = []
        with seeded(seed, device) as generator:
            students = nn.ModuleList(self._network() for _ in range(self.n_heads)).to(device)
            teachers = copy.deepcopy(students).requires_grad_(False)
            n_batches = len(train) // batch_size
            optimizer = self._optimizer(students, teachers, batch_size, n_batches)

            def batches() -> list[torch.Tensor]:
                epoch_losses.clear()
                return full_batches(len(train), batch_size, generator)

            def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
                pairs = images[rows], images[draw_neighbours(near[rows], generator)]
                S = (
                    self._probabilities(students, pairs[0]),
                    self._probabilities(students, pairs[1]),
                )
                with torch.no_grad():
                    T = (
                        self._probabilities(teachers, pairs[0]),
                        self._probabilities(teachers, pairs[1]),
                    )
                    prior.copy_(next_prior(prior, T))
                losses = head_losses(S, T, prior, beta=self.beta)
                epoch_losses.append(losses.detach())
                return {"loss": losses.mean()}

            def after_epoch(epoch: int, _: dict[str, float]) -> dict[str, np.ndarray]:
                means = torch.stack(epoch_losses).mean(dim=0).cpu().numpy()
                self.head_ = teachers[int(means.argmin())]
                labels = assignments(self.head_, scored).argmax(axis=1)
                return {"head_losses": means, "labels": labels}

            more: dict[str, Any] = {"after_epoch": after_epoch}
            self.history_ = training.train(self, batches, step, students, optimizer, **more)
        head = int(self.history_["head_losses"][-1].argmin())
        self.history_["head"] = head  # type: ignore[assignment]
        self.embedding_ = self._embed(X)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _optimizer(
        self, students: nn.ModuleList, teachers: nn.ModuleList, batch_size: int, n_batches: int
    ) -> torch.optim.Optimizer:
        """Return AdamW, after whose steps the rate rises and the teachers follow."""
        matrices = [p for p in students.parameters() if p.ndim > 1]
        biases = [p for p in students.parameters() if p.ndim == 1]
        last = [p for head in students for p in list(head.children())[-1].parameters()]
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        peak = self.learning_rate * batch_size / 256
        warmup = self.warmup_epochs * n_batches
        done = 0

        def set_rate() -> None:
            for group in optimizer.param_groups:
                group["lr"] = peak * min(done / (warmup - 1), 1) if warmup > 1 else peak

        def before(*_: Any) -> None:
            if done < n_batches:
                for parameter in last:
                    parameter.grad = None

        def after(*_: Any) -> None:
            nonlocal done
            done += 1
            set_rate()
            with torch.no_grad():
                pairs = zip(teachers.parameters(), students.parameters(), strict=True)
                for slow, fast in pairs:
                    slow.lerp_(fast, 1 - self.momentum)

        optimizer = torch.optim.AdamW(groups)
        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)
        set_rate()
        return optimizer

    def _probabilities(self, heads: nn.ModuleList, X: torch.Tensor) -> torch.Tensor:
        return torch.softmax(torch.stack([head(X) for head in heads]) / self.temperature, dim=2)

    def _network(self) -> nn.Sequential:
        widths = (self.n_features_in_, *self.hidden_dims)
        first, second = (nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        for layer in (first, second):
            # Cut at -2 and 2, a hundred standard deviations away.
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        last = WeightNormLinear(widths[-1], self.n_clusters, bias=False)
        nn.init.ones_(last.gain)
        return nn.Sequential(first, nn.GELU(), second, UnitLength(), last)

    def _embed(self, X: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(assignments(self.head_, X))
        return torch.softmax(logits / self.temperature, dim=1).numpy()
