"""WAH: views on the hyperboloid, whose distributions are brought near along random directions.

Source: "Wasserstein-Aligned Hyperbolic Multi-View Clustering", arXiv 2512.09402, and the
authors' code, https://github.com/Yuting-jiang-jnu/WAH-MVC (no licence), for views that are
vectors. Its networks for images are not built here.

Each view has an encoder; two layers on the hyperboloid and a classifier there are shared. A
point x = (x_0, x_s) has x_0^2 = 1 + |x_s|^2.

Picture
-------
given : two or more views, rows paired rightly
learns : an encoder a view; two layers and a classifier on the hyperboloid, shared by the views
pulls : views near by heights along random directions; a cluster's columns alike; sizes even
matches : nothing
groups : the largest of the assignments, their mean over the views

Deviations
----------
The paper maps what is encoded onto the hyperboloid by the exponential map. The code copies it
into x_s, and writes x_0 where no gradient sees it: `reading="code"`, the default. The clusters
are those of A, as in the code; the paper's are those of Q. All rows are clustered, where the
code scores a shuffled epoch without its last rows. Which similarity the code takes for views
that are vectors is not known; here it is the cosine. The epoch is the last; the code keeps that
of the best accuracy by labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import choice, each, real, whole
from mvlib.methods.base import Mask, ViewClustering, Views
from mvlib.methods.training import seeded, train
from mvlib.methods.views.pvc import perceptron
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

READINGS, SIMILARITIES = ("code", "paper"), ("cosine", "product")
LARGEST = float(np.exp(2.3))


def on_hyperboloid(x: torch.Tensor) -> torch.Tensor:
    """Return the points of these space parts.

    x = (sqrt(1 + |x_s|^2), x_s)  (WAH, as coded)
    """
    return torch.cat([(1 + x.square().sum(dim=1, keepdim=True)).sqrt(), x], dim=1)


def lifted(x: torch.Tensor, reading: str) -> torch.Tensor:
    """Map what is encoded onto the hyperboloid; in the code no gradient goes through x_0.

    exp_o(x) = (cosh |x|, sinh(|x|) x / |x|)  (WAH, paper)
    """
    if reading == "code":
        return torch.cat([on_hyperboloid(x)[:, :1].detach(), x], dim=1)
    length = x.norm(dim=1, keepdim=True).clamp_min(1e-7)
    return on_hyperboloid(torch.sinh(length) * x / length)


def horosphere_distance(
    Z_1: torch.Tensor, Z_2: torch.Tensor, directions: torch.Tensor, power: float
) -> torch.Tensor:
    """Compare the rows of two views along directions, each side in its own order.

    HHSW = mean_v mean_i |B_v(x)_(i) - B_v(y)_(i)|^p, B_v(x) = log(x_0 - <v, x_s>)  (WAH, as coded)

    `Z_1` and `Z_2`, of shape (n_rows, dim + 1), are points on the hyperboloid, `directions`, of
    shape (n_directions, dim), v of unit length, `power` is p. No root is taken.
    """  # noqa: E501
    first, second = (
        torch.log((Z[:, :1] - Z[:, 1:] @ directions.T).clamp_min(1e-12)).sort(dim=0).values
        for Z in (Z_1, Z_2)
    )
    return (first - second).abs().pow(power).mean()


def sharpened(A: torch.Tensor) -> torch.Tensor:
    """Return the target of a batch, through which gradients go.

    Q_ik = (A_ik^2 / sum_i A_ik) / sum_k (A_ik^2 / sum_i A_ik)  (WAH, as coded)
    """
    weights = A.square() / A.sum(dim=0)
    return weights / weights.sum(dim=1, keepdim=True)


def semantic_loss(
    Q_1: torch.Tensor, Q_2: torch.Tensor, temperature: float, similarity: str
) -> torch.Tensor:
    """Tell the partner of each cluster's column from all other columns of both views.

    L_sem = -1/2K sum_k log(e^(s(q_k, q'_k)/tau) / sum_{l != k} e^(s(q_k, q_l)/tau))  (WAH, as coded)
    """  # noqa: E501
    columns, k = torch.cat([Q_1.T, Q_2.T]), Q_1.shape[1]
    if similarity == "cosine":
        columns = F.normalize(columns, dim=1)
    own = torch.eye(2 * k, dtype=torch.bool, device=columns.device)
    logits = (columns @ columns.T / temperature).masked_fill(own, -torch.inf)
    return F.cross_entropy(logits, torch.arange(2 * k, device=columns.device).roll(k))


def balance(Q: torch.Tensor) -> torch.Tensor:
    """Return what is lowest where clusters are of one size.

    L_reg = sum_k p_k log p_k, p = colsum(Q) / sum(Q)  (WAH, as coded)
    """
    p = Q.sum(dim=0) / Q.sum()
    return torch.special.xlogy(p, p).sum()


def total_loss(
    Z: Sequence[torch.Tensor], A: Sequence[torch.Tensor], directions: torch.Tensor,
    weights: tuple[float, float, float], temperature: float, power: float, similarity: str,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Compute the loss of a batch and its parts: a mean over pairs of views, and two sums.

    L = a HHSW + b L_sem + c L_reg  (WAH, as coded)

    `Z` and `A` have points and assignments of each view, `directions`, of shape (n_pairs,
    n_directions, dim), those of each pair of views; `weights` are a, b and c.
    """
    Q = [sharpened(assigned) for assigned in A]
    pairs = list(combinations(range(len(Q)), 2))
    distances = [
        horosphere_distance(Z[v], Z[w], along, power)
        for (v, w), along in zip(pairs, directions, strict=True)
    ]
    semantic = [semantic_loss(Q[v], Q[w], temperature, similarity) for v, w in pairs]
    parts = {
        "distance": torch.stack(distances).mean(),
        "semantic": torch.stack(semantic).sum(),
        "balance": torch.stack([balance(Q[v]) for pair in pairs for v in pair]).sum(),
    }
    terms = [a * part for a, part in zip(weights, parts.values(), strict=True)]
    return {"loss": torch.stack(terms).sum()} | parts


class LorentzLayer(nn.Module):
    """A linear map of all coordinates, put back on the hyperboloid, then ReLU."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        nn.init.uniform_(self.linear.weight, -0.02, 0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return points of shape (n_rows, n_out)."""
        x = self.linear(x)
        scale = torch.sigmoid(x[:, :1]) * LARGEST
        # The code computes x_0 before ReLU, too, where nothing reads it.
        return on_hyperboloid(torch.relu(scale * F.normalize(x[:, 1:], dim=1)))


class LorentzClassifier(nn.Module):
    """Signed distances to hyperplanes of the hyperboloid, as logits."""

    def __init__(self, n_in: int, n_clusters: int) -> None:
        super().__init__()
        bound = (n_in - 1) ** -0.5
        self.a = nn.Parameter(torch.empty(n_clusters).uniform_(-bound, bound))
        self.z = nn.Parameter(torch.empty(n_clusters, n_in - 1).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (n_rows, n_clusters).

        logit_k = |z| asinh(alpha / |z|), alpha = cosh(a) <z, x_s> - sinh(a) |z| x_0  (WAH, as coded)
        """  # noqa: E501
        length = self.z.norm(dim=1)
        alpha = x[:, 1:] @ self.z.T * self.a.cosh() - self.a.sinh() * length * x[:, :1]
        return length * torch.asinh(alpha / length)


class WAHNetwork(nn.Module):
    """An encoder a view; layers and classifier on the hyperboloid that all views share."""

    def __init__(
        self, encoded: Sequence[Sequence[int]], shared: Sequence[int], k: int, reading: str
    ) -> None:
        super().__init__()
        self.reading = reading
        self.encoders = nn.ModuleList(
            nn.Sequential(perceptron(widths), nn.ReLU()) for widths in encoded
        )
        self.shared = nn.Sequential(*(LorentzLayer(*pair) for pair in pairwise(shared)))
        self.classifier = LorentzClassifier(shared[-1], k)

    def forward(self, Xs: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], ...]:
        """Return points and softmax assignments of each view."""
        encoded = (encode(X) for encode, X in zip(self.encoders, Xs, strict=True))
        Z = [self.shared(lifted(x, self.reading)) for x in encoded]
        return Z, [self.classifier(points).softmax(dim=1) for points in Z]


class ClippedAdam(Adam):
    """Adam of gradients whose length, all together, is at most 1."""

    def step(self, closure: Any = None) -> Any:
        """Make a step."""
        nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 1.0)
        return super().step(closure)


@dataclass(eq=False, repr=False, kw_only=True)
class WAH(ViewClustering):
    """Deep clustering of views on the hyperboloid, with a sliced distance between them.

    Two or more views, row i of all of which is taken for one sample.

    Parameters
    ----------
    distance_weight, semantic_weight, balance_weight : float, default=0.1, 0.5, 0.5
        a, b and c: those of the code for views that are vectors. With a = 0 the hyperbolic
        distance is left out.
    reading : {"code", "paper"}, default="code"
        How what is encoded comes onto the hyperboloid.
    similarity : {"cosine", "product"}, default="cosine"
        Of columns, in L_sem.
    power, n_directions : float, int, default=2.0, 128
        p, and the random directions, drawn anew for each batch and pair of views.
    embedding_dim : int, default=1024
        Width of what each view's encoder gives.
    hidden_dims, lorentz_dims : sequence of int, default=(256, 512), (512, 256)
        Widths of the encoders' hidden layers, and of the shared layers with x_0.
    epochs, batch_size, learning_rate : int, int, float, default=200, 256, 1e-4
        Of Adam; the length of all gradients together is at most 1. Rows that fill no batch are
        left out of an epoch.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The largest of `embedding_`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Assignments, the mean over the views.
    history_ : dict of str to ndarray
        `loss`, `distance`, `semantic` and `balance`, by epoch.
    network_ : WAHNetwork

    Notes
    -----
    *Use it* where views are paired rightly, and with `distance_weight=0` beside it: in the
    paper's ablation the distance is worth half a point. *Cost*: 200 epochs of n // batch_size
    steps, each with a sort of 128 columns a view and pair. *Beside it*: `KMeansConcatenation`,
    `SpectralConcatenation`.
    """

    distance_weight: float = 0.1
    semantic_weight: float = 0.5
    balance_weight: float = 0.5
    reading: str = "code"
    similarity: str = "cosine"
    temperature: float = 0.9
    power: float = 2.0
    n_directions: int = 128
    embedding_dim: int = 1024
    hidden_dims: Sequence[int] = (256, 512)
    lorentz_dims: Sequence[int] = (512, 256)
    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 1e-4
    verbose: bool | None = None
    device: str = "auto"

    _min_views = 2
    _labels_from = "largest"
    _network_name = "network_"
    _bounds = {
        **dict.fromkeys(("distance_weight", "semantic_weight", "balance_weight"), real(0)),
        "power": real(0, open_low=True),
        **dict.fromkeys(("n_directions", "batch_size"), whole()),
        "reading": choice(READINGS),
        "similarity": choice(SIMILARITIES),
        "lorentz_dims": each(whole(2)),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        device = resolve_device(self.device)
        Xs = [torch.from_numpy(view).to(device) for view in views]
        with seeded(seed, device) as generator:
            self._train(Xs, generator)
        self.network_.eval()
        self.embedding_ = self._embed(views)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _network(self) -> WAHNetwork:
        last = *self.hidden_dims, self.embedding_dim
        encoded = [(width, *last) for width in self.n_features_in_]
        shared = self.embedding_dim + 1, *self.lorentz_dims
        return WAHNetwork(encoded, shared, self.n_clusters, self.reading)

    def _train(self, Xs: list[torch.Tensor], generator: torch.Generator) -> None:
        device, n = Xs[0].device, len(Xs[0])
        network, size = self._network().to(device), min(self.batch_size, n)
        n_pairs = len(Xs) * (len(Xs) - 1) // 2
        shape = n_pairs, self.n_directions, network.classifier.z.shape[1]
        weights = self.distance_weight, self.semantic_weight, self.balance_weight
        settings = weights, self.temperature, self.power, self.similarity

        def batches() -> Sequence[torch.Tensor]:
            order = torch.randperm(n, generator=generator)
            return order[: n // size * size].to(device).split(size)

        def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
            directions = F.normalize(torch.randn(shape, generator=generator), dim=2).to(device)
            Z, A = network([X[rows] for X in Xs])
            return total_loss(Z, A, directions, *settings)

        optimizer = ClippedAdam(network.parameters(), lr=self.learning_rate)
        parts = ("distance", "semantic", "balance")
        self.history_ = train(self, batches, step, network, optimizer, parts=parts)
        self.network_ = network

    @torch.no_grad()
    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        device = next(self.network_.parameters()).device
        parts = zip(*(torch.from_numpy(view).split(8192) for view in views), strict=True)
        assigned = [self.network_([X.to(device) for X in part])[1] for part in parts]
        return torch.cat([torch.stack(A).mean(dim=0) for A in assigned]).cpu().numpy()
