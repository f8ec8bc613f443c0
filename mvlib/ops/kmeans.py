"""k-means: by distance and by direction, from several starts, a block of points at a time.

One seeding and one Lloyd iteration serve `cosine_kmeans`, `blocked_kmeans` and `faiss_kmeans`,
which differ in their first centres, in what an empty cluster does and in when a start ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import (
    RandomState,
    check_choice,
    check_n_clusters,
    check_number,
    resolve_seed,
    warn_fewer,
)
from mvlib.ops.device import PRECISIONS, fast_products, resolve_device, seeded_generator
from mvlib.ops.rows import BlockedPoints, as_tensor
from mvlib.ops.seeding import (
    best_draw,
    first_centers,
    first_of_permutation,
    pairwise,
    plus_plus_rows,
    random_draws,
)

INITS = ("draws", "k-means++", "authors")
BLOCKED_INITS = ("k-means++", "random")


@dataclass(frozen=True)
class KMeansResult:
    """What one call of a k-means found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int64
        The cluster of each point.
    centers : ndarray of shape (n_clusters, n_features), float32
        The centres, fewer where fewer points are distinct: of unit length if spherical,
        except from `cosine_kmeans`, whose are means of unit points, or of points as given,
        NaN where a cluster emptied, with `init="authors"`.
    inertia : float
        Sum of squared distances of the points to the centres of their clusters; of 1 - cos
        by direction. NaN where a cluster emptied with `init="authors"`.
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
    random_state: RandomState = None,
) -> KMeansResult:
    """Cluster by direction: Lloyd's algorithm with the distance 1 - cos(x, c).

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        Points, of any length. A tensor is clustered where it is.
    n_clusters : int
        Number of clusters.
    init : {"k-means++", "draws", "authors"}, default="k-means++"
        "draws" takes, of `n_draws` random choices of points, that of the smallest sum of
        distances of all points to the nearest chosen one. "authors" repeats a published
        procedure, see Notes; its start is known to be worse.
    n_init : int, default=1
        Number of starts; the one with the lowest inertia is kept.
    n_draws : int, default=20
        See `init`.
    max_iter : int, default=300
        Bound on the iterations of a start; 501 in the published procedure.
    tol : float, default=1e-4
        A start ends once the centres together move less than this: the sum of their squared
        shifts, with `init="authors"` the square of the sum of their shifts.
    random_state : int, Generator, RandomState, optional
        Seed. The draws are made on the CPU, so they are the same on every device.

    Raises
    ------
    ValueError
        If `X` is not finite or not 2-d, or a parameter is out of range.

    Notes
    -----
    A cluster that loses all its points takes the point farthest from its own centre, and all
    that equal it. Of fewer distinct points than clusters each is a cluster of its own, and a
    `ConvergenceWarning` tells so; points count as one whose directions differ by rounding.

    `init="authors"` follows the code of arXiv 2512.15396 in every rule: of `n_draws` choices of
    distinct points it takes the one with the smallest sum of distances of *all* points to *all*
    chosen ones, the first of ties, which favours choices huddled near the mean; centres are
    means of the points as given, so that longer points weigh more; the labels are those before
    the last update; a cluster that empties has a centre of NaN, which then takes every point
    and keeps the iteration from ending, so that all points get one label. That code makes one
    more choice before the first, which it does not use.
    """
    check_choice("init", init, INITS)
    _check_counts(n_init=n_init, n_draws=n_draws, max_iter=max_iter)
    check_number("tol", tol, low=0)
    check_number("n_clusters", n_clusters, low=1, integer=True)
    given = as_tensor("X", X, np.float32).float()
    points = BlockedPoints(given, width=n_clusters, spherical=True, device=given.device)
    check_n_clusters(n_clusters, points.n_samples)
    generator = seeded_generator(random_state)

    def start() -> KMeansResult:
        if init == "authors":
            return _authors(given, n_clusters, n_draws, max_iter, tol, generator)
        if init == "draws":
            rows = best_draw(points, n_clusters, n_draws, generator)
        else:
            options: dict[str, Any] = {"block_size": points.block_size, "generator": generator}
            rows = torch.arange(points.n_samples)
            rows = plus_plus_rows(points.tile, rows, n_clusters, n_candidates=1, **options)
        centers = points.tile(rows) + points.mean
        return _lloyd(points, centers, max_iter, threshold=tol, unit=False)

    return _told(_best(start() for _ in range(n_init)), n_clusters)


