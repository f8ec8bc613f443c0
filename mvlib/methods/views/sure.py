"""SURE: MvCLN's pairs and loss with reconstruction, for rows shuffled, missing, or both.

Source: Yang et al., "Robust Multi-View Clustering With Incomplete Information", TPAMI 2023.
Each function follows the authors' code. Which of the 80 epochs the paper reports is unknown.

Pairs, contrastive loss, margin, switch, optimiser and matching are MvCLN's, `mvcln.py`. New are
a decoder a view, which rebuilds the view from both embeddings of a pair, negative pairs
included; and, after training, embeddings for the rows that a view lacks, out of near rows of
the same random batch in which rows are matched.

Picture
-------
given : two views, of which some rows may be missing; 34 complete rows are known partners
learns : an encoder and a decoder a view
pulls : each view rebuilt from both embeddings; partners together, random rows apart
matches : rows of a random batch to their nearest; a missing embedding is the mean of near rows
groups : k-means of both embeddings side by side

Readings
--------
A missing embedding is the mean of up to three neighbours. The code divides by three where fewer
are in the batch, too: `reading="code"`. Elsewhere no difference between the two is known to us.

Deviations
----------
Those of `mvcln.py`. A row that lacks a view never trains, aligned or not. What is hidden is not
there to be read: with `setting="unaligned"`, for which the authors' code ignores the mask,
missing rows are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import choice, flag, real
from mvlib.methods.base import Mask, Views
from mvlib.methods.views.mvcln import MvCLN, distance_matrix, encoder

SETTINGS = ("both", "unaligned", "missing")
READINGS = ("paper", "code")
N_NEIGHBORS = 3


def reconstruction_loss(
    inputs: Sequence[torch.Tensor], rebuilt: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Compute how far each view of a batch is from what its decoder makes of both embeddings.

    L_rec = MSE(X1, X1') + MSE(X2, X2'), means over rows and columns  (SURE, as coded)
    """
    errors = [F.mse_loss(new, X) for X, new in zip(inputs, rebuilt, strict=True)]
    return torch.stack(errors).sum()


def total_loss(
    contrastive: torch.Tensor, reconstruction: torch.Tensor, weight: float
) -> torch.Tensor:
    """Compute the loss of a batch of pairs.

    L = L_con + 0.5 L_rec  (SURE, as coded)
    """
    return contrastive + weight * reconstruction


def imputed(
    H: torch.Tensor, C: np.ndarray, missing: np.ndarray, divide_by_all: bool
) -> torch.Tensor:
    """Return embeddings of one view whose missing rows are means of their nearest others.

    h2_i = 1/3 sum of h2_j over the 3 rows j of smallest |h1_i - h2_j|  (SURE, as coded)

    Only rows that the view has are taken. `C` holds the distances of the rows' embeddings in
    the other view, which they have, to all of `H`. Of equally near rows the first is taken.
    With `divide_by_all` the sum is divided by three even if fewer are there; without any, a row
    stays as it is.
    """
    there = np.flatnonzero(~missing)
    if len(there) == 0:
        return H
    found = H.clone()
    for i in np.flatnonzero(missing):
        near = there[np.argsort(C[i, there], kind="stable")[:N_NEIGHBORS]]
        found[i] = H[near].sum(dim=0) / (N_NEIGHBORS if divide_by_all else len(near))
    return found


def decoder(
    n_inputs: int, hidden_dims: Sequence[int], n_features: int, dropout: float
) -> nn.Sequential:
    """Return what rebuilds a view from both embeddings: ReLU and dropout, no normalisation."""
    layers: list[nn.Module] = []
    for width in hidden_dims:
        layers += [nn.Linear(n_inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_features))


