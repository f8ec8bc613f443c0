"""GenKSC's losses on a view: kernel spectral clustering of learnt features, with a decoder.

Source: GenKSC, arXiv 2502.02185 (ESANN 2025), and the first author's code,
https://github.com/DavidWinant/supervisedgenksc (no licence), as its training without labels
computes it. That this is the paper's is an inference: the same folder holds a supervised
method, and the program does not run as it is.

Picture
-------
given : one view; the others are not read
learns : an encoder to features, directions among them, and a decoder
pulls : the directions to a weighted kernel's spectrum; scores to corners of a simplex
matches : nothing
groups : the corner nearest to a row's scores, by cosine

Deviations
----------
Encoder and decoder are layers with ReLU, where the code has convolutions for images. The
settings are those of its training program, which a search over them then overrides. The epoch
is the last, and all rows are learnt from; the code keeps the epoch of lowest loss on the first
fifth of the rows, and gives up after fifty without a lower one. Of these the code says nothing
that is known, and they are ours: the decoder is given features that are centred, the simplex is
turned as SciPy has it, epochs are counted from 0, and once the training is over the centre is
that of all rows fitted. Of two clusters the pull is not divided, since it would be by 0; of
more than 41 there are as many directions as the simplex needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import helmert
from torch import nn

from mvlib.check import check_number, real, whole
from mvlib.methods import training
from mvlib.methods.base import Mask, ViewClustering, Views
from mvlib.methods.heads import assignments
from mvlib.methods.views.pvc import AutoEncoder
from mvlib.ops.adam import Adam
from mvlib.ops.device import resolve_device
from mvlib.ops.rows import unit_rows

PARTS = ("spectral", "reconstruction", "assignment", "balance")


def weighted_center(phi: Any) -> tuple[Any, Any]:
    """Return the centre of features of shape (n_rows, n_features), and the rows' degrees.

    m = sum_i phi_i / d_i / sum_i 1/d_i, d = phi phi^T 1  (GenKSC, as coded)

    Degrees may be negative. Arrays and tensors are both taken.
    """
    d = phi @ phi.sum(0)
    return (phi / d[:, None]).sum(0) / (1 / d).sum(), d


def spectral_loss(phi: torch.Tensor, d: torch.Tensor, U: torch.Tensor) -> torch.Tensor:
    """Compute the loss of kernel spectral clustering, of features that are centred.

    J = 1/n [h/2 - tr(U^T (D^-1 phi)^T phi U)/2 + tr(phi^T phi)/2]  (GenKSC, as coded)

    U has h columns. With negative degrees, or degrees near 0, J has no lower bound.
    """
    spectrum = ((phi @ U).square() / d[:, None]).sum()
    return (U.shape[1] - spectrum + phi.square().sum()) / (2 * len(phi))


def simplex(n_clusters: int) -> np.ndarray:
    """Return the corners of a regular simplex around 0, a unit row each, float32.

    <c_k, c_l> = -1/(K - 1) for k != l  (GenKSC, as coded)
    """
    return unit_rows(helmert(n_clusters).T).astype(np.float32)


def assignment_loss(scores: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Return how far rows are from the corner that is nearest to them.

    L_c = mean_i min_k (1 - cos(e_i, c_k)) / (1 - 1/(K - 1))  (GenKSC, as coded)

    Of two clusters the divisor would be 0, and is left out.
    """
    nearest = 1 - (F.normalize(scores, dim=1) @ codes.T).amax(dim=1)
    return nearest.mean() / (1 - 1 / (len(codes) - 1) or 1)


def balance_loss(scores: torch.Tensor) -> torch.Tensor:
    """Compute one number of a batch: all coordinates of all unit scores are added up.

    L_b = (1/n sum_ij e_ij / |e_i|)^2  (GenKSC, as coded)
    """
    return (F.normalize(scores, dim=1).sum() / len(scores)).square()


def total_loss(
    X: torch.Tensor,
    network: GenKSCNetwork,
    codes: torch.Tensor,
    weights: tuple[float, float, float, float],
    pulled: bool,
) -> dict[str, torch.Tensor]:
    """Return what GenKSC minimises on a batch, as "loss", and its `PARTS`.

    L = 10 c_ksc J + c_accu/2 |X - X^|^2/n + c_clust [(1 - b) L_c + b L_b]  (GenKSC, as coded)

    X^ = dec(phi U U^T); e are the first K - 1 columns of phi U. `weights` are c_ksc, c_accu,
    c_clust and b. L_c counts where the rows are `pulled`.
    """
    c_ksc, c_accu, c_clust, b = weights
    phi = network.encode(X)
    center, d = weighted_center(phi)
    phi = phi - center
    projected = phi @ network.U
    scores = projected[:, : codes.shape[1]]
    parts = (
        spectral_loss(phi, d, network.U),
        (X - network.decode(projected @ network.U.T)).square().sum() / len(X),
        assignment_loss(scores, codes),
        balance_loss(scores),
    )
    shares = 10 * c_ksc, c_accu / 2, c_clust * (1 - b) * pulled, c_clust * b
    loss = torch.stack([w * part for w, part in zip(shares, parts, strict=True)]).sum()
    return {"loss": loss} | dict(zip(PARTS, parts, strict=True))


