"""k-means of many points into many clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import check_choice, check_n_clusters, check_number
from mvlib.ops.device import PRECISIONS, resolve_device
from mvlib.ops.points import BlockedPoints, as_tensor
from mvlib.ops.seeding import plus_plus_rows

INITS = ("k-means++", "random")


@dataclass(frozen=True)
class KMeansResult:
    """What one call of `blocked_kmeans` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int64
        The cluster of each point.
    centers : ndarray of shape (n_clusters, n_features), float32
        The centres; unit vectors if spherical.
    inertia : float
        Sum of squared distances of the points to the centres of their clusters; if
        spherical, the sum of 1 - cos.
    n_iter : int
        Lloyd iterations of the start that was kept.
    """

    labels: np.ndarray
    centers: np.ndarray
    inertia: float
    n_iter: int


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
    random_state: int | None = None,
) -> KMeansResult:
    """Cluster by Lloyd's algorithm, a block of points at a time.

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        Points. Read where they are if they are float32, C-contiguous and on `device`;
        copied once otherwise. Never changed.
    n_clusters : int
        Number of clusters, K.
    spherical : bool, default=False
        Cluster by direction: points count with length one (a zero stays zero) and centres
        are means brought back to length one.
    init : {"k-means++", "random"} or ndarray of shape (n_clusters, n_features)
        How the first centres are drawn, or the centres themselves (then there is one start).
    subsample : int, optional, default=30
        Centres are drawn from `subsample` * K points chosen at random. None: from all.
    n_init : int, default=1
        Number of starts; the one with the lowest inertia is kept.
    max_iter : int, default=300
        Bound on the iterations of a start.
    tol : float, default=1e-4
        A start ends once the sum of the centres' squared shifts is at most `tol` times the
        mean variance of a feature (as in scikit-learn), or no label changes.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the products between points and centres while iterating. Sums, and the labels and
        the inertia that are returned, are float32 either way.
    block_size : int, optional
        Points of a block. By default such that a block's scores take 2 MB on a CPU.
    device : str, default="auto"
        See `resolve_device`.
    random_state : int, optional
        Seed. The draws are made on the CPU, so they are the same on every device.

    Returns
    -------
    KMeansResult

    Raises
    ------
    ValueError
        If `X` is not 2-d, empty or not finite, or a parameter is out of range.

    Notes
    -----
    Memory beyond `X`: (block_size, K) scores, (block_size, n_features) points and a few
    numbers a point; never (n_samples, K).

    Points and centres are scored after the mean of the points is taken off both. Distances
    stay as they are, and rounding (in bfloat16 above all) no longer hides small differences
    between large similarities.

    A cluster that loses all its points takes the point farthest from its own centre.

    Source: Lloyd 1982; first centres by Arthur and Vassilvitskii 2007; spherical k-means by
    Dhillon and Modha 2001.
    """
    check_choice("precision", precision, PRECISIONS)
    for argument, value in (("n_init", n_init), ("max_iter", max_iter)):
        check_number(argument, value, low=1, integer=True)
    for argument, value in (("subsample", subsample), ("block_size", block_size)):
        if value is not None:
            check_number(argument, value, low=1, integer=True)
    check_number("tol", tol, low=0)
    check_number("n_clusters", n_clusters, low=1, integer=True)
    points = BlockedPoints(
        X,
        width=n_clusters,
        spherical=spherical,
        block_size=block_size,
        device=resolve_device(device),
    )
    n_clusters = check_n_clusters(n_clusters, points.n_samples)
    if isinstance(init, str):
        check_choice("init", init, INITS)
    else:
        n_init = 1
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    else:
        generator.manual_seed(check_number("random_state", random_state, low=0, integer=True))
    best = None
    for _ in range(n_init):
        centers = _first_centers(points, n_clusters, init, subsample, generator)
        found = _lloyd(points, centers, max_iter, tol, precision)
        if best is None or found.inertia < best.inertia:
            best = found
    return best


def faiss_kmeans(
    X: np.ndarray,
    n_clusters: int,
    *,
    n_init: int = 1,
    max_iter: int = 300,
    max_points: int = 256,
    device: str = "auto",
    random_state: int | None = None,
) -> KMeansResult:
    """Cluster by direction with the rules of faiss's spherical k-means.

    Random rows as first centres, at most `max_points` rows a centre to learn from, no
    tolerance, and the start of the largest sum of inner products.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Points, taken with the length they have.
    n_clusters : int
        Number of clusters, K.
    n_init : int, default=1
        Number of starts.
    max_iter : int, default=300
        Iterations of a start. One whose labels repeat with no cluster empty would only
        repeat itself, and ends.
    max_points : int, default=256
        Centres are learnt from `max_points` * K random rows, the same for all starts.
    device : str, default="auto"
        See `resolve_device`.
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
    Source: as in faiss's code (`Clustering`), which TAC's authors call. The objective of a
    start is that of its last assignment, taken before its last update. An empty cluster takes
    a copy of one drawn by size, the two pushed apart by 1/1024 of each coordinate.
    """
    for argument, value in (("n_init", n_init), ("max_iter", max_iter)):
        check_number(argument, value, low=1, integer=True)
    check_number("max_points", max_points, low=1, integer=True)
    check_number("n_clusters", n_clusters, low=1, integer=True)
    if random_state is None:
        random_state = int(np.random.SeedSequence().generate_state(1)[0])
    seed = check_number("random_state", random_state, low=0, integer=True)
    points = as_tensor("X", X).to(resolve_device(device), torch.float32)
    if not torch.isfinite(points).all():
        raise ValueError("X holds NaN or infinity: expected finite numbers")
    n_clusters = check_n_clusters(n_clusters, len(points))
    learnt = points
    if len(points) > max_points * n_clusters:
        learnt = points[_first_of_permutation(len(points), max_points * n_clusters, seed)]
    best = None
    for start in range(n_init):
        rows = _first_of_permutation(len(learnt), n_clusters, seed + 1 + start * 15486557)
        found = _faiss_start(learnt, F.normalize(learnt[rows], dim=1), max_iter)
        if best is None or found[0] > best[0]:
            best = found
    _, centers, n_iter = best
    labels = _argmax(points @ centers.T)
    cosines = F.cosine_similarity(points, centers[labels], dim=1)
    return KMeansResult(
        labels.cpu().numpy(), centers.cpu().numpy(), float((1 - cosines).sum()), n_iter
    )


def _first_of_permutation(n: int, size: int, seed: int) -> list[int]:
    """Return the head of faiss's permutation: Fisher and Yates with a Mersenne twister."""
    raw = np.random.RandomState(seed % 2**32).randint(0, 2**32, size, dtype=np.uint32)
    order = np.arange(n)
    for i, number in enumerate(raw.tolist()):
        j = i + number % (n - i)
        order[[i, j]] = order[[j, i]]
    return order[:size].tolist()


