"""Which rows of two modalities make a batch of Set-CLIP."""

from __future__ import annotations

import math

import numpy as np
import torch

SAMPLINGS = ("independent", "same_instances")
Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """How a batch is divided between pairs and other rows, as `SetCLIP` says of its parameters.

    A batch has `n_paired` pairs, its first rows, in the same order in both modalities, and
    `n_unpaired` further rows of each, or as many as there are. An epoch has `n_steps` batches,
    as many as the larger modality fills.
    """

    def __init__(
        self,
        lengths: tuple[int, int],
        pairs: np.ndarray,
        batch_size: int,
        pairs_per_batch: int | None = None,
        sampling: str = "independent",
    ):
        self.pairs, self.same = pairs, sampling == "same_instances"
        if self.same and (lengths[0] != lengths[1] or (pairs[:, 0] != pairs[:, 1]).any()):
            raise ValueError(
                "sampling='same_instances' takes row i of both modalities for one sample: "
                f"expected equal lengths (they are {lengths[0]} and {lengths[1]}) and pairs "
                "(i, i)"
            )
        wanted = pairs_per_batch
        if wanted is None:
            share = round(batch_size * len(pairs) / max(lengths))
            wanted = max(2, share) if len(pairs) else 0
        self.pools = [np.setdiff1d(np.arange(lengths[v]), pairs[:, v]) for v in range(2)]
        self.n_paired = min(wanted, len(pairs), batch_size)
        # A batch asked to be all pairs takes nothing else, even where there are fewer.
        free = 0 if wanted >= batch_size else batch_size - self.n_paired
        self.n_unpaired = tuple(min(free, len(pool)) for pool in self.pools)
        self.n_steps = math.ceil(max(lengths) / batch_size)
        if min(self.n_paired + n for n in self.n_unpaired) < 2:
            raise ValueError(
                f"pairs has {len(pairs)} rows and a batch would take {self.n_paired} of them "
                f"and {self.n_unpaired} others: expected at least 2 rows of each modality"
            )

    def draw(self, generator: torch.Generator) -> list[Batch]:
        """Return an epoch's batches, row numbers, from pools that are shuffled and repeated."""
        order = _shuffled(self.pairs, generator)
        first = _shuffled(self.pools[0], generator)
        second = first if self.same else _shuffled(self.pools[1], generator)
        batches = []
        for step in range(self.n_steps):
            known = _slice(order, self.n_paired, step)
            others = (
                _slice(pool, n, step)
                for pool, n in zip((first, second), self.n_unpaired, strict=True)
            )
            one, two = (torch.cat([known[:, v], rows]) for v, rows in enumerate(others))
            batches.append((one, two))
        return batches


def _shuffled(rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
    return torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)]


def _slice(rows: torch.Tensor, size: int, step: int) -> torch.Tensor:
    return rows[(torch.arange(size) + step * size) % len(rows)] if size else rows[:0]
