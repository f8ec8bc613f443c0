"""CANDY: contrastive learning whose targets are affinities that a spectral filter has cleaned.

Source: Guo et al., "Robust Contrastive Multi-view Clustering against Dual Noisy
Correspondence", NeurIPS 2024. Each function follows the authors' code. Encoders, heads and the
loop are those of `mvlib/methods/views/momentum_twins.py`.

Picture
-------
given : two views, rows paired, rightly or not
learns : an encoder a view, its slow twin, a head to the other view's code
pulls : each row to those with a like context, by affinities that a spectral filter has cleaned
matches : each row of view 1 to the nearest predicted code of view 2 in a random batch
groups : k-means of the twins' codes side by side

Deviations
----------
Those of `mvlib/methods/views/momentum_twins.py`. A target whose row would sum to less than 1e-7
is divided by 1e-7, as in the authors' code, and again by its own sum in the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from mvlib.check import real
from mvlib.methods.views.momentum_twins import (
    Codes,
    MomentumTwins,
    gaussian_affinity,
    soft_info_nce,
    twin_losses,
)

WIDTH = 0.07
FLOOR = 1e-7
SELF_WEIGHT = 0.2


def _by_row_sum(A: torch.Tensor) -> torch.Tensor:
    return A / A.sum(dim=1, keepdim=True).clamp_min(FLOOR)


def intra_context(z_bar: torch.Tensor) -> torch.Tensor:
    """Return how each row of a view sees the others, rows summing to one.

    W_v = G_ij/sum_j G_ij, G of zbar_v with itself, G_ii = 1  (CANDY, as coded)

    G is `gaussian_affinity` with t = 0.07.
    """
    return _by_row_sum(gaussian_affinity(z_bar, z_bar, WIDTH).fill_diagonal_(1))


def inter_context(p: torch.Tensor, z_bar: torch.Tensor) -> torch.Tensor:
    """Return how each row of view v, by its prediction, sees those of view u.

    W_vu = G_ij/sum_j G_ij, G of p_v with zbar_u, G_ii <- G_ii/max_k G_kk  (CANDY, as coded)

    Only the diagonal is rescaled, so that the surest partner counts as one.
    """
    G = gaussian_affinity(p, z_bar, WIDTH)
    own = G.diagonal()
    return _by_row_sum(G.diagonal_scatter(own / own.max().clamp_min(FLOOR)))


def intra_target(W_v: torch.Tensor) -> torch.Tensor:
    """Return which rows of a view are to be alike: those that see the same rows.

    T_vv = W_v W_v^T, rows divided by their sum  (CANDY, as coded)
    """
    return _by_row_sum(W_v @ W_v.T)


def inter_target(
    W_vu: torch.Tensor, W_u: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which rows of two views are to be alike, and what share of the spectrum went.

    A_vu = W_vu W_u^T + 0.2 I  (CANDY, as coded)
    T_vu = U S' V^T, rows divided by their sum, A_vu = U S V^T  (CANDY, as coded)

    S' is S with the singular values below `threshold` set to 0. A sum below 1e-7 counts as
    that. Entries may be negative.
    """
    eye = torch.eye(len(W_u), device=W_u.device, dtype=torch.float64)
    A = (W_vu @ W_u.T).double() + SELF_WEIGHT * eye
    # U S' V^T = A V' V'^T, V' the vectors that stay: quicker, and unlike torch's decomposition
    # of A in float32 it does not fail where many singular values are equal.
    squares, V = torch.linalg.eigh(A.T @ A)
    noise = squares.clamp_min(0).sqrt() < threshold
    kept = V * ~noise
    return _by_row_sum(A @ (kept @ kept.T)).to(W_u.dtype), noise.to(W_u.dtype).mean()


@torch.no_grad()
def targets(codes: Codes, threshold: float) -> tuple[list[list[torch.Tensor]], torch.Tensor]:
    """Return T_vu for queries of view v and keys of view u, and the mean share that went."""
    W = [intra_context(z_bar) for z_bar in codes.z_bar]
    across, shares = zip(
        *(
            inter_target(inter_context(codes.p[v], codes.z_bar[1 - v]), W[1 - v], threshold)
            for v in (0, 1)
        ),
        strict=True,
    )
    inside = [intra_target(W_v) for W_v in W]
    return [[inside[0], across[0]], [across[1], inside[1]]], torch.stack(shares).mean()


@dataclass(eq=False, repr=False, kw_only=True)
class CANDY(MomentumTwins):
    """Contrastive clustering of two views against wrong partners and false negatives.

    Two views whose rows are partners, many of them wrongly; which ones is not known. The
    encoders learn from all rows as they come. Then each row of view 1 takes from a random batch
    the row of view 2 that its view predicts best, wrong or not, and k-means clusters
    [zbar_1, zbar_2 matched]. Use it where partners are wrong. Where they are right, matching
    costs accuracy: `rematch="none"` leaves it out. Look at k-means of view 1 first, which no
    wrong partner harms. It takes no sample that lacks a view. The defaults are the authors'
    settings for Scene-15.

    Parameters
    ----------
    batch_size : int, default=1024
        Rows in a batch; all, if there are fewer. The rows that fill no batch are left out of an
        epoch. A step takes two decompositions of a matrix of this size.
    threshold : float, default=0.2
        Singular values below it are noise. With 0 nothing is filtered.

    Attributes
    ----------
    history_ : dict of str to ndarray
        A value an epoch, the mean over batches: `loss`, `intra`, `inter`, and `removed`: what
        share of the singular values was set to 0.

    Notes
    -----
    *Use it* where rows have partners, many of them wrong. The scale or an offset of a column
    changes nothing. *Cost*: n // batch_size steps an epoch, by default 200 in all for 2,000
    rows, each of batch_size cubed. *Beside it*: `KMeansView`, `KMeansConcatenation`,
    `SpectralConcatenation`.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> problem = data.mismatch(digits.Xs, digits.y, rate=0.5)
    >>> model = methods.CANDY(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs)  # doctest: +SKIP
    """

    threshold: float = 0.2

    _bounds = {"threshold": real(0)}
    _parts = ("intra", "inter", "removed")

    def _losses(
        self, codes: Codes, epoch: int, batch: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        if epoch < self.identity_epochs:
            T = [[torch.eye(len(batch), device=batch.device)] * 2] * 2
            removed = torch.zeros((), device=batch.device)
        else:
            T, removed = targets(codes, self.threshold)
        loss = partial(soft_info_nce, temperature=self.temperature)
        return twin_losses(codes, T, loss) | {"removed": removed}
