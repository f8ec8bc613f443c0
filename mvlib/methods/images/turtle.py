"""TURTLE: the labelling that linear classifiers of the features learn best.

Source: "Let Go of Your Labels with Unsupervised Transfer", arXiv 2406.07236 (ICML 2024). Each
equation follows the authors' code ("as coded").

Picture
-------
given : features of images, one kind or several
learns : a labelling, and linear classifiers of the features
pulls : labels that the classifiers learn well in a few steps; clusters of one size
matches : nothing
groups : by the labelling's largest output
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import Bound, RandomState, each, optional, real, whole
from mvlib.encoders import Encoder
from mvlib.methods import training
from mvlib.methods.heads import WeightNormLinear, assignments
from mvlib.methods.training import seeded
from mvlib.methods.words import ImageClustering
from mvlib.ops import resolve_device

PARTS = ("cross_entropy", "entropy")


class TaskEncoder(nn.Module):
    """A linear layer a space; a label is the mean of their softmaxes.

    q = mean_s q_s, q_s = softmax(theta_s z_s)  (TURTLE, as coded)
    """

    def __init__(self, widths: Sequence[int], n_clusters: int) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.layers = nn.ModuleList(
            WeightNormLinear(width, n_clusters, bias=True) for width in widths
        )

    def of_spaces(self, Z: torch.Tensor) -> torch.Tensor:
        """Return q_s, (n_spaces, n_samples, n_clusters)."""
        parts = zip(self.layers, Z.split(self.widths, dim=1), strict=True)
        return torch.stack([layer(part).softmax(dim=1) for layer, part in parts])

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        """Return q."""
        return self.of_spaces(Z).mean(dim=0)


def inner_loss(logits: Sequence[torch.Tensor], q: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the classifiers with soft labels.

    L_in = sum_s mean_i -sum_c q_ic log softmax(w_s z_s,i)_c  (TURTLE, as coded)
    """
    return torch.stack([F.cross_entropy(scores, q) for scores in logits]).sum()


def total_loss(
    q: torch.Tensor, logits: Sequence[torch.Tensor], *, gamma: float = 10.0
) -> dict[str, torch.Tensor]:
    """Return what the task encoder minimises, as "loss", and its `PARTS`.

        L = L_in(w, q) - gamma sum_s H(mean_i q_s,i)  (TURTLE, as coded)

    q is that of each space, (n_spaces, n_samples, n_clusters). The fitted classifiers' logits
    are taken as given: no gradient goes through them.
    """
    fitted = [scores.detach() for scores in logits]
    cross_entropy = inner_loss(fitted, q.mean(dim=0))
    # A cluster that underflowed has no entropy, and no gradient in place of an infinite one.
    entropy = torch.special.entr(q.mean(dim=1).clamp_min(1e-30)).sum()
    loss = cross_entropy - gamma * entropy
    return {"loss": loss, "cross_entropy": cross_entropy, "entropy": entropy}


def fit_classifiers(
    parts: Sequence[torch.Tensor], q: torch.Tensor, n_steps: int, learning_rate: float
) -> list[torch.Tensor]:
    """Return the logits of new linear classifiers after some full-batch steps of Adam on q."""
    layers = nn.ModuleList(nn.Linear(Z.shape[1], q.shape[1]) for Z in parts).to(q.device)
    # Of 60,000 small steps most of the time would go into the optimiser.
    optimizer = torch.optim.Adam(layers.parameters(), lr=learning_rate, fused=True)
    for _ in range(n_steps):
        optimizer.zero_grad(set_to_none=True)
        inner_loss([layer(Z) for layer, Z in zip(layers, parts, strict=True)], q).backward()
        optimizer.step()
    with torch.no_grad():
        return [layer(Z) for layer, Z in zip(layers, parts, strict=True)]


