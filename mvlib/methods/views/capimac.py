"""CAPIMAC: rows told by anchors, and a shorter view padded where matches leave gaps.

Source: CAPIMAC, arXiv 2507.03917, IJCAI 2025, as the authors' code,
https://github.com/Autism-mm/CAPIMAC (no licence), computes it.

An auto-encoder of each view learns from the rows that are aligned and lack no view. Random
walks among their codes find anchors; a row is then what it is to the anchors of its view.
Encoders learn from pairs of such rows. The view with fewer rows is padded, and every row of the
other takes one of its rows.

Picture
-------
given : two views, rows shuffled or missing; by default 30 complete rows are known partners
learns : an auto-encoder a view, whose codes choose anchors; an encoder of distances to these
pulls : partners together, random rows apart
matches : the shorter view's rows to the longer one's; it is padded, and all are matched again
groups : k-means of the pairs

Deviations
----------
A defect is mended: in the code a stale index gives every row the same partner at the end;
`mended=False` does so, too. The code matches greedily, the paper by the Hungarian method, the
default here. A row's representation is the code's; the paper's is X A^T. The code scores the
rows of the longer view, and fails where the views differ in length; here each sample has the
cluster of the pair that its row of view 1 is in, or else of view 2. It prints the best epoch of
each score; here the epoch is the last. What stands between the layers was not read. Here the
encoders are MvCLN's, whose loader and loss this code grew from; with ReLU alone made-up rows
ended in one point, where the loss is 0. The auto-encoders have ReLU, and the widths that the
code has for 100leaves; the penalty is on squared weights. Negatives are drawn as in MvCLN.
Nothing is added to lengths that divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from mvlib.check import choice, each, flag, optional, real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import seeded, train
from mvlib.methods.views.mvcln import (
    MATCHINGS,
    draw_pairs,
    encoder,
    greedy_matching,
    pair_distances,
)
from mvlib.methods.views.pvc import AutoEncoder, reconstruction_loss
from mvlib.ops import unit_rows
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

PENALTY, REPELLENCE, RADIUS, NEAREST = 1e-3, 0.5, 0.3, 19
# Below how many rows, how many walks from each, of how many steps.
WALKS = ((100, 20, 3), (1_000, 10, 5), (10_000, 5, 10), (np.inf, 3, 20))


def contrastive_loss(d: torch.Tensor, positive: torch.Tensor, margin: float) -> torch.Tensor:
    """Compute the total loss of n pairs at distances d; `positive` is Y.

    L = 1/(2n) sum[Y d^2 + (1-Y)/m max(sqrt(d) (m/2 - d), 0)^2]  (CAPIMAC, as coded)
    """
    apart = d * F.relu(margin / 2 - d).square() / margin
    return torch.where(positive, d.square(), apart).mean() / 2


def cosine_distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return distances from 0 to 1 in every column, that of a row of B.

    D_ij = 1 - (cos_ij - min_i cos_ij) / (max_i cos_ij - min_i cos_ij)  (CAPIMAC, as coded)
    """
    cosines = unit_rows(A) @ unit_rows(B).T
    low, high = cosines.min(axis=0), cosines.max(axis=0)
    return 1 - (cosines - low) / np.maximum(high - low, 1e-6)


def transitions(Z: np.ndarray) -> np.ndarray:
    """Return the probabilities of a walk that goes rather where it is unlikely to be drawn.

    P_ij = max(S_ij, 1e-4)^-0.5 / sum_j max(S_ij, 1e-4)^-0.5, S_ij = (1 - D_ij) / sum_j (1 - D_ij)  (CAPIMAC, as coded)

    S has a diagonal of zeros.
    """  # noqa: E501
    S = 1 - cosine_distances(Z, Z)
    np.fill_diagonal(S, 0)
    P = np.maximum(S / (S.sum(axis=1, keepdims=True) + 1e-6), 1e-4) ** -REPELLENCE
    return P / P.sum(axis=1, keepdims=True)


