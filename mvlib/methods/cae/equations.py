"""CAE's equations: the words kept, the plan, the counterparts, the fusion; and Theorem 1.

Source: "Hierarchical Semantic Alignment for Image Clustering", arXiv 2512.00904 (AAAI 2026), as
quoted elsewhere ("secondary"); no code was found. What is our choice where that says nothing
is "our reading".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mvlib.check import check_choice, check_number
from mvlib.methods.features import (
    BLOCK_BYTES,
    Block,
    check_features,
    check_pair,
    cluster_mass,
    cosine_blocks,
    softmax_blocks,
    weighted_sums,
)
from mvlib.methods.tac import softmax_counterpart
from mvlib.ops import TransportResult, transport_plan, unit_rows
from mvlib.ops import top_k as nearest_rows

COSTS = ("cosine", "euclidean")
FUSIONS = ("adaptive", "adaptive-concatenation", "sum", "concatenation")
COLUMN_MARGINALS = ("uniform", "retrieval", "softmax")
# Least mass of a word, as a share of the equal one: a word that nothing asks for would
# otherwise leave the plan a column without mass.
LEAST_SHARE = 1e-3


def retrieve_top_k(
    centres: np.ndarray, words: np.ndarray, top_k: int, *, device: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the words that are among the nearest of some centre: step 1 of CAE.

        S = union_l {the K words u_j of largest cos(c_l, u_j)}  (CAE, secondary)

    Parameters
    ----------
    centres : array-like of shape (n_centers, n_features)
        Centres of the images.
    words : array-like of shape (n_words, n_features)
        Text features of nouns or of captions.
    top_k : int
        K, words for each centre, by cosine.
    device : str, default="auto"
        Where to compute.

    Returns
    -------
    kept : ndarray of shape (n_kept,), int64
        Rows of `words`, ascending, without repetition.
    counts : ndarray of shape (n_kept,), int64
        For how many centres each was among the nearest.

    Raises
    ------
    ValueError
        If there are fewer words than K, widths differ, or values are not finite.
    """
    centres, words = check_pair(centres, words, ("centres", "words"))
    check_number("top_k", top_k, low=1, high=len(words), integer=True)
    _, nearest = nearest_rows(unit_rows(centres), unit_rows(words), top_k, device=device)
    return np.unique(nearest, return_counts=True)


def optimal_transport_plan(
    X: np.ndarray,
    words: np.ndarray,
    *,
    row_marginals: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    cost: str = "cosine",
    epsilon: float = 0.01,
    **solver: Any,
) -> TransportResult:
    """Return the entropic optimal transport of images to words: step 2 of CAE.

        C_ij = 1 - cos(x_i, u_j), or norm(x_i - u_j)  (CAE, our reading)
        T = argmin <T, C> + epsilon sum_ij t_ij log t_ij, T 1 = a, 1' T = b  (CAE, our reading)

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Image features.
    words : array-like of shape (n_words, n_features)
        Text features of one semantic space.
    row_marginals, column_marginals : array-like, optional
        Mass of each image, of each word. Uniform, by default.
    cost : {"cosine", "euclidean"}, default="cosine"
        C, of x_i and u_j, both L2-normalised.
    epsilon : float, default=0.01
        Weight of the entropy. Under the cosine cost and free column marginals the plan's
        rows would be a softmax of temperature epsilon.
    **solver
        max_iter, tol, method, precision, marginal_tol and device, as in
        `mvlib.ops.transport_plan`.

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
    *Deviations*. The paper's cost, marginals, epsilon and iterations are unknown; the defaults
    are our choice.
    """
    costs = transport_costs(X, words, cost)
    return transport_plan(costs, row_marginals, column_marginals, epsilon=epsilon, **solver)


def transport_costs(X: np.ndarray, words: np.ndarray, cost: str) -> np.ndarray:
    """Return what it costs to move each image's mass to each word, float32."""
    X, words = check_pair(X, words)
    check_choice("cost", cost, COSTS)
    columns = unit_rows(words).T
    costs = np.empty((len(X), len(words)), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (4 * len(words)))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        np.subtract(1, unit_rows(X[rows]) @ columns, out=costs[rows])
        if cost == "euclidean":
            costs[rows] = np.sqrt(np.maximum(2 * costs[rows], 0))
    return costs


def word_potentials(plan: np.ndarray, costs: np.ndarray, epsilon: float) -> np.ndarray:
    """Return the words' half g of a plan's logarithm, with which it extends to new images.

        log t_ij = f_i + g_j - c_ij / epsilon  (entropic transport; Pooladian and
        Niles-Weed 2021 for new rows, which are t_j ~ exp(g_j - c_j / epsilon))

    By alternate means over the entries that float32 still holds.
    """
    held = plan > 1e-30
    logs = np.log(np.where(held, plan, 1.0)) + costs / float(epsilon)
    g = np.zeros(plan.shape[1])
    for _ in range(20):
        f = ((logs - g) * held).sum(axis=1) / held.sum(axis=1).clip(1)
        g = ((logs - f[:, None]) * held).sum(axis=0) / held.sum(axis=0).clip(1)
    # A word without mass in these rows gets none in others.
    return np.where(held.any(axis=0), g, -np.inf)