def blocked_kmeans(
    X: np.ndarray | torch.Tensor,
    n_clusters: int,
    *,
    spherical: bool = False,
    init: str | np.ndarray = "k-means++",
    subsample: int | None = 30,
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    precision: str = "float32",
    block_size: int | None = None,
    device: str = "auto",
    random_state: RandomState = None,
) -> KMeansResult:
    """Cluster by Lloyd's algorithm, a block of points at a time.

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        Points, never changed. Read where they are if they are float32, C-contiguous and on
        `device`; copied once otherwise.
    n_clusters : int
        Number of clusters, K.
    spherical : bool, default=False
        Cluster by direction: points count with length one (a zero stays zero) and centres are
        means brought back to length one.
    init : {"k-means++", "random"} or ndarray of shape (n_clusters, n_features)
        How the first centres are drawn, or the centres themselves (then there is one start).
    subsample : int, optional, default=30
        Centres are drawn from `subsample` * K points chosen at random. None: from all.
    n_init, max_iter, random_state : int
        As for `cosine_kmeans`.
    tol : float, default=1e-4
        A start ends once the sum of the centres' squared shifts is at most `tol` times the mean
        variance of a feature (as in scikit-learn), or no label changes.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the products between points and centres while iterating; sums, and the labels and the
        inertia that are returned, are float32.
    block_size : int, optional
        Points of a block. By default such that a block's scores take 2 MB on a CPU.
    device : str, default="auto"
        See `resolve_device`.

    Raises
    ------
    ValueError
        If `X` is not 2-d, empty or not finite, or a parameter is out of range.

    Notes
    -----
    Memory beyond `X`: (block_size, K) scores, (block_size, n_features) points and a few numbers
    a point; never (n_samples, K). The mean of the points is taken off points and centres first:
    distances stay as they are, and rounding (in bfloat16 above all) no longer hides small
    differences between large similarities. Empty clusters, and fewer distinct points than
    clusters, as for `cosine_kmeans`.

    Source: Lloyd 1982; first centres by Arthur and Vassilvitskii 2007; spherical k-means by
    Dhillon and Modha 2001.
    """
    check_choice("precision", precision, PRECISIONS)
    _check_counts(n_init=n_init, max_iter=max_iter, n_clusters=n_clusters)
    for argument, value in (("subsample", subsample), ("block_size", block_size)):
        if value is not None:
            check_number(argument, value, low=1, integer=True)
    check_number("tol", tol, low=0)
    on: dict[str, Any] = {"block_size": block_size, "device": resolve_device(device)}
    points = BlockedPoints(X, width=n_clusters, spherical=spherical, **on)
    n_clusters = check_n_clusters(n_clusters, points.n_samples)
    if isinstance(init, str):
        check_choice("init", init, BLOCKED_INITS)
    else:
        n_init = 1
    generator = seeded_generator(random_state)
    rules: dict[str, Any] = {
        "threshold": tol * points.variance,
        "unit": spherical,
        "precision": precision,
    }

    def start() -> KMeansResult:
        centers = first_centers(points, n_clusters, init, subsample, generator)
        return _lloyd(points, centers, max_iter, **rules)

    return _told(_best(start() for _ in range(n_init)), n_clusters)


def faiss_kmeans(
    X: np.ndarray,
    n_clusters: int,
    *,
    n_init: int = 1,
    max_iter: int = 300,
    max_points: int = 256,
    device: str = "auto",
    random_state: RandomState = None,
) -> KMeansResult:
    """Cluster by direction with the rules of faiss's spherical k-means.

    Random rows as first centres, no tolerance, and the start of the largest sum of inner
    products.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Points, taken with the length they have.
    n_clusters, n_init, device : int, int and str
        As for `blocked_kmeans`.
    max_iter : int, default=300
        Iterations of a start. One whose labels repeat with no cluster empty would only repeat
        itself, and ends.
    max_points : int, default=256
        Centres are learnt from `max_points` rows a cluster at most, the same for all starts.
    random_state : int, optional
        Seed. 1234 is faiss's own and gives the draws of `faiss.Kmeans`.

    Returns
    -------
    KMeansResult
        Labels of all rows by inner product with unit centres; a cluster may be empty.

    Raises
    ------
    ValueError
        If `X` is not 2-d, empty or not finite, or a parameter is out of range.

    Notes
    -----
    Source: faiss's code (`Clustering`). The objective of a start is that of its last
    assignment, taken before its last update. An empty cluster takes a copy of one drawn by
    size, the two pushed apart by 1/1024 of each coordinate.
    """
    _check_counts(
        n_init=n_init, max_iter=max_iter, max_points=max_points, n_clusters=n_clusters
    )
    seed = resolve_seed(random_state)
    on: dict[str, Any] = {
        "width": n_clusters,
        "spherical": False,
        "device": resolve_device(device),
    }
    points = learnt = BlockedPoints(X, **on)
    n_clusters = check_n_clusters(n_clusters, points.n_samples)
    if points.n_samples > max_points * n_clusters:
        rows = first_of_permutation(points.n_samples, max_points * n_clusters, seed)
        learnt = BlockedPoints(points.X[rows], **on)

    def start(number: int) -> KMeansResult:
        drawn = seed + 1 + number * 15486557
        rows = first_of_permutation(learnt.n_samples, n_clusters, drawn)
        centers = F.normalize(learnt.X[rows], dim=1)
        return _lloyd(learnt, centers, max_iter, threshold=-1.0, unit=True, split=True)

    # Centres have unit length: the smallest distances are the largest inner products.
    best = _best(start(number) for number in range(n_init))
    centers = torch.from_numpy(best.centers).to(points.device)
    labels = _nearest(points, centers)
    cosines = F.cosine_similarity(points.X, centers[labels], dim=1)
    return KMeansResult(
        labels.cpu().numpy(), best.centers, float((1 - cosines).sum()), best.n_iter
    )


