"""The textual counterpart of each image: a mean of words, weighted by softmax or transport."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from mvlib.check import check_number
from mvlib.methods.semantic_inputs import check_features, check_same_space, rounded
from mvlib.ops import resolve_device

BLOCK_BYTES = 1 << 26

Block = tuple[slice, torch.Tensor]


def softmax_counterpart(
    X: np.ndarray,
    nouns: np.ndarray,
    temperature: float = 0.005,
    *,
    normalize: bool = True,
    precision: str = "float32",
    device: str = "auto",
) -> np.ndarray:
    """Return TAC's counterparts: x^u_i = sum_j softmax_j(cos(x_i, u_j) / tau) u_j.

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
    X, nouns = _checked(X, nouns)
    blocks = softmax_blocks(X, nouns, temperature, device, precision)
    return _weighted_sums(blocks, nouns, len(X), normalize, precision)


def counterpart(
    X: np.ndarray,
    words: np.ndarray,
    plan: np.ndarray,
    *,
    similarity: bool = True,
    normalize: bool = True,
    device: str = "auto",
) -> np.ndarray:
    """Return CAE's counterparts: x^u_i = sum_j t_ij s_ij u_j.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    words : array-like of shape (n_words, n_features)
        Text features of one semantic space.
    plan : ndarray of shape (n_samples, n_words)
        t, an optimal transport plan. Its rows are divided by their sums.
    similarity : bool, default=True
        Whether the cosine s_ij weighs the sum; otherwise s_ij = 1.
    normalize : bool, default=True
        Whether to divide each counterpart by its L2 norm.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If shapes do not fit or values are not finite.

    Notes
    -----
    Source: step 2 of CAE (arXiv 2512.00904), secondary.

    *Deviations*. The scale of the counterpart in the paper is unknown: rows of the plan that
    sum to one and the L2 norm are our choice (under the L2 norm, the former changes nothing).
    """
    X, words = _checked(X, words)
    plan = check_plan(plan, len(X), len(words))
    blocks = plan_blocks(X, words, plan, similarity, device)
    return _weighted_sums(blocks, words, len(X), normalize)


def softmax_blocks(
    X: np.ndarray,
    words: np.ndarray,
    temperature: float,
    device: str = "auto",
    precision: str = "float32",
) -> Iterator[Block]:
    """Give TAC's weights in blocks of rows, none over 64 MB.

    Parameters
    ----------
    X, words : ndarray of shape (n_rows, n_features), float32
        Images and words.
    temperature : float
        tau.
    device : str, default="auto"
        Where to compute.
    precision : {"float32", "float16"}, default="float32"
        Of cosines, logits and weights.

    Yields
    ------
    rows : slice
        Which images.
    weights : Tensor of shape (block, n_words)
        Each row sums to one.
    """
    check_number("temperature", temperature, low=0, open_low=True)
    for rows, cosines in cosine_blocks(X, words, device, precision):
        logits = rounded(cosines / temperature, precision)
        yield rows, rounded(torch.softmax(logits, dim=1), precision)


def plan_blocks(
    X: np.ndarray,
    words: np.ndarray,
    plan: np.ndarray,
    similarity: bool = True,
    device: str = "auto",
) -> Iterator[Block]:
    """Give CAE's weights t_ij s_ij in blocks of rows, none over 64 MB.

    Parameters
    ----------
    X, words : ndarray of shape (n_rows, n_features), float32
        Images and words.
    plan : ndarray of shape (n_samples, n_words)
        t.
    similarity : bool, default=True
        Whether s_ij counts.
    device : str, default="auto"
        Where to compute.

    Yields
    ------
    rows : slice
        Which images.
    weights : Tensor of shape (block, n_words)
        Negative where s_ij is.
    """
    for rows, cosines in cosine_blocks(X, words, device):
        block = torch.as_tensor(plan[rows], dtype=torch.float32, device=cosines.device)
        block = block / block.sum(dim=1, keepdim=True).clamp_min(torch.finfo(block.dtype).tiny)
        yield rows, block * cosines if similarity else block


def cosine_blocks(
    X: np.ndarray, words: np.ndarray, device: str = "auto", precision: str = "float32"
) -> Iterator[Block]:
    """Give the cosines of images and words in blocks of rows, none over 64 MB.

    Parameters
    ----------
    X, words : ndarray of shape (n_rows, n_features), float32
        Images and words.
    device : str, default="auto"
        Where to compute.
    precision : {"float32", "float16"}, default="float32"
        Of unit rows and cosines.

    Yields
    ------
    rows : slice
        Which images.
    cosines : Tensor of shape (block, n_words)
    """
    on = resolve_device(device)
    columns = rounded(F.normalize(torch.as_tensor(words, device=on), dim=1), precision).T
    step = max(1, BLOCK_BYTES // (4 * len(words)))
    for start in range(0, len(X), step):
        rows = slice(start, min(start + step, len(X)))
        block = rounded(F.normalize(torch.as_tensor(X[rows], device=on), dim=1), precision)
        yield rows, rounded(block @ columns, precision)


def cluster_mass(
    blocks: Iterator[Block], labels: np.ndarray, n_clusters: int, n_words: int
) -> np.ndarray:
    """Return how much weight the images of each cluster put on each word.

    Parameters
    ----------
    blocks : iterator of (slice, Tensor)
        Weights, from `softmax_blocks` or `plan_blocks`. Negative ones count as none.
    labels : ndarray of shape (n_samples,), int64
        Clusters.
    n_clusters, n_words : int
        Shape of what is returned.

    Returns
    -------
    ndarray of shape (n_clusters, n_words), float64
        Sums over the images.
    """
    mass = np.zeros((n_clusters, n_words))
    for rows, weights in blocks:
        sums = weights.new_zeros(n_clusters, n_words)
        sums.index_add_(0, torch.as_tensor(labels[rows]).to(sums.device), weights.clamp_min(0))
        mass += sums.cpu().numpy()
    return mass


def check_plan(plan: np.ndarray, n_samples: int, n_words: int) -> np.ndarray:
    """Return a plan if it fits its images and words and is finite.

    Raises
    ------
    ValueError
        If it does not fit, holds NaN, infinity or negative mass, or is empty in some row.
    """
    plan = np.asarray(plan)
    if plan.shape != (n_samples, n_words):
        raise ValueError(f"plan has shape {plan.shape}: expected ({n_samples}, {n_words})")
    sums = plan.sum(axis=1)
    if not np.isfinite(sums).all() or plan.min() < 0 or not (sums > 0).all():
        raise ValueError(
            "plan holds NaN, infinity, negative mass or an empty row: expected mass in "
            "every row"
        )
    return plan


def _checked(X: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    X, words = check_features("X", X), check_features("words", words)
    check_same_space(images=X, words=words)
    return X, words


def _weighted_sums(
    blocks: Iterator[Block],
    words: np.ndarray,
    n_samples: int,
    normalize: bool,
    precision: str = "float32",
) -> np.ndarray:
    sums = np.empty((n_samples, words.shape[1]), dtype=np.float32)
    bank = None
    for rows, weights in blocks:
        if bank is None:
            unit = F.normalize(torch.as_tensor(words, device=weights.device), dim=1)
            bank = rounded(unit, precision)
        block = rounded(weights @ bank, precision)
        if normalize:
            block = rounded(F.normalize(block, dim=1), precision)
        sums[rows] = block.cpu().numpy()
    return sums
