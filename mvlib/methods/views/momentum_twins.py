"""What DIVIDE, CANDY and CorreGen share: encoders with momentum twins, heads, one loop.

Source: the authors' code of the three methods, which is one code in this respect. An encoder
a view, trained online, has a twin whose parameters follow it slowly; a head predicts from the
code of one view that of the other. The twins' codes are the keys of a contrastive loss, make
its targets and are clustered. What the targets are is each method's own.

Deviations
----------
Only rows that are there make the mean and the scale of a column; in the authors' code those
that were hidden do, too. k-means starts ten times from the seed given; the authors' has a fixed
seed, and as many starts as their version of scikit-learn makes by default. Rows are matched and
clustered once, after the last epoch; theirs are now and then in training, which moves their
random numbers on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import choice, real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device
from mvlib.ops.nearest import top_k
from mvlib.ops.rows import unit_rows

REMATCHES = ("none", "batch", "global")
# The batch size that `learning_rate` is told for.
BASE_BATCH = 256
ADAM_BETAS = (0.9, 0.99)


class Codes(NamedTuple):
    """What a batch comes to, a tensor a view: codes, those of the twins, and predictions."""

    z: list[torch.Tensor]
    z_bar: list[torch.Tensor]
    p: list[torch.Tensor]


def cosines(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return the cosine of each row of A with each of B."""
    return F.normalize(A, dim=1) @ F.normalize(B, dim=1).T


def gaussian_affinity(A: torch.Tensor, B: torch.Tensor, width: float) -> torch.Tensor:
    """Return how near each row of A is to each of B, from 0 to 1.

    G_ij = exp(-max(2 - 2 cos(a_i, b_j), 0) / t)  (DIVIDE, as coded)
    """
    return torch.exp((2 - 2 * cosines(A, B)).clamp_min(0) / -width)


def soft_info_nce(
    q: torch.Tensor, k: torch.Tensor, T: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Compare predictions q with keys k of B rows; T says which are to be alike.

    L(q, k, T) = -1/B^2 sum_ij T_ij/T_i. log softmax_j(cos(q_i, k_j)/tau)  (DIVIDE, as coded)

    T_i. is the sum of row i. With T = I this is InfoNCE over B: the mean is one of all cells,
    and not of the rows.
    """
    logs = torch.log_softmax(cosines(q, k) / temperature, dim=1)
    return -(T / T.sum(dim=1, keepdim=True) * logs).mean()


def twin_losses(
    codes: Codes,
    targets: Sequence[Sequence[torch.Tensor]],
    pair_loss: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Return the total loss of two views, and its part inside views and that across them.

    `targets[v][u]` is for queries of view v and keys of view u.

    L = 1/2 sum_v L(z_v, zbar_v, T_vv) + 1/2 sum_v L(p_v, zbar_u, T_vu)  (DIVIDE, as coded)
    """
    z, z_bar, p = codes
    intra, inter = (
        torch.stack([pair_loss(q[v], z_bar[u], targets[v][u]) for v, u in pairs]).sum() / 2
        for q, pairs in ((z, ((0, 0), (1, 1))), (p, ((0, 1), (1, 0))))
    )
    return {"loss": intra + inter, "intra": intra, "inter": inter}


def warmed_up(rate: float, epoch: int, step: int, n_steps: int, warm_up_epochs: int) -> float:
    """Return the learning rate of a step; epochs and steps count from 0.

    lr = lr_0 min(t/W, 1), t = e + (s + 1)/S  (DIVIDE, as coded)
    """
    t = epoch + (step + 1) / n_steps
    return rate * t / warm_up_epochs if t < warm_up_epochs else rate


def encoder(
    n_features: int, hidden_dims: Sequence[int], embedding_dim: int, dropout: float
) -> nn.Sequential:
    """Return the network of one view, whose codes are normalised by batch.

    No layer has a bias. Batch normalisation and ReLU follow each hidden one, dropout all of
    these but the last; the batch normalisation of the codes has no scale and no shift.
    """
    layers: list[nn.Module] = []
    for i, width in enumerate(hidden_dims):
        layers += [nn.Linear(n_features, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        if i < len(hidden_dims) - 1:
            layers.append(nn.Dropout(dropout))
        n_features = width
    layers.append(nn.Linear(n_features, embedding_dim, bias=False))
    return nn.Sequential(*layers, nn.BatchNorm1d(embedding_dim, affine=False))


class Twins(nn.Module):
    """An encoder, its twin and a head a view; the head of view v predicts the other's codes."""

    def __init__(
        self,
        n_features: Sequence[int],
        hidden_dims: Sequence[int],
        embedding_dim: int,
        dropout: float,
    ):
        super().__init__()
        d = embedding_dim
        self.encoders = nn.ModuleList(
            encoder(width, hidden_dims, d, dropout) for width in n_features
        )
        self.twins = copy.deepcopy(self.encoders).requires_grad_(False)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, d))
            for _ in n_features
        )

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the twins' parameters; their batch statistics are their own.

        theta_bar = mu theta_bar + (1 - mu) theta, before each step  (DIVIDE, as coded)
        """
        pairs = zip(self.twins.parameters(), self.encoders.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1 - momentum)

    def forward(self, Xs: Sequence[torch.Tensor]) -> Codes:
        z = [encode(X) for encode, X in zip(self.encoders, Xs, strict=True)]
        p = [head(z_v) for head, z_v in zip(self.heads, z, strict=True)]
        with torch.no_grad():
            z_bar = [encode(X) for encode, X in zip(self.twins, Xs, strict=True)]
        return Codes(z, z_bar, p)

    @torch.no_grad()
    def code(self, X: torch.Tensor, v: int) -> torch.Tensor:
        """Return the twin's codes of rows of view v, in blocks."""
        return torch.cat([self.twins[v](block) for block in X.split(8192)])

    @torch.no_grad()
    def predict(self, Z: torch.Tensor, v: int) -> torch.Tensor:
        """Return what the head of view v makes of codes, those of the other view."""
        return self.heads[v](Z)