def memberships(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return how much rows belong to each corner, float32; a row sums to one.

    m_ik = prod_{l != k} (1 - cos(e_i, c_l)), divided by its sum over k  (GenKSC, as coded)
    """
    far = 1 - unit_rows(scores) @ codes.T
    products = [np.delete(far, k, axis=1).prod(axis=1) for k in range(len(codes))]
    m = np.stack(products, axis=1)
    return (m / m.sum(axis=1, keepdims=True)).astype(np.float32)


class GenKSCNetwork(AutoEncoder):
    """An auto-encoder, and directions among its features that are orthonormal at first."""

    def __init__(self, n_features: int, hidden_dims: Sequence[int], width: int, h: int):
        super().__init__(n_features, hidden_dims, width)
        self.U = nn.Parameter(nn.init.orthogonal_(torch.empty(width, h)))


@dataclass(eq=False, repr=False, kw_only=True)
class GenKSC(ViewClustering):
    """Generative kernel spectral clustering of one view, the others unseen.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, at least 2.
    view : int, default=0
        Which view, from 0. The labels name the rows of that view.
    ksc_weight, reconstruction_weight, clustering_weight : float, default=0.99, 0.001, 0.009
        c_ksc, c_accu and c_clust.
    balance : float, default=0.05
        b, from 0 to 1: what the balance of the scores takes from the pull to the corners.
    warmup_epochs : int, default=32
        Epochs at first without the pull to the corners.
    feature_dim, n_components : int, default=1024, 40
        Width of the features, and directions among them, h, at most as many.
    hidden_dims : sequence of int, default=(512, 512)
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    epochs, batch_size, learning_rate : default=150, 256, 1e-4
        Of Adam, for the directions too.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The largest of `embedding_`, after the last epoch.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Memberships.
    center_ : ndarray of shape (feature_dim,)
        What is taken off the features, from the rows that were fitted.
    history_ : dict of str to ndarray
        `loss`, `spectral`, `reconstruction`, `assignment` and `balance`, by epoch.
    network_ : GenKSCNetwork
        In evaluation mode, after the last epoch.

    Notes
    -----
    *Use it* where one view is all there is, with c_accu = 1 - c_ksc, as the code's search has
    it; not at the defaults, where nothing keeps features apart. *Cost*: 150 epochs of n /
    batch_size steps, and a pass over all features, n * feature_dim numbers.
    *Beside it*: `KMeansView`, `SpectralConcatenation`.

    At the defaults J is lowered by features that are all alike: its last term then is 0, its
    first is constant, and the decoder weighs too little to hold them apart.
    """

    view: int = 0
    ksc_weight: float = 0.99
    reconstruction_weight: float = 0.001
    clustering_weight: float = 0.009
    balance: float = 0.05
    warmup_epochs: int = 32
    feature_dim: int = 1024
    n_components: int = 40
    hidden_dims: Sequence[int] = (512, 512)
    epochs: int = 150
    batch_size: int = 256
    learning_rate: float = 1e-4
    verbose: bool | None = None
    device: str = "auto"

    _labels_from = "largest"
    _network_name = "network_"
    _bounds = {
        "n_clusters": whole(2),
        "view": whole(0),
        **dict.fromkeys(("ksc_weight", "reconstruction_weight", "clustering_weight"), real(0)),
        "balance": real(0, 1),
        "warmup_epochs": whole(0),
        **dict.fromkeys(("feature_dim", "n_components"), whole()),
    }

    def _fit(self, views: Views, aligned: Mask, y: Any, seed: int) -> None:
        check_number("view", self.view, high=len(views) - 1)
        check_number("feature_dim", self.feature_dim, low=self._n_directions())
        device = resolve_device(self.device)
        with training.seeded(seed, device) as generator:
            self._train(torch.from_numpy(views[self.view]).to(device), generator)
        self.center_ = weighted_center(self._features(views))[0]
        self.embedding_ = self._embed(views)
        self.labels_ = self.embedding_.argmax(axis=1)

    def _n_directions(self) -> int:
        return max(self.n_components, self.n_clusters - 1)

    def _network(self) -> GenKSCNetwork:
        widths = self.n_features_in_[self.view], self.hidden_dims, self.feature_dim
        return GenKSCNetwork(*widths, self._n_directions())

    def _train(self, X: torch.Tensor, generator: torch.Generator) -> None:
        self.network_ = network = self._network().to(X.device)
        codes = torch.from_numpy(simplex(self.n_clusters)).to(X.device)
        fits = self.ksc_weight, self.reconstruction_weight
        weights = *fits, self.clustering_weight, self.balance
        epoch = -1

        def batches() -> list[torch.Tensor | slice]:
            nonlocal epoch
            epoch += 1
            return training.batches(len(X), self.batch_size, generator)

        def step(rows: torch.Tensor | slice) -> dict[str, torch.Tensor]:
            return total_loss(X[rows], network, codes, weights, epoch >= self.warmup_epochs)

        # AdamW, as in the code: its decay is 0.
        optimizer = Adam(network.parameters(), lr=self.learning_rate)
        self.history_ = training.train(self, batches, step, network, optimizer, parts=PARTS)

    def _features(self, views: list[np.ndarray]) -> np.ndarray:
        return assignments(self.network_.encode, views[self.view]).astype(np.float64)

    def _embed(self, views: list[np.ndarray]) -> np.ndarray:
        U = self.network_.U.detach().cpu().numpy()[:, : self.n_clusters - 1]
        scores = (self._features(views) - self.center_) @ U
        return memberships(scores, simplex(self.n_clusters))
