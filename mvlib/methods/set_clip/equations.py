"""Set-CLIP's equations: its losses, and their sum.

Source: "Set-CLIP: Exploring Aligned Semantic From Low-Alignment Multimodal Data Through A
Distribution View", arXiv 2406.05766 (first version: "Gentle-CLIP"). The paper's full text was
not at hand: each function follows the authors' code ("as coded"), of which only the part for
images (I) and texts (T) is public. S-CLIP's loss, at the end, is not part of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F

from mvlib.check import check_number
from mvlib.ops.contrastive import contrast_of_pairs
from mvlib.ops.discrepancy import check_clouds, joint_squared_distances, mmd

PARTS = ("contrast_1", "contrast_2", "sdd", "mmd", "clip", "pseudo_label")
TEMPERATURE = 0.05
BANDWIDTH = 0.5
# The authors' code multiplies each kernel of the density by 3 and divides their sum by 16,
# whatever the number of points.
_GAIN, _SHARE = 3.0, 16.0
# The paper speaks of many kernels for the MMD; the authors' training code calls this one.
ONE_BANDWIDTH = (1.0,)
# Their other version, never called, has exp(-d^2 / (2 sigma)) with these sigmas.
_SIGMAS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 5, 10, 15, 20, 25, 30, 35, 100)
NINETEEN_BANDWIDTHS = tuple(2 * sigma for sigma in (*_SIGMAS, 1e3, 1e4, 1e5, 1e6))
# As in S-CLIP's code.
TRANSPORT_ITERATIONS = 10


@dataclass(frozen=True)
class Objective:
    """What Set-CLIP minimises on a batch.

        L = w_1 L_1 + w_2 L_2 + w_sdd L_sdd + w_mmd L_mmd + w_clip L_clip  (Set-CLIP, as coded)

    L_1 and L_2 tell the views of a sample apart from others, in each modality; the rest reads
    first views alone. Of `PARTS`, those of weight 0 are not computed.
    """

    weights: Mapping[str, float]
    temperature: float = TEMPERATURE
    density_bandwidth: float = BANDWIDTH
    normalized_density: bool = False
    mmd_bandwidths: tuple[float, ...] = ONE_BANDWIDTH

    def __call__(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        others: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None),
        n_paired: int = 0,
    ) -> dict[str, torch.Tensor]:
        """Return the losses that count on this batch, unweighted, and "loss", their sum.

        `first` and `second` are I and T, embeddings of unit length, whose first `n_paired` rows
        are partners; `others` are second views of both, None where the contrast has no weight.
        Without a pair there is no "clip" and no "pseudo_label", which needs rows of I without
        one, too.
        """
        w, tau = self.weights, self.temperature
        found: dict[str, torch.Tensor] = {}
        if w["contrast_1"] and others[0] is not None:
            found["contrast_1"] = self_supervised_contrastive_loss(first, others[0], tau)
        if w["contrast_2"] and others[1] is not None:
            found["contrast_2"] = self_supervised_contrastive_loss(second, others[1], tau)
        if w["sdd"]:
            found["sdd"] = semantic_density_distribution_loss(
                first, second, self.density_bandwidth, self.normalized_density
            )
        if w["mmd"]:
            # L_mmd = mean k(I,I) + mean k(T,T) - 2 mean k(I,T)  (Set-CLIP, as coded)
            found["mmd"] = mmd(first, second, self.mmd_bandwidths)
        if w["clip"] and n_paired:
            # L_clip = -mean_pairs log[p(t|i) p(i|t)]/2 over all rows  (Set-CLIP, as coded)
            rows = torch.arange(n_paired, device=first.device)
            found["clip"] = contrast_of_pairs(first, second, tau, rows, rows)
        if w["pseudo_label"] and 0 < n_paired < len(first):
            found["pseudo_label"] = pseudo_label_loss(
                first[n_paired:], first[:n_paired], second[:n_paired], tau
            )
        if not found:
            raise ValueError(
                f"weights={dict(w)} count no loss of a batch with {n_paired} pairs among "
                f"{len(first)} rows: expected one, such as sdd, or pairs and rows without"
            )
        weighted = (w[name] * loss for name, loss in found.items())
        return found | {"loss": reduce(torch.add, weighted)}


def density(
    points: torch.Tensor, data: torch.Tensor, bandwidth: float = BANDWIDTH
) -> torch.Tensor:
    """Return the kernel density of points x under a set D, of at least two points.

        K(x|D) = (3/16) sum_{z in D} exp(-|z-x|^2/(v(D) 4h^2))/(2 pi h^2)  (Set-CLIP, as coded)

    with v(D) the trace of the unbiased covariance of D. Not a density in the strict sense: it
    grows with the number of points of D, and integrates to no constant. A point of D counts
    itself, as in the authors' code. *Deviations*: a v(D) of 0, where all points of D coincide,
    counts as the smallest normal number; the authors' code divides by 0.
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

        L_sdd = [J(I,T) + J(T,I)] (1/r_I + 1/r_T)  (Set-CLIP, as coded)
        J(A,B) = sum_{x in A} p log(p/q) + q log(q/p),  p = K(x|A),  q = K(x|B)

    with r_X the sum over the dimensions of (max - min)^2 in the set X. It is 0 or more, and
    which rows are partners is not read. Computed as (p - q)(log p - log q) from logarithms,
    from one matrix product.

    If `normalized`, p and q are first divided by their sums over the points of A, so that J is
    Jeffreys' divergence of two distributions on those points. As the authors' code has it they
    are not, and the loss grows with the square of the batch. At a batch of 64 the normalised
    loss is some hundreds of times smaller: the paper's weight of the one is not that of the
    other.

    *Deviations*: sets of unequal sizes, which the authors do not meet, are compared at the size
    of the points' own set, q being multiplied by n_A / n_B. A range r_X of 0 counts as the
    smallest normal number.
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