def _check_counts(**counts: int) -> None:
    for argument, value in counts.items():
        check_number(argument, value, low=1, integer=True)


def _best(starts: Iterable[KMeansResult]) -> KMeansResult:
    return min(starts, key=lambda found: (math.isnan(found.inertia), found.inertia))


def _told(found: KMeansResult, n_clusters: int) -> KMeansResult:
    if len(found.centers) < n_clusters:
        warn_fewer(len(found.centers), n_clusters)
    return found


def _lloyd(
    points: BlockedPoints,
    centers: torch.Tensor,
    max_iter: int,
    *,
    threshold: float,
    unit: bool,
    split: bool = False,
    precision: str = "float32",
) -> KMeansResult:
    """Iterate Lloyd's two steps until the squared shifts are small or no label changes.

    `unit` brings means back to length one. An empty cluster takes the farthest point, and the
    labels are those of the last centres; with `split` it takes half of another, and the inertia
    is that of the last assignment, before the last update.
    """
    if not split:
        centers = _apart(points, centers)
    labels = torch.empty(0, dtype=torch.int64, device=centers.device)
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        before, labels = labels, _nearest(points, centers, precision)
        counts = torch.bincount(labels, minlength=len(centers))
        full = bool(counts.all())
        if not full and not split:
            centers, full = _fill(points, labels, centers, counts), True
        assigned, moved = centers, points.means(labels, counts)
        if not full:
            _split(moved, counts.tolist(), points.n_samples)
        if unit:
            lengths = torch.linalg.vector_norm(moved, dim=1, keepdim=True)
            # A mean of length zero, as of two opposite points, has no direction.
            moved = torch.where(lengths > 0, moved / lengths, centers)
        centers = moved
        stable = full and torch.equal(before, labels)
        if stable or float((moved - assigned).square_().sum()) <= threshold:
            break
    if not split:
        labels = _nearest(points, centers)
        counts = torch.bincount(labels, minlength=len(centers))
        if not counts.all():
            centers = _fill(points, labels, centers, counts)
        assigned = centers
    inertia = float(_squared_distances(points, labels, assigned).sum())
    return KMeansResult(
        labels.cpu().numpy(),
        centers.cpu().numpy(),
        inertia / 2 if points.spherical else inertia,
        n_iter,
    )


def _apart(points: BlockedPoints, centers: torch.Tensor) -> torch.Tensor:
    """Move first centres that stand where another does to the farthest points.

    Where no point stands elsewhere they are left out, so that equal points share a cluster.
    """
    placed = _directions(points, centers) - points.mean
    # A product of matrices finds who may be equal; its rounding tells equal rows apart.
    near = pairwise(placed, placed) <= 1e-5 * placed.square().sum(dim=1).max()
    later, earlier = near.tril(-1).nonzero().T
    equal = (placed[later] - placed[earlier]).square().sum(dim=1) <= points.resolution
    kept = torch.ones(len(centers), dtype=torch.bool, device=points.device)
    kept[later[equal]] = False
    if kept.all():
        return centers
    missing, centers = int((~kept).sum()), centers[kept]
    distances = _squared_distances(points, _nearest(points, centers), centers)
    for _ in range(missing):
        row = int(distances.argmax())
        if distances[row] <= points.resolution:
            break
        new = points.tile(slice(row, row + 1)) + points.mean
        centers = torch.cat([centers, new])
        everything = torch.zeros(points.n_samples, dtype=torch.int64, device=points.device)
        distances = torch.minimum(distances, _squared_distances(points, everything, new))
    return centers


