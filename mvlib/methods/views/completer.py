"""COMPLETER and DCP: contrast and dual prediction for samples that lack views.

Source: Lin et al., "COMPLETER: Incomplete Multi-view Clustering via Contrastive Prediction",
CVPR 2021, and Lin et al., "Dual Contrastive Prediction for Incomplete Multi-view Representation
Learning", TPAMI 2023. Each function follows the authors' code. DCP is COMPLETER for two views,
but for the last batch of an epoch, and goes beyond two.

An auto-encoder a view gives codes that sum to one, as if they were probabilities of clusters.
The codes of two views share as much information as they can, by the joint distribution of a
batch; a predictor for each direction learns the code of one view from that of the other. It
gives the code of a view that a sample lacks.

Picture
-------
given : two views or, with DCP, more, rows paired rightly; a sample may lack one
learns : an auto-encoder a view, whose codes sum to one, and a predictor from each code to
    another
pulls : each view rebuilt; codes that share much information; codes that the other view predicts
matches : nothing; a missing code is predicted from the other
groups : k-means of the codes side by side

Deviations
----------
A last batch of one row, which stops the authors' COMPLETER, joins the one before.
DCP leaves the last batch out whether it is full or not, and trains on nothing where all samples
fit into one; here that is an error. Samples are clustered once, after the last epoch; theirs
are now and then in training, which moves their random numbers on. The division of DCP's
reconstruction by the number of views less two is left out where there are two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import choice, real, whole
from mvlib.methods.base import Mask, Views, kmeans_labels
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import batches, seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

EPSILON = float(np.finfo(np.float64).eps)
PREDICTOR_DIMS = (128, 256, 128, 256, 128)
# Of any pair of views but the first two, in DCP.
OTHER_PAIRS = 0.1
PAIRS = ("core", "all")


def joint_distribution(Z_1: torch.Tensor, Z_2: torch.Tensor) -> torch.Tensor:
    """Return how often rows of two views are of components i and j, made symmetric.

    P = (Z_1^T Z_2 + Z_2^T Z_1)/2, divided by its sum  (COMPLETER, as coded)
    """
    P = Z_1.T @ Z_2
    P = (P + P.T) / 2
    return P / P.sum()


def contrastive_loss(Z_1: torch.Tensor, Z_2: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the information that two views do not share, and how uneven components are.

    L_cl = -sum_ij P_ij (ln P_ij - (alpha + 1) (ln P_i + ln P_j))  (COMPLETER, as coded)

    P_i and P_j are the marginals of P; all are held at 2.2e-16 at least, where no gradient is.
    """
    P = joint_distribution(Z_1, Z_2)
    P_i, P_j = P.sum(dim=1, keepdim=True), P.sum(dim=0, keepdim=True)
    P, P_i, P_j = (torch.where(A < EPSILON, EPSILON, A) for A in (P, P_i, P_j))
    return -(P * (P.log() - (alpha + 1) * (P_i.log() + P_j.log()))).sum()


def pair_weight(pair: tuple[int, int]) -> float:
    """Return how much the contrast of two views counts, in DCP of more views than two.

    beta_vu = 1 of views 1 and 2, 0.1 of any other pair  (DCP, as coded)
    """
    return 1.0 if pair == (0, 1) else OTHER_PAIRS


