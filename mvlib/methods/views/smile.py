"""SMILE: clusters that views have in common, for rows shuffled, missing, or both.

Source: Zeng et al., "Semantic Invariant Multi-view Clustering with Fully Incomplete
Information", TPAMI 2023. Each function follows the authors' code at the settings of its vector
data; its convolutional network, for images of digits, is left out.

One encoder for both views, a decoder for each. Besides reconstruction and a contrast of known
pairs, from epoch 50 on each row is softly given to the nearest of K centres, found by k-means
before each epoch: the clusters shall be of one size, a row shall be sure of its cluster, and
which view a row is of shall not tell its cluster. No pair is needed for that.

Picture
-------
given : two views, rows shuffled or missing, pairs or none
learns : one encoder for both views, a decoder for each
pulls : each view rebuilt; known pairs together; clusters of one size, sure, and blind to the
    view
matches : each unpaired row of view 1 to the nearest of view 2; what is missing is copied from a
    near row
groups : k-means of both embeddings side by side

What the authors' code does to the data
---------------------------------------
It never shuffles the unaligned rows: each batch holds the same things in both views, and so as
many of each class, which rows that are truly unaligned do not offer. Here rows come as the
caller has shuffled them. To see what their code sees, give views that are not shuffled, and
`aligned` False for the rows that shall count as unaligned.

Deviations
----------
A batch without a known pair has no contrast, and a view of which a batch holds fewer than two
rows is left out of it; the authors' code stops or becomes NaN. Distances are in full
precision, and of equally near rows the first is taken; theirs are in half precision, which
decides among near rows. k-means is scikit-learn's, from random rows; where a cluster empties,
faiss, which theirs is, splits another. Theirs has the same seed in all runs. It is run from the
first epoch that needs it on, which leaves out draws of input noise. New rows are embedded with
the mean of the input noise. Whether the sheet of layers [1024, 1024, 512] has an activation
after each was read so, and is not certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import norm
from sklearn.cluster import KMeans
from torch import nn

from mvlib.check import flag, optional, real, whole
from mvlib.methods.base import KMEANS_STARTS, Mask, Views
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device
from mvlib.ops.rows import unit_rows

# An input stays where a normal draw of deviation 0.1 is below 0.1.
KEPT = float(norm.cdf(1))
MOST_ROWS_A_CENTER = 256


def assignments(H: torch.Tensor, centers: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how far each embedded row belongs to each cluster.

    p_ik = softmax_k(h_i c_k / 0.1)  (SMILE, as coded)
    """
    return (H @ centers.T / temperature).softmax(dim=1)


def balance_loss(p: torch.Tensor) -> torch.Tensor:
    """Compute the negative entropy of the clusters' sizes, least where all are equal.

    L_bal = sum_k P(k) log P(k), P(k) = mean_i p_ik  (SMILE, as coded)
    """
    sizes = p.mean(dim=0)
    return torch.xlogy(sizes, sizes).sum()