def _faiss_start(
    points: torch.Tensor, centers: torch.Tensor, max_iter: int
) -> tuple[float, torch.Tensor, int]:
    before = None
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        similarities = points @ centers.T
        labels = _argmax(similarities)
        objective = float(similarities.gather(1, labels.unsqueeze(1)).sum(dtype=torch.float64))
        counts = torch.bincount(labels, minlength=len(centers))
        if before is not None and counts.all() and torch.equal(before, labels):
            break
        before = labels
        centers = torch.zeros_like(centers).index_add_(0, labels, points)
        centers /= counts.clamp_min(1).unsqueeze(1)
        if not counts.all():
            _split(centers, counts.tolist(), len(points))
        centers = F.normalize(centers, dim=1)
    return objective, centers, n_iter


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


def _first_centers(
    points: BlockedPoints,
    n_clusters: int,
    init: str | np.ndarray,
    subsample: int | None,
    generator: torch.Generator,
) -> torch.Tensor:
    if not isinstance(init, str):
        centers = torch.as_tensor(init).to(points.device, torch.float32)
        expected = (n_clusters, points.n_features)
        if tuple(centers.shape) != expected or not torch.isfinite(centers).all():
            raise ValueError(
                f"init has shape {tuple(centers.shape)}: expected a name or finite centres of "
                f"shape {expected}"
            )
        return F.normalize(centers, dim=1) if points.spherical else centers.clone()
    rows = torch.randperm(points.n_samples, generator=generator)
    if init == "random":
        rows = rows[:n_clusters]
    else:
        if subsample is not None:
            rows = rows[: subsample * n_clusters].sort().values
        rows = plus_plus_rows(
            points.tile,
            rows,
            n_clusters,
            block_size=points.block_size,
            generator=generator,
        )
    return points.tile(rows) + points.mean