def total_loss(
    contrasts: Mapping[tuple[int, int], torch.Tensor],
    reconstructions: Sequence[torch.Tensor],
    predictions: Sequence[torch.Tensor],
    divisor: int,
    weights: tuple[float, float, float],
) -> dict[str, torch.Tensor]:
    """Return the total loss and its parts from those of pairs, of views, of directions.

    L_con = 1/D sum_vu beta_vu L_cl(Z_v, Z_u)  (DCP, as coded)
    L_rec = 1/max(V - 2, 1) sum_v MSE(X_v, decoded Z_v)  (DCP, as coded)
    L_pre = 1/D sum_vu MSE(G_vu(Z_v), Z_u) + MSE(G_uv(Z_u), Z_v)  (DCP, as coded)
    L = w_1 L_con + w_2 L_rec + w_3 L_pre  (DCP, as coded)

    With two views D = 1, and this is COMPLETER's loss. `weights` has w_3 = 0 at first.
    """
    weighed = [pair_weight(pair) * contrast for pair, contrast in contrasts.items()]
    con = torch.stack(weighed).sum() / divisor
    rec = torch.stack(list(reconstructions)).sum() / max(len(reconstructions) - 2, 1)
    pre = torch.stack(list(predictions)).sum() / divisor
    w_1, w_2, w_3 = weights
    loss = w_1 * con + w_2 * rec
    # A weight of 0 would still give Adam zeros to average.
    loss = loss + w_3 * pre if w_3 else loss
    return {"loss": loss, "contrast": con, "reconstruction": rec, "prediction": pre}


def _layers(widths: Sequence[int], end: bool) -> nn.Sequential:
    """Return linear layers, each with batch normalisation and ReLU; at the `end` softmax."""
    layers: list[nn.Module] = []
    for width_in, width_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(width_in, width_out), nn.BatchNorm1d(width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-2], nn.Softmax(dim=1)) if end else nn.Sequential(*layers)


