"""Set-CLIP's semantic density distribution loss.

Source: "Set-CLIP: Exploring Aligned Semantic From Low-Alignment Multimodal Data Through A
Distribution View", arXiv 2406.05766 (first version: "Gentle-CLIP"). The paper's full text was
not at hand: each function follows the authors' code.
"""

from __future__ import annotations

import math

import torch

from mvlib._validation import check_number
from mvlib.methods.set_clip.distances import check_clouds, joint_squared_distances

BANDWIDTH = 0.5
# The authors' code multiplies each kernel by 3 and divides their sum by 16, whatever the
# number of points.
_GAIN, _SHARE = 3.0, 16.0


def density(
    points: torch.Tensor, data: torch.Tensor, bandwidth: float = BANDWIDTH
) -> torch.Tensor:
    """Return the kernel density of points under a set, as the authors' code has it.

        K(x | D) = (1/16) sum_{z in D} 3 exp(-|z - x|^2 / (4 h^2 v(D))) / (2 pi h^2),

    with v(D) the trace of the unbiased covariance of D.

    Parameters
    ----------
    points : Tensor of shape (n_points, n_features)
        x.
    data : Tensor of shape (n_data, n_features)
        D, at least two points.
    bandwidth : float, default=0.5
        h, in units of the spread of D.

    Returns
    -------
    Tensor of shape (n_points,)
        Positive. Not a density in the strict sense: it grows with the number of points of D,
        and integrates to no constant.

    Raises
    ------
    ValueError
        If the sets differ in width, `data` has fewer than two points, or `bandwidth` is not
        above 0.

    Notes
    -----
    A point of D counts itself, as in the authors' code. *Deviations*: a v(D) of 0, where all
    points of D coincide, counts as the smallest normal number; the authors' code divides by 0.
    """
    check_clouds(points, data)
    check_number("bandwidth", bandwidth, low=0, open_low=True)
    if len(data) < 2:
        raise ValueError(f"data has {len(data)} points: expected at least 2, for a variance")
    squared = joint_squared_distances(points, data)[: len(points), len(points) :]
    return _log_density(squared, data, bandwidth).exp()


def semantic_density_distribution_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    bandwidth: float = BANDWIDTH,
    normalized: bool = False,
) -> torch.Tensor:
    """Return the divergence of two sets, seen through the densities at their own points.

        L_sdd = [J(A, B) + J(B, A)] (1/r_A + 1/r_B),
        J(A, B) = sum_{x in A} p log(p/q) + q log(q/p),  p = K(x | A),  q = K(x | B),

    with r_X the sum over the dimensions of (max - min)^2 in the set X.

    Parameters
    ----------
    first : Tensor of shape (n_first, n_features)
        A: embeddings of one modality, at least two; of unit length in the paper.
    second : Tensor of shape (n_second, n_features)
        B: embeddings of the other. Which rows are partners is not read.
    bandwidth : float, default=0.5
        h of `density`.
    normalized : bool, default=False
        Whether p and q are first divided by their sums over the points of A (in J(B, A) of
        B), so that J is Jeffreys' divergence of two distributions on those points. As the
        authors' code has it they are not, and the loss grows with the square of the batch. At
        a batch of 64 the normalised loss is some hundreds of times smaller: the paper's
        weight of the one is not that of the other.

    Returns
    -------
    Tensor of shape ()
        L_sdd, from 0.

    Raises
    ------
    ValueError
        If the sets differ in width, one has fewer than two points, or `bandwidth` is not
        above 0.

    Notes
    -----
    Computed as (p - q)(log p - log q) from logarithms, from one matrix product.

    *Deviations*: sets of unequal sizes, which the authors do not meet, are compared at the
    size of the points' own set, q being multiplied by n_A / n_B (in J(B, A): n_B / n_A). A
    range r_X of 0 counts as the smallest normal number.
    """
    check_clouds(first, second, least=2)
    check_number("bandwidth", bandwidth, low=0, open_low=True)
    squared = joint_squared_distances(first, second)
    inside = slice(None, len(first)), slice(len(first), None)
    total, scale = first.new_zeros(()), first.new_zeros(())
    for own, other in ((0, 1), (1, 0)):
        sets = first, second
        rows = squared[inside[own]]
        log_p = _log_density(rows[:, inside[own]], sets[own], bandwidth)
        log_q = _log_density(rows[:, inside[other]], sets[other], bandwidth)
        log_q = log_q + math.log(len(sets[own]) / len(sets[other]))
        if normalized:
            log_p = log_p - log_p.logsumexp(dim=0)
            log_q = log_q - log_q.logsumexp(dim=0)
        total = total + ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()
        extent = (sets[own].amax(dim=0) - sets[own].amin(dim=0)).square().sum()
        scale = scale + 1 / extent.clamp_min(torch.finfo(extent.dtype).tiny)
    return total * scale


def _log_density(squared: torch.Tensor, data: torch.Tensor, bandwidth: float) -> torch.Tensor:
    spread = data.var(dim=0).sum().clamp_min(torch.finfo(data.dtype).tiny)
    constant = math.log(_GAIN / (_SHARE * 2 * math.pi * bandwidth**2))
    return (squared / (-4 * bandwidth**2 * spread)).logsumexp(dim=1) + constant
