"""Heads that put features into clusters, the losses that train them, their neighbours."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mvlib.check import check_number
from mvlib.methods.semantic_space import unit_rows
from mvlib.ops import top_k


def distillation_loss(P: torch.Tensor, Q: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how badly the clusters of P and of Q find each other among all of both.

    With c_1, ..., c_2K the columns of P, then those of Q (column k holds the batch's
    probabilities of cluster k) and c_{k'} the partner of c_k, the same cluster by the other
    head:

    L = -mean_k log( e^{cos(c_k, c_{k'})/tau} / sum_{l != k} e^{cos(c_k, c_l)/tau} ).

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch by two heads, or of its neighbours.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape ()

    Notes
    -----
    Source: trained TAC, as in the authors' code (arXiv 2310.11989).
    """
    columns = F.normalize(torch.cat([P.T, Q.T]), dim=1)
    logits = columns @ columns.T / temperature
    own = torch.eye(len(columns), dtype=torch.bool, device=logits.device)
    partners = torch.arange(len(columns), device=logits.device).roll(P.shape[1])
    return F.cross_entropy(logits.masked_fill(own, -torch.inf), partners)


def consistency_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Return -mean_i log(p_i . q_i): small where two heads agree, and are sure.

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch; each row sums to one.

    Returns
    -------
    Tensor of shape ()

    Notes
    -----
    Source: trained TAC, as in the authors' code: binary cross-entropy with 1, whose logarithm
    is never below -100.
    """
    agreement = (P * Q).sum(dim=1).clamp(0, 1)
    return F.binary_cross_entropy(agreement, torch.ones_like(agreement))


def balance_entropy(P: torch.Tensor, floor: float = 1e-9) -> torch.Tensor:
    """Return the entropy of the mean assignment: log K where all clusters are equally large.

    Parameters
    ----------
    P : Tensor of shape (n_samples, n_clusters)
        Assignments of a batch; each row sums to one.
    floor : float, default=1e-9
        Smallest probability inside the logarithm. SIC's is 1e-8.

    Returns
    -------
    Tensor of shape ()
        In nats.
    """
    mean = P.mean(dim=0)
    return -(mean * mean.clamp_min(floor).log()).sum()


def clustering_head(
    n_features: int, n_clusters: int, hidden_dim: int | None = None
) -> nn.Sequential:
    """Return TAC's head: Linear, batch normalisation, ReLU, Linear, softmax.

    Both weights start from a normal distribution of standard deviation 0.02, biases as
    PyTorch has them.

    Parameters
    ----------
    n_features : int
        Width of the features.
    n_clusters : int
        Number of clusters.
    hidden_dim : int, optional
        Width of the hidden layer; by default `n_features`.

    Returns
    -------
    Sequential
        From (n, n_features) to assignments (n, n_clusters).
    """
    hidden_dim = n_features if hidden_dim is None else hidden_dim
    first, last = nn.Linear(n_features, hidden_dim), nn.Linear(hidden_dim, n_clusters)
    for layer in (first, last):
        # Cut at -2 and 2, a hundred standard deviations away.
        nn.init.trunc_normal_(layer.weight, std=0.02)
    return nn.Sequential(first, nn.BatchNorm1d(hidden_dim), nn.ReLU(), last, nn.Softmax(dim=1))


@torch.no_grad()
def assignments(head: nn.Module, X: torch.Tensor, block_rows: int = 8192) -> np.ndarray:
    """Return a head's assignments in evaluation mode; the head stays in that mode.

    Parameters
    ----------
    head : Module
        From features to assignments.
    X : Tensor of shape (n_samples, n_features)
        Features, on the head's device.
    block_rows : int, default=8192
        Rows at a time.

    Returns
    -------
    ndarray of shape (n_samples, n_clusters), float32
    """
    head.eval()
    return torch.cat([head(block) for block in X.split(block_rows)]).cpu().numpy()


def nearest_neighbours(X: np.ndarray, n_neighbors: int, *, device: str = "auto") -> np.ndarray:
    """Return the nearest other rows of each row, by cosine.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        Rows.
    n_neighbors : int
        How many.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_neighbors), int64
        Nearest first, without the row itself.

    Raises
    ------
    ValueError
        If there are not that many other rows.
    """
    check_number("n_neighbors", n_neighbors, low=1, high=len(X) - 1, integer=True)
    unit = unit_rows(X)
    _, nearest = top_k(unit, unit, n_neighbors + 1, device=device)
    own = nearest == np.arange(len(X))[:, None]
    # Among equal rows a row may not be its own first: then the farthest goes.
    own[~own.any(axis=1), -1] = True
    return nearest[~own].reshape(len(X), n_neighbors)


def draw_neighbours(neighbours: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return one of each row's neighbours at random.

    Parameters
    ----------
    neighbours : Tensor of shape (n_samples, n_neighbors), int64
        Row numbers, on the CPU.
    generator : torch.Generator
        Of the draw.

    Returns
    -------
    Tensor of shape (n_samples,), int64
    """
    n_samples, n_neighbors = neighbours.shape
    drawn = torch.randint(n_neighbors, (n_samples, 1), generator=generator)
    return neighbours.gather(1, drawn).squeeze(1)
