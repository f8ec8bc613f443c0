"""The weights of the prompts: beta on the simplex, given how smooth A is on each graph."""

from __future__ import annotations

import numpy as np

from mvlib._validation import check_number

RULES = ("exact", "coordinate")
PASSES = 4


def simplex_weights(smoothness: np.ndarray, regularization: float = 10.0) -> np.ndarray:
    """Return the beta that minimises sum_b beta_b H_b + (lambda / 2) |beta|^2.

    Over the simplex: beta_b >= 0, sum_b beta_b = 1. That is the point of the simplex nearest
    to -H / lambda.

    Parameters
    ----------
    smoothness : ndarray of shape (n_prompts,)
        H_b = |A|_F^2 - <A, S_b A S_b^T>.
    regularization : float, default=10.0
        lambda. The larger, the more equal the weights.

    Returns
    -------
    ndarray of shape (n_prompts,), float64

    Raises
    ------
    ValueError
        If `smoothness` is not a finite vector, or lambda is not positive.
    """
    target = -_checked(smoothness, regularization) / regularization
    return project_to_simplex(target)


def coordinate_weights(
    weights: np.ndarray, smoothness: np.ndarray, regularization: float = 10.0
) -> np.ndarray:
    """Return beta after the pairwise coordinate descent of the authors' code.

    Four passes over all pairs i < j, each of which sets beta_i to (lambda (beta_i + beta_j) +
    H_j - H_i) / (2 lambda), then the projection to the simplex.

    Parameters
    ----------
    weights : ndarray of shape (n_prompts,)
        beta before.
    smoothness : ndarray of shape (n_prompts,)
        H.
    regularization : float, default=10.0
        lambda.

    Returns
    -------
    ndarray of shape (n_prompts,), float64

    Raises
    ------
    ValueError
        If `smoothness` is not a finite vector, or lambda is not positive.

    Notes
    -----
    The code clips beta_i to [0, 1] instead of [0, beta_i + beta_j]. Where the H differ by
    more than lambda (beta_i + beta_j) the pair then sums to more than before, later pairs
    keep weight that they should lose, and the projection takes some from the best prompt. The
    result is not the minimiser, and may be worse than the weights before: with this rule the
    objective can rise. `simplex_weights` is the minimiser.
    """
    smoothness = _checked(smoothness, regularization)
    weights = np.array(weights, dtype=np.float64)
    for _ in range(PASSES):
        for i in range(len(weights)):
            for j in range(i + 1, len(weights)):
                both = weights[i] + weights[j]
                moved = regularization * both + smoothness[j] - smoothness[i]
                weights[i] = np.clip(moved / (2 * regularization), 0, 1)
                weights[j] = np.clip(both - weights[i], 0, 1)
        weights = project_to_simplex(weights)
    return weights


def project_to_simplex(point: np.ndarray) -> np.ndarray:
    """Return the nearest point with no negative entry and sum one.

    Parameters
    ----------
    point : ndarray of shape (n,)
        Any vector.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    ordered = np.sort(point)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(point) + 1)
    shift = excess[np.flatnonzero(ordered > excess)[-1]]
    return np.maximum(point - shift, 0)


def _checked(smoothness: np.ndarray, regularization: float) -> np.ndarray:
    check_number("regularization", regularization, low=0, open_low=True)
    smoothness = np.asarray(smoothness, dtype=np.float64)
    if smoothness.ndim != 1 or not len(smoothness) or not np.isfinite(smoothness).all():
        raise ValueError(
            f"smoothness of shape {smoothness.shape} is not usable: expected a finite number "
            "for each prompt"
        )
    return smoothness
