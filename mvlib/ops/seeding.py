"""First centres of k-means: drawn, from exactly the distribution of k-means++, or by faiss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.ops.rows import BlockedPoints


def first_centers(
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
            points.tile, rows, n_clusters, block_size=points.block_size, generator=generator
        )
    return points.tile(rows) + points.mean


def plus_plus_rows(
    tile: Callable[[torch.Tensor], torch.Tensor],
    rows: torch.Tensor,
    n_clusters: int,
    *,
    block_size: int,
    n_candidates: int | None = None,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw centres by k-means++, many at a time, from exactly its distribution.

    k-means++ draws each centre with probability ~ D(x)^2, the squared distance to the nearest
    centre so far (Arthur and Vassilvitskii 2007, section 2.2). Here candidates are drawn in
    batches from the D^2 at the batch's start, and kept with probability D_now^2 / D_start^2
    (rejection sampling), which takes only their distances to those kept before in the batch;
    one matrix product a batch brings D^2 up to date. `tile` gives the points of some of the
    `rows`. Draws are made on the CPU, the same on every device; with one candidate at a time it
    is k-means++ as written.
    """
    if n_candidates is None:
        # Larger batches save passes over the points, smaller ones waste fewer candidates.
        n_candidates = max(32, n_clusters // 8)
    kept = [int(torch.randint(len(rows), (1,), generator=generator))]
    distance = np.full(len(rows), np.inf)
    n_folded = 0
    while True:
        fresh = tile(rows[kept[n_folded:]])
        for start in range(0, len(rows), block_size):
            block = slice(start, start + block_size)
            near = pairwise(tile(rows[block]), fresh).amin(dim=1).cpu().numpy()
            np.minimum(distance[block], near, out=distance[block])
        distance[kept] = 0
        n_folded = len(kept)
        if n_folded == n_clusters:
            return rows[kept]
        total = distance.cumsum()
        if total[-1] == 0:
            # The points that are left coincide with centres: any of them will do.
            free = np.setdiff1d(np.arange(len(rows)), kept)
            order = torch.randperm(len(free), generator=generator)[: n_clusters - n_folded]
            return rows[kept + free[order.numpy()].tolist()]
        # The first of a batch is kept whatever is drawn for it: alone it needs no second draw.
        shape = (min(2, n_candidates), n_candidates)
        draw = torch.rand(shape, generator=generator, dtype=torch.float64).numpy()
        found = np.searchsorted(total, draw[0] * total[-1], side="right")
        found = found.clip(max=len(rows) - 1)
        if n_candidates == 1:
            kept += found[distance[found] > 0].tolist()
            continue
        points = tile(rows[torch.from_numpy(found)])
        between = pairwise(points, points).cpu().numpy()
        now = distance[found]
        for candidate, row in enumerate(found.tolist()):
            if draw[-1, candidate] * distance[row] < now[candidate] and len(kept) < n_clusters:
                kept.append(row)
                now = np.minimum(now, between[candidate])
                now[found == row] = 0


def pairwise(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    of_a, of_b = (torch.linalg.vector_norm(x, dim=1).square_() for x in (a, b))
    return torch.addmm(of_b, a, b.T, alpha=-2).add_(of_a.unsqueeze(1)).clamp_min_(0)


def random_draws(n: int, size: int, n_draws: int, generator: torch.Generator) -> torch.Tensor:
    return torch.stack([torch.randperm(n, generator=generator)[:size] for _ in range(n_draws)])


def best_draw(
    points: BlockedPoints, n_clusters: int, n_draws: int, generator: torch.Generator
) -> torch.Tensor:
    """Return of several draws the one whose points are nearest to those they would serve."""
    rows = random_draws(points.n_samples, n_clusters, n_draws, generator)
    # One product for all draws: ten times quicker than one product a draw.
    drawn = points.tile(rows.flatten())
    totals = torch.zeros(n_draws, dtype=torch.float64, device=points.device)
    for block in points.blocks:
        distances = pairwise(points.tile(block), drawn).view(-1, n_draws, n_clusters)
        totals += distances.amin(dim=2).sum(dim=0)
    return rows[int(totals.argmin())]


def first_of_permutation(n: int, size: int, seed: int) -> list[int]:
    """Return the head of faiss's permutation: Fisher and Yates with a Mersenne twister."""
    raw = np.random.RandomState(seed % 2**32).randint(0, 2**32, size, dtype=np.uint32)
    order = np.arange(n)
    for i, number in enumerate(raw.tolist()):
        j = i + number % (n - i)
        order[[i, j]] = order[[j, i]]
    return order[:size].tolist()
