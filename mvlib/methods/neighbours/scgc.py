"""SCGC and PamC: nodes of a graph, whose codes come near those of their neighbours.

Source: SCGC, arXiv 2204.12656, and PamC, arXiv 2209.14067, as the authors' code,
https://github.com/gayanku/SCGC and https://github.com/gayanku/PAMC (MIT badge, no file of a
licence), computes them. Another method of the name SCGC (arXiv 2205.07865) is not this one.

View 1 has the attributes of the nodes, view 2 is the graph. An auto-encoder of the attributes
is trained first, and k-means of its codes gives centres, which are trained on with it.

Picture
-------
given : attributes of nodes and their graph, rows paired rightly
learns : an auto-encoder of the attributes, and a centre a cluster
pulls : the codes of neighbours together; assignments to their own sharpened form
matches : nothing
groups : the largest assignment, by Student's t of the distance to the centres

Deviations
----------
The authors load auto-encoders that others trained: here they are trained anew, and how long,
in what batches and at what rate is ours. Where no graph is given they read files of neighbours,
the makers of which are not known: here they are the nearest by Euclidean distance. The diagonal
of a given graph is not read, since some files fill it and the code adds its own. In PamC's code
an empty cluster makes the loss NaN; here it has no part in it. A code of zeros has
a cosine of 0. The labels are those that the code scores in the last epoch, before its update:
the state after it is never scored there, and not kept here. The code prints the largest of each
score over all epochs, and overwrites predictions before it scores them where a cluster is
empty; `history_["labels"]` has those of every epoch, as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph
from torch import nn

from mvlib.check import flag, real, whole
from mvlib.methods.base import Mask, Views
from mvlib.methods.networks import TwoViewNetworks
from mvlib.methods.training import batches, seeded, train
from mvlib.methods.views.pvc import AutoEncoder
from mvlib.methods.views.wah import sharpened
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

# Rows, columns and weights of the entries of A that are not 0.
Edges = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
PARTS = ("contrast", "clustering", "reconstruction")
PRETRAINING_RATE = 1e-3


def adjacency(view: np.ndarray, n_neighbors: int) -> sparse.csr_array:
    """Return a symmetric matrix of no negative number as it is, or else the nearest rows."""
    n = len(view)
    if view.shape != (n, n) or (view < 0).any() or (view != view.T).any():
        return sparse.csr_array(kneighbors_graph(view, min(n_neighbors, n - 1)))
    graph = sparse.csr_array(view, dtype=np.float64)
    return graph - sparse.diags_array(graph.diagonal())


def influence(graph: sparse.csr_array, hops: int, summed: bool) -> sparse.csr_array:
    """Return what each node counts for each within so many steps.

    A^r (SCGC), A + A^2 + ... + A^r (SCGC*, PamC), A = D^-1 (max(G, G^T) + I)  (as coded)

    Rows of the sum add up to r.
    """
    A = graph.maximum(graph.T) + sparse.eye_array(graph.shape[0])
    A = power = total = sparse.csr_array(A / A.sum(axis=1)[:, None])
    for _ in range(hops - 1):
        power = power @ A
        total = total + power
    return total if summed else power


def student(Z: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return soft assignments of codes to centres.

    q_ik = (1 + |z_i - mu_k|^2)^-1 / sum_l (1 + |z_i - mu_l|^2)^-1  (DEC; SCGC, as coded)
    """
    near = 1 / (1 + (Z[:, None] - centers).square().sum(dim=2))
    return near / near.sum(dim=1, keepdim=True)


def clustering_loss(Q: torch.Tensor) -> torch.Tensor:
    """Compare assignments with their sharpened form, through which no gradient goes.

    KL(P|Q) = 1/N sum_ik p_ik log(p_ik / q_ik)  (DEC; SCGC, as coded)
    """
    return F.kl_div(Q.log(), sharpened(Q.detach()), reduction="batchmean")