@dataclass(eq=False, repr=False, kw_only=True)
class SURE(MvCLN):
    """MvCLN with reconstruction, for views whose rows are shuffled, missing, or both.

    Two views of the same things. Encoders and decoders learn from the rows that are aligned
    and lack no view. Then, in random batches, missing embeddings are filled from near rows, and
    every row of view 1 is matched to a row of view 2; k-means clusters [h1, h2 matched]. Rows
    are named after view 1. New rows are taken as matched and complete. The defaults are the
    authors' settings for most of their data sets.

    Parameters
    ----------
    hidden_dims : sequence of int
        Widths of the hidden layers of encoders and decoders.
    reconstruction_weight : float, default=0.5
        Of the reconstruction in the loss.
    setting : {"both", "unaligned", "missing"}, default="both"
        What is wrong with the rows: "missing" fills and does not match, "unaligned" matches
        and takes no missing row. The authors number them 2, 0 and 1.
    shared_weights : bool, default=False
        Whether one encoder and one decoder serve both views, which are then of one width: the
        authors' setting for Deep Caltech-101 and Deep Animal.
    reading : {"paper", "code"}, default="paper"
        By what the sum over fewer than three neighbours is divided: their number, or three.

    Attributes
    ----------
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 that each row of view 1 was matched to; with "missing" itself.
    history_ : dict of str to ndarray
        As in `MvCLN`, and the parts `contrastive` and `reconstruction` of the loss.
    network_ : ModuleList
        The two encoders and the two decoders, in evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where two views have aligned and complete rows enough for a batch of pairs, by
    default 34, and other rows are shuffled or lack a view. *Cost*: the steps of `MvCLN`, each
    with decoders, too. *Beside it*: `MvCLN` where no view is missing; `KMeansView`,
    `KMeansConcatenation`, `SpectralConcatenation` and `AutoencoderHungarian`.

    The authors leave views unscaled, but scale each feature of Reuters_dim10 and of the
    second view of MNIST-USPS to [0, 1]. A constant feature is NaN there.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> scaled = data.min_max_scale(digits.Xs)
    >>> problem = data.misalign(scaled, digits.y, ratio=0.5, protocol="mvcln")
    >>> problem = data.hide_views(problem, rate=0.5, protocol="sure")
    >>> masks = {"aligned": problem.aligned, "present": problem.present}
    >>> model = methods.load("sure")(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, **masks)  # doctest: +SKIP
    """

    reconstruction_weight: float = 0.5
    setting: str = "both"
    shared_weights: bool = False
    reading: str = "paper"

    _takes_missing = True
    _among = " in rows with both views"
    _parts = ("contrastive", "reconstruction")
    _bounds = {
        "reconstruction_weight": real(0),
        "setting": choice(SETTINGS),
        "shared_weights": flag,
        "reading": choice(READINGS),
    }

    def _fit(
        self, views: Views, aligned: Mask, y: Any, seed: int, present: Mask | None = None
    ) -> None:
        if self.setting == "unaligned" and present is not None and not present.all():
            raise ValueError(
                f"present has {(~present).sum()} False: expected True alone with "
                "setting='unaligned', which fills no missing row"
            )
        super()._fit(views, aligned, y, seed, present)

    def _match(
        self, H_1: torch.Tensor, H_2: torch.Tensor, aligned: Mask, generator: torch.Generator
    ) -> np.ndarray:
        if self.setting == "missing":
            return np.arange(len(aligned))
        return super()._match(H_1, H_2, aligned, generator)

    def _network(self) -> nn.ModuleList:
        settings = self.hidden_dims, self.embedding_dim, self.dropout
        widths = self.n_features_in_[: 1 if self.shared_weights else 2]
        encoders = [encoder(width, *settings) for width in widths]
        both = 2 * self.embedding_dim
        decoders = [decoder(both, self.hidden_dims, d, self.dropout) for d in widths]
        if self.shared_weights:
            encoders, decoders = 2 * encoders, 2 * decoders
        return nn.ModuleList([*encoders, *decoders])

    def _losses(
        self,
        contrastive: torch.Tensor,
        inputs: list[torch.Tensor],
        H: list[torch.Tensor],
        network: nn.ModuleList,
    ) -> dict[str, torch.Tensor]:
        joined = torch.cat(H, dim=1)
        rebuilt = reconstruction_loss(inputs, [decode(joined) for decode in network[2:]])
        parts = {"contrastive": contrastive, "reconstruction": rebuilt}
        return {"loss": total_loss(contrastive, rebuilt, self.reconstruction_weight)} | parts

    def _completed(
        self, H: Sequence[torch.Tensor], present: Mask | None, generator: torch.Generator
    ) -> Sequence[torch.Tensor]:
        """Fill missing embeddings inside the batches in which rows are then matched."""
        if present is None or present.all():
            return H
        drawn = generator.get_state()
        order = torch.randperm(len(present), generator=generator)
        generator.set_state(drawn)
        H_1, H_2 = (Z.clone() for Z in H)
        for rows in order.split(self.match_batch_size):
            A, B, there = H[0][rows], H[1][rows], present[rows.numpy()]
            C, as_coded = distance_matrix(A, B), self.reading == "code"
            H_1[rows] = imputed(A, C.T, ~there[:, 0], as_coded)
            H_2[rows] = imputed(B, C, ~there[:, 1], as_coded)
        return [H_1, H_2]

    def _check_rows(self, views: Sequence[np.ndarray], n_aligned: int) -> None:
        super()._check_rows(views, n_aligned)
        widths = [view.shape[1] for view in views]
        if self.shared_weights and widths[0] != widths[1]:
            raise ValueError(
                f"Xs has widths {widths}: expected one width, with shared_weights=True"
            )
