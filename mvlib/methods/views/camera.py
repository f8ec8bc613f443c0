"""CAMERA: prototypes that two views attend to, for rows shuffled, missing, or both.

Source: Li et al., "Community-aware Multi-view Representation Learning with Incomplete
Information", TPAMI 2025. Each function follows the authors' code at the settings of its vector
data; its convolutional network, for images of digits, is left out.

An encoder whose last layers both views share gives unit codes s. In each view they attend to K
prototypes c: what they attend to joins the code, z, and what attends to a prototype joins the
prototype, u. A decoder a view rebuilds the input. The prototypes of the views are matched once,
before epoch 49, by the rows that are known to be partners. By that match a view that a sample
lacks is made up from the prototypes, and rows whose prototypes do not match are paired anew.

Picture
-------
given : two views, rows shuffled, missing, or both, pairs or none
learns : encoders that share their last layers, prototypes that rows attend to, a decoder a view
pulls : each view rebuilt; rows and prototypes of one kind together across views
matches : prototypes once, by known pairs; then rows whose prototypes do not match
groups : k-means of both codes side by side

Deviations
----------
Of a batch, pairs and single cells pass batch normalisation apart, as in the authors' code,
which stops where one of these is a single row; here fewer than two rows are left out. Which of
equally good matches of prototypes is taken may differ. The share of whole samples, an option
there, is counted here, among the rows that are not aligned if there are any, as the option is
meant. Samples are clustered once, after the last epoch; theirs are now and then. A batch that
is not full is left out; the authors keep it for CUB alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from mvlib.check import real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device
from mvlib.ops.nearest import top_k

ENTROPY_WEIGHT = 0.02
GAMMA = 0.7
NEAREST = 5
FLOOR = 1e-8


class Attended(NamedTuple):
    """What rows of a view come to: codes, what they attend to, what is made of both."""

    s: torch.Tensor
    A: torch.Tensor
    z: torch.Tensor
    u: torch.Tensor


def commonality(As: Sequence[torch.Tensor]) -> torch.Tensor:
    """Ask prototypes of each view to be attended to alike, and each row to attend to few.

    L_com = 1/V sum_v (ln K + sum_k p_k ln p_k) + 0.02/V sum_v H(A_v)  (CAMERA, as coded)

    p is the mean of the rows of A, H the mean entropy of its rows; logarithms of a number plus
    1e-8.
    """
    total = As[0].new_zeros(())
    for A in As:
        p = A.sum(dim=0) / A.sum()
        uneven = math.log(A.shape[1]) + (p * (p + FLOOR).log()).sum()
        total = total + uneven - ENTROPY_WEIGHT * (A * (A + FLOOR).log()).sum(dim=1).mean()
    return total / len(As)


def consistency(H_1: torch.Tensor, H_2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Contrast N pairs of unit rows with all other rows of both views.

    L_con = -1/(2N) sum_i ln softmax_{j != i}(h_i h_j/tau) at i's partner  (CAMERA, as coded)
    """
    H = torch.cat([H_1, H_2])
    n = len(H_1)
    own = torch.eye(2 * n, dtype=torch.bool, device=H.device)
    logits = (H @ H.T / temperature).masked_fill(own, -torch.inf)
    partners = torch.arange(2 * n, device=H.device).roll(n)
    return F.cross_entropy(logits, partners)


def versatility(U_1: torch.Tensor, U_2: torch.Tensor) -> torch.Tensor:
    """Hold matched prototypes nearer to each other than to the nearest one of the others.

    L_ver = mean_i [g^2 + max_j S_ij - S_ii]_+ and the same of columns  (CAMERA, as coded)

    S are products of unit rows, on the diagonal at most g = 0.7; i and j differ.
    """
    S = U_1 @ U_2.T
    own = S.diagonal().clamp_max(GAMMA)
    others = S.masked_fill(torch.eye(len(S), dtype=torch.bool, device=S.device), -torch.inf)
    rows = (GAMMA**2 + others.amax(dim=1) - own).clamp_min(0)
    columns = (GAMMA**2 + others.amax(dim=0) - own).clamp_min(0)
    return rows.mean() + columns.mean()


