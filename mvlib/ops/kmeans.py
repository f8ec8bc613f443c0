"""k-means by cosine distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import check_choice, check_n_clusters, check_number

INITS = ("draws", "k-means++", "authors")


@dataclass(frozen=True)
class CosineKMeansResult:
    """What one call of `cosine_kmeans` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int64
        The cluster of each point.
    centers : ndarray of shape (n_clusters, n_features), float32
        Means of the unit-length points of each cluster, not themselves of unit length; with
        `init="authors"` means of the points as given, NaN where a cluster emptied.
    inertia : float
        Sum of cosine distances of the points to their centres, NaN where a cluster emptied.
    n_iter : int
        Lloyd iterations of the start that was kept.
    """

    labels: np.ndarray
    centers: np.ndarray
    inertia: float
    n_iter: int


def cosine_kmeans(
    X: np.ndarray | torch.Tensor,
    n_clusters: int,
    *,
    init: str = "k-means++",
    n_init: int = 1,
    n_draws: int = 20,
    max_iter: int = 300,
    tol: float = 1e-4,
    random_state: int | None = None,
) -> CosineKMeansResult:
    """Cluster by direction: Lloyd's algorithm with the distance 1 - cos(x, c).

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        Points. Their length does not matter. A tensor is clustered where it is.
    n_clusters : int
        Number of clusters.
    init : {"k-means++", "draws", "authors"}, default="k-means++"
        "draws" takes, of `n_draws` random choices of points, the one whose points are
        nearest to the points that they would serve: the smallest sum of distances to the
        nearest chosen point. "authors" is the whole procedure of SMART's authors, see Notes;
        its start is known to be worse, and is there to repeat their numbers.
    n_init : int, default=1
        Number of starts; the one with the lowest inertia is kept.
    n_draws : int, default=20
        See `init`.
    max_iter : int, default=300
        Bound on the iterations of a start. The authors' code makes 501.
    tol : float, default=1e-4
        A start ends once the centres together move less than this: the sum of their squared
        shifts, with `init="authors"` the square of the sum of their shifts.
    random_state : int, optional
        Seed. The draws are made on the CPU, so they are the same on every device.

    Returns
    -------
    CosineKMeansResult

    Raises
    ------
    ValueError
        If `X` is not finite or not 2-d, or a parameter is out of range.

    Notes
    -----
    A cluster that loses all its points takes the point farthest from its own centre.

    `init="authors"` follows the code of SMART's authors in every rule: of `n_draws` choices
    of distinct points it takes the one with the smallest sum of distances of *all* points to
    *all* chosen ones, the first of ties, which favours choices huddled near the mean; centres
    are means of the points as given, so that longer points weigh more; the labels are those
    before the last update; a cluster that empties has a centre of NaN, which then takes every
    point and keeps the iteration from ending, so that all points get one label. Their code
    makes one more choice before the first, which it does not use.
    """
    points = torch.as_tensor(X)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"X has shape {tuple(points.shape)}: expected (n_samples, n_features)")
    if not torch.isfinite(points).all():
        raise ValueError("X holds NaN or infinity: expected finite numbers")
    check_n_clusters(n_clusters, len(points))
    check_choice("init", init, INITS)
    for argument, value in (("n_init", n_init), ("n_draws", n_draws), ("max_iter", max_iter)):
        check_number(argument, value, low=1, integer=True)
    check_number("tol", tol, low=0)
    given = points.float()
    points = F.normalize(given, dim=1)
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    else:
        generator.manual_seed(check_number("random_state", random_state, low=0, integer=True))
    best = None
    for _ in range(n_init):
        if init == "authors":
            rows = _authors_draw(points, n_clusters, n_draws, generator)
            found = _authors_lloyd(given, points, rows, max_iter, tol)
        elif init == "draws":
            centers = _best_of_draws(points, n_clusters, n_draws, generator)
            found = _lloyd(points, centers, max_iter, tol)
        else:
            found = _lloyd(points, _plus_plus(points, n_clusters, generator), max_iter, tol)
        labels, centers, inertia, n_iter = found
        if best is None or math.isnan(best.inertia) or inertia < best.inertia:
            best = CosineKMeansResult(
                labels.cpu().numpy(), centers.cpu().numpy(), inertia, n_iter
            )
    return best


def _nearest(points: torch.Tensor, centers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (points @ F.normalize(centers, dim=1).T).max(dim=1)


def _draws(
    points: torch.Tensor, n_clusters: int, n_draws: int, generator: torch.Generator
) -> torch.Tensor:
    draws = [
        torch.randperm(len(points), generator=generator)[:n_clusters] for _ in range(n_draws)
    ]
    return torch.stack(draws).to(points.device)


def _best_of_draws(
    points: torch.Tensor, n_clusters: int, n_draws: int, generator: torch.Generator
) -> torch.Tensor:
    rows = _draws(points, n_clusters, n_draws, generator)
    # One product for all draws: ten times quicker than one product a draw.
    cosines = points @ points[rows.flatten()].T
    totals = cosines.view(len(points), n_draws, n_clusters).amax(dim=2).sum(dim=0)
    return points[rows[int(totals.argmax())]]


def _authors_draw(
    points: torch.Tensor, n_clusters: int, n_draws: int, generator: torch.Generator
) -> torch.Tensor:
    rows = _draws(points, n_clusters, n_draws, generator)
    # Cosines add up: those of all points with a row are the row's product with their sum.
    cosines = points[rows].double() @ points.sum(dim=0, dtype=torch.float64)
    return rows[int(cosines.sum(dim=1).argmax())]


def _authors_lloyd(
    given: torch.Tensor, points: torch.Tensor, rows: torch.Tensor, max_iter: int, tol: float
) -> tuple[torch.Tensor, torch.Tensor, float, int]:
    centers = given[rows]
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        cosine, labels = _nearest(points, centers)
        counts = torch.bincount(labels, minlength=len(centers))
        moved = torch.zeros_like(centers).index_add_(0, labels, given) / counts.unsqueeze(1)
        shift = float((moved - centers).norm(dim=1).sum()) ** 2
        if math.isnan(shift):
            return torch.zeros_like(labels), moved, math.nan, max_iter
        if shift < tol:
            break
        centers = moved
    return labels, moved, float((1 - cosine).sum()), n_iter


def _plus_plus(
    points: torch.Tensor, n_clusters: int, generator: torch.Generator
) -> torch.Tensor:
    rows = [int(torch.randint(len(points), (1,), generator=generator))]
    distance = 1 - points @ points[rows[0]]
    for _ in range(1, n_clusters):
        weights = distance.clamp_min(0).double().cpu()
        if float(weights.sum()) == 0:
            weights = torch.ones_like(weights)
        # Cumulated weights, since torch.multinomial stops at 2^24 points.
        target = torch.rand(1, generator=generator, dtype=torch.float64) * weights.sum()
        row = int(torch.searchsorted(weights.cumsum(0), target).clamp_max(len(points) - 1))
        rows.append(row)
        distance = torch.minimum(distance, 1 - points @ points[row])
    return points[rows]


def _lloyd(
    points: torch.Tensor, centers: torch.Tensor, max_iter: int, tol: float
) -> tuple[torch.Tensor, torch.Tensor, float, int]:
    n_clusters = len(centers)
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        cosine, labels = _nearest(points, centers)
        counts = torch.bincount(labels, minlength=n_clusters)
        for empty in (counts == 0).nonzero().flatten().tolist():
            # A cluster of one point would only swap its emptiness with this one.
            lone = counts[labels] == 1
            farthest = int(cosine.masked_fill(lone, 2).argmin())
            counts[labels[farthest]] -= 1
            labels[farthest], counts[empty], cosine[farthest] = empty, 1, 2
        sums = torch.zeros_like(centers).index_add_(0, labels, points)
        moved = sums / counts.unsqueeze(1)
        shift = float(((moved - centers) ** 2).sum())
        centers = moved
        if shift < tol:
            break
    cosine, labels = _nearest(points, centers)
    return labels, centers, float((1 - cosine).sum()), n_iter
