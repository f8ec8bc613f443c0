"""CPP: clustering by the rate reduction of learnt features, with a membership from Sinkhorn.

Source: "Image Clustering via the Principle of Rate Reduction in the Age of Pretrained Models",
arXiv 2306.05272 (ICLR 2024). Each equation follows the authors' code ("as coded").

Two heads of one body give an image a feature z and a code c. Features are to spread as a whole,
and to need few bits in each group of images; the codes say who shares a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import nn

from mvlib.check import Bound, RandomState, check_n_clusters, real, whole
from mvlib.encoders import Encoder
from mvlib.methods.base import kmeans_labels
from mvlib.methods.heads import full_batches
from mvlib.methods.training import run, seeded
from mvlib.methods.words import ImageClustering
from mvlib.ops import resolve_device, spectral_embedding, unit_rows

MOMENTUM = 0.9
# Of the decay of the codes' head; that of all else is a parameter.
HEAD_DECAY = 5e-3
CANDIDATES = (5, 8, 9, 10, 15, 20, 30, 50)


def membership(C: torch.Tensor, eta: float, half_steps: int) -> torch.Tensor:
    """Return how much each image belongs to the group of each other, by the codes C.

        Pi_ij = softmax_j(|c_i . c_j| / eta + v_j)  (CPP, as coded)

    The potentials v come from Sinkhorn's iteration towards rows and columns that sum to 1, of
    which `half_steps` are taken, rows first and last; no gradient goes through them. With one,
    v is 0. Rows sum to 1, columns nearly. C are rows of unit length.
    """
    S = (C @ C.T).abs() / eta
    with torch.no_grad():
        v = torch.zeros_like(S[0])
        for _ in range(half_steps // 2):
            u = -torch.logsumexp(S + v, dim=1)
            v = -torch.logsumexp(S + u[:, None], dim=0)
    return torch.softmax(S + v, dim=1)


def coding_rate(Z: torch.Tensor, epsilon: float = 0.1) -> torch.Tensor:
    """Return how many nats a row of Z needs, up to an error of `epsilon`, squared.

    R = 1/2 logdet(I + d / (m epsilon) Z^T Z)  (CPP, as coded)
    """
    m, d = Z.shape
    return _logdet(d / (m * epsilon) * Z.T @ Z) / 2


def compressed_rate(Z: torch.Tensor, Pi: torch.Tensor, epsilon: float = 0.1) -> torch.Tensor:
    """Return how many nats a row needs where each column of Pi is a group of its own code.

    R_c = sum_k t_k/(2m) logdet(I + d / (t_k epsilon) sum_j Pi_jk z_j z_j^T)  (CPP, as coded)

    t_k is the sum of column k, and 1e-8.
    """
    m, d = Z.shape
    sizes = Pi.sum(dim=0) + 1e-8
    # The products are symmetric: half of them are enough, and cost half.
    i, j = torch.tril_indices(d, d, device=Z.device)
    halves = (d / (sizes * epsilon))[:, None] * (Pi.T @ (Z[:, i] * Z[:, j]))
    full = halves.new_zeros(len(sizes), d, d)
    full[:, i, j] = halves
    full[:, j, i] = halves
    return (sizes * _logdet(full)).sum() / (2 * m)


def _logdet(M: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the determinant of I + M, M positive semi-definite."""
    factor = torch.linalg.cholesky(M + torch.eye(M.shape[-1], dtype=M.dtype, device=M.device))
    return 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)


def total_loss(
    Z: torch.Tensor,
    C: torch.Tensor,
    *,
    eta: float = 0.175,
    half_steps: int = 5,
    epsilon: float = 0.1,
    membership_weight: float = 0.05,
) -> dict[str, torch.Tensor]:
    """Return what CPP minimises on a batch after its warm-up, as "loss", and its parts.

    L = -R + R_c + 0.05 |Pi|_F^2 / 2  (CPP, as coded)
    """
    Pi = membership(C, eta, half_steps)
    rate, compressed = coding_rate(Z, epsilon), compressed_rate(Z, Pi, epsilon)
    sharpness = Pi.square().sum() / 2
    loss = -rate + compressed + membership_weight * sharpness
    return {"loss": loss, "rate": rate, "compressed": compressed, "sharpness": sharpness}


def coding_length(Z: np.ndarray, labels: np.ndarray, epsilon: float = 0.1) -> float:
    """Return how many nats clustered rows need, and their labels: small at a good number.

    l = sum_k (n_k+d)/2 logdet(I + d / (epsilon n_k) Z_k^T Z_k) - n_k log(n_k/n)  (CPP, as coded)

    Of rows of unit length, (n_samples, n_features), and their clusters.
    """  # noqa: E501
    length, d = 0.0, Z.shape[1]
    for label in np.unique(labels):
        part = Z[labels == label].astype(np.float64)
        n_k = len(part)
        _, logdet = np.linalg.slogdet(np.eye(d) + d / (epsilon * n_k) * part.T @ part)
        length += (n_k + d) / 2 * logdet - n_k * np.log(n_k / len(Z))
    return float(length)