def total_loss(losses: Mapping[str, torch.Tensor], weight: float) -> dict[str, torch.Tensor]:
    """Return the total loss beside its terms.

    L = 10 L_rec + L_com + L_con + L_ver  (CAMERA, as coded)

    L_rec is the mean squared error of both views, the 10 `weight`.
    """
    others = losses["commonality"] + losses["consistency"] + losses["versatility"]
    return {**losses, "loss": weight * losses["reconstruction"] + others}


def mixed(paired: torch.Tensor, single: torch.Tensor, whole_share: float) -> torch.Tensor:
    """Return the prototypes of a view as pairs and single rows move them.

    u = (r u_pairs + (1 - r)/2 u_singles)/((1 + r)/2), r samples are whole  (CAMERA, as coded)
    """
    r = whole_share
    return (r * paired + (1 - r) / 2 * single) / ((1 + r) / 2)


def matched_prototypes(first: np.ndarray, second: np.ndarray, n_prototypes: int) -> np.ndarray:
    """Return for each prototype of view 2 that of view 1 that shares most rows with it.

    `first` and `second` are the prototypes that pairs of rows attend to most.

    pi = argmax sum_j C_{pi(j) j}, C_ij = #rows of i in view 1, j in view 2  (CAMERA, as coded)
    """
    shared = np.zeros((n_prototypes, n_prototypes), np.int64)
    np.add.at(shared, (first, second), 1)
    return linear_sum_assignment(shared.T, maximize=True)[1]