def self_supervised_contrastive_loss(
    view_1: torch.Tensor, view_2: torch.Tensor, temperature: float = TEMPERATURE
) -> torch.Tensor:
    """Tell two views of each sample from all views of the others.

        L_1 = -mean_i log( e^{s_ii*/tau} / sum_{j!=i} e^{s_ij/tau} )  (Set-CLIP, as coded)

    with s_ij the cosines of all 2n views of n samples, and i* the other view of the sample
    of i. It is log(2n - 1) where the views tell nothing. The authors' code has it for images
    (views in SimCLR's manner) as for texts (one caption under dropout twice). It is the loss of
    SimCLR (Chen et al., ICML 2020, equation 1).
    """
    if view_1.shape != view_2.shape:
        raise ValueError(
            f"view_2 has shape {tuple(view_2.shape)}: expected {tuple(view_1.shape)}, as "
            "view_1 has"
        )
    check_clouds(view_1, view_2)
    check_number("temperature", temperature, low=0, open_low=True)
    views = F.normalize(torch.cat([view_1, view_2]), dim=1)
    own = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = (views @ views.T / temperature).masked_fill(own, -torch.inf)
    partners = torch.arange(len(views), device=views.device).roll(len(view_1))
    return F.cross_entropy(logits, partners)


@torch.no_grad()
def pseudo_label_plan(
    queries: torch.Tensor,
    images: torch.Tensor,
    temperature: float = TEMPERATURE,
    n_iter: int = TRANSPORT_ITERATIONS,
) -> torch.Tensor:
    """Return S-CLIP's soft assignment of unpaired images to the paired ones, without gradient.

    The plan of optimal transport with cost 1 - cos, entropy weight tau and equal masses, after
    `n_iter` iterations of Sinkhorn, the last of them an update of the rows; rows brought to sum
    1.

    Source: Mo et al., "S-CLIP: Semi-supervised Vision-Language Learning using Few Specialist
    Captions", arXiv 2305.14095, and its code. *Deviations*: iterated with logarithms, in
    float64. The authors' code lets the gradient pass through the plan; here it is a constant,
    as labels are.
    """
    check_clouds(queries, images)
    check_number("temperature", temperature, low=0, open_low=True)
    check_number("n_iter", n_iter, low=1, integer=True)
    cosines = F.normalize(queries, dim=1) @ F.normalize(images, dim=1).T
    scores = (cosines.double() - 1) / temperature
    # Equal masses only shift the potentials: the last step takes every shift off.
    rows = torch.zeros_like(scores[:, 0])
    for _ in range(n_iter):
        columns = -(scores + rows.unsqueeze(1)).logsumexp(dim=0)
        rows = -(scores + columns).logsumexp(dim=1)
    return (scores + rows.unsqueeze(1) + columns).softmax(dim=1).to(queries.dtype)


def pseudo_label_loss(
    queries: torch.Tensor,
    images: torch.Tensor,
    texts: torch.Tensor,
    temperature: float = TEMPERATURE,
) -> torch.Tensor:
    """Teach unpaired images the captions of the paired images that are like them.

        L_pseudo = -(1/2) mean_i sum_j t_ij log( e^{s_ij/tau} / sum_k e^{s_ik/tau} )  (S-CLIP)

    with s_ij the cosine of unpaired image i and the text of pair j, and t_ij as in
    `pseudo_label_plan`. The half is that of one of two directions, as in the code of S-CLIP.
    """
    if images.shape != texts.shape:
        raise ValueError(
            f"texts has shape {tuple(texts.shape)}: expected {tuple(images.shape)}, as images"
        )
    plan = pseudo_label_plan(queries, images, temperature)
    cosines = F.normalize(queries, dim=1) @ F.normalize(texts, dim=1).T
    return -(plan * (cosines / temperature).log_softmax(dim=1)).sum(dim=1).mean() / 2
