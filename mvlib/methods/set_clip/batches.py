"""Which rows of two modalities make a batch of Set-CLIP."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

SAMPLINGS = ("independent", "same_instances")
Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """How the rows of an epoch are drawn.

    `pools` are the rows of each modality that are in no pair. A batch has `n_paired` pairs, its
    first rows, in the same order in both modalities, and `n_unpaired` further rows of each,
    which under `same_instances` are of the same numbers in both.
    """

    pairs: np.ndarray
    pools: tuple[np.ndarray, np.ndarray]
    n_paired: int
    n_unpaired: tuple[int, int]
    n_steps: int
    same_instances: bool


def plan_batches(
    lengths: tuple[int, int],
    pairs: np.ndarray,
    batch_size: int,
    pairs_per_batch: int | None = None,
    sampling: str = "independent",
) -> BatchPlan:
    """Divide a batch between pairs and other rows, as `SetCLIP` says of its parameters.

    An epoch has as many batches as the larger modality fills. A modality with fewer rows
    without a pair than a batch would take gives those it has.
    """
    same = sampling == "same_instances"
    if same and (lengths[0] != lengths[1] or (pairs[:, 0] != pairs[:, 1]).any()):
        raise ValueError(
            "sampling='same_instances' takes row i of both modalities for one sample: "
            f"expected equal lengths (they are {lengths[0]} and {lengths[1]}) and pairs (i, i)"
        )
    largest = max(lengths)
    if pairs_per_batch is None:
        wanted = max(2, round(batch_size * len(pairs) / largest)) if len(pairs) else 0
    else:
        wanted = pairs_per_batch
    pools = tuple(
        np.setdiff1d(np.arange(length), pairs[:, v]) for v, length in enumerate(lengths)
    )
    n_paired = min(wanted, len(pairs), batch_size)
    # A batch asked to be all pairs takes nothing else, even where there are fewer.
    free = 0 if wanted >= batch_size else batch_size - n_paired
    n_unpaired = tuple(min(free, len(pool)) for pool in pools)
    if min(n_paired + n for n in n_unpaired) < 2:
        raise ValueError(
            f"pairs has {len(pairs)} rows and a batch would take {n_paired} of them and "
            f"{n_unpaired} others: expected at least 2 rows of each modality"
        )
    return BatchPlan(pairs, pools, n_paired, n_unpaired, math.ceil(largest / batch_size), same)


def draw_epoch(plan: BatchPlan, generator: torch.Generator) -> list[Batch]:
    """Return the batches of one epoch: row numbers of both modalities, no row twice in a batch.

    Each pool is shuffled once an epoch and passed through, over and over if it is short.
    """
    order = _shuffled(plan.pairs, generator)
    first = _shuffled(plan.pools[0], generator)
    second = first if plan.same_instances else _shuffled(plan.pools[1], generator)
    batches = []
    for step in range(plan.n_steps):
        known = _slice(order, plan.n_paired, step)
        others = (
            _slice(pool, n, step)
            for pool, n in zip((first, second), plan.n_unpaired, strict=True)
        )
        batches.append(tuple(torch.cat([known[:, v], rows]) for v, rows in enumerate(others)))
    return batches


def _shuffled(rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
    return torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)]


def _slice(rows: torch.Tensor, size: int, step: int) -> torch.Tensor:
    if size == 0:
        return rows[:0]
    return rows[(torch.arange(size) + step * size) % len(rows)]
