"""PRO-DSC: features that spread, express each other, and fall into blocks.

Source: "Exploring a Principled Framework for Deep Subspace Clustering", arXiv 2503.17288 (ICLR
2025). Each equation follows the authors' code ("as coded"). Network, warm-up, coding rate and
membership are those of CPP, `mvlib.methods.images.cpp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from mvlib.check import Bound, real
from mvlib.encoders import Encoder
from mvlib.methods.images.cpp import CodingClustering, coding_rate, membership


def affinity(C: torch.Tensor, eta: float, half_steps: int) -> torch.Tensor:
    """Return the graph of a batch: who expresses whom, whatever the sign.

    A = (Pi + Pi^T) / 2, Pi the membership with a zero diagonal  (PRO-DSC, as coded)

    With one half-step Pi is a softmax of |c_i . c_j| / eta, and not doubly stochastic. The
    diagonal goes after that, so that rows of A sum to less than 1.
    """
    Pi = membership(C, eta, half_steps)
    Pi = Pi - Pi.diagonal().diag()
    return (Pi + Pi.T) / 2


def expression_loss(Z: torch.Tensor, C: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    """Return how badly the features of a batch of m express each other.

    L_e = |Z - (S o A) Z|_F^2 / (2m), S = sign(C C^T)  (PRO-DSC, as coded)
    """
    signs = (C @ C.T).detach().sign()
    return (Z - (signs * A) @ Z).square().sum() / (2 * len(Z))


def block_loss(A: torch.Tensor, n_clusters: int) -> torch.Tensor:
    """Return how far a graph of m images is from falling into K pieces: 0 where it does.

    L_b = tr((D - A)^T W) / m, W = U U^T  (PRO-DSC, as coded)

    U holds the eigenvectors of the K smallest eigenvalues of D - A; no gradient goes through.
    """
    L = A.sum(dim=1).diag() - A
    with torch.no_grad():
        U = torch.linalg.eigh(L)[1][:, :n_clusters]
    return (L * (U @ U.T)).sum() / len(A)


def total_loss(
    Z: torch.Tensor,
    C: torch.Tensor,
    n_clusters: int,
    *,
    eta: float = 0.175,
    half_steps: int = 1,
    epsilon: float = 0.1,
    gamma: float = 300.0,
    beta: float = 600.0,
) -> dict[str, torch.Tensor]:
    """Return what PRO-DSC minimises on a batch after its warm-up, as "loss", and its parts.

    L = -R + gamma L_e + beta L_b  (PRO-DSC, as coded)
    """
    A = affinity(C, eta, half_steps)
    rate = coding_rate(Z, epsilon)
    expression, blocks = expression_loss(Z, C, A), block_loss(A, n_clusters)
    loss = -rate + gamma * expression + beta * blocks
    return {"loss": loss, "rate": rate, "expression": expression, "blocks": blocks}


@dataclass(eq=False, repr=False, kw_only=True)
class PRODSC(CodingClustering):
    """Features of large coding rate that express each other by a graph in blocks.

    There is no map for new images.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, at most the images of a batch.
    encoder, precision, device, random_state, embedding_dim, body_dim, epsilon, \
batch_size, learning_rate, weight_decay, verbose
        As in `CPP`.
    eta : float, default=0.175
        Temperature of the membership.
    half_steps : int, default=1
        Of Sinkhorn's iteration, odd. On most sets the code takes one, which makes rows alone
        sum to 1; on ImageNet-Dogs five.
    gamma : float, default=300.0
        Weight of the expression.
    beta : float, default=600.0
        Weight of the blocks.
    training_steps : int, default=480
        Steps of the training, the warm-up among them: 10 epochs of 50,000 images.
    warmup_steps : int, default=200
        As in `CPP`. On three sets the code has -1.

    Attributes
    ----------
    labels_, embeddings_
        As in `CPP`.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Leading eigenvectors of the graph of the codes' absolute cosines, rows at unit length.
    history_ : dict
        "loss", "rate", "expression" and "blocks" of each step; the last two are NaN in the
        warm-up.

    Notes
    -----
    *Use it* as `CPP`, where the number of clusters is known: the training reads it. Features
    are taken as they come. *Cost*: a step has the body's products, and eigenvectors of
    batch_size x batch_size numbers; eigenvectors of n x n numbers at the end. *Beside it*:
    `CPP`, `SSCOMP` and `CLIPKMeans`.

    Source: the authors' code with its setting for CIFAR-10. The clusters are those of |C C^T|
    of all images, without Sinkhorn and without the diagonal.

    *Deviations*. Steps are counted, not epochs, as in `CPP`. One k-means of ten starts makes
    the labels; the code prints the mean and the best, by the labels, of ten. float32, where the
    code mixes precisions.
    """

    half_steps: int = 1
    gamma: float = 300.0
    beta: float = 600.0
    training_steps: int = 480
    warmup_steps: int = 200

    _bounds: ClassVar[Mapping[str, Bound]] = {"gamma": real(0), "beta": real(0)}
    _parts = ("rate", "expression", "blocks")

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        if self.n_clusters > self.batch_size:
            raise ValueError(
                f"n_clusters={self.n_clusters} are more than batch_size={self.batch_size}: "
                "expected at most as many, since a batch is to fall into so many blocks"
            )
        super()._fit(X, train, texts, encoder, seed)

    def _losses(self, Z: torch.Tensor, C: torch.Tensor) -> dict[str, torch.Tensor]:
        return total_loss(Z, C, self.n_clusters, **self._given("gamma", "beta"))

    def _graph(self, C: torch.Tensor) -> torch.Tensor:
        return (C @ C.T).abs()
