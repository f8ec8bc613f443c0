"""PVC: auto-encoders of two views, and a differentiable matching of their rows.

Source: Huang et al., "Partially View-aligned Clustering", NeurIPS 2020. Each function follows
the authors' code at their settings for Caltech101-20; those of other sets are unknown.

In the first stage the auto-encoders learn from the aligned rows. In the second a matching is
computed from the distances of embeddings, by steps that all have a gradient, and shall be the
true one, which is known there. In the third all rows of view 2 are matched, the aligned ones
too, and the networks learn to bring matched rows together.

Picture
-------
given : two views, some rows known to be partners
learns : an auto-encoder a view, then a matching of rows that has a gradient
pulls : each view rebuilt; the matching of known partners to be the true one; matched rows
    together
matches : all rows of view 2, known partners too, by the learnt matching
groups : k-means of both embeddings side by side

Readings
--------
The matching of all rows is made once, after the second stage, and frozen, although the
embeddings go on changing. The code clusters with that old matching: `reading="code"`. With
"paper" it is made anew from the last embeddings.

Deviations
----------
A last batch of one row, at which the authors' code stops, joins the one before. View 2 is taken
in the order in which it comes; they permute it once more, which only ties could see. `aligned`
says which rows are partners, and `protocol="pvc"`, under which they stand in other rows, cannot
be said with it: give another protocol's problem. k-means is scikit-learn's of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import nn

from mvlib.check import choice, real, whole
from mvlib.methods.base import Mask, Views
from mvlib.methods.networks import TwoViewNetworks, on_device
from mvlib.methods.training import batches, seeded, train
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device

READINGS = ("paper", "code")
PARTS = ("reconstruction", "matching", "permutation")


def squared_distances(H_1: torch.Tensor, H_2: torch.Tensor) -> torch.Tensor:
    """Return the costs of matching rows of embeddings; rounding can bring them below 0.

    D_ij = |h1_i|^2 + |h2_j|^2 - 2 h1_i h2_j  (PVC, as coded)
    """
    squares = H_1.square().sum(dim=1, keepdim=True) + H_2.square().sum(dim=1)
    return squares - 2 * H_1 @ H_2.T


def first_matching(D: torch.Tensor) -> torch.Tensor:
    """Return where the steps start, one entry a row; without a gradient, no permutation.

    M_ij = D_ij if i = argmin_k D_kj else max D;  P_ij = 1 at j = argmin_j M_ij  (PVC, as coded)

    A row that is nearest in no column is constant in M, and takes column 0.
    """
    D, n = D.detach(), len(D)
    M = torch.full_like(D, D.max().item())
    rows, columns = D.argmin(dim=0), torch.arange(n, device=D.device)
    M[rows, columns] = D[rows, columns]
    return F.one_hot(M.argmin(dim=1), n).to(D.dtype)


def project_rows(P: torch.Tensor) -> torch.Tensor:
    """Bring the sums of all rows to one.

    Pi_1(P) = P - (P 1 - 1) 1^T / n  (PVC, as coded)
    """
    return P - (P.sum(dim=1, keepdim=True) - 1) / P.shape[1]


def project_columns(P: torch.Tensor) -> torch.Tensor:
    """Bring the sums of all columns to one.

    Pi_2(P) = P - 1 (1^T P - 1) / n  (PVC, as coded)
    """
    return P - (P.sum(dim=0, keepdim=True) - 1) / P.shape[0]


def soft_matching(
    D: torch.Tensor, n_steps: int = 30, step_size: float = 0.1, n_cycles: int = 10
) -> torch.Tensor:
    """Return a matching of least cost, about doubly stochastic, by projected gradient steps.

    P <- P - 0.1 D, then cycles of P_s = Pi_s(P + c_s), c_s <- P + c_s - P_s  (PVC, as coded)

    A cycle goes through rows, columns and P >= 0 (Dykstra's algorithm), whose corrections c_s
    stay over all steps. Those of rows and columns are left out here: they are constant along
    what is summed, so that the projection takes them off again. Cycles end once one leaves P as
    it was. No entry is negative. Where costs are large, ten cycles do not bring the sums down
    to one. Memory grows with the square of the rows: 0.4 GB a matrix for 10,000, several at a
    time.
    """
    P, correction = first_matching(D), torch.zeros_like(D)
    for _ in range(n_steps):
        P = P - step_size * D
        for _ in range(n_cycles):
            before = P
            corrected = project_columns(project_rows(P)) + correction
            P = F.relu(corrected)
            correction = corrected - P
            if torch.equal(P, before):
                break
    return P


def reconstruction_loss(
    inputs: Sequence[torch.Tensor], rebuilt: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Compute how far the views are from what their auto-encoders make of them.

    L_rec = MSE(X1, X1') + MSE(X2, X2')  (PVC, as coded)
    """
    errors = [F.mse_loss(new, X) for X, new in zip(inputs, rebuilt, strict=True)]
    return torch.stack(errors).sum()


def matching_loss(H_1: torch.Tensor, H_2: torch.Tensor, P: torch.Tensor) -> torch.Tensor:
    """Compute how far matched embeddings are apart.

    L_match = MSE(h1, P h2)  (PVC, as coded)
    """
    return F.mse_loss(P @ H_2, H_1)


def permutation_loss(P: torch.Tensor, P_true: torch.Tensor) -> torch.Tensor:
    """Compute how far a matching is from the true one, a mean over all entries.

    L_perm = MSE(P, P_gt)  (PVC, as coded)
    """
    return F.mse_loss(P, P_true)


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for n_inputs, width in zip(widths[:-2], widths[1:-1], strict=True):
        layers += [nn.Linear(n_inputs, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class AutoEncoder(nn.Module):
    """The auto-encoder of a view: ReLU between layers, no normalisation."""

    def __init__(self, n_features: int, hidden_dims: Sequence[int], embedding_dim: int):
        super().__init__()
        widths = [n_features, *hidden_dims, embedding_dim]
        self.encode, self.decode = perceptron(widths), perceptron(widths[::-1])


@dataclass(eq=False, repr=False, kw_only=True)
class PVC(TwoViewNetworks):
    """Auto-encoders and a differentiable matching, for partially view-aligned clustering.

    Two views of the same things, of which only some rows are known to be partners. All rows
    are matched anew, the aligned ones too, and k-means clusters [h1, P h2]. Rows are named
    after view 1. New rows are taken as matched. Not for many rows: the matching is a dense
    matrix, and beyond some 30,000 rows it fits no memory. The authors bring each view to
    [0, 1] as one block.

    Parameters
    ----------
    epochs, alignment_epochs, tuning_epochs : int, default=2000, 2000 and 200
        Of the three stages; in the last an epoch is one step with all rows.
    batch_size : int, default=128
        Aligned rows in a batch of the first two stages.
    learning_rate, weight_decay : float, default=1e-3 and 1e-5
        Of Adam, which starts anew in the third stage. The decay is added to the gradient.
    permutation_weight : float, default=10.0
        Of the matching's error in the second stage.
    reading : {"paper", "code"}, default="paper"
        Whether the matching is made anew for the clustering, or that of the third stage kept.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, 2 * embedding_dim), float32
        [h1, P h2], as clustered.
    matching_ : ndarray of shape (n_samples,), int64
        The row of view 2 of the largest entry in each row of P. A row can be named twice.
    history_ : dict of str to ndarray
        A value an epoch, through all stages: `loss`, and its parts `reconstruction`, `matching`
        and `permutation`, which is NaN outside the second stage.
    network_ : ModuleList
        The two auto-encoders, in evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where two views have at least two aligned rows, and not very many rows: the
    matching is a matrix of n x n. *Cost*: by default 4,000 passes over the aligned rows, in
    batches of `batch_size`, and 200 steps with all rows, each of n squared. *Beside it*:
    `KMeansView`, `KMeansConcatenation`, `SpectralConcatenation` and `AutoencoderHungarian`.

    The authors' NMI has the geometric mean of the entropies below it: theirs is
    scikit-learn 0.21.

    Examples
    --------
    >>> from mvlib import data, methods
    >>> digits = data.load("handwritten")
    >>> problem = data.misalign(data.min_max_scale(digits.Xs), digits.y, ratio=0.5)
    >>> model = methods.load("pvc")(10, random_state=0)
    >>> labels = model.fit_predict(problem.Xs, aligned=problem.aligned)  # doctest: +SKIP
    """

    embedding_dim: int = 20
    hidden_dims: Sequence[int] = (1024, 1024)
    epochs: int = 2000
    alignment_epochs: int = 2000
    tuning_epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    permutation_weight: float = 10.0
    reading: str = "paper"

    _bounds = {
        **dict.fromkeys(("alignment_epochs", "tuning_epochs"), whole(0)),
        **dict.fromkeys(("weight_decay", "permutation_weight"), real(0)),
        "reading": choice(READINGS),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        if aligned.sum() < 2:
            raise ValueError(
                f"aligned has {aligned.sum()} True: expected at least 2, to be told apart"
            )
        device = resolve_device(self.device)
        Xs = on_device(views, device)
        with seeded(seed, device) as generator:
            P = self._train(Xs, torch.from_numpy(aligned), generator)
        self.network_.eval()
        H_1, H_2 = self._encoded(Xs)
        if self.reading == "paper":
            P = soft_matching(squared_distances(H_1, H_2))
        self.matching_ = P.argmax(dim=1).cpu().numpy()
        self.embedding_ = torch.cat([H_1, P @ H_2], dim=1).cpu().numpy()
        found = KMeans(self.n_clusters, n_init=20, random_state=seed).fit(self.embedding_)
        self.labels_ = found.labels_.astype(np.int64)

    def _network(self) -> Any:
        settings = self.hidden_dims, self.embedding_dim
        return nn.ModuleList(AutoEncoder(width, *settings) for width in self.n_features_in_)

    @torch.no_grad()
    def _encoded(self, Xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [model.encode(X) for model, X in zip(self.network_, Xs, strict=True)]

    def _train(
        self, Xs: list[torch.Tensor], aligned: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Learn in three stages; return the matching of all rows that the third one had."""
        known = [X[aligned] for X in Xs]
        self.network_ = network = self._network().to(Xs[0].device)
        histories: list[dict[str, np.ndarray]] = []
        n = len(known[0])

        def losses(inputs: list[torch.Tensor], P: torch.Tensor) -> tuple[dict, list]:
            H = [model.encode(X) for model, X in zip(network, inputs, strict=True)]
            rebuilt = [model.decode(Z) for model, Z in zip(network, H, strict=True)]
            rec, match = reconstruction_loss(inputs, rebuilt), matching_loss(H[0], H[1], P)
            # L = L_rec + L_match  (PVC, as coded)
            return {"loss": rec + match, "reconstruction": rec, "matching": match}, H

        def drawn() -> list[tuple[list[torch.Tensor], torch.Tensor]]:
            return [shuffled(rows) for rows in batches(n, self.batch_size, generator)]

        def shuffled(rows: torch.Tensor | slice) -> tuple[list[torch.Tensor], torch.Tensor]:
            first, second = (X[rows] for X in known)
            order = torch.randperm(len(first), generator=generator).to(first.device)
            # P_gt X2' = X2, X2'[j] = X2[order[j]].
            return [first, second[order]], F.one_hot(order, len(order)).T.to(first.dtype)

        def step(batch: tuple[list[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
            return losses(*batch)[0]

        def align(batch: tuple[list[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
            parts, H = losses(*batch)
            wrong = permutation_loss(soft_matching(squared_distances(*H)), batch[1])
            # L = L_rec + L_match + 10 L_perm  (PVC, as coded)
            total = parts["loss"] + self.permutation_weight * wrong
            return parts | {"loss": total, "permutation": wrong}

        def adam() -> torch.optim.Optimizer:
            rates: dict[str, Any] = {"lr": self.learning_rate}
            rates["weight_decay"] = self.weight_decay
            return Adam(network.parameters(), **rates)

        optimizer = adam()
        more: dict[str, Any] = {"parts": PARTS}
        for epochs, one_step in ((self.epochs, step), (self.alignment_epochs, align)):
            more["epochs"] = epochs
            histories.append(train(self, drawn, one_step, network, optimizer, **more))
        with torch.no_grad():
            P = soft_matching(squared_distances(*self._encoded(Xs)))
        everything = [(Xs, P)]
        more["epochs"] = self.tuning_epochs
        histories.append(train(self, lambda: everything, step, network, adam(), **more))
        self.history_ = {
            part: np.concatenate([history[part] for history in histories if history])
            for part in ("loss", *PARTS)
        }
        return P