def invariance_loss(ps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Compute the mutual information of cluster and view, from the rows of each view.

    I(C;G) = sum_kg P(k,g) log[P(k,g) / (P(k) P(g))]  (SMILE, as coded)

    P(k,g) is the sum of p_ik over the rows i of view g, by the number of all rows. The loss is
    0 where the clusters have the same shares in all views.
    """
    joint = torch.stack([p.sum(dim=0) for p in ps], dim=1) / sum(len(p) for p in ps)
    product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0)
    return (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum()


def confidence_loss(p: torch.Tensor) -> torch.Tensor:
    """Compute the mean entropy of the rows' clusters.

    L_con = mean_i -sum_k p_ik log p_ik  (SMILE, as coded)
    """
    return -torch.xlogy(p, p).sum(dim=1).mean()


def pair_contrast(
    H_1: torch.Tensor, H_2: torch.Tensor, pairs: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Compute the contrast of known pairs among all rows of the other view in the batch.

    L_pair = 2 tau [CE(S/tau) + CE(S^T/tau)], S = H1 H2^T, tau = 0.2  (SMILE, as coded)

    `pairs` holds the rows of both views, (n_pairs, 2). Zero without any.
    """
    if len(pairs) == 0:
        return H_1.new_zeros(())
    S, (first, second) = H_1 @ H_2.T / temperature, pairs.T
    both = F.cross_entropy(S[first], second) + F.cross_entropy(S.T[second], first)
    return 2 * temperature * both


def nearest_rows(
    H: torch.Tensor, queries: np.ndarray, G: torch.Tensor, pool: np.ndarray
) -> np.ndarray:
    """Return for each query, a row of `H`, its nearest row of `G` in the pool.

    j(i) = argmin over the pool of |h_i - g_j|  (SMILE, as coded)

    Of equally near rows the first is taken. A row can be taken twice.
    """
    if len(queries) == 0:
        return queries
    blocks = H[queries].split(1024)
    found = [torch.cdist(block, G[pool]).argmin(dim=1).cpu().numpy() for block in blocks]
    return pool[np.concatenate(found)]


def clustered(Z: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Return unit centres of the rows: the best of ten starts of k-means from random rows.

    Centres are learnt from 256 rows a cluster at most.
    """
    rng = np.random.default_rng(seed)
    if len(Z) > MOST_ROWS_A_CENTER * n_clusters:
        Z = Z[rng.choice(len(Z), MOST_ROWS_A_CENTER * n_clusters, replace=False)]
    starts = {"init": "random", "n_init": KMEANS_STARTS, "max_iter": 300, "tol": 0}
    found = KMeans(n_clusters, random_state=seed, **starts).fit(Z)
    return unit_rows(found.cluster_centers_.astype(np.float32))


def _layer(n_inputs: int, width: int, dropout: float, normalized: bool) -> list[nn.Module]:
    norms = [nn.BatchNorm1d(width)] if normalized else []
    return [nn.Linear(n_inputs, width), *norms, nn.ReLU(), nn.Dropout(dropout)]


class Network(nn.Module):
    """An encoder that the views share, but its first layer if their widths differ; decoders."""

    def __init__(
        self,
        widths: Sequence[int],
        hidden_dims: Sequence[int],
        embedding_dim: int,
        dropout: float,
    ):
        super().__init__()
        # The last hidden layer of the encoder, and the decoder's first two, are not normalised.
        normalized = [k < len(hidden_dims) - 1 for k in range(len(hidden_dims))]
        one = len(set(widths)) == 1
        first = [
            nn.Sequential(*_layer(width, hidden_dims[0], dropout, normalized[0]))
            for width in (widths[:1] if one else widths)
        ]
        self.first = nn.ModuleList(len(widths) * first if one else first)
        layers: list[nn.Module] = []
        for k in range(1, len(hidden_dims)):
            layers += _layer(hidden_dims[k - 1], hidden_dims[k], dropout, normalized[k])
        self.shared = nn.Sequential(*layers, nn.Linear(hidden_dims[-1], embedding_dim))
        self.decoders = nn.ModuleList()
        for width in widths:
            layers, n_inputs = [], embedding_dim
            for k, wide in enumerate(reversed(hidden_dims)):
                layers += _layer(n_inputs, wide, dropout, k > 1)
                n_inputs = wide
            self.decoders.append(nn.Sequential(*layers, nn.Linear(n_inputs, width)))

    def embed(self, X: torch.Tensor, v: int, mask: torch.Tensor | float) -> torch.Tensor:
        """Return unit embeddings of rows of view v, whose inputs are multiplied by a mask."""
        return F.normalize(self.shared(self.first[v](X * mask)), dim=1)


def input_noise(X: torch.Tensor) -> torch.Tensor:
    """Return a mask that keeps an input with probability 0.841, and does not rescale."""
    return (torch.rand_like(X) < KEPT).to(X.dtype)


@dataclass(eq=False, repr=False, kw_only=True)
class SMILE(TwoViewNetworks):
    """Clustering by semantic invariance, for views whose rows are shuffled or missing.

    Two views of the same things. No row need be known to have a partner; known pairs are used
    where there are some. After training, missing embeddings are copied from the nearest row of
    the view that lacks them, unaligned rows take their nearest row of view 2, and k-means
    clusters [h1, h2 found]. Rows are named after view 1. New rows are taken as partners. The
    authors bring each feature to mean 0 and standard deviation 1.

    Parameters
    ----------
    embedding_dim : int, optional
        Width of the embeddings, `n_clusters` by default.
    dropout : float, default=0.2
        After each hidden layer.
    epochs : int, default=149
        Passes over the rows. The authors train for 150 and score what 149 have made.
    warmup_epochs : int, default=50
        Passes before the clusters count.
    batch_size : int, default=256
        Rows in a batch, of which there must be one at least. Rows that fill no batch are left
        out of an epoch.
    balance_weight, invariance_weight, confidence_weight : float, default=0.04, 0.2 and 0.04
        Of the three terms of the clusters.
    pair_weight : float, default=0.02
        Of the contrast of known pairs.
    temperature, pair_temperature : float, default=0.1 and 0.2
        Of the clusters and of the contrast.
    evaluation_noise : bool, default=True
        Whether inputs are dropped in evaluation as well, as in the authors' code.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each row of view 1, or of view 2 where view 1 lacks it.
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        [h1, h2 found], as clustered.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 whose embedding each row got.
    history_ : dict of str to ndarray
        A value an epoch, means over batches: `loss` and its parts `reconstruction`, `pairs`,
        and `balance`, `invariance`, `confidence`, which are NaN before they count.
    network_ : Module
        Encoder and decoders, in evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where the rows of two views are shuffled or missing and few or no partners are
    known. *Cost*: n // batch_size steps an epoch, by default 1,043 in all for 2,000 rows, and
    k-means of all rows in each epoch after `warmup_epochs`. *Beside it*: `KMeansView`,
    `KMeansConcatenation`, `SpectralConcatenation` and, where some rows are aligned,
    `AutoencoderHungarian`.

    The NMI and ARI of the authors' code are constant 0.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> scaled = [StandardScaler().fit_transform(X) for X in digits.Xs]
    >>> problem = data.misalign(scaled, digits.y, ratio=0.5, protocol="mvcln")
    >>> model = methods.load("smile")(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)  # doctest: +SKIP
    """

    embedding_dim: int | None = None
    hidden_dims: Sequence[int] = (1024, 1024, 512, 256)
    dropout: float = 0.2
    epochs: int = 149
    warmup_epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    balance_weight: float = 0.04
    invariance_weight: float = 0.2
    confidence_weight: float = 0.04
    pair_weight: float = 0.02
    temperature: float = 0.1
    pair_temperature: float = 0.2
    evaluation_noise: bool = True

    _takes_missing = True
    _labels_from = "directions"
    _bounds = {
        "embedding_dim": optional(whole()),
        "warmup_epochs": whole(0),
        "pair_temperature": real(0, open_low=True),
        "evaluation_noise": flag,
        **dict.fromkeys(
            ("balance_weight", "invariance_weight", "confidence_weight", "pair_weight"), real(0)
        ),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        self._check_rows(views)
        device = resolve_device(self.device)
        tensors = on_device(views, device)
        with seeded(seed, device) as generator:
            self._train(tensors, aligned, present, seed, generator)
            H = self._embedded(tensors, self.evaluation_noise)
        self.matching_, H = realigned(H, aligned, present)
        self.embedding_ = torch.cat(H, dim=1).cpu().numpy()
        centers = clustered(self.embedding_, self.n_clusters, seed)
        self.labels_ = (self.embedding_ @ centers.T).argmax(axis=1)

    def _network(self) -> Network:
        d = self.embedding_dim or self.n_clusters
        return Network(self.n_features_in_, self.hidden_dims, d, self.dropout)

    @torch.no_grad()
    def _embedded(self, tensors: Sequence[torch.Tensor], noisy: bool) -> list[torch.Tensor]:
        self.network_.eval()
        return [
            torch.cat(
                [
                    self.network_.embed(block, v, input_noise(block) if noisy else KEPT)
                    for block in X.split(8192)
                ]
            )
            for v, X in enumerate(tensors)
        ]

    def _encoded(self, Xs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return self._embedded(Xs, False)

    def _train(
        self,
        Xs: Sequence[torch.Tensor],
        aligned: np.ndarray,
        present: np.ndarray,
        seed: int,
        generator: torch.Generator,
    ) -> None:
        device, size = Xs[0].device, self.batch_size
        self.network_ = network = self._network().to(device)
        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        there = torch.from_numpy(present).to(device)
        known = torch.from_numpy(aligned & present.all(axis=1)).to(device)
        centers: torch.Tensor | None = None
        epoch = 0

        def batches() -> Sequence[torch.Tensor]:
            nonlocal centers, epoch
            if epoch >= self.warmup_epochs:
                H = self._embedded(Xs, self.evaluation_noise)
                Z = torch.cat([H_v[there[:, v]] for v, H_v in enumerate(H)]).cpu().numpy()
                found = clustered(Z, self.n_clusters, seed)
                centers = torch.from_numpy(found).to(device)
                network.train()
            epoch += 1
            order = torch.randperm(len(known), generator=generator).to(device)
            return order[: len(order) // size * size].split(size)

        def step(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            # One row has no variance to be normalised by.
            seen = [v for v in range(2) if there[batch, v].sum() > 1]
            X = {v: Xs[v][batch[there[batch, v]]] for v in seen}
            H = {v: network.embed(X[v], v, input_noise(X[v])) for v in seen}
            errors = [F.mse_loss(network.decoders[v](H[v]), X[v]) for v in seen]
            parts = {"reconstruction": torch.stack(errors).sum() / 2}
            parts["pairs"] = Xs[0].new_zeros(())
            if len(seen) == 2:
                places = (there[batch].cumsum(dim=0) - 1)[known[batch]]
                parts["pairs"] = pair_contrast(H[0], H[1], places, self.pair_temperature)
            if centers is not None:
                ps = [assignments(H_v, centers, self.temperature) for H_v in H.values()]
                p = torch.cat(ps)
                parts["balance"], parts["confidence"] = balance_loss(p), confidence_loss(p)
                parts["invariance"] = invariance_loss(ps)
            # L = L_rec + 0.02 L_pair + 0.04 L_bal + 0.2 I(C;G) + 0.04 L_con  (SMILE, as coded)
            weighted = [weights[part] * loss for part, loss in parts.items()]
            return {"loss": torch.stack(weighted).sum(), **parts}

        weights = {
            "reconstruction": 1.0,
            "pairs": self.pair_weight,
            "balance": self.balance_weight,
            "invariance": self.invariance_weight,
            "confidence": self.confidence_weight,
        }
        self.history_ = train(self, batches, step, network, optimizer, parts=tuple(weights))

    def _check_rows(self, views: Sequence[np.ndarray]) -> None:
        if len(views[0]) < self.batch_size:
            raise ValueError(
                f"Xs has {len(views[0])} rows: expected at least batch_size={self.batch_size}, "
                "since a batch that is not full is left out"
            )
        if not len(self.hidden_dims):
            raise ValueError("hidden_dims=() is empty: expected one width at least")


def realigned(
    H: Sequence[torch.Tensor], aligned: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, list[torch.Tensor]]:
    """Fill the rows that a view lacks, then give unaligned rows their nearest of view 2.

    The holes of view 2 are filled first, then those of view 1, each from all rows that the view
    has. Then the rows that are unaligned and complete look among themselves.

    Returns
    -------
    matching : ndarray of shape (n_samples,), int64
        Whose embedding stands for view 2 in each row.
    H : list of two Tensors
        The embeddings of both views.
    """
    H_1, H_2 = (H_v.clone() for H_v in H)
    first, second = (np.flatnonzero(column) for column in present.T)
    matching, holes = np.arange(len(aligned)), np.flatnonzero(~present[:, 1])
    matching[holes] = nearest_rows(H_1, holes, H[1], second)
    H_2[holes] = H[1][matching[holes]]
    holes = np.flatnonzero(~present[:, 0])
    H_1[holes] = H[0][nearest_rows(H_2, holes, H[0], first)]
    loose = np.flatnonzero(~aligned & present.all(axis=1))
    matching[loose] = nearest_rows(H_1, loose, H[1], loose)
    H_2[loose] = H[1][matching[loose]]
    return matching, [H_1, H_2]
