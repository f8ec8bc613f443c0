"""Maximum mean discrepancy under one Gaussian kernel or a sum of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from mvlib.check import check_number


def mmd(
    first: torch.Tensor, second: torch.Tensor, bandwidths: float | Sequence[float] = 1.0
) -> torch.Tensor:
    """Return the squared maximum mean discrepancy of two sets, the biased estimate.

        MMD^2 = mean_{A x A} k + mean_{B x B} k - 2 mean_{A x B} k,
        k(x, y) = sum_b exp(-|x - y|^2 / b).

    Parameters
    ----------
    first, second : Tensor of shape (n_first, n_features) and (n_second, n_features)
        A and B. Which rows are partners is not read.
    bandwidths : float or sequence of float, default=1.0
        b of each kernel.

    Returns
    -------
    Tensor of shape ()
        From 0 to 2 for each bandwidth; above 0 for two samples of one distribution.

    Raises
    ------
    ValueError
        If the sets differ in width, one is empty, or a bandwidth is not above 0.

    Notes
    -----
    Source: Gretton et al., "A kernel two-sample test" (JMLR 2012), equation 5.

    One matrix product serves all bandwidths, and beside the distances two matrices of the
    batch are kept for the gradient, however many bandwidths there are. The gradient cannot
    be differentiated again.
    """
    check_clouds(first, second)
    widths = tuple(bandwidths) if isinstance(bandwidths, Iterable) else (bandwidths,)
    if not widths:
        raise ValueError("bandwidths is empty: expected at least one")
    for width in widths:
        check_number("bandwidths", width, low=0, open_low=True)
    squared = joint_squared_distances(first, second)
    n = len(first)
    blocks = squared[:n, :n], squared[n:, n:], squared[:n, n:]
    own_first, own_second, across = (
        _SummedKernel.apply(block, widths).mean() for block in blocks
    )
    return own_first + own_second - 2 * across


def check_clouds(first: torch.Tensor, second: torch.Tensor, least: int = 1) -> None:
    """Check two sets of at least so many points of one space."""
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
    """Return the squared distances among all points of two sets, those of `first` first.

    One product, |x|^2 + |y|^2 - 2 x.y, after the mean of all points is taken off: distances
    stay as they are, and small ones lose less to rounding. The diagonal is 0.
    """
    points = torch.cat([first, second])
    points = points - points.detach().mean(dim=0)
    lengths = points.square().sum(dim=1)
    squared = torch.addmm(lengths, points, points.T, alpha=-2) + lengths.unsqueeze(1)
    own = torch.eye(len(points), dtype=torch.bool, device=points.device)
    return squared.clamp_min(0).masked_fill(own, 0)


class _SummedKernel(torch.autograd.Function):
    """sum_b exp(-d / b) of squared distances d, with its slope made in the same pass."""

    @staticmethod
    def forward(ctx, squared: torch.Tensor, widths: tuple[float, ...]) -> torch.Tensor:
        total, slope = torch.zeros_like(squared), torch.zeros_like(squared)
        for width in widths:
            # What underflows takes ten times as long; below e^-80 a pair adds nothing.
            kernel = (squared / -width).clamp_min_(-80).exp_()
            total += kernel
            slope.sub_(kernel, alpha=1 / width)
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None
