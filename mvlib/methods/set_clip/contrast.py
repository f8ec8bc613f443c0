"""Set-CLIP's contrast inside a modality, and S-CLIP's captions for unpaired images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mvlib._validation import check_number
from mvlib.methods.set_clip.distances import check_clouds

TEMPERATURE = 0.05
# As in S-CLIP's code.
TRANSPORT_ITERATIONS = 10


def self_supervised_contrastive_loss(
    view_1: torch.Tensor, view_2: torch.Tensor, temperature: float = TEMPERATURE
) -> torch.Tensor:
    """Tell two views of each sample from all views of the others.

    With z_1 ... z_2n all views of n samples, s_ij their cosines and i* the other view of the
    sample of i,

        L = -(1/2n) sum_i log( e^{s_ii*/tau} / sum_{j != i} e^{s_ij/tau} ).

    Parameters
    ----------
    view_1, view_2 : Tensor of shape (n_samples, n_features)
        Embeddings of two views; row i of both is one sample. Their length does not matter.
    temperature : float, default=0.05
        tau.

    Returns
    -------
    Tensor of shape ()
        The mean over all views; log(2 n_samples - 1) where they tell nothing.

    Raises
    ------
    ValueError
        If the views differ in shape or have no row, or the temperature is not above 0.

    Notes
    -----
    Source: the authors' code, for images (views in SimCLR's manner) as for texts (one caption
    under dropout twice). The loss is SimCLR's (Chen et al., ICML 2020, equation 1).
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
    """Return S-CLIP's soft assignment of unpaired images to the paired ones.

    The plan of optimal transport with cost 1 - cos, entropy weight tau and equal masses,
    after `n_iter` iterations of Sinkhorn; rows brought to sum 1.

    Parameters
    ----------
    queries : Tensor of shape (n_queries, n_features)
        Embeddings of images without a partner.
    images : Tensor of shape (n_pairs, n_features)
        Embeddings of images with one.
    temperature : float, default=0.05
        tau, the entropy's weight.
    n_iter : int, default=10
        Iterations; the last update is that of the rows.

    Returns
    -------
    Tensor of shape (n_queries, n_pairs)
        Without gradient. Rows sum to 1.

    Raises
    ------
    ValueError
        If the sets differ in width, one is empty, or a parameter is out of range.

    Notes
    -----
    Source: Mo et al., "S-CLIP: Semi-supervised Vision-Language Learning using Few Specialist
    Captions", arXiv 2305.14095, and its code. *Deviations*: iterated with logarithms, in
    float64. The authors' code lets the gradient pass through the plan; here it is a
    constant, as labels are.
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

        L = -(1/2m) sum_i sum_j t_ij log( e^{s_ij/tau} / sum_k e^{s_ik/tau} ),

    with s_ij the cosine of unpaired image i and the text of pair j, and t_ij as in
    `pseudo_label_plan`.

    Parameters
    ----------
    queries : Tensor of shape (n_queries, n_features)
        Embeddings of images without a partner.
    images, texts : Tensor of shape (n_pairs, n_features)
        Embeddings of the pairs.
    temperature : float, default=0.05
        tau, of the softmax and of the plan.

    Returns
    -------
    Tensor of shape ()
        The half is that of one of two directions, as in the code of S-CLIP.

    Raises
    ------
    ValueError
        If the sets differ in width, one is empty, there are not as many texts as images, or
        the temperature is not above 0.
    """
    if images.shape != texts.shape:
        raise ValueError(
            f"texts has shape {tuple(texts.shape)}: expected {tuple(images.shape)}, as images"
        )
    plan = pseudo_label_plan(queries, images, temperature)
    cosines = F.normalize(queries, dim=1) @ F.normalize(texts, dim=1).T
    return -(plan * (cosines / temperature).log_softmax(dim=1)).sum(dim=1).mean() / 2
