"""SMART's equations as functions of tensors.

Source: Peng et al., "SMART: Semantic Matching Contrastive Learning for Partially
View-Aligned Clustering", arXiv 2512.15396. The paper's full text was not at hand: each
function follows the authors' code, in the terms of the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

EPSILON = 1e-5
FLOOR = 0.01
VDA_TERMS = ("diagonal", "structure")


def reconstruction_loss(
    views: list[torch.Tensor], reconstructions: list[torch.Tensor]
) -> torch.Tensor:
    """Return the mean squared errors of the auto-encoders, summed over the views.

    Parameters
    ----------
    views, reconstructions : list of Tensor, each (n_samples, n_features_v)
        X and X^, all rows, aligned or not.

    Returns
    -------
    Tensor of shape ()
        L_rec.
    """
    return sum(F.mse_loss(X_hat, X) for X_hat, X in zip(reconstructions, views, strict=True))


def standardize_rows(Z: torch.Tensor) -> torch.Tensor:
    """Return each row of `Z` with mean 0 and unbiased standard deviation 1.

    Parameters
    ----------
    Z : Tensor of shape (n_samples, embedding_dim)
        Embeddings, float32.

    Returns
    -------
    Tensor of shape (n_samples, embedding_dim)
        Mean and deviation are constants to the gradient, as in the authors' code.

    Notes
    -----
    *Deviations*: a deviation below 1e-8 counts as 1e-8; the authors' code divides by 0.
    """
    constant = Z.detach()
    deviation = constant.std(dim=1, keepdim=True).clamp_min(1e-8)
    return (Z - constant.mean(dim=1, keepdim=True)) / deviation


def correlation_matrix(Z_a: torch.Tensor, Z_b: torch.Tensor, offset: int = 0) -> torch.Tensor:
    """Return the correlations of samples with samples across their embedding dimensions.

    The paper calls it a covariance; it compares samples, not dimensions:
    C_ab = Z^_a Z^_b^T / (d - 1) + 1e-5 I, with the rows standardised.

    Parameters
    ----------
    Z_a : Tensor of shape (n_a, embedding_dim)
        Embeddings of one view.
    Z_b : Tensor of shape (n_b, embedding_dim)
        Embeddings of another, or the same.
    offset : int, default=0
        The column that the first row's own partner stands in, for a block of rows.

    Returns
    -------
    Tensor of shape (n_a, n_b)
        Entries from -1 to 1. The 1e-5 is added where row and partner meet.
    """
    matrix = standardize_rows(Z_a) @ standardize_rows(Z_b).T / (Z_a.shape[1] - 1)
    matrix.diagonal(offset).add_(EPSILON)
    return matrix


def view_distribution_alignment_loss(
    Z_1: torch.Tensor, Z_2: torch.Tensor, terms: tuple[str, ...] = VDA_TERMS
) -> torch.Tensor:
    """Pull the two embeddings of aligned rows together, and their inner structure.

    L_vda = mean_i (C_12[i, i] - 1)^2 + mean_ij (C_11[i, j] - C_22[i, j])^2.

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows of two views; row i of one is the partner of row i
        of the other.
    terms : tuple of {"diagonal", "structure"}, default=both
        Which of the two means count, for ablations.

    Returns
    -------
    Tensor of shape ()
        L_vda; 0 when there is no row.

    Notes
    -----
    The second mean is over n x n entries, yet needs no n x n matrix: for standardised rows
    A and B, |A A^T - B B^T|^2 = |A^T A|^2 + |B^T B|^2 - 2 |A^T B|^2, three d x d products.
    """
    n, d = Z_1.shape
    loss = Z_1.new_zeros(())
    if n == 0:
        return loss
    A, B = standardize_rows(Z_1), standardize_rows(Z_2)
    if "diagonal" in terms:
        diagonal = aligned_correlations(Z_1, Z_2)
        loss = loss + ((diagonal - 1) ** 2).mean()
    if "structure" in terms:
        if d <= n:
            squared = (A.T @ A).square() + (B.T @ B).square() - 2 * (A.T @ B).square()
        else:
            squared = (A @ A.T - B @ B.T).square()
        loss = loss + squared.sum() / ((d - 1) ** 2 * n**2)
    return loss


def aligned_correlations(Z_1: torch.Tensor, Z_2: torch.Tensor) -> torch.Tensor:
    """Return the diagonal of C_12: the correlation of each row with its partner.

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows of two views.

    Returns
    -------
    Tensor of shape (n_aligned,)
    """
    A, B = standardize_rows(Z_1), standardize_rows(Z_2)
    return (A * B).sum(dim=1) / (A.shape[1] - 1) + EPSILON


def semantic_threshold(
    Z_1: torch.Tensor, Z_2: torch.Tensor, n_std: float = 1.0
) -> torch.Tensor:
    """Return the correlation from which on two rows count as of one meaning.

    T = max(mean - std of the diagonal of C_12 over the aligned rows, 0.01).

    Parameters
    ----------
    Z_1, Z_2 : Tensor of shape (n_aligned, embedding_dim)
        Embeddings of the aligned rows, at least one.
    n_std : float, default=1.0
        How many standard deviations below the mean. The paper has one.

    Returns
    -------
    Tensor of shape ()
        T, without gradient.

    Notes
    -----
    *Deviations*: the deviation of a single aligned row counts as 0; it is NaN in the
    authors' code.
    """
    diagonal = aligned_correlations(Z_1.detach(), Z_2.detach())
    spread = diagonal.std() if len(diagonal) > 1 else diagonal.new_zeros(())
    return (diagonal.mean() - n_std * spread).clamp_min(FLOOR)


def semantic_graph(
    correlation: torch.Tensor,
    threshold: torch.Tensor | float,
    aligned: torch.Tensor,
    offset: int = 0,
) -> torch.Tensor:
    """Return the weights W with which rows of view 1 look at rows of the other view.

    W_ij = C_12[i, j] where it reaches the threshold, else 0; W_ii = 1 if row i is aligned;
    a row of zeros gets 0.01 at its largest correlation. Rows are not normalised.

    Parameters
    ----------
    correlation : Tensor of shape (n_rows, n_columns)
        C_12, or a block of its rows.
    threshold : Tensor of shape () or (n_rows, 1), or float
        T, as `semantic_threshold` gives it, or one a row.
    aligned : Tensor of shape (n_rows,), bool
        Which of these rows are aligned.
    offset : int, default=0
        The column that the first row's own partner stands in, for a block of rows.

    Returns
    -------
    Tensor of shape (n_rows, n_columns)
        W, without gradient.
    """
    C = correlation.detach()
    W = torch.where(threshold <= C, C, 0.0)
    W.diagonal(offset).masked_fill_(aligned, 1.0)
    empty = (W.sum(dim=1) == 0).nonzero().flatten()
    W[empty, C[empty].argmax(dim=1)] = FLOOR
    return W


def semantic_matching_loss(
    H_1: torch.Tensor, H_2: torch.Tensor, W: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Contrast each row of view 1 with all rows of the other, its graph neighbours positive.

    L_smc = -mean_i log( sum_j W_ij e^{cos(H1_i, H2_j)/tau} / sum_j e^{cos(H1_i, H2_j)/tau} ).

    Parameters
    ----------
    H_1, H_2 : Tensor of shape (n_samples, embedding_dim)
        Projections of two views, rows of unit length.
    W : Tensor of shape (n_samples, n_samples)
        As `semantic_graph` gives it.
    temperature : float
        tau.

    Returns
    -------
    Tensor of shape ()
        L_smc. It goes from view 1 to the other only, over all rows, and can be negative:
        the rows of W do not sum to 1 (both as in the authors' code).
    """
    logits = H_1 @ H_2.T / temperature
    shift = logits.detach().amax(dim=1, keepdim=True)
    weights = torch.exp(logits - shift)
    tiny = torch.finfo(weights.dtype).tiny
    matched = torch.einsum("ij,ij->i", weights, W).clamp_min(tiny)
    return (torch.log(weights.sum(dim=1)) - torch.log(matched)).mean()