def visits(P: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Count how often walks from every row come by each row; the start does not count."""
    n = len(P)
    n_walks, n_steps = next(size[1:] for size in WALKS if n < size[0])
    counts, bounds = np.zeros(n, np.int64), P.cumsum(axis=1)
    # Row i's bounds lie from i to i + 1, so that one search serves all walks.
    bounds = (bounds / bounds[:, -1:] + np.arange(n)[:, None]).ravel()
    for _ in range(n_walks):
        at = np.arange(n)
        for _ in range(n_steps):
            at = np.searchsorted(bounds, at + rng.random(n), side="right") - at * n
            counts += np.bincount(at, minlength=n)
    return counts


def covering(D: np.ndarray, importance: np.ndarray, radius: float, count: int) -> list[int]:
    """Choose the most important rows that none chosen covers, anew once all are covered.

    Where all are covered, the chosen alone stay so.
    """
    order = np.argsort(-importance, kind="stable")
    chosen: list[int] = []
    covered = np.zeros(len(D), bool)
    while len(chosen) < count:
        row = next((row for row in order if not covered[row]), None)
        if row is None:
            covered[:] = False
            covered[chosen] = True
            continue
        chosen.append(int(row))
        covered |= D[row] <= radius
        covered[row] = True
    return chosen


def anchor_rows(Z: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Return the rows of one view's codes that become anchors."""
    D = cosine_distances(Z, Z)
    others = D.sum() - np.trace(D)
    radius = RADIUS * others / max(D.size - len(D), 1)
    return covering(D, visits(transitions(Z), rng), radius, count)


def by_anchors(X: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return how far rows are from each anchor; a nineteenth of them, the nearest, are at 0."""
    D = cosine_distances(anchors, X)
    nearest = -(-len(anchors) // NEAREST)
    np.put_along_axis(D, D.argsort(axis=0, kind="stable")[:nearest], 0, axis=0)
    return np.ascontiguousarray(D.T, np.float32)


def padded(H: np.ndarray, distances: np.ndarray, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by the distance of their match, and make rows in the widest gaps.

    h(t) = sum_i K(t - i) h_(i) / sum_i K(t - i), K(u) = exp(-u^2 / 2)  (CAPIMAC, as coded)

    Returns `n_rows` rows, and which of `H` each is, -1 where it was made.
    """
    order = np.argsort(distances, kind="stable")
    more = n_rows - len(H)
    places = np.argsort(-np.diff(distances[order]), kind="stable")[:more] + 0.5
    weights = np.exp(-0.5 * (places[:, None] - np.arange(len(H))) ** 2)
    made = weights / weights.sum(axis=1, keepdims=True) @ H[order]
    at = np.argsort(np.r_[np.arange(len(H)), places], kind="stable")
    return np.vstack([H[order], made])[at], np.r_[order, np.full(more, -1)][at]


def paired(
    Hs: Sequence[np.ndarray], matching: str, mended: bool
) -> tuple[int, np.ndarray, np.ndarray]:
    """Match the rows of the longer view, of equals the second, with those of the other, padded.

    Returns which view is longer, what stands beside each of its rows, and which row of the
    other view was matched to it, -1 if that was made.
    """
    longer = int(len(Hs[0]) <= len(Hs[1]))
    match = greedy_matching if matching == "greedy" else lambda C: linear_sum_assignment(C)[1]
    D = cosine_distances(*Hs) if longer else cosine_distances(*Hs).T
    first = match(D)
    distances = D[np.arange(len(D)), first]
    rows, origin = padded(Hs[1 - longer], distances, len(Hs[longer]))
    second = match(cosine_distances(Hs[longer], rows))
    return longer, rows[second if mended else np.full(len(second), first[-1])], origin[second]


@dataclass(eq=False, repr=False, kw_only=True)
class CAPIMAC(TwoViewNetworks):
    """Anchors and padding for two views whose rows are shuffled, missing, or both.

    All rows are matched anew, the aligned ones too, and k-means clusters the pairs.

    Parameters
    ----------
    n_clusters : int
        Number of clusters; each view gives twice as many anchors.
    embedding_dim : int, optional
        Width of the embeddings, `n_clusters` by default.
    hidden_dims, dropout : sequence of int, float, default=(1024, 1024, 1024), 0.2
        Of the encoders, as in `MvCLN`.
    code_hidden_dims, code_dim : sequence of int, int, default=(200, 200, 50), 10
        Widths of the auto-encoders' hidden layers, and of the codes.
    matching : {"hungarian", "greedy"}, default="hungarian"
        How rows are matched: all at the least sum, or each to the nearest that is free.
    mended : bool, default=True
        Whether rows get the partner that they are matched to, or, as in the code, all the same.
    margin, n_negatives, learning_rate : float, int, float, default=5.0, 30, 1e-4
        m, the negative pairs of each aligned row, and Adam's.
    pretraining_epochs, epochs, batch_size : int, default=200, 200, 1024
        Steps of the auto-encoders, passes over the pairs, and pairs in a batch; those that fill
        none are left out of an epoch.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1, or of view 2 where view 1 lacks it.
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        The pair of that row, view 1 first.
    anchors_ : list of ndarray, each (n_anchors, n_features_v)
        The same rows of both views.
    history_ : dict of str to ndarray
        `loss`, by epoch; `reconstruction`, of the auto-encoders, by step.
    network_ : ModuleList
        The two encoders.

    Notes
    -----
    *Use it* where two views have aligned rows enough for the anchors and some rows lack a view;
    not with `mended=False`, which clusters one view alone. *Cost*: n_aligned * (1 +
    n_negatives) / batch_size steps an epoch; walks and matching take memory with the square of
    the rows. *Beside it*: `KMeansView`, `KMeansConcatenation`, `SURE`.
    """

    embedding_dim: int | None = None
    hidden_dims: Sequence[int] = (1024, 1024, 1024)
    dropout: float = 0.2
    code_hidden_dims: Sequence[int] = (200, 200, 50)
    code_dim: int = 10
    matching: str = "hungarian"
    mended: bool = True
    margin: float = 5.0
    n_negatives: int = 30
    pretraining_epochs: int = 200
    epochs: int = 200
    batch_size: int = 1024
    learning_rate: float = 1e-4

    _takes_missing = True
    _bounds = {
        "embedding_dim": optional(whole()),
        **dict.fromkeys(("code_dim", "n_negatives", "pretraining_epochs"), whole()),
        "batch_size": whole(),
        "margin": real(0, open_low=True),
        "code_hidden_dims": each(whole()),
        "matching": choice(MATCHINGS),
        "mended": flag,
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        known = np.flatnonzero(aligned & present.all(axis=1))
        self._check_rows(len(known), present)
        device = resolve_device(self.device)
        learnt = [view[known] for view in views]
        with seeded(seed, device) as generator:
            codes, before = self._codes(on_device(learnt, device))
            rng = np.random.default_rng(seed)
            found = [anchor_rows(Z, 2 * self.n_clusters, rng) for Z in codes]
            chosen = np.unique(np.concatenate(found))
            self.anchors_ = [X[chosen] for X in learnt]
            self._train(learnt, device, generator)
        self.history_ |= {"reconstruction": before}
        self.network_.eval()
        Hs = self._embedded([X[there] for X, there in zip(views, present.T, strict=True)])
        longer, beside, matched = paired(Hs, self.matching, self.mended)
        pairs = [Hs[longer], beside] if longer == 0 else [beside, Hs[longer]]
        Z = np.concatenate(pairs, axis=1).astype(np.float32)
        labels = kmeans_labels(Z, self.n_clusters, seed)
        pair_of = np.empty((len(aligned), 2), np.int64)
        pair_of[present[:, longer], longer] = np.arange(len(Z))
        others = np.flatnonzero(present[:, 1 - longer])
        pair_of[others[matched[matched >= 0]], 1 - longer] = np.flatnonzero(matched >= 0)
        rows = np.where(present[:, 0], pair_of[:, 0], pair_of[:, 1])
        self.embedding_, self.labels_ = Z[rows], labels[rows]

    def _network(self) -> nn.ModuleList:
        """Return auto-encoders, or once there are anchors what reads the distances to them."""
        if not hasattr(self, "anchors_"):
            sizes = self.code_hidden_dims, self.code_dim
            return nn.ModuleList(AutoEncoder(width, *sizes) for width in self.n_features_in_)
        n_anchors, last = len(self.anchors_[0]), self.embedding_dim or self.n_clusters
        settings = n_anchors, self.hidden_dims, last, self.dropout
        return nn.ModuleList(encoder(*settings) for _ in self.anchors_)

    def _codes(self, Xs: list[torch.Tensor]) -> tuple[list[np.ndarray], np.ndarray]:
        network: Any = self._network().to(Xs[0].device)

        def step(batch: slice) -> dict[str, torch.Tensor]:
            # L_ae = MSE(X_1, D_1) + MSE(X_2, D_2) + 0.001 |weights|^2  (CAPIMAC, as coded)
            rebuilt = [half.decode(half.encode(X)) for half, X in zip(network, Xs, strict=True)]
            squares = torch.stack([w.square().sum() for w in network.parameters()]).sum()
            return {"loss": reconstruction_loss(Xs, rebuilt) + PENALTY * squares}

        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        more = {"epochs": self.pretraining_epochs}
        history = train(self, lambda: [slice(None)], step, network, optimizer, **more)
        with torch.no_grad():
            codes = [half.encode(X).cpu().numpy() for half, X in zip(network, Xs, strict=True)]
        return codes, history["loss"]

    def _train(
        self, learnt: list[np.ndarray], device: torch.device, generator: torch.Generator
    ) -> None:
        network = self._network().to(device)
        Xs = self._told(learnt, device)
        pairs = draw_pairs(len(Xs[0]), self.n_negatives, generator).to(device)
        n, size = len(pairs), min(self.batch_size, len(pairs))

        def batches() -> Sequence[torch.Tensor]:
            order = torch.randperm(n, generator=generator)
            return order[: n // size * size].to(device).split(size)

        def step(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            *rows, positive = pairs[batch].T
            H = [encode(X[row]) for encode, X, row in zip(network, Xs, rows, strict=True)]
            return {"loss": contrastive_loss(pair_distances(*H), positive.bool(), self.margin)}

        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        self.history_ = train(self, batches, step, network, optimizer)
        self.network_ = network

    def _told(self, views: list[np.ndarray], device: torch.device) -> list[torch.Tensor]:
        told = [by_anchors(*both) for both in zip(views, self.anchors_, strict=True)]
        return on_device(told, device)

    @torch.no_grad()
    def _embedded(self, views: list[np.ndarray]) -> list[np.ndarray]:
        Xs = self._told(views, next(self.network_.parameters()).device)
        return [encode(X).cpu().numpy() for encode, X in zip(self.network_, Xs, strict=True)]

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(self._embedded(views), axis=1)

    def _check_rows(self, n_known: int, present: np.ndarray) -> None:
        least = max(2 * self.n_clusters, self.n_negatives)
        if n_known < least:
            raise ValueError(
                f"aligned has {n_known} True in rows with both views: expected at least {least}"
                f", for 2 * n_clusters={2 * self.n_clusters} anchors and n_negatives="
                f"{self.n_negatives} distinct rows"
            )
        there = sorted(present.sum(axis=0))
        if there[1] - there[0] >= there[0]:
            raise ValueError(
                f"present has {there[0]} and {there[1]} True in the two views: expected fewer "
                "than twice as many, since a row is made in a gap between two"
            )
