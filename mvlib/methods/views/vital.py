"""VITAL: variational contrastive learning of partly aligned views, rectified at the end.

Source: He et al., "Robust Variational Contrastive Learning for Partially View-unaligned
Clustering", ACM MM 2024. Each function follows the authors' code, `run.py` with the settings
of its data sets. No difference between paper and code is known to us in what is computed, so
that there is one reading. A file of settings overrides the share of aligned rows that is given
by option.

A variational auto-encoder a view learns from the aligned rows. Its reconstruction shall be
nearer to its input than to other rows, and the means of partners nearer to each other than to
other rows. In the last epochs a mixture of two Gaussians, of the losses of all pairs of a
batch, picks further pairs to count as partners.

Picture
-------
given : two views with features from 0 to 1, some rows known to be partners
learns : a variational auto-encoder a view
pulls : a reconstruction near its own row; means of partners together; late in training, pairs
    of small loss count as partners too
matches : each row of view 1 to the nearest row of view 2 that is free, unless all are partners
groups : k-means of both means side by side

Deviations
----------
A last batch of one row, which batch normalisation cannot take, joins the one before. Where all
pairs of a batch have one loss, only partners are kept; the authors divide zero by zero. Of
equally near rows the first is taken. The rows are matched and clustered once, after the last
epoch; theirs are after every epoch, which moves their random numbers on. The split is the
caller's. `keep_pairs` and `matching="hungarian"` are ours. The authors' later script for more
than two views, which their tables are not from, is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import nn

from mvlib.check import choice, flag, optional, real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import batches, seeded, train
from mvlib.methods.views.mvcln import MATCHINGS, matched_rows
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Compute how far a view's codes are from the standard normal distribution.

    L_KL = mean of 1/2 (mu^2 + exp(logvar) - logvar - 1)  (VITAL, as coded)

    The mean is over rows and columns; a sum over columns, as is usual, weighs that many times
    as much.
    """
    return (mean.square() + log_variance.exp() - log_variance - 1).mean() / 2


def intra_loss(rebuilt: torch.Tensor, X: torch.Tensor, temperature: float) -> torch.Tensor:
    """Compute the contrast of each rebuilt row with its input among the inputs of a batch.

    L_intra = -mean_i log softmax_j(cos(X'_i, X_j) / tau) at j = i  (VITAL, as coded)
    """
    return F.cross_entropy(cosines(rebuilt, X) / temperature, torch.arange(len(X)).to(X.device))


def inter_loss(logits: torch.Tensor, alpha: float) -> torch.Tensor:
    """Compute the contrast of partners, in one direction, in the first epochs.

    L_inter = -mean_i max(q_ii, 1e-7)^alpha log q_ii, q = softmax of rows  (VITAL, as coded)

    The gradient goes through the power as well.
    """
    log_q = F.log_softmax(logits, dim=1).diagonal()
    return -(log_q.exp().clamp_min(1e-7) ** alpha * log_q).mean()


def rectified_loss(logits: torch.Tensor, alpha: float, random_state: int) -> torch.Tensor:
    """Compute the contrast of all pairs that are kept, in one direction, in the last epochs.

    L_inter = -mean over kept ij of q_ij^alpha_ij log q_ij  (VITAL, as coded)
    """
    log_q = F.log_softmax(logits, dim=1)
    chosen = kept_pairs(-log_q.detach().cpu().numpy().astype(float), alpha, random_state)
    keep, powers = (torch.from_numpy(part).to(logits.device) for part in chosen)
    kept = log_q[keep]
    return -((powers.to(kept.dtype) * kept).exp() * kept).mean()