def alike(Z: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Return how alike all pairs of rows are; a row is to itself as if at a right angle.

    E_ij = exp(t cos_ij), cos_ii = 0  (SCGC, as coded)
    """
    Z = F.normalize(Z, dim=1)
    own = torch.eye(len(Z), dtype=torch.bool, device=Z.device)
    return torch.exp(sharpness * (Z @ Z.T).masked_fill(own, 0))


def neighbours(Z: torch.Tensor, edges: Edges, sharpness: float) -> torch.Tensor:
    """Return how alike each row is to its neighbours, from the edges alone.

    s_i = sum_j A_ij exp(t cos_ij), cos_ii = 0  (SCGC; PamC, as coded)
    """
    i, j, weights = edges
    Z = F.normalize(Z, dim=1)
    cosines = (Z[i] * Z[j]).sum(dim=1).masked_fill(i == j, 0)
    return Z.new_zeros(len(Z)).index_add(0, i, weights * torch.exp(sharpness * cosines))


def neighbour_contrast(Z: torch.Tensor, edges: Edges, sharpness: float) -> torch.Tensor:
    """Draw each code to its neighbours' and away from all others.

    NC = -mean_i log(s_i / sum_j exp(t cos_ij) + 1e-8), cos_ii = 0  (SCGC, as coded)
    """
    share = neighbours(Z, edges, sharpness) / alike(Z, sharpness).sum(dim=1)
    return -torch.log(share + 1e-8).mean()


def cluster_contrast(
    Z: torch.Tensor, Q: torch.Tensor, edges: Edges, sharpness: float
) -> torch.Tensor:
    """Draw each code to its neighbours', and clusters, their codes' sums, apart.

    PC = mean_k log(sum_l exp(t cos(c_k, c_l)) + 1e-10) - mean_i log(s_i + 1e-10), c_k = sum_{i in k} z_i  (PamC, as coded)

    A cluster has the rows of which its assignment is the largest; cos(c_k, c_k) = 0.
    """  # noqa: E501
    clusters = torch.arange(Q.shape[1], device=Q.device)
    members = (Q.argmax(dim=1, keepdim=True) == clusters).to(Z.dtype)
    used = members.amax(dim=0)
    apart = (alike(members.T @ Z, sharpness) * used).sum(dim=1)
    apart = (torch.log(apart + 1e-10) * used).sum() / used.sum()
    return apart - torch.log(neighbours(Z, edges, sharpness) + 1e-10).mean()


def total_loss(
    contrast: torch.Tensor, Q: torch.Tensor, weights: tuple[float, float],
    X: torch.Tensor | None = None, rebuilt: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Compute the loss of all rows and its parts; `contrast` is NC or PC.

    L = a NC + b KL(P|Q) + MSE(X, X')  (SCGC, as coded);  a PC + b KL(P|Q)  (PamC, as coded)

    Without `rebuilt`, X', the last term is left out.
    """
    parts = {"contrast": contrast, "clustering": clustering_loss(Q)}
    loss = weights[0] * contrast + weights[1] * parts["clustering"]
    if rebuilt is not None and X is not None:
        parts["reconstruction"] = F.mse_loss(rebuilt, X)
        loss = loss + parts["reconstruction"]
    return {"loss": loss} | parts


class NodeNetwork(nn.Module):
    """An auto-encoder of attributes, and a centre a cluster among its codes."""

    def __init__(self, n_features: int, hidden_dims: Sequence[int], dim: int, k: int) -> None:
        super().__init__()
        self.coder = AutoEncoder(n_features, hidden_dims, dim)
        self.centers = nn.Parameter(torch.zeros(k, dim))

    def forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes and soft assignments."""
        Z = self.coder.encode(X)
        return Z, student(Z, self.centers)


@dataclass(eq=False, repr=False, kw_only=True)
class NodeClustering(TwoViewNetworks):
    """What SCGC and PamC share: the auto-encoder, its centres, and the labels of each epoch.

    Parameters
    ----------
    contrast_weight, clustering_weight : float
        a and b.
    hops : int
        r, how many steps away a neighbour may be.
    sharpness : float
        t, which multiplies cosines.
    n_neighbors : int, default=3
        Of a row in view 2, where that is no graph; all others, where they are fewer.
    embedding_dim : int, default=10
        Width of the codes.
    hidden_dims : sequence of int, default=(500, 500, 2000)
        Of the encoder.
    pretraining_epochs, batch_size : int, default=50, 256
        Passes over the rows, in batches of so many, of the auto-encoder by itself.
    epochs, learning_rate : int, float, default=200, 1e-3
        Steps with all rows, and Adam's rate in these.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The largest of `embedding_`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Soft assignments before the last step.
    history_ : dict of str to ndarray
        `loss`, `contrast`, `clustering` and `reconstruction`, by epoch; `labels` of shape
        (epochs, n_samples), those of k-means first; `pretraining`, of the auto-encoder.
    network_ : NodeNetwork
        Before the last step.
    """

    contrast_weight: float = 0.5
    clustering_weight: float = 0.1
    hops: int = 2
    sharpness: float = 0.25
    n_neighbors: int = 3
    embedding_dim: int = 10
    hidden_dims: Sequence[int] = (500, 500, 2000)
    pretraining_epochs: int = 50
    batch_size: int = 256
    epochs: int = 200
    learning_rate: float = 1e-3

    decoder = False
    _labels_from = "largest"
    _bounds = {
        **dict.fromkeys(("contrast_weight", "clustering_weight"), real(0)),
        **dict.fromkeys(("hops", "n_neighbors", "pretraining_epochs"), whole()),
        "sharpness": real(0, open_low=True),
    }

    def _contrast(self, Z: torch.Tensor, Q: torch.Tensor, edges: Edges) -> torch.Tensor:
        raise NotImplementedError

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        device = resolve_device(self.device)
        graph = adjacency(views[1], self.n_neighbors)
        A = influence(graph, self.hops, summed=not self.decoder).tocoo()
        given = (A.row.astype(np.int64), A.col.astype(np.int64), A.data.astype(np.float32))
        i, j, weights = (torch.from_numpy(part).to(device) for part in given)
        X = torch.from_numpy(views[0]).to(device)
        with seeded(seed, device) as generator:
            network = self._network().to(device)
            before = self._pretrain(network, X, generator, seed)
            self._train(network, X, (i, j, weights))
        self.history_ |= {"pretraining": before}
        self.network_ = network.eval()
        self.embedding_ = self._embed(views)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _network(self) -> NodeNetwork:
        sizes = self.n_features_in_[0], self.hidden_dims, self.embedding_dim
        return NodeNetwork(*sizes, self.n_clusters)

    def _pretrain(
        self, network: NodeNetwork, X: torch.Tensor, generator: torch.Generator, seed: int
    ) -> np.ndarray:
        coder = network.coder

        def step(rows: torch.Tensor | slice) -> dict[str, torch.Tensor]:
            return {"loss": F.mse_loss(coder.decode(coder.encode(X[rows])), X[rows])}

        optimizer = Adam(coder.parameters(), lr=PRETRAINING_RATE)
        more = {"epochs": self.pretraining_epochs}
        drawn = partial(batches, len(X), self.batch_size, generator)
        history = train(self, drawn, step, coder, optimizer, **more)
        with torch.no_grad():
            Z = coder.encode(X).cpu().numpy()
            found = KMeans(self.n_clusters, n_init=20, random_state=seed).fit(Z)
            network.centers.copy_(torch.from_numpy(found.cluster_centers_))
        return history["loss"]

    def _train(self, network: NodeNetwork, X: torch.Tensor, edges: Edges) -> None:
        labels: list[torch.Tensor] = []
        kept: dict[str, Any] = {}
        weights = self.contrast_weight, self.clustering_weight

        def step(rows: slice) -> dict[str, torch.Tensor]:
            Z, Q = network(X)
            labels.append(Q.argmax(dim=1))
            if len(labels) == self.epochs:
                kept.update(copy.deepcopy(network.state_dict()))
            rebuilt = network.coder.decode(Z) if self.decoder else None
            return total_loss(self._contrast(Z, Q, edges), Q, weights, X, rebuilt)

        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        everything = [slice(None)]
        more: dict[str, Any] = {"parts": PARTS}
        self.history_ = train(self, lambda: everything, step, network, optimizer, **more)
        self.history_["labels"] = torch.stack(labels).cpu().numpy()
        network.load_state_dict(kept)

    @torch.no_grad()
    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        X = torch.from_numpy(views[0]).to(self.network_.centers.device)
        return self.network_(X)[1].cpu().numpy()


@dataclass(eq=False, repr=False, kw_only=True)
class SCGC(NodeClustering):
    """Contrastive clustering of the nodes of a graph, without a graph network.

    View 1 has the attributes. View 2 is taken for the graph's matrix if it is square, symmetric
    and without negative numbers; of any other view it is the graph of the nearest rows. New
    rows are assigned by their attributes alone. The defaults are the code's for ACM; those of
    SCGC*, `decoder=False`, are `contrast_weight=1, hops=1` there.

    Parameters
    ----------
    decoder : bool, default=True
        Whether the auto-encoder goes on rebuilding the attributes, and neighbours are those of
        r steps; or else, as in SCGC*, of up to r steps, each number of them by itself.
    contrast_weight, clustering_weight, hops, sharpness : default=0.5, 0.1, 2, 0.25
        a, b, r and t.

    Notes
    -----
    *Use it* where a graph joins things of a class and things have attributes, too; not where
    the graph joins unlike ones. *Cost*: the auto-encoder's pretraining and 200 steps, each with
    n * n cosines. *Beside it*: `KMeansView` of the attributes, spectral clustering of the
    graph, and `history_["labels"][0]`, k-means of the codes before the first step.
    """

    decoder: bool = True

    _bounds = {"decoder": flag}

    def _contrast(self, Z: torch.Tensor, Q: torch.Tensor, edges: Edges) -> torch.Tensor:
        return neighbour_contrast(Z, edges, self.sharpness)


@dataclass(eq=False, repr=False, kw_only=True)
class PamC(NodeClustering):
    """As SCGC* with clusters in the place of all other nodes, so that no matrix is n x n.

    Views, graph and new rows are those of `SCGC`. The defaults are the code's for ACM.

    Parameters
    ----------
    contrast_weight, clustering_weight, hops, sharpness : default=0.5, 0.5, 1, 0.5
        a, b, r and t.

    Notes
    -----
    *Use it* where `SCGC` fits and there are many nodes. *Cost*: as `SCGC`, but a step takes the
    edges within r steps and no more. *Beside it*: as `SCGC`.
    """

    clustering_weight: float = 0.5
    hops: int = 1
    sharpness: float = 0.5

    def _contrast(self, Z: torch.Tensor, Q: torch.Tensor, edges: Edges) -> torch.Tensor:
        return cluster_contrast(Z, Q, edges, self.sharpness)