def _directions(points: BlockedPoints, centers: torch.Tensor) -> torch.Tensor:
    return F.normalize(centers, dim=1) if points.spherical else centers


def _nearest(
    points: BlockedPoints, centers: torch.Tensor, precision: str = "float32"
) -> torch.Tensor:
    """Return the nearest centre of each point."""
    centred = _directions(points, centers) - points.mean
    bias = torch.linalg.vector_norm(centred, dim=1).square_().div_(-2)
    low = precision == "bfloat16"
    factor = (centred.bfloat16() if low else centred).T
    labels = torch.empty(points.n_samples, dtype=torch.int64, device=points.device)
    for block in points.blocks:
        tile = points.tile(block)
        if low:
            with fast_products(points.device, precision):
                scores = torch.mm(tile.bfloat16(), factor).float().add_(bias)
        else:
            scores = torch.addmm(bias, tile, factor)
        # On the CPU NumPy's argmax takes a seventh of the time of torch's.
        on_cpu = scores.device.type == "cpu"
        found = scores.numpy().argmax(axis=1) if on_cpu else scores.argmax(dim=1)
        labels[block] = torch.as_tensor(found)
    return labels


def _fill(
    points: BlockedPoints, labels: torch.Tensor, centers: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Give each empty cluster, in labels and counts too, the point farthest from its centre."""
    centers = centers.clone()
    distances = _squared_distances(points, labels, centers)
    for cluster in (counts == 0).nonzero().flatten().tolist():
        # A cluster of one point would only swap its emptiness with this one.
        row = int(distances.masked_fill(counts[labels] == 1, -1).argmax())
        if distances[row] <= points.resolution:
            break
        centers[cluster] = points.tile(slice(row, row + 1))[0] + points.mean
        # With all that stand at that place.
        here = torch.full_like(labels, cluster)
        same = _squared_distances(points, here, centers) <= points.resolution
        same[row] = True
        counts -= torch.bincount(labels[same], minlength=len(counts))
        labels[same], counts[cluster], distances[same] = cluster, int(same.sum()), -1
    return centers


def _squared_distances(
    points: BlockedPoints, labels: torch.Tensor, centers: torch.Tensor
) -> torch.Tensor:
    centred = _directions(points, centers) - points.mean
    distances = torch.empty(points.n_samples, dtype=torch.float64, device=points.device)
    for block in points.blocks:
        shifts = points.tile(block) - centred[labels[block]]
        distances[block] = shifts.square_().sum(dim=1).double()
    return distances


def _authors(
    given: torch.Tensor,
    n_clusters: int,
    n_draws: int,
    max_iter: int,
    tol: float,
    generator: torch.Generator,
) -> KMeansResult:
    """Follow the published code of `init="authors"`, whose rules are none of the others'."""
    points = F.normalize(given, dim=1)
    rows = random_draws(len(points), n_clusters, n_draws, generator).to(points.device)
    # Cosines add up: those of all points with a row are the row's product with their sum.
    totals = (points[rows].double() @ points.sum(dim=0, dtype=torch.float64)).sum(dim=1)
    centers = given[rows[int(totals.argmax())]]
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        cosine, labels = (points @ F.normalize(centers, dim=1).T).max(dim=1)
        counts = torch.bincount(labels, minlength=n_clusters)
        before, sums = centers, torch.zeros_like(centers).index_add_(0, labels, given)
        centers = sums / counts.unsqueeze(1)
        shift = float((centers - before).norm(dim=1).sum()) ** 2
        if math.isnan(shift):
            labels, cosine, n_iter = torch.zeros_like(labels), cosine * math.nan, max_iter
            break
        if shift < tol:
            break
    inertia = float((1 - cosine).sum())
    return KMeansResult(labels.cpu().numpy(), centers.cpu().numpy(), inertia, n_iter)


def _split(centers: torch.Tensor, sizes: list[int], n_samples: int) -> None:
    """Give each empty cluster, in place, half of one drawn with probability ~ its size."""
    draws = np.random.RandomState(1234)
    push = torch.ones(centers.shape[1], device=centers.device)
    push[0::2] += 1 / 1024
    push[1::2] -= 1 / 1024
    for empty in range(len(sizes)):
        if sizes[empty]:
            continue
        full = 0
        # faiss's draw: a 32-bit number as a float in [0, 1].
        while draws.randint(0, 2**32, dtype=np.uint32) / 4294967295 >= (sizes[full] - 1) / (
            max(n_samples - len(sizes), 1)
        ):
            full = (full + 1) % len(sizes)
        centers[empty] = centers[full] * push
        centers[full] *= 2 - push
        sizes[empty] = sizes[full] // 2
        sizes[full] -= sizes[empty]
