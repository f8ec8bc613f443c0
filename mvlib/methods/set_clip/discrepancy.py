"""Maximum mean discrepancy under one Gaussian kernel or a sum of many."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mvlib._validation import check_number
from mvlib.methods.set_clip.distances import check_clouds, joint_squared_distances

# The kernel that the authors' training code calls.
ONE_BANDWIDTH = (1.0,)
# Their other version, never called, has exp(-d^2 / (2 sigma)) with these sigmas.
_SIGMAS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 5, 10, 15, 20, 25, 30, 35, 100)
_SIGMAS += (1e3, 1e4, 1e5, 1e6)
NINETEEN_BANDWIDTHS = tuple(2 * sigma for sigma in _SIGMAS)


def mmd(
    first: torch.Tensor,
    second: torch.Tensor,
    bandwidths: float | Sequence[float] = ONE_BANDWIDTH,
) -> torch.Tensor:
    """Return the squared maximum mean discrepancy of two sets, the biased estimate.

        mean_{A x A} k + mean_{B x B} k - 2 mean_{A x B} k,
        k(x, y) = sum_b exp(-|x - y|^2 / b).

    Parameters
    ----------
    first : Tensor of shape (n_first, n_features)
        A: embeddings of one modality.
    second : Tensor of shape (n_second, n_features)
        B: embeddings of the other. Which rows are partners is not read.
    bandwidths : float or sequence of float, default=(1.0,)
        b of each kernel. `NINETEEN_BANDWIDTHS` are those of the authors' second version.

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
    Source: Gretton et al., "A kernel two-sample test" (JMLR 2012), equation 5. The paper
    speaks of many kernels; the authors' training code calls one, which is the default.

    One matrix product serves all bandwidths, and beside the distances two matrices of the
    batch are kept for the gradient, however many bandwidths there are. The gradient cannot
    be differentiated again.
    """
    check_clouds(first, second)
    widths = _bandwidths(bandwidths)
    squared = joint_squared_distances(first, second)
    n = len(first)
    blocks = squared[:n, :n], squared[n:, n:], squared[:n, n:]
    own_first, own_second, across = (
        _SummedKernel.apply(block, widths).mean() for block in blocks
    )
    return own_first + own_second - 2 * across


def _bandwidths(bandwidths: float | Sequence[float]) -> tuple[float, ...]:
    widths = (bandwidths,) if isinstance(bandwidths, int | float) else tuple(bandwidths)
    if not widths:
        raise ValueError("bandwidths is empty: expected at least one")
    for width in widths:
        check_number("bandwidths", width, low=0, open_low=True)
    return widths


class _SummedKernel(torch.autograd.Function):
    """sum_b exp(-d / b) of squared distances d, with its slope made in the same pass."""

    @staticmethod
    def forward(ctx, squared: torch.Tensor, widths: tuple[float, ...]) -> torch.Tensor:
        total, slope = torch.zeros_like(squared), torch.zeros_like(squared)
        for width in widths:
            kernel = (squared / -width).exp_()
            total += kernel
            slope.sub_(kernel, alpha=1 / width)
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None