def rematched(
    Z_1: torch.Tensor, P_2: torch.Tensor, rematch: str, size: int, generator: torch.Generator
) -> np.ndarray:
    """Return for each row of view 1 the row of view 2 whose prediction is nearest, or its own.

    Nearest by cosine, among the rows of a random batch of `size`, the last one shorter, or
    among all. One row may be taken by several.
    """
    rows = np.arange(len(Z_1))
    if rematch == "none":
        return rows
    if rematch == "batch":
        order = torch.randperm(len(rows), generator=generator)
        parts = [part.numpy() for part in order.split(size)]
    else:
        parts = [rows]
    matched = np.empty_like(rows)
    unit_1, unit_2 = F.normalize(Z_1, dim=1), F.normalize(P_2, dim=1)
    for part in parts:
        _, nearest = top_k(unit_1[part], unit_2[part], 1, device=str(Z_1.device))
        matched[part] = part[nearest[:, 0]]
    return matched


@dataclass(eq=False, repr=False, kw_only=True)
class MomentumTwins(TwoViewNetworks):
    """Base of DIVIDE, CANDY and CorreGen, which give their targets, loss and features.

    Views are brought to mean 0 and deviation 1 column by column here, with the population's
    deviation; a constant column becomes 0. `aligned` is not read: each row of view 1 is taken
    as the partner of the same row of view 2, rightly or not.

    Parameters
    ----------
    embedding_dim : int, default=128
        Width of the codes; a head's hidden layer has four times as many units.
    dropout : float, default=0.2
        After each hidden layer but the last, from 0 to 1.
    batch_size : int
        Rows in a batch; all, if there are fewer.
    learning_rate : float, default=5e-4
        Of Adam, for 256 rows a batch: the rate is this times batch_size / 256.
    warm_up_epochs : int, default=20
        Over so many epochs the rate grows to that, step by step.
    momentum : float, default=0.98
        mu: what share of itself a twin keeps in each step.
    identity_epochs : int
        In so many epochs at first each row has only its partner for target.
    rematch : {"none", "batch", "global"}
        Which row of view 2 stands beside a row of view 1 when they are clustered: its own, or
        the one whose predicted code is nearest among a random batch, or among all. One row may
        be taken by several.
    match_batch_size : int
        Rows of such a batch.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        What was clustered, rows of length one.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 that stands beside each row of view 1.
    history_ : dict of str to ndarray
        A value an epoch, the mean over batches: `loss`, `intra` and `inter`.
    means_, scales_ : list of ndarray, each (n_features_v,)
        What is taken off each column, and what it is divided by.
    network_ : Twins
        Encoders, twins and heads, in evaluation mode, after the last epoch.
    """

    embedding_dim: int = 128
    hidden_dims: Sequence[int] = (1024, 1024, 1024)
    dropout: float = 0.2
    epochs: int = 200
    batch_size: int = 1024
    learning_rate: float = 5e-4
    warm_up_epochs: int = 20
    momentum: float = 0.98
    temperature: float = 0.5
    identity_epochs: int = 20
    rematch: str = "batch"
    match_batch_size: int = 1024

    _bounds = {
        "warm_up_epochs": whole(),
        "identity_epochs": whole(0),
        "momentum": real(0, 1),
        "rematch": choice(REMATCHES),
    }
    # Whether a batch must be full, or half full; and whether all epochs have the same batches.
    _drop_last: ClassVar[bool] = True
    # What is recorded beside the loss.
    _parts: ClassVar[tuple[str, ...]] = ("intra", "inter")

    def _fit(
        self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask | None = None
    ) -> None:
        there = np.ones((len(aligned), 2), bool) if present is None else present
        rows = torch.from_numpy(np.flatnonzero(there.all(axis=1)))
        if len(rows) < 2:
            raise ValueError(
                f"Xs has {len(rows)} rows in both views: expected at least 2 to learn from"
            )
        kept = [X[there[:, v]].astype(np.float64) for v, X in enumerate(views)]
        self.means_ = [X.mean(axis=0) for X in kept]
        self.scales_ = [np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), 1) for X in kept]
        device = resolve_device(self.device)
        Xs = self._scaled(views, device)
        with seeded(seed, device) as generator:
            self._train(Xs, rows, generator)
        self.network_.eval()
        Z = self._codes(Xs, there)
        P_2 = self.network_.predict(Z[1], 1)
        self.matching_ = np.arange(len(aligned))
        both = rows.numpy()
        self.matching_[both] = both[
            rematched(Z[0][rows], P_2[rows], self.rematch, self.match_batch_size, generator)
        ]
        self.embedding_ = self._features(Z, self.matching_)
        self.labels_ = self._clusters(self.embedding_, seed)

    def _scaled(self, views: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
        scales = zip(views, self.means_, self.scales_, strict=True)
        scaled = [((X - mean) / scale).astype(np.float32) for X, mean, scale in scales]
        return on_device(scaled, device)

    def _codes(self, Xs: Sequence[torch.Tensor], there: np.ndarray) -> list[torch.Tensor]:
        """Return the twins' codes; what lacks a view has there what the other view predicts."""
        Z = [self.network_.code(X, v) for v, X in enumerate(Xs)]
        holes = [torch.from_numpy(~there[:, v]).to(Xs[0].device) for v in (0, 1)]
        filled = [self.network_.predict(Z[1 - v], 1 - v) for v in (0, 1)]
        return [torch.where(holes[v][:, None], filled[v], Z[v]) for v in (0, 1)]

    def _features(self, Z: Sequence[torch.Tensor], matched: np.ndarray) -> np.ndarray:
        """Return [z_1, z_2 matched], each of length one, together of length one."""
        first, second = (unit_rows(Z_v.cpu().numpy()) for Z_v in Z)
        return unit_rows(np.hstack([first, second[matched]]))

    def _clusters(self, embedding: np.ndarray, seed: int) -> np.ndarray:
        return kmeans_labels(embedding, self.n_clusters, seed)

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        Xs = self._scaled(views, next(self.network_.parameters()).device)
        rows = np.arange(len(views[0]))
        return self._features(self._codes(Xs, np.ones((len(rows), 2), bool)), rows)

    def _network(self) -> Twins:
        return Twins(self.n_features_in_, self.hidden_dims, self.embedding_dim, self.dropout)

    def _train(
        self, Xs: Sequence[torch.Tensor], rows: torch.Tensor, generator: torch.Generator
    ) -> None:
        device = Xs[0].device
        self.network_ = network = self._network().to(device)
        size = min(self.batch_size, len(rows))
        least = size if self._drop_last else max(2, -(-size // 2))
        # The steps of an epoch, by which the rate grows: batches that are left out count.
        n_steps = len(rows) // size if self._drop_last else -(-len(rows) // size)
        rate = self.learning_rate * self.batch_size / BASE_BATCH
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer = Adam(weights, lr=rate, betas=ADAM_BETAS, fused=True)
        epoch, order = -1, rows

        def batches() -> Iterator[tuple[int, torch.Tensor]]:
            nonlocal epoch, order
            epoch += 1
            if epoch == 0 or not getattr(self, "fixed_batches", False):
                order = rows[torch.randperm(len(rows), generator=generator)].to(device)
            return enumerate(batch for batch in order.split(size) if len(batch) >= least)

        def step(numbered: tuple[int, torch.Tensor]) -> Mapping[str, torch.Tensor]:
            number, batch = numbered
            now = warmed_up(rate, epoch, number, n_steps, self.warm_up_epochs)
            optimizer.param_groups[0]["lr"] = now
            network.follow(self.momentum)
            return self._losses(network([X[batch] for X in Xs]), epoch, batch)

        def after_epoch(epoch: int, means: dict[str, float]) -> dict[str, Any]:
            return self._after_epoch(epoch, Xs)

        self.history_ = train(
            self, batches, step, network, optimizer, parts=self._parts, after_epoch=after_epoch
        )

    def _losses(
        self, codes: Codes, epoch: int, batch: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        raise NotImplementedError

    def _after_epoch(self, epoch: int, Xs: Sequence[torch.Tensor]) -> dict[str, Any]:
        return {}
