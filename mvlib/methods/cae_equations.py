"""CAE's equations beside the semantic space and the counterpart: the plan and the fusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvlib.check import check_choice, check_number
from mvlib.methods.counterparts import BLOCK_BYTES
from mvlib.methods.semantic_inputs import check_features, check_same_space
from mvlib.methods.semantic_space import unit_rows
from mvlib.ops import TransportResult, transport_plan

COSTS = ("cosine", "euclidean")
FUSIONS = ("adaptive", "adaptive-concatenation", "sum", "concatenation")


def optimal_transport_plan(
    X: np.ndarray,
    words: np.ndarray,
    *,
    row_marginals: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    cost: str = "cosine",
    epsilon: float = 0.01,
    max_iter: int = 1000,
    tol: float = 1e-6,
    method: str = "auto",
    precision: str = "float32",
    marginal_tol: float | None = 1e-2,
    device: str = "auto",
) -> TransportResult:
    """Return the entropic optimal transport of images to words: step 2 of CAE.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    words : array-like of shape (n_words, n_features)
        Text features of one semantic space.
    row_marginals, column_marginals : array-like, optional
        Mass of each image, of each word. Uniform, by default.
    cost : {"cosine", "euclidean"}, default="cosine"
        Of x_i and u_j, both L2-normalised: 1 - cos(x_i, u_j), or |x_i - u_j|.
    epsilon : float, default=0.01
        Weight of the entropy. Under the cosine cost and free column marginals the plan's
        rows would be a softmax of temperature epsilon.
    max_iter, tol, method, precision, marginal_tol
        As in `mvlib.ops.transport_plan`.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    TransportResult
        With the plan, of shape (n_samples, n_words), and the errors of its marginals.

    Raises
    ------
    TransportError
        If the plan is empty, NaN, or misses its marginals by more than `marginal_tol`.
    ValueError
        If widths differ, values are not finite, or a parameter is out of range.

    Notes
    -----
    Source: CAE (arXiv 2512.00904), secondary. *Deviations*: the paper's cost, marginals,
    epsilon and iterations are unknown; the defaults are our choice.
    """
    X, words = check_features("X", X), check_features("words", words)
    check_same_space(images=X, words=words)
    check_choice("cost", cost, COSTS)
    columns = unit_rows(words).T
    costs = np.empty((len(X), len(words)), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (4 * len(words)))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        np.subtract(1, unit_rows(X[rows]) @ columns, out=costs[rows])
        if cost == "euclidean":
            costs[rows] = np.sqrt(np.maximum(2 * costs[rows], 0))
    return transport_plan(
        costs,
        row_marginals,
        column_marginals,
        epsilon=epsilon,
        max_iter=max_iter,
        tol=tol,
        method=method,
        precision=precision,
        marginal_tol=marginal_tol,
        device=device,
    )


def adaptive_fusion(
    X: np.ndarray,
    counterparts: Sequence[np.ndarray],
    *,
    gamma: float = 0.01,
    fusion: str = "adaptive",
) -> tuple[np.ndarray, np.ndarray]:
    """Return one feature an image out of its modalities: step 3 of CAE.

    With the prototype p_i = mean of x_i and its counterparts, the weight of modality m is
    softmax_m(cos(m_i, p_i) / gamma).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    counterparts : sequence of array-like, each (n_samples, n_features)
        One for each semantic space.
    gamma : float, default=0.01
        Temperature of the weights.
    fusion : str, default="adaptive"
        "adaptive" is the weighted sum, "adaptive-concatenation" puts the weighted
        modalities side by side; "sum" and "concatenation" do so with equal weights.

    Returns
    -------
    fused : ndarray of shape (n_samples, n_features), float32
        Of unit length; (n_samples, n_modalities * n_features) if concatenated.
    weights : ndarray of shape (n_samples, n_modalities), float32
        Each row sums to one; the image first, then the counterparts in their order.

    Raises
    ------
    ValueError
        If shapes differ, values are not finite, or a parameter is out of range.

    Notes
    -----
    Source: CAE (arXiv 2512.00904), secondary; gamma is the 0.01 that is known.

    *Deviations*. Whether the paper sums or concatenates is unknown. All modalities are
    L2-normalised first. With one counterpart the two cosines are equal whatever the vectors
    are, so the adaptive weights are 1/2 each: adaptive fusion needs both spaces.
    """
    check_choice("fusion", fusion, FUSIONS)
    check_number("gamma", gamma, low=0, open_low=True)
    modalities = [unit_rows(check_features("X", X))]
    for number, other in enumerate(counterparts):
        argument = f"counterparts[{number}]"
        modalities.append(unit_rows(check_features(argument, other)))
        if modalities[-1].shape != modalities[0].shape:
            raise ValueError(
                f"{argument} has shape {modalities[-1].shape}: expected "
                f"{modalities[0].shape}, as X"
            )
    stack = np.stack(modalities, axis=1)
    if fusion.startswith("adaptive"):
        prototypes = unit_rows(stack.mean(axis=1))
        logits = np.einsum("nmd,nd->nm", stack, prototypes) / np.float32(gamma)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        weights = np.full(stack.shape[:2], 1 / len(modalities), dtype=np.float32)
    weighted = stack * weights[:, :, None]
    concatenated = fusion.endswith("concatenation")
    fused = weighted.reshape(len(stack), -1) if concatenated else weighted.sum(axis=1)
    return unit_rows(fused), weights