@dataclass(eq=False, repr=False, kw_only=True)
class TURTLE(ImageClustering):
    """The labelling of largest margin: linear in the features, and learnt well by others.

    Parameters
    ----------
    widths : sequence of int, optional
        Widths of the spaces that stand side by side in the features, such as those of two
        encoders; by default one space.
    gamma : float, default=10.0
        Weight of the entropy of the clusters.
    outer_steps : int, default=6000
        Steps of the task encoder.
    inner_steps : int, default=10
        Of the classifiers, which are made anew for each outer step.
    batch_size : int, default=10000
        Images of a step, drawn without replacement; all, where there are fewer.
    learning_rate, inner_learning_rate : float, default=1e-3
        Of Adam, for the task encoder and for the classifiers.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image after the last step.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        q, the mean over the spaces.
    history_ : dict
        "loss", "cross_entropy" and "entropy" of each outer step; "confidence", the mean of
        the largest q of an image at the end.

    Notes
    -----
    *Use it* as the rival that learns from images alone, of one encoder or several; words are
    not read. Features are taken as they come: on rows of unit length, and in few steps, it
    does not converge at these rates. A low "confidence" tells so. *Cost*: outer_steps *
    (inner_steps + 1) passes over a batch, 66,000 by default. *Beside it*: `TEMI`, `SCAN` and
    `CLIPKMeans`.

    Source: the authors' code (arXiv 2406.07236, ICML 2024). Its sweep over rates by a score
    without labels has an unknown grid and is not here.

    *Deviations*. `random_state` seeds all; the code's seed is 42. The start that goes on with
    the classifiers of the step before, an option of the code, is left out.
    """

    n_clusters: int = field(default=8, kw_only=False)
    widths: Sequence[int] | None = None
    gamma: float = 10.0
    outer_steps: int = 6000
    inner_steps: int = 10
    batch_size: int = 10_000
    learning_rate: float = 1e-3
    inner_learning_rate: float = 1e-3
    random_state: RandomState = None
    verbose: bool | None = None

    _labels_from = "largest"
    _network_name = "network_"
    _bounds: ClassVar[Mapping[str, Bound]] = {
        "widths": optional(each(whole())),
        "gamma": real(0),
        "outer_steps": whole(),
        "inner_steps": whole(),
        "inner_learning_rate": real(0, open_low=True),
    }

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        if self.widths is not None and sum(self.widths) != train.shape[1]:
            raise ValueError(
                f"widths={self.widths!r} sum to {sum(self.widths)}: expected the "
                f"{train.shape[1]} features of the images"
            )
        device = resolve_device(self.device)
        images = torch.from_numpy(train).to(device)
        with seeded(seed, device) as generator:
            network = self._network().to(device)

            def batches() -> Iterator[tuple[torch.Tensor, list[torch.Tensor]]]:
                Z = images
                if self.batch_size < len(images):
                    drawn = torch.randperm(len(images), generator=generator)
                    Z = images[drawn[: self.batch_size]]
                with torch.no_grad():
                    q = network(Z)
                parts = Z.split(network.widths, dim=1)
                logits = fit_classifiers(parts, q, self.inner_steps, self.inner_learning_rate)
                yield Z, logits

            def step(batch: tuple[torch.Tensor, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
                Z, logits = batch
                return total_loss(network.of_spaces(Z), logits, gamma=self.gamma)

            optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
            more: dict[str, Any] = {"epochs": self.outer_steps, "parts": PARTS}
            self.history_ = training.train(self, batches, step, network, optimizer, **more)
        self.network_ = network
        self.embedding_ = self._embed(X)
        self.labels_ = self.embedding_.argmax(axis=1)
        confidence = float(self.embedding_.max(axis=1).mean())
        self.history_["confidence"] = confidence  # type: ignore[assignment]

    def _network(self) -> TaskEncoder:
        return TaskEncoder(self.widths or (self.n_features_in_,), self.n_clusters)

    def _embed(self, X: np.ndarray) -> np.ndarray:
        return assignments(self.network_, X)
