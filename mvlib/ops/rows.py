"""Rows of a matrix, one a sample: at length one, as a tensor, and a block at a time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import as_numbers


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Return the rows of a matrix with length one; a row of zeros stays zero.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows, of a dtype that stays.
    """
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(lengths > 0, lengths, 1)


class BlockedPoints:
    """Points in place, and centred blocks of them, float32, on one device.

    A caller computes `width` scores for each point. By default `block_size` * max(`width`,
    n_features) numbers take 2 MB on the CPU, 256 MB on a GPU. `spherical` points count with
    length one; the lengths are taken off block by block. `X` is copied only if it is not
    float32, C-contiguous and on `device`. `mean` and `variance` (a mean over the features) are
    of what counts.
    """

    def __init__(
        self,
        X: np.ndarray | torch.Tensor,
        *,
        width: int,
        spherical: bool,
        device: torch.device,
        block_size: int | None = None,
    ) -> None:
        X = as_tensor("X", X, np.float32)
        self.X = X.to(device, torch.float32).contiguous()
        self.n_samples, self.n_features = X.shape
        self.spherical, self.device = spherical, device
        if block_size is None:
            # On a CPU more would be a few per cent quicker, and take more memory than faiss.
            budget = 2**19 if device.type == "cpu" else 2**26
            block_size = max(budget // max(width, self.n_features), 1)
        self.block_size = min(block_size, self.n_samples)
        self.blocks = [
            slice(start, min(start + self.block_size, self.n_samples))
            for start in range(0, self.n_samples, self.block_size)
        ]
        self.scale = torch.ones(self.n_samples, device=device)
        if spherical:
            norms = torch.linalg.vector_norm(self.X, dim=1)
            self.scale = 1 / norms.clamp_min(torch.finfo(torch.float32).tiny)
        self.mean, self._tile = torch.zeros(self.n_features, device=device), None
        moments = torch.zeros(2, self.n_features, device=device, dtype=torch.float64)
        for block in self.blocks:
            tile = self.tile(block)
            moments[0] += tile.sum(dim=0, dtype=torch.float64)
            moments[1] += tile.square().sum(dim=0, dtype=torch.float64)
        if not torch.isfinite(moments).all():
            raise ValueError("X holds NaN or infinity: expected finite numbers")
        moments /= self.n_samples
        self.mean = moments[0].float()
        # Squared distances up to here are rounding: of directions, of points as they came none.
        self.resolution = 1e-11 if spherical else 0.0
        self.variance = float((moments[1] - moments[0] ** 2).clamp_min(0).mean())
        # One block is centred once: on a few hundred points that takes a fifth of the time.
        self._tile = self.tile(self.blocks[0]) if len(self.blocks) == 1 else None

    def tile(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Return some points, of length one if spherical, less the mean; to be read only."""
        if self._tile is not None:
            return self._tile[rows]
        return torch.addcmul(-self.mean, self.X[rows], self.scale[rows].unsqueeze(1))

    def means(self, labels: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the mean of each cluster, of so many points: zero where there are none."""
        # Over sorted labels: quicker than index_add_, and the same on every run of a GPU.
        order = labels.argsort(stable=True)
        sums = F.embedding_bag(
            order,
            self.X,
            counts.cumsum(0) - counts,
            mode="sum",
            per_sample_weights=self.scale[order] if self.spherical else None,
        )
        return sums.div_(counts.clamp_min(1).unsqueeze(1))


def as_tensor(argument: str, array: Any, dtype: Any = None) -> torch.Tensor:
    """Return a numeric matrix as a tensor that shares its memory and is only to be read."""
    tensor = array.detach() if isinstance(array, torch.Tensor) else None
    if tensor is None:
        numbers = as_numbers(array, argument, dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.as_tensor(numbers)
    if tensor.is_complex():
        raise ValueError(f"{argument} is not numeric: it holds complex numbers")
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise ValueError(
            f"{argument} has shape {tuple(tensor.shape)}: expected two dimensions, neither of "
            "them 0"
        )
    return tensor
