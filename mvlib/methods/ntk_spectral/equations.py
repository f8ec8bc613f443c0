"""The affinity: how near two images look, times how much their nouns overlap.

Source: Peng et al., "Delving into Spectral Clustering with Vision-Language
Representations", arXiv 2602.09586 (ICLR 2026). The paper's full text was not at hand; the
equations are those of its co-author's benchmark code (arXiv 2609.36648).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mvlib._validation import check_choice, check_number
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.ops import resolve_device

AFFINITIES = ("ntk", "visual", "semantic", "rbf")
SEMANTIC = ("ntk", "semantic")


def noun_assignments(
    Z: np.ndarray, W: np.ndarray, temperature: float = 0.04, *, device: str = "auto"
) -> np.ndarray:
    """Return how each image spreads over the nouns: s_i = softmax(W^T z_i / tau).

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Image features.
    W : array-like of shape (n_nouns, n_features)
        Text features of the positive nouns under one prompt.
    temperature : float, default=0.04
        tau.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_nouns), float32
        Each row sums to one.

    Raises
    ------
    ValueError
        If the widths differ, values are not finite, or the temperature is not positive.

    Notes
    -----
    Rows of `Z` and `W` are L2-normalised first, as in the authors' code.
    """
    Z, W = check_features("Z", Z), check_features("W", W)
    check_same_space(images=Z, nouns=W)
    check_number("temperature", temperature, low=0, open_low=True)
    on = resolve_device(device)
    return assignments(torch.as_tensor(Z, device=on), [W], temperature).cpu().numpy()


def ntk_affinity(
    Z: np.ndarray,
    W: np.ndarray | None = None,
    temperature: float = 0.04,
    *,
    others: np.ndarray | None = None,
    affinity: str = "ntk",
    device: str = "auto",
) -> np.ndarray:
    """Return the affinity of images with images, all pairs.

    - "ntk": K(z_i, z_j) = tau^-2 (z_i . z_j) sum_k s_i[k] s_j[k]. It is the neural tangent
      kernel of f_W(z) = log sum_k exp(w_k . z / tau) at the nouns W: the gradient of f by w_k
      is s[k] z / tau, so K is the inner product of the explicit features s (x) z / tau.
    - "visual": its first half, tau^-2 (z_i . z_j).
    - "semantic": its other half, tau^-2 sum_k s_i[k] s_j[k].
    - "rbf": exp(-|z_i - z_j|^2 / tau), which needs no noun.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Image features.
    W : array-like of shape (n_nouns, n_features), optional
        Text features of the positive nouns under one prompt, for "ntk" and "semantic".
    temperature : float, default=0.04
        tau.
    others : array-like of shape (n_others, n_features), optional
        The images of the columns. By default those of the rows.
    affinity : {"ntk", "visual", "semantic", "rbf"}, default="ntk"
        Which.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_others), float32

    Raises
    ------
    ValueError
        If nouns are missing, widths differ, values are not finite, the temperature is not
        positive, or the affinity is unknown.

    Notes
    -----
    Rows of `Z` and `W` are L2-normalised first. The matrix is n x n:
    `nearest_neighbors` is for what does not fit. The factor tau^-2 of the halves changes no
    neighbour; it keeps their degrees comparable with those of the kernel.
    """
    check_choice("affinity", affinity, AFFINITIES)
    check_number("temperature", temperature, low=0, open_low=True)
    Z = check_features("Z", Z)
    others = Z if others is None else check_features("others", others)
    check_same_space(Z=Z, others=others)
    on = resolve_device(device)
    sides = []
    for X in (Z, others):
        points = F.normalize(torch.as_tensor(X, device=on), dim=1)
        shares = None
        if affinity in SEMANTIC:
            if W is None:
                raise ValueError(f"affinity={affinity!r} needs W, the nouns' text features")
            nouns = check_features("W", W)
            check_same_space(images=X, nouns=nouns)
            shares = assignments(points, [nouns], temperature)
        sides.append((points, shares))
    return kernel_block(*sides[0], *sides[1], affinity, temperature).cpu().numpy()


def assignments(
    points: torch.Tensor, banks: list[np.ndarray], temperature: float
) -> torch.Tensor:
    """Return the assignments to the nouns of several prompts side by side.

    Parameters
    ----------
    points : Tensor of shape (n_samples, n_features), float32
        Images.
    banks : list of ndarray, each (n_nouns, n_features)
        Nouns, one array a prompt.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape (n_samples, len(banks) * n_nouns), float32
        Divided by the root of the number of prompts, so that an inner product of two rows
        is the mean over the prompts of sum_k s_i[k] s_j[k].
    """
    points = F.normalize(points, dim=1)
    parts = []
    for W in banks:
        nouns = F.normalize(torch.as_tensor(W, device=points.device), dim=1)
        parts.append(torch.softmax(points @ nouns.T / temperature, dim=1))
    return torch.cat(parts, dim=1) / len(banks) ** 0.5 if len(parts) > 1 else parts[0]


def kernel_block(
    rows: torch.Tensor,
    row_shares: torch.Tensor | None,
    columns: torch.Tensor,
    column_shares: torch.Tensor | None,
    affinity: str,
    temperature: float,
) -> torch.Tensor:
    """Return the affinity of some images with some images.

    Parameters
    ----------
    rows, columns : Tensor of shape (n_rows, n_features), (n_columns, n_features)
        Images, of unit length.
    row_shares, column_shares : Tensor of shape (n_rows, n_nouns), (n_columns, n_nouns)
        Their assignments; None where the affinity reads none.
    affinity : {"ntk", "visual", "semantic", "rbf"}
        Which.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape (n_rows, n_columns)
    """
    if affinity == "semantic":
        return (row_shares @ column_shares.T).div_(temperature**2)
    block = rows @ columns.T
    if affinity == "rbf":
        return block.mul_(2).sub_(2).clamp_max_(0).div_(temperature).exp_()
    if affinity == "ntk":
        block.mul_(row_shares @ column_shares.T)
    return block.div_(temperature**2)
