"""CorreGen: contrastive learning whose targets are transport plans with a place for noise.

Source: Zhou et al., "Uncover Underlying Correspondence for Robust Multi-view Clustering", ICLR
2026. Each function follows the authors' code. Encoders, heads and the loop are those of
`mvlib/methods/views/momentum_twins.py`.

Of the paper we know by others that equation 14 has the squared Mahalanobis distance, where the
code has its root: `reading="paper"` and "code". They also tell of a rate of 0.002 and a warm-up
of 50 epochs for all data, where the code has 0.001 and 20 for Scene-15; which warm-up is meant
is not known. Whoever wants these sets `learning_rate=1e-3` and the epochs.

Picture
-------
given : two views, rows paired, rightly or not
learns : an encoder a view, its slow twin, a head to the other view's code
pulls : each row to those to which a transport plan sends it, with a place for noise
matches : each row of view 1 to the nearest predicted code of view 2 in a random batch
groups : cosine k-means of the twins' codes side by side

Deviations
----------
Those of `mvlib/methods/views/momentum_twins.py`, but for k-means: the authors' own draws each
centre as the best of a few candidates and keeps the best of all its rounds; here it is the
cosine k-means of `mvlib.ops`, which draws one and keeps the last round of each start. Both draw
in proportion to 1 - cos and make ten starts. The mixture sees the rows in their order, the
authors' in that of a random pass, on which its start depends. The authors' code tests in vain
for a plan that is not finite; here the loss is tested.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from mvlib.check import choice, real, whole
from mvlib.methods.base import KMEANS_STARTS
from mvlib.methods.views.momentum_twins import Codes, MomentumTwins, cosines, twin_losses
from mvlib.ops.kmeans import cosine_kmeans

READINGS = ("code", "paper")
REGULARIZATION = 0.03
ROUNDS = 50
TOLERANCE = 1e-6
SELF_WEIGHT = 0.5
KEPT = 0.97


def likelihood_loss(
    q: torch.Tensor, k: torch.Tensor, Q: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Compare queries q with keys k of B rows; Q says which are to be alike.

    l(q, k, Q) = -1/B^2 sum_ij Q_ij log(B softmax_ij(cos(q_i, k_j)/tau))  (CorreGen, as coded)

    The softmax is over all cells, and not over each row as in InfoNCE.
    """
    logits = cosines(q, k) / temperature
    return -(Q * (logits - logits.logsumexp(dim=(0, 1)) + np.log(len(q)))).mean()