def kept_pairs(
    losses: np.ndarray, alpha: float, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the pairs of a batch that count as partners, and the power of each.

    keep = clean and 0 < l <= quantile_delta(l of clean), or i = j  (VITAL, as coded)
    alpha_ij = alpha (r - min r) / (max r - min r), r = p(clean | l) of kept  (VITAL, as coded)

    The losses l are brought to [0, 1]. Clean are pairs that the component of the lower mean of
    a mixture of two Gaussians claims; delta, at most 1, is how far its two means lie apart.

    Returns
    -------
    keep : ndarray of shape (n, n), bool
    powers : ndarray of shape (n_kept,)
        Row by row. All alpha where r is the same everywhere.
    """
    keep = np.eye(len(losses), dtype=bool)
    spread = np.ptp(losses)
    if spread == 0:
        return keep, np.full(len(losses), alpha)
    scaled = (losses - losses.min()) / spread
    settings = {"max_iter": 10, "tol": 1e-2, "reg_covar": 5e-4, "random_state": random_state}
    with warnings.catch_warnings():
        # Ten rounds are the authors' choice, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(2, **settings).fit(scaled.reshape(-1, 1))
    low = mixture.means_.ravel().argmin()
    posterior = mixture.predict_proba(scaled.reshape(-1, 1))[:, low].reshape(scaled.shape)
    clean = posterior > 0.5
    if clean.any():
        delta = min(np.ptp(mixture.means_), 1.0)
        keep |= clean & (scaled > 0) & (scaled <= np.quantile(scaled[clean], delta))
    r = posterior[keep]
    even = np.ptp(r) == 0
    return keep, np.full(len(r), alpha) if even else alpha * (r - r.min()) / np.ptp(r)


def total(losses: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return the sum of losses."""
    return torch.stack(list(losses)).sum()


def cosines(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return the cosines of all rows of one matrix with all rows of another."""
    return F.normalize(A, dim=1) @ F.normalize(B, dim=1).T


def view_features(mean: torch.Tensor, log_variance: torch.Tensor, unit: bool) -> torch.Tensor:
    """Return what of a view is clustered.

    f = mu / |mu| + sigma / |sigma|, sigma = exp(logvar / 2)  (VITAL, as coded)

    Without `unit` both are as they are.
    """
    deviation = (log_variance / 2).exp()
    return F.normalize(mean) + F.normalize(deviation) if unit else mean + deviation


class AutoEncoder(nn.Module):
    """The variational auto-encoder of a view whose values lie from 0 to 1."""

    def __init__(
        self, n_features: int, hidden_dims: Sequence[int], embedding_dim: int, dropout: float
    ):
        super().__init__()
        encode: list[nn.Module] = []
        width = n_features
        for wide in hidden_dims:
            encode += [nn.Linear(width, wide), nn.BatchNorm1d(wide), nn.ReLU()]
            encode.append(nn.Dropout(dropout))
            width = wide
        self.encode = nn.Sequential(*encode, nn.Linear(width, 2 * embedding_dim))
        decode: list[nn.Module] = []
        width = embedding_dim
        for wide in hidden_dims:
            decode += [nn.Linear(width, wide), nn.ReLU()]
            width = wide
        self.decode = nn.Sequential(*decode, nn.Linear(width, n_features), nn.Sigmoid())

    def codes(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the means and the logarithms of the variances of the codes."""
        mean, log_variance = self.encode(X).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return both, and the input rebuilt from one code a row, drawn at random."""
        mean, log_variance = self.codes(X)
        drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return mean, log_variance, self.decode(drawn)


@dataclass(eq=False, repr=False, kw_only=True)
class VITAL(TwoViewNetworks):
    """Variational contrastive learning for partially view-aligned clustering.

    Two views of the same things, of which only some rows are known to be partners. Their
    auto-encoders learn from the aligned rows alone. Then every row of view 1 is matched to a
    row of view 2, unless all are aligned, and k-means clusters the sum of mean and deviation of
    both. Rows are named after view 1. New rows are taken as matched. Each feature should lie
    from 0 to 1: `mvlib.data.ViewScaler("column")` does what the authors do.

    Parameters
    ----------
    embedding_dim : int, default=128
        Width of the codes' means.
    hidden_dims : sequence of int, default=(1024, 1024, 1024)
        Widths of the hidden layers of encoders and decoders.
    dropout : float, default=0.2
        After each hidden layer of the encoders. The authors take 0.5 for Deep Animal, NUS-WIDE,
        Wiki and NoisyMNIST.
    epochs : int, default=100
        Passes over the aligned rows, after one without update.
    rectification_epochs : int, default=10
        Passes after these, in which further pairs count as partners. Each batch fits two
        mixtures to the losses of all its pairs, which is slow in large batches.
    batch_size : int, default=1024
        Aligned rows in a batch. The authors take 256 for MNIST-USPS and 512 for Scene-15.
    learning_rate, rectification_learning_rate : float, default=2e-3 and 1e-4
        Of Adam, which goes on through both stages.
    alpha : float, default=0.1
        The highest power of the contrast between views.
    unit_features : bool, default=True
        Whether means and deviations are brought to unit length to match and to cluster. False
        for NoisyMNIST.
    matching : {"greedy", "hungarian"}, default="greedy"
        As in `MvCLN`.
    match_batch_size : int, optional
        Among how many random rows a row looks for its match; by default `batch_size`.
    keep_pairs : bool, default=False
        Whether aligned rows keep their partner.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        What was clustered.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 that each row of view 1 was matched to.
    history_ : dict of str to ndarray
        A value an epoch: `loss` and its parts `intra`, `inter` and `divergence`, means over
        batches by their rows; `rectified`, whether further pairs counted.
    network_ : ModuleList
        The two auto-encoders, in evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where two views have aligned rows and features from 0 to 1. *Cost*: an epoch has
    n_aligned / batch_size steps; in those of the rectification each fits two mixtures to
    batch_size squared losses. *Beside it*: `KMeansView`, `KMeansConcatenation`,
    `SpectralConcatenation` and `AutoencoderHungarian`.

    The authors report the last epoch, a mean over five splits.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> scaled = data.ViewScaler("column").fit_transform(digits.Xs)
    >>> problem = data.misalign(scaled, digits.y, ratio=0.5, protocol="mvcln")
    >>> model = methods.load("vital")(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)  # doctest: +SKIP
    """

    embedding_dim: int = 128
    hidden_dims: Sequence[int] = (1024, 1024, 1024)
    dropout: float = 0.2
    epochs: int = 100
    rectification_epochs: int = 10
    batch_size: int = 1024
    learning_rate: float = 2e-3
    rectification_learning_rate: float = 1e-4
    temperature: float = 0.4
    alpha: float = 0.1
    unit_features: bool = True
    matching: str = "greedy"
    match_batch_size: int | None = None
    keep_pairs: bool = False

    _bounds = {
        **dict.fromkeys(("unit_features", "keep_pairs"), flag),
        "rectification_learning_rate": real(0, open_low=True),
        "rectification_epochs": whole(0),
        "alpha": real(0),
        "matching": choice(MATCHINGS),
        "match_batch_size": optional(whole()),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        if aligned.sum() < 2:
            raise ValueError(
                f"aligned has {aligned.sum()} True: expected at least 2, since each is "
                "contrasted with the others"
            )
        device = resolve_device(self.device)
        tensors = on_device(views, device)
        with seeded(seed, device) as generator:
            self._train([X[torch.from_numpy(aligned)] for X in tensors], generator)
        self.network_.eval()
        codes = self._codes(tensors)
        self.matching_ = np.arange(len(aligned))
        if not aligned.all():
            H_1, H_2 = (F.normalize(mu) if self.unit_features else mu for mu, _ in codes)
            size = self.match_batch_size or self.batch_size
            ways = self.matching, size, self.keep_pairs
            self.matching_ = matched_rows(H_1, H_2, aligned, generator, *ways)
        first, second = (view_features(*code, self.unit_features) for code in codes)
        self.embedding_ = torch.cat([first, second[self.matching_]], dim=1).cpu().numpy()
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _network(self) -> Any:
        settings = self.hidden_dims, self.embedding_dim, self.dropout
        return nn.ModuleList(AutoEncoder(width, *settings) for width in self.n_features_in_)

    @torch.no_grad()
    def _codes(
        self, tensors: Sequence[torch.Tensor]
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        codes = []
        for model, X in zip(self.network_, tensors, strict=True):
            means, log_variances = zip(*(model.codes(b) for b in X.split(8192)), strict=True)
            codes.append((torch.cat(means), torch.cat(log_variances)))
        return codes

    def _encoded(self, Xs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return [view_features(*code, self.unit_features) for code in self._codes(Xs)]

    def _train(self, Xs: Sequence[torch.Tensor], generator: torch.Generator) -> None:
        network = self._network().to(Xs[0].device)
        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        n, rectified = len(Xs[0]), False

        def drawn() -> list[torch.Tensor | slice]:
            return batches(n, self.batch_size, generator)

        def step(batch: torch.Tensor | slice) -> dict[str, torch.Tensor]:
            inputs = [X[batch] for X in Xs]
            outputs = [model(X) for model, X in zip(network, inputs, strict=True)]
            logits = cosines(outputs[0][0], outputs[1][0]) / self.temperature
            parts = {
                "intra": total(
                    intra_loss(new, X, self.temperature)
                    for (_, _, new), X in zip(outputs, inputs, strict=True)
                ),
                "inter": total(
                    self._inter(side, rectified, generator) for side in (logits, logits.T)
                ),
                "divergence": total(divergence(mean, log_var) for mean, log_var, _ in outputs),
            }
            # L = sum_v L_intra + L_inter + sum_v L_KL  (VITAL, as coded)
            return {"loss": total(parts.values()), **parts}

        def after_epoch(epoch: int, means: dict[str, float]) -> dict[str, Any]:
            nonlocal rectified
            recorded = {"rectified": rectified}
            if epoch + 1 == self.epochs:
                rectified = True
                optimizer.param_groups[0]["lr"] = self.rectification_learning_rate
            return recorded

        # A pass without update, in training mode: batch normalisation sees it.
        with torch.no_grad():
            for batch in drawn():
                for model, X in zip(network, Xs, strict=True):
                    model(X[batch])
        more: dict[str, Any] = {
            "parts": ("intra", "inter", "divergence"),
            "after_epoch": after_epoch,
        }
        more["epochs"] = self.epochs + self.rectification_epochs
        more["share"] = lambda batch: len(Xs[0][batch])
        self.history_ = train(self, drawn, step, network, optimizer, **more)
        self.network_ = network

    def _inter(
        self, logits: torch.Tensor, rectified: bool, generator: torch.Generator
    ) -> torch.Tensor:
        if not rectified:
            return inter_loss(logits, self.alpha)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return rectified_loss(logits, self.alpha, seed)
