"""Rows of a matrix, one a sample: at length one, as a tensor, and a block at a time."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Return the rows with length one; a row of zeros stays zero.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    ndarray of shape (n_rows, n_features), of the dtype of `X`
    """
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(lengths > 0, lengths, 1)


class BlockedPoints:
    """Points in place, and centred blocks of them.

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        Points. Copied only if they are not float32, C-contiguous and on `device`.
    block_size : int, optional
        Points of a block; by default such that `block_size` * max(`width`, n_features)
        numbers take 2 MB on the CPU, 256 MB on a GPU.
    width : int
        Scores that a caller computes for each point.
    spherical : bool
        Whether points count with length one; the lengths are taken off block by block.
    device : torch.device
        Where they are read.

    Attributes
    ----------
    X : Tensor of shape (n_samples, n_features), float32
        The points as they came.
    mean : Tensor of shape (n_features,), float32
        Their mean (of the unit points, if spherical).
    variance : float
        Their variance, averaged over the features.
    blocks : list of slice
        The blocks.

    Raises
    ------
    ValueError
        If `X` is not numeric, not 2-d, empty, or holds NaN or infinity.
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
        X = as_tensor("X", X)
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
        self.mean = torch.zeros(self.n_features, device=device)
        moments = torch.zeros(2, self.n_features, device=device, dtype=torch.float64)
        for block in self.blocks:
            tile = self.tile(block)
            moments[0] += tile.sum(dim=0, dtype=torch.float64)
            moments[1] += tile.square_().sum(dim=0, dtype=torch.float64)
        if not torch.isfinite(moments).all():
            raise ValueError("X holds NaN or infinity: expected finite numbers")
        moments /= self.n_samples
        self.mean = moments[0].float()
        self.variance = float((moments[1] - moments[0] ** 2).clamp_min(0).mean())

    def tile(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Return the points of some rows, scaled to length one if spherical, less the mean."""
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


def as_tensor(argument: str, array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Return a matrix as a tensor that shares its memory and is only to be read.

    Raises
    ------
    ValueError
        If it is not numeric, not 2-d or empty.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        try:
            tensor = torch.as_tensor(array)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{argument} is not numeric: {error}") from error
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise ValueError(
            f"{argument} has shape {tuple(tensor.shape)}: expected two dimensions, neither of "
            "them 0"
        )
    return tensor
