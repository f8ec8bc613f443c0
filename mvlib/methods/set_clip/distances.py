"""Squared distances of all points of a batch, from one matrix product."""

from __future__ import annotations

import torch


def check_clouds(first: torch.Tensor, second: torch.Tensor, least: int = 1) -> None:
    """Check two sets of points of one space.

    Raises
    ------
    ValueError
        If they are not 2-d, differ in width, or one has fewer than `least` points.
    """
    for name, points in (("first", first), ("second", second)):
        if points.ndim != 2 or points.shape[1] == 0:
            raise ValueError(
                f"{name} has shape {tuple(points.shape)}: expected (n_samples, n_features)"
            )
        if len(points) < least:
            raise ValueError(f"{name} has {len(points)} points: expected at least {least}")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"second has {second.shape[1]} features: expected {first.shape[1]}, as first has"
        )


def joint_squared_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the squared distances among all points of two sets.

    Parameters
    ----------
    first : Tensor of shape (n_first, n_features)
        Points of one set.
    second : Tensor of shape (n_second, n_features)
        Points of the other.

    Returns
    -------
    Tensor of shape (n_first + n_second, n_first + n_second)
        The points of `first` come first. The diagonal is 0.

    Notes
    -----
    One product, |x|^2 + |y|^2 - 2 x.y, after the mean of all points is taken off: distances
    stay as they are, and small ones lose less to rounding.
    """
    points = torch.cat([first, second])
    points = points - points.detach().mean(dim=0)
    lengths = points.square().sum(dim=1)
    squared = torch.addmm(lengths, points, points.T, alpha=-2) + lengths.unsqueeze(1)
    own = torch.eye(len(points), dtype=torch.bool, device=points.device)
    return squared.clamp_min(0).masked_fill(own, 0)