def sinkhorn_plan(C: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the entropic plan of marginals a and b after few rounds: its columns are exact.

    u_i = u_i + lambda (ln a_i - ln sum_j exp((u_i + v_j - C_ij)/lambda))  (CorreGen, as coded)

    Then v likewise. Both begin at -ln of their length; at most 50 rounds, fewer once u moves by
    less than 1e-6. `mvlib.ops` iterates until the marginals hold, which the method does not.
    """
    u, v = (torch.full_like(marginal, -np.log(len(marginal))) for marginal in (a, b))
    log_a, log_b = a.log(), b.log()
    for _ in range(ROUNDS):
        before = u
        exponents = (u[:, None] + v - C) / REGULARIZATION
        u = u + REGULARIZATION * (log_a - exponents.logsumexp(dim=1))
        exponents = (u[:, None] + v - C) / REGULARIZATION
        v = v + REGULARIZATION * (log_b - exponents.logsumexp(dim=0))
        if (u - before).norm() < TOLERANCE:
            break
    return ((u[:, None] + v - C) / REGULARIZATION).exp()


def intra_target(z: torch.Tensor, z_bar: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Return which rows of a view are to be alike; w are their marginals, one in all.

    Q_vv = 1/2 I + 1/2 diag(1/w_v) P, C = 1 - cos(z_v, zbar_v)  (CorreGen, as coded)
    """
    P = sinkhorn_plan(1 - cosines(z, z_bar), w, w) / w[:, None]
    return SELF_WEIGHT * torch.eye(len(w), device=w.device) + (1 - SELF_WEIGHT) * P


def inter_target(
    p: torch.Tensor, z_bar: torch.Tensor, w_v: torch.Tensor, w_u: torch.Tensor, noise: float
) -> torch.Tensor:
    """Return which rows of two views are to be alike; a virtual row takes the mass of noise.

    Q_vu = diag(1/w_v) P/(1 - rho), C = 1 - cos(p_v, zbar_u)  (CorreGen, as coded)

    A row and a column of cost 0 and mass rho stand beside the others while the plan is made, at
    a corner so dear that nothing goes there. With rho = 0 there is none.
    """
    C = 1 - cosines(p, z_bar)
    if noise == 0:
        return sinkhorn_plan(C, w_v, w_u) / w_v[:, None]
    corner = 201 * C.max()
    C = F.pad(C, (0, 1, 0, 1))
    C[-1, -1] = corner
    a, b = (F.pad(w, (0, 1), value=noise) for w in (w_v, w_u))
    return sinkhorn_plan(C, a, b)[:-1, :-1] / (1 - noise) / w_v[:, None]


def densities(Z: np.ndarray, n_clusters: int, reading: str) -> np.ndarray:
    """Return how near rows are to the middle of their component of a mixture, and its size.

    w_i = (10^exp(-0.1 d_i) - 1)/9 n_k/n  (CorreGen, as coded)

    d_i is the Mahalanobis distance, squared in the paper. The mixture is Gaussian with diagonal
    covariances.
    """
    mixture = GaussianMixture(
        n_clusters, covariance_type="diag", init_params="k-means++", reg_covar=1e-3,
        max_iter=50, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        own = mixture.fit_predict(Z)
    d = ((Z - mixture.means_[own]) ** 2 / mixture.covariances_[own]).sum(axis=1)
    if reading == "code":
        d = np.sqrt(d)
    sizes = np.bincount(own, minlength=n_clusters)
    return (10 ** np.exp(-0.1 * d) - 1) / 9 * sizes[own] / len(Z)


@dataclass(eq=False, repr=False, kw_only=True)
class CorreGen(MomentumTwins):
    """Clustering of two views whose correspondence is generated, against wrong partners.

    Two views whose rows are partners, many of them wrongly or of corrupted data; which ones is
    not known. The targets of a batch are entropic transport plans, in which a virtual row takes
    what has no partner; rows in dense parts of the space count more. Then each row of view 1
    takes from a random batch the row of view 2 that its view predicts best, and cosine k-means
    clusters [zbar_1, zbar_2 matched]. Use it where partners are wrong. Where they are right,
    matching costs accuracy: `rematch="none"` leaves it out. Look at k-means of view 1 first,
    which no wrong partner harms. It takes no sample that lacks a view. The defaults are the
    authors' settings for Scene-15, whose 59 columns they take as view 1.

    Parameters
    ----------
    batch_size : int, default=512
        Rows in a batch; all, if there are fewer. A last batch of less than half as many is left
        out of an epoch.
    noise : float, default=0.2
        rho: mass of the virtual row, from 0 to less than 1, where all others have one together.
    marginal_epoch : int, default=100
        From the end of this epoch on rows count by their density; those of the first time are
        all set to their mean, so that rows differ two epochs later.
    reading : {"code", "paper"}, default="code"
        Whether the distance of rows to their component has its root taken, or not.

    Attributes
    ----------
    marginals_ : ndarray of shape (2, n_samples), float32
        How much the rows of both views count after the last epoch, before they are brought to
        one in all in a batch.

    Notes
    -----
    *Use it* where rows have partners, many of them wrong or of corrupted data. The scale or an
    offset of a column changes nothing. *Cost*: n / batch_size steps an epoch, by default 800 in
    all for 2,000 rows, each of batch_size squared. *Beside it*: `KMeansView`,
    `KMeansConcatenation`, `SpectralConcatenation`.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> problem = data.mismatch(digits.Xs, digits.y, rate=0.5)
    >>> model = methods.CorreGen(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs)  # doctest: +SKIP
    """

    batch_size: int = 512
    noise: float = 0.2
    marginal_epoch: int = 100
    reading: str = "code"
    match_batch_size: int = 512

    _labels_from = "directions"
    _drop_last = False
    _bounds = {"noise": real(0, 0.99), "marginal_epoch": whole(0), "reading": choice(READINGS)}

    def _fit(self, views: list[np.ndarray], aligned: np.ndarray, y: Any, seed: int) -> None:  # type: ignore[override]
        self.marginals_ = np.ones((2, len(aligned)), np.float32)
        super()._fit(views, aligned, y, seed)

    def _losses(
        self, codes: Codes, epoch: int, batch: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        if epoch < self.identity_epochs:
            Q = [[torch.eye(len(batch), device=batch.device)] * 2] * 2
        else:
            Q = self._targets(codes, batch)
        return twin_losses(codes, Q, partial(likelihood_loss, temperature=self.temperature))

    @torch.no_grad()
    def _targets(self, codes: Codes, batch: torch.Tensor) -> list[list[torch.Tensor]]:
        w = torch.from_numpy(self.marginals_[:, batch.cpu()]).to(batch.device)
        w = w / w.sum(dim=1, keepdim=True)
        z, z_bar, p = codes
        Q: list[list[Any]] = [[None, None], [None, None]]
        for v, u in ((0, 1), (1, 0)):
            Q[v][v] = intra_target(z[v], z_bar[v], w[v])
            Q[v][u] = inter_target(p[v], z_bar[u], w[v], w[u], self.noise)
        return Q

    def _after_epoch(self, epoch: int, Xs: Sequence[torch.Tensor]) -> dict[str, Any]:
        if epoch < self.marginal_epoch:
            return {}
        self.network_.eval()
        for v, X in enumerate(Xs):
            P = self.network_.predict(self.network_.code(X, v), v)
            found = densities(
                F.normalize(P, dim=1).cpu().numpy(), self.n_clusters, self.reading
            )
            if epoch == self.marginal_epoch:
                self.marginals_[v] = found.mean()
            else:
                self.marginals_[v] = KEPT * self.marginals_[v] + (1 - KEPT) * found
        return {}

    def _clusters(self, embedding: np.ndarray, seed: int) -> np.ndarray:
        return cosine_kmeans(
            embedding, self.n_clusters, n_init=KMEANS_STARTS, random_state=seed
        ).labels