class DualPrediction(nn.Module):
    """An auto-encoder a view, and a predictor for each direction of each pair of views.

    What is decoded is normalised by batch and not negative.
    """

    def __init__(
        self,
        n_features: Sequence[int],
        hidden_dims: Sequence[int],
        embedding_dim: int,
        pairs: Sequence[tuple[int, int]],
    ):
        super().__init__()
        shapes = [(width, *hidden_dims, embedding_dim) for width in n_features]
        self.encoders = nn.ModuleList(_layers(widths, True) for widths in shapes)
        self.decoders = nn.ModuleList(_layers(widths[::-1], False) for widths in shapes)
        widths = (embedding_dim, *PREDICTOR_DIMS, embedding_dim)
        self.predictors = nn.ModuleDict(
            {f"{a} {b}": _layers(widths, True) for v, u in pairs for a, b in ((v, u), (u, v))}
        )

    def encode(self, Xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [encode(X) for encode, X in zip(self.encoders, Xs, strict=True)]

    def predict(self, Z: torch.Tensor, source: int, target: int) -> torch.Tensor:
        """Return the codes of one view as those of another tell them."""
        return self.predictors[f"{source} {target}"](Z)


@torch.no_grad()
def recovered(
    network: DualPrediction, Zs: Sequence[torch.Tensor], there: torch.Tensor, core: bool
) -> list[torch.Tensor]:
    """Return the codes of all views; what a sample lacks is predicted from what it has.

    Of several predictions the mean. With a `core`, view 1 is recovered from the others first,
    and they then from it; else each from the codes that are there.
    """
    filled = list(Zs)

    def fill(v: int, sources: Sequence[int], known: torch.Tensor) -> None:
        guesses = torch.stack([network.predict(filled[u], u, v) for u in sources])
        shares = known[:, sources].T[:, :, None].to(guesses.dtype)
        # Rows that no source has are not looked at.
        mean = (guesses * shares).sum(dim=0) / shares.sum(dim=0).clamp_min(1)
        found.append(torch.where(there[:, v, None], Zs[v], mean))

    found: list[torch.Tensor] = []
    others = range(1, len(Zs))
    if not core:
        for v in range(len(Zs)):
            fill(v, [u for u in range(len(Zs)) if u != v], there)
        return found
    fill(0, others, there)
    filled[0] = found[0]
    for v in others:
        fill(v, [0], torch.ones_like(there))
    return found


@dataclass(eq=False, repr=False, kw_only=True)
class COMPLETER(TwoViewNetworks):
    """Contrastive prediction for clustering of two views, of which samples may lack one.

    Rows must be partners, and `aligned` is not read; pass `present` to say what is there. The
    networks learn from the samples that have both views; a code that is missing is predicted
    from the other view's, and k-means clusters [z_1, z_2]. Not made for wrong partners, nor
    where few samples are whole.
    Features should not be negative and of one order of size: the decoder ends in ReLU, and what
    is rebuilt counts as it is. `data.min_max_scale` gives such. The defaults are the authors'
    settings for Scene-15, which they do not scale.

    Parameters
    ----------
    epochs : int, default=500
        Passes over the samples that have all views.
    batch_size : int, default=256
        Rows in a batch; the last one of an epoch is shorter.
    alpha : float, default=9.0
        How much even components count.
    contrast_weight, reconstruction_weight, prediction_weight : float, default=1.0, 0.1, 0.1
        w_1, w_2 and w_3 of `total_loss`.
    prediction_epoch : int, default=100
        From this epoch on, counted from 0, predictions count.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_views * embedding_dim), float32
        The codes of all views, as clustered.
    history_ : dict of str to ndarray
        A value an epoch, the mean over batches: `loss`, `contrast`, `reconstruction`,
        `prediction`; the last also where it does not count yet.

    Notes
    -----
    *Use it* where rows are partners, of which some lack a view and most do not. *Cost*: n /
    batch_size steps an epoch, of the n samples that have both views, by default 4,000 in all
    for 2,000. *Beside it*: `DIVIDE`; `KMeansView`, `KMeansConcatenation` and
    `SpectralConcatenation`.

    HSACC (NeurIPS 2025) with two views is `DCP(contrast_weight=10)`, as its code computes it:
    its dynamic weights are always a half, and the term that it adds is a thousandth of the
    contrast. What else differs is its mask, in which fewer samples lack a view, and that it
    reports the epoch of best accuracy on the labels.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> Xs = data.min_max_scale(digits.Xs)
    >>> problem = data.hide_views(Xs, digits.y, rate=0.5, protocol="completer")
    >>> model = methods.COMPLETER(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, present=problem.present)  # doctest: +SKIP
    """

    embedding_dim: int = 128
    hidden_dims: Sequence[int] = (1024, 1024, 1024)
    epochs: int = 500
    batch_size: int = 256
    learning_rate: float = 1e-4
    alpha: float = 9.0
    contrast_weight: float = 1.0
    reconstruction_weight: float = 0.1
    prediction_weight: float = 0.1
    prediction_epoch: int = 100

    _takes_missing = True
    _bounds = {
        "prediction_epoch": whole(0),
        **dict.fromkeys(
            ("alpha", "contrast_weight", "reconstruction_weight", "prediction_weight"), real(0)
        ),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask) -> None:
        rows = torch.from_numpy(np.flatnonzero(present.all(axis=1)))
        self._check_rows(len(rows))
        device = resolve_device(self.device)
        Xs = on_device(views, device)
        with seeded(seed, device) as generator:
            self._train([X[rows] for X in Xs], generator)
        self.network_.eval()
        there = torch.from_numpy(present).to(device)
        self.embedding_ = torch.cat(self._codes(Xs, there), dim=1).cpu().numpy()
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    @torch.no_grad()
    def _codes(self, Xs: Sequence[torch.Tensor], there: torch.Tensor) -> list[torch.Tensor]:
        parts = []
        for block in torch.arange(len(there), device=there.device).split(8192):
            Zs = self.network_.encode([X[block] for X in Xs])
            parts.append(recovered(self.network_, Zs, there[block], self._core()))
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    def _encoded(self, Xs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        there = torch.ones(len(Xs[0]), len(Xs), dtype=torch.bool)
        return self._codes(Xs, there.to(Xs[0].device))

    def _core(self) -> bool:
        """Return whether views are compared with the first alone."""
        return True

    def _pairs(self) -> list[tuple[int, int]]:
        pairs = combinations(range(len(self.n_features_in_)), 2)
        return [pair for pair in pairs if pair[0] == 0 or not self._core()]

    def _network(self) -> DualPrediction:
        settings = self.hidden_dims, self.embedding_dim, self._pairs()
        return DualPrediction(self.n_features_in_, *settings)

    def _batches(self, n: int, generator: torch.Generator) -> Sequence[Any]:
        return batches(n, self.batch_size, generator)

    def _train(self, Xs: Sequence[torch.Tensor], generator: torch.Generator) -> None:
        device, n_views, pairs = Xs[0].device, len(Xs), self._pairs()
        divisor = 1 if n_views == 2 else n_views - 1 if self._core() else n_views
        network = self._network().to(device)
        optimizer = Adam(network.parameters(), lr=self.learning_rate, fused=True)
        epoch = -1

        def epoch_batches() -> Sequence[Any]:
            nonlocal epoch
            epoch += 1
            return self._batches(len(Xs[0]), generator)

        def step(batch: Any) -> Mapping[str, torch.Tensor]:
            rows = [X[batch] for X in Xs]
            Zs = network.encode(rows)
            decoded = [decode(Z) for decode, Z in zip(network.decoders, Zs, strict=True)]
            # Predictors run before they count, so that batch normalisation sees the codes.
            predictions = [
                F.mse_loss(network.predict(Zs[a], a, b), Zs[b])
                for v, u in pairs
                for a, b in ((v, u), (u, v))
            ]
            counts = epoch >= self.prediction_epoch
            return total_loss(
                {(v, u): contrastive_loss(Zs[v], Zs[u], self.alpha) for v, u in pairs},
                [F.mse_loss(X_hat, X) for X_hat, X in zip(decoded, rows, strict=True)],
                predictions,
                divisor,
                (
                    self.contrast_weight,
                    self.reconstruction_weight,
                    self.prediction_weight if counts else 0.0,
                ),
            )

        parts = ("contrast", "reconstruction", "prediction")
        self.history_ = train(self, epoch_batches, step, network, optimizer, parts=parts)
        self.network_ = network

    def _check_rows(self, n_whole: int) -> None:
        """Refuse samples that the method cannot take."""
        if n_whole < 2:
            raise ValueError(
                f"Xs has {n_whole} samples with all views: expected at least 2 to learn from"
            )


@dataclass(eq=False, repr=False, kw_only=True)
class DCP(COMPLETER):
    """Dual contrastive prediction for clustering of two or more views, which samples may lack.

    As COMPLETER, but for the last batch of an epoch, which is left out, and for more views than
    two. Not where few samples are whole: they must be more than a batch. The defaults are the
    authors' settings for two views of Scene-15.

    Parameters
    ----------
    epochs : int
        Passes over the samples that have all views. The authors take 300 for three views of
        Scene-15.
    pairs : {"core", "all"}, default="core"
        Which views are compared and predicted, if there are more than two: the first with each
        other, or all. The first is then recovered as the mean of predictions from those that
        are there, and the others from it; else each from all that are there.

    Notes
    -----
    *Use it* where rows of two or more views are partners, and some lack views. *Cost*: (n - 1)
    // batch_size steps an epoch, of the n samples that have all views, by default 3,500 in all
    for 2,000. *Beside it*: `COMPLETER` and `DIVIDE` for two views; `KMeansView`,
    `KMeansConcatenation` and `SpectralConcatenation`.

    On HSACC see `COMPLETER`.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> Xs = data.min_max_scale(digits.Xs)
    >>> problem = data.hide_views(Xs, digits.y, rate=0.5, protocol="half")
    >>> model = methods.DCP(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, present=problem.present)  # doctest: +SKIP
    """

    pairs: str = "core"

    _only_two = False
    _bounds = {"pairs": choice(PAIRS)}

    def _core(self) -> bool:
        return self.pairs == "core"

    def _batches(self, n: int, generator: torch.Generator) -> Sequence[Any]:
        return torch.randperm(n, generator=generator).split(self.batch_size)[:-1]

    def _check_rows(self, n_whole: int) -> None:
        if n_whole <= self.batch_size:
            raise ValueError(
                f"Xs has {n_whole} samples with all views: expected more than batch_size="
                f"{self.batch_size}, since the last batch is left out"
            )