class CodingNetwork(nn.Module):
    """A body and two linear heads; features and codes have unit length."""

    def __init__(self, n_features: int, body_dim: int, embedding_dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(n_features, body_dim),
            nn.BatchNorm1d(body_dim),
            nn.ReLU(),
            nn.Linear(body_dim, body_dim),
            nn.ReLU(),
        )
        self.features = nn.Linear(body_dim, embedding_dim)
        self.codes = nn.Linear(body_dim, embedding_dim)

    def forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features Z and codes C."""
        H = self.body(X)
        Z, C = (F.normalize(head(H), dim=1) for head in (self.features, self.codes))
        return Z, C


@dataclass(eq=False, repr=False, kw_only=True)
class CodingClustering(ImageClustering):
    """What CPP and PRO-DSC share: the network, its warm-up, and spectral clustering."""

    n_clusters: int = field(default=8, kw_only=False)
    embedding_dim: int = 128
    body_dim: int = 4096
    eta: float = 0.175
    half_steps: int = 5
    epsilon: float = 0.1
    training_steps: int = 720
    warmup_steps: int = 50
    batch_size: int = 1024
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    random_state: RandomState = None
    verbose: bool | None = None

    # Batch normalisation takes no batch of one.
    _bounds: ClassVar[Mapping[str, Bound]] = {
        **dict.fromkeys(("embedding_dim", "body_dim", "half_steps", "training_steps"), whole()),
        "eta": real(0, open_low=True),
        "warmup_steps": whole(-1),
        "batch_size": whole(2),
    }
    _parts: ClassVar[tuple[str, ...]] = ()

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.half_steps % 2 == 0:
            raise ValueError(
                f"half_steps={self.half_steps}: expected an odd number, rows first and last"
            )
        if self.training_steps <= self.warmup_steps + 1:
            raise ValueError(
                f"training_steps={self.training_steps} end within the warm-up: expected more "
                f"than the {self.warmup_steps + 1} steps of warmup_steps={self.warmup_steps}"
            )

    def _losses(self, Z: torch.Tensor, C: torch.Tensor) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def _graph(self, C: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _given(self, *names: str) -> dict[str, Any]:
        names = ("eta", "half_steps", "epsilon", *names)
        return {name: getattr(self, name) for name in names}

    def _fit(
        self, X: np.ndarray, train: np.ndarray, texts: Any, encoder: Encoder | None, seed: int
    ) -> None:
        device = resolve_device(self.device)
        images = torch.from_numpy(train).to(device)
        size = min(self.batch_size, len(train))
        if len(train) < 2:
            raise ValueError("train_images has 1 row: expected at least 2, as a batch has")
        with seeded(seed, device) as generator:
            network = CodingNetwork(X.shape[1], self.body_dim, self.embedding_dim).to(device)
            self.history_ = self._train(network, images, _rows(len(train), size, generator))
        network.eval()
        with torch.no_grad():
            blocks = torch.from_numpy(X).to(device).split(8192)
            pairs = zip(*(network(block) for block in blocks), strict=True)
            self.embeddings_ = [torch.cat(parts).cpu().numpy() for parts in pairs]
        self.embedding_ = unit_rows(self._eigenvectors(self.n_clusters)).astype(np.float32)
        self.labels_ = kmeans_labels(self.embedding_, self.n_clusters, seed)

    def _train(
        self, network: CodingNetwork, images: torch.Tensor, batches: Iterator[torch.Tensor]
    ) -> dict[str, np.ndarray]:
        rest = [*network.body.parameters(), *network.features.parameters()]
        groups = [
            {"params": rest, "weight_decay": self.weight_decay},
            {"params": list(network.codes.parameters()), "weight_decay": HEAD_DECAY},
        ]
        done = 0

        def step(rows: torch.Tensor) -> dict[str, torch.Tensor]:
            Z, C = network(images[rows])
            if done > self.warmup_steps:
                return self._losses(Z, C)
            # No gradient reaches the codes' head: it takes no step, and does not decay.
            rate = coding_rate(Z, self.epsilon)
            return {"loss": -rate, "rate": rate}

        def after_step(number: int, _: Mapping[str, float]) -> dict[str, Any]:
            nonlocal done
            done = number + 1
            if number == self.warmup_steps:
                network.codes.load_state_dict(network.features.state_dict())
            return {}

        return run(
            self.training_steps,
            lambda: [next(batches)],
            step,
            network,
            torch.optim.SGD(groups, lr=self.learning_rate, momentum=MOMENTUM),
            parts=self._parts,
            after_epoch=after_step,
            name=type(self).__name__,
            verbose=self.verbose,
        )

    def _eigenvectors(self, n_vectors: int) -> np.ndarray:
        """Return the leading eigenvectors of the graph of the images, as columns."""
        A = self._graph(torch.from_numpy(self.embeddings_[1])).numpy()
        return spectral_embedding(A, n_vectors, random_state=0)[0]


def _rows(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Give batches without end, of an order that is drawn anew after each pass."""
    while True:
        yield from full_batches(n, size, generator)


