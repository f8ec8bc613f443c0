"""TAC's equations: the nouns kept, the counterparts, the losses of the heads and their sum.

Source: "Image Clustering with External Guidance", arXiv 2310.11989 (ICML 2024). Each function
follows the authors' code ("as coded").
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import check_number
from mvlib.methods.words import check_pair, softmax_blocks, weighted_sums
from mvlib.ops import top_k, unit_rows

PARTS = ("distillation", "consistency", "entropy")


def filter_nouns(
    nouns: np.ndarray,
    centres: np.ndarray,
    top: int = 5,
    *,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return the nouns that tell the centres apart: TAC's filter.

    Each noun goes to the centre of its largest softmax over the centres (without a
    temperature); each centre keeps the `top` of its nouns by that softmax.

        p_jl = exp(cos(u_j, c_l)) / sum_m exp(cos(u_j, c_m))  (TAC, as coded)

    Parameters
    ----------
    nouns : array-like of shape (n_words, n_features)
        Text features.
    centres : array-like of shape (n_centers, n_features)
        Centres of the images, from `semantic_centres`.
    top : int, default=5
        Nouns a centre; fewer where fewer went to it. Equal rows take a place each.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds unit rows, products and softmax to half precision, in which the
        authors' code computes. Ties are common then.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_kept,), int64
        Rows of `nouns`, ascending.

    Raises
    ------
    ValueError
        If widths differ, values are not finite, or `top` is not a positive integer.

    Notes
    -----
    Source: TAC's code (arXiv 2310.11989). Nouns and centres are L2-normalised before their
    product.

    *Deviations*. Ties go to the lower centre and the lower row; in the code their order is
    undefined.
    """
    centres, nouns = check_pair(centres, nouns, ("centres", "nouns"))
    check_number("top", top, low=1, integer=True)
    confidence = np.empty(len(nouns), dtype=np.float32)
    nearest = np.empty(len(nouns), dtype=np.int64)
    for rows, weights in softmax_blocks(nouns, centres, 1.0, device, precision):
        best = weights.max(dim=1)
        confidence[rows], nearest[rows] = best.values.cpu(), best.indices.cpu()
    order = np.lexsort((np.arange(len(nouns)), -confidence, nearest))
    sizes = np.bincount(nearest, minlength=len(centres))
    rank = np.arange(len(nouns)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < top])