def rematched(
    s_1: torch.Tensor, s_2: torch.Tensor, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return for each row of view 1 the row of view 2 that is paired with it anew.

    Of the five nearest codes the first that attends most to the same prototype, else the
    nearest. A row can be taken by several.
    """
    by_cosine = (s_1 @ s_2.T).argsort(dim=1, descending=True, stable=True)
    order = by_cosine[:, :NEAREST].cpu().numpy()
    same = second[order] == first[:, None]
    return order[np.arange(len(order)), same.argmax(axis=1)]


def _layers(widths: Sequence[int], dropout: float, normalized: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width_in, width_out in zip(widths[:-1], widths[1:], strict=True):
        layers.append(nn.Linear(width_in, width_out))
        layers += [nn.BatchNorm1d(width_out)] if normalized else []
        layers += [nn.ReLU(), nn.Dropout(dropout)]
    return layers


class Attention(nn.Module):
    """Attention of the codes of a view to its prototypes, and back."""

    def __init__(self, embedding_dim: int, n_prototypes: int):
        super().__init__()
        self.prototypes = nn.Parameter(nn.Linear(embedding_dim, n_prototypes).weight.detach())
        self.queries, self.keys, self.of_rows, self.of_prototypes = (
            nn.Linear(embedding_dim, embedding_dim) for _ in range(4)
        )
        self.norm_rows, self.norm_prototypes = (nn.LayerNorm(embedding_dim) for _ in range(2))

    def values(self) -> torch.Tensor:
        """Return what rows that attend to a prototype take of it."""
        c = F.normalize(self.prototypes, dim=1)
        return self.of_prototypes(self.norm_prototypes(c))

    def forward(self, s: torch.Tensor) -> Attended:
        """Attend with unit codes.

        A = softmax(q k^T/sqrt(d)), q = W_q LN(s), k = W_k LN'(c)  (CAMERA, as coded)
        z = unit(A W_2 LN'(c)) + unit(s)  (CAMERA, as coded)
        u_v = unit(A^T W_1 LN(s)) + unit(c)  (CAMERA, as coded)
        """
        c = F.normalize(self.prototypes, dim=1)
        q, k = self.queries(self.norm_rows(s)), self.keys(self.norm_prototypes(c))
        A = (q @ k.T / math.sqrt(s.shape[1])).softmax(dim=1)
        z = F.normalize(A @ self.values(), dim=1) + s
        u = F.normalize(A.T @ self.of_rows(self.norm_rows(s)), dim=1) + c
        return Attended(s, A, z, u)


class Network(nn.Module):
    """Encoders that share their last layers; an attention and a decoder a view; a projector."""

    def __init__(
        self,
        n_features: Sequence[int],
        hidden_dims: Sequence[int],
        embedding_dim: int,
        n_prototypes: int,
        dropout: float,
    ):
        super().__init__()
        d, first, last = embedding_dim, hidden_dims[0], hidden_dims[-1]
        self.entries = nn.ModuleList(
            nn.Sequential(*_layers((width, first), dropout, True)) for width in n_features
        )
        middle, end = _layers(hidden_dims, dropout, True), _layers((last, d), dropout, False)
        self.shared = nn.Sequential(*middle, *end, nn.Linear(d, d))
        self.attentions = nn.ModuleList(Attention(d, n_prototypes) for _ in n_features)
        self.decoders = nn.ModuleList(
            nn.Sequential(
                *_layers((d, d, last), dropout, False),
                *_layers(hidden_dims[::-1], dropout, True),
                nn.Linear(first, width),
            )
            for width in n_features
        )
        self.projector = nn.Sequential(
            nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, d)
        )

    def attend(self, X: torch.Tensor, v: int) -> Attended:
        """Encode rows of view v and let them attend to its prototypes."""
        return self.attentions[v](F.normalize(self.shared(self.entries[v](X)), dim=1))

    def project(self, Z: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.projector(Z), dim=1)

    def rebuilt(self, Z: torch.Tensor, v: int) -> torch.Tensor:
        return self.decoders[v](F.normalize(Z, dim=1))

    def made_up(self, seen: Attended, v: int, pi: torch.Tensor) -> torch.Tensor:
        """Return z of view v for rows of the other view, by the prototypes that match.

        z_2 = unit(A_1[:, pi] W_2 LN'(c_2)) + unit(s_1)  (CAMERA, as coded)

        View 1 by the inverse of pi.
        """
        A = seen.A[:, pi] if v == 1 else seen.A[:, pi.argsort()]
        attention = cast(Attention, self.attentions[v])
        return F.normalize(A @ attention.values(), dim=1) + seen.s


@dataclass(eq=False, repr=False, kw_only=True)
class CAMERA(TwoViewNetworks):
    """Community-aware clustering of two views, of which rows may be shuffled or missing.

    Pass `aligned` for which rows are known to be partners and `present` for what is there. All
    cells are learnt from. Then a view that a sample lacks is made up, rows of both views that
    attend to prototypes which do not match are paired anew, and k-means clusters [z_1, z_2].
    Use it where few samples are whole or aligned. Known pairs are paired anew, too. Rows are
    named after view 1. The authors bring each column to mean 0 and deviation 1, of CUB, Reuters
    and MNIST-USPS each view as a block. The defaults are their settings for Scene-15, whose 59
    columns they take as view 1.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, and of prototypes in each view.
    hidden_dims : sequence of int, default=(1024, 1024, 512)
        Widths of the encoder's layers, of which each view has the first for itself; decoders
        have them in reverse.
    dropout : float, default=0.2
        After each hidden layer, from 0 to 1.
    batch_size : int, default=256
        Rows in a batch; all, if there are fewer. The rows that fill no batch are left out of an
        epoch.
    reconstruction_weight : float, default=10.0
        Of the mean squared error.
    matching_epoch : int, default=49
        Before this epoch, counted from 0, prototypes are matched; from it on L_ver counts.
    match_batch_size : int, default=1024
        Among how many rows, aligned ones first, a row looks for its match.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        [z_1, z_2 matched], each of length one, as clustered.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 that stands beside each row of view 1.
    prototypes_ : ndarray of shape (n_clusters,), int64
        For each prototype of view 2 that of view 1 which matches it.
    history_ : dict of str to ndarray
        A value an epoch, the mean over batches: `loss`, `reconstruction`, `commonality`,
        `consistency`, `versatility`; the last two 0 where a batch has none.

    Notes
    -----
    *Use it* where rows of two views are shuffled, missing, or both, and some pairs are known.
    *Cost*: n // batch_size steps an epoch, by default 1,050 in all for 2,000 rows. *Beside it*:
    `SMILE` and `SURE`; `KMeansView`, `KMeansConcatenation`, `SpectralConcatenation` and
    `AutoencoderHungarian`.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> scaled = [StandardScaler().fit_transform(X) for X in digits.Xs]
    >>> problem = data.misalign(scaled, digits.y, ratio=0.5, protocol="mvcln")
    >>> model = methods.CAMERA(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)  # doctest: +SKIP
    """

    embedding_dim: int = 256
    hidden_dims: Sequence[int] = (1024, 1024, 512)
    dropout: float = 0.2
    epochs: int = 150
    batch_size: int = 256
    learning_rate: float = 1e-3
    reconstruction_weight: float = 10.0
    temperature: float = 0.5
    matching_epoch: int = 49
    match_batch_size: int = 1024

    _takes_missing = True
    _bounds = {"matching_epoch": whole(0), "reconstruction_weight": real(0)}

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        if self.n_clusters < 2 or not self.hidden_dims:
            raise ValueError(
                f"n_clusters={self.n_clusters}, hidden_dims={self.hidden_dims}: expected at "
                "least 2 clusters and a width, which CAMERA is made for"
            )
        device = resolve_device(self.device)
        Xs = on_device(views, device)
        there = torch.from_numpy(present).to(device)
        with seeded(seed, device) as generator:
            self._train(Xs, there, torch.from_numpy(aligned).to(device), generator)
        self.network_.eval()
        self.matching_ = np.arange(len(aligned))
        order = np.argsort(~aligned, kind="stable")
        seen, Z = self._seen(Xs, there)
        if not aligned.all():
            labels = seen[0].A[:, self.prototypes_].argmax(dim=1), seen[1].A.argmax(dim=1)
            first, second = (label.cpu().numpy() for label in labels)
            for start in range(0, len(order), self.match_batch_size):
                rows = order[start : start + self.match_batch_size]
                pool = rows[(first[rows] != second[rows]) & present[rows].all(axis=1)]
                if len(pool):
                    given = seen[0].s[pool], seen[1].s[pool], first[pool], second[pool]
                    self.matching_[pool] = pool[rematched(*given)]
        self.embedding_ = torch.cat([Z[0], Z[1][self.matching_]], dim=1).cpu().numpy()
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    @torch.no_grad()
    def _seen(
        self, Xs: Sequence[torch.Tensor], there: torch.Tensor
    ) -> tuple[list[Attended], list[torch.Tensor]]:
        """Return what all rows come to in both views, and unit z of which none is missing."""
        network = self.network_
        seen = [network.attend(X, v) for v, X in enumerate(Xs)]
        pi = torch.from_numpy(self.prototypes_).to(Xs[0].device)
        Z = [
            torch.where(there[:, v, None], seen[v].z, network.made_up(seen[1 - v], v, pi))
            for v in (0, 1)
        ]
        return seen, [F.normalize(Z_v, dim=1) for Z_v in Z]

    def _encoded(self, Xs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return self._seen(Xs, torch.ones(len(Xs[0]), 2, dtype=torch.bool).to(Xs[0].device))[1]

    def _network(self) -> Network:
        settings = self.hidden_dims, self.embedding_dim, self.n_clusters, self.dropout
        return Network(self.n_features_in_, *settings)

    @torch.no_grad()
    def _match_prototypes(
        self, Xs: Sequence[torch.Tensor], there: torch.Tensor, known: torch.Tensor
    ) -> None:
        """Match prototypes by known pairs, or without any by the nearest codes."""
        self.network_.eval()
        rows = [known] * 2 if known.any() else [there[:, 0], there[:, 1]]
        first, second = (self.network_.attend(X[rows[v]], v) for v, X in enumerate(Xs))
        A_2 = second.A
        if not known.any():
            _, nearest = top_k(first.s, second.s, 1, device=str(A_2.device))
            A_2 = A_2[nearest[:, 0]]
        labels = [A.argmax(dim=1).cpu().numpy() for A in (first.A, A_2)]
        self.prototypes_ = matched_prototypes(labels[0], labels[1], self.n_clusters)
        self.network_.train()

    def _train(
        self,
        Xs: Sequence[torch.Tensor],
        there: torch.Tensor,
        aligned: torch.Tensor,
        generator: torch.Generator,
    ) -> None:
        device, n = Xs[0].device, len(aligned)
        self.network_ = network = self._network().to(device)
        known = there.all(dim=1) & aligned
        touched = ~aligned if not aligned.all() else torch.ones_like(aligned)
        whole_share = float(there[touched].all(dim=1).float().mean())
        size = min(self.batch_size, n)
        optimizer = Adam(network.parameters(), lr=self.learning_rate, fused=True)
        epoch = -1

        def batches() -> Iterator[list[list[torch.Tensor]]]:
            """Yield the rows of the pairs and of the single cells, a tensor a view."""
            nonlocal epoch
            epoch += 1
            if epoch == self.matching_epoch:
                self._match_prototypes(Xs, there, known)
            order = torch.randperm(n, generator=generator).to(device)
            for batch in order[: n // size * size].split(size):
                parts = known[batch], ~known[batch]
                yield [[batch[part & there[batch, v]] for v in (0, 1)] for part in parts]

        def step(parts: list[list[torch.Tensor]]) -> Mapping[str, torch.Tensor]:
            As: list[list[torch.Tensor]] = [[], []]
            errors: list[list[torch.Tensor]] = [[], []]
            found: list[list[Attended | None]] = [[None, None], [None, None]]
            for single, cells in enumerate(parts):
                for v, (X, rows) in enumerate(zip(Xs, cells, strict=True)):
                    if len(rows) > 1:
                        seen = found[single][v] = network.attend(X[rows], v)
                        As[v].append(seen.A)
                        errors[v].append((network.rebuilt(seen.z, v) - X[rows]).square())
            zero = torch.zeros((), device=device, requires_grad=True)
            rec = [torch.cat(of_view).mean() for of_view in errors if of_view]
            com = (
                commonality([torch.cat(of_view) for of_view in As if of_view]) if rec else zero
            )
            losses = {
                "reconstruction": torch.stack(rec).mean() if rec else zero,
                "commonality": com,
                "consistency": zero,
                "versatility": zero,
            }
            first, second = found[0]
            if first is not None and second is not None:
                projected = network.project(first.z), network.project(second.z)
                losses["consistency"] = consistency(*projected, self.temperature)
            if epoch >= self.matching_epoch:
                losses["versatility"] = self._versatility(found, whole_share)
            return total_loss(losses, self.reconstruction_weight)

        names = ("reconstruction", "commonality", "consistency", "versatility")
        self.history_ = train(self, batches, step, network, optimizer, parts=names)
        if self.epochs <= self.matching_epoch:
            self._match_prototypes(Xs, there, known)

    def _versatility(
        self, found: Sequence[Sequence[Attended | None]], whole_share: float
    ) -> torch.Tensor:
        """Return L_ver of the prototypes as a batch moves them."""
        Us = []
        alone = any(seen is not None for seen in found[1])
        for v, attention in enumerate(self.network_.attentions):
            still = F.normalize(cast(Attention, attention).prototypes, dim=1)
            seen = [part[v] for part in found]
            paired, single = (still if part is None else part.u for part in seen)
            Us.append(mixed(paired, single, whole_share) if alone else paired)
        U_1 = Us[0][torch.from_numpy(self.prototypes_).to(Us[0].device)]
        return versatility(self.network_.project(U_1), self.network_.project(Us[1]))