def _lloyd(
    points: BlockedPoints, centers: torch.Tensor, max_iter: int, tol: float, precision: str
) -> KMeansResult:
    labels = None
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        before, (labels, centers) = labels, _assign(points, centers, precision)
        moved = points.means(labels, len(centers))
        if points.spherical:
            lengths = torch.linalg.vector_norm(moved, dim=1, keepdim=True)
            # A mean of length zero, as of two opposite points, has no direction.
            moved = torch.where(lengths > 0, moved / lengths, centers)
        shift = float(centers.sub_(moved).square_().sum())
        centers = moved
        if shift <= tol * points.variance or (
            before is not None and torch.equal(before, labels)
        ):
            break
    labels, centers = _assign(points, centers, "float32")
    inertia = float(_squared_distances(points, labels, centers).sum())
    return KMeansResult(
        labels.cpu().numpy(),
        centers.cpu().numpy(),
        inertia / 2 if points.spherical else inertia,
        n_iter,
    )


def _assign(
    points: BlockedPoints, centers: torch.Tensor, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest centre of each point, and centres of which none is left without."""
    centred = centers - points.mean
    bias = torch.linalg.vector_norm(centred, dim=1).square_().div_(-2)
    low = precision == "bfloat16"
    factor = (centred.bfloat16() if low else centred).T
    labels = torch.empty(points.n_samples, dtype=torch.int64, device=points.device)
    for block in points.blocks:
        tile = points.tile(block)
        if low:
            scores = torch.mm(tile.bfloat16(), factor).float().add_(bias)
        else:
            scores = torch.addmm(bias, tile, factor)
        labels[block] = _argmax(scores)
    counts = torch.bincount(labels, minlength=len(centers))
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        centers = centers.clone()
        distances = _squared_distances(points, labels, centers)
        for cluster in empty:
            # A cluster of one point would only swap its emptiness with this one.
            row = int(distances.masked_fill(counts[labels] == 1, -1).argmax())
            counts[labels[row]] -= 1
            labels[row], counts[cluster], distances[row] = cluster, 1, -1
            centers[cluster] = points.tile(slice(row, row + 1))[0] + points.mean
    return labels, centers


def _argmax(scores: torch.Tensor) -> torch.Tensor:
    # On the CPU NumPy's argmax takes a seventh of the time of torch's.
    if scores.device.type == "cpu":
        return torch.from_numpy(scores.numpy().argmax(axis=1))
    return scores.argmax(dim=1)


def _squared_distances(
    points: BlockedPoints, labels: torch.Tensor, centers: torch.Tensor
) -> torch.Tensor:
    centred = centers - points.mean
    distances = torch.empty(points.n_samples, dtype=torch.float64, device=points.device)
    for block in points.blocks:
        tile = points.tile(block).sub_(centred[labels[block]])
        distances[block] = tile.square_().sum(dim=1).double()
    return distances