def softmax_counterpart(
    X: np.ndarray,
    nouns: np.ndarray,
    temperature: float = 0.005,
    *,
    normalize: bool = True,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return TAC's counterparts: what each image is in the nouns near it.

        x_i^u = sum_j softmax_j(cos(x_i, u_j) / tau) u_j  (TAC, as coded)

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    nouns : array-like of shape (n_words, n_features)
        Text features of the kept nouns.
    temperature : float, default=0.005
        tau.
    normalize : bool, default=True
        Whether to divide each counterpart by its L2 norm.
    precision : {"float32", "float16"}, default="float32"
        "float16" rounds every step to half precision, in which the authors' code computes.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If the widths differ, values are not finite, or the temperature is not positive.

    Notes
    -----
    Source: TAC's code (arXiv 2310.11989): softmax, weighted sum, L2. The rows of `X` and
    `nouns` are L2-normalised first: TAC stores them otherwise, but divided by 0.005 only
    cosines leave a softmax over more than one noun.
    """
    X, nouns = check_pair(X, nouns)
    blocks = softmax_blocks(X, nouns, temperature, device, precision)
    return weighted_sums(blocks, nouns, len(X), normalize, precision)


def total_loss(
    P: torch.Tensor,
    Q: torch.Tensor,
    P_near: torch.Tensor,
    Q_near: torch.Tensor,
    *,
    temperature: float = 0.5,
    entropy_weight: float = 5.0,
) -> dict[str, torch.Tensor]:
    """Return what trained TAC minimises on a batch, as "loss", and its `PARTS`.

        L = L_dis(P, Q^N) + L_dis(Q, P^N) + L_con(P, Q) - 5 (H(P) + H(Q))  (TAC, as coded)

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the batch by the image head and by the text head.
    P_near, Q_near : Tensor of shape (n_samples, n_clusters)
        P^N and Q^N, those of a random neighbour of each row, among the images and among the
        counterparts.
    temperature : float, default=0.5
        tau of the distillation.
    entropy_weight : float, default=5.0
        Weight of the clusters' balance.

    Returns
    -------
    dict of str to Tensor of shape ()
        "distillation" and "entropy" are sums of two.

    Notes
    -----
    Source: trained TAC, as in the authors' code (arXiv 2310.11989).
    """
    distillation = distillation_loss(P, Q_near, temperature)
    distillation = distillation + distillation_loss(Q, P_near, temperature)
    consistency = consistency_loss(P, Q)
    entropy = balance_entropy(P) + balance_entropy(Q)
    loss = distillation + consistency - entropy_weight * entropy
    return {"loss": loss} | dict(zip(PARTS, (distillation, consistency, entropy), strict=True))


def distillation_loss(P: torch.Tensor, Q: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how badly the clusters of P and of Q find each other among all of both.

    With c_1, ..., c_2K the columns of P, then those of Q (column k holds the batch's
    probabilities of cluster k), s_kl = exp(cos(c_k, c_l) / tau), and c_k' the partner of c_k,
    the same cluster by the other head:

        L_dis = -mean_k log(s_kk' / sum_{l != k} s_kl)  (TAC, as coded)

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch by two heads, or of its neighbours.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape ()

    Notes
    -----
    Source: trained TAC, as in the authors' code (arXiv 2310.11989).
    """
    columns = F.normalize(torch.cat([P.T, Q.T]), dim=1)
    logits = columns @ columns.T / temperature
    own = torch.eye(len(columns), dtype=torch.bool, device=logits.device)
    partners = torch.arange(len(columns), device=logits.device).roll(P.shape[1])
    return F.cross_entropy(logits.masked_fill(own, -torch.inf), partners)


def consistency_loss(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
    """Return a loss that is small where two heads agree, and are sure.

        L_con = -mean_i max(log(p_i . q_i), -100)  (TAC, as coded)

    Parameters
    ----------
    P, Q : Tensor of shape (n_samples, n_clusters)
        Assignments of the same batch; each row sums to one.

    Returns
    -------
    Tensor of shape ()

    Notes
    -----
    Source: trained TAC, as in the authors' code: binary cross-entropy with 1, whose logarithm
    is never below -100.
    """
    agreement = (P * Q).sum(dim=1).clamp(0, 1)
    return F.binary_cross_entropy(agreement, torch.ones_like(agreement))


def balance_entropy(P: torch.Tensor, floor: float = 1e-9) -> torch.Tensor:
    """Return the entropy of the mean assignment: log K where all clusters are equally large.

        H = -sum_k m_k log max(m_k, 1e-9), m_k the mean of p_ik over i  (TAC, as coded)

    Parameters
    ----------
    P : Tensor of shape (n_samples, n_clusters)
        Assignments of a batch; each row sums to one.
    floor : float, default=1e-9
        Smallest probability inside the logarithm. SIC's is 1e-8.

    Returns
    -------
    Tensor of shape ()
        In nats.
    """
    mean = P.mean(dim=0)
    return -(mean * mean.clamp_min(floor).log()).sum()


def nearest_neighbours(X: np.ndarray, n_neighbors: int, *, device: str = "auto") -> np.ndarray:
    """Return the nearest other rows of each row by cosine, nearest first."""
    check_number("n_neighbors", n_neighbors, low=1, high=len(X) - 1, integer=True)
    unit = unit_rows(X)
    _, nearest = top_k(unit, unit, n_neighbors + 1, device=device)
    own = nearest == np.arange(len(X))[:, None]
    # Among equal rows a row may not be its own first: then the farthest goes.
    own[~own.any(axis=1), -1] = True
    return nearest[~own].reshape(len(X), n_neighbors)