def word_marginals(
    kind: str,
    X: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    temperature: float,
    device: str = "auto",
) -> np.ndarray:
    """Return the mass that a plan is to give each word, in float64; it sums to one.

    Equal; in proportion to `counts`, of the centres that retrieved it; or the share of TAC's
    softmax, no word under a thousandth of the equal share.
    """
    check_choice("column_marginals", kind, COLUMN_MARGINALS)
    if kind == "uniform":
        return np.full(len(words), 1 / len(words))
    if kind == "retrieval":
        return counts / counts.sum()
    mass = softmax_marginals(X, words, temperature, device)
    mass = np.maximum(mass, LEAST_SHARE / len(words))
    return mass / mass.sum()


def softmax_marginals(
    X: np.ndarray, words: np.ndarray, temperature: float, device: str = "auto"
) -> np.ndarray:
    """Return the share of TAC's weights that falls on each word, in float64."""
    blocks = softmax_blocks(X, words, temperature, device)
    mass = cluster_mass(blocks, np.zeros(len(X), dtype=np.int64), 1, len(words))[0]
    return mass / mass.sum()


def counterpart(
    X: np.ndarray,
    words: np.ndarray,
    plan: np.ndarray,
    *,
    similarity: bool = True,
    normalize: bool = True,
    device: str = "auto",
) -> np.ndarray:
    """Return CAE's counterparts: what each image is in the words that transport gives it.

        x_i^u = sum_j t_ij s_ij u_j  (CAE, secondary)

    Parameters
    ----------
    X, words, device
        As in `optimal_transport_plan`.
    plan : ndarray of shape (n_samples, n_words)
        t, an optimal transport plan. Its rows are divided by their sums.
    similarity : bool, default=True
        Whether the cosine s_ij weighs the sum; otherwise s_ij = 1.
    normalize : bool, default=True
        Whether to divide each counterpart by its L2 norm.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float32

    Raises
    ------
    ValueError
        If shapes do not fit or values are not finite.

    Notes
    -----
    *Deviations*. The scale of the counterpart in the paper is unknown: rows of the plan that
    sum to one and the L2 norm are our choice (under the L2 norm, the former changes nothing).
    """
    X, words = check_pair(X, words)
    plan = np.asarray(plan)
    if plan.shape != (len(X), len(words)):
        raise ValueError(f"plan has shape {plan.shape}: expected ({len(X)}, {len(words)})")
    sums = plan.sum(axis=1)
    if not np.isfinite(sums).all() or plan.min() < 0 or not (sums > 0).all():
        raise ValueError(
            "plan holds NaN, infinity, negative mass or an empty row: expected mass in "
            "every row"
        )
    blocks = plan_blocks(X, words, plan, similarity, device)
    return weighted_sums(blocks, words, len(X), normalize)


def plan_blocks(
    X: np.ndarray,
    words: np.ndarray,
    plan: np.ndarray,
    similarity: bool = True,
    device: str = "auto",
) -> Iterator[Block]:
    """Give CAE's weights t_ij s_ij, a row an image, in blocks of rows, none over 64 MB."""
    for rows, cosines in cosine_blocks(X, words, device):
        block = torch.as_tensor(plan[rows], dtype=torch.float32, device=cosines.device)
        block = block / block.sum(dim=1, keepdim=True).clamp_min(torch.finfo(block.dtype).tiny)
        yield rows, block * cosines if similarity else block


