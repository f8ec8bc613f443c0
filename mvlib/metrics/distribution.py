"""How clouds of points lie, whichever point belongs to which."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import pdist

from mvlib.check import RandomState, check_number, check_view, resolve_seed
from mvlib.ops.discrepancy import mmd
from mvlib.ops.rows import unit_rows


def distribution_distances(
    A: np.ndarray, B: np.ndarray, n_projections: int = 100, random_state: RandomState = None
) -> dict[str, float]:
    """Return three distances between the distributions of two sets of points.

    Parameters
    ----------
    A, B : array-like of shape (n_a, n_features) and (n_b, n_features)
        Points of the two distributions, such as the embeddings of two views.
    n_projections : int, default=100
        Random directions of the sliced Wasserstein distance.
    random_state : int, optional
        Seed of the directions, and of the 1,000 points from which the kernel's width and
        the MMD are taken where there are more.

    Returns
    -------
    dict of str to float
        `mmd`: squared maximum mean discrepancy (biased) under one Gaussian kernel whose
        width is the median distance of all points; `covariance_distance`: Frobenius norm of
        the difference of the covariances over that of their sum; `sliced_wasserstein`: the
        2-Wasserstein distance, averaged over directions (POT), of points divided by their
        root mean squared distance from their common mean. None depends on the unit of
        length.

    Raises
    ------
    ValueError
        If the points are not finite, differ in width, or are fewer than two.
    """
    import ot

    A, B = (check_view(X, name, np.float64) for name, X in (("A", A), ("B", B)))
    if A.shape[1] != B.shape[1]:
        raise ValueError(f"B has {B.shape[1]} features: expected {A.shape[1]}, as A has")
    if min(len(A), len(B)) < 2:
        raise ValueError(f"A and B have {len(A)} and {len(B)} points: expected at least 2 each")
    check_number("n_projections", n_projections, low=1, integer=True)
    seed = resolve_seed(random_state)
    rng = np.random.default_rng(seed)
    covariances = np.cov(A, rowvar=False), np.cov(B, rowvar=False)
    total = float(np.linalg.norm(covariances[0] + covariances[1]))
    both = np.concatenate([A, B])
    scale = float(np.sqrt(((both - both.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0
    few_a, few_b = (X[rng.permutation(len(X))[:1000]] for X in (A, B))
    return {
        "mmd": _squared_mmd(few_a, few_b),
        "covariance_distance": float(np.linalg.norm(covariances[0] - covariances[1]))
        / (total or 1.0),
        "sliced_wasserstein": float(
            ot.sliced_wasserstein_distance(
                A / scale, B / scale, n_projections=n_projections, seed=seed
            )
        ),
    }


def _squared_mmd(A: np.ndarray, B: np.ndarray) -> float:
    width = float(np.median(pdist(np.concatenate([A, B])))) or 1.0
    return max(float(mmd(torch.from_numpy(A), torch.from_numpy(B), 2 * width**2)), 0.0)


def mean_pairwise_cosine(X: np.ndarray) -> float:
    """Return the mean cosine of two different rows, from -1 / (n_samples - 1) to 1.

    It is near 1 where all point one way.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features, finite, of at least two rows: a ValueError else. Rows of zeros count as
        orthogonal to all.
    """
    X = check_view(X, "X", np.float64)
    n = len(X)
    if n < 2:
        raise ValueError(f"X has {n} row: expected at least 2")
    unit = unit_rows(X)
    # The sum over all pairs is the squared length of the sum; the diagonal is left out.
    total = float((unit.sum(axis=0) ** 2).sum()) - float((unit**2).sum())
    return total / (n * (n - 1))