@dataclass(eq=False, repr=False, kw_only=True)
class CPP(CodingClustering):
    """Features of large coding rate as a whole and small in groups, then spectral clustering.

    There is no map for new images.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, which the training does not read.
    encoder, precision, device, random_state
        As in every clustering of images.
    embedding_dim : int, default=128
        Width of features and codes.
    body_dim : int, default=4096
        Of both layers of the body.
    eta : float, default=0.175
        Temperature of the membership. The code has 0.13 on CIFAR-20 and 0.1 on CIFAR-100.
    half_steps : int, default=5
        Of Sinkhorn's iteration, odd.
    epsilon : float, default=0.1
        Error that a code of the features may have, squared.
    membership_weight : float, default=0.05
        Of the membership's squares.
    training_steps : int, default=720
        Steps of the training, the warm-up among them: 15 epochs of 50,000 images.
    warmup_steps : int, default=50
        After one step more, which raise the coding rate alone, the head of the features is
        copied to the codes. -1: no warm-up, and nothing is copied.
    batch_size : int, default=1024
        Images of a step; all, where there are fewer. A short batch is dropped.
    learning_rate, weight_decay : float, default=1e-4
        Of stochastic gradient descent; the codes' head decays by 5e-3.
    verbose : bool, optional
        As in `SIC`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each image.
    embedding_ : ndarray of shape (n_samples, n_clusters), float32
        Leading eigenvectors of the membership's graph, rows at unit length.
    embeddings_ : list of two ndarray of shape (n_samples, embedding_dim), float32
        Features and codes.
    history_ : dict
        "loss", "rate", "compressed" and "sharpness" of each step; the last two are NaN in the
        warm-up.

    Notes
    -----
    *Use it* on some thousand images or more, whose classes lie in subspaces once the features
    are trained; not on a few hundred. Features are taken as they come. *Cost*: a step has
    batch_size^2 * embedding_dim^2 products and a determinant an image: 1.0 s of a
    processor core for 687 images by default, without the body; eigenvectors of n x n numbers
    at the end. *Beside it*: `PRODSC`, `SSCOMP` and `CLIPKMeans`.

    Source: the authors' code with the README's setting for CIFAR-10, which its parser does not
    have. Its variant of one head for features and codes is left out.

    *Deviations*. Steps are counted, not epochs: with fewer images the 15 epochs would end
    within the warm-up. The graph is that of all images that are clustered, as in a third
    party's code, VLM4Cluster; the authors' cuts that of a train batch. The code gives a
    membership that is not symmetric to a solver for symmetric matrices, with its column sums;
    here it is the mean with its transpose. Its diagonal does not count, as in the code. One
    k-means of ten starts makes the labels, the code prints the mean of ten. float32, where the
    code mixes precisions. A graph in more pieces than clusters is an error; the code scores it
    0.
    """

    membership_weight: float = 0.05

    _bounds: ClassVar[Mapping[str, Bound]] = {"membership_weight": real(0)}
    _parts = ("rate", "compressed", "sharpness")

    def _losses(self, Z: torch.Tensor, C: torch.Tensor) -> dict[str, torch.Tensor]:
        return total_loss(Z, C, **self._given("membership_weight"))

    def _graph(self, C: torch.Tensor) -> torch.Tensor:
        Pi = membership(C, self.eta, self.half_steps)
        return (Pi + Pi.T) / 2

    def coding_lengths(self, candidates: Sequence[int] = CANDIDATES) -> dict[int, float]:
        """Return the coding length at numbers of clusters; the smallest is CPP's estimate.

        *Deviations*. Of the images that were clustered, in evaluation mode, and of one k-means
        each; the code takes ten train batches in training mode, and the last of ten k-means.
        """
        check_is_fitted(self, "embeddings_")
        Z, found = self.embeddings_[0], {}
        for k in candidates:
            check_n_clusters(k, len(Z))
        vectors = self._eigenvectors(max(candidates))
        for k in candidates:
            rows = unit_rows(vectors[:, :k]).astype(np.float32)
            found[k] = coding_length(Z, kmeans_labels(rows, k, 0), self.epsilon)
        return found