def adaptive_fusion(
    X: np.ndarray,
    counterparts: Sequence[np.ndarray],
    *,
    gamma: float = 0.01,
    fusion: str = "adaptive",
) -> tuple[np.ndarray, np.ndarray]:
    """Return one feature an image out of its modalities: step 3 of CAE.

    With the image and its counterparts m_i1, m_i2, m_i3 at unit length:

        p_i = (m_i1 + m_i2 + m_i3) / 3  (CAE, secondary)
        w_im = exp(cos(m_im, p_i) / gamma) / sum_n exp(cos(m_in, p_i) / gamma)  (CAE, secondary)
        f_i = sum_m w_im m_im, or [w_i1 m_i1, w_i2 m_i2, w_i3 m_i3]  (CAE, our reading)

    Parameters
    ----------
    X
        As in `optimal_transport_plan`.
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
    *Deviations*. Of the paper gamma is known; whether it sums or concatenates is not. All
    modalities are L2-normalised first. With one counterpart the two cosines are equal whatever
    the vectors are, so the adaptive weights are 1/2 each: adaptive fusion needs both spaces.
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


@dataclass(frozen=True)
class CounterpartQuantities:
    """One kind of counterpart, measured.

    Attributes
    ----------
    column_marginals : ndarray of shape (n_words,), float64
        Share of all weight that falls on each word; sums to one.
    column_error : float
        Their L1 distance from the marginals asked for, from 0 to 2.
    semantic_error : float
        With c the column marginals, b those asked for and u_j the words at unit length

            e = norm(sum_j c_j u_j - sum_j b_j u_j)  (CAE, our reading)

        At most `column_error`.
    target_errors : ndarray of shape (n_samples,), float64, or None
        1 - cos(counterpart, target) of each image.
    """

    column_marginals: np.ndarray
    column_error: float
    semantic_error: float
    target_errors: np.ndarray | None

    @property
    def target_error(self) -> float | None:
        """Mean of `target_errors`."""
        return None if self.target_errors is None else float(self.target_errors.mean())


def theorem_1_quantities(
    X: np.ndarray,
    words: np.ndarray,
    *,
    targets: np.ndarray | None = None,
    column_marginals: np.ndarray | None = None,
    temperature: float = 0.005,
    epsilon: float = 0.01,
    max_iter: int = 1000,
    similarity: bool = True,
    device: str = "auto",
) -> dict[str, CounterpartQuantities]:
    """Measure the counterparts of softmax, transport and a blind plan in one semantic space.

    Parameters
    ----------
    X, words, device
        As in `optimal_transport_plan`.
    targets : array-like of shape (n_samples, n_features), optional
        What each counterpart should say, such as the embedding of the image's own caption
        or of its class name. Labels in disguise: for measuring, never for clustering.
    column_marginals : array-like of shape (n_words,), optional
        b, the mass asked for. Uniform, by default.
    temperature : float, default=0.005
        tau of the softmax.
    epsilon, max_iter
        Of the transport. With epsilon = tau the plan is the softmax, rescaled to fit b.
    similarity : bool, default=True
        Whether the counterparts of the plans are weighed by s_ij (`target_errors` alone
        depend on it).

    Returns
    -------
    dict of str to CounterpartQuantities
        "softmax"; "transport"; "blind", the plan that meets both marginals and
        ignores the images: every image gets b.

    Raises
    ------
    TransportError
        If the plan is empty, NaN, or misses its marginals.
    ValueError
        If shapes differ, values are not finite, or a parameter is out of range.

    Notes
    -----
    Of Theorem 1 (arXiv 2512.00904) only the claim is known, secondary: the column constraints
    bound the semantic error by that of TAC's softmax. *Deviations*. Its definition of the
    error is unknown, so the theorem itself is not checked here. Two readings are measured.

    - Of the images together: `semantic_error` is how far their mean description, before its
      norm is divided out and without s_ij, is from the description that b asks for. By the
      triangle inequality it is at most the column error, so whatever meets the columns passes,
      "blind" included. Under this reading the claim follows from the constraint and says
      nothing of any image.
    - Of each image: `target_errors` of "transport" are at most those of "softmax". This can
      fail, and does where the true shares of the words are far from b.
    """
    X, words = check_pair(X, words)
    if targets is not None:
        targets = check_features("targets", targets)
        if targets.shape != X.shape:
            raise ValueError(f"targets has shape {targets.shape}: expected {X.shape}, as X")
    settings: dict[str, Any] = {"epsilon": epsilon, "max_iter": max_iter, "device": device}
    found = optimal_transport_plan(X, words, column_marginals=column_marginals, **settings)
    asked = np.ones(len(words)) if column_marginals is None else np.asarray(column_marginals)
    asked = asked.astype(np.float64) / asked.sum()
    blind = np.tile(asked.astype(np.float32), (len(X), 1))
    told = {"softmax": softmax_counterpart(X, words, temperature, device=device)}
    marginals = {"softmax": softmax_marginals(X, words, temperature, device)}
    for kind, plan in (("transport", found.plan), ("blind", blind)):
        told[kind] = counterpart(X, words, plan, similarity=similarity, device=device)
        mass = plan.sum(axis=0, dtype=np.float64)
        marginals[kind] = mass / mass.sum()
    unit, measured = unit_rows(words.astype(np.float64)), {}
    for kind, shares in marginals.items():
        errors = None
        if targets is not None:
            cosines = unit_rows(told[kind]) * unit_rows(targets)
            errors = 1 - cosines.sum(axis=1, dtype=np.float64)
        off = shares - asked
        column_error, semantic_error = np.abs(off).sum(), np.linalg.norm(off @ unit)
        measured[kind] = CounterpartQuantities(
            shares, float(column_error), float(semantic_error), errors
        )
    return measured
